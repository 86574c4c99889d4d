"""The two servers that Clarion can run itself: PostgreSQL and Valkey, on sockets only.

Each knows how to launch its program, whether it answers, and how to stop it, also when
another process launched it or the one before was killed. Everything is durable as in
production: `fsync`, `synchronous_commit` and the append-only file are on.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from clarion.base.errors import Misconfigured, Unavailable
from clarion.base.places import Place
from clarion.base.telemetry import logger

log = logger(__name__)

LOOK = 0.01
PATIENCE = 300.0  # a recovery after a crash may take its time
STOPPING = 60.0
WHOLE = 1_000_000  # of a log that begins anew with each launch

CONFIGURATION = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_connections": "100",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "max_wal_size": "2GB",
    # besides the process that was asked
    "max_parallel_workers_per_gather": str(min(2, (os.cpu_count() or 2) - 1)),
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements hold personal data
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "%m [%p] ",
}


class Postgres:
    """A PostgreSQL below one place. `folder` is its data, made by the first `launch`."""

    name = "postgres"

    def __init__(self, where: Place, program: Path) -> None:
        self.where, self.program = where, program
        self.folder = where.folder / "postgres"
        self.log = where.folder / "postgres.log"
        self._pid_file = self.folder / "postmaster.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def answers(self) -> bool:
        """Say whether it takes connections."""
        lines = _lines(self._pid_file)
        ready = len(lines) > 7 and lines[7].strip() == "ready"
        return ready and _connects(self.where.sockets / ".s.PGSQL.5432")

    def pid(self) -> int | None:
        """Return the server's process, None when there is none."""
        lines = _lines(self._pid_file)
        return _alive(lines[0], "postgres", str(self.folder)) if lines else None

    def launch(self) -> None:
        """Set the server going; on the very first time make its data. See `await_up`."""
        if not (self.folder / "PG_VERSION").exists():
            self._make_data()
        if self.pid() is None:
            self._pid_file.unlink(missing_ok=True)  # of a process that is gone
        options = CONFIGURATION | {"unix_socket_directories": str(self.where.sockets)}
        settings = [f"--{name}={value}" for name, value in options.items()]
        self._process = _spawn(
            self.where, [str(self.program), "-D", str(self.folder), *settings], self.log
        )

    def ended(self) -> bool:
        """Say whether the process that `launch` began has ended already."""
        return self._process is not None and self._process.poll() is not None

    def may_retry(self) -> bool:
        """Say whether it ended because the one before had not quite gone."""
        said = tail(self.log, WHOLE)  # sessions of the former one may have spoken since
        return "lock file" in said or "shared memory block" in said

    def stop(self) -> None:
        """End it: sessions are cut, what is committed stays."""
        pid = self.pid()
        if pid and not _end(pid, signal.SIGINT, STOPPING):
            log.warning("servers.forced", server=self.name)
            _end(pid, signal.SIGQUIT, STOPPING)

    def _make_data(self) -> None:
        """Run initdb beside the final name, so that half a cluster is never used."""
        part = self.folder.with_name("postgres.part")
        shutil.rmtree(part, ignore_errors=True)
        made = _run(
            self.where,
            [
                str(self.program.with_name("initdb")),
                f"--pgdata={part}",
                "--username=postgres",
                "--auth=trust",  # the socket's folder is closed to everybody else
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--data-checksums",
            ],
        )
        if made.returncode:
            raise Misconfigured("server_failed", f"initdb failed: {made.stdout[-1500:]}")
        part.rename(self.folder)


class Valkey:
    """A Valkey (or Redis) below one place."""

    name = "valkey"

    def __init__(self, where: Place, program: Path) -> None:
        self.where, self.program = where, program
        self.folder = where.folder / "valkey"
        self.log = where.folder / "valkey.log"
        self.socket = where.sockets / "valkey.sock"
        self._pid_file = where.sockets / "valkey.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def answers(self) -> bool:
        """Say whether it has read its data and answers."""
        return _asks(self.socket, b"PING\r\n").startswith(b"+PONG")

    def pid(self) -> int | None:
        """Return the server's process, None when there is none."""
        lines = _lines(self._pid_file)
        return _alive(lines[0], "valkey-server", "redis-server") if lines else None

    def launch(self) -> None:
        """Set the server going. See `await_up`."""
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            if self.where.keeper:
                os.chown(self.folder, self.where.keeper.uid, self.where.keeper.gid)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "pidfile": str(self._pid_file),
            "dir": str(self.folder),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = _spawn(self.where, [str(self.program), *words], self.log)

    def ended(self) -> bool:
        """Say whether the process that `launch` began has ended already."""
        return self._process is not None and self._process.poll() is not None

    def may_retry(self) -> bool:
        """Nothing of a former one can be in the way."""
        return False

    def stop(self) -> None:
        """End it; it writes what it holds first."""
        pid = self.pid()
        if pid and not _end(pid, signal.SIGTERM, STOPPING):
            log.warning("servers.forced", server=self.name)
            _end(pid, signal.SIGKILL, STOPPING)


Server = Postgres | Valkey


def await_up(server: Server) -> None:
    """Wait until a launched server answers; launch it again where the former one lingers.

    Raises `Misconfigured` with the end of its log when it gives up, `Unavailable` when it
    is still not there after five minutes.
    """
    begun = time.monotonic()
    told = False
    while not server.answers():
        waited = time.monotonic() - begun
        if server.ended():
            if not server.may_retry() or waited > STOPPING:
                raise Misconfigured(
                    "server_failed", f"{server.name} does not start:\n{tail(server.log)}"
                )
            time.sleep(10 * LOOK)
            server.launch()
        if waited > PATIENCE:
            raise Unavailable("server_slow", f"{server.name} still does not answer.")
        if waited > 10 and not told:
            told = True
            log.warning("servers.waiting", server=server.name, log=str(server.log))
        time.sleep(LOOK)


def tail(path: Path, size: int = 1500) -> str:
    """Return the end of a log file, empty when there is none."""
    try:
        return path.read_bytes()[-size:].decode(errors="replace")
    except OSError:
        return ""


# --- processes


def _spawn(where: Place, words: list[str], log_file: Path) -> subprocess.Popen[bytes]:
    """Start a program as the servers' user, in a session of its own: Ctrl-C is not for it."""
    log_file.write_bytes(b"")
    with log_file.open("ab") as out:  # whoever still writes into it does so at its end
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **_as_keeper(where),
        )
    # Somebody must collect it when it ends: a zombie would pass for a running server.
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return process


def _run(where: Place, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **_as_keeper(where),
    )


def _as_keeper(where: Place) -> dict[str, Any]:  # Any: keywords of Popen, of many types
    words: dict[str, Any] = {
        "cwd": where.folder,
        "umask": 0o077,
        "env": {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    }
    if where.keeper:
        words |= {"user": where.keeper.uid, "group": where.keeper.gid, "extra_groups": []}
    return words


def _alive(pid: str, *names: str) -> int | None:
    """Return the number of a process that runs and has one of these words in its command."""
    if not pid.strip().isdigit():
        return None
    number = int(pid)
    command = _command(number)
    return number if any(name in command for name in names) else None


def _command(pid: int) -> str:
    """Return a process's command line; empty when it is gone or only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        if Path("/proc/self").exists():
            return ""
    told = subprocess.run(
        ["ps", "-p", str(pid), "-o", "stat=,command="],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return "" if told.startswith("Z") else told


def _end(pid: int, how: signal.Signals, seconds: float) -> bool:
    """Signal a process and wait for its end; say whether it came."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return True
    end = time.monotonic() + seconds
    while _command(pid):
        if time.monotonic() > end:
            return False
        time.sleep(LOOK)
    return True


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(2)
        return one.connect_ex(str(path)) == 0


def _asks(path: Path, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(2)
        try:
            one.connect(str(path))
            one.sendall(question)
            return one.recv(256)
        except OSError:
            return b""
