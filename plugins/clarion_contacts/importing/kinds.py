"""The values of fields of one's own: from text to the form of their kind, and back. Pure.

Text and choice are kept as strings, a number as a number, a date as "2027-01-31", yes or
no as a boolean. `read` takes what our own forms and files write; `value_of` takes a cell of
a stranger's file, as a column's `Typing` says. What does not fit is refused, never bent.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, get_args

from clarion.base.errors import Invalid
from clarion.base.words import _

Kind = Literal["text", "number", "date", "choice", "yes_no"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST = 1_000
NUMBER = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$"
"""What is a number, for Python and for PostgreSQL; fifteen digits, so that none is lost."""
MOST_DIGITS = 15
_LONG_MONTH = r"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
_SHORT_MONTH = r"(0[469]|11)-(0[1-9]|[12][0-9]|30)"
_FEBRUARY = r"02-(0[1-9]|1[0-9]|2[0-8])"
_LEAP = r"([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29"
DATE = rf"^([1-9][0-9]{{3}}-({_LONG_MONTH}|{_SHORT_MONTH}|{_FEBRUARY})|(?=[1-9]){_LEAP})$"
"""What is a date, for both as well."""
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
"""Words for yes and no, in small letters: in forms, in files and in SQL."""

Value = str | int | float | bool


def read(kind: str, choices: Sequence[str], said: str) -> Value:
    """Read what was typed for a field of a kind. Raises `Invalid` (`field_value`)."""
    said = said.strip()
    if kind == "number":
        return number(said)
    if kind == "date":
        if not re.fullmatch(DATE, said):
            raise _bad(_("Write a day like 2027-01-31."))
        return said
    if kind == "yes_no":
        if (answer := _yes_no(said)) is None:
            raise _bad(_("Write yes or no."))
        return answer
    if kind == "choice" and said not in choices:
        raise _bad(_("“%(text)s” is none of the choices.", text=said[:60]))
    return said[:LONGEST]


def number(said: str) -> int | float:
    """Read a number as our own files and forms write it. Raises `Invalid`."""
    if not re.fullmatch(NUMBER, said) or len(re.sub(r"\D", "", said)) > MOST_DIGITS:
        raise _bad(_("Write a number like 1234.5."))
    return float(said) if "." in said else int(said)


def written(value: Any) -> str:  # Any: whatever is in the column
    """Write a kept value as text that `read` reads back."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        plain = format(Decimal(repr(value)), "f")
        return plain.removesuffix(".0")
    return "" if value is None else str(value)


def fits(kind: str, choices: Sequence[str], value: Any) -> bool:
    """Say whether a kept value has the form of a kind already."""
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "yes_no":
        return isinstance(value, bool)
    if kind == "date":
        return isinstance(value, str) and bool(re.fullmatch(DATE, value))
    if kind == "choice":
        return value in choices
    return isinstance(value, str)


def day(value: Any) -> dt.date | None:
    """Read a kept date."""
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError:
        return None


def _yes_no(said: str) -> bool | None:
    folded = said.strip().casefold()
    return folded in YES if folded in YES or folded in NO else None


def _bad(why: str) -> Invalid:
    return Invalid("field_value", why)


# --- cells of files


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
        answer = _yes_no(cell)
        if answer is not None:
            return answer
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
