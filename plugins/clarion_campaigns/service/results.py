"""What became of a campaign: progress, reasons, people, and who did what when."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import db
from clarion.messaging import (
    breakers,
    channels,
    holds,
    launches,
    orders,
    outcomes,
    restored,
)
from clarion.messaging.ledger import OPEN
from clarion.messaging.models import Campaign, Message, Suppression
from clarion.tenancy import access, audit
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import current_account
from clarion_campaigns.models import Draft
from clarion_campaigns.service.doubts import Doubts, doubts
from clarion_campaigns.service.drafts import DraftView, get, view
from clarion_campaigns.service.following import REASON, Proposal, proposal
from clarion_campaigns.service.review import LeftOut, left_out

PAGE = 50
SENT = ("accepted", "sent", "delivered", "read", "held")
GOT = ("delivered", "read")


@dataclass(frozen=True, slots=True)
class Line:
    """A campaign in the list: its state and how far it is."""

    draft: DraftView
    state: str
    audience: int
    sent: int
    delivered: int
    read: int
    failed: int
    waiting: int

    @property
    def percent(self) -> int:
        """Share of the audience that was handled, rounded down."""
        done = self.audience - self.waiting
        return 100 * done // self.audience if self.audience else 0


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the activity: what happened, who did it, when."""

    name: str
    words: str
    who: str
    at: dt.datetime
    people: int | None


@dataclass(frozen=True, slots=True)
class Minute:
    """What happened in one minute."""

    at: dt.datetime
    sent: int
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a campaign, and what became of their message, in words."""

    message_id: UUID
    contact_id: UUID
    address: str
    state: str
    reason: str
    code: str
    since: dt.datetime
    title: str
    why: str
    todo: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Something that stands in a campaign's way, in words, and when it ends if that is known."""

    kind: str
    words: outcomes.Words
    since: dt.datetime
    until: dt.datetime | None
    trying: bool


@dataclass(frozen=True, slots=True)
class Results:
    """Everything the page of a launched campaign shows."""

    draft: DraftView
    state: str
    reason: outcomes.Words | None
    progress: orders.Progress | None
    failures: list[orders.Failure]
    left_out: list[LeftOut]
    minutes: list[Minute]
    opt_outs: int
    sender: channels.SenderView | None
    rate_per_s: float
    seconds_left: int | None
    doubts: Doubts | None = None
    restore: restored.Doubt | None = None
    stops: tuple[Stopped, ...] = ()
    wave: launches.Wave | None = None
    follow_up: Proposal | None = None
    waiting: orders.Waiting | None = None
    held: holds.CampaignHold | None = None

    @property
    def percent(self) -> int:
        """Share of the audience that was handled, rounded down."""
        p = self.progress
        if p is None or not p.audience:
            return 100 if self.state in ("finished", "cancelled") else 0
        return 100 * (p.audience - p.waiting) // p.audience

    @property
    def done(self) -> bool:
        """Whether the page need not ask again."""
        if self.progress is None:
            return self.state in ("draft", "cancelled")
        return self.progress.done

    @property
    def retryable(self) -> int:
        """How many of the failed could get a later campaign."""
        return sum(f.count for f in self.failures if f.retry)


def listing(*, after: UUID | None = None, limit: int = PAGE) -> list[Line]:
    """List campaigns, newest first, with their progress; two queries for any number."""
    access.require("campaigns.view")
    query = (
        select(Draft, Campaign.state)
        .outerjoin(
            Campaign,
            (Campaign.account_id == Draft.account_id) & (Campaign.id == Draft.campaign_id),
        )
        .where(Draft.account_id == current_account())
        .order_by(Draft.id.desc())
        .limit(limit)
    )
    if after:
        query = query.where(Draft.id < after)
    rows = db.session().execute(query).all()
    counts = _counts([row.campaign_id for row, _state in rows if row.campaign_id])
    return [_line(view(row), state, counts.get(row.campaign_id, {})) for row, state in rows]


def results(draft_id: UUID) -> Results:
    """Say how far a campaign is and what became of its messages."""
    draft = get(draft_id)
    sender = next((s for s in channels.senders() if s.id == draft.sender_id), None)
    if draft.campaign_id is None:
        return Results(draft, draft.state, None, None, [], [], [], 0, sender, 0.0, None)
    order_id = draft.campaign_id
    progress = orders.progress(order_id)
    minutes = [Minute(*row) for row in orders.series(order_id)]
    rate = _rate(progress, minutes)
    stopped = progress.state in ("paused", "pausing") and progress.state_reason
    failures = orders.failures(order_id) if progress.failed else []
    limited = any(one.reason == REASON for one in failures)
    wave = launches.wave(order_id)
    return Results(
        draft=draft,
        state=progress.state,
        reason=outcomes.explain("paused", progress.state_reason) if stopped else None,
        progress=progress,
        failures=failures,
        follow_up=proposal(draft) if limited else None,
        left_out=left_out(orders.left_out(order_id)) if progress.suppressed else [],
        minutes=minutes,
        opt_outs=_opt_outs(order_id, progress),
        sender=sender,
        rate_per_s=rate,
        waiting=orders.waiting(order_id),
        held=holds.of_order(order_id) if stopped == holds.BY_STAFF else None,
        seconds_left=None if wave or not rate else round(progress.waiting / rate),
        wave=wave,
        stops=_stops(order_id) if progress.waiting else (),
        restore=restored.doubt(order_id) if _may_be_restored(progress) else None,
        doubts=doubts(order_id) if progress.unknown or progress.needs_decision else None,
    )


def _may_be_restored(progress: orders.Progress) -> bool:
    return bool(progress.held or progress.unknown or progress.needs_decision)


def people(
    draft_id: UUID,
    *,
    state: str = "",
    reason: str = "",
    after: UUID | None = None,
    limit: int = PAGE,
) -> list[Person]:
    """List the people of a campaign by key, filtered by state and reason."""
    draft = get(draft_id)
    if draft.campaign_id is None:
        return []
    rows = orders.people(
        draft.campaign_id,
        state=state or None,
        reason=reason or None,
        after=after,
        limit=limit,
    )
    return [_person(row) for row in rows]


def reasons(draft_id: UUID, state: str = "") -> list[tuple[str, str, int]]:
    """List the reasons there are in a campaign, for a filter: (reason, title, people)."""
    draft = get(draft_id)
    if draft.campaign_id is None:
        return []
    query = (
        select(Message.state, Message.reason, func.count())
        .where(
            Message.account_id == current_account(),
            Message.campaign_id == draft.campaign_id,
            Message.reason != "",
        )
        .group_by(Message.state, Message.reason)
    )
    if state:
        query = query.where(Message.state == state)
    found: dict[str, tuple[str, int]] = {}
    for of, reason, count in db.session().execute(query):
        title, before = found.get(reason, (outcomes.explain(of, reason).title, 0))
        found[reason] = (title, before + count)
    rows = [(reason, title, count) for reason, (title, count) in found.items()]
    return sorted(rows, key=lambda row: (-row[2], row[1]))


def activity(draft: DraftView, limit: int = 20) -> list[Deed]:
    """List who did what with a campaign, newest first."""
    keys = [f"campaigns_draft:{draft.id}", f"campaign:{draft.campaign_id}"]
    query = (
        select(AuditEntry)
        .where(AuditEntry.account_id == current_account(), AuditEntry.row.in_(keys))
        .where(AuditEntry.name.not_like("row.%"))
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(limit)
    )
    return [_deed(entry) for entry in db.session().scalars(query)]


# --- private


def _stops(order_id: UUID) -> tuple[Stopped, ...]:
    return tuple(
        Stopped(
            kind=stop.kind,
            words=outcomes.explain("paused", stop.reason),
            since=stop.opened_at,
            until=stop.until,
            trying=stop.state == "half_open",
        )
        for stop in breakers.of_order(order_id)
    )


def _counts(order_ids: list[UUID]) -> dict[UUID, dict[str, int]]:
    if not order_ids:
        return {}
    query = (
        select(Message.campaign_id, Message.state, func.count())
        .where(Message.account_id == current_account(), Message.campaign_id.in_(order_ids))
        .group_by(Message.campaign_id, Message.state)
    )
    found: dict[UUID, dict[str, int]] = {}
    for order_id, state, count in db.session().execute(query):
        if order_id is not None:
            found.setdefault(order_id, {})[state] = count
    return found


def _line(draft: DraftView, order_state: str | None, n: dict[str, int]) -> Line:
    def of(states: Iterable[str]) -> int:
        return sum(n.get(state, 0) for state in states)

    return Line(
        draft=draft,
        state=order_state or draft.state,
        audience=sum(n.values()) - n.get("suppressed", 0),
        sent=of(SENT),
        delivered=of(GOT),
        read=n.get("read", 0),
        failed=n.get("failed", 0),
        waiting=of(OPEN),
    )


def _person(row: orders.PersonRow) -> Person:
    said = outcomes.explain(row.state, row.reason, row.code)
    return Person(
        message_id=row.message_id,
        contact_id=row.contact_id,
        address=row.address,
        state=row.state,
        reason=row.reason,
        code=row.code,
        since=row.since,
        title=said.title,
        why=said.why,
        todo=said.todo,
    )


def _deed(entry: AuditEntry) -> Deed:
    changes: dict[str, Any] = entry.changes
    # "Sending began" counts everybody, those left out too: the launch says it better
    counted = {} if entry.name == "messaging.campaign.started" else changes
    people = counted.get("people") or counted.get("not_messaged")
    return Deed(
        name=entry.name,
        words=audit.words(entry.name),
        who=entry.actor_name if entry.actor.startswith("person") else "",
        at=entry.at,
        people=people[1] if people else None,
    )


def _rate(progress: orders.Progress, minutes: list[Minute]) -> float:
    """Messages per second lately: of the last two minutes in which something left."""
    if progress.state != "running" or progress.started_at is None or not minutes:
        return 0.0
    recent = minutes[-2:]
    began = max(recent[0].at, progress.started_at)
    now = db.session().scalar(select(func.clarion_now()))
    seconds = max((now - began).total_seconds(), 1.0) if now else 1.0
    return sum(m.sent + m.failed for m in recent) / seconds


def _opt_outs(order_id: UUID, progress: orders.Progress) -> int:
    """Count people of this campaign who asked for silence since it started."""
    if progress.started_at is None:
        return 0
    asked = select(Suppression.contact_id).where(
        Suppression.account_id == current_account(),
        Suppression.created_at >= progress.started_at,
    )
    query = select(func.count()).where(
        Message.account_id == current_account(),
        Message.campaign_id == order_id,
        Message.state.in_(SENT),
        Message.contact_id.in_(asked),
    )
    return int(db.session().scalar(query) or 0)
