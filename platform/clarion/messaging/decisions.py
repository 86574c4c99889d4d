"""What a person decides about messages nobody can account for: once each, on record.

A message whose outcome stays unknown is never sent again by a machine. A person may,
knowing that somebody can get it twice; or leave it. Whoever presses second, in the same
moment or an hour later, changes nothing and gets the same answer as the first.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Uuid,
    and_,
    any_,
    cast,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid
from clarion.base.words import _
from clarion.messaging import orders
from clarion.messaging.doubts import RESTORED
from clarion.messaging.models import Campaign, Decision, Message
from clarion.tenancy import audit
from clarion.tenancy.scope import current_account, current_actor

audit.label("messaging.message.sent_again", "Ordered unknown messages to be sent again")
audit.label("messaging.message.left", "Left unknown messages as they are")

Choice = Literal["resend", "leave"]
CHOICES: tuple[Choice, ...] = ("resend", "leave")
AT_ONCE = 5_000
_DEEDS = {"resend": "messaging.message.sent_again", "leave": "messaging.message.left"}


@dataclass(frozen=True, slots=True)
class Decided:
    """What holds now for the messages somebody was asked about.

    Attributes:
        resend: how many are sent again, whoever said so.
        leave: how many are left, whoever said so.
        withdrawn: how many settled themselves meanwhile: an event came.
        by: who decided, each name once.
    """

    resend: int
    leave: int
    withdrawn: int
    by: tuple[str, ...]


def decide(
    campaign_id: UUID,
    choice: str,
    *,
    messages: Sequence[UUID] = (),
    asked_at: dt.datetime | None = None,
) -> Decided:
    """Send messages again at one's own risk, or leave them; each decided only once.

    Args:
        campaign_id: the send order they belong to.
        choice: `resend` or `leave`.
        messages: which; at most 5,000.
        asked_at: instead, all that were open when the page was drawn.

    Returns:
        what holds for these messages now: the same for everybody who was asked.

    Raises:
        Invalid: no such choice, or nothing named.
        Conflict: to be sent again, but the campaign was stopped or its end has passed.
    """
    if choice not in CHOICES:
        raise Invalid("choice_unknown", _("There is no such choice."))
    if not messages and asked_at is None:
        raise Invalid("nobody_chosen", _("Choose at least one person."))
    order = db.session().scalar(
        select(Campaign).where(Campaign.id == campaign_id).with_for_update()
    )
    if order is None:
        raise Invalid("campaign_unknown", _("There is no such campaign."))
    if choice == "resend":
        _refuse_over(order)
    ids = _asked(campaign_id, messages[:AT_ONCE], asked_at)
    mine = _settle(campaign_id, ids, choice)
    done = _standing(ids)
    audit.record(
        _DEEDS[choice], order, people=mine, asked=len(ids), withdrawn=done.withdrawn
    )
    if choice == "resend" and mine:
        orders.reopen(campaign_id)
    return done


def asked_at() -> dt.datetime:
    """Say what the database's clock shows, for the form that asks about all."""
    now = db.session().scalar(select(func.clarion_now()))
    assert now is not None  # noqa: S101 -- a clock always answers
    return now


def _refuse_over(order: Campaign) -> None:
    if order.state == "cancelled":
        raise Conflict(
            "campaign_over",
            _("The campaign was stopped for good: nothing of it is sent any more."),
        )
    if order.finish_by is not None and order.finish_by <= asked_at():
        raise Conflict(
            "campaign_end_passed",
            _("The campaign's end has passed: nothing of it is sent any more."),
        )


def _asked(
    campaign_id: UUID, messages: Sequence[UUID], at: dt.datetime | None
) -> list[UUID]:
    """Find the named ones, or what was open at a moment: still open, or decided since."""
    query = select(Message.id).where(
        Message.account_id == current_account(),
        Message.campaign_id == campaign_id,
        _among(Message.id, messages) if at is None else _open_at(campaign_id, at),
        Message.reason != RESTORED,
    )
    return list(db.session().scalars(query.order_by(Message.id)))


def _open_at(campaign_id: UUID, at: dt.datetime) -> ColumnElement[bool]:
    decided = select(Decision.message_id).where(
        Decision.account_id == current_account(),
        Decision.campaign_id == campaign_id,
        Decision.created_at >= at,
    )
    return or_(
        and_(
            Message.state == "needs_decision",
            Message.reason != RESTORED,
            Message.state_since <= at,
        ),
        Message.id.in_(decided),
    )


def _settle(campaign_id: UUID, ids: Sequence[UUID], choice: str) -> int:
    """Decide what is still open among these, under the locks of their rows."""
    orm = db.session()
    open_ = (
        select(Message.id)
        .where(
            Message.account_id == current_account(),
            _among(Message.id, ids),
            Message.state == "needs_decision",
            Message.reason != RESTORED,  # two people decide those: see restored.py
        )
        .order_by(Message.id)
        .with_for_update()
    )
    mine = list(orm.scalars(open_))
    if not mine:
        return 0
    columns = ("id", "account_id", "campaign_id", "message_id", "attempt", "choice", "by")
    who = current_actor().name[:120]
    rows = select(
        func.clarion_new_id(),
        Message.account_id,
        literal(campaign_id, Uuid),
        Message.id,
        Message.attempt,
        literal(choice),
        literal(who),
    ).where(Message.account_id == current_account(), _among(Message.id, mine))
    orm.execute(insert(db.table_of(Decision)).from_select(columns, rows))
    again = choice == "resend"
    move = (
        update(Message)
        .where(
            Message.account_id == current_account(),
            _among(Message.id, mine),
            Message.state == "needs_decision",
        )
        .values(
            state="queued" if again else "failed",
            reason="" if again else "outcome_unknown",
            state_since=func.clarion_now(),
            not_before=func.clarion_now(),
            claims=0,
        )
        .execution_options(synchronize_session=False)
    )
    orm.execute(move)
    return len(mine)


def _standing(ids: Sequence[UUID]) -> Decided:
    """Say what holds for these messages: the last decision on each, whoever took it."""
    last = (
        select(Decision.message_id, Decision.choice, Decision.by)
        .distinct(Decision.message_id)
        .where(Decision.account_id == current_account(), _among(Decision.message_id, ids))
        .order_by(Decision.message_id, Decision.attempt.desc())
    )
    rows = db.session().execute(last).all()
    resend = sum(row.choice == "resend" for row in rows)
    return Decided(
        resend=resend,
        leave=len(rows) - resend,
        withdrawn=len(ids) - len(rows),
        by=tuple(sorted({row.by for row in rows})),
    )


def _among(column: Any, ids: Sequence[UUID]) -> ColumnElement[bool]:
    """Compare with a list as one array: thousands of values are one parameter."""
    return column == any_(cast(list(ids), ARRAY(Uuid)))
