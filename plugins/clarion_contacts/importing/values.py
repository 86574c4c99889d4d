"""Cells as values of a kind: text, number, date, choice, yes or no.

What a column holds is guessed from all it holds; a person may say otherwise. A cell that
does not fit is left out by name, and never bent until it fits.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion_contacts.importing.headers import looks_like_phone
from clarion_contacts.importing.kinds import Kind
from clarion_contacts.importing.tables import Column, Table

Value = str | int | float | bool
MOST_CHOICES = 30
LONGEST_CHOICE = 60
NEARLY = 0.95
ENOUGH = 12  # filled cells below which few values say nothing about choices

YES = frozenset(
    {"yes", "y", "true", "1", "x", "ok", "on", "opt-in", "optin", "opted-in", "subscribed"}
    | {
        "sim",
        "s",
        "si",
        "sí",
        "ja",
        "j",
        "oui",
        "o",
        "haan",
        "han",
        "हाँ",
        "да",
        "是",
        "نعم",
    }
)
NO = frozenset(
    {"no", "n", "false", "0", "off", "opt-out", "optout", "opted-out", "unsubscribed"}
    | {"não", "nao", "nein", "non", "nahin", "nahi", "नहीं", "нет", "否", "لا"}
)


@dataclass(frozen=True, slots=True)
class Typing:
    """How the cells of one column become values.

    Attributes:
        kind: what they are.
        choices: the values a choice allows, as they are written.
        decimal: the sign before the fraction of a number; empty when nothing tells.
    """

    kind: Kind
    choices: tuple[str, ...] = ()
    decimal: str = ""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Typing":
        """Read it from JSON."""
        return cls(told["kind"], tuple(told["choices"]), told["decimal"])


def value_of(typing: Typing, cell: str, *, day_first: bool) -> Value:
    """Read one filled cell. Raises `Invalid` (codes `value_…`) when it does not fit."""
    if typing.kind == "number":
        return _number(cell, typing.decimal)
    if typing.kind == "date":
        found = date_of(cell, day_first=day_first)
        if found is None:
            raise Invalid("value_date", _("“%(text)s” is no date.", text=cell[:40]))
        return found.isoformat()
    if typing.kind == "yes_no":
        said = cell.strip().casefold()
        if said in YES or said in NO:
            return said in YES
        raise Invalid(
            "value_yes_no", _("“%(text)s” is neither yes nor no.", text=cell[:40])
        )
    if typing.kind == "choice":
        if cell.strip() in typing.choices:
            return cell.strip()
        said = cell.strip().casefold()
        for one in typing.choices:
            if one.casefold() == said:
                return one
        raise Invalid(
            "value_choice", _("“%(text)s” is none of the choices.", text=cell[:40])
        )
    return cell


_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_DAY = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})(?!\d)")


def date_of(cell: str, *, day_first: bool) -> dt.date | None:
    """Read a date in digits; two digits of a year are of this century."""
    if found := _ISO.match(cell):
        year, month, day = (int(part) for part in found.groups())
    elif found := _DAY.match(cell):
        one, two, year = (int(part) for part in found.groups())
        day, month = (one, two) if day_first else (two, one)
        year += 2000 if year < 100 else 0
    else:
        return None
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


# --- numbers

_PLAIN = re.compile(r"[-+]?[0-9]{1,15}")
_NUMBER = re.compile(r"([-+]?)([0-9][0-9 ,.'’]*)(?:[eE]([-+]?[0-9]{1,2}))?")
_AROUND = " \t\u00a0\u202f%€$£¥₹R"


def _number(cell: str, decimal: str) -> int | float:
    said = cell.strip()
    if _PLAIN.fullmatch(said):
        return int(said)
    found = _NUMBER.fullmatch(re.sub(r"[\u00a0\u202f]", " ", said.strip(_AROUND)))
    digits = _with_point(found[2].strip(), decimal) if found else None
    if found is None or digits is None:
        raise Invalid(
            "value_number", _("“%(text)s” is no number we can be sure of.", text=cell[:40])
        )
    value = float(f"{found[1]}{digits}e{found[3] or 0}")
    if not math.isfinite(value):
        raise Invalid("value_number", _("“%(text)s” is too large.", text=cell[:40]))
    return int(value) if value.is_integer() and abs(value) < 10**15 else value


def _with_point(digits: str, decimal: str) -> str | None:
    """Write digits with a point and no groups; None when two readings are possible."""
    digits = re.sub(r"[ '’]", "", digits)
    signs = [sign for sign in digits if sign in ",."]
    if not signs:
        return digits
    last = signs[-1]
    if len(set(signs)) > 1:  # 1.234,50: the last one is the point
        return _joined(digits, last) if signs.count(last) == 1 else None
    if len(signs) > 1:  # 1.234.567: groups
        return digits.replace(last, "") if _is_grouped(digits, last) else None
    if not _is_grouped(digits, last):
        return _joined(digits, last)
    if not decimal:
        return None
    return _joined(digits, last) if last == decimal else digits.replace(last, "")


def _joined(digits: str, point: str) -> str:
    other = "." if point == "," else ","
    return digits.replace(other, "").replace(point, ".")


def _is_grouped(digits: str, sign: str) -> bool:
    first, *groups = digits.split(sign)
    return 0 < len(first) <= 3 and first != "0" and all(len(one) == 3 for one in groups)


def decimal_of(cells: Iterable[str]) -> str:
    """Tell the sign before fractions from cells that can be read in one way only."""
    for cell in cells:
        signs = [sign for sign in cell if sign in ",."]
        if not signs:
            continue
        last = signs[-1]
        digits = cell.strip(_AROUND + "+-")
        if len(set(signs)) > 1 and signs.count(last) == 1:
            return last
        if len(signs) == 1 and not _is_grouped(digits, last):
            return last
    return ""


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
