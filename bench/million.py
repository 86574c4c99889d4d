"""Whether a worker's memory stays flat while one order sends to a million people.

`BENCH_MILLION` makes it smaller; the size is among the figures. Memory is the resident
set of `clarion worker --relay`; growth is what came after the first tenth was sent.
Status webhooks are off.
"""

import os
import sys
import time
from pathlib import Path

import ground
from dispatch import Race

TARGETS = {"worker_mb": ("max", 150.0), "growth_mb": ("max", 10.0)}
RECIPIENTS = int(os.environ.get("BENCH_MILLION", "1000000"))


def measure() -> dict[str, float]:
    """Freeze, send, and look at the worker ten times a second."""
    import people

    with ground.prepared() as land:
        race = Race(land)
        worker = land.start(
            str(Path(sys.executable).with_name("clarion")), "worker", "--relay"
        )
        warm = people.order(race.account, race.sender_id, 500)
        ground.until(lambda: people.waiting(race.account, warm) == 0, 60, "no worker")
        known, began = race.received(), time.perf_counter()
        order = people.order(race.account, race.sender_id, RECIPIENTS)
        frozen = time.perf_counter() - began
        first, most = 0.0, 0.0
        while (sent := race.received() - known) < RECIPIENTS:
            now = ground.resident_mb(worker.pid)
            if sent <= RECIPIENTS / 10:
                first = max(first, now)
            most = max(most, now)
            assert worker.poll() is None, "the worker ended"
            time.sleep(0.1)
        sending = time.perf_counter() - began - frozen
        ground.until(lambda: people.waiting(race.account, order) == 0, 60, "rows lack")
        peak = ground.peak_mb(worker.pid)
        land.stop(worker)
        assert people.states(race.account, order) == {"accepted": RECIPIENTS}
    return {
        "worker_mb": peak,
        "growth_mb": max(0.0, most - first),
        "messages_per_s": RECIPIENTS / sending,
        "freeze_s": frozen,
        "recipients": float(RECIPIENTS),
    }
