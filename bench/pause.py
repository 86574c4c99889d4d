"""How long messages still leave after a pause, a cancel and a STOP; the provider is the oracle.

Several workers send as the deployed ones do. Every receipt of the simulator carries the
moment at which the message was there. Pause and cancel: the clock runs from the verb's
commit, which is when the page answers. STOP: it is posted, signed, to the real intake
while the person's message is about to leave; the clock runs from the first byte.
"""

import asyncio
import os
import random
import sys
import time
import urllib.request
from pathlib import Path
from uuid import UUID

import ground
from ground import Ground

TARGETS = {"pause_s": ("max", 2.0), "optout_s": ("max", 5.0)}
RECIPIENTS = int(os.environ.get("BENCH_PAUSE_RECIPIENTS", "20000"))
WORKERS = 3
PAUSES = 4
STOPS = 60
FAST, RATE_PER_S = 100_000, 300  # of the number: while orders are paused, while people stop
AT_LEAST = 1_000  # messages gone before an order is paused
LOOK_SECONDS = 4.0  # twice the target
SLOW = {"match": {}, "fate": {"answer": "accept", "answer_delay_ms": 400}}


def measure() -> dict[str, float]:
    """Pause and resume, cancel, and stop people one by one."""
    with ground.prepared() as land:
        trial = Trial(land)
        paused = [trial.pause() for _ in range(PAUSES)]
        cancelled = trial.cancel()
        late, in_time = trial.stops()
    assert in_time > 0, "nobody was stopped in time: nothing was measured"
    return {
        "pause_s": max(*paused, cancelled),
        "cancel_s": cancelled,
        "optout_s": max(late, default=0.0),
        "left_after_stop": float(len(late)),
        "stopped_in_time": float(in_time),
        "workers": float(WORKERS),
    }


class Trial:
    """An account with a number, several workers, a door, and a provider that is slow."""

    def __init__(self, land: Ground) -> None:
        import people

        from clarion.base import settings
        from clarion.boot import boot
        from clarion.messaging import channels
        from clarion.tenancy.actor import COMMAND
        from clarion.tenancy.scope import account_scope
        from clarion.testing.factories import make_account, make_sender
        from clarion.testing.simulator import Simulator

        boot()
        self.land = land
        self.simulator = Simulator.start(land.folder, "--any-template", "--waba", "9900")
        land.started.append(self.simulator.process)
        self.simulator.post("rules", rules=[SLOW], replace=True)
        land.env["CLARION_HTTP_ALLOW"] = f"127.0.0.1:{self.simulator.port}"
        settings.settings.cache_clear()
        self.account = make_account()
        self.sender_id = make_sender(self.account, self.simulator.url, FAST)
        people.prepare(self.account)
        with account_scope(self.account.id, COMMAND):
            (channel,) = channels.listing()
        program = str(Path(sys.executable).with_name("clarion"))
        self.port = ground.free_port()
        self.url = f"http://127.0.0.1:{self.port}/in/whatsapp_cloud/{channel.id}"
        land.start(program, "web", "--port", str(self.port))
        for number in range(WORKERS):
            land.start(program, "worker", *(["--relay"] if number == 0 else []))
        ground.until(self._up, 60, "the web process did not start")
        self.order: UUID | None = None
        self.numbers: list[str] = []

    def pause(self) -> float:
        """Pause while it is being sent; how long messages left after that, in seconds."""
        import people

        if self.order is None:
            self.order, self.numbers = people.real(
                self.account, self.sender_id, RECIPIENTS, 60_000_000
            )
        else:
            people.resume(self.account, self.order)
        self._sends(AT_LEAST)
        people.pause(self.account, self.order)
        return self._last_after(time.time())

    def cancel(self) -> float:
        """Cancel while it is being sent; how long messages left after that, in seconds."""
        import people

        assert self.order is not None
        people.resume(self.account, self.order)
        self._sends(AT_LEAST)
        people.cancel(self.account, self.order)
        left = self._last_after(time.time())
        assert people.states(self.account, self.order)["cancelled"] > 0, "all had left"
        return left

    def stops(self) -> tuple[list[float], int]:
        """Post STOP for people whose message is about to leave.

        Returns how long after the STOP each message left that still did, and for how many
        people none did.
        """
        import people

        people.pace(self.account, self.sender_id, RATE_PER_S)
        order, numbers = people.real(
            self.account, self.sender_id, RATE_PER_S * 6, 61_000_000
        )
        self._sends(RATE_PER_S)
        gone = self._arrived()
        waiting = [number for number in numbers if number not in gone]
        chosen = random.Random(1).sample(waiting, STOPS)
        said = asyncio.run(self._say_stop(chosen))
        ground.until(lambda: people.waiting(self.account, order) == 0, 120, "not all left")
        time.sleep(1.0)
        arrived = self._arrived()
        late = [
            arrived[number] - said[number]
            for number in chosen
            if number in arrived and arrived[number] > said[number]
        ]
        return late, sum(number not in arrived for number in chosen)

    async def _say_stop(self, numbers: list[str]) -> dict[str, float]:
        """Post one STOP after the other over two seconds; when each was said."""
        import bodies

        from clarion_whatsapp_cloud.simulator.caller import Caller

        caller, said = Caller(60), {}
        for n, number in enumerate(numbers):
            body = bodies.inbound(number, "STOP", f"wamid.stop.{n}")
            headers = (
                "Content-Type: application/json\r\n"
                f"X-Hub-Signature-256: {body.signature}\r\n"
            )
            said[number] = time.time()
            status, _ = await caller.call("POST", self.url, body.content, headers)
            assert status == 200, status
            await asyncio.sleep(max(0.0, said[number] + 2.0 / STOPS - time.time()))
        caller.close()
        return said

    def _sends(self, count: int) -> None:
        """Wait until so many more have arrived."""
        known = self._count()
        ground.until(lambda: self._count() >= known + count, 120, "nothing is sent")

    def _last_after(self, moment: float) -> float:
        time.sleep(LOOK_SECONDS)
        return max(0.0, max(one["at"] for one in self.simulator.receipts()) - moment)

    def _arrived(self) -> dict[str, float]:
        """When each person got an offer; the answer to a STOP is none."""
        offers = (one for one in self.simulator.receipts() if one["template"])
        return {f"+{one['to'].lstrip('+')}": one["at"] for one in offers}

    def _count(self) -> int:
        return int(self.simulator.get("stats")["receipts"])

    def _up(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
