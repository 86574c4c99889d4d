"""The embedded PostgreSQL and Valkey, when no URL is set: a machine with nothing on it.

The first process that calls `start` for a home owns the servers and stops them when it
ends; others find them. After a crash the next start takes over what still runs and
starts what does not. Production refuses them.
"""

import atexit
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from clarion.base import broker, places, servers
from clarion.base.errors import Conflict, Misconfigured
from clarion.base.settings import STATE, Settings, make_home, settings
from clarion.base.telemetry import logger

if TYPE_CHECKING:
    from psycopg import Connection

log = logger(__name__)

BOTH = ("postgres", "valkey")
DATABASE = "clarion"

ROLES = """
DO $$ BEGIN
  CREATE ROLE clarion_owner LOGIN;
  CREATE ROLE clarion LOGIN NOINHERIT;
  CREATE ROLE clarion_app NOLOGIN;
  CREATE ROLE clarion_staff NOLOGIN;
  CREATE ROLE clarion_system NOLOGIN;
  GRANT clarion_app, clarion_staff, clarion_system TO clarion;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
DO $$ BEGIN  -- came later: servers of before have the others
  CREATE ROLE clarion_watch NOLOGIN;
  GRANT clarion_watch TO clarion;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$
"""


@dataclass(frozen=True, slots=True)
class Urls:
    """One database, as each of the three roles that may sign in to it reaches it."""

    database_url: str
    owner_url: str
    superuser_url: str


class Running:
    """Servers that answer. As a context manager, stops at the end what this process owns.

    Attributes:
        owned: whether this process is the one that stops them.
        folder: where their data and logs are.
        database_url: as `clarion`, the role without rights; empty without PostgreSQL.
        owner_url: as `clarion_owner`, for migrations.
        superuser_url: as the server's master, for tests and `fresh_database`.
        redis_url: the broker; empty without Valkey.
    """

    def __init__(self, home: Path, found: "_Found", hold: int | None) -> None:
        self.home, self.folder = home, found.where.folder
        self.database_url, self.owner_url, self.superuser_url = "", "", ""
        up = found.answering()
        if "postgres" in up:
            urls = _urls(found.where.sockets, DATABASE)
            self.database_url, self.owner_url = urls.database_url, urls.owner_url
            self.superuser_url = urls.superuser_url
        where = quote(str(found.where.sockets / "valkey.sock"))
        self.redis_url = f"unix://{where}" if "valkey" in up else ""
        self._found, self._hold, self._process = found, hold, os.getpid()
        self._began = hold is not None

    @property
    def owned(self) -> bool:
        return self._hold is not None and self._process == os.getpid()

    @property
    def sockets(self) -> Path:
        return self._found.where.sockets

    def stop(self) -> None:
        """Stop the servers if this process owns them; else, and in a forked child, nothing."""
        if not self.owned:
            return
        with _working(self.home):
            self._found.stop()
            (self.home / STATE).unlink(missing_ok=True)
            _let_go(self._hold)
            self._hold = None
        atexit.unregister(self.stop)
        forget()

    def remove(self) -> None:
        """Stop the servers and delete their data, if this process began them."""
        if self._began and self._process == os.getpid():
            self.stop()
            remove(self.home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()


def start(home: Path | None = None, *, only: Collection[str] = BOTH) -> Running:
    """Start the servers of a home, or find them; returns when they answer.

    Args:
        home: whose servers; those of the settings when left out.
        only: `postgres`, `valkey` or both.

    Raises `Misconfigured` in production, and when a server cannot run here.
    """
    conf = settings()
    if conf.production:
        raise Misconfigured(
            "servers_refused",
            "The built-in servers are for development: set CLARION_DATABASE_URL and"
            " CLARION_REDIS_URL.",
        )
    home = (home or conf.home).absolute()
    make_home(home)
    with _working(home):
        hold = _take(home / "servers.lock")
        try:
            found = _Found(home)
            found.start(only)
        except BaseException:
            _let_go(hold)
            raise
        running = Running(home, found, hold)
        _tell(running)
    if running.owned:
        atexit.register(running.stop)
        _stop_on_sigterm()
    forget()
    log.info("servers.up", owned=running.owned, folder=str(running.folder))
    return running


def ensure() -> Running | None:
    """Start or find what the settings leave to us; None when both addresses are set."""
    conf = Settings()
    missing = [
        name
        for name, url in (("postgres", conf.database_url), ("valkey", conf.redis_url))
        if not url
    ]
    return start(conf.home, only=missing) if missing else None


def remove(home: Path | None = None) -> None:
    """Delete the data of a home's servers, to begin anew.

    Raises `Conflict` while a process owns them.
    """
    home = (home or settings().home).absolute()
    make_home(home)
    with _working(home):
        hold = _take(home / "servers.lock")
        if hold is None:
            raise Conflict(
                "servers_in_use",
                f"Clarion is running on {home}: stop it before beginning anew.",
            )
        try:
            found = _Found(home)
            found.stop()
            places.remove(found.where)
            (home / STATE).unlink(missing_ok=True)
        finally:
            _let_go(hold)
    forget()


def forget() -> None:
    """Drop what was cached about the servers' addresses."""
    settings.cache_clear()
    broker.reset()


def fresh_database(running: Running, name: str, template: str | None = None) -> Urls:
    """Make an empty database with our owner and rights, or a copy of one; for tests.

    One of that name is dropped first. `template` must have no open connection.
    """
    from psycopg import sql

    new, source = sql.Identifier(name), sql.Identifier(template or "template1")
    with _superuser(running.sockets) as connection:
        _drop(connection, name)
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER clarion_owner").format(
                new, source
            )
        )
        _close(connection, name)
    if template is None:
        with _superuser(running.sockets, name) as connection:
            connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    return _urls(running.sockets, name)


def drop_database(running: Running, name: str) -> None:
    """Drop a database, whoever is connected to it."""
    with _superuser(running.sockets) as connection:
        _drop(connection, name)


# --- the servers of one home


class _Found:
    """The servers that a home can have, running or not."""

    def __init__(self, home: Path) -> None:
        self.where = places.place(home)
        programs = places.programs(self.where)
        self.known: dict[str, servers.Server] = {}
        if programs.postgres:
            self.known["postgres"] = servers.Postgres(self.where, programs.postgres)
        if programs.valkey:
            self.known["valkey"] = servers.Valkey(self.where, programs.valkey)

    def start(self, wanted: Collection[str]) -> None:
        down = [one for one in map(self._present, wanted) if not one.answers()]
        try:
            for server in down:
                if server.pid() is None:
                    server.launch()
            for server in down:
                servers.await_up(server)
            if "postgres" in wanted:
                _furnish(self.where)
        except BaseException:
            for server in down:
                server.stop()
            raise

    def answering(self) -> set[str]:
        return {name for name, server in self.known.items() if server.answers()}

    def stop(self) -> None:
        for server in self.known.values():
            server.stop()

    def _present(self, name: str) -> servers.Server:
        if name not in self.known:
            setting = {"postgres": "CLARION_DATABASE_URL", "valkey": "CLARION_REDIS_URL"}
            raise Misconfigured(
                "server_missing",
                f"No {name} is installed: install `clarion[local]`, or set {setting[name]}.",
            )
        return self.known[name]


def _furnish(where: places.Place) -> None:
    """Make roles and database, once: the same as in production."""
    done = where.folder / "furnished-2"  # 2: with the role that looks for misuse
    if done.exists():
        return
    with _superuser(where.sockets) as connection:
        connection.execute(ROLES)
        known = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(known, [DATABASE]).fetchone() is None:
            connection.execute("CREATE DATABASE clarion OWNER clarion_owner")
        _close(connection, DATABASE)
    with _superuser(where.sockets, DATABASE) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    done.touch()


def _close(connection: "Connection[Any]", name: str) -> None:
    """Let nobody but our login role and the owner into a database."""
    from psycopg import sql

    which = sql.Identifier(name)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(which))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO clarion").format(which))


def _drop(connection: "Connection[Any]", name: str) -> None:
    from psycopg import sql

    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    connection.execute(drop.format(sql.Identifier(name)))


def _superuser(sockets: Path, database: str = "postgres") -> "Connection[Any]":
    import psycopg

    return psycopg.connect(
        host=str(sockets), dbname=database, user="postgres", autocommit=True
    )


def _urls(sockets: Path, database: str) -> Urls:
    def url(user: str) -> str:
        place = quote(str(sockets), safe="/")
        return f"postgresql+psycopg://{user}@/{quote(database)}?host={place}"

    return Urls(url("clarion"), url("clarion_owner"), url("postgres"))


# --- one owner, one at work


@contextmanager
def _working(home: Path) -> Iterator[None]:
    """Let one process at a time start or stop the servers of a home."""
    handle = os.open(home / "servers.work", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


_held: set[int] = set()


def _take(path: Path) -> int | None:
    """Become the owner, until `_let_go` or the end of this process; None if there is one."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    _held.add(handle)
    return handle


def _let_go(handle: int | None) -> None:
    if handle in _held:
        _held.discard(handle)
        os.close(handle)


def _after_fork() -> None:
    """A child does not own: closing its copy leaves the parent's lock as it is."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)


def _tell(running: Running) -> None:
    """Write the addresses where `settings` looks for them."""
    state = {
        "database_url": running.database_url,
        "owner_url": running.owner_url,
        "redis_url": running.redis_url,
    }
    part = running.home / f"{STATE}.{os.getpid()}"
    part.write_text(json.dumps({name: url for name, url in state.items() if url}))
    part.replace(running.home / STATE)


def _stop_on_sigterm() -> None:
    """End in the ordinary way on SIGTERM, unless the program decided what it means."""
    ours = threading.current_thread() is threading.main_thread()
    if ours and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)
