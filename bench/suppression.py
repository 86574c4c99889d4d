"""What asking the do-not-contact list inside the intent costs, as a share of dispatch.

One worker sends order after order, in pairs: one with the question as it is, one with the
question cut out of the statement (in `unchecked.py`, here and nowhere else), now this one
first and now that. The cost is the median of what the pairs say, so that a machine which
is busy for a while disturbs both halves of few pairs; beside it stands what the worker and
PostgreSQL spent. 100,000 other people are on the account's list, and a few of each
order's own: who of them got a message shows which statement was run.
`BENCH_SUPPRESSED_MESSAGES` and `BENCH_SUPPRESSED_PAIRS` make it smaller.
"""

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import ground
from dispatch import Race

TARGETS = {"cost_percent": ("max", 5.0)}
MESSAGES = int(os.environ.get("BENCH_SUPPRESSED_MESSAGES", "5000"))
PAIRS = int(os.environ.get("BENCH_SUPPRESSED_PAIRS", "24"))
LISTED = 100_000
OWN = 20  # of each order's people
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sent:
    """One order: messages a second, and CPU seconds for a thousand of them."""

    per_s: float
    worker_cpu: float
    postgres_cpu: float

    @property
    def cpu(self) -> float:
        """CPU of both that the question could cost."""
        return self.worker_cpu + self.postgres_cpu


def measure() -> dict[str, float]:
    """Send in pairs, and compare within each."""
    import people

    with ground.prepared() as land:
        race, flag = Race(land), land.folder / "unasked"
        people.silence_strangers(race.account, LISTED)
        program = ground.python(str(HERE / "unchecked.py"))
        worker = land.start(*program, "worker", "--relay", BENCH_UNASKED=str(flag))
        warm = people.order(race.account, race.sender_id, 2_000)
        ground.until(lambda: people.waiting(race.account, warm) == 0, 60, "no worker")
        pairs: list[dict[bool, Sent]] = []
        for turn in range(PAIRS):
            pair: dict[bool, Sent] = {}
            for asked in (True, False) if turn % 2 == 0 else (False, True):
                flag.unlink(missing_ok=True)
                if not asked:
                    flag.touch()
                pair[asked] = _sent(race, worker.pid, asked=asked)
            pairs.append(pair)
        land.stop(worker)
    return _figures(pairs)


def _figures(pairs: list[dict[bool, Sent]]) -> dict[str, float]:
    ratios = [pair[True].per_s / pair[False].per_s for pair in pairs]
    spent = [pair[True].cpu / pair[False].cpu for pair in pairs]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    return {
        "cost_percent": 100.0 * (1.0 - ratio),
        "vs_unchecked": ratio,
        "vs_unchecked_lower_quarter": low,
        "vs_unchecked_upper_quarter": high,
        "cpu_cost_percent": 100.0 * (statistics.median(spent) - 1.0),
        "checked_per_s": statistics.median(pair[True].per_s for pair in pairs),
        "unchecked_per_s": statistics.median(pair[False].per_s for pair in pairs),
        "checked_cpu_s_per_1000": statistics.median(pair[True].cpu for pair in pairs),
        "unchecked_cpu_s_per_1000": statistics.median(pair[False].cpu for pair in pairs),
        "listed": float(LISTED),
        "messages_each": float(MESSAGES),
        "pairs": float(PAIRS),
    }


def _sent(race: Race, worker: int, *, asked: bool) -> Sent:
    """Send one order, and make sure that the list was asked, or was not."""
    import people

    order = people.paused_order(race.account, race.sender_id, MESSAGES)
    people.silence_some(race.account, order, OWN)
    known = race.received()
    before = [ground.cpu_seconds(pid) for pid in (worker, race.land.postgres)]
    began = time.perf_counter()
    people.resume(race.account, order)
    ground.until(lambda: people.waiting(race.account, order) == 0, 300, "rows lack")
    seconds = time.perf_counter() - began
    after = [ground.cpu_seconds(pid) for pid in (worker, race.land.postgres)]
    kept = {"suppressed": OWN} if asked else {}
    states = people.states(race.account, order)
    assert states == {"accepted": MESSAGES - sum(kept.values())} | kept, states
    assert race.received() - known == states["accepted"]
    spent = [(b - a) / MESSAGES * 1_000 for a, b in zip(before, after, strict=True)]
    return Sent(MESSAGES / seconds, *spent)
