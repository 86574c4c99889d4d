"""Sheets of an Excel workbook (.xlsx), read cell by cell, exactly as they are stored.

The text of a number in the file is looked at, not a float made of it: a phone number keeps
every digit the file has, and one that lost digits is told by its shape. Memory is that of
the shared strings, and flat otherwise.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion_contacts.importing import archives
from clarion_contacts.importing.archives import Archive, feed, parser
from clarion_contacts.importing.tables import (
    MAX_CELL,
    MAX_COLUMNS,
    Record,
    SheetName,
    cell_too_large,
    too_many_columns,
)

MAX_SHEETS = 200
MAX_STYLES = 70_000  # Excel allows 65,490
_WORKBOOK = "xl/workbook.xml"


def refuse(archive: Archive) -> None:
    """Refuse workbooks with programs, with links to others, and the binary kind."""
    names = {name.lower() for name in archive.names}
    types = archive.whole("[Content_Types].xml").lower()
    if "xl/vbaproject.bin" in names or b"macroenabled.main" in types:
        raise archives.macros()
    if any(name.startswith("xl/externallinks/") for name in names):
        raise Invalid(
            "file_external_links",
            _(
                "This workbook takes cells from other workbooks. Copy the sheet with “Paste "
                "values” into a new one."
            ),
        )


@dataclass(slots=True)
class Workbook:
    """An opened workbook. `errors` counts cells like #REF! among those read so far."""

    archive: Archive
    sheets: tuple[SheetName, ...]
    parts: tuple[str, ...]
    strings: list[str] = field(repr=False)
    styles: list[str] = field(repr=False)
    since_1904: bool
    errors: int = 0

    def records(self, sheet: int) -> Iterator[Record]:
        """Read every row that is in a sheet, with its number."""
        return _rows(self, self.parts[sheet])

    def heads(self, count: int) -> list[list[Record]]:
        """Read the first rows of every sheet."""
        return [list(islice(_rows(self, part), count)) for part in self.parts]


def opened(archive: Archive) -> Workbook:
    """Read what all sheets share: their names, strings and styles."""
    refuse(archive)
    targets = _targets(archive)
    sheets, parts, since_1904 = _listed(archive, targets)
    if not parts:
        raise archives.broken()
    kinds = {kind: part for kind, part in targets.values() if part in archive.names}
    strings = kinds.get("sharedStrings")
    styles = kinds.get("styles")
    return Workbook(
        archive,
        sheets,
        parts,
        list(_strings(archive, strings)) if strings else [],
        _styles(archive, styles) if styles else [],
        since_1904,
    )


def _targets(archive: Archive) -> dict[str, tuple[str, str]]:
    """What the workbook refers to: id → (kind, part)."""
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, given: dict[str, str]) -> None:
        if name.endswith("Relationship") and given.get("TargetMode") != "External":
            target = given.get("Target", "")
            part = target.removeprefix("/") if target[:1] == "/" else f"xl/{target}"
            kind = given.get("Type", "").rpartition("/")[2]
            found[given.get("Id", "")] = kind, part

    _run(archive, "xl/_rels/workbook.xml.rels", start)
    return found


def _listed(
    archive: Archive, targets: dict[str, tuple[str, str]]
) -> tuple[tuple[SheetName, ...], tuple[str, ...], bool]:
    sheets: list[tuple[SheetName, str]] = []
    since_1904 = False

    def start(name: str, given: dict[str, str]) -> None:
        nonlocal since_1904
        local = name.rpartition(":")[2]
        if local == "workbookPr":
            since_1904 = given.get("date1904") in ("1", "true")
        if local != "sheet" or len(sheets) >= MAX_SHEETS:
            return
        known = next((v for k, v in given.items() if k.rpartition(":")[2] == "id"), "")
        kind, part = targets.get(known, ("", ""))
        if kind == "worksheet" and part in archive.names:
            hidden = given.get("state", "visible") != "visible"
            sheets.append((SheetName(given.get("name", "")[:80], hidden), part))

    _run(archive, _WORKBOOK, start)
    return tuple(one for one, _p in sheets), tuple(part for _s, part in sheets), since_1904


def _run(archive: Archive, part: str, start: archives.Handler) -> None:
    made = parser(start, lambda _name: None, lambda _text: None)
    for _chunk in feed(made, archive.part(part)):
        pass


# --- shared strings: text with its runs joined, without the readings above it


def _strings(archive: Archive, part: str) -> Iterator[str]:
    reader = _Strings()
    made = parser(reader.start, reader.end, reader.text)
    for _chunk in feed(made, archive.part(part)):
        yield from reader.done
        reader.done.clear()


class _Strings:
    """What the parser calls for shared strings; `done` are those that have ended."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.pieces: list[str] = []
        self.inside = self.skipped = False

    def start(self, name: str, _given: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "si":
            self.pieces.clear()
        elif local == "rPh":
            self.skipped = True
        elif local == "t":
            self.inside = not self.skipped

    def text(self, said: str) -> None:
        if self.inside:
            self.pieces.append(said)

    def end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        if local == "t":
            self.inside = False
        elif local == "rPh":
            self.skipped = False
        elif local == "si":
            whole = _unescaped("".join(self.pieces))
            if len(whole) > MAX_CELL:
                raise cell_too_large(0)
            self.done.append(whole)


_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def _unescaped(text: str) -> str:
    """Excel writes signs that XML has none for as `_x000D_`."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


# --- styles: which numbers are dates, and which are shown with zeros in front

_DATES = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_QUOTED = re.compile(r"\"[^\"]*\"|\\.|_.|\*.|\[(?!h|m|s)[^\]]*\]", re.IGNORECASE)


def _styles(archive: Archive, part: str) -> list[str]:
    """For each style: `date`, zeros as wide as numbers are shown, or nothing."""
    formats: dict[str, str] = {}
    styles: list[str] = []
    inside = False

    def start(name: str, given: dict[str, str]) -> None:
        nonlocal inside
        local = name.rpartition(":")[2]
        if local == "numFmt":
            formats[given.get("numFmtId", "")] = given.get("formatCode", "")[:300]
        elif local == "cellXfs":
            inside = True
        elif local == "xf" and inside and len(styles) < MAX_STYLES:
            styles.append(_style(given.get("numFmtId", "0"), formats))

    def end(name: str) -> None:
        nonlocal inside
        if name.rpartition(":")[2] == "cellXfs":
            inside = False

    for _chunk in feed(parser(start, end, lambda _text: None), archive.part(part)):
        pass
    return styles


def _style(known: str, formats: dict[str, str]) -> str:
    if known not in formats:
        return "date" if place_of(known, 0) in _DATES else ""
    code = formats[known]
    if re.fullmatch(r"0{2,32}", code):
        return code
    bare = _QUOTED.sub("", code.partition(";")[0]).lower()
    return "date" if re.search(r"[ymdhs]", bare) and "general" not in bare else ""


# --- rows


def _rows(book: Workbook, part: str) -> Iterator[Record]:
    reader = _Rows(book)
    made = parser(reader.start, reader.end, reader.text)
    for _chunk in feed(made, book.archive.part(part)):
        yield from reader.done
        reader.done.clear()


class _Rows:
    """What the parser calls for a sheet; `done` are the rows that have ended."""

    def __init__(self, book: Workbook) -> None:
        self.book = book
        self.done: list[Record] = []
        self.number, self.place = 0, -1
        self.cells: list[str] = []
        self.kind = self.style = ""
        self.pieces: list[str] = []
        self.inside = self.skipped = False

    def start(self, name: str, given: dict[str, str]) -> None:
        if name == "c":
            self.kind, self.style = given.get("t", "n"), given.get("s", "")
            place = _column(given.get("r", "").rstrip("0123456789"))
            self.place = place if place >= 0 else self.place + 1
            self.pieces.clear()
        elif name in ("v", "t"):
            self.inside = not self.skipped
        elif name == "row":
            self.number = place_of(given.get("r", ""), self.number + 1)
            self.cells, self.place = [], -1
        elif name == "rPh":
            self.skipped = True
        elif ":" in name:  # some programs write a prefix before every name
            self.start(name.rpartition(":")[2], given)

    def text(self, said: str) -> None:
        if self.inside:
            self.pieces.append(said)

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self.inside = False
        elif name == "c":
            if self.pieces:
                self._put(self._value("".join(self.pieces)))
        elif name == "row":
            self.done.append((self.number, self.cells))
        elif name == "rPh":
            self.skipped = False
        elif ":" in name:
            self.end(name.rpartition(":")[2])

    def _put(self, value: str) -> None:
        if not value:
            return
        if len(value) > MAX_CELL:
            raise cell_too_large(self.number)
        if self.place >= MAX_COLUMNS:
            raise too_many_columns(self.number, self.place + 1)
        place = self.place = max(self.place, 0)  # a row may begin inside a damaged cell
        missing = place - len(self.cells)
        if missing < 0:  # a place that was filled before: only a damaged file does that
            self.cells[place] = value
            return
        self.cells += [""] * missing
        self.cells.append(value)

    def _value(self, said: str) -> str:
        kind = self.kind
        if kind == "s":
            place = place_of(said.strip(), -1)
            strings = self.book.strings
            if not 0 <= place < len(strings):
                raise archives.broken()
            return strings[place]
        if kind == "n":
            return self._number(said)
        if kind == "b":
            return "TRUE" if said.strip() == "1" else "FALSE"
        if kind == "e":
            self.book.errors += 1
            return ""
        if kind == "d":
            return plain_date(said.strip())
        return _unescaped(said)

    def _number(self, said: str) -> str:
        place, styles = place_of(self.style, 0) if self.style else 0, self.book.styles
        style = styles[place] if place < len(styles) else ""
        if not style:
            return number(said)
        if style == "date":
            return _date(said, since_1904=self.book.since_1904) or number(said)
        shown = number(said)
        return shown.zfill(len(style)) if shown.isdecimal() else shown


@lru_cache(maxsize=1024)
def _column(letters: str) -> int:
    """`AB` → 27; -1 when it is none."""
    if not letters or len(letters) > 3 or not _LETTERS.issuperset(letters):
        return -1
    column = 0
    for sign in letters:
        column = column * 26 + ord(sign) - 64
    return column - 1


_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def place_of(told: str, else_: int) -> int:
    """Read a place counted from 0 or 1; something else when it is none."""
    return int(told) if len(told) < 10 and told.isdecimal() else else_


_SHORT = re.compile(r"-?[0-9]{1,15}")
EXACT = 10**15
"""From here on spreadsheets keep no digit for sure: they calculate with 15."""


def number(said: str) -> str:
    """Write a stored number as people do; `1.2E+19` when digits of it were lost."""
    if _SHORT.fullmatch(said):
        return said
    said = said.strip()
    try:
        exact = Decimal(said)
    except InvalidOperation:
        return said
    if not exact.is_finite() or abs(exact.adjusted()) > 400:
        return said[:40]
    if abs(exact) >= EXACT:
        return f"{exact:E}"
    close = float(said)
    return str(int(close)) if close.is_integer() else repr(close)


_ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)[.\d]*Z?)?")


def plain_date(said: str) -> str:
    """Write an ISO time without what says nothing: midnight, parts of seconds."""
    found = _ISO.fullmatch(said)
    if not found:
        return said
    day, time = found[1], found[2] or ""
    return f"{day}T{time}" if time.strip("0:") else day


@lru_cache(maxsize=4096)
def _date(said: str, *, since_1904: bool) -> str:
    """Read a count of days; Excel believes in a 29th of February 1900."""
    try:
        seconds = round(float(said) * 86_400)
    except (ValueError, OverflowError):
        return ""
    days, seconds = divmod(seconds, 86_400)
    if not 0 <= days < 2_958_466:  # the year 10000
        return ""
    time = str(dt.timedelta(seconds=seconds)).zfill(8)
    if days == 0 and not since_1904:
        return time
    start = dt.date(1904, 1, 1) if since_1904 else dt.date(1899, 12, 30)
    if not since_1904 and days < 60:
        days += 1
    return plain_date(f"{start + dt.timedelta(days=days)}T{time}")
