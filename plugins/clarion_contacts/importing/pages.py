"""Judged rows as pages of columns: what the child that reads a file hands to its parent.

A page is a frame of UTF-8: a head (JSON: the last row, how many, new tags), then one
column after the other, each cell behind the other. PostgreSQL takes a column apart in one
call, so neither side makes an object of every cell.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from json.encoder import encode_basestring as quoted
from typing import Any, BinaryIO

from clarion.messaging import address
from clarion_contacts.importing.columns import Matching
from clarion_contacts.importing.kinds import Typing
from clarion_contacts.importing.opening import rows_of
from clarion_contacts.importing.rows import RowVerdict, judge, key_of
from clarion_contacts.importing.tables import Shape, Table

CELL, COLUMN = "\x1e", "\x1d"
NAMES = (
    "line", "reason", "sentence", "phone", "name", "first_name", "last_name", "email",
    "language", "country", "timezone", "tags", "lists", "attributes", "said", "said_on", "notes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """A page of judged rows: those up to row `to`. `columns` by name; the empty ones lack."""

    to: int
    count: int
    tags: dict[str, str]
    lists: dict[str, str]
    columns: dict[str, str]

    @classmethod
    def of(cls, frame: bytes) -> "Page":
        """Take a frame apart again."""
        head, *columns = frame.decode().split(COLUMN)
        told = json.loads(head)
        named = dict(zip(told["names"], columns, strict=True))
        return cls(told["to"], told["count"], told["tags"], told["lists"], named)


def order(
    table: Table, mapping: Matching, region: str | None, *, after: int, size: int
) -> dict[str, Any]:
    """Write down what the child is to do: judge the rows after `after`."""
    return {
        "shape": asdict(table.shape),
        "mapping": asdict(mapping),
        "region": region,
        "after": after,
        "size": size,
    }


def judged(given: BinaryIO | bytes, told: Mapping[str, Any]) -> Iterator[bytes]:
    """Judge a file as `order` says, page by page. The same person twice is not looked for."""
    chosen = dict(told["mapping"])
    for name in ("fields", "keys", "typings"):  # JSON knows no numbers as keys
        chosen[name] = {int(place): said for place, said in chosen[name].items()}
    chosen["typings"] = {at: Typing.of(said) for at, said in chosen["typings"].items()}
    mapping = Matching(**chosen | {"names": tuple(chosen["names"])})
    rows = rows_of(given, Shape(**told["shape"]))
    verdicts = judge(rows, mapping, told["region"], _Forgetful())
    ahead = (one for one in verdicts if one.line > told["after"])
    while chunk := list(islice(ahead, told["size"])):
        yield _frame(chunk)


class _Forgetful(dict[str, int]):
    """Remembers nothing: the same person twice is found in SQL, in flat memory."""

    def setdefault(self, _key: str, default: int = 0) -> int:
        return default


def _frame(chunk: Sequence[RowVerdict]) -> bytes:
    tags: dict[str, str] = {}
    lists: dict[str, str] = {}
    columns: dict[str, list[str]] = {
        "line": [str(one.line) for one in chunk],
        "reason": [one.reason for one in chunk],
        "sentence": [one.sentence or _noted(one) for one in chunk],
        "phone": [one.phone for one in chunk],
        "name": [one.name for one in chunk],
        "first_name": [str(one.attributes.pop("first_name", "")) for one in chunk],
        "last_name": [str(one.attributes.pop("last_name", "")) for one in chunk],
        "email": [one.email if one.phone else "" for one in chunk],
        "language": [one.language for one in chunk],
        "country": [one.country or address.region_of(one.phone) for one in chunk],
        "timezone": [one.timezone for one in chunk],
        "tags": [_tags(one.tags, tags) if one.tags else "" for one in chunk],
        "lists": [_tags(one.lists, lists) if one.lists else "" for one in chunk],
        "attributes": [_object(one.attributes) if one.attributes else "" for one in chunk],
        "said": [one.consent for one in chunk],
        "said_on": [one.consent_on.isoformat() if one.consent_on else "" for one in chunk],
        "notes": [str(len(one.notes)) if one.notes else "" for one in chunk],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    head = {
        "to": chunk[-1].line, "count": len(chunk), "tags": tags, "lists": lists,
        "names": list(filled),
    }  # fmt: skip
    parts = [json.dumps(head), *map(_column, filled.values())]
    return COLUMN.join(parts).encode("utf-8", "replace")


def _noted(one: RowVerdict) -> str:
    """What was left out of a row that is taken, in words."""
    return " ".join(text for _code, text in one.notes) if one.notes else ""


def _column(cells: Sequence[str]) -> str:
    """Join cells, without the signs that separate, and what PostgreSQL cannot store."""
    joined = CELL.join(cells)
    if joined.count(CELL) == len(cells) - 1 and COLUMN not in joined and "\0" not in joined:
        return joined
    return CELL.join(cell.translate(_FORBIDDEN) for cell in cells)


_FORBIDDEN = {0: None, ord(CELL): None, ord(COLUMN): None}


def _tags(said: Sequence[str], known: dict[str, str]) -> str:
    mine = {key_of(tag): tag for tag in said}
    for key, name in mine.items():
        known.setdefault(key, name)
    return json.dumps(list(mine), ensure_ascii=False)


def _object(values: Mapping[str, Any]) -> str:
    """Write an object as JSON; nearly all values are texts, and those go the short way."""
    pairs = (
        f"{quoted(key)}:{quoted(value) if isinstance(value, str) else json.dumps(value)}"
        for key, value in values.items()
    )
    return "{" + ",".join(pairs) + "}"
