"""The values of fields of one's own: from text to the form of their kind, and back. Pure.

Text and choice are kept as strings, a number as a number, a date as "2027-01-31", yes or
no as a boolean. What does not fit is refused, never bent: "007" and "1,234" are no number.
"""

import datetime as dt
import re
from collections.abc import Sequence
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
YES = ("yes", "true", "1", "ja", "sim", "sí", "si", "oui", "on")
NO = ("no", "false", "0", "nein", "não", "nao", "non", "off")

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
        folded = said.casefold()
        if folded not in (*YES, *NO):
            raise _bad(_("Write yes or no."))
        return folded in YES
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


def _bad(why: str) -> Invalid:
    return Invalid("field_value", why)
