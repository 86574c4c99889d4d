"""A CSV file as a table: encoding, delimiter and header guessed, limits kept.

The table keeps the bytes and reads its rows from them again each time: memory stays
flat. Rows are counted as a spreadsheet counts them: the first is 1, blank rows count.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion_contacts.importing.encodings import (
    Encoding,
    check_encoding,
    guess_encoding,
)
from clarion_contacts.importing.headers import looks_like_data, meaning

MAX_BYTES = 25 * 1024 * 1024
MAX_ROWS = 1_000_000
MAX_CELL = 32 * 1024
MAX_COLUMNS = 500
HEAD = 200  # rows kept for guessing
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `index` from 0, `name` as on screen, up to three samples."""

    index: int
    name: str
    samples: tuple[str, ...]
    filled: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something the person should look at; nothing is refused because of it."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    r"""An opened file.

    Attributes:
        encoding: Python's name; `encoding_sure` is False when the person should look.
        delimiter: one sign; a tab is `\t`.
        header: whether `header_row` (as a spreadsheet counts) names the columns.
        row_count: rows with something in them, without the header.
        head: the first rows, for guessing.
        mixed: some lines are in another encoding; `judge` refuses those rows.
    """

    raw: bytes = field(repr=False)
    encoding: str
    encoding_sure: bool
    mixed: bool
    delimiter: str
    delimiter_sure: bool
    header: bool
    header_row: int
    header_sure: bool
    columns: tuple[Column, ...]
    row_count: int
    head: tuple[tuple[int, list[str]], ...] = field(repr=False)
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row with something in it, with its number, as long as the header."""
        width = len(self.columns)
        coding = Encoding(self.encoding, mixed=self.mixed)
        for number, cells in _numbered(self.raw, coding, self.delimiter):
            if number > self.header_row and any(cells):
                missing = width - len(cells)
                yield number, cells + [""] * missing if missing > 0 else cells


def open_table(
    raw: bytes,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
) -> Table:
    """Open the bytes of a CSV or TSV file; what is not given is guessed.

    Raises `Invalid` (codes `file_…`) when it is no such file, is empty or is over a limit.
    """
    _refuse_unsuitable(raw)
    coding = check_encoding(raw, encoding) if encoding else guess_encoding(raw)
    _refuse_controls(raw, coding)
    first = _first_records(raw, coding)
    hint = _hinted_delimiter(first)
    sure = True
    if delimiter is None:
        delimiter, sure = (hint, True) if hint else _guess_delimiter(first)
    elif delimiter not in DELIMITERS:
        raise Invalid("file_delimiter", _("Choose a comma, semicolon, tab or bar."))
    records = list(islice(_numbered(raw, coding, delimiter), HEAD + 30))
    start, titled, header_sure = _find_header(records[1:] if hint else records)
    is_header = titled if header is None else header
    header_row = start if is_header else start - 1
    survey = _survey(_numbered(raw, coding, delimiter), header_row)
    if not survey.count:
        raise _without_rows(is_header)
    _refuse_open_quote(raw, survey)
    names = next((cells for at, cells in records if at == header_row), [])
    return Table(
        raw=raw,
        encoding=coding.name,
        encoding_sure=coding.sure or encoding is not None,
        mixed=coding.mixed,
        delimiter=delimiter,
        delimiter_sure=sure,
        header=is_header,
        header_row=header_row,
        header_sure=header_sure or header is not None,
        columns=_columns(names if is_header else [], survey),
        row_count=survey.count,
        head=tuple(survey.head),
        notes=(
            *_coding_notes(raw, coding),
            *_shape_notes(start, survey, delimiter, first),
        ),
    )


# --- what is no table at all

_MAGIC = (
    (b"\xd0\xcf\x11\xe0", "xls"),
    (b"%PDF", "pdf"),
    (b"\x1f\x8b", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"Rar!", "archive"),
    (b"{\\rtf", "text"),
    (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "picture"),
    (b"SQLite format", "database"),
)


def _refuse_unsuitable(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise Invalid(
            "file_too_large",
            _("This file is larger than 25 MB. Split it and import the parts."),
        )
    if not raw.strip(b"\xef\xbb\xbf\xff\xfe\0 \r\n\t,;\x1a"):
        raise Invalid("file_empty", _("This file is empty."))
    kind = _kind(raw)
    if kind == "workbook":
        raise Invalid(
            "file_workbook",
            _("This is an Excel workbook; save it as CSV (UTF-8) and upload that."),
        )
    if kind == "opendocument":
        raise Invalid(
            "file_workbook",
            _("This is an OpenDocument spreadsheet; save it as CSV and upload that."),
        )
    if kind == "xls":
        raise Invalid(
            "file_workbook",
            _("This is an old or encrypted Excel workbook; save it as CSV (UTF-8)."),
        )
    if kind == "vcard":
        raise Invalid(
            "file_vcard", _("This is a file of contact cards; export the list as CSV.")
        )
    if kind:
        raise Invalid(
            "file_not_csv", _("This is not a CSV file. Export the list as CSV (UTF-8).")
        )


def _kind(raw: bytes) -> str:
    if raw.startswith(b"PK\x03\x04"):
        start = raw[:4096]
        if b"opendocument" in start:
            return "opendocument"
        sheet = b"[Content_Types].xml" in start or b"xl/" in raw
        return "workbook" if sheet else "archive"
    for magic, kind in _MAGIC:
        if raw.startswith(magic):
            return kind
    start = raw[:512].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if start.startswith((b"<html", b"<!doctype", b"<table", b"<?xml", b"<meta")):
        return "page"
    if start.startswith(b"begin:vcard"):
        return "vcard"
    return "json" if re.match(rb"\[?\s*\{\s*\"[^\"]*\"\s*:", start) else ""


_CONTROLS = bytes(set(range(32)) - {0, 9, 10, 12, 13, 26, 27})


def _refuse_controls(raw: bytes, coding: Encoding) -> None:
    sample = raw[: 1 << 16]
    if coding.name.startswith(("utf-16", "utf-32")):
        return
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if controls * 100 > len(sample):
        raise Invalid("file_not_csv", _("This is not a text file. Export it as CSV."))


# --- bytes → records


def _stream(raw: bytes, coding: Encoding) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BytesIO(raw), encoding=coding.name, errors=coding.errors, newline=""
    )


def _numbered(
    raw: bytes, coding: Encoding, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Every record with its number; refuses cells that never end."""
    with _stream(raw, coding) as lines:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        number = 0
        try:
            for number, cells in enumerate(reader, 1):
                yield number, cells
        except csv.Error:
            raise _cell_too_large(number + 1) from None


def _cell_too_large(number: int) -> Invalid:
    return Invalid(
        "file_cell_too_large",
        _(
            "A cell in row %(row)s is larger than 32 KB; most likely a quotation mark is "
            "opened there and never closed.",
            row=number,
        ),
    )


def _first_records(raw: bytes, coding: Encoding) -> str:
    with _stream(raw, coding) as lines:
        text = lines.read(1 << 17)
    if len(text) == 1 << 17:
        text = text[: max(text.rfind("\n"), text.rfind("\r"), 1)]
    return text


def _hinted_delimiter(first: str) -> str | None:
    """Excel's own hint: a first line `sep=;`."""
    found = re.match(r"\"?sep=([,;\t|])\"?\s*[\r\n]", first, re.IGNORECASE)
    return found[1] if found else None


def _guess_delimiter(first: str) -> tuple[str, bool]:
    ranked = sorted(
        ((_evenness(first, sign), -place, sign) for place, sign in enumerate(DELIMITERS)),
        reverse=True,
    )
    (best, _place, sign), (second, *_rest) = ranked[0], ranked[1]
    return (sign, best - second > 0.15) if best > 0 else (",", True)


def _evenness(first: str, delimiter: str) -> float:
    """How evenly a sign cuts the lines: the share of rows with the usual width."""
    reader = csv.reader(
        io.StringIO(first, newline=""), delimiter=delimiter, skipinitialspace=True
    )
    try:
        widths = [len(cells) for cells in islice(reader, 300) if any(cells)]
    except csv.Error:
        return 0.0
    usual, times = Counter(widths).most_common(1)[0]
    if usual < 2:
        wide = [width for width in widths if width > 1]
        return 0.3 * len(wide) / len(widths) if widths[0] > 1 else 0.0
    return times / len(widths) + 0.01 * min(usual, 10) + 0.2 * (widths[0] == usual)


# --- header


def _find_header(records: Sequence[tuple[int, list[str]]]) -> tuple[int, bool, bool]:
    """The row where the table starts, whether it names columns, and how sure that is."""
    filled = [(at, cells) for at, cells in records if any(map(str.strip, cells))]
    if not filled:
        raise Invalid("file_empty", _("This file is empty."))
    usual = Counter(_filled(cells) for _at, cells in filled).most_common(1)[0][0]
    place = next(
        (
            place
            for place, (_at, cells) in enumerate(filled[:20])
            if 2 * _filled(cells) > usual
        ),
        0,
    )
    at, cells = filled[place]
    below = [row for _at, row in filled[place + 1 : place + 51]]
    titled, sure = _is_header(cells, below)
    return at, titled, sure


def _filled(cells: Iterable[str]) -> int:
    return sum(1 for cell in cells if cell.strip())


def _is_header(cells: list[str], below: list[list[str]]) -> tuple[bool, bool]:
    said = [cell.strip() for cell in cells if cell.strip()]
    known = sum(1 for cell in said if meaning(cell)[0])
    if any(looks_like_data(cell) and not _YEAR.fullmatch(cell) for cell in said):
        return (known > len(said) / 2), known == 0
    if known:
        return True, True
    data_below = [
        looks_like_data(row[place]) if place < len(row) else False
        for row in below
        for place in range(len(cells))
    ]
    distinct = len({cell.casefold() for cell in said}) == len(said)
    return distinct or any(data_below), any(data_below)


_YEAR = re.compile(r"(?:19|20)\d\d")  # over a column of figures a year is a name


def _without_rows(is_header: bool) -> Invalid:
    if is_header:
        return Invalid(
            "file_header_only",
            _("This file has a header and no rows under it."),
        )
    return Invalid("file_empty", _("This file has no rows."))


# --- the one pass over everything


@dataclass(slots=True)
class _Survey:
    count: int = 0
    width: int = 0
    filled: list[int] = field(default_factory=list)
    head: list[tuple[int, list[str]]] = field(default_factory=list)
    widths: Counter[int] = field(default_factory=Counter)
    last: tuple[int, list[str]] = (0, [])


def _survey(records: Iterator[tuple[int, list[str]]], header_row: int) -> _Survey:
    found = _Survey()
    while chunk := list(islice(records, 2000)):
        _refuse_wide(chunk)
        body = [one for one in chunk if one[0] >= header_row]
        if body and body[0][0] == header_row:
            found.width = len(body.pop(0)[1])
        body = [one for one in body if any(one[1])]
        _refuse_long(body)
        found.count += len(body)
        found.last = body[-1] if body else found.last
        if found.count > MAX_ROWS:
            raise Invalid(
                "file_too_many_rows",
                _("This file has more than 1,000,000 rows. Split it."),
            )
        if len(found.head) < HEAD:
            found.head += body[: HEAD - len(found.head)]
        rows = [cells for _at, cells in body]
        found.widths.update(map(len, rows))
        for place, cells in enumerate(zip_longest(*rows, fillvalue="")):
            if place == len(found.filled):
                found.filled.append(0)
            found.filled[place] += sum(map(bool, cells))
    if not found.width and found.widths:
        found.width = found.widths.most_common(1)[0][0]
    return found


def _refuse_wide(chunk: list[tuple[int, list[str]]]) -> None:
    if max(len(cells) for _at, cells in chunk) <= MAX_COLUMNS:
        return
    at, cells = next(one for one in chunk if len(one[1]) > MAX_COLUMNS)
    raise Invalid(
        "file_too_many_columns",
        _(
            "Row %(row)s has %(count)s columns; at most 500 can be read. Is the delimiter "
            "right?",
            row=at,
            count=len(cells),
        ),
    )


def _refuse_long(body: list[tuple[int, list[str]]]) -> None:
    for at, cells in body:
        if max(map(len, cells)) > MAX_CELL:
            raise _cell_too_large(at)


def _refuse_open_quote(raw: bytes, survey: _Survey) -> None:
    """A quotation mark that is never closed swallows the rest of the file silently."""
    at, cells = survey.last
    if raw.count(b'"') % 2 and any("\n" in cell or "\r" in cell for cell in cells):
        raise Invalid(
            "file_open_quote",
            _("In row %(row)s a quotation mark is opened and never closed.", row=at),
        )


def _columns(names: list[str], survey: _Survey) -> tuple[Column, ...]:
    columns = []
    used: Counter[str] = Counter()
    for place in range(survey.width):
        given = " ".join(names[place].split())[:80] if place < len(names) else ""
        name = given or _("Column %(number)s", number=place + 1)
        used[name.casefold()] += 1
        if used[name.casefold()] > 1:
            name = f"{name} ({used[name.casefold()]})"
        columns.append(
            Column(
                index=place,
                name=name,
                samples=_samples(survey.head, place),
                filled=survey.filled[place] if place < len(survey.filled) else 0,
            )
        )
    return tuple(columns)


def _samples(head: list[tuple[int, list[str]]], place: int) -> tuple[str, ...]:
    seen: dict[str, None] = {}
    for _at, cells in head:
        if place < len(cells) and (cell := cells[place].strip()):
            seen[cell[:120]] = None
            if len(seen) == 3:
                break
    return tuple(seen)


# --- what to look at


def _coding_notes(raw: bytes, coding: Encoding) -> Iterator[Note]:
    if coding.mixed:
        yield Note(
            "encoding_mixed",
            _("Some lines are in another encoding; those rows will be refused by name."),
        )
    elif not coding.sure:
        yield Note(
            "encoding_unsure",
            _("We are not sure about the encoding: look at the names with accents."),
        )
    if coding.name.startswith("utf-8") and _DAMAGED.search(raw):
        yield Note(
            "encoding_damaged",
            _("Some letters were damaged before this file was saved (“Ã©”, “�”)."),
        )


def _shape_notes(start: int, survey: _Survey, delimiter: str, first: str) -> Iterator[Note]:
    if start > 1:
        yield Note(
            "rows_skipped",
            _("The table starts in row %(row)s; what is above is left out.", row=start),
        )
    long = sum(times for width, times in survey.widths.items() if width > survey.width)
    if long:
        yield Note(
            "rows_ragged",
            _("%(count)s rows have more cells than there are columns.", count=long),
        )
    better, sure = _guess_delimiter(first)
    if survey.width == 1 and better != delimiter and sure:
        yield Note(
            "delimiter_unlikely",
            _("All is in one column; “%(sign)s” seems to separate them.", sign=better),
        )


# `Ã` or `Â` or `â` before a sign of the range 80-BF, twice encoded; or the sign for lost
_DAMAGED = re.compile(
    rb"\xc3[\x82\x83]\xc2[\x80-\xbf]|\xc3\xa2\xe2\x82\xac|\xef\xbf\xbd",
)
