"""The dry run: judge every row of the file and put it, with its verdict, into a set.

Pages are staged one transaction each, so that a worker that dies goes on where it was.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Date,
    Integer,
    Text,
    Uuid,
    bindparam,
    cast,
    column,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from clarion.base import crypto, db
from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.messaging import address
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import RowVerdict, judge, rows_of
from clarion_contacts.models import ImportRow
from clarion_contacts.service import uploads
from clarion_contacts.service.tags import key_of

PAGE = 5_000
MOST_TAGS = 1_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A page of judged rows: those after row `after`, up to row `to`."""

    after: int
    to: int
    rows: str
    count: int
    tags: dict[str, str]


def reader(import_id: UUID) -> Iterator[Judged]:
    """Open a list that is being checked, and judge it page by page from where it was.

    Empty when there is nothing to check (any more). The database is asked only before
    the first page.
    """
    row = uploads.get(import_id)
    if row.state != "checking":
        return iter(())
    rows = rows_of(uploads.original(row), uploads.shape_of(row))
    chosen = uploads.matching(row)
    key = crypto.index_key(current_account())
    verdicts = judge(rows, chosen, row.country or None, _Forgetful())
    return _pages(verdicts, row.read_to, key)


def stage(import_id: UUID, page: Judged) -> bool:
    """Store a page. False when the list is not being checked any more, or not by us."""
    row = uploads.get(import_id, lock=True)
    if row.state != "checking" or row.read_to != page.after:
        return False
    names = [str(one.key) for one in _TARGETS]
    source = _incoming(page.rows, import_id)
    db.session().execute(
        insert(ImportRow).from_select(names, source, include_defaults=False)
    )
    known = {**row.counts.get("tags", {}), **page.tags}
    if len(known) > MOST_TAGS:
        raise Invalid(
            "import_too_many_tags",
            _("There are more than 1,000 different tags. Is this the right column?"),
        )
    row.counts = {**row.counts, "tags": known}
    row.read_to = page.to
    row.progress += page.count
    row.beat_at = func.clarion_now()
    return True


class _Forgetful(dict[str, int]):
    """Remembers nothing: the same person twice is found in SQL, in flat memory."""

    def setdefault(self, _key: str, default: int = 0) -> int:
        return default


def _pages(verdicts: Iterator[RowVerdict], after: int, key: bytes) -> Iterator[Judged]:
    ahead = (one for one in verdicts if one.line > after)
    while chunk := list(islice(ahead, PAGE)):
        tags: dict[str, str] = {}
        rows = [_staged(one, key, tags) for one in chunk]
        document = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
        to = chunk[-1].line
        yield Judged(after, to, document.replace("\\u0000", ""), len(rows), tags)
        after = to


def _staged(one: RowVerdict, key: bytes, tags: dict[str, str]) -> dict[str, Any]:
    """Write what a row of the set needs; what is empty is left to the default."""
    if one.state == "invalid":
        return {
            "line": one.line,
            "state": "invalid",
            "reason": one.reason,
            "sentence": _fit(one.sentence),
            "name": _fit(one.name),
        }
    attributes = dict(one.attributes)
    row: dict[str, Any] = {
        "line": one.line,
        "state": "new",
        "phone": one.phone,
        "idx": address.index(key, "wa_id", one.phone).hex(),
        "name": _fit(one.name),
        "country": one.country or address.region_of(one.phone),
        "said": one.consent,
        "notes": len(one.notes),
    }
    for part in ("first_name", "last_name"):
        if value := attributes.pop(part, ""):
            row[part] = _fit(str(value))
    if one.email:
        row["email"] = one.email
        row["email_idx"] = address.index(key, "email", one.email).hex()
    if one.language:
        row["language"] = one.language
    if one.timezone:
        row["timezone"] = one.timezone
    if one.consent_on:
        row["said_on"] = one.consent_on.isoformat()
    if attributes:
        row["attributes"] = {
            key: _fit(v) if isinstance(v, str) else v for key, v in attributes.items()
        }
    if one.tags:
        mine = {key_of(tag): _fit(tag) for tag in one.tags}
        tags.update((key, name) for key, name in mine.items() if key not in tags)
        row["tags"] = list(mine)
    return row


def _fit(text: str) -> str:
    """Drop what PostgreSQL cannot store: bytes that were in another encoding."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("line", Integer),
    ("state", Text),
    ("reason", Text),
    ("sentence", Text),
    ("phone", Text),
    ("idx", Text),
    ("name", Text),
    ("first_name", Text),
    ("last_name", Text),
    ("email", Text),
    ("email_idx", Text),
    ("language", Text),
    ("country", Text),
    ("timezone", Text),
    ("tags", JSONB),
    ("attributes", JSONB),
    ("said", Text),
    ("said_on", Date),
    ("notes", Integer),
)
_TARGETS = [
    ImportRow.id,
    ImportRow.account_id,
    ImportRow.import_id,
    *(getattr(ImportRow, name) for name, _kind in _COLUMNS),
]


def _incoming(document: str, import_id: UUID) -> Any:  # Any: SQLAlchemy's Select of many
    given = (
        func.json_to_recordset(cast(bindparam("rows", document, Text), JSON))
        .table_valued(*(column(name, kind) for name, kind in _COLUMNS), name="given")
        .render_derived(with_types=True)
    )
    c = given.c
    shown = []
    for name, kind in _COLUMNS:
        value: Any = c[name]
        if name in ("idx", "email_idx"):
            value = func.decode(value, "hex")
        elif kind is Text:
            value = func.coalesce(value, "")
        elif name == "tags":
            value = func.coalesce(value, func.jsonb_build_array())
        elif name == "attributes":
            value = func.coalesce(value, func.jsonb_build_object())
        elif name == "notes":
            value = func.coalesce(value, 0)
        shown.append(value)
    return select(
        func.clarion_new_id(), func.clarion_account(), literal(import_id, Uuid), *shown
    )
