"""How soon a small campaign starts on a lone worker that has far more to do.

Beside it: another account with a big campaign (a million with BENCH_FAIRNESS_BIG=1000000),
accounts whose provider is gone, and accounts whose provider hangs. Small campaigns of 200
people, each of an account of its own, are launched one after the other; the clock runs
from the launch to the first message that arrives.
"""

import math
import os
import sys
import time
from pathlib import Path

import ground

TARGETS = {"small_start_p95_s": ("max", 10.0)}
BIG = int(os.environ.get("BENCH_FAIRNESS_BIG", "30000"))
BESIDE = int(os.environ.get("BENCH_FAIRNESS_BESIDE", "50"))
SMALL = 200
TIMES = int(os.environ.get("BENCH_FAIRNESS_TIMES", "20"))


def measure() -> dict[str, float]:
    """Launch small campaigns beside all that; returns their start delays."""
    with ground.prepared() as land:
        import people

        from clarion.base import settings
        from clarion.boot import boot
        from clarion.testing.factories import make_account, make_sender
        from clarion.testing.simulator import Simulator

        boot()
        simulator = Simulator.start(land.folder, "--any-template", "--waba", "9900")
        land.started.append(simulator.process)
        slow = Simulator.start(land.folder, "--any-template", "--waba", "9900")
        land.started.append(slow.process)
        slow.post("rules", rules=[{"match": {}, "fate": {"answer": "hang"}}])
        dead = ground.free_port()
        ports = (simulator.port, slow.port, dead)
        land.env["CLARION_HTTP_ALLOW"] = ",".join(f"127.0.0.1:{port}" for port in ports)
        os.environ["CLARION_HTTP_ALLOW"] = land.env["CLARION_HTTP_ALLOW"]
        settings.settings.cache_clear()

        def account(url: str, rate: int = 80):
            tenant = make_account()
            people.prepare(tenant)
            return tenant, make_sender(tenant, url, rate)

        big = account(simulator.url)
        gone = f"http://127.0.0.1:{dead}"
        beside = [account(gone if n % 2 else slow.url) for n in range(BESIDE)]
        small = [account(simulator.url) for _ in range(TIMES)]
        land.start(str(Path(sys.executable).with_name("clarion")), "worker", "--relay")
        people.order(*big, BIG)
        for one in beside:
            people.order(*one, SMALL)
        ground.until(lambda: received(simulator) > 0, 60, "no worker")
        delays = sorted(delay(simulator, *one) for one in small)
        return {
            "small_start_p95_s": delays[math.ceil(0.95 * TIMES) - 1],
            "small_start_median_s": delays[TIMES // 2],
            "beside": float(BESIDE),
            "big": float(BIG),
        }


def delay(simulator, tenant, sender_id) -> float:
    """Launch one small campaign; returns the seconds until its first message arrives."""
    import people

    began = time.perf_counter()
    order = people.order(tenant, sender_id, SMALL)
    ground.until(lambda: people.waiting(tenant, order) < SMALL, 60, "it did not start")
    return time.perf_counter() - began


def received(simulator) -> int:
    """Count the messages that have arrived."""
    return int(simulator.get("stats")["receipts"])
