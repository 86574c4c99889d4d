"""How the machine is: what runs, waits, failed. Counts and names, never content.

What belongs to no account, and what only the system may count, is read as
`clarion_system`: numbers by account and state, no text and no address.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from clarion.base import broker, clock, db
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.messaging import outcomes
from clarion.messaging.models import (
    Breaker,
    Campaign,
    Message,
    Orphan,
    ProviderCode,
    Sender,
)
from clarion.misuse import cases
from clarion.plugging.manager import Found, plugins
from clarion.support import grants, history
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account
from clarion.work import jobs, outbox, schedule
from clarion.work.models import DeadJob, ScheduleSlot, WebhookInbox

audit.label("console.code.settled", "Took a provider's code off the list")

SYSTEM = db.Entry("clarion_system", None, "web:console")
RUNNING = ("starting", "running", "pausing", "paused")
SHOWN = 20
DEAD_SHOWN = 50
WAITING = ("queued", "claimed", "dispatching")


@dataclass(frozen=True, slots=True)
class RunningView:
    """A campaign on its way: how far, not what or to whom.

    Counted as its own page in the portal counts: of the audience, which is everybody but
    those left out, so many are handled.
    """

    id: UUID
    account_id: UUID
    account_name: str
    name: str
    state: str
    why: str
    reason: str
    started_at: dt.datetime | None
    audience: int
    handled: int
    failed: int


@dataclass(frozen=True, slots=True)
class Lanes:
    """What waits to be done, and since when."""

    lanes: dict[str, int]
    broker: bool
    waiting: int
    oldest: dt.datetime | None
    dead: int


@dataclass(frozen=True, slots=True)
class Today:
    """What somebody on duty looks at first."""

    accounts: dict[str, int]
    new_accounts: int
    running: list[RunningView]
    more_running: int
    lanes: Lanes
    troubled: list[Found]
    broken_senders: int
    waiting_events: int
    strange_codes: int
    cases: int
    questions: int
    emergencies: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A periodic job and when it ran last."""

    name: str
    cron: str
    last: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Inbox:
    """What providers told one account and nobody has applied yet."""

    account_id: UUID
    account_name: str
    waiting: int
    oldest: dt.datetime | None
    day: int


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a provider that our table of answers has no word for."""

    transport: str
    code: str
    times: int
    first_at: dt.datetime
    last_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a breaker has stopped in an account: what kind of thing, and why."""

    account_id: UUID
    account_name: str
    kind: str
    reason: str
    title: str
    state: str
    since: dt.datetime
    until: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What providers tell us: today by kind, and what waits."""

    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    inboxes: list[Inbox] = field(default_factory=list)
    orphans: int = 0
    codes: list["Code"] = field(default_factory=list)
    stops: list["Stopped"] = field(default_factory=list)


# --- today


def today() -> Today:
    """Read today's page: as many statements for a hundred accounts as for one."""
    access.require("console.overview")
    orm = db.session()
    young = Account.created_at > clock.now() - dt.timedelta(days=7)
    accounts = orm.execute(
        select(Account.state, func.count(), func.count().filter(young)).group_by(
            Account.state
        )
    ).all()
    questions, emergencies = orm.execute(
        select(
            history.unanswered().scalar_subquery(), grants.unapproved().scalar_subquery()
        )
    ).one()
    sick = orm.scalar(
        select(func.count()).select_from(Sender).where(Sender.state != "active")
    )
    running, more = _running()
    return Today(
        accounts={state: count for state, count, _new in accounts},
        new_accounts=sum(new for _state, _count, new in accounts),
        running=running,
        more_running=more,
        lanes=lanes(),
        troubled=[one for one in plugins().found.values() if one.state == "failed"],
        broken_senders=sick or 0,
        waiting_events=_waiting_events(),
        strange_codes=len(_codes()),
        cases=cases.waiting(),
        questions=questions,
        emergencies=emergencies,
    )


def _running() -> tuple[list[RunningView], int]:
    orm = db.session()
    busy = and_(Campaign.state.in_(RUNNING), Campaign.purpose != "service")
    query = (
        select(
            Campaign.id,
            Campaign.account_id,
            Account.name,
            Campaign.name,
            Campaign.state,
            Campaign.state_reason,
            Campaign.started_at,
        )
        .join(Account, Account.id == Campaign.account_id)
        .where(busy)
        .order_by(Campaign.created_at.desc())
        .limit(SHOWN)
    )
    rows = orm.execute(query).all()
    all_of_them = orm.scalar(select(func.count()).select_from(Campaign).where(busy)) or 0
    tally = _tally([row[0] for row in rows])
    out = []
    for campaign_id, account_id, account, name, state, why, started_at in rows:
        states = tally.get(campaign_id, {})
        audience = sum(states.values()) - states.get("suppressed", 0)
        view = RunningView(
            id=campaign_id,
            account_id=account_id,
            account_name=account,
            name=name,
            state=state,
            why=outcomes.stands_for(why)[0],
            reason=why,
            started_at=started_at,
            audience=audience,
            handled=audience - sum(states.get(s, 0) for s in WAITING),
            failed=states.get("failed", 0),
        )
        out.append(view)
    return out, all_of_them - len(out)


def _tally(campaign_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Count messages by campaign and state; the system may read these columns only."""
    if not campaign_ids:
        return {}
    query = (
        select(Message.campaign_id, Message.state, func.count())
        .where(Message.campaign_id.in_(campaign_ids))
        .group_by(Message.campaign_id, Message.state)
    )
    found: dict[UUID, dict[str, int]] = {}
    with db.apart(SYSTEM) as orm:
        for campaign_id, state, count in orm.execute(query):
            if campaign_id is not None:
                found.setdefault(campaign_id, {})[state] = count
    return found


# --- queues


def lanes() -> Lanes:
    """Say what waits in the broker and the outbox; with the broker gone, say that."""
    there = broker.reachable()
    waiting, oldest = outbox.waiting()
    day = clock.now() - dt.timedelta(days=1)
    dead = db.session().scalar(
        select(func.count())
        .select_from(DeadJob)
        .where(DeadJob.at > day, DeadJob.retried_at.is_(None))
    )
    return Lanes(jobs.lengths() if there else {}, there, waiting, oldest, dead or 0)


def slots() -> list[Slot]:
    """List what runs by the clock, and when each ran last."""
    access.require("console.queues")
    latest = select(ScheduleSlot.name, func.max(ScheduleSlot.slot)).group_by(
        ScheduleSlot.name
    )
    with db.apart(SYSTEM) as orm:
        ran = dict(orm.execute(latest).tuples().all())
    found = [Slot(one.name, one.cron, ran.get(one.name)) for one in schedule.entries()]
    known = {one.name for one in found}
    found += [Slot(name, "", at) for name, at in ran.items() if name not in known]
    return sorted(found, key=lambda one: one.name)


# --- webhooks


def webhooks() -> Webhooks:
    """Count what providers told us: since yesterday by kind, and what waits by account."""
    access.require("console.webhooks")
    m, day = WebhookInbox, clock.now() - dt.timedelta(days=1)
    every = func.coalesce(func.sum(m.events), 0)
    todo = func.coalesce(func.sum(m.events).filter(m.applied_at.is_(None)), 0)
    kinds = select(m.kind, every, todo).where(m.created_at > day).group_by(m.kind)
    waiting = (
        select(
            m.account_id,
            todo,
            func.min(m.created_at).filter(m.applied_at.is_(None)),
            func.coalesce(func.sum(m.events).filter(m.created_at > day), 0),
        )
        .where(m.created_at > day - dt.timedelta(days=6))
        .group_by(m.account_id)
        .order_by(todo.desc(), every.desc())
        .limit(DEAD_SHOWN)
    )
    with db.apart(SYSTEM) as orm:
        by_kind = {kind: (count, left) for kind, count, left in orm.execute(kinds)}
        rows = orm.execute(waiting).all()
    names = account_names([row[0] for row in rows])
    return Webhooks(
        by_kind,
        [Inbox(row[0], names.get(row[0], ""), *row[1:]) for row in rows],
        db.session().scalar(select(func.count()).select_from(Orphan)) or 0,
        _codes(),
        _stops(),
    )


def settle_code(transport: str, code: str) -> None:
    """Take a code off the list: the table of answers knows it now, or nobody needs to.

    It comes back when it is met again.
    """
    access.require("console.webhooks")
    row = db.session().scalar(
        select(ProviderCode)
        .where(ProviderCode.transport == transport, ProviderCode.code == code)
        .with_for_update()
    )
    if row is None:
        raise NotFound("code_unknown", _("There is no such code."))
    row.settled_at = func.clarion_now()
    audit.record("console.code.settled", None, transport=transport, code=code)


def _codes() -> list[Code]:
    p = ProviderCode
    query = (
        select(p.transport, p.code, p.times, p.first_at, p.last_at)
        .where(or_(p.settled_at.is_(None), p.settled_at < p.last_at))
        .order_by(p.last_at.desc())
        .limit(DEAD_SHOWN)
    )
    return [Code(*row) for row in db.session().execute(query)]


def _stops() -> list[Stopped]:
    query = (
        select(Breaker)
        .where(Breaker.state != "closed")
        .order_by(Breaker.opened_at.desc())
        .limit(DEAD_SHOWN)
    )
    rows = db.session().scalars(query).all()
    names = account_names([row.account_id for row in rows])
    return [
        Stopped(
            account_id=row.account_id,
            account_name=names.get(row.account_id, ""),
            kind=row.kind,
            reason=row.reason,
            title=outcomes.explain("paused", row.reason).title,
            state=row.state,
            since=row.opened_at,
            until=row.until,
        )
        for row in rows
    ]


def stopped() -> int:
    """Count what breakers have stopped, in all accounts."""
    query = select(func.count()).select_from(Breaker).where(Breaker.state != "closed")
    return db.session().scalar(query) or 0


def strange_codes() -> int:
    """Count the codes of providers that have no word, up to as many as are shown."""
    return len(_codes())


def _waiting_events() -> int:
    events = select(func.coalesce(func.sum(WebhookInbox.events), 0))
    query = events.where(WebhookInbox.applied_at.is_(None))
    with db.apart(SYSTEM) as orm:
        return orm.scalar(query) or 0


# --- names for lists


def account_names(account_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Name many accounts, in one statement."""
    if not account_ids:
        return {}
    query = select(Account.id, Account.name).where(Account.id.in_(set(account_ids)))
    return dict(db.session().execute(query).tuples().all())
