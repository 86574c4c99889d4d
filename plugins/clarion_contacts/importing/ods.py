"""Sheets of an OpenDocument spreadsheet (.ods), read cell by cell as they are stored."""

from collections.abc import Iterator
from dataclasses import dataclass

from clarion_contacts.importing import archives
from clarion_contacts.importing.archives import Archive, feed, parser
from clarion_contacts.importing.tables import (
    MAX_CELL,
    MAX_COLUMNS,
    MAX_ROWS,
    Record,
    SheetName,
    cell_too_large,
    too_many_columns,
    too_many_rows,
)
from clarion_contacts.importing.xlsx import MAX_SHEETS, number, plain_date

MIME = b"application/vnd.oasis.opendocument.spreadsheet"
_CONTENT = "content.xml"
_PEEK = 100  # of a row that is repeated, where only the head of a sheet is wanted
_EXACT = {"float": "value", "percentage": "value", "currency": "value"}


def refuse(archive: Archive) -> None:
    """Refuse what is protected, and workbooks with programs."""
    if "META-INF/manifest.xml" in archive.names:
        manifest = archive.whole("META-INF/manifest.xml")
        if b"encryption-data" in manifest:
            raise archives.encrypted()
    if _CONTENT not in archive.names:
        raise archives.broken()
    if any(name.startswith(("Basic/", "Scripts/")) for name in archive.names):
        raise archives.macros()


@dataclass(slots=True)
class Workbook:
    """An opened workbook. `errors` counts cells with an error among those read so far."""

    archive: Archive
    sheets: tuple[SheetName, ...] = ()
    errors: int = 0

    def records(self, sheet: int) -> Iterator[Record]:
        """Read every row that is in a sheet, with its number."""
        reader = _Rows(self, sheet)
        made = parser(reader.start, reader.end, reader.text)
        for _chunk in feed(made, self.archive.part(_CONTENT)):
            yield from reader.done
            reader.done.clear()
            reader.origins.clear()
            if reader.over:
                return

    def heads(self, count: int) -> list[list[Record]]:
        """Read the first rows of every sheet, in one pass over all."""
        reader = _Rows(self, None)
        made = parser(reader.start, reader.end, reader.text)
        heads: list[list[Record]] = [[] for _sheet in self.sheets]
        for _chunk in feed(made, self.archive.part(_CONTENT)):
            for at, record in zip(reader.origins, reader.done, strict=True):
                if at < len(heads) and len(heads[at]) < count:
                    heads[at].append(record)
            reader.done.clear()
            reader.origins.clear()
        return heads


def opened(archive: Archive) -> Workbook:
    """Read the names of the sheets."""
    refuse(archive)
    sheets: list[SheetName] = []
    hidden: set[str] = set()
    style, depth = "", 0

    def start(name: str, given: dict[str, str]) -> None:
        nonlocal style, depth
        if name == "style:style":
            style = given.get("style:name", "")
        elif name == "style:table-properties" and given.get("table:display") == "false":
            hidden.add(style)
        elif name == "table:table":
            depth += 1
            if depth == 1 and len(sheets) < MAX_SHEETS:
                its = given.get("table:style-name", "") in hidden
                sheets.append(SheetName(given.get("table:name", "")[:80], its))

    def end(name: str) -> None:
        nonlocal depth
        depth -= name == "table:table"

    for _chunk in feed(parser(start, end, lambda _t: None), archive.part(_CONTENT)):
        pass
    if not sheets:
        raise archives.broken()
    return Workbook(archive, tuple(sheets))


class _Rows:
    """What the parser calls; `done` are the rows of the wanted sheet that have ended.

    Without a wanted sheet those of all are; `origins` says of which.
    """

    def __init__(self, book: Workbook, wanted: int | None) -> None:
        self.book, self.wanted = book, wanted
        self.done: list[Record] = []
        self.origins: list[int] = []
        self.over = False
        self.sheet, self.depth, self.apart = -1, 0, 0
        self.active = False  # inside a wanted sheet, and not inside a table in a cell of it
        self.number = self.rows = 0
        self.cells: list[str] = []
        self.blanks = 0
        self.given: dict[str, str] = {}
        self.pieces: list[str] = []
        self.inside = 0

    def start(self, name: str, given: dict[str, str]) -> None:
        if name == "table:table":
            self.depth += 1
            if self.depth == 1:
                self.sheet, self.number = self.sheet + 1, 0
            self.active = self.depth == 1 and self.wanted in (None, self.sheet)
        elif not self.active:
            return
        elif name in _APART:
            self.apart += 1
        elif self.apart:
            return
        elif name in _CELLS:
            self.given = given
            self.pieces.clear()
            self.inside = 0
        elif name == "text:p":
            self.inside += 1
            if self.pieces:
                self.pieces.append("\n")
        elif name == "table:table-row":
            self.cells, self.blanks = [], 0
            told = given.get("table:number-rows-repeated")
            self.rows = _times(told, 1 << 30) if told else 1
        elif name in _SPACES:
            told = given.get("text:c", "1")
            self.pieces.append(_SPACES[name] * _times(told, 1_000))

    def text(self, said: str) -> None:
        if self.inside and not self.apart:
            self.pieces.append(said)

    def end(self, name: str) -> None:
        if name == "text:p":
            self.inside -= self.active and not self.apart
        elif name in _CELLS:
            if self.active and not self.apart:
                self._put()
        elif name == "table:table-row":
            if self.active and not self.apart:
                self._end_row()
        elif name in _APART:
            self.apart -= self.active
        elif name == "table:table":
            self.depth -= 1
            self.active = self.depth == 1 and self.wanted in (None, self.sheet)
            self.over = self.depth == 0 and self.sheet == self.wanted

    def _put(self) -> None:
        told = self.given.get("table:number-columns-repeated")
        times = _times(told, 1 << 20) if told else 1
        value = self._value()
        if not value:
            self.blanks += times
            return
        if len(value) > MAX_CELL:
            raise cell_too_large(self.number + 1)
        width = len(self.cells) + self.blanks + times
        if width > MAX_COLUMNS:
            raise too_many_columns(self.number + 1, width)
        if self.blanks or times > 1:
            self.cells += [""] * self.blanks + [value] * times
            self.blanks = 0
        else:
            self.cells.append(value)

    def _end_row(self) -> None:
        if not self.cells:  # the rest of a sheet is one blank row, a million times
            self.number += self.rows
            return
        if self.rows > MAX_ROWS:
            raise too_many_rows()
        for _time in range(min(self.rows, _PEEK) if self.wanted is None else self.rows):
            self.number += 1
            self.done.append((self.number, list(self.cells)))
            self.origins.append(self.sheet)

    def _value(self) -> str:
        given, shown = self.given, "".join(self.pieces)
        if not given:
            return shown
        if given.get("calcext:value-type") == "error" or _is_error(given, shown):
            self.book.errors += 1
            return ""
        kind = given.get("office:value-type", "")
        if kind in _EXACT:
            value = number(given.get("office:value", "").strip())
            return _padded(value, shown)
        if kind == "date":
            return plain_date(given.get("office:date-value", "")) or shown
        if kind == "boolean":
            return given.get("office:boolean-value", "").upper()
        return given.get("office:string-value") or shown


_APART = frozenset({"office:annotation", "draw:frame", "table:shapes", "table:detective"})
_CELLS = frozenset({"table:table-cell", "table:covered-table-cell"})
_SPACES = {"text:s": " ", "text:tab": "\t", "text:line-break": "\n"}


def _is_error(given: dict[str, str], shown: str) -> bool:
    return "table:formula" in given and shown.startswith(
        ("#REF!", "#N/A", "#NAME?", "Err:")
    )


def _padded(value: str, shown: str) -> str:
    """Keep zeros a format puts in front of a number: `0123`."""
    padded = shown.isdecimal() and shown.isascii() and shown.lstrip("0") == value
    return shown if padded and len(shown) <= 32 else value


def _times(told: str, most: int) -> int:
    return min(int(told), most) if len(told) < 12 and told.isdecimal() else 1
