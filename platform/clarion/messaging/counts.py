"""What the ledger holds, counted: computed from rows, never incremented."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Interval, and_, exists, func, or_, select, type_coerce

from clarion.base import db
from clarion.messaging.models import Attempt, Campaign, Message, MessageEvent
from clarion.tenancy.scope import current_account


def tally(campaign_id: UUID) -> dict[str, int]:
    """Count the rows of a campaign by state."""
    query = select(Message.state, func.count()).where(_of(campaign_id))
    rows = db.session().execute(query.group_by(Message.state))
    return {state: count for state, count in rows}  # noqa: C416 -- rows are not pairs


def open_(campaign_id: UUID) -> tuple[bool, bool]:
    """Say whether any row of a campaign may still leave, and whether any is on the wire."""
    open_rows = [
        select(Message.id).where(_of(campaign_id), Message.state == state).exists()
        for state in ("queued", "claimed", "dispatching")
    ]
    waiting, claimed, calling = db.session().execute(select(*open_rows)).one()
    return waiting or claimed or calling, calling


def total(campaign_id: UUID) -> int:
    """Count all rows of a campaign."""
    rows = select(func.count()).select_from(Message).where(_of(campaign_id))
    return db.session().scalar(rows) or 0


def reasons(campaign_id: UUID, state: str) -> dict[tuple[str, str], int]:
    """Count a campaign's rows in one state by (reason, provider code), most first."""
    code = func.coalesce(Attempt.code, "")
    query = (
        select(Message.reason, code, func.count().label("n"))
        .outerjoin(Attempt, present_attempt())
        .where(_of(campaign_id), Message.state == state)
        .group_by(Message.reason, code)
        .order_by(func.count().desc())
    )
    return {(row[0], row[1]): row[2] for row in db.session().execute(query)}


def series(campaign_id: UUID, limit: int = 120) -> list[tuple[Any, int, int, int]]:
    """Count sent, delivered and failed per minute: (minute, sent, delivered, failed)."""
    minute = func.date_trunc("minute", MessageEvent.created_at)
    was, to, here = MessageEvent.from_state, MessageEvent.to_state, ("delivered", "read")
    query = (
        select(
            minute,
            func.count().filter(
                to.in_(("accepted", "held")), MessageEvent.reason != "restored"
            ),
            func.count().filter(to.in_(here), was.not_in(here)),  # some are read at once
            func.count().filter(to == "failed"),
        )
        .join(
            Message,
            and_(
                Message.account_id == MessageEvent.account_id,
                Message.id == MessageEvent.message_id,
            ),
        )
        .where(_of(campaign_id))
        .group_by(minute)
        .order_by(minute.desc())
        .limit(limit)
    )
    return [(r[0], r[1], r[2], r[3]) for r in reversed(db.session().execute(query).all())]


def next_due(campaign_id: UUID) -> dt.timedelta | None:
    """Say how long until a queued row of a campaign may leave; None when none waits."""
    wait = type_coerce(func.min(Message.not_before) - func.clarion_now(), Interval)
    query = select(wait).where(_of(campaign_id), Message.state == "queued")
    return db.session().scalar(query)


@dataclass(frozen=True, slots=True)
class PutOff:
    """How many rows wait for one reason, and when the first of them is due."""

    people: int
    until: dt.datetime | None


def put_off(campaign_id: UUID, reason: str) -> PutOff:
    """Count the queued rows of a campaign that were put off for a reason."""
    later = Message.not_before > func.clarion_now()
    query = select(func.count(), func.min(Message.not_before)).where(
        _of(campaign_id), Message.state == "queued", Message.reason == reason, later
    )
    count, until = db.session().execute(query).one()
    return PutOff(count, until)


def standing(idle: dt.timedelta) -> list[UUID]:
    """List running campaigns with due rows that no drain has looked at for a while."""
    due = exists().where(
        Message.account_id == Campaign.account_id,
        Message.campaign_id == Campaign.id,
        Message.state == "queued",
        Message.not_before <= func.clarion_now(),
    )
    query = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.state == "running",
        or_(Campaign.waits_until.is_(None), Campaign.waits_until <= func.clarion_now()),
        or_(
            Campaign.drained_at.is_(None),
            Campaign.drained_at < func.clarion_now() - idle,
        ),
        due,
    )
    return list(db.session().scalars(query))


def present_attempt() -> ColumnElement[bool]:
    """Join a message to its latest attempt."""
    return and_(
        Attempt.account_id == Message.account_id,
        Attempt.message_id == Message.id,
        Attempt.number == Message.attempt,
    )


def _of(campaign_id: UUID) -> ColumnElement[bool]:
    return and_(Message.account_id == current_account(), Message.campaign_id == campaign_id)
