"""Is everything all right: a line for each part, its state in words, and what to do.

The facts are those of `clarion doctor` and of /readyz, asked of the same functions; nothing
is judged here that is judged there. Figures and names of parts, nothing of a customer.
"""

import datetime as dt
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Literal

from croniter import croniter
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from clarion.base import broker, catalogue, clock, db, ground, vitals
from clarion.base.errors import Misconfigured
from clarion.base.settings import settings
from clarion.base.telemetry import logger
from clarion.base.words import _, ngettext
from clarion.console import machine
from clarion.messaging import epoch
from clarion.messaging.instance import BackupRun
from clarion.plugging.manager import plugins
from clarion.tenancy import access
from clarion.tenancy.models import AuditEntry, AuditHead, AuditLink
from clarion.web import health
from clarion.work import mails, outbox, presence, schedule
from clarion.work.models import DeadJob, Outbox, ScheduleSlot, WebhookInbox

State = Literal["fine", "look", "broken"]
SYSTEM = db.Entry("clarion_system", None, "web:console")
log = logger(__name__)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
FULL, TIGHT = 0.95, 0.85
"""Shares of connections, memory or a disk that are broken, or worth a look."""
LATE = 2 * MINUTE
"""A job by the clock, a webhook or a worker's word may be so late and is nothing to see."""
WORDS: dict[State, int] = {"broken": 0, "look": 1, "fine": 2}


@dataclass(frozen=True, slots=True)
class Line:
    """One part: how it is, what was found, what to do, and where that is done.

    `to` is the endpoint of a page of the console; empty when the command line does it.
    """

    part: str
    state: State
    fact: str
    todo: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that belong together, the worst first."""

    title: str
    lines: list[Line]

    @property
    def state(self) -> State:
        """How the worst of its lines is."""
        return self.lines[0].state if self.lines else "fine"


def look() -> list[Group]:
    """Look at every part; one that cannot be asked is a line that says so."""
    access.require("console.health")
    parts: list[tuple[str, str, Callable[[], Iterable[Line]]]] = [
        (_("Database"), _("Database"), _database),
        (_("Database"), _("Backups"), _backups),
        (_("Broker and workers"), _("Broker"), _broker),
        (_("Broker and workers"), _("Workers"), _workers),
        (_("Broker and workers"), _("Outbox"), _outbox),
        (_("Broker and workers"), _("By the clock"), _clockwork),
        (_("Messages"), _("Webhooks"), _webhooks),
        (_("Messages"), _("Mails"), _mails),
        (_("Messages"), _("Sending"), _sending),
        (_("This machine"), _("Disks"), _disks),
        (_("This machine"), _("Plugins"), _plugins),
        (_("This machine"), _("Versions"), _versions),
        (_("Log"), _("Log"), _chain),
    ]
    found: dict[str, list[Line]] = {}
    for title, part, ask in parts:
        found.setdefault(title, []).extend(_asked(part, ask))
    return [
        Group(title, sorted(lines, key=lambda one: WORDS[one.state]))
        for title, lines in found.items()
    ]


def worst(groups: Iterable[Group]) -> State:
    """Say how the worst of all is."""
    states: list[State] = [one.state for one in groups]
    return min(states, key=lambda state: WORDS[state], default="fine")


def _asked(part: str, ask: Callable[[], Iterable[Line]]) -> list[Line]:
    unwell: tuple[type[Exception], ...] = (SQLAlchemyError, Misconfigured, *broker.lost())
    try:
        return list(ask())
    except unwell as error:
        log.warning("health.unasked", part=part, error=type(error).__name__)
        fact = _("It does not answer: %(error)s.", error=type(error).__name__)
        return [Line(part, "broken", fact, _("Run “clarion doctor” on this machine."))]


# --- the database


def _database() -> Iterable[Line]:
    wrong = health.findings()
    if "database" in wrong:
        fact = _("It does not answer: %(error)s.", error=wrong["database"])
        yield Line(_("Database"), "broken", fact, _("Start it, or look at its log."))
        return
    if behind := wrong.get("migrations"):
        yield Line(
            _("Tables"), "broken", behind, _("Run “clarion db upgrade” on this machine.")
        )
    else:
        yield Line(_("Tables"), "fine", _("They are of this release."))
    with db.engine().connect() as connection:
        now = vitals.database(connection)
        findings = ground.under(connection, catalogue.data_directory(connection))
    clocks = [one for one in findings if one.what.startswith("This machine's clock")]
    if not clocks:
        yield Line(_("Clock"), "fine", _("It goes with the database's, within a minute."))
    for one in findings:
        part = _("Clock") if one in clocks else _("Durability")
        yield Line(part, "broken" if one.grave else "look", one.what, one.todo)
    size = _size(now.bytes)
    yield Line(
        _("Size"), "fine", _("PostgreSQL %(v)s, %(size)s.", v=now.version, size=size)
    )
    yield _share(
        _("Connections"),
        now.connections,
        now.most,
        _("%(used)s of %(all)s are open.", used=now.connections, all=now.most),
        _("Lower CLARION_DATABASE_POOL, or raise max_connections."),
    )
    long = dt.timedelta(seconds=round(now.longest_seconds))
    state: State = "broken" if long > HOUR else "look" if long > 5 * MINUTE else "fine"
    yield Line(
        _("Longest transaction"),
        state,
        _(
            "Open for %(time)s; %(count)s wait for a lock.",
            time=_ago(long),
            count=now.waiting,
        ),
        _("Look at pg_stat_activity: what is open so long keeps rows from being cleaned.")
        if state != "fine"
        else "",
    )
    yield from _standbys(now)


def _standbys(now: vitals.Database) -> Iterable[Line]:
    if not now.standbys:
        yield Line(_("Replication"), "fine", _("No other server follows this one."))
    for one in now.standbys:
        behind = dt.timedelta(seconds=round(one.behind_seconds or 0))
        bad = one.state != "streaming" or behind > MINUTE
        fact = _(
            "%(name)s: %(state)s, %(time)s behind.",
            name=one.name,
            state=one.state,
            time=_ago(behind),
        )
        todo = (
            _("Look at the log of that server, and at the network between.") if bad else ""
        )
        yield Line(_("Replication"), "look" if bad else "fine", fact, todo)


def _backups() -> Iterable[Line]:
    latest = select(BackupRun.kind, func.max(BackupRun.at)).group_by(BackupRun.kind)
    found = dict(db.session().execute(latest).tuples().all())
    made, checked = found.get("dump"), found.get("check")
    todo = _("Run “clarion backup FILE”; docs/howto/backups.md says how to do it each day.")
    yield _since(_("Last backup"), made, (DAY, 3 * DAY), todo)
    todo = _("Run “clarion backup --check FILE”, and try a restore into another database.")
    yield _since(_("Last check of a backup"), checked, (30 * DAY, None), todo)
    standing = epoch.standing()
    if standing.shut:
        fact = _("This database was restored; nothing is sent.")
        todo = _("Two staff let messages be sent again.")
        yield Line(_("Restore"), "broken", fact, todo, "ConsoleBackupPanel.index")
    else:
        fact = _("This is the database that was used last: it may send.")
        yield Line(_("Restore"), "fine", fact)


# --- broker, workers, what waits


def _broker() -> Iterable[Line]:
    known = broker.facts()
    yield Line(
        _("Broker"),
        "fine",
        _("Version %(v)s, %(count)s connections.", v=known.version, count=known.clients),
    )
    used = _size(known.used_bytes)
    if known.most_bytes:
        said = _("%(used)s of %(all)s.", used=used, all=_size(known.most_bytes))
        todo = _("Give it more memory: when it is full, jobs wait in the database.")
        yield _share(_("Its memory"), known.used_bytes, known.most_bytes, said, todo)
    else:
        yield Line(_("Its memory"), "fine", _("%(used)s, without a limit.", used=used))
    if not known.keeps:
        fact = _("It may throw jobs away: its policy is %(policy)s.", policy=known.policy)
        todo = _("Set “maxmemory-policy noeviction” in its configuration.")
        yield Line(_("Eviction"), "broken", fact, todo)


def _workers() -> Iterable[Line]:
    there, ours = presence.workers(), version("clarion")
    if not there:
        fact = _("No worker has been seen: nothing is sent.")
        yield Line(_("Workers"), "broken", fact, _("Start “clarion worker --relay”."))
    for one in there:
        fact = _(
            "%(name)s, release %(release)s; seen %(ago)s ago.",
            name=one.name,
            release=one.release,
            ago=_ago(dt.timedelta(seconds=round(one.quiet))),
        )
        todo = ""
        if one.quiet > presence.GONE_SECONDS:
            todo = _("Look whether it still runs: it hangs, or its process is gone.")
        elif one.release != ours:
            todo = _("Restart it: this release is %(ours)s.", ours=ours)
        yield Line(_("Worker"), "look" if todo else "fine", fact, todo)


def _outbox() -> Iterable[Line]:
    lanes = machine.lanes()
    late = _late(outbox.overdue())
    held = _late(lanes.oldest) and not late
    stalled = health.findings().get("relay")
    state: State = "broken" if stalled else "look" if late or held else "fine"
    fact = ngettext(
        "%(num)s job waits to be rung.", "%(num)s jobs wait to be rung.", lanes.waiting
    )
    todo = ""
    if stalled:
        todo = _("Look whether a relay runs: “clarion worker --relay”.")
    elif held:
        todo = _("It is for lanes that staff have stopped; it goes on when one is resumed.")
    yield Line(_("Outbox"), state, fact, todo, "ConsoleQueuePanel.index")
    queued = sum(lanes.lanes.values())
    long = ", ".join(f"{name} {count}" for name, count in lanes.lanes.items() if count)
    fact = ngettext("%(num)s job waits.", "%(num)s jobs wait.", queued)
    yield Line(_("Queues"), "fine", f"{fact} {long}".strip(), "", "ConsoleQueuePanel.index")
    fact = ngettext(
        "%(num)s job was given up in 24 hours.",
        "%(num)s jobs were given up in 24 hours.",
        lanes.dead,
    )
    todo = _("Read why each was given up.") if lanes.dead else ""
    yield Line(
        _("Jobs given up"),
        "look" if lanes.dead else "fine",
        fact,
        todo,
        "ConsoleQueuePanel.index",
    )


def _clockwork() -> Iterable[Line]:
    """Compare when each job by the clock should have been rung with when it was."""
    latest = select(ScheduleSlot.name, func.max(ScheduleSlot.slot)).group_by(
        ScheduleSlot.name
    )
    with db.apart(SYSTEM) as orm:
        rung = dict(orm.execute(latest).tuples().all())
    due, late = clock.now() - LATE, []
    for one in schedule.entries():
        if not schedule.runs(one):
            continue
        wanted = croniter(one.cron, due).get_prev(dt.datetime)
        if one.name not in rung or rung[one.name] < wanted:
            late.append(one.name)
    if late:
        fact = _("Late: %(names)s.", names=", ".join(sorted(late)))
        todo = _("Look whether a relay runs: “clarion worker --relay”.")
        yield Line(_("By the clock"), "broken", fact, todo, "ConsoleQueuePanel.index")
    else:
        count = len(schedule.entries())
        fact = ngettext(
            "%(num)s job is rung in time.", "All %(num)s jobs are rung in time.", count
        )
        yield Line(_("By the clock"), "fine", fact, "", "ConsoleQueuePanel.index")


# --- messages


def _webhooks() -> Iterable[Line]:
    todo = WebhookInbox.applied_at.is_(None)
    query = select(func.min(WebhookInbox.created_at), func.count()).where(todo)
    with db.apart(SYSTEM) as orm:
        oldest, count = orm.execute(query).one()
    part, to = _("Webhooks"), "ConsoleWebhookPanel.index"
    if oldest is None:
        yield Line(part, "fine", _("Everything that came in is applied."), "", to)
        return
    waits = clock.now() - oldest
    state: State = "broken" if waits > HOUR else "look" if waits > LATE else "fine"
    fact = _(
        "%(count)s are not applied yet, the oldest for %(ago)s.",
        count=count,
        ago=_ago(waits),
    )
    said = _("Look which account's they are: a STOP may be among them.")
    yield Line(part, state, fact, said if state != "fine" else "", to)


def _mails() -> Iterable[Line]:
    path = mails.send.path
    waiting = select(func.count(), func.min(Outbox.not_before)).where(Outbox.job == path)
    with db.apart(outbox.SYSTEM) as orm:
        count, oldest = orm.execute(waiting).one()
    lost = (
        select(func.count())
        .select_from(DeadJob)
        .where(DeadJob.job == path, DeadJob.at > clock.now() - 7 * DAY)
    )
    failed = db.session().scalar(lost) or 0
    late = oldest is not None and clock.now() - oldest > 5 * MINUTE
    fact = _(
        "%(count)s wait, %(failed)s were given up in 7 days.", count=count, failed=failed
    )
    todo = _("Check CLARION_SMTP_URL, and why each was given up.") if failed or late else ""
    state: State = "look" if todo else "fine"
    yield Line(_("Mails"), state, fact, todo, "ConsoleQueuePanel.index" if failed else "")


def _sending() -> Iterable[Line]:
    today = machine.stopped()
    fact = ngettext(
        "%(num)s thing is stopped to prevent harm.",
        "%(num)s things are stopped to prevent harm.",
        today,
    )
    to = "ConsoleWebhookPanel.index"
    yield Line(_("Stops"), "fine", fact, "", to)
    strange = machine.strange_codes()
    fact = ngettext(
        "%(num)s code of a provider has no word.",
        "%(num)s codes of a provider have no word.",
        strange,
    )
    todo = _("Find out what they mean before more people are affected.") if strange else ""
    yield Line(_("Codes"), "look" if strange else "fine", fact, todo, to)


# --- this machine


def _disks() -> Iterable[Line]:
    conf = settings()
    folders = [conf.home, conf.key_store, *conf.epoch_paths, *conf.journal_paths]
    for one in vitals.disks(folders):
        fact = _(
            "%(free)s of %(all)s are free.", free=_size(one.free), all=_size(one.total)
        )
        part = _("Disk of %(folder)s", folder=one.folder)
        todo = _("Make room: when it is full, nothing can be stored.")
        yield _share(part, one.total - one.free, one.total, fact, todo)


def _plugins() -> Iterable[Line]:
    broken = [one for one in plugins().found.values() if one.state == "failed"]
    for one in broken:
        yield Line(
            _("Plugin %(name)s", name=one.name),
            "broken",
            _("It does not load: %(error)s.", error=one.error),
            _("Repair it, or leave it out with CLARION_PLUGINS_OFF."),
            "ConsolePluginPanel.index",
        )
    if not broken:
        count = len(plugins().loaded())
        fact = ngettext("%(num)s is loaded.", "All %(num)s are loaded.", count)
        yield Line(_("Plugins"), "fine", fact, "", "ConsolePluginPanel.index")


def _versions() -> Iterable[Line]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    fact = _(
        "Clarion %(ours)s on Python %(python)s.", ours=version("clarion"), python=python
    )
    yield Line(_("Versions"), "fine", fact)


# --- the log


def _chain() -> Iterable[Line]:
    to = "ConsoleAuditPanel.index"
    now, orm = clock.now(), db.session()
    loose = (
        select(func.min(AuditEntry.at))
        .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
        .where(AuditEntry.at > now - DAY, AuditEntry.at < now, AuditLink.seq.is_(None))
    )
    oldest = orm.scalar(loose)
    waits = now - oldest if oldest else dt.timedelta(0)
    state: State = "broken" if waits > HOUR else "look" if waits > 5 * MINUTE else "fine"
    fact = _("Not sealed for %(ago)s.", ago=_ago(waits)) if oldest else _("All is sealed.")
    todo = _("Look whether jobs by the clock run; each minute seals what is loose.")
    yield Line(_("Sealing"), state, fact, todo if state != "fine" else "", to)
    signed = orm.scalar(select(func.max(AuditHead.at)))
    todo = _("Look whether the job that signs each day was given up.")
    yield _since(_("Heads signed"), signed, (2 * DAY, None), todo, to)
    checks = AuditEntry.name == "console.audit.checked"
    checked = orm.scalar(select(func.max(AuditEntry.at)).where(checks))
    todo = _("Check the chains on the log's page, or with “clarion audit verify”.")
    yield _since(_("Chain checked"), checked, (30 * DAY, None), todo, to)


# --- words


def _share(part: str, used: int, most: int, fact: str, todo: str) -> Line:
    share = used / most if most else 0.0
    state: State = "broken" if share >= FULL else "look" if share >= TIGHT else "fine"
    return Line(part, state, fact, todo if state != "fine" else "")


def _since(
    part: str,
    at: dt.datetime | None,
    limits: tuple[dt.timedelta, dt.timedelta | None],
    todo: str,
    to: str = "",
) -> Line:
    """Judge by how long ago something was done: so long is good, so long is broken."""
    good, bad = limits
    if at is None:
        return Line(part, "look", _("None is known."), todo, to)
    ago = clock.now() - at
    state: State = "fine" if ago <= good else "broken" if bad and ago > bad else "look"
    fact = _("%(ago)s ago.", ago=_ago(ago))
    return Line(part, state, fact, todo if state != "fine" else "", to)


def _late(since: dt.datetime | None) -> bool:
    return since is not None and clock.now() - since > MINUTE


def _ago(span: dt.timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    for size, words in (
        (86_400, partial(ngettext, "%(num)s day", "%(num)s days")),
        (3_600, partial(ngettext, "%(num)s hour", "%(num)s hours")),
        (60, partial(ngettext, "%(num)s minute", "%(num)s minutes")),
    ):
        if seconds >= 2 * size:
            return words(seconds // size)
    return ngettext("%(num)s second", "%(num)s seconds", seconds)


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1_000:
            return f"{value:.0f} {unit}"
        value /= 1_000
    return f"{value:.1f} TB"
