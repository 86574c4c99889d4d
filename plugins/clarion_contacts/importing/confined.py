"""Work on a stranger's bytes, done by a child process that can harm nobody.

Whatever parses a customer's file runs here: a process of its own without our environment,
our connections and our keys, with limits on memory, time and files. It gets a file and
an order (JSON), and answers with frames of bytes that the parent takes one by one; memory
is flat on our side. It dies with its parent, and when nobody wants its answer any more.

A fresh interpreter, not a fork: web and worker have threads, and a fork would inherit
every secret they hold.
"""

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any, BinaryIO, cast

from clarion.base import words
from clarion.base.errors import ClarionError, Invalid
from clarion.base.telemetry import logger
from clarion.base.words import _

log = logger(__name__)
Task = Callable[[BinaryIO, Mapping[str, Any]], Iterator[bytes]]
"""A function of a module, by name: a file and an order → frames."""

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
LARGEST_FRAME = 64 * 1024 * 1024
IN_MEMORY = 1 << 20  # a smaller file is handed over in memory
HEAD = 5  # a sign and the length of what follows
BOOT = (
    "import sys; sys.path += [p for p in sys.argv[3:] if p not in sys.path];"
    "from clarion_contacts.importing.confined import child; child(*map(int, sys.argv[1:3]))"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use.

    Attributes:
        memory_mb: address space, all of it.
        cpu_seconds: computing, over its whole life.
        silence_seconds: how long it may keep us waiting for the next frame.
        files: how many it may have open at once; it can write none.
    """

    memory_mb: int = 768
    cpu_seconds: int = 300
    silence_seconds: float = 120.0
    files: int = 32


ORDINARY = Limits()


def frames(
    task: Task,
    given: bytes | BinaryIO,
    order: Mapping[str, Any],
    limits: Limits = ORDINARY,
) -> Iterator[bytes]:
    """Run a task on a file in a child, and give its frames as they come.

    A large file goes over as it is: the child reads from the same place, so that nobody
    holds it in memory. Nobody else may read from it meanwhile. The child starts at the first frame and ends with the iterator. It speaks the language
    that is spoken here. What it raises as `Invalid` is raised here; when it breaks a limit,
    that is `Invalid`, too (`file_too_costly`).
    """
    head = {
        "task": f"{task.__module__}:{task.__qualname__}",
        "order": dict(order),
        "language": words.spoken(),
        "folders": [str(folder) for folder in words.folders()],
        "limits": asdict(limits),
    }
    with _in_memory(json.dumps(head).encode()) as told, _readable(given) as file:
        started = _start(told, file)
    try:
        yield from _heard(started, limits)
    finally:
        started.kill()
        started.wait()
        if started.stdout:
            started.stdout.close()


def only(
    task: Task,
    given: bytes | BinaryIO,
    order: Mapping[str, Any],
    limits: Limits = ORDINARY,
) -> bytes:
    """Run a task that answers in one frame."""
    return b"".join(frames(task, given, order, limits))


# --- the parent's side


def _readable(given: bytes | BinaryIO) -> IO[bytes]:
    """Give the child something it can read, at its beginning."""
    if isinstance(given, bytes):
        return _in_memory(given)
    size = given.seek(0, os.SEEK_END)
    given.seek(0)
    if size <= IN_MEMORY:
        return _in_memory(given.read())
    file = os.fdopen(os.dup(given.fileno()), "rb")
    file.seek(0)
    return file


def _in_memory(raw: bytes) -> IO[bytes]:
    if sys.platform == "linux":
        file: IO[bytes] = os.fdopen(os.memfd_create("clarion-upload"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by whoever asked
    file.write(raw)
    file.seek(0)
    return file


def _start(told: IO[bytes], file: IO[bytes]) -> "subprocess.Popen[bytes]":
    paths = [path for path in sys.path if path]
    given = [str(os.getpid()), str(told.fileno())]
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-X", "utf8", "-c", BOOT, *given, *paths],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a traceback may show cells
        env={},
        cwd="/",
        start_new_session=True,
        pass_fds=[told.fileno()],
    )


def _heard(started: "subprocess.Popen[bytes]", limits: Limits) -> Iterator[bytes]:
    assert started.stdout  # noqa: S101 -- asked for above
    pipe = started.stdout.fileno()
    while True:
        until = time.monotonic() + limits.silence_seconds
        head = _read(pipe, HEAD, until)
        size = int.from_bytes(head[1:], "big")
        if len(head) < HEAD or size > LARGEST_FRAME:
            raise _dead(started)
        body = _read(pipe, size, until)
        if len(body) < size:
            raise _dead(started)
        sign = head[:1]
        if sign == b"d":
            yield body
        elif sign == b"z":
            return
        else:
            raise _refused(json.loads(body))


def _read(pipe: int, size: int, until: float) -> bytes:
    """Read so many bytes; fewer when the child ends or is silent for too long."""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN | select.POLLHUP)
    found = bytearray()
    while len(found) < size:
        left = until - time.monotonic()
        if left <= 0 or not waiting.poll(left * 1000):
            break
        part = os.read(pipe, min(size - len(found), 1 << 20))
        if not part:
            break
        found += part
    return bytes(found)


def _dead(started: "subprocess.Popen[bytes]") -> Exception:
    """Say why no answer comes: it broke a limit, or it could not even start."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.wait(1.0)  # the pipe ends a moment before the process
    ended = started.poll()
    if ended is not None and ended >= 0:
        return RuntimeError(f"the child that reads files ended with {ended}")
    log.warning("contacts.file_too_costly", signal=-ended if ended else 0)
    return too_costly()


def _refused(said: Mapping[str, Any]) -> Invalid:
    if said["code"] == "file_unreadable":
        log.error("contacts.file_unreadable", error=said["error"], place=said["place"])
    return Invalid(said["code"], said["text"], field=said.get("field"))


def too_costly() -> Invalid:
    """Refuse a file that takes more memory or time than any list of people needs."""
    return Invalid(
        "file_too_costly",
        _(
            "Reading this file takes more memory or time than any list needs, so it was "
            "stopped. Save the sheet with the people alone, as CSV, and upload that."
        ),
    )


# --- the child's side


def child(parent: int, told: int) -> None:
    """Be the child: take the order and its limits first, then the file."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print is not a frame
    with os.fdopen(told, "rb") as order:
        head = json.load(order)
    _confine(parent, Limits(**head["limits"]))
    given = cast("BinaryIO", os.fdopen(0, "rb", buffering=0, closefd=False))
    for folder in head["folders"]:
        words.add_folder(Path(folder))
    module, _colon, name = head["task"].partition(":")
    with contextlib.suppress(BrokenPipeError), words.speaking(head["language"]):
        task: Task = getattr(importlib.import_module(module), name)
        _answer(out, task, given, head["order"])
    os._exit(0)  # nothing to tidy up, and nothing of a broken pipe to say


def _answer(out: IO[bytes], task: Task, given: BinaryIO, order: Mapping[str, Any]) -> None:
    try:
        for frame in task(given, order):
            _put(out, b"d", frame)
        _put(out, b"z")
    except BrokenPipeError:
        raise
    except ClarionError as refused:
        _put_error(out, code=refused.code, text=refused.text, field=refused.field)
    except MemoryError:
        costly = too_costly()
        _put_error(out, code=costly.code, text=costly.text)
    except Exception as error:
        _put_error(
            out,
            code="file_unreadable",
            text=_("This file is damaged or not what it seems. Save it anew as CSV."),
            error=type(error).__name__,
            place=_place(error),
        )


def _put(out: IO[bytes], sign: bytes, body: bytes = b"") -> None:
    out.write(sign + len(body).to_bytes(4, "big"))
    out.write(body)
    out.flush()


def _put_error(out: IO[bytes], **said: Any) -> None:
    _put(out, b"e", json.dumps(said).encode())


def _place(error: BaseException) -> str:
    """Where it was raised: file and line, never a value."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    return f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at else ""


def _confine(parent: int, limits: Limits) -> None:
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it went before we asked
        os._exit(1)
    import resource  # slow import

    memory = limits.memory_mb * 1024 * 1024
    _limit(resource, "RLIMIT_AS", memory, memory)
    _limit(resource, "RLIMIT_CPU", limits.cpu_seconds, limits.cpu_seconds + 1)
    _limit(resource, "RLIMIT_FSIZE", 0, 0)
    _limit(resource, "RLIMIT_CORE", 0, 0)
    _limit(resource, "RLIMIT_NOFILE", limits.files, limits.files)
    _limit(resource, "RLIMIT_NPROC", 0, 0)


def _limit(resource: ModuleType, name: str, soft: int, hard: int) -> None:
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not every system's
        resource.setrlimit(getattr(resource, name), (soft, hard))
