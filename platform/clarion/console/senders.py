"""Numbers of all accounts: quality and how it went, limits, pace, what stops them, what waits.

Numbers are masked, and what is sent from them is counted only: by state, reason and code.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select, tuple_

from clarion.base import db, keyset
from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _
from clarion.console.service import masked
from clarion.messaging import grades, outcomes, paces
from clarion.messaging.models import (
    Attempt,
    Breaker,
    Campaign,
    Channel,
    Message,
    Sender,
)
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account, AuditEntry

SYSTEM = db.Entry("clarion_system", None, "web:console")
LATEST = 10
"""Of so many campaigns, the latest, the answers of a number are counted."""
MOST = 10_000
"""And at most so many refusals: enough to see what is wrong, and quick for everybody."""
SHOWN, LONGEST = 20, 200
REACHES = ("unreachable", "slow")
GOING = ("starting", "running", "pausing", "paused")
OPEN = ("queued", "claimed", "dispatching")


@dataclass(frozen=True, slots=True)
class Stop:
    """What is open in a number's way: what kind of thing, why, and until when."""

    kind: str
    state: str
    reason: str
    title: str
    times: int
    since: dt.datetime
    until: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """How often a number got an answer lately: by outcome, our reason, the provider's code."""

    state: str
    reason: str
    code: str
    count: int
    title: str


@dataclass(frozen=True, slots=True)
class Deed:
    """What happened to a number, by whom."""

    words: str
    by: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class One:
    """Everything about one number.

    Attributes:
        reason: why it stands still, by its stable name; empty where `why` is all there is.
        grades: what the provider said of its quality, the newest first.
        waiting: messages that wait to leave from it.
        orders: campaigns of it that are on their way.
        cut: more refusals than are counted.
    """

    id: UUID
    account_id: UUID
    account_name: str
    name: str
    masked: str
    transport: str
    quality: str
    state: str
    reason: str
    why: str
    connection: str
    connection_reason: str
    connection_why: str
    pace: paces.Pace | None
    grades: list[tuple[str, dt.datetime]]
    stops: list[Stop]
    answers: list[Answer]
    cut: bool
    waiting: int
    orders: int
    deeds: list[Deed]


def narrowed(account: str, reach: str) -> list[ColumnElement[bool]]:
    """Say which numbers a list shows: of an account, by name or id; what is out of reach."""
    found: list[ColumnElement[bool]] = []
    if account:
        found.append(_of_account(account))
    now = func.clarion_now()
    if reach == "unreachable":
        waits = and_(Sender.slow_until > now, Sender.slow_reason == "unreachable")
        found.append(or_(Sender.state_reason == "unreachable", waits))
    elif reach == "slow":
        found.append(Sender.slow_until > now)
    elif reach:
        raise Invalid("filter_unknown", _("This list cannot be filtered like that."))
    return found


def read(sender_id: UUID) -> One:
    """Read one number; as many statements however much it has sent."""
    access.require("console.senders")
    orm = db.session()
    query = (
        select(
            Sender.id, Sender.account_id, Sender.channel_id, Sender.name, Sender.number,
            Sender.quality, Sender.state, Sender.state_reason,
            Account.name.label("account_name"), Channel.transport, Channel.portfolio_id,
            Channel.state.label("connection"),
            Channel.state_reason.label("connection_reason"),
        )
        .join(Account, Account.id == Sender.account_id)
        .join(Channel, _its_channel())
        .where(Sender.id == sender_id)
    )  # fmt: skip
    row = orm.execute(query).one_or_none()
    if row is None:
        raise NotFound("sender_unknown", _("There is no such number."))
    (why, reason), (told, stopped) = map(
        outcomes.stands_for, (row.state_reason, row.connection_reason)
    )
    latest = _latest(row.account_id, sender_id)
    waiting, answers, cut = _counted(row.account_id, latest)
    return One(
        id=row.id,
        account_id=row.account_id,
        account_name=row.account_name,
        name=row.name,
        masked=masked(row.number),
        transport=row.transport,
        quality=row.quality,
        state=row.state,
        reason=reason,
        why=why,
        connection=row.connection,
        connection_reason=stopped,
        connection_why=told,
        pace=paces.of_sender(row.account_id, sender_id),
        grades=grades.history(row.account_id, sender_id),
        stops=_stops(row),
        answers=answers,
        cut=cut,
        waiting=waiting,
        orders=sum(state in GOING for _id, state in latest),
        deeds=_deeds(row.account_id, sender_id),
    )


# --- private


def _latest(account_id: UUID, sender_id: UUID) -> list[tuple[UUID, str]]:
    """Find its campaigns that are on their way, and the latest of the others."""
    going = Campaign.state.in_(GOING)
    query = (
        select(Campaign.id, Campaign.state)
        .where(Campaign.account_id == account_id, Campaign.sender_id == sender_id)
        .order_by(going.desc(), Campaign.created_at.desc())
        .limit(LATEST)
    )
    return list(db.session().execute(query).tuples())


def _counted(
    account_id: UUID, orders: Sequence[tuple[UUID, str]]
) -> tuple[int, list[Answer], bool]:
    """Count what waits, what was taken, and refusals by reason and code."""
    if not orders:
        return 0, [], False
    mine = tuple_(Message.account_id, Message.campaign_id).in_(
        [(account_id, key) for key, _state in orders]
    )
    states = select(Message.state, func.count()).where(mine).group_by(Message.state)
    present = and_(
        Attempt.account_id == Message.account_id,
        Attempt.message_id == Message.id,
        Attempt.number == Message.attempt,
    )
    failed = (
        select(Message.reason, func.coalesce(Attempt.code, "").label("code"))
        .outerjoin(Attempt, present)
        .where(mine, Message.state == "failed")
        .limit(MOST)
        .subquery()
    )
    refusals = (
        select(failed.c.reason, failed.c.code, func.count())
        .group_by(failed.c.reason, failed.c.code)
        .order_by(func.count().desc())
        .limit(SHOWN)
    )
    with db.apart(SYSTEM) as orm:
        tally = dict(orm.execute(states).tuples().all())
        refused = orm.execute(refusals).tuples().all() if tally.get("failed") else []
    waiting = sum(tally.get(one, 0) for one in OPEN)
    others = [
        Answer(state, "", "", tally[state], outcomes.explain(state).title)
        for state in ("accepted", "sent", "delivered", "read", "held", "unknown")
        if tally.get(state)
    ]
    found = [
        Answer("failed", why, code, n, outcomes.explain("failed", why, code).title)
        for why, code, n in refused
    ]
    return waiting, others + found, tally.get("failed", 0) > MOST


def _stops(row: Any) -> list[Stop]:
    """List what is open for the number, its connection or its business."""
    mine = or_(
        and_(Breaker.kind == "sender", Breaker.subject == str(row.id)),
        and_(Breaker.kind == "channel", Breaker.subject == str(row.channel_id)),
        and_(Breaker.kind == "portfolio", Breaker.subject == str(row.portfolio_id)),
        and_(
            Breaker.kind == "campaign",
            Breaker.subject.in_(
                select(cast(Campaign.id, Text)).where(
                    Campaign.account_id == row.account_id,
                    Campaign.sender_id == row.id,
                    Campaign.state.in_(GOING),
                )
            ),
        ),
        and_(Breaker.kind == "template", Breaker.subject.startswith(f"{row.channel_id}:")),
    )
    query = (
        select(Breaker)
        .where(Breaker.account_id == row.account_id, Breaker.state != "closed", mine)
        .order_by(Breaker.opened_at.desc())
        .limit(SHOWN)
    )
    return [
        Stop(
            one.kind, one.state, one.reason, outcomes.explain("paused", one.reason).title, one.times, one.opened_at,
            one.until,
        )
        for one in db.session().scalars(query)
    ]  # fmt: skip


def _deeds(account_id: UUID, sender_id: UUID) -> list[Deed]:
    query = (
        select(AuditEntry.name, AuditEntry.actor_name, AuditEntry.at)
        .where(
            AuditEntry.account_id == account_id,
            AuditEntry.row == f"sender:{sender_id}",
            AuditEntry.name.like("messaging.%"),
        )
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(SHOWN)
    )
    rows = db.session().execute(query).tuples()
    return [Deed(audit.words(name), by, at) for name, by, at in rows]


def _its_channel() -> ColumnElement[bool]:
    return and_(Channel.account_id == Sender.account_id, Channel.id == Sender.channel_id)


def _of_account(asked: str) -> ColumnElement[bool]:
    if len(asked) > LONGEST or "\0" in asked:
        raise Invalid("filter_unknown", _("This is too long to search for."))
    try:
        return Sender.account_id == UUID(asked)
    except ValueError:
        named = select(Account.id).where(keyset.inside(Account.name, asked))
        return Sender.account_id.in_(named)
