"""Child processes: started, watched, started again when they die, stopped to the last one.

Each child leads a process group of its own, so that Ctrl-C reaches only us and a stop
reaches its children too. When we are killed, Linux ends the children by itself.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Self

LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 25.0
QUICK_SECONDS = 5.0  # a child that lived shorter waits before it is started again
LONGEST_WAIT = 30.0
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """One process to keep alive.

    Attributes:
        name: as messages and log files call it.
        words: its command line.
        env: its whole environment; ours when None.
        log: file its output is appended to; ours when None.
    """

    name: str
    words: Sequence[str]
    env: Mapping[str, str] | None = None
    log: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None
    began: float = 0.0
    due: float = 0.0
    wait: float = 0.5

    def alive(self) -> bool:
        """Say whether it runs now."""
        return self.process is not None and self.process.poll() is None


class Children:
    """Several children. As a context manager, stops them all at the end."""

    def __init__(self, said: Callable[[str], None]) -> None:
        self._said, self._all = said, list[Child]()

    def add(self, child: Child) -> Child:
        """Start a child and watch it from now on."""
        self._start(child)
        self._all.append(child)
        return child

    def look(self) -> list[str]:
        """Start again what died, and say so; one that dies at once waits ever longer.

        Returns the names of those that were started again now.
        """
        now, again = time.monotonic(), list[str]()
        for child in self._all:
            if child.alive():
                continue
            if child.process is not None:
                self._buried(child, now)
            if child.process is None and now >= child.due:
                self._start(child)
                again.append(child.name)
        return again

    def watch(self, stop: threading.Event) -> None:
        """Keep them alive until asked to stop."""
        while not stop.wait(LOOK_SECONDS):
            self.look()

    def stop(self) -> None:
        """End all, the last started first: ask, wait, insist; nothing of them is left."""
        for child in reversed(self._all):
            if child.process is not None and child.alive():
                child.process.terminate()
        end = time.monotonic() + PATIENCE_SECONDS
        for child in self._all:
            if child.process is None:
                continue
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.1, end - time.monotonic()))
            _kill_group(child.process.pid)
            child.process.wait()
        self._all.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, child: Child) -> None:
        child.began = time.monotonic()
        child.process = _spawn(child)

    def _buried(self, child: Child, now: float) -> None:
        assert child.process is not None  # noqa: S101 -- the caller looked
        code = child.process.wait()
        _kill_group(child.process.pid)  # what it had started itself
        quick = now - child.began < QUICK_SECONDS
        child.wait = min(child.wait * 2, LONGEST_WAIT) if quick else 0.5
        child.due, child.process = now + child.wait, None
        how = f"by signal {-code}" if code < 0 else f"with {code}"
        where = f"; see {child.log}" if child.log else ""
        self._said(f"{child.name} ended {how} and is started again{where}")


def asked_to_stop() -> threading.Event:
    """Return an event that SIGTERM, Ctrl-C and a closed terminal set from now on."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ask)
    return stop


def _spawn(child: Child) -> "subprocess.Popen[bytes]":
    out: IO[bytes] | None = None
    if child.log:
        child.log.parent.mkdir(parents=True, exist_ok=True)
        out = child.log.open("ab")
    try:
        return subprocess.Popen(
            list(child.words),
            env=child.env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
            start_new_session=True,
            preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 -- one call into libc
        )
    finally:
        if out:
            out.close()


def _end_with(parent: int) -> Callable[[], Any] | None:
    """Have Linux end the child when its parent is gone, however it went."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it went before we asked
            os._exit(1)

    return ask


def _kill_group(leader: int) -> None:
    """End what is left of a child's group; nothing, when it went in order."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
