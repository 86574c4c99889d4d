"""What a child of `confined` is asked about a file: what it is, and some of its rows."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, BinaryIO

from clarion_contacts.importing.columns import ColumnGuess, guess_mapping, guess_region
from clarion_contacts.importing.opening import open_table, rows_of
from clarion_contacts.importing.tables import Column, Shape, Table
from clarion_contacts.importing.values import choices_of, guess_kind

PREVIEW_ROWS, PREVIEW_CELL = 50, 120
ROWS_A_FRAME = 1_000


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
