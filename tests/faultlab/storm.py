"""A storm: real processes killed in every way while messages leave; receipts are the truth.

    python tests/faultlab/storm.py --messages 100000 --kills 500 [--seed N]

Has servers, a simulator and a home of its own, and proxies in between. Prints one JSON
object; ends with 1 when anybody was written to twice, was lost, or is unexplained.
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
from contextlib import ExitStack, suppress
from pathlib import Path

HERE = Path(__file__).parent
LEASE = 3
WORKERS = 3
ORDER = 2_000
PATIENCE = 300
TOKEN, SECRET, VERIFY = "test-token", "test-secret", "test-verify"
FATES = [
    {"match": {}, "fate": {"answer_delay_ms": 5, "statuses": {"late_ms": 50}}},
    {"match": {"share": 0.05}, "fate": {"answer": "reset_accepted"}},
    {"match": {"share": 0.03}, "fate": {"answer": "error_accepted"}},
    {"match": {"share": 0.02}, "fate": {"answer": "no_id"}},
    {"match": {"share": 0.02}, "fate": {"answer": "reset"}},
    {"match": {"share": 0.02}, "fate": {"answer": "error"}},
    {"match": {"share": 0.03}, "fate": {"answer": "refuse", "code": 131026}},
    {"match": {"share": 0.03}, "fate": {"answer": "refuse", "code": 130429}},
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
        storm = Storm(Path(folder), given, end)
        found = storm.run()
    print(json.dumps(found))
    return 0 if found["ok"] else 1


class Storm:
    """Everything that runs, and the chance that decides what happens to it."""

    def __init__(self, folder: Path, given: argparse.Namespace, end: ExitStack) -> None:
        self.folder, self.given = folder, given
        self.chance = random.Random(given.seed)
        self.done: Counter[str] = Counter()
        self.asleep: dict[int, float] = {}
        self._servers(end)
        self._provider(end)
        self._processes(end)

    # --- what there is

    def _servers(self, end: ExitStack) -> None:
        from urllib.parse import quote

        from proxy import Proxy

        os.environ |= {"CLARION_HOME": str(self.folder / "home"), "CLARION_ENV": "test"}
        for name in ("CLARION_DATABASE_URL", "CLARION_DATABASE_OWNER_URL"):
            os.environ.pop(name, None)
        from clarion import boot
        from clarion.base import db, migrate, services, settings
        from clarion.plugging.manager import histories

        settings.settings.cache_clear()
        self.servers = services.start(self.folder / "home")
        end.callback(self.servers.remove)
        settings.settings.cache_clear()
        db.reset_engine()
        owner = migrate.owner_engine()
        migrate.Histories(histories()).upgrade(owner)
        owner.dispose()
        boot.boot()
        ways = self.folder / "ways"
        ways.mkdir()
        real = self.servers.sockets
        self.to_database = Proxy(str(real / ".s.PGSQL.5432"), str(ways / ".s.PGSQL.5432"))
        self.to_broker = Proxy(str(real / "valkey.sock"), str(ways / "valkey.sock"))
        self.database_url = self.servers.database_url.replace(
            quote(str(real), safe="/"), quote(str(ways), safe="/")
        )
        self.redis_url = f"unix://{quote(str(ways / 'valkey.sock'))}"
        end.callback(self.to_database.close)
        end.callback(self.to_broker.close)

    def _provider(self, end: ExitStack) -> None:
        from proxy import Proxy

        from clarion.testing.simulator import Simulator

        words = ("--any-template", "--token", TOKEN, "--waba", "9900", "--read-share", "0")
        self.simulator = Simulator.start(self.folder, *words)
        end.callback(self.simulator.stop)
        self.to_provider = Proxy(self.simulator.port)
        self.to_web = Proxy(free_port())
        end.callback(self.to_provider.close)
        end.callback(self.to_web.close)

    def _processes(self, end: ExitStack) -> None:
        from lab import Lab, Nursery

        from clarion.tenancy.scope import account_scope
        from clarion.testing.factories import make_account

        env = os.environ | {
            "CLARION_DATABASE_URL": self.database_url,
            "CLARION_REDIS_URL": self.redis_url,
            "CLARION_HTTP_ALLOW": f"127.0.0.1:{self.to_provider.address}",
            "CLARION_LEASE_SECONDS": str(LEASE),
            "CLARION_LOG_LEVEL": "warning",
        }
        nursery = Nursery(env)
        end.callback(nursery.close)
        account = make_account()
        end.enter_context(account_scope(account.id, account.actor))
        url = f"http://127.0.0.1:{self.to_provider.address}"
        provider = Provider(self.simulator, url)
        self.lab = Lab(account, provider, nursery, self.folder, seed=self.given.seed)
        self.lab.pace(self.given.rate)
        end.callback(self._end_all)
        self.web = self._start_web()
        self._call_back_to_web()

    def _start_web(self) -> int:
        return self.lab.nursery.fork(
            {}, self.folder / "web.log", deed=["web", "", str(self.to_web.target)]
        )

    def _call_back_to_web(self) -> None:
        from sqlalchemy import select

        from clarion.base import db
        from clarion.messaging import channels
        from clarion.messaging.models import Channel

        with db.transaction() as orm:
            channel = orm.scalar(select(Channel))
            secrets = channels.opened(channel).secrets
        url = f"http://127.0.0.1:{self.to_web.address}/in/whatsapp_cloud/{channel.id}"
        what = {name: secrets[name] for name in ("app_secret", "verify_token")}

        def told() -> bool:
            with suppress(OSError):
                return self.simulator.post("callback", url=url, **what)["verified"]
            return False

        self.lab.until(told, what="the intake", seconds=60)

    def _end_all(self) -> None:
        for pid in [*self.lab.workers]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.web, signal.SIGKILL)

    # --- what happens

    def run(self) -> dict[str, object]:
        """Send, kill, wait for the end, judge."""
        given, lab = self.given, self.lab
        self.simulator.post("rules", rules=FATES)
        for _ in range(WORKERS):
            lab.start()
        began = time.monotonic()
        left = given.messages
        while left > 0:
            lab.order(min(ORDER, left))
            left -= ORDER
        for kill in range(given.kills):
            share = (kill + self.chance.random()) / (given.kills + 1)
            self._wake()
            lab.until(
                lambda s=share: self._waiting() <= given.messages * (1 - s),
                what=f"kill {kill}",
                seconds=PATIENCE,
            )
            self._strike()
        self._wake(everybody=True)
        lab.until(self._settled, what="the end", seconds=PATIENCE)
        lab.until(self._told, what="the last status", seconds=PATIENCE)
        return self._judged(time.monotonic() - began)

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
        self.asleep.pop(pid, None)
        os.kill(pid, signal.SIGKILL)
        self.lab.ended(pid)
        self.lab.start()

    def suspend_worker(self) -> None:
        pid = self.chance.choice(self.lab.workers)
        os.kill(pid, signal.SIGSTOP)
        self.asleep[pid] = time.monotonic() + self.chance.random() * 2 * LEASE

    def stop_worker(self) -> None:
        pid = self.chance.choice([p for p in self.lab.workers if p not in self.asleep])
        os.kill(pid, signal.SIGTERM)
        self.lab.start()
        if self.lab.ended(pid, 40) is None:
            raise AssertionError("a worker did not end when asked to")

    def kill_web(self) -> None:
        os.killpg(self.web, signal.SIGKILL)
        self.lab.ended(self.web)
        self.web = self._start_web()

    def flush_broker(self) -> None:
        from redis import Redis

        with Redis.from_url(self.servers.redis_url) as broker:
            broker.flushall()

    def kill_broker(self) -> None:
        self._kill_server("valkey", signal.SIGKILL)

    def kill_database(self) -> None:
        self._kill_server("postgres", signal.SIGKILL)

    def crash_database(self) -> None:
        """What a crash of one backend does: all sessions end, the log is replayed."""
        self._kill_server("postgres", signal.SIGQUIT)

    def cut_provider(self) -> None:
        self.to_provider.cut()

    def stall_provider(self) -> None:
        self.to_provider.stall(1 + self.chance.random() * 2)

    def drip_provider(self) -> None:
        self.to_provider.drip(1)

    def cut_database(self) -> None:
        self.to_database.refuse(self.chance.random())

    def stall_database(self) -> None:
        self.to_database.stall(1 + self.chance.random() * 2)

    def cut_broker(self) -> None:
        self.to_broker.refuse(self.chance.random())

    def _kill_server(self, name: str, how: signal.Signals) -> None:
        from clarion.base import db, servers

        server = self.servers._found.known[name]
        pid = server.pid()
        assert pid is not None
        os.kill(pid, how)
        while server.pid() is not None:
            time.sleep(0.01)
        server.launch()
        servers.await_up(server)
        if name == "postgres":
            db.engine().dispose()

    def _wake(self, *, everybody: bool = False) -> None:
        for pid, due in list(self.asleep.items()):
            if everybody or time.monotonic() >= due:
                del self.asleep[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    # --- how it stands

    def _tally(self) -> Counter[str]:
        from sqlalchemy.exc import DBAPIError

        from clarion.base import db

        self._wake()
        while True:
            try:
                return self.lab.tally()
            except DBAPIError:  # it was killed a moment ago
                db.engine().dispose()
                time.sleep(0.05)

    def _waiting(self) -> int:
        tally = self._tally()
        assert tally.total() == self.lab.people, "the sum of all states is the snapshot"
        return tally["queued"] + tally["claimed"]

    def _settled(self) -> bool:
        tally = self._tally()
        return not tally["queued"] + tally["claimed"] + tally["dispatching"]

    def _told(self) -> bool:
        """Whether every status that comes at all has been applied."""
        return not self.simulator.get("stats")["pending"] and not self._unapplied()

    def _unapplied(self) -> int:
        from sqlalchemy import text

        from clarion.base import db

        with db.transaction() as orm:
            return orm.scalar(
                text("SELECT count(*) FROM webhook_inbox WHERE applied_at IS NULL")
            )

    def _judged(self, seconds: float) -> dict[str, object]:
        receipts, rows = self.lab.receipts(), self.lab.rows()
        twice = sum(1 for n in receipts.values() if n > 1)
        known = {row.id.hex for row in rows}
        states = Counter(row.state for row in rows)
        wrong = [
            (row.state, row.reason, row.attempts, receipts[row.id.hex])
            for row in rows
            if not explained(row, receipts[row.id.hex])
        ]
        lost = self.lab.people - len({row.contact_id for row in rows}) + len(wrong)
        return {
            "ok": not twice and not lost and set(receipts) <= known,
            "seed": self.given.seed,
            "messages": self.lab.people,
            "kills": dict(self.done),
            "duplicates": twice,
            "lost": lost,
            "wrong": [list(map(str, one)) for one in wrong[:10]],
            "unknown": states["unknown"],
            "quarantined": sum(row.reason == "quarantined" for row in rows),
            "states": dict(states),
            "receipts": sum(receipts.values()),
            "seconds": round(seconds, 1),
        }


class Provider:
    """The simulator, reached through the proxy."""

    def __init__(self, simulator: object, url: str) -> None:
        self._simulator, self.url = simulator, url

    def __getattr__(self, name: str) -> object:
        return getattr(self._simulator, name)


def explained(row: object, receipts: int) -> bool:
    """Whether a row's end agrees with what the person got."""
    if row.state in ("accepted", "sent", "delivered", "read"):
        return receipts == 1
    if row.state in ("unknown", "needs_decision"):
        return row.reason in ("no_answer", "") and row.attempts >= 1
    return row.state in ("failed", "suppressed", "cancelled") and not receipts


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    raise SystemExit(main())
