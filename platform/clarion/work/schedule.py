"""Periodic jobs, declared once; a row per slot makes many schedulers one."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from croniter import croniter
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from clarion.base import clock, db
from clarion.plugging.manager import plugins
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.work import outbox, stops
from clarion.work.models import Outbox, ScheduleSlot


@dataclass(frozen=True, slots=True)
class Entry:
    """One periodic job: its name, cron expression (UTC, seconds last) and the job."""

    name: str
    cron: str
    job: Any


_entries: dict[str, Entry] = {}
_known: dict[str, dt.datetime] = {}
"""The slot of each entry that somebody has rung, as far as this process knows."""


def every(name: str, cron: str, job: Any) -> None:
    """Run a job by the clock. `cron` has five fields, or six with seconds at the end."""
    if not croniter.is_valid(cron):
        raise ValueError(f"{name}: {cron!r} is not a cron expression")
    _entries[name] = Entry(name, cron, job)
    _known.pop(name, None)


def entries() -> list[Entry]:
    """List what runs by the clock."""
    return list(_entries.values())


def runs(entry: Entry) -> bool:
    """Say whether it runs now: not while its plugin is off or its lane is stopped.

    A slot missed like that is made up for when it goes on, once.
    """
    if entry.job.queue in stops.held():
        return False
    plugin = plugins().owner_of(entry.job.path)
    return plugin is None or entry.job.when_off or plugins().running(plugin)


def tick(now: dt.datetime | None = None) -> int:
    """Ring each slot that `now` lies in, unless somebody has; return how many."""
    now = now or clock.now()
    rung = 0
    for entry in _entries.values():
        slot = croniter(entry.cron, now + dt.timedelta(microseconds=1)).get_prev(
            dt.datetime
        )
        if _known.get(entry.name) == slot or not runs(entry):
            continue
        with db.apart(outbox.SYSTEM) as orm:
            row = insert(ScheduleSlot).values(name=entry.name, slot=slot)
            mine = orm.execute(
                row.on_conflict_do_nothing().returning(ScheduleSlot.name)
            ).first()
            if mine:
                payload = {"actor": SYSTEM_JOB.to_json(), "args": {}}
                orm.execute(
                    insert(Outbox).values(
                        queue=entry.job.queue, job=entry.job.path, payload=payload
                    )
                )
                rung += 1
        _known[entry.name] = slot  # once that is committed
    return rung


def purge() -> None:
    """Forget slots older than two days."""
    with db.apart(outbox.SYSTEM) as orm:
        past = clock.now() - dt.timedelta(days=2)
        orm.execute(delete(ScheduleSlot).where(ScheduleSlot.slot < past))
