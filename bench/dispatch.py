"""How fast one worker sends, beside the customary ways, in one run on the same ground.

Contenders, each one worker on the same ledger table, simulator and broker: our engine;
one RQ job per message (`SimpleWorker`, the quick one); one Celery task per message
(prefork); a plain asyncio loop with aiohttp and one INSERT per message, which promises
nothing; aiohttp without any database, the most the simulator and such a client give; and
the database's own durable commits, one row each. Rates are compared, so the slow ones get
fewer messages. Status webhooks are off for all. Rows are frozen beforehand for all. The clock runs from the first bell to the last row
written: for the peers that includes handing one job per message to the broker.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import ground
from ground import Ground

TARGETS = {
    "messages_per_s": ("min", 3_000.0),
    "vs_rq_per_message": ("min", 15.0),
    "vs_celery_per_message": ("min", 5.0),
}
RECIPIENTS = int(os.environ.get("BENCH_RECIPIENTS", "100000"))
QUICK = min(RECIPIENTS, 20_000)  # for contenders without a database of ours
PEER_RECIPIENTS = int(os.environ.get("BENCH_PEER_RECIPIENTS", "3000"))
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's figures: rate, and CPU seconds of each process per 1,000 messages."""

    per_s: float
    worker_mb: float
    worker_cpu: float
    postgres_cpu: float
    broker_cpu: float
    simulator_cpu: float


def measure() -> dict[str, float]:
    """Run every contender once and compare."""
    with ground.prepared() as land:
        race = Race(land)
        bare = race.bare()
        ours = race.ours()
        rq = race.rq()
        celery = race.celery()
        plain, commits = race.plain(), race.plain(send=False)
    return {
        "messages_per_s": ours.per_s,
        "rq_per_message_per_s": rq.per_s,
        "celery_per_message_per_s": celery.per_s,
        "plain_asyncio_per_s": plain.per_s,
        "bare_client_per_s": bare.per_s,
        "postgres_commits_per_s": commits.per_s,
        "vs_rq_per_message": ours.per_s / rq.per_s,
        "vs_celery_per_message": ours.per_s / celery.per_s,
        "vs_plain_asyncio": ours.per_s / plain.per_s,
        "vs_bare_client": ours.per_s / bare.per_s,
        "worker_mb": ours.worker_mb,
        "worker_cpu_s_per_1000": ours.worker_cpu,
        "postgres_cpu_s_per_1000": ours.postgres_cpu,
        "broker_cpu_s_per_1000": ours.broker_cpu,
        "simulator_cpu_s_per_1000": ours.simulator_cpu,
        "plain_cpu_s_per_1000": plain.worker_cpu,
        "bare_cpu_s_per_1000": bare.worker_cpu,
        "rq_worker_cpu_s_per_1000": rq.worker_cpu,
        "celery_worker_cpu_s_per_1000": celery.worker_cpu,
        "recipients": float(RECIPIENTS),
    }


class Race:
    """The ground with an account, its number, a simulator, and the contenders."""

    def __init__(self, land: Ground) -> None:
        import people

        from clarion.base import settings
        from clarion.boot import boot
        from clarion.testing.factories import make_account, make_sender
        from clarion.testing.simulator import Simulator

        boot()
        self.land = land
        self.simulator = Simulator.start(land.folder, "--any-template", "--waba", "9900")
        land.started.append(self.simulator.process)
        land.env["CLARION_HTTP_ALLOW"] = f"127.0.0.1:{self.simulator.port}"
        land.env["PYTHONPATH"] = os.pathsep.join(
            [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        os.environ["CLARION_HTTP_ALLOW"] = land.env["CLARION_HTTP_ALLOW"]
        settings.settings.cache_clear()
        self.account = make_account()
        self.sender_id = make_sender(self.account, self.simulator.url)
        people.prepare(self.account)
        os.environ.update(self._peer())

    # --- contenders

    def ours(self) -> Run:
        """The engine, as `clarion worker --relay` runs it."""
        import people

        worker = self.land.start(
            str(Path(sys.executable).with_name("clarion")), "worker", "--relay"
        )
        warm = people.order(self.account, self.sender_id, 500)
        ground.until(lambda: people.waiting(self.account, warm) == 0, 60, "no worker")
        order = people.order(self.account, self.sender_id, RECIPIENTS)
        return self._timed(worker, order, RECIPIENTS)

    def rq(self) -> Run:
        """One RQ job per message."""
        import peers
        import people

        order, ids = people.frozen(self.account, self.sender_id, PEER_RECIPIENTS)
        worker = self.land.start(*ground.python(str(HERE / "peers.py")), **self._peer())
        ground.until(peers.rq_ready, 60, "RQ did not start")
        return self._timed(worker, order, len(ids), lambda: peers.rq_ring(ids))

    def celery(self) -> Run:
        """One Celery task per message."""
        import peers
        import people

        order, ids = people.frozen(self.account, self.sender_id, PEER_RECIPIENTS)
        words = ("-m", "celery", "-A", "peers", "worker", "-P", "prefork", "-c", "1")
        worker = self.land.start(*ground.python(*words, "-l", "error"), **self._peer())
        ground.until(lambda: bool(peers.app.control.ping(timeout=1)), 60, "no Celery")
        return self._timed(worker, order, len(ids), lambda: peers.celery_ring(ids))

    def bare(self) -> Run:
        """A plain aiohttp client with as many requests in flight, and no database."""
        return self._program("bare.py", self.simulator.url)

    def plain(self, *, send: bool = True) -> Run:
        """The same with one INSERT per message; or the INSERTs alone."""
        database = self.land.superuser_url.replace("+psycopg", "", 1)
        return self._program("plain.py", database, self.simulator.url if send else "")

    def _program(self, name: str, *words: str) -> Run:
        began = self._cpu(0)
        client = self.land.start(*ground.python(str(HERE / name), *words, str(QUICK)))
        assert client.wait(300) == 0
        log = self.land.folder / f"{len(self.land.started) - 1}.log"
        said = json.loads(log.read_text())
        spent = [(b - a) / QUICK * 1_000 for a, b in zip(began, self._cpu(0), strict=True)]
        return Run(QUICK / said["seconds"], 0.0, said["cpu"] / QUICK * 1_000, *spent[1:])

    # --- timing

    def _timed(
        self,
        worker: "subprocess.Popen[bytes]",
        order: UUID,
        count: int,
        ring: Callable[[], None] | None = None,
    ) -> Run:
        import people

        known, before, began = self.received(), self._cpu(worker.pid), time.perf_counter()
        if ring:
            ring()
        ground.until(lambda: self.received() - known >= count, 900, "not all arrived")
        ground.until(lambda: people.waiting(self.account, order) == 0, 60, "rows lack")
        seconds = time.perf_counter() - began
        after, peak = self._cpu(worker.pid), ground.peak_mb(worker.pid)
        self.land.stop(worker)
        assert people.states(self.account, order) == {"accepted": count}
        assert self.received() - known == count
        spent = [(b - a) / count * 1_000 for a, b in zip(before, after, strict=True)]
        return Run(count / seconds, peak, *spent)

    def received(self) -> int:
        """Count what people got so far."""
        return int(self.simulator.get("stats")["receipts"])

    def _cpu(self, worker: int) -> list[float]:
        pids = (worker, self.land.postgres, self.land.broker, self.simulator.process.pid)
        return [ground.cpu_seconds(pid) if pid else 0.0 for pid in pids]

    def _peer(self) -> dict[str, str]:
        """What the peers' workers must know."""
        from clarion.base.settings import settings

        conf = settings()
        return {
            "PEER_ACCOUNT": str(self.account.id),
            "PEER_URL": f"{self.simulator.url}/v23.0/5550147/messages",
            "PEER_DATABASE": conf.database_url,
            "PEER_BROKER": conf.redis_url,
            "PEER_SOCKET": quote(conf.redis_url.removeprefix("unix://"), safe="/%"),
        }
