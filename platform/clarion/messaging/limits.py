"""What is allowed: learned from the provider, lowered by people, each with its date."""

import datetime as dt
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Invalid, NotFound
from clarion.base.telemetry import logger
from clarion.base.words import _
from clarion.messaging import budget, contract, portfolio
from clarion.messaging.models import Campaign, Channel, Message, Sender
from clarion.messaging.shared import Portfolio
from clarion.tenancy import access, audit
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope, current_account
from clarion.work.jobs import job

log = logger(__name__)
audit.label("messaging.sender.rate_learned", "The provider changed a number's rate")
audit.label("messaging.sender.rate_set", "Chose a lower rate for a number")
audit.label("messaging.portfolio.limit_set", "Set a business's daily limit")
FASTEST = 100_000


def belong(channel_id: UUID, found: contract.Limits) -> None:
    """Note which business a connection belongs to; without proof it has one of its own."""
    channel = db.session().scalar(select(Channel).where(Channel.id == channel_id))
    if channel is None:
        return
    name = found.business or f"number:{found.number}"
    key = {"transport": channel.transport, "provider_id": name[:80]}
    same = select(Portfolio.id).filter_by(**key)
    with db.apart(portfolio.SYSTEM) as orm:
        orm.execute(
            insert(Portfolio).values(id=db.new_id(), **key).on_conflict_do_nothing()
        )
        channel.portfolio_id = orm.scalar(same)


def learn(channel_id: UUID, found: contract.Limits) -> None:
    """Keep what a provider says it allows; nothing when it has said something newer."""
    channel = db.session().scalar(select(Channel).where(Channel.id == channel_id))
    if channel is None:
        return
    if found.rate_per_s and found.number:
        rate = min(found.rate_per_s, FASTEST)
        _learn_rate(channel_id, found.number, rate, found.at)
    if found.people_per_day is not None and channel.portfolio_id:
        people = None if found.people_per_day < 0 else found.people_per_day
        _learn_people(channel.portfolio_id, people, found.at)


def set_own_rate(sender_id: UUID, rate_per_s: int | None) -> None:
    """Send slower than the provider allows, or with None as fast as it does.

    Raises:
        Invalid: not between 1 and what the provider allows.
    """
    access.require("portal.senders")
    row = db.session().scalar(
        select(Sender).where(Sender.id == sender_id).with_for_update()
    )
    if row is None:
        raise NotFound("sender_unknown", _("There is no such number."))
    if rate_per_s is not None and not 1 <= rate_per_s <= row.rate_per_s:
        raise Invalid(
            "rate_too_high",
            _("Choose between 1 and %(most)s, which is what the provider allows.",
              most=row.rate_per_s),
            field="rate_per_s",
        )  # fmt: skip
    before, row.own_rate_per_s = row.own_rate_per_s, rate_per_s
    audit.record("messaging.sender.rate_set", row, rate=[before, rate_per_s])


def set_own_people(portfolio_id: UUID, per_day: int | None) -> None:
    """Lower a business's daily limit, or with None leave it to the provider. For staff.

    Raises:
        Invalid: below zero.
    """
    access.require("console.limits_edit")
    query = select(Portfolio).where(Portfolio.id == portfolio_id)
    row = db.session().scalar(query)
    if row is None:
        raise NotFound("portfolio_unknown", _("There is no such business."))
    if per_day is not None and per_day < 0:
        raise Invalid("limit_negative", _("A limit is not below zero."), field="per_day")
    before = row.own_people_per_day
    db.session().execute(
        update(Portfolio)
        .where(Portfolio.id == portfolio_id)
        .values(own_people_per_day=per_day)
        .execution_options(synchronize_session=False)
    )
    audit.record(
        "messaging.portfolio.limit_set", None, id=portfolio_id, people=[before, per_day]
    )
    wake.later(portfolio_id)


def _learn_rate(channel_id: UUID, number: str, rate: int, at: dt.datetime | None) -> None:
    digits = "".join(each for each in number if each.isdigit())
    said = at or func.clarion_now()
    row = db.session().scalar(
        select(Sender)
        .where(Sender.channel_id == channel_id, Sender.rate_at <= said)
        .where(or_(Sender.provider_id == number, Sender.number == f"+{digits}"))
    )
    if row is None:
        return
    before, row.rate_per_s, row.rate_at = row.rate_per_s, rate, said
    if before != rate:
        audit.record("messaging.sender.rate_learned", row, rate=[before, rate])


def _learn_people(portfolio_id: UUID, people: int | None, at: dt.datetime | None) -> None:
    said = at or func.clarion_now()
    same = Portfolio.people_per_day.is_not_distinct_from(people)
    with db.apart(portfolio.SYSTEM) as orm:
        # not FOR UPDATE: the caller's own transaction may refer to the row
        kept = select(same).where(Portfolio.id == portfolio_id)
        kept = kept.with_for_update(key_share=True)
        news = orm.scalar(kept.where(Portfolio.limit_at <= said)) is False
        orm.execute(
            update(Portfolio)
            .where(Portfolio.id == portfolio_id, Portfolio.limit_at <= said)
            .values(people_per_day=people, limit_at=said)
            .execution_options(synchronize_session=False)
        )
    if news:
        log.info("portfolio.limit_learned", portfolio=str(portfolio_id), people=people)
        wake.later(portfolio_id)


@job(queue="default", idempotent=True, alone=True, system=True)
def wake(portfolio_id: UUID) -> None:
    """Let the orders go on that wait for a portfolio's slots: its limit has changed."""
    query = select(Channel.account_id).where(Channel.portfolio_id == portfolio_id)
    with db.apart(portfolio.SYSTEM) as orm:
        accounts = set(orm.scalars(query))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            _wake()


def _wake() -> None:
    """Ring this account's waiting orders; who has no slot after all waits again."""
    from clarion.messaging import orders

    due = (
        update(Message)
        .where(Message.account_id == current_account(), Message.state == "queued")
        .where(Message.reason == budget.REASON)
        .values(not_before=func.clarion_now())
        .returning(Message.campaign_id)
        .execution_options(synchronize_session=False)
    )
    waiting = {one for one in db.session().scalars(due) if one is not None}
    db.session().execute(
        update(Campaign)
        .where(Campaign.account_id == current_account())
        .where(Campaign.waits_for == budget.REASON)
        .values(waits_until=None, waits_for="")
        .execution_options(synchronize_session=False)
    )
    for campaign_id in waiting:
        orders.ring(campaign_id)
