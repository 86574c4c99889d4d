"""Whether several workers that share a number keep its rate: never more, hardly less.

Judged by the simulator's receipts: the fullest of all windows of one second, and the
mean over the whole seconds between the first and the last.
"""

import os
import sys
import time
from bisect import bisect_left
from pathlib import Path

import ground
from dispatch import Race

RATE = 80
TARGETS = {"max_in_1s": ("max", float(RATE)), "mean_per_s": ("min", 78.0)}
SECONDS = int(os.environ.get("BENCH_RATE_SECONDS", "60"))
WORKERS, ORDERS = 3, 3


def measure() -> dict[str, float]:
    """Send three orders of one number by three workers."""
    import people

    with ground.prepared() as land:
        race = Race(land)
        clarion = str(Path(sys.executable).with_name("clarion"))
        for extra in ([], ["--relay"], [])[:WORKERS]:
            land.start(clarion, "worker", *extra)
        warm = [people.order(race.account, race.sender_id, 500) for _ in range(WORKERS)]
        for one in warm:
            ground.until(lambda one=one: not people.waiting(race.account, one), 90, "none")
        people.pace(race.account, race.sender_id, RATE)
        time.sleep(1.1)  # what the warm-up sent is no part of any window
        known = race.received()
        size = RATE * SECONDS // ORDERS
        for _ in range(ORDERS):
            people.order(race.account, race.sender_id, size)
        ground.until(
            lambda: race.received() - known >= size * ORDERS, SECONDS * 4, "too slow"
        )
        stamps = sorted(one["at"] for one in race.simulator.receipts()[known:])
    whole = int(stamps[-1] - stamps[0])
    return {
        "max_in_1s": float(_fullest(stamps)),
        "mean_per_s": bisect_left(stamps, stamps[0] + whole) / whole,
        "workers": float(WORKERS),
        "seconds": stamps[-1] - stamps[0],
    }


def _fullest(stamps: list[float]) -> int:
    """Count the receipts of the fullest second, wherever it begins."""
    return max(bisect_left(stamps, at + 1.0) - i for i, at in enumerate(stamps))
