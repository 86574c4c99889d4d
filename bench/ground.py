"""What every contender stands on: scratch servers, a simulator, and a look at /proc."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Ground:
    """Servers of one benchmark, in a scratch folder that is gone afterwards."""

    folder: Path
    env: dict[str, str]
    superuser_url: str
    postgres: int
    broker: int
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, *words: str, **env: str) -> "subprocess.Popen[bytes]":
        """Start a program on this ground; its output goes to a file in the folder."""
        log = (self.folder / f"{len(self.started)}.log").open("wb")
        process = subprocess.Popen(
            list(words), env=self.env | env, stdout=log, stderr=subprocess.STDOUT
        )
        self.started.append(process)
        return process

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """Ask a program to end and wait for it."""
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


@contextmanager
def prepared() -> Iterator[Ground]:
    """Start PostgreSQL and Valkey, migrate, and load the program as a worker does."""
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for key in [key for key in os.environ if key.startswith("CLARION_")]:
            del os.environ[key]
        os.environ["CLARION_HOME"] = str(folder / "home")
        os.environ["CLARION_LOG_LEVEL"] = "error"
        os.environ["CLARION_MARKETING_HOURS"] = "00:00-24:00"
        os.environ["CLARION_MISUSE_RAMP"] = "30:1000000"  # accounts here are new and large
        os.environ["CLARION_MISUSE_HOLD_SCORE"] = (
            "100"  # and their numbers are made up in a row
        )
        from clarion.base import db, migrate, services, settings, telemetry
        from clarion.plugging.manager import histories

        settings.settings.cache_clear()
        telemetry.configure(level="error")  # standard output is for the figures
        running = services.start(folder / "home")
        db.reset_engine()
        engine = migrate.owner_engine()
        migrate.Histories(histories()).upgrade(engine)
        engine.dispose()
        found = running._found.known
        pids = found["postgres"].pid(), found["valkey"].pid()
        assert pids[0]
        assert pids[1]
        ground = Ground(folder, dict(os.environ), running.superuser_url, pids[0], pids[1])
        try:
            yield ground
        finally:
            for process in reversed(ground.started):
                ground.stop(process)
            db.reset_engine()
            running.remove()


def python(*words: str) -> list[str]:
    """A command of this Python."""
    return [sys.executable, *words]


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Look until something is true; raises `TimeoutError`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)  # a look costs the simulator, the database and this process time


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# --- /proc


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and all its descendants, the ended ones included."""
    return sum(_own_cpu(one) for one in _family(pid))


def peak_mb(pid: int) -> float:
    """Most memory a process and its children have held, in MB."""
    return sum(_status(one, "VmHWM") for one in _family(pid)) / 1024


def resident_mb(pid: int) -> float:
    """Memory a process and its children hold now, in MB."""
    return sum(_status(one, "VmRSS") for one in _family(pid)) / 1024


def _own_cpu(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11:15])) / TICKS  # its own, and of children it has collected


def _status(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith(name)), 0.0)


def _family(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(words[1])
    family = [pid]
    for one in family:
        family += [child for child, parent in parents.items() if parent == one]
    return family
