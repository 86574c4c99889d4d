"""Where the value of a variable comes from, and the SQL expression of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion_contacts.models import Contact

PLAIN = ("name", "first_name", "last_name", "email", "country", "language")
ATTRIBUTE = "attributes."


@dataclass(frozen=True, slots=True)
class Filling:
    """Where the value of a variable comes from.

    Attributes:
        source: `name`, `first_name`, …, `attributes.<key>`, or empty for the fallback alone.
        fallback: what stands in for people without a value; empty: they are left out.
    """

    source: str
    fallback: str = ""

    @classmethod
    def of(cls, given: "Filling | Mapping[str, Any]") -> "Filling":
        """Accept the JSON a draft keeps: `{"source": …, "fallback": …}`."""
        if isinstance(given, Filling):
            return given
        return cls(str(given.get("source") or ""), str(given.get("fallback") or ""))


def value_of(source: str) -> ColumnElement[Any]:
    """Give the SQL expression of a variable's source; NULL where a contact has none."""
    if source == "first_name":
        first = func.split_part(Contact.name, _text(" "), 1)
        return func.coalesce(func.nullif(Contact.first_name, ""), func.nullif(first, ""))
    if source in PLAIN:
        return func.nullif(getattr(Contact, source), "")
    if source.startswith(ATTRIBUTE):
        key = source.removeprefix(ATTRIBUTE)
        return func.nullif(Contact.attributes[key].astext, "")
    if source:
        raise Invalid(
            "variable_source_unknown",
            _("“%(name)s” is nothing a contact has.", name=source),
        )
    return func.nullif(_text(""), "")


def _text(value: str) -> ColumnElement[str]:
    """Bind a text as text: inside functions of any type PostgreSQL cannot guess it."""
    return cast(value, Text)
