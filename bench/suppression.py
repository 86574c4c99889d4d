"""What asking the do-not-contact list inside the intent costs, as a share of dispatch.

The same worker sends the same kind of order with the question as it is, and with the
question cut out of the statement (in `unchecked.py`, here and nowhere else), in turns and
in both orders; medians are compared. 100,000 other people are on the account's list, and
a few of each order's own: who of them got a message shows which statement was run.
`BENCH_SUPPRESSED_MESSAGES` and `BENCH_SUPPRESSED_ROUNDS` make it smaller.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import ground
from dispatch import Race
from ground import Ground

TARGETS = {"cost_percent": ("max", 5.0)}
MESSAGES = int(os.environ.get("BENCH_SUPPRESSED_MESSAGES", "20000"))
ROUNDS = int(os.environ.get("BENCH_SUPPRESSED_ROUNDS", "6"))
LISTED = 100_000
OWN = 50  # of each order's people
HERE = Path(__file__).parent


def measure() -> dict[str, float]:
    """Send in turns, checked and unchecked, and compare the medians."""
    import people

    with ground.prepared() as land:
        race = Race(land)
        people.silence_strangers(race.account, LISTED)
        found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for turn in range(ROUNDS):
            for checked in (True, False) if turn % 2 == 0 else (False, True):
                found[checked].append(_run(land, race, checked=checked))
    asked, unasked = ([rate for rate, _cpu in found[one]] for one in (True, False))
    with_it, without = statistics.median(asked), statistics.median(unasked)
    cpu = {one: statistics.median(c for _rate, c in found[one]) for one in (True, False)}
    return {
        "cost_percent": 100.0 * (1.0 - with_it / without),
        "vs_unchecked": with_it / without,
        "checked_per_s": with_it,
        "unchecked_per_s": without,
        "checked_spread_percent": _spread(asked),
        "unchecked_spread_percent": _spread(unasked),
        "checked_postgres_cpu_s_per_1000": cpu[True],
        "unchecked_postgres_cpu_s_per_1000": cpu[False],
        "listed": float(LISTED),
        "messages_each": float(MESSAGES),
        "rounds": float(ROUNDS),
    }


def _run(land: Ground, race: Race, *, checked: bool) -> tuple[float, float]:
    """Send one order; returns messages a second and PostgreSQL's CPU for a thousand."""
    import people

    worker = _worker(land, checked=checked)
    warm = people.order(race.account, race.sender_id, 500)
    ground.until(lambda: people.waiting(race.account, warm) == 0, 60, "no worker")
    order = people.paused_order(race.account, race.sender_id, MESSAGES)
    people.silence_some(race.account, order, OWN)
    known, spent = race.received(), ground.cpu_seconds(land.postgres)
    began = time.perf_counter()
    people.resume(race.account, order)
    ground.until(lambda: people.waiting(race.account, order) == 0, 300, "rows lack")
    seconds = time.perf_counter() - began
    cpu = (ground.cpu_seconds(land.postgres) - spent) / MESSAGES * 1_000
    land.stop(worker)
    _as_told(people.states(race.account, order), checked=checked)
    assert race.received() - known == MESSAGES - (OWN if checked else 0)
    return MESSAGES / seconds, cpu


def _worker(land: Ground, *, checked: bool) -> "subprocess.Popen[bytes]":
    clarion = (str(Path(sys.executable).with_name("clarion")),)
    program = clarion if checked else tuple(ground.python(str(HERE / "unchecked.py")))
    return land.start(*program, "worker", "--relay")


def _as_told(states: dict[str, int], *, checked: bool) -> None:
    """The list was asked, or it was not: else the comparison would say nothing."""
    kept = {"suppressed": OWN} if checked else {}
    assert states == {"accepted": MESSAGES - sum(kept.values())} | kept, states


def _spread(rates: list[float]) -> float:
    return 100.0 * (max(rates) - min(rates)) / statistics.median(rates)
