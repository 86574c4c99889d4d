"""A list of people as a table, whatever file it came in: columns, rows, limits.

The table keeps the bytes and reads its rows from them again each time: memory stays
flat. Rows are counted as a spreadsheet counts them: the first is 1, blank rows count.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Literal

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion_contacts.importing import ours
from clarion_contacts.importing.headers import looks_like_data, meaning

MAX_BYTES = 200 * 1024 * 1024
MAX_WHOLE = 25 * 1024 * 1024  # of what cannot be read piece by piece: workbooks and cards
MAX_ROWS = 1_000_000
MAX_CELL = 32 * 1024
MAX_COLUMNS = 500
MAX_SIGNS = 400_000_000  # of all cells: a workbook may repeat one long text endlessly
HEAD = 200  # rows kept for guessing
FEW = 40  # different cells of a column that may be choices

Format = Literal["csv", "xlsx", "ods", "vcard"]
Record = tuple[int, list[str]]
"""A row as it is in the file, with its number."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `index` from 0, `name` as on screen, up to three samples.

    `values` are all different cells, where they are few.
    """

    index: int
    name: str
    samples: tuple[str, ...]
    filled: int
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Something the person should look at; nothing is refused because of it."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class SheetName:
    """One sheet of a workbook, as its program names it."""

    name: str
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    r"""All that is needed to read the rows of a file again: guessed once, JSON can hold it.

    Attributes:
        format: csv (with any delimiter), xlsx, ods or vcard.
        encoding: Python's name; empty for workbooks.
        mixed: some lines are in another encoding; `judge` refuses those rows.
        delimiter: one sign; a tab is `\t`; empty where nothing separates.
        sheet: which sheet of a workbook, from 0.
        header_row: the row that names the columns, or the one before the first person.
        width: how many columns there are.
    """

    format: Format
    encoding: str
    mixed: bool
    delimiter: str
    sheet: int
    header_row: int
    width: int


@dataclass(frozen=True, slots=True)
class Table:
    """An opened file.

    Attributes:
        encoding_sure: False when the person should look.
        header: whether `header_row` (as a spreadsheet counts) names the columns.
        sheets: all sheets of a workbook; empty for other files.
        row_count: rows with something in them, without the header.
        head: the first rows, for guessing.
    """

    shape: Shape
    encoding_sure: bool
    delimiter_sure: bool
    header: bool
    header_sure: bool
    columns: tuple[Column, ...]
    row_count: int
    head: tuple[Record, ...] = field(repr=False)
    notes: tuple[Note, ...] = ()
    sheets: tuple[SheetName, ...] = ()

    @property
    def header_row(self) -> int:
        """The row that names the columns; the one before the first when none does."""
        return self.shape.header_row


def below(records: Iterable[Record], shape: Shape) -> Iterator[Record]:
    """Give every row of people, as long as the header at least."""
    for number, cells in records:
        if number > shape.header_row and any(cells):
            missing = shape.width - len(cells)
            yield number, cells + [""] * missing if missing > 0 else cells


# --- limits


def too_large() -> Invalid:
    """Refuse a file beyond what a million people need."""
    return Invalid(
        "file_too_large",
        _("This file is larger than 200 MB. Split it and import the parts."),
    )


def cell_too_large(number: int) -> Invalid:
    """Refuse a cell that no person wrote."""
    return Invalid(
        "file_cell_too_large",
        _(
            "A cell in row %(row)s is larger than 32 KB; most likely a quotation mark is "
            "opened there and never closed.",
            row=number or "?",
        ),
    )


def too_many_columns(number: int, count: int) -> Invalid:
    """Refuse a row that is wider than any list."""
    return Invalid(
        "file_too_many_columns",
        _(
            "Row %(row)s has %(count)s columns; at most 500 can be read. Is the delimiter "
            "right?",
            row=number,
            count=count,
        ),
    )


def too_many_rows() -> Invalid:
    """Refuse more people than fit into one list."""
    return Invalid(
        "file_too_many_rows", _("This file has more than 1,000,000 rows. Split it.")
    )


# --- header


def find_header(records: Sequence[Record]) -> tuple[int, bool, bool]:
    """The row where the table starts, whether it names columns, and how sure that is."""
    filled = [(at, cells) for at, cells in records if any(map(str.strip, cells))]
    if not filled:
        raise Invalid("file_empty", _("This file is empty."))
    for at, cells in filled[:1]:
        if ours.is_ours(cells):
            return at, True, True
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


def without_rows(*, is_header: bool) -> Invalid:
    """Refuse a list of nobody."""
    if is_header:
        return Invalid(
            "file_header_only", _("This file has a header and no rows under it.")
        )
    return Invalid("file_empty", _("This file has no rows."))


# --- the one pass over everything


@dataclass(slots=True)
class Survey:
    """What one pass over all rows finds. `last` is the last row with something in it."""

    count: int = 0
    width: int = 0
    filled: list[int] = field(default_factory=list)
    values: list[set[str]] = field(default_factory=list)
    head: list[Record] = field(default_factory=list)
    widths: Counter[int] = field(default_factory=Counter)
    last: Record = (0, [])
    signs: int = 0


def survey(records: Iterator[Record], header_row: int) -> Survey:
    """Look at every row once, and refuse what is over a limit."""
    found = Survey()
    while chunk := list(islice(records, 2000)):
        _refuse_wide(chunk)
        body = [one for one in chunk if one[0] >= header_row]
        if body and body[0][0] == header_row:
            found.width = len(body.pop(0)[1])
        body = [one for one in body if any(one[1])]
        _refuse_long(body, found)
        found.count += len(body)
        found.last = body[-1] if body else found.last
        if found.count > MAX_ROWS:
            raise too_many_rows()
        if len(found.head) < HEAD:
            found.head += body[: HEAD - len(found.head)]
        rows = [cells for _at, cells in body]
        found.widths.update(map(len, rows))
        for place, cells in enumerate(zip_longest(*rows, fillvalue="")):
            if place == len(found.filled):
                found.filled.append(0)
                found.values.append(set())
            found.filled[place] += sum(map(bool, cells))
            if len(found.values[place]) <= FEW:
                found.values[place].update(cells)
    if not found.width and found.widths:
        found.width = found.widths.most_common(1)[0][0]
    return found


def _refuse_wide(chunk: list[Record]) -> None:
    if max(len(cells) for _at, cells in chunk) <= MAX_COLUMNS:
        return
    at, cells = next(one for one in chunk if len(one[1]) > MAX_COLUMNS)
    raise too_many_columns(at, len(cells))


def _refuse_long(body: list[Record], found: Survey) -> None:
    for at, cells in body:
        if max(map(len, cells)) > MAX_CELL:
            raise cell_too_large(at)
        found.signs += sum(map(len, cells))
    if found.signs > MAX_SIGNS:
        raise Invalid(
            "file_unpacks_too_large",
            _(
                "This file unpacks to more than 200 MB. Save the sheet as CSV and upload "
                "that."
            ),
        )


def columns_of(names: Sequence[str], found: Survey) -> tuple[Column, ...]:
    """Name the columns, each differently, and show what is in them."""
    columns = []
    used: Counter[str] = Counter()
    for place in range(found.width):
        given = " ".join(names[place].split())[:80] if place < len(names) else ""
        name = given or _("Column %(number)s", number=place + 1)
        used[name.casefold()] += 1
        if used[name.casefold()] > 1:
            name = f"{name} ({used[name.casefold()]})"
        columns.append(
            Column(
                index=place,
                name=name,
                samples=_samples(found.head, place),
                filled=found.filled[place] if place < len(found.filled) else 0,
                values=_values(found, place),
            )
        )
    return tuple(columns)


def _values(found: Survey, place: int) -> tuple[str, ...]:
    if place >= len(found.values) or len(found.values[place]) > FEW:
        return ()
    return tuple({cell.strip() for cell in found.values[place]} - {""})


def _samples(head: list[Record], place: int) -> tuple[str, ...]:
    seen: dict[str, None] = {}
    for _at, cells in head:
        if place < len(cells) and (cell := cells[place].strip()):
            seen[cell[:120]] = None
            if len(seen) == 3:
                break
    return tuple(seen)


def start_note(start: int) -> Iterator[Note]:
    """Say that something above the table is left out."""
    if start > 1:
        yield Note(
            "rows_skipped",
            _("The table starts in row %(row)s; what is above is left out.", row=start),
        )


def ragged_note(found: Survey) -> Iterator[Note]:
    """Say that rows are longer than the header."""
    long = sum(times for width, times in found.widths.items() if width > found.width)
    if long:
        yield Note(
            "rows_ragged",
            _("%(count)s rows have more cells than there are columns.", count=long),
        )
