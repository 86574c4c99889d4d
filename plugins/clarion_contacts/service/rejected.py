"""The rows of a list that were refused, in words and as a file to correct."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select

from clarion.base import db
from clarion.base.words import _
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import confined, looking
from clarion_contacts.importing.ours import harmless
from clarion_contacts.models import ImportRow
from clarion_contacts.service.uploads import get, light, opened, shape_of

TAKEN = ("new", "changed", "same")
REJECTED = ("invalid", "duplicate", "suppressed")
_LEFT_OUT = and_(ImportRow.state.in_(TAKEN), ImportRow.notes > 0)


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One row of the file with its verdict in words."""

    line: int
    phone: str
    name: str
    reason: str
    sentence: str


def samples(import_id: UUID, state: str, *, limit: int = 5) -> list[SampleRow]:
    """Show the first rows with a verdict."""
    return _shown(import_id, ImportRow.state == state, limit)


def left_out(import_id: UUID, *, limit: int = 5) -> list[SampleRow]:
    """Show the first rows that are taken without a part nobody could read."""
    return _shown(import_id, _LEFT_OUT, limit)


def rejected_rows(import_id: UUID) -> Iterator[str]:
    """Write the rows that were refused, as they came, with reasons, as lines of a CSV.

    No cell can be taken for a formula. Raises `NotFound` when the file is forgotten.
    """
    return _file(import_id, ImportRow.state.in_(REJECTED))


def left_out_rows(import_id: UUID) -> Iterator[str]:
    """Write the rows that are taken without a part, saying which; else as refused ones."""
    return _file(import_id, _LEFT_OUT)


def _shown(import_id: UUID, which: ColumnElement[bool], limit: int) -> list[SampleRow]:
    access.require("contacts.import")
    query = (
        select(ImportRow)
        .where(
            ImportRow.account_id == current_account(),
            ImportRow.import_id == import_id,
            which,
        )
        .order_by(ImportRow.line)
        .limit(limit)
    )
    return [
        SampleRow(
            row.line,
            row.phone,
            row.name,
            row.reason,
            _sentence(row.line, row.state, row.sentence, row.twin),
        )
        for row in db.session().scalars(query)
    ]


def _file(import_id: UUID, which: ColumnElement[bool]) -> Iterator[str]:
    access.require("contacts.import")
    row = get(import_id)
    names = [column.name for column in light(row).columns]
    query = select(
        ImportRow.line, ImportRow.state, ImportRow.sentence, ImportRow.twin
    ).where(
        ImportRow.account_id == current_account(),
        ImportRow.import_id == import_id,
        which,
    )
    found = {line: tuple(rest) for line, *rest in db.session().execute(query)}
    lines = {"shape": asdict(shape_of(row)), "lines": list(found)}
    with opened(row) as file:
        pages = confined.frames(looking.pick, file, lines)
        pages = chain(list(islice(pages, 1)), pages)  # the child has the file from here on
    return _written(names, row.delimiter or ",", pages, found)


def _sentence(line: int, state: str, sentence: str, twin: int | None) -> str:
    if state == "duplicate":
        return _(
            "Row %(row)s: the same person as in row %(first)s.", row=line, first=twin or "?"
        )
    if state == "suppressed":
        return _(
            "Row %(row)s: this person asked not to be contacted and stays out.", row=line
        )
    return sentence


def _written(
    names: list[str],
    delimiter: str,
    pages: Iterator[bytes],
    refused: Mapping[int, tuple[Any, ...]],
) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow([*map(harmless, names), _("Row"), _("Reason")])
    yield "\ufeff"
    for page in pages:
        for line, cells in json.loads(page):
            why = _sentence(line, *refused[line])
            writer.writerow([*map(harmless, cells), line, why])
        yield out.getvalue()
        out.seek(0)
        out.truncate()
