"""A storm: real processes killed in every way while messages leave; receipts are the truth.

    python tests/faultlab/storm.py --messages 100000 --kills 500 [--seed N]

In the middle the whole machine is lost and an older backup is restored. Has servers, a
simulator and a home of its own, and proxies in between. Prints one JSON object; ends with 1
when anybody was written to twice or against a STOP, was lost, or is unexplained, or when a
counter was ever wrong.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from rescue import Rescue
from stage import LEASE, PATIENCE, Stage

WORKERS = 3
ORDER = 2_000
LOOK = 0.2  # seconds between two looks at how far it is
HELD = {"hold": True}
# a provider that loses more of its answers than this is sent to one by one
FATES = [
    {"match": {}, "fate": {"answer_delay_ms": 5, "statuses": {"late_ms": 50}}},
    {"match": {"share": 0.15}, "fate": {"statuses": HELD}},
    {"match": {"share": 0.01}, "fate": {"answer": "reset_accepted"}},
    {"match": {"share": 0.006}, "fate": {"answer": "error_accepted"}},
    {"match": {"share": 0.004}, "fate": {"answer": "no_id"}},
    {"match": {"share": 0.005}, "fate": {"answer": "reset"}},
    {"match": {"share": 0.005}, "fate": {"answer": "error"}},
    {"match": {"share": 0.03}, "fate": {"answer": "refuse", "code": 131026}},
    {"match": {"share": 0.01}, "fate": {"answer": "refuse", "code": 130429}},
    {"match": {"share": 0.10}, "fate": {"statuses": {"times": 2, "shuffle": True}}},
    {"match": {"share": 0.03}, "fate": {"statuses": {"never": True}}},
]


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--messages", type=int, default=300)
    asked.add_argument("--kills", type=int, default=12)
    asked.add_argument("--rate", type=int, default=100_000)
    asked.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = asked.parse_args()
    print(f"storm: seed {given.seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="clarion-storm-") as folder, ExitStack() as end:
        Path(folder).chmod(0o755)
        stage = Stage(Path(folder), end, seed=given.seed, rate=given.rate)
        found = Storm(stage, given).run()
    print(json.dumps(found))
    return 0 if found["ok"] else 1


class Storm:
    """The chance that decides what happens, and the judgement afterwards."""

    def __init__(self, stage: Stage, given: argparse.Namespace) -> None:
        self.stage, self.lab, self.given = stage, stage.lab, given
        self.chance = random.Random(given.seed)
        self.done: Counter[str] = Counter()
        self.rescue = Rescue(stage)
        self.clicks = self.reads = 0
        self.miscounted: list[Any] = []
        self.began = self.looked = time.monotonic()

    # --- what happens

    def run(self) -> dict[str, Any]:
        """Send, kill, lose everything, restore, go on; wait for the end, judge."""
        messages, kills, rescue = self.given.messages, self.given.kills, self.rescue
        self.stage.simulator.post("rules", rules=FATES)
        self._start_workers()
        early = messages - messages // 2
        rescue.pause_some(max(4, early // 20))
        self._order(early - rescue.waiting)
        self._rage(kills // 4, leave=0.55)
        rescue.keep()
        rescue.move_on(max(4, messages // 100), stops=max(4, min(100, messages // 1000)))
        self._rage(kills // 4, leave=0.25)
        self._say("everything is lost")
        rescue.lose_everything()
        self._start_workers()
        self._order(messages // 2)
        self.kill_worker()
        rescue.still_shut()
        rescue.let_late_events_come(self._told)
        rescue.open_again()
        self._say("the backup is restored")
        later = kills - 2 * (kills // 4)
        self._rage(later // 3, leave=0.7)
        rescue.decide()
        self._rage(later - later // 3, leave=0.0)
        self._say("the storm is over")
        self.stage.wake(everybody=True)
        self._until(self._settled, "the end")
        self.stage.simulator.post("release")
        self._until(self._told, "the last status")
        return self._judged(time.monotonic() - self.began)

    def _start_workers(self) -> None:
        for _ in range(WORKERS):
            self.lab.start()

    def _order(self, size: int) -> None:
        for first in range(0, size, ORDER):
            self.lab.order(min(ORDER, size - first))

    def _rage(self, kills: int, leave: float) -> None:
        """Strike so often while a share of what waits now goes out; `leave` stays."""
        whole = self._waiting()
        for kill in range(kills):
            share = (1 - leave) * (kill + self.chance.random()) / (kills + 1)
            self._until(
                lambda s=share: self._waiting() <= whole * (1 - s),
                f"kill {kill} of {kills}",
            )
            self._strike()
            if self.done.total() % 50 == 0:
                self._say(f"{self.done.total()} strikes, {self._waiting()} waiting")

    def _say(self, what: str) -> None:
        seconds = time.monotonic() - self.began
        print(f"storm: {seconds:4.0f} s: {what}", file=sys.stderr, flush=True)

    def _strike(self) -> None:
        kinds = {
            self.kill_worker: 40,
            self.suspend_worker: 8,
            self.stop_worker: 6,
            self.kill_web: 10,
            self.flush_broker: 4,
            self.kill_broker: 5,
            self.kill_database: 4,
            self.crash_database: 3,
            self.kill_machine: 2,
            self.cut_provider: 5,
            self.stall_provider: 3,
            self.drip_provider: 2,
            self.cut_database: 4,
            self.stall_database: 3,
            self.cut_broker: 3,
        }
        kind = self.chance.choices(list(kinds), list(kinds.values()))[0]
        kind()
        self.done[kind.__name__] += 1

    def kill_worker(self) -> None:
        pid = self.chance.choice(self.lab.workers)
        self.stage.asleep.pop(pid, None)
        os.kill(pid, signal.SIGKILL)
        self.lab.ended(pid)
        self.lab.start()

    def suspend_worker(self) -> None:
        pid = self.chance.choice(self.lab.workers)
        os.kill(pid, signal.SIGSTOP)
        self.stage.asleep[pid] = time.monotonic() + self.chance.random() * 2 * LEASE

    def stop_worker(self) -> None:
        pid = self.chance.choice(
            [p for p in self.lab.workers if p not in self.stage.asleep]
        )
        os.kill(pid, signal.SIGTERM)
        self.lab.start()
        # meanwhile sleepers wake: one may hold a lock that this one waits for
        self._until(lambda: self.lab.ended(pid, 0.2) is not None, "the end of a worker")

    def kill_web(self) -> None:
        self.stage.kill_web()
        self.stage.start_web()

    def flush_broker(self) -> None:
        from redis import Redis

        with Redis.from_url(self.stage.servers.redis_url) as broker:
            broker.flushall()

    def kill_broker(self) -> None:
        self.stage.kill_server("valkey", signal.SIGKILL)

    def kill_database(self) -> None:
        self.stage.kill_server("postgres", signal.SIGKILL)

    def crash_database(self) -> None:
        """What a crash of one backend does: all sessions end, the log is replayed."""
        self.stage.kill_server("postgres", signal.SIGQUIT)

    def kill_machine(self) -> None:
        """What a power cut does: everything of ours ends at once, and comes back."""
        self.stage.kill_workers()
        self.stage.kill_web()
        self.stage.kill_server("valkey", signal.SIGKILL)
        self.stage.kill_server("postgres", signal.SIGKILL)
        self._start_workers()
        self.stage.start_web()

    def cut_provider(self) -> None:
        self.stage.to_provider.cut()

    def stall_provider(self) -> None:
        self.stage.to_provider.stall(1 + self.chance.random() * 2)

    def drip_provider(self) -> None:
        self.stage.to_provider.drip(1)

    def cut_database(self) -> None:
        self.stage.to_database.refuse(self.chance.random())

    def stall_database(self) -> None:
        self.stage.to_database.stall(1 + self.chance.random() * 2)

    def cut_broker(self) -> None:
        self.stage.to_broker.refuse(self.chance.random())

    # --- how it stands

    def _until(self, true: Any, what: str) -> None:
        """Wait for something, as long as anything moves at all."""

        def looked() -> bool:
            self.stage.wake()
            if time.monotonic() - self.looked > 1:
                self.looked = time.monotonic()
                self._answered(self._read_counters)
                self._answered(self._resume)
            return true()

        self.lab.until(looked, what=what, seconds=PATIENCE, look=LOOK)

    def _answered(self, ask: Any) -> Any:
        """Ask the database until it answers: it was killed a moment ago."""
        from sqlalchemy.exc import DBAPIError

        from clarion.base import db

        while True:
            try:
                return ask()
            except DBAPIError:
                db.engine().dispose()
                time.sleep(0.05)

    def _tally(self) -> Counter[str]:
        return self._answered(self.lab.tally)

    def _waiting(self) -> int:
        tally = self._tally()
        rest = self.rescue.waiting if not self.rescue.over else 0
        return tally["queued"] + tally["claimed"] - rest

    def _settled(self) -> bool:
        tally = self._tally()
        return not tally["queued"] + tally["claimed"] + tally["dispatching"]

    def _told(self) -> bool:
        """Whether every status that comes at all has been applied."""
        pending = self.stage.simulator.get("stats")["pending"]
        return not pending and not self._answered(self._unapplied)

    def _unapplied(self) -> int:
        from sqlalchemy import text

        from clarion.base import db

        with db.transaction() as orm:
            return orm.scalar(
                text("SELECT count(*) FROM webhook_inbox WHERE applied_at IS NULL")
            )

    def _resume(self) -> None:
        """Click "resume", as a person does, where a breaker has stopped sending."""
        from sqlalchemy import select

        from clarion.base import db
        from clarion.messaging import breakers, orders
        from clarion.messaging.models import Campaign

        with db.transaction() as orm:
            if not breakers.standing():
                return
            stopped = (
                Campaign.state.in_(("running", "pausing", "paused")),
                Campaign.state_reason != "paused_by_person",
            )
            for order in orm.scalars(select(Campaign.id).where(*stopped)).all():
                if breakers.resume(order):
                    self.clicks += 1
                    orders.go_on(order)

    def _read_counters(self) -> None:
        """Read an order's counters as its page does; count its rows in the same snapshot."""
        from sqlalchemy import text

        from clarion.base import db
        from clarion.messaging import orders

        order = random.choice(self.lab.orders)
        query = text(
            "SELECT state, count(*) FROM message"
            " WHERE account_id = :account AND campaign_id = :order GROUP BY state"
        )
        with db.transaction() as orm:
            orm.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            shown = orders.progress(order)
            given = {"account": self.lab.account.id, "order": order}
            rows = Counter(dict(orm.execute(query, given).all()))
        self.reads += 1
        counted = {
            "total": rows.total(),
            "queued": rows["queued"] + rows["claimed"],
            "in_flight": rows["dispatching"],
            "on_the_way": rows["accepted"] + rows["sent"],
        }
        same = ("delivered", "read", "failed", "unknown", "needs_decision", "suppressed",
                "cancelled", "expired", "held")  # fmt: skip
        counted |= {state: rows[state] for state in same}
        if any(getattr(shown, name) != count for name, count in counted.items()):
            self.miscounted.append([str(shown), counted])

    # --- the judgement

    def _judged(self, seconds: float) -> dict[str, Any]:
        lab = self.lab
        receipts, rows = lab.receipts(), lab.rows()
        numbers = Counter(one["to"] for one in self.stage.simulator.receipts())
        states = Counter(row.state for row in rows)
        wrong = [
            (row.state, row.reason, row.attempts, receipts[row.id.hex])
            for row in rows
            if not self._explained(row, receipts[row.id.hex])
        ]
        unknown = [row for row in rows if row.state in ("unknown", "needs_decision")]
        found = {
            "duplicates": sum(1 for n in numbers.values() if n > 1),
            "lost": lab.people - len({row.contact_id for row in rows}) + len(wrong),
            "against_a_stop": self.rescue.disregarded(),
            "counters_wrong": len(self.miscounted),
            "quarantined": sum(row.reason == "quarantined" for row in rows),
        }
        return {
            "ok": not any(found.values()),
            "seed": self.given.seed,
            "messages": lab.people,
            "strikes": self.done.total(),
            **found,
            "wrong": [list(map(str, one)) for one in wrong[:10]],
            "miscounted": self.miscounted[:3],
            "counters_read": self.reads,
            "unknown": len(unknown),
            "unknown_that_arrived": sum(receipts[row.id.hex] for row in unknown),
            "states": dict(states),
            "receipts": sum(receipts.values()),
            "restore": self.rescue.found,
            "resumed_by_a_person": self.clicks,
            "kills": dict(self.done),
            "seconds": round(seconds, 1),
        }

    def _explained(self, row: Any, receipts: int) -> bool:
        """Whether a row's end agrees with what the person got."""
        if row.state in ("accepted", "sent", "delivered", "read"):
            return receipts == 1
        if row.state in ("unknown", "needs_decision"):
            return row.reason in ("no_answer", "restored", "") and row.attempts >= 1
        if row.state == "failed" and row.reason == "outcome_unknown":
            return True  # two people have left it, because nobody can know
        if row.state == "suppressed" and row.address in self.rescue.stopped:
            return True  # may have got it before the STOP, which came after the backup
        return row.state in ("failed", "suppressed", "cancelled") and not receipts


if __name__ == "__main__":
    raise SystemExit(main())
