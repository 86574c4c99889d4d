"""How fast statuses are taken in and applied, and how soon, by the server as it is deployed.

Real messages are sent for (by the ledger's own statements, without a provider). Their
statuses then come in signed bodies of 1 to 1,000 to the real intake, `clarion web`, while
`clarion worker` applies them; PostgreSQL and the broker stand on the same machine.

Flood: everything at once over eight connections; `durable_per_s` up to the last 200,
`applied_per_s` up to the last one applied. In the middle of it people say STOP:
`stop_s` is the longest from the first byte of theirs until the engine is silent.
Steady: 4,000 updates a second; `p99_applied_s` from receipt until applied, to which the
99th percentile of the answers is added because receipt is noted inside.
"""

import asyncio
import os
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import ground
from bodies import Body, Sent
from ground import Ground

TARGETS = {
    "durable_per_s": ("min", 5_000.0),
    "applied_per_s": ("min", 4_000.0),
    "p99_applied_s": ("max", 2.0),
    "stop_s": ("max", 5.0),
}
MESSAGES = int(os.environ.get("BENCH_STATUS_MESSAGES", "40000"))
SIZES = (MESSAGES, MESSAGES // 2)
STEADY_PER_S = 4_000
CONNECTIONS = 8
STOPS = 10
HERE = Path(__file__).parent


def measure() -> dict[str, float]:
    """Flood, then a steady stream, on one ground."""
    with ground.prepared() as land:
        import people

        town = Town(land)
        sent = [people.sent(town.account, town.sender_id, n) for n in SIZES]
        town.open()
        return town.flood(sent[0]) | town.steady(sent[1])


class Town:
    """An account with messages under way, its door, and a worker behind it."""

    def __init__(self, land: Ground) -> None:
        import people

        from clarion.boot import boot
        from clarion.messaging import channels
        from clarion.tenancy.actor import COMMAND
        from clarion.tenancy.scope import account_scope
        from clarion.testing.factories import make_account, make_sender

        boot()
        self.land = land
        self.account = make_account()
        self.sender_id = make_sender(self.account)
        people.prepare(self.account)
        with account_scope(self.account.id, COMMAND):
            (channel,) = channels.listing()
        self.port = ground.free_port()
        self.url = f"http://127.0.0.1:{self.port}/in/whatsapp_cloud/{channel.id}"

    def open(self) -> None:
        """Start the door and the worker, as they are deployed."""
        program = str(Path(sys.executable).with_name("clarion"))
        self.web = self.land.start(program, "web", "--port", str(self.port))
        self.worker = self.land.start(program, "worker", "--relay")
        ground.until(self._up, 60, "the web process did not start")

    def flood(self, sent: Sequence[Sent]) -> dict[str, float]:
        """Post everything as fast as it is taken."""
        import bodies
        import people

        found = bodies.statuses(sent)
        numbers = [f"+551198{n:07d}" for n in range(STOPS)]
        stops = [
            bodies.inbound(number, "STOP", f"wamid.stop.{n}")
            for n, number in enumerate(numbers)
        ]
        step = max(1, len(found) // (STOPS + 1))
        for n, stop in enumerate(stops, 1):
            found.insert(n * step, stop)
        updates = sum(body.updates for body in found)
        before = self._cpu()
        began = time.perf_counter()
        answers = asyncio.run(self._post(found))
        durable = time.perf_counter() - began
        ground.until(lambda: people.unapplied(self.account) == 0, 900, "not all applied")
        applied = time.perf_counter() - began
        spent = [b - a for a, b in zip(before, self._cpu(), strict=True)]
        states = people.all_states(self.account)
        assert states["read"] + states["delivered"] == len(sent), states
        return {
            "durable_per_s": updates / durable,
            "applied_per_s": updates / applied,
            "stop_s": people.slowest_stop(self.account) + max(answers),
            "bodies": float(len(found)),
            "updates": float(updates),
            "web_cpu_s_per_1000": spent[0] / updates * 1_000,
            "worker_cpu_s_per_1000": spent[1] / updates * 1_000,
            "postgres_cpu_s_per_1000": spent[2] / updates * 1_000,
        }

    def steady(self, sent: Sequence[Sent]) -> dict[str, float]:
        """Post at a steady rate and see how soon it is applied."""
        import bodies
        import people

        found = bodies.statuses(sent, 2)
        since = people.now(self.account)
        answers = asyncio.run(self._post(found, STEADY_PER_S))
        ground.until(lambda: people.unapplied(self.account) == 0, 900, "not all applied")
        p99_answer = percentile(answers, 0.99)
        waits = people.waits(self.account, since)
        return {
            "p99_applied_s": percentile(waits, 0.99) + p99_answer,
            "p50_applied_s": percentile(waits, 0.5),
            "p99_answer_s": p99_answer,
        }

    async def _post(self, found: Sequence[Body], per_s: float = 0.0) -> list[float]:
        """Post bodies over some connections; returns how long each answer took."""
        from clarion_whatsapp_cloud.simulator.caller import Caller

        caller, todo, took = Caller(60), iter(found), []
        began, before = time.perf_counter(), 0

        async def lane() -> None:
            nonlocal before
            for body in todo:
                if per_s:
                    due = began + before / per_s
                    before += body.updates
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                start = time.perf_counter()
                headers = (
                    "Content-Type: application/json\r\n"
                    f"X-Hub-Signature-256: {body.signature}\r\n"
                )
                status, _ = await caller.call("POST", self.url, body.content, headers)
                assert status == 200, status
                took.append(time.perf_counter() - start)

        await asyncio.gather(*(lane() for _ in range(CONNECTIONS)))
        caller.close()
        return took

    def _cpu(self) -> list[float]:
        pids = (self.web.pid, self.worker.pid, self.land.postgres)
        return [ground.cpu_seconds(pid) for pid in pids]

    def _up(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so many of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
