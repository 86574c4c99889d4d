"""Lanes as staff run them: what waits, who works, what failed; pause, drain, retry.

The database says what is stopped (`work/stops.py`), workers obey within seconds. Nothing
that waits is lost, and what is begun is finished.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from clarion.base import broker, clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.console import machine
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_actor
from clarion.work import jobs, masking, presence, stops, webhooks
from clarion.work.models import DeadJob, LaneStop, Outbox, WebhookInbox

LONGEST: Final = 300
AT_ONCE: Final = 1_000
"""So many given-up jobs are retried by one click; more would be a flood."""
PAGE: Final = 50
ROWS: Final = ("inbound", "status")
"""Lanes of webhooks: rows are their queue, so there is nothing to drain."""
RETRY: Final = jobs.retry.path

audit.label("console.lane.paused", "Paused a lane")
audit.label("console.lane.drained", "Let a lane run empty")
audit.label("console.lane.resumed", "Let a lane go on")
audit.label("console.job.retried", "Ran a given-up job again")


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane: how much waits and since when, how fast it goes, what failed.

    Attributes:
        name: of `stops.LANES`.
        waiting: how much is due: jobs, or events of webhooks.
        ahead: of these, what is in the broker already.
        later: what is due at a later time only.
        oldest: since when the oldest waits.
        rate: done a minute, lately; None while nobody can say.
        failed: given up and not tried again since.
        workers: how many work on it.
        stop: who stopped it, if somebody did.
        obeyed: whether every worker knows of the stop.
    """

    name: str
    waiting: int
    ahead: int
    later: int
    oldest: dt.datetime | None
    rate: float | None
    failed: int
    workers: int
    stop: LaneStop | None
    obeyed: bool

    @property
    def pausable(self) -> bool:
        """Whether staff may pause it: a STOP waits for nobody."""
        return self.name != stops.NEVER

    @property
    def drainable(self) -> bool:
        """Whether it can be worked off."""
        return self.name not in ROWS


@dataclass(frozen=True, slots=True)
class Lanes:
    """Every lane, the workers there are, and names for the accounts they work for."""

    lanes: list[Lane]
    workers: list[presence.Seen]
    broker: bool
    accounts: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """Given-up jobs of one kind."""

    job: str
    count: int
    last: dt.datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A job in a list: where to find it, what it is, whose."""

    key: str
    job: str
    queue: str
    account_id: UUID | None
    account_name: str
    at: dt.datetime | None
    tries: int
    error: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """One job as staff may see it: everything but what it is about."""

    line: Line
    state: str
    trace: str
    actor: str
    payload: Any
    retried_by: str = ""
    retried_at: dt.datetime | None = None
    retriable: bool = False


# --- what there is


def look() -> Lanes:
    """Read every lane: as many statements for a thousand jobs as for one."""
    access.require("console.queues")
    there = broker.reachable()
    rung = jobs.bells() if there else {}
    rates = presence.rates() if there else {}
    workers = presence.living() if there else []
    stopped = {row.lane: row for row in db.session().scalars(select(LaneStop))}
    due, rows, failed = _due(), _unapplied(), _failed()
    lanes = []
    for name, queues in stops.LANES.items():
        kept = [due[q] for q in queues if q in due]
        bells = [rung[q] for q in queues if q in rung]
        event = rows.get(name)
        ages = [one[2] for one in kept] + [one.oldest for one in bells]
        ages += [event[1]] if event else []
        stop = stopped.get(name)
        lanes.append(
            Lane(
                name=name,
                waiting=sum(k[0] for k in kept)
                + sum(b.count for b in bells)
                + (event[0] if event else 0),
                ahead=sum(b.count for b in bells),
                later=sum(k[1] for k in kept),
                oldest=min((age for age in ages if age), default=None),
                rate=rates.get(name, 0.0) if there else None,
                failed=sum(failed.get(q, 0) for q in queues) + (event[2] if event else 0),
                workers=0 if stop and stop.state == "paused" else len(workers),
                stop=stop,
                obeyed=all((name in w.stopped) == bool(stop) for w in workers),
            )
        )
    busy = [deed.account_id for one in workers for deed in one.deeds if deed.account_id]
    return Lanes(lanes, workers, there, machine.account_names(busy))


def _due() -> dict[str, tuple[int, int, dt.datetime | None]]:
    """Count the outbox by queue: what is due, what is not yet, since when the first is."""
    now = Outbox.not_before <= func.clarion_now()
    query = select(
        Outbox.queue,
        func.count().filter(now),
        func.count().filter(~now),
        func.min(Outbox.not_before).filter(now),
    ).group_by(Outbox.queue)
    with db.apart(stops.SYSTEM) as orm:
        return {queue: (a, b, c) for queue, a, b, c in orm.execute(query)}


def _unapplied() -> dict[str, tuple[int, dt.datetime | None, int]]:
    """Count the webhooks' events by lane: waiting, since when, given up."""
    m = WebhookInbox
    open_, tried = m.tries < webhooks.TRIES, m.tries >= webhooks.TRIES
    every = func.coalesce(func.sum(m.events).filter(open_), 0)
    query = (
        select(
            m.kind, every, func.min(m.created_at).filter(open_), func.count().filter(tried)
        )
        .where(m.applied_at.is_(None))
        .group_by(m.kind)
    )
    found: dict[str, tuple[int, dt.datetime | None, int]] = {}
    with db.apart(stops.SYSTEM) as orm:
        rows = orm.execute(query).all()
    for lane, kinds in webhooks.LANES.items():
        mine = [row for row in rows if row[0] in kinds]
        ages = [row[2] for row in mine if row[2]]
        found[lane] = (
            sum(r[1] for r in mine),
            min(ages, default=None),
            sum(r[3] for r in mine),
        )
    return found


def _failed() -> dict[str, int]:
    query = (
        select(DeadJob.queue, func.count())
        .where(DeadJob.retried_at.is_(None))
        .group_by(DeadJob.queue)
    )
    return dict(db.session().execute(query).tuples().all())


def kinds() -> list[Kind]:
    """List the kinds of given-up jobs that nobody has tried again, the most frequent first."""
    access.require("console.queues")
    count = func.count()
    query = (
        select(DeadJob.job, count, func.max(DeadJob.at))
        .where(DeadJob.retried_at.is_(None))
        .group_by(DeadJob.job)
        .order_by(count.desc(), DeadJob.job)
        .limit(PAGE)
    )
    return [Kind(*row) for row in db.session().execute(query)]


def dead(after: UUID | None = None, job: str = "") -> tuple[list[Line], UUID | None]:
    """List given-up jobs by key, the latest first; and the key of the next page."""
    access.require("console.queues")
    m = DeadJob
    query = select(m).order_by(m.at.desc(), m.id.desc()).limit(PAGE + 1)
    if job:
        query = query.where(m.job == job)
    if after:
        place = select(m.at).where(m.id == after).scalar_subquery()
        query = query.where((m.at < place) | and_(m.at == place, m.id < after))
    rows = db.session().scalars(query).all()
    names = machine.account_names([row.account_id for row in rows if row.account_id])
    lines = [_dead(row, names) for row in rows[:PAGE]]
    return lines, rows[PAGE - 1].id if len(rows) > PAGE else None


def _dead(row: DeadJob, names: Mapping[UUID, str]) -> Line:
    name = names.get(row.account_id, "") if row.account_id else ""
    done = row.retried_at is not None
    return Line(
        str(row.id), row.job, row.queue, row.account_id, name, row.at, row.tries,
        row.error, done,
    )  # fmt: skip


def waiting(lane: str, after: int = 0) -> tuple[list[Line], int | None]:
    """List what waits in a lane: what is in the broker first, then the outbox by key.

    The broker's part, of which the first fifty are shown, comes with the first page only.
    """
    access.require("console.queues")
    queues = _queues(lane)
    found = list[jobs.Rung]()
    if not after and broker.reachable():
        found = [one for queue in queues for one in jobs.listed(queue, PAGE)]
    query = (
        select(Outbox.seq, Outbox.queue, Outbox.job, Outbox.payload, Outbox.not_before)
        .where(Outbox.queue.in_(queues), Outbox.seq > after)
        .order_by(Outbox.seq)
        .limit(PAGE + 1)
    )
    with db.apart(stops.SYSTEM) as orm:
        rows = orm.execute(query).all()
    found += [jobs.Rung(str(row.seq), *row[1:]) for row in rows[:PAGE]]
    names = machine.account_names([a for one in found if (a := _owner(one))])
    return [_line(one, names) for one in found], rows[PAGE - 1].seq if len(
        rows
    ) > PAGE else None


def _line(one: jobs.Rung, names: Mapping[UUID, str]) -> Line:
    owner, path, tries = _owner(one), one.path, 0
    if path == RETRY:
        args = one.payload["args"]
        path, tries = str(args["path"]), int(args["attempt"]) - 1
    return Line(
        key=one.id,
        job=path,
        queue=one.queue,
        account_id=owner,
        account_name=names.get(owner, "") if owner else "",
        at=one.at,
        tries=tries,
        error=str(one.payload.get("error", "")),
    )


def _owner(one: jobs.Rung) -> UUID | None:
    return masking.account_of(_inner(one))


def _inner(one: jobs.Rung) -> Mapping[str, Any]:
    """Unwrap a retry: what it will run, and as whom."""
    wrapped = one.path == RETRY
    found: Mapping[str, Any] = one.payload["args"]["payload"] if wrapped else one.payload
    return found


# --- one job


def job(dead_id: UUID) -> View:
    """Show a given-up job."""
    access.require("console.queues")
    row = db.session().get(DeadJob, dead_id)
    if row is None:
        raise _unknown()
    names = machine.account_names([row.account_id] if row.account_id else [])
    state = "again" if row.retried_at else "failed"
    kept = row.payload or {}
    return View(
        _dead(row, names), state, row.trace, _who(kept), _args(kept), row.retried_by,
        row.retried_at, retriable=row.retried_at is None and row.payload is not None,
    )  # fmt: skip


def waiting_job(key: str) -> View:
    """Show a job that waits: in the outbox by its number, in the broker by its id."""
    access.require("console.queues")
    one, state = _in_outbox(int(key)) if _is_number(key) else (_in_broker(key), "rung")
    if one is None:
        raise _unknown()
    owner, inner = _owner(one), _inner(one)
    line = _line(one, machine.account_names([owner] if owner else []))
    return View(line, state, str(one.payload.get("trace", "")), _who(inner), _args(inner))


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < 19


def _in_outbox(seq: int) -> tuple[jobs.Rung | None, str]:
    later = (Outbox.not_before > func.clarion_now()).label("later")
    query = select(Outbox.queue, Outbox.job, Outbox.payload, Outbox.not_before, later)
    with db.apart(stops.SYSTEM) as orm:
        row = orm.execute(query.where(Outbox.seq == seq)).first()
    if row is None:
        return None, ""
    return jobs.Rung(str(seq), *row[:4]), "planned" if row.later else "waiting"


def _in_broker(key: str) -> jobs.Rung | None:
    return jobs.found(key) if broker.reachable() else None


def _who(payload: Mapping[str, Any]) -> str:
    """Name who caused a job by kind and id."""
    return str((payload.get("actor") or {}).get("id", ""))


def _args(payload: Mapping[str, Any]) -> Any:  # Any: what JSON can hold
    return masking.payload(payload.get("args") or {}, ours=True)


def _unknown() -> NotFound:
    return NotFound("job_unknown", _("There is no such job: it has run, or was forgotten."))


# --- stopping and going on


def pause(lane: str, reason: str) -> None:
    """Let workers take nothing more from a lane; what is begun is finished."""
    _stop(lane, "paused", reason)
    audit.record("console.lane.paused", lane=lane, reason=_reason(reason))


def drain(lane: str, reason: str) -> None:
    """Let nothing new into a lane and work off what is in it; then it stands still."""
    if lane in ROWS:
        said = _("Webhooks wait as rows: there is nothing to drain. Pause it instead.")
        raise Conflict("lane_not_drainable", said)
    _stop(lane, "draining", reason)
    audit.record("console.lane.drained", lane=lane, reason=_reason(reason))


def resume(lane: str) -> None:
    """Let a lane go on with everything that has waited."""
    access.require("console.queues_edit")
    _queues(lane)
    gone = delete(LaneStop).where(LaneStop.lane == lane).returning(LaneStop.lane)
    if db.session().execute(gone).first() is None:
        raise Conflict("lane_not_stopped", _("This lane is not stopped (any more)."))
    audit.record("console.lane.resumed", lane=lane)


def _stop(lane: str, state: str, reason: str) -> None:
    access.require("console.queues_edit")
    _queues(lane)
    if lane == stops.NEVER:
        said = _("What people write is never paused: a STOP must not wait.")
        raise Conflict("lane_never_waits", said)
    words = _reason(reason)
    values = {
        "state": state,
        "reason": words,
        "stopped_by": current_actor().name[:120] or "?",
        "since": func.clarion_now(),
    }
    row = upsert(LaneStop).values(lane=lane, **values)
    row = row.on_conflict_do_update(
        index_elements=["lane"], set_=values, where=LaneStop.state != state
    )
    done = db.session().execute(row.returning(LaneStop.lane)).first()
    if done is None:
        raise Conflict("lane_stopped", _("Somebody has stopped this lane already."))


def _reason(text: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > LONGEST:
        said = _("Say why, in 300 letters at most: colleagues read it here.")
        raise Invalid("reason_missing", said, field="reason")
    return words


def _queues(lane: str) -> Sequence[str]:
    if lane not in stops.LANES:
        raise NotFound("lane_unknown", _("There is no such lane."))
    return stops.LANES[lane]


# --- again


def retry(dead_id: UUID) -> None:
    """Run a given-up job again, as who it was and for whom; once per click.

    Every job may run twice, so nothing is sent a second time.
    """
    access.require("console.queues_edit")
    query = select(DeadJob).where(DeadJob.id == dead_id)
    row = db.session().scalar(query.with_for_update(key_share=True))
    if row is None:
        raise _unknown()
    if row.retried_at is not None:
        raise Conflict("job_retried", _("Somebody has run it again already."))
    if row.payload is None:
        said = _("This job was given up before its arguments were kept; it cannot be run.")
        raise Conflict("job_without_payload", said)
    _runnable(row.job)
    row.retried_at, row.retried_by = clock.now(), current_actor().name[:120]
    audit.record("console.job.retried", job=row.job, dead=row.id)
    jobs.retry.on(_queue(row.queue)).later(row.job, row.payload, 1)


def retry_all(job: str) -> tuple[int, int]:
    """Run every given-up job of one kind again; how many that are, and how many are left."""
    access.require("console.queues_edit")
    _runnable(job)
    m = DeadJob
    open_ = and_(m.job == job, m.retried_at.is_(None), m.payload.is_not(None))
    some = select(m.id).where(open_).order_by(m.id).limit(AT_ONCE)
    mark = (
        update(m)
        .where(m.id.in_(some), m.retried_at.is_(None))
        .values(retried_at=func.clarion_now(), retried_by=current_actor().name[:120])
        .returning(m.queue, m.payload)
        .execution_options(synchronize_session=False)
    )
    rows = db.session().execute(mark).all()
    if not rows:
        raise Conflict("job_none_left", _("No job of this kind waits to be run again."))
    audit.record("console.job.retried", job=job, count=len(rows))
    for queue, payload in rows:
        jobs.retry.on(_queue(queue)).later(job, payload, 1)
    left = db.session().scalar(select(func.count(m.id)).where(open_)) or 0
    return len(rows), left


def _runnable(path: str) -> None:
    """Refuse what no longer exists: its plugin was removed, or the job renamed."""
    try:
        jobs.resolve(path)
    except (TypeError, ImportError, ValueError) as error:
        said = _("This job does not exist any more: its plugin is gone, or it was renamed.")
        raise Conflict("job_gone", said) from error


def _queue(name: str) -> jobs.QueueName:
    """Choose where a retry waits: slices of sending are taken by slots, never by retries."""
    others: dict[str, jobs.QueueName] = {one: one for one in jobs.OTHERS}
    return others.get(name, "default")
