"""Lanes that staff have stopped, as a worker knows them: the row is the truth.

A paused lane is not taken from; one that is being drained is worked off. Into neither of
them is anything rung: what is new waits in the outbox, in the database. What is begun is
always finished.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from clarion.base import db
from clarion.work.models import LaneStop

SYSTEM = db.Entry("clarion_system", None, "job:stops")
LOOK_SECONDS: Final = 1.0
LANES: Final[Mapping[str, tuple[str, ...]]] = {
    "inbound": (),
    "status": (),
    "code": ("code",),
    "reply": ("reply",),
    "utility": ("utility",),
    "campaigns": ("fresh", "dispatch"),
    "intake": ("intake",),
    "mail": ("mail",),
    "default": ("default",),
    "bulk": ("bulk",),
}
"""Every lane and the queues of the broker it has; of the first two, rows are the queue."""
NEVER: Final = "inbound"
"""What people write: a STOP waits for nobody."""
OF_QUEUE: Final = {queue: lane for lane, queues in LANES.items() for queue in queues}


@dataclass(frozen=True, slots=True)
class _Known:
    paused: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()


_known = _Known()
_looked = 0.0
_looking = threading.Lock()


def look(*, now: bool = False) -> None:
    """Read again what is stopped, if that is a second old. Every loop of a worker calls it.

    Without the database, what was known stays known and the error goes up.
    """
    global _known, _looked
    with _looking:
        if not now and _looked and time.monotonic() - _looked < LOOK_SECONDS:
            return
        with db.apart(SYSTEM) as orm:
            rows = orm.execute(select(LaneStop.lane, LaneStop.state)).all()
        rows = [row for row in rows if row.lane != NEVER]
        stopped = frozenset(row.lane for row in rows)
        _known = _Known(
            paused=frozenset(row.lane for row in rows if row.state == "paused"),
            stopped=stopped,
            held=frozenset(q for lane in stopped for q in LANES.get(lane, ())),
        )
        _looked = time.monotonic()


def paused(lane: str) -> bool:
    """Say whether nothing may be taken from a lane, as of the last look."""
    return lane in _known.paused


def stopped(lane: str) -> bool:
    """Say whether nothing new is let into a lane, as of the last look."""
    return lane in _known.stopped


def shut(queue: str) -> bool:
    """Say whether nothing may be taken from a queue of the broker."""
    return OF_QUEUE.get(queue, "") in _known.paused


def held() -> frozenset[str]:
    """Name the queues into which nothing is rung."""
    return _known.held
