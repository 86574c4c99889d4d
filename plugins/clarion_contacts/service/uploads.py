"""An uploaded file: kept sealed, and what was found out about its shape."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from clarion.base import crypto, db
from clarion.base.errors import ClarionError, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging.address import regions
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import (
    Column,
    Matching,
    Table,
    guess_mapping,
    judge,
    open_table,
)
from clarion_contacts.models import Import

PREVIEW_ROWS, PREVIEW_CELL = 50, 120
PART = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ColumnView:
    """One column of the file and where it goes. `state`: sure, check, yours, clash, left_out."""

    index: int
    name: str
    samples: tuple[str, ...]
    filled: int
    field: str
    own_name: str
    confidence: int
    state: str
    help: str


@dataclass(frozen=True, slots=True)
class Described:
    """An uploaded list as its pages show it.

    `problem` says why the columns cannot be used like this; empty when they can.
    `preview` is the first person, as (what, value).
    """

    row: Import
    columns: list[ColumnView]
    notes: list[str]
    preview: list[tuple[str, str]]
    problem: str
    earlier: dt.datetime | None

    @property
    def fields(self) -> set[str]:
        """Name the fields that columns go to."""
        return {one.field for one in self.columns if one.field}


def uploader(import_id: UUID) -> str:
    """Name who uploaded a list, as `created_by` does; "" when the list is gone."""
    query = select(Import.created_by).where(
        Import.account_id == current_account(), Import.id == import_id
    )
    return db.session().scalar(query) or ""


def get(import_id: UUID, *, lock: bool = False) -> Import:
    """Load one import of this account, or raise `NotFound`."""
    query = select(Import).where(
        Import.account_id == current_account(), Import.id == import_id
    )
    query = query.options(undefer(Import.guessed))
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = db.session().scalar(query)
    if row is None:
        raise NotFound("import_unknown", _("There is no such import."))
    return row


def sealed(import_id: UUID, raw: bytes) -> bytes:
    """Seal a file for its row."""
    return crypto.seal(raw, place=_place(import_id), account_id=current_account())


def original(row: Import) -> bytes:
    """Open the sealed file. Raises `NotFound` when it is forgotten."""
    query = select(Import.original).where(
        Import.account_id == current_account(), Import.id == row.id
    )
    sealed = db.session().scalar(query)
    if sealed is None:
        raise _forgotten()
    return crypto.unseal(sealed, place=_place(row.id), account_id=row.account_id)


def original_parts(row: Import) -> Iterator[bytes]:
    """Open the sealed file part by part: a large one is nowhere whole. See `unsealed`."""
    query = select(func.octet_length(Import.original)).where(
        Import.account_id == current_account(), Import.id == row.id
    )
    size = db.session().scalar(query)
    if size is None:
        raise _forgotten()
    sealed = (_part(row, first) for first in range(1, size + 1, PART))
    return crypto.unsealed(sealed, place=_place(row.id), account_id=row.account_id)


def _part(row: Import, first: int) -> bytes:
    query = select(func.substring(Import.original, first, PART)).where(
        Import.account_id == current_account(), Import.id == row.id
    )
    return bytes(db.session().scalar(query) or b"")


def _forgotten() -> NotFound:
    return NotFound(
        "upload_forgotten",
        _("The file is not kept any longer than 24 hours. Upload it again."),
    )


def opened(row: Import) -> Table:
    """Open the file again, as it was read before."""
    return open_table(
        original(row), encoding=row.encoding, delimiter=row.delimiter, header=row.header
    )


def matching(row: Import) -> Matching:
    """Read the kept choice of columns. Raises `Invalid` (codes `mapping_…`)."""
    return Matching.of(
        light(row),
        {int(place): said or None for place, said in row.mapping.items()},
        region=row.country or None,
        day_first=row.day_first,
    )


def guess(row: Import, table: Table) -> None:
    row.encoding, row.delimiter, row.header = table.encoding, table.delimiter, table.header
    row.row_count = table.row_count
    guesses = guess_mapping(table)
    names = {one.index: one.name for one in table.columns}
    row.mapping = {
        str(one.column): f"custom:{names[one.column]}"
        if one.field == "custom"
        else one.field or ""
        for one in guesses
    }
    width = len(table.columns)
    head = table.head[: PREVIEW_ROWS if width <= PREVIEW_ROWS else 5]
    row.guessed = {
        "columns": [
            {
                "name": column.name,
                "samples": [plain(one) for one in column.samples],
                "filled": column.filled,
                "field": guess.field or "",
                "confidence": guess.confidence,
                "state": guess.state,
                "help": guess.help,
            }
            for column, guess in zip(table.columns, guesses, strict=True)
        ],
        "head": [[at, [plain(c[:PREVIEW_CELL]) for c in cells]] for at, cells in head],
        "notes": [note.text for note in table.notes],
        "sure": [table.encoding_sure, table.delimiter_sure, table.header_sure],
        "header_row": table.header_row,
        "mixed": table.mixed,
    }


def plain(cell: str) -> str:
    """Make a cell fit for JSON in the database: no NUL, no stray bytes."""
    return cell.encode("utf-8", "replace").decode().replace("\0", "�")


def light(row: Import) -> Table:
    """Make the table of what was kept of the file: enough to match columns, no bytes."""
    kept = row.guessed
    if not kept:
        raise _forgotten()
    sure = kept["sure"]
    return Table(
        raw=b"",
        encoding=row.encoding,
        encoding_sure=sure[0],
        mixed=kept["mixed"],
        delimiter=row.delimiter,
        delimiter_sure=sure[1],
        header=row.header,
        header_row=kept["header_row"],
        header_sure=sure[2],
        columns=tuple(
            Column(place, one["name"], tuple(one["samples"]), one["filled"])
            for place, one in enumerate(kept["columns"])
        ),
        row_count=row.row_count,
        head=tuple((at, list(cells)) for at, cells in kept["head"]),
        notes=(),
    )


def choose(
    row: Import, fields: Mapping[int, str], country: str, day_first: bool | None
) -> None:
    width = len(row.guessed.get("columns", ()))
    row.mapping = {str(at): said for at, said in fields.items() if 0 <= at < width}
    row.day_first = day_first
    if country:
        row.country = country_of(country)


def described(row: Import) -> Described:
    kept = row.guessed
    taken = [said.partition(":")[0] for said in row.mapping.values() if said]
    columns = [
        _column(place, one, row.mapping.get(str(place), ""), taken)
        for place, one in enumerate(kept.get("columns", ()))
    ]
    problem, preview = "", list[tuple[str, str]]()
    try:
        if kept:
            preview = _preview(row, matching(row))
    except ClarionError as refused:
        problem = refused.text
    return Described(
        row, columns, list(kept.get("notes", ())), preview, problem, _earlier(row)
    )


def _column(place: int, kept: Mapping[str, Any], said: str, taken: list[str]) -> ColumnView:
    field, _colon, own = said.partition(":")
    state, helped = kept["state"], kept["help"]
    if field not in ("", "custom", "tags") and taken.count(field) > 1:
        state = "clash"
        helped = _("Two columns are matched to the same field; choose one.")
    elif not field:
        state = "left_out"
    elif field != kept["field"]:
        state, helped = "yours", ""
    elif state == "clash":
        state, helped = "sure", ""
    return ColumnView(
        place,
        kept["name"],
        tuple(kept["samples"]),
        kept["filled"],
        field,
        own or (kept["name"] if field == "custom" else ""),
        kept["confidence"],
        state,
        helped,
    )


def _preview(row: Import, chosen: Matching) -> list[tuple[str, str]]:
    """Show the first person as the import would make them."""
    table = light(row)
    said = next(iter(judge(table.head, chosen, row.country or None, {})), None)
    if said is None:
        return []
    shown = [
        (_("Phone number"), said.phone or said.sentence),
        (_("Name"), said.name),
        (_("E-mail"), said.email),
        (_("Language"), said.language),
        (_("Country"), said.country),
        (_("Time zone"), said.timezone.replace("_", " ")),
        (_("Tags"), ", ".join(said.tags)),
        (_("Agreed on"), str(said.consent_on) if said.consent_on else said.consent),
    ]
    plain = {"first_name": _("First name"), "last_name": _("Last name")}
    shown += [(plain.get(key, key), value) for key, value in said.attributes.items()]
    return [(what, value) for what, value in shown if value]


def _earlier(row: Import) -> dt.datetime | None:
    """Say when the very same file was imported before."""
    query = select(func.max(Import.finished_at)).where(
        Import.account_id == current_account(),
        Import.file_digest == row.file_digest,
        Import.state == "done",
        Import.id != row.id,
    )
    return db.session().scalar(query)


def country_of(code: str) -> str:
    """Read a country's two letters, or raise `Invalid`."""
    said = code.strip().upper()
    if said not in regions():
        raise Invalid("country_unknown", _("Choose a country."), field="country")
    return said


def _place(import_id: UUID) -> str:
    return f"contacts_import.original:{import_id}"
