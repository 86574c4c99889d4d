"""Where a storm rages: servers, a simulator, the web and workers, and proxies in between."""

import os
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from lab import Lab, Nursery
from proxy import Proxy

LEASE = 3
PATIENCE = 300
TOKEN = "test-token"


class Stage:
    """Everything that runs, in a home of its own; what is done to it is done in `storm`.

    Attributes:
        servers: PostgreSQL and the broker; this process reaches them directly.
        to_database, to_broker, to_provider, to_web: the proxies all others go through.
        lab: the account, its orders, and the workers.
        web: the process that serves the webhook intake.
        asleep: suspended workers, and when they are due to wake.
    """

    def __init__(self, folder: Path, end: ExitStack, *, seed: int, rate: int) -> None:
        self.folder, self.asleep = folder, {}
        self._servers(end)
        self._provider(end)
        self._processes(end, seed, rate)

    # --- how it is set up

    def _servers(self, end: ExitStack) -> None:
        from urllib.parse import quote

        os.environ |= {
            "CLARION_HOME": str(self.folder / "home"),
            "CLARION_ENV": "test",
            "CLARION_MARKETING_HOURS": "00:00-24:00",  # storms rage at night too
            "CLARION_MISUSE_RAMP": "30:1000000",  # the same for new accounts
        }
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
        from clarion.testing.simulator import Simulator

        words = ("--any-template", "--token", TOKEN, "--waba", "9900", "--read-share", "0")
        self.simulator = Simulator.start(self.folder, *words)
        end.callback(self.simulator.stop)
        self.to_provider = Proxy(self.simulator.port)
        self.to_web = Proxy(free_port())
        end.callback(self.to_provider.close)
        end.callback(self.to_web.close)

    def _processes(self, end: ExitStack, seed: int, rate: int) -> None:
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
        self.lab = Lab(account, provider, nursery, self.folder, seed=seed)
        self.lab.pace(rate)
        end.callback(self.end_all)
        self.start_web()
        self._call_back_to_web()

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

    # --- its processes

    def start_web(self) -> None:
        """Serve the webhook intake, as `clarion web` does."""
        self.web = self.lab.nursery.fork(
            {}, self.folder / "web.log", deed=["web", "", str(self.to_web.target)]
        )

    def kill_web(self) -> None:
        """SIGKILL the web's processes; just born, it has no group of its own yet."""
        try:
            os.killpg(self.web, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(self.web, signal.SIGKILL)
        self.lab.ended(self.web)

    def kill_workers(self) -> None:
        """SIGKILL every worker, suspended ones too."""
        for pid in list(self.lab.workers):
            self.asleep.pop(pid, None)
            self.lab.kill(pid)

    def end_all(self) -> None:
        """End what still runs, whatever state it is in."""
        for pid in list(self.lab.workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.web, signal.SIGKILL)

    def wake(self, *, everybody: bool = False) -> None:
        """Continue suspended workers whose time has come."""
        for pid, due in list(self.asleep.items()):
            if everybody or time.monotonic() >= due:
                del self.asleep[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    # --- its servers

    def kill_server(self, name: str, how: signal.Signals) -> None:
        """End PostgreSQL or the broker without a word, and start it again."""
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

    def sql(self, statement: str) -> None:
        """Change something as the database server's master."""
        import psycopg

        url = self.servers.superuser_url.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


class Provider:
    """The simulator, reached through the proxy."""

    def __init__(self, simulator: object, url: str) -> None:
        self._simulator, self.url = simulator, url

    def __getattr__(self, name: str) -> object:
        return getattr(self._simulator, name)


def free_port() -> int:
    """Find a port nobody listens on."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
