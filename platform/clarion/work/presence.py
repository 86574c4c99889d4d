"""Which workers there are, what each one does, and how much was done: in the broker.

It may vanish, and is made again within seconds. Ids and names of jobs only.
"""

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final
from uuid import UUID

from clarion.base import broker
from clarion.work import stops

TELL_SECONDS: Final = 2.0
GONE_SECONDS: Final = 15  # who has not told for so long is gone, or hangs
KEPT_SECONDS: Final = 600  # and is remembered for so long: whoever looks shall see it
RATE_MINUTES: Final = 5
_WORKERS: Final = "clarion:workers"
_DONE: Final = "clarion:done"
_now: dict[object, tuple[str, str, str, float]] = {}
_done: Counter[str] = Counter()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing a worker does: in which lane, which job, for whom, for how many seconds."""

    lane: str
    what: str
    account_id: UUID | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker that told lately.

    Attributes:
        name: host and process.
        release: of Clarion, that it runs.
        quiet: seconds since it told last; more than `GONE_SECONDS` and it is gone.
        since: seconds it has been up.
        relay: whether it also hands out what was committed, and ticks the clock.
        stopped: the lanes it knows to be stopped.
        deeds: what it does at this moment.
    """

    name: str
    release: str
    quiet: float
    since: float
    relay: bool
    stopped: tuple[str, ...]
    deeds: tuple[Deed, ...]


@contextmanager
def doing(lane: str, what: str, account_id: UUID | None = None) -> Iterator[None]:
    """Say what is being done, for as long as the block lasts."""
    mark = object()
    _now[mark] = (lane, what, str(account_id or ""), time.monotonic())
    try:
        yield
    finally:
        _now.pop(mark, None)


def count(lane: str, number: int = 1) -> None:
    """Count what was done in a lane; told with the next sign of life."""
    with _lock:
        _done[lane] += number


def loop(stop: threading.Event, relay: bool) -> None:
    """Tell the broker every two seconds; without it, go on telling nobody."""
    name, born = f"{socket.gethostname()}:{os.getpid()}", time.monotonic()
    while True:
        with suppress(*broker.lost()):
            tell(name, born, relay=relay)
        if stop.wait(TELL_SECONDS):
            break
    with suppress(*broker.lost()):
        broker.redis().hdel(_WORKERS, name)


def tell(name: str, born: float, *, relay: bool) -> None:
    """Write this worker's state and what it has done since it told last."""
    clock, at = time.monotonic(), time.time()
    state = {
        "at": at,
        "release": version("clarion"),
        "since": round(clock - born),
        "relay": relay,
        "stopped": sorted(lane for lane in stops.LANES if stops.stopped(lane)),
        "deeds": [
            [lane, what, account, round(clock - began, 1)]
            for lane, what, account, began in list(_now.values())
        ],
    }
    with _lock:
        done = dict(_done)
        _done.clear()
    place = f"{_DONE}:{int(at // 60)}"
    with broker.redis().pipeline(transaction=True) as pipe:
        pipe.hset(_WORKERS, name, json.dumps(state))
        for lane, number in done.items():
            pipe.hincrby(place, lane, number)
        if done:
            pipe.expire(place, 60 * (RATE_MINUTES + 2))
        pipe.execute()


def workers() -> list[Seen]:
    """List the workers that told lately, the quiet ones too; forget the others."""
    red, found, now = broker.redis(), [], time.time()
    told: Any = red.hgetall(_WORKERS)  # Any: redis types both of its worlds in one
    for key, value in sorted(told.items()):
        state = json.loads(value)
        if now - state["at"] > KEPT_SECONDS:
            red.hdel(_WORKERS, key)
            continue
        deeds = tuple(
            Deed(lane, what, UUID(account) if account else None, seconds)
            for lane, what, account, seconds in state["deeds"]
        )
        found.append(
            Seen(
                name=key.decode(),
                release=state["release"],
                quiet=max(0.0, now - state["at"]),
                since=state["since"],
                relay=state["relay"],
                stopped=tuple(state["stopped"]),
                deeds=deeds,
            )
        )
    return found


def living() -> list[Seen]:
    """List the workers that live."""
    return [one for one in workers() if one.quiet <= GONE_SECONDS]


def rates() -> Mapping[str, float]:
    """Say how many a minute were done in each lane, over the last five minutes."""
    minute, begun = divmod(time.time(), 60)
    with broker.redis().pipeline(transaction=False) as pipe:
        for back in range(RATE_MINUTES):
            pipe.hgetall(f"{_DONE}:{int(minute) - back}")
        read = pipe.execute()
    total: Counter[str] = Counter()
    for one in read:
        for lane, number in one.items():
            total[lane.decode()] += int(number)
    span = RATE_MINUTES - 1 + max(begun, 1.0) / 60
    return {lane: number / span for lane, number in total.items()}
