"""A CSV or TSV file: delimiter guessed, quotation marks believed, damage told."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion_contacts.importing.encodings import (
    Encoding,
    check_encoding,
    guess_encoding,
)
from clarion_contacts.importing.source import Source
from clarion_contacts.importing.tables import (
    HEAD,
    Note,
    Record,
    Shape,
    Survey,
    Table,
    cell_too_large,
    columns_of,
    find_header,
    ragged_note,
    start_note,
    survey,
    without_rows,
)

DELIMITERS = (",", ";", "\t", "|")


def records(source: Source, shape: Shape) -> Iterator[Record]:
    """Read every record with its number."""
    return _numbered(source, Encoding(shape.encoding, mixed=shape.mixed), shape.delimiter)


def open_text(
    source: Source, *, encoding: str | None, delimiter: str | None, header: bool | None
) -> Table:
    """Open a text file as a table; what is not given is guessed."""
    coding = check_encoding(source, encoding) if encoding else guess_encoding(source)
    _refuse_controls(source, coding)
    first = _first_records(source, coding)
    hint = _hinted_delimiter(first)
    sure = True
    if delimiter is None:
        delimiter, sure = (hint, True) if hint else _guess_delimiter(first)
    elif delimiter not in DELIMITERS:
        raise Invalid("file_delimiter", _("Choose a comma, semicolon, tab or bar."))
    top = list(islice(_numbered(source, coding, delimiter), HEAD + 30))
    start, titled, header_sure = find_header(top[1:] if hint else top)
    is_header = titled if header is None else header
    header_row = start if is_header else start - 1
    found = survey(_numbered(source, coding, delimiter), header_row)
    if not found.count:
        raise without_rows(is_header=is_header)
    _refuse_open_quote(source, found)
    names = next((cells for at, cells in top if at == header_row), [])
    return Table(
        shape=Shape(
            "csv", coding.name, coding.mixed, delimiter, 0, header_row, found.width
        ),
        encoding_sure=coding.sure or encoding is not None,
        delimiter_sure=sure,
        header=is_header,
        header_sure=header_sure or header is not None,
        columns=columns_of(names if is_header else [], found),
        row_count=found.count,
        head=tuple(found.head),
        notes=(
            *coding_notes(source, coding),
            *start_note(start),
            *ragged_note(found),
            *_delimiter_note(found, delimiter, first),
        ),
    )


_CONTROLS = bytes(set(range(32)) - {0, 9, 10, 12, 13, 26, 27})


def _refuse_controls(source: Source, coding: Encoding) -> None:
    sample = source.start(1 << 16)
    if coding.name.startswith(("utf-16", "utf-32")):
        return
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if controls * 100 > len(sample):
        raise Invalid("file_not_csv", _("This is not a text file. Export it as CSV."))


# --- bytes → records


def _stream(source: Source, coding: Encoding) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        source.reader(), encoding=coding.name, errors=coding.errors, newline=""
    )


def _numbered(
    source: Source, coding: Encoding, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Every record with its number; refuses cells that never end."""
    with _stream(source, coding) as lines:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        number = 0
        try:
            for number, cells in enumerate(reader, 1):
                yield number, cells
        except csv.Error:
            raise cell_too_large(number + 1) from None


def _first_records(source: Source, coding: Encoding) -> str:
    with _stream(source, coding) as lines:
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


def _refuse_open_quote(source: Source, found: Survey) -> None:
    """A quotation mark that is never closed swallows the rest of the file silently."""
    at, cells = found.last
    if source.count(b'"') % 2 and any("\n" in cell or "\r" in cell for cell in cells):
        raise Invalid(
            "file_open_quote",
            _("In row %(row)s a quotation mark is opened and never closed.", row=at),
        )


# --- what to look at


def coding_notes(source: Source, coding: Encoding) -> Iterator[Note]:
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
    if coding.name.startswith("utf-8") and any(map(_DAMAGED.search, source.windows(8))):
        yield Note(
            "encoding_damaged",
            _("Some letters were damaged before this file was saved (“Ã©”, “�”)."),
        )


def _delimiter_note(found: Survey, delimiter: str, first: str) -> Iterator[Note]:
    better, sure = _guess_delimiter(first)
    if found.width == 1 and better != delimiter and sure:
        yield Note(
            "delimiter_unlikely",
            _("All is in one column; “%(sign)s” seems to separate them.", sign=better),
        )


# `Ã` or `Â` or `â` before a sign of the range 80-BF, twice encoded; or the sign for lost
_DAMAGED = re.compile(
    rb"\xc3[\x82\x83]\xc2[\x80-\xbf]|\xc3\xa2\xe2\x82\xac|\xef\xbf\xbd",
)
