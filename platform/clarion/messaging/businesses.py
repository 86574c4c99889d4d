"""A business at the provider is one, whoever writes for it: what stops it stops all of them.

Several connections, of several accounts, may belong to one portfolio. Each account has its
own breaker for it, so that each decides by itself when to go on; opening one opens the
others, and so does the provider's word that it is over.
"""

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Text, and_, cast, func, select

from clarion.base import db
from clarion.messaging.models import Breaker, Channel, Sender
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope
from clarion.work import outbox
from clarion.work.jobs import job

ALL_OF_IT = frozenset({"policy_restriction", "account_locked", "template_misuse_limit"})
"""What a provider says of a connection and means of the whole business."""
OF_ITS_NUMBERS = frozenset({"number_quality_red", "opt_out_rate", "spam_restricted"})
"""Two numbers of one business that are stopped for these: it is not the number."""


def of_channel(channel_id: UUID) -> UUID | None:
    """Name the business a connection belongs to; None while nobody knows."""
    return db.session().scalar(select(Channel.portfolio_id).where(Channel.id == channel_id))


def of_sender(sender_id: UUID) -> UUID | None:
    """Name the business a number belongs to; None while nobody knows."""
    query = (
        select(Channel.portfolio_id)
        .join(
            Sender,
            and_(Sender.account_id == Channel.account_id, Sender.channel_id == Channel.id),
        )
        .where(Sender.id == sender_id)
    )
    return db.session().scalar(query)


def troubled(portfolio_id: UUID, but: UUID) -> bool:
    """Say whether another number of a business is stopped for what people think of it."""
    query = (
        select(func.count())
        .select_from(Breaker)
        .join(
            Sender,
            and_(
                Sender.account_id == Breaker.account_id,
                cast(Sender.id, Text) == Breaker.subject,
            ),
        )
        .join(
            Channel,
            and_(Channel.account_id == Sender.account_id, Channel.id == Sender.channel_id),
        )
        .where(
            Channel.portfolio_id == portfolio_id,
            Sender.id != but,
            Breaker.kind == "sender",
            Breaker.state == "open",
            Breaker.reason.in_(OF_ITS_NUMBERS),
        )
    )
    with db.apart(outbox.SYSTEM) as orm:
        return bool(orm.scalar(query))


@job(queue="default", idempotent=True, alone=True, system=True)
def stop(portfolio_id: UUID, reason: str, until: str) -> None:
    """Stop a business in every account that writes for it."""
    from clarion.messaging import breakers  # it rings this

    end = dt.datetime.fromisoformat(until) if until else None
    for _account in _accounts(portfolio_id):
        breakers.open_("portfolio", str(portfolio_id), reason, until=end)


@job(queue="default", idempotent=True, alone=True, system=True)
def end(portfolio_id: UUID, reasons: list[str]) -> None:
    """Let a business try again in every account that writes for it."""
    from clarion.messaging import breakers  # it rings this

    for _account in _accounts(portfolio_id):
        breakers.cleared("portfolio", str(portfolio_id), frozenset(reasons))


def _accounts(portfolio_id: UUID) -> Iterator[UUID]:
    """Go through the accounts of a business, each in a transaction of its own."""
    query = select(Channel.account_id).where(Channel.portfolio_id == portfolio_id)
    with db.apart(outbox.SYSTEM) as orm:
        found = sorted(orm.scalars(query.distinct()))
    for account_id in found:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            yield account_id
