"""Copies of the instance epoch outside the database: one file per folder, one broker key.

What a restored database cannot know is how far it had counted when it was lost. These
copies do: `messaging.epoch` compares. They hold counters and ids, nothing about people.
"""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from clarion.base import broker
from clarion.base.errors import Misconfigured
from clarion.base.settings import settings
from clarion.base.telemetry import logger

log = logger(__name__)
BROKER = "broker"


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy says: of which instance, how far it had counted, and where that ran.

    Attributes:
        instance: the id in the database's own row.
        epoch: the count; a database that has counted less is an older one.
        server: PostgreSQL's system identifier.
        database: the database's oid.
        timeline: PostgreSQL's timeline; a promotion begins a new one.
    """

    instance: str
    epoch: int
    server: str = ""
    database: int = 0
    timeline: int = 0


def read(instance: str) -> dict[str, Copy]:
    """Read every copy of one instance that can be read, by place."""
    found = {str(p.parent): one for p in _files(instance) if (one := _read_file(p))}
    if one := _read_key(instance):
        found[BROKER] = one
    return {place: one for place, one in found.items() if one.instance == instance}


def write(copy: Copy) -> list[str]:
    """Write a copy everywhere, durably; returns the places where that failed.

    A higher copy stays: two relays may write in any order.
    """
    failed = []
    for path in _files(copy.instance):
        try:
            _write_file(path, copy)
        except OSError as error:
            log.critical("epoch.copy_failed", folder=str(path.parent), error=error.strerror)
            failed.append(str(path.parent))
    if not _write_key(copy):
        failed.append(BROKER)
    return failed


def _files(instance: str) -> Iterator[Path]:
    for folder in settings().epoch_paths:
        yield folder / f"{instance}.json"


def _read_file(path: Path) -> Copy | None:
    try:
        return _parsed(path.read_bytes())
    except OSError:
        return None


def _write_file(path: Path, copy: Copy) -> None:
    there = _read_file(path)
    if there is not None and there.epoch > copy.epoch:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(f".{secrets.token_hex(4)}.part")
    try:
        with part.open("w") as file:
            json.dump(asdict(copy), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name is as durable as what it names
    finally:
        os.close(folder)


def _key(instance: str) -> str:
    return f"clarion:epoch:{instance}"


def _read_key(instance: str) -> Copy | None:
    try:
        return _parsed(broker.redis().get(_key(instance)))
    except _away():
        return None


def _write_key(copy: Copy) -> bool:
    there = _read_key(copy.instance)
    if there is not None and there.epoch > copy.epoch:
        return True
    try:
        broker.redis().set(_key(copy.instance), json.dumps(asdict(copy)))
    except _away():
        return False
    return True


def _parsed(said: object) -> Copy | None:
    if not isinstance(said, bytes | str):
        return None
    try:
        return Copy(**json.loads(said))
    except (TypeError, ValueError):
        return None  # torn, or of another release


def _away() -> tuple[type[Exception], ...]:
    """Name the errors of a broker that is away, or was never set up."""
    return (*broker.lost(), Misconfigured)
