"""What a child of `confined` is asked about a file: what it is, and some of its rows."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, BinaryIO

from clarion.base.errors import Invalid
from clarion_contacts.importing.columns import ColumnGuess, guess_mapping, guess_region
from clarion_contacts.importing.headers import looks_like_phone
from clarion_contacts.importing.kinds import Kind, Typing, decimal_of, value_of
from clarion_contacts.importing.opening import open_table, rows_of
from clarion_contacts.importing.tables import Column, Shape, Table

PREVIEW_ROWS, PREVIEW_CELL = 50, 120
ROWS_A_FRAME = 1_000
MOST_CHOICES = 30
LONGEST_CHOICE = 60
NEARLY = 0.95
ENOUGH = 12  # filled cells below which few values say nothing about choices


def look(given: BinaryIO, order: Mapping[str, Any]) -> Iterator[bytes]:
    """Open a file, guess what its columns mean, and say so in one frame of JSON.

    The order may hold `encoding`, `delimiter`, `header` and `sheet`, as a person chose
    them, and `country`, the account's own.
    """
    table = open_table(
        given,
        encoding=order.get("encoding") or None,
        delimiter=order.get("delimiter") or None,
        header=order.get("header"),
        sheet=order.get("sheet"),
    )
    width = len(table.columns)
    head = table.head[: PREVIEW_ROWS if width <= PREVIEW_ROWS else 5]
    told = {
        "shape": asdict(table.shape),
        "header": table.header,
        "row_count": table.row_count,
        "region": guess_region(table, default=order.get("country") or None) or "",
        "columns": [
            _column(table, column, guess)
            for column, guess in zip(table.columns, guess_mapping(table), strict=True)
        ],
        "head": [[at, [plain(c[:PREVIEW_CELL]) for c in cells]] for at, cells in head],
        "notes": [note.text for note in table.notes],
        "sure": [table.encoding_sure, table.delimiter_sure, table.header_sure],
        "sheets": [[plain(one.name), one.hidden] for one in table.sheets],
    }
    yield json.dumps(told).encode()


def _column(table: Table, column: Column, guess: ColumnGuess) -> dict[str, Any]:
    kind = guess_kind(table, column)
    return {
        "name": plain(column.name),
        "samples": [plain(one) for one in column.samples],
        "filled": column.filled,
        "field": guess.field or "",
        "confidence": guess.confidence,
        "state": guess.state,
        "help": plain(guess.help),
        "kind": kind,
        "choices": [plain(one) for one in choices_of(column)],
    }


def pick(given: BinaryIO, order: Mapping[str, Any]) -> Iterator[bytes]:
    """Give the rows with the numbers in `lines`, as frames of JSON: [number, cells] each."""
    wanted = set(order["lines"])
    page: list[tuple[int, list[str]]] = []
    for number, cells in rows_of(given, Shape(**order["shape"])):
        if number in wanted:
            page.append((number, [plain(cell) for cell in cells]))
            if len(page) == ROWS_A_FRAME:
                yield json.dumps(page).encode()
                page.clear()
    yield json.dumps(page).encode()


def plain(cell: str) -> str:
    """Make a cell fit for JSON in the database: no NUL, no stray bytes."""
    return cell.encode("utf-8", "replace").decode().replace("\0", "�")


# --- what a column holds


def guess_kind(table: Table, column: Column) -> Kind:
    """Guess the kind of a column that becomes a field."""
    place = column.index
    cells = [
        cell for _at, row in table.head if place < len(row) and (cell := row[place].strip())
    ]
    kinds: tuple[Kind, ...] = ("yes_no", "date", "number") if cells else ()
    for kind in kinds:
        if _fit(Typing(kind, (), decimal_of(cells)), cells):
            return kind
    many = column.filled >= max(ENOUGH, 4 * len(column.values))
    return "choice" if many and len(choices_of(column)) > 1 else "text"


def _fit(typing: Typing, cells: list[str]) -> bool:
    """Whether nearly all cells are of a kind; the others will be left out by name."""
    if typing.kind == "number" and any(map(_is_code, cells)):
        return False
    if typing.kind == "yes_no" and {cell.casefold() for cell in cells} <= {"0", "1"}:
        return False  # counts that happen to be small
    return any(
        sum(_fits(typing, cell, day_first=order) for cell in cells) >= NEARLY * len(cells)
        for order in (True, False)
    )


def _fits(typing: Typing, cell: str, *, day_first: bool) -> bool:
    try:
        value_of(typing, cell, day_first=day_first)
    except Invalid:
        return False
    return True


def _is_code(cell: str) -> bool:
    """Whether digits are a name rather than a number: `007`, a postcode, a phone."""
    digits = cell.lstrip("+-")
    return (digits[:1] == "0" and digits[1:2].isdigit()) or looks_like_phone(cell)


def choices_of(column: Column) -> tuple[str, ...]:
    """The choices a column could have; none where there are too many, or long ones."""
    values = column.values
    if len(values) > MOST_CHOICES or any(len(one) > LONGEST_CHOICE for one in values):
        return ()
    found = {one.casefold(): one for one in sorted(values, reverse=True)}
    return tuple(sorted(found.values()))
