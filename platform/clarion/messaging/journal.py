"""The side journal: who must not be written to, outside the database, for after a restore.

Blind indexes only, keyed per account: nobody is named, and nothing can be looked up
without the key store. A stop is written before its commit, so that none is ever missing;
one that was then rolled back silences too much after a restore, never too little. That
somebody may be written to again is written after its commit, for the same reason.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session

from clarion.base import clock, db
from clarion.base.settings import settings
from clarion.base.telemetry import counter, logger
from clarion.tenancy.scope import current_account

log = logger(__name__)
_STOPS, _LIFTS = "journal_stops", "journal_lifts"
lost = counter("journal_failures_total", "Lines the side journal could not take")
SMALL = 256 * 1024  # bytes: below this a journal is left as it is


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a blind index that was suppressed, or whose suppressions were lifted.

    Attributes:
        account_id: whose list it is on.
        idx: blind index of the identifier.
        kind: of the identifier: phone, bsuid.
        scope: marketing or all; empty for a lift.
        reason: why; empty for a lift.
        lifts: which reasons were lifted; empty for a stop.
    """

    account_id: UUID
    idx: bytes
    kind: str = "phone"
    scope: str = ""
    reason: str = ""
    lifts: tuple[str, ...] = ()


def stopped(kinds: Iterable[tuple[str, bytes]], scope: str, reason: str) -> None:
    """Write that these must not be written to, right before this transaction commits."""
    _wait(_STOPS, [_line(i, kind=k, scope=scope, reason=reason) for k, i in kinds])


def resumed(idxs: Iterable[bytes], lifts: Sequence[str]) -> None:
    """Write that these may be again, once this transaction has committed."""
    _wait(_LIFTS, [_line(i, lifts=list(lifts)) for i in idxs])


def read() -> dict[UUID, list[Entry]]:
    """Read all journals, oldest line first, by account; a torn line is skipped."""
    found: dict[UUID, dict[str, Entry]] = {}
    for path in settings().journal_paths:
        for line in _lines(path):
            entry = _parsed(line)
            if entry is not None:  # the same line stands in every journal
                found.setdefault(entry.account_id, {})[line] = entry
    return {account: list(lines.values()) for account, lines in found.items()}


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """Return the stops among these that were not lifted afterwards.

    As in the list itself: what a provider was told does not replace what we were told.
    """
    left: dict[tuple[bytes, str], Entry] = {}
    for one in entries:
        if not one.lifts:
            if one.reason != "provider_stop" or (one.idx, one.scope) not in left:
                left[one.idx, one.scope] = one
            continue
        for key in [k for k, e in left.items() if k[0] == one.idx]:
            if left[key].reason in one.lifts:
                del left[key]
    return list(left.values())


def compact() -> int:
    """Write journals anew that have doubled, without what was lifted or said twice.

    What stands is the same before and after, and after every line that follows. Nobody
    appends meanwhile: who is about to waits for the lock, and finds the new file.

    Returns:
        how many lines are gone.
    """
    paths = [path for path in settings().journal_paths if path.exists()]
    if not any(_has_doubled(path) for path in paths):
        return 0
    with ExitStack() as stack:
        for path in sorted(paths):
            stack.callback(os.close, _opened(path, fcntl.LOCK_EX))
        before = sum(1 for path in paths for _line_ in _lines(path))
        kept = _standing_lines(paths)
        for path in paths:
            _replace(path, kept)
    gone = before - len(kept) * len(paths)
    log.info("journal.compacted", lines=len(kept), gone=gone)
    return gone


# --- writing


def _line(idx: bytes, **more: Any) -> str:
    at, account = clock.now().isoformat(), str(current_account())
    return json.dumps({"at": at, "account": account, "idx": idx.hex(), **more})


def _wait(book: str, lines: list[str]) -> None:
    db.session().info.setdefault(book, []).extend(lines)


@event.listens_for(Session, "before_commit")
def _write_stops(orm: Session) -> None:
    _append(orm.info.pop(_STOPS, ()))


@event.listens_for(Session, "after_commit")
def _write_lifts(orm: Session) -> None:
    if not orm.in_nested_transaction():
        _append(orm.info.pop(_LIFTS, ()))


@event.listens_for(Session, "after_soft_rollback")
def _forget(orm: Session, _previous: Any) -> None:
    orm.info.pop(_LIFTS, None)
    if not orm.in_nested_transaction():
        orm.info.pop(_STOPS, None)


def _append(lines: Sequence[str]) -> None:
    """Append to every journal, durably. A full disk must not undo somebody's STOP."""
    if not lines:
        return
    for path in settings().journal_paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = _opened(path, fcntl.LOCK_SH)
            try:
                os.write(handle, ("\n".join(lines) + "\n").encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            lost.inc(len(lines))
            log.critical("journal.not_written", lines=len(lines), error=error.strerror)


def _opened(path: Path, lock: int) -> int:
    """Open a journal to append to it, locked; the one that has the name now."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, lock)
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except FileNotFoundError:
            pass  # taken away while we waited; made anew
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


# --- making it smaller


def _has_doubled(path: Path) -> bool:
    """Say whether a journal is twice as long as it was when it was written anew."""
    size = path.stat().st_size
    with path.open() as file:
        first = file.readline()
    try:
        before = int(json.loads(first)["compacted"])
    except (KeyError, TypeError, ValueError):
        before = 0
    return size > SMALL and size > 2 * before


def _standing_lines(paths: Iterable[Path]) -> list[str]:
    """Fold all journals as `read` and `standing` do, and keep the lines that are left."""
    left: dict[tuple[UUID, bytes], dict[str, tuple[str, str]]] = {}
    seen = set[bytes]()  # the same line stands in every journal
    for path in paths:
        for line in _lines(path):
            entry = _parsed(line)
            digest = hashlib.blake2b(line.encode(), digest_size=16).digest()
            if entry is None or digest in seen:
                continue
            seen.add(digest)
            theirs = left.setdefault((entry.account_id, entry.idx), {})
            weak = entry.reason == "provider_stop" and entry.scope in theirs
            if not entry.lifts and not weak:
                theirs[entry.scope] = (entry.reason, line.rstrip("\n") + "\n")
            for scope in [s for s, (why, _l) in theirs.items() if why in entry.lifts]:
                del theirs[scope]
    return [line for theirs in left.values() for _why, line in theirs.values()]


def _replace(path: Path, lines: Sequence[str]) -> None:
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    size = sum(map(len, lines))
    try:
        with part.open("x") as file:
            part.chmod(0o600)
            file.write(json.dumps({"compacted": size}) + "\n")
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open() as file:
            yield from file
    except OSError:
        return


def _parsed(line: str) -> Entry | None:
    try:
        said = json.loads(line)
        return Entry(
            account_id=UUID(said["account"]),
            idx=bytes.fromhex(said["idx"]),
            kind=said.get("kind", "phone"),
            scope=said.get("scope", ""),
            reason=said.get("reason", ""),
            lifts=tuple(said.get("lifts", ())),
        )
    except (KeyError, TypeError, ValueError):
        return None
