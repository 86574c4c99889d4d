"""What the hooks of plugins take: counted in each process, added up by the hour.

A call adds four numbers in memory. Now and then, between two requests or jobs, a process
adds what it has counted to the rows of the hour; when that cannot be done, the figures of
those seconds are lost, and nothing else.
"""

import datetime as dt
import time
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from clarion.base import clock, db
from clarion.base.telemetry import logger
from clarion.plugging.manager import plugins
from clarion.tenancy import resting
from clarion.tenancy.plugins import HookTime

log = logger(__name__)
SYSTEM = db.Entry("clarion_system", None, "hooktimes")
EVERY_SECONDS = 10.0
KEPT = dt.timedelta(days=7)
DAY = dt.timedelta(hours=24)
_kept = time.monotonic()


def due() -> bool:
    """Say whether this process has kept nothing for ten seconds, or a hook fails badly."""
    return plugins().strained or time.monotonic() - _kept >= EVERY_SECONDS


def keep() -> None:
    """Add what this process has counted, if it is due."""
    global _kept
    if not due():
        return
    _kept = time.monotonic()
    strain = (
        plugins().strain()
    )  # taken first: what cannot be told is not told at each request
    try:
        write()
        resting.settle(strain)
    except SQLAlchemyError as error:  # figures are not worth a request or a job
        log.warning("hooktimes.lost", error=type(error).__name__)


def write() -> None:
    """Add what this process has counted to the rows of this hour."""
    found = plugins().spent()
    if not found:
        return
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    rows = [
        {"plugin": plugin, "hook": hook, "hour": hour, **spent._asdict()}
        for (plugin, hook), spent in sorted(found.items())
    ]
    t, new = HookTime, insert(HookTime)
    put = new.on_conflict_do_update(
        index_elements=["plugin", "hook", "hour"],
        set_={
            "calls": t.calls + new.excluded.calls,
            "failures": t.failures + new.excluded.failures,
            "micros": t.micros + new.excluded.micros,
            "slowest": func.greatest(t.slowest, new.excluded.slowest),
        },
    )
    with db.apart(SYSTEM) as orm:
        orm.execute(put.execution_options(audited=True), rows)


@dataclass(frozen=True, slots=True)
class HookLine:
    """One hook of a plugin, in the last 24 hours.

    Attributes:
        mean_us: microseconds a call took.
        slowest_us: microseconds of the longest.
    """

    plugin: str
    hook: str
    calls: int
    failures: int
    mean_us: int
    slowest_us: int


def listing(plugin: str = "") -> list[HookLine]:
    """List what hooks took in the last 24 hours, the dearest first; of one plugin or all."""
    t = HookTime
    total = func.sum(t.micros)
    query = (
        select(
            t.plugin, t.hook, func.sum(t.calls), func.sum(t.failures), total,
            func.max(t.slowest),
        )
        .where(t.hour > clock.now() - DAY)
        .group_by(t.plugin, t.hook)
        .order_by(total.desc())
    )  # fmt: skip
    if plugin:
        query = query.where(t.plugin == plugin)
    return [
        HookLine(name, hook, int(calls), int(failures), int(micros / calls), slowest)
        for name, hook, calls, failures, micros, slowest in db.session().execute(query)
    ]


def purge() -> None:
    """Forget hours older than a week."""
    with db.apart(SYSTEM) as orm:
        orm.execute(delete(HookTime).where(HookTime.hour < clock.now() - KEPT))
