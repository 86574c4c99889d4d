"""What time does to messages: doubts become questions, the undelivered and late expire.

Transitions that nobody triggers, each one statement that names the old state. Called by
the reconciler, for one account, inside its transaction. Rules: `sending.md`, section 3.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, and_, case, cast, exists, func, or_, select
from sqlalchemy import update as update_of

from clarion.base import db
from clarion.messaging.doubts import RESTORED
from clarion.messaging.models import Campaign, Message
from clarion.tenancy.scope import current_account

DOUBT = dt.timedelta(hours=72)
DOUBT_CODES = dt.timedelta(minutes=15)
AGAIN_AFTER = dt.timedelta(seconds=60)
AGAIN_TIMES = 2
BUFFER = dt.timedelta(hours=1)
LIFE = {"auth": 600, "utility": 30 * 86_400, "marketing": 30 * 86_400}
"""Seconds the provider keeps trying (Meta, May 2026); a template may have a life of its own."""
OPEN = (
    "queued", "claimed", "dispatching", "accepted", "sent", "unknown", "held",
    "needs_decision",
)  # fmt: skip
RESUMABLE = ("running", "pausing", "paused", "finished")


def ask_people() -> int:
    """Turn what stayed in doubt into a question for a person; return how many.

    After 72 hours, for one-time codes after 15 minutes. What the provider holds for its
    quality check and never mentions again is such a doubt too.
    """
    return len(_move(_doubtful(), "needs_decision"))


def send_again() -> list[UUID]:
    """Queue unknown messages once more where the account chose `at_least_once`.

    At the earliest 60 s after, at most twice, before their time is over. Returns the
    orders that have work again; marketing is never among them (a check sees to it).
    """
    twice = exists().where(
        Campaign.account_id == Message.account_id,
        Campaign.id == Message.campaign_id,
        Campaign.delivery_mode == "at_least_once",
        Campaign.state.in_(RESUMABLE),
    )
    due = and_(
        Message.state == "unknown",
        Message.reason != RESTORED,
        Message.state_since <= func.clarion_now() - AGAIN_AFTER,
        Message.attempt <= AGAIN_TIMES,
        or_(Message.expires_at.is_(None), Message.expires_at > func.clarion_now()),
        twice,
    )
    return _move(due, "queued", reason="", not_before=func.clarion_now())


def expire_waiting() -> list[UUID]:
    """Expire what was not sent by its campaign's end; return the orders it happened in."""
    over = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.finish_by <= func.clarion_now(),
        Campaign.state.in_(("running", "pausing", "paused")),
    )
    late = and_(
        Message.state == "queued",
        Message.campaign_id.in_(over),
        Message.expires_at <= func.clarion_now(),
    )
    return _move(late, "expired", reason="not_started")


def close_books() -> int:
    """Expire what was not delivered in its life plus an hour; close orders that are done.

    Orders are looked at only when the life of their first message is over, and never
    again once nothing in them can change. Returns how many messages expired.
    """
    expired = 0
    old = select(Campaign).where(Campaign.account_id == current_account(), outlived())
    for order in db.session().scalars(old.limit(50)):
        life = dt.timedelta(seconds=_life_of(order)) + BUFFER
        undelivered = and_(
            Message.campaign_id == order.id,
            Message.state.in_(("accepted", "sent")),
            Message.state_since <= func.clarion_now() - life,
        )
        expired += len(_move(undelivered, "expired", reason="undelivered"))
        rest = exists().where(
            Message.account_id == current_account(),
            Message.campaign_id == order.id,
            Message.state.in_(OPEN),
        )
        over = order.state in ("finished", "cancelled")
        if over and not db.session().scalar(select(rest)):
            order.closed_at = func.clarion_now()
    db.session().flush()
    return expired


def doubtful_anywhere() -> ColumnElement[bool]:
    """Say which messages may need the reconciler, over all accounts; a cheap first look."""
    since = func.clarion_now() - Message.state_since
    return and_(
        Message.state.in_(("unknown", "held")),
        or_(
            since >= DOUBT,
            and_(Message.purpose != "marketing", since >= AGAIN_AFTER),
        ),
    )


def outlived() -> ColumnElement[bool]:
    """Say which orders began longer ago than a message of theirs lives."""
    own = cast(Campaign.template["ttl_seconds"].astext, Integer)
    usual = case(
        *((Campaign.purpose == purpose, life) for purpose, life in LIFE.items()),
        else_=LIFE["marketing"],
    )
    life = func.make_interval(0, 0, 0, 0, 0, 0, func.coalesce(own, usual))
    return and_(
        Campaign.closed_at.is_(None),
        Campaign.started_at <= func.clarion_now() - life - BUFFER,
    )


def _life_of(order: Campaign) -> int:
    own = order.template.get("ttl_seconds")
    return int(own) if own else LIFE.get(order.purpose, LIFE["marketing"])


def _doubtful() -> ColumnElement[bool]:
    patience = case((Message.purpose == "auth", DOUBT_CODES), else_=DOUBT)
    return and_(
        Message.state_since <= func.clarion_now() - patience,
        or_(
            Message.state == "unknown",
            and_(Message.state == "held", Message.reason.in_(("", "provider_quality"))),
        ),
    )


def _move(which: ColumnElement[bool], state: str, **values: Any) -> list[UUID]:
    """Move the messages a condition names; return the order of each, one by one."""
    query = (
        update_of(Message)
        .where(Message.account_id == current_account(), which)
        .values(
            state=state,
            state_since=func.clarion_now(),
            token=None,
            lease_until=None,
            **values,
        )
        .returning(Message.campaign_id)
        .execution_options(synchronize_session=False)
    )
    return [row for row in db.session().scalars(query) if row is not None]
