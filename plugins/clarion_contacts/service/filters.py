"""What a person chose to see on the list: as an address, as JSON, and as a SQL condition."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Select, select

from clarion.base.errors import Invalid
from clarion.tenancy.scope import current_account
from clarion_contacts import segments
from clarion_contacts.importing import kinds
from clarion_contacts.models import CONSENTS, Contact, Field, whole
from clarion_contacts.service import searching
from clarion_contacts.service.silence import silent

STATES = (*CONSENTS, "suppressed")
MOST_TAGS, LONGEST = 20, 200
TESTS: Mapping[str, tuple[str, ...]] = {
    "text": ("is", "is_not", "contains", "starts", "filled", "empty"),
    "choice": ("is", "is_not", "filled", "empty"),
    "number": ("is", "ge", "le", "gt", "lt", "filled", "empty"),
    "date": ("on", "before", "after", "filled", "empty"),
    "yes_no": ("yes", "no", "filled", "empty"),
}
"""Which tests a field of a kind knows, here as in segments."""
ALONE = ("filled", "empty", "yes", "no")
"""Tests without a value."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of people is narrowed to; empty means all.

    Attributes:
        words: parts of a name, number or e-mail; all must be there.
        tags: they have every one.
        on_list: they are on this list.
        consent: one of `STATES`.
        country: two letters.
        import_id: they came with this import.
        field, test, value: what a field of the account's own says.
        ids: exactly these people, if any are named.
    """

    words: str = ""
    tags: tuple[UUID, ...] = ()
    on_list: UUID | None = None
    consent: str = ""
    country: str = ""
    import_id: UUID | None = None
    field: str = ""
    test: str = ""
    value: str = ""
    ids: tuple[UUID, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read JSON, or an address with its values in lists; what is no filter is nothing."""
        consent, country = _one(given, "consent"), _one(given, "country").upper()
        return cls(
            words=_one(given, "words")[:LONGEST],
            tags=tuple(_ids(given.get("tags")))[:MOST_TAGS],
            on_list=next(_ids(given.get("on_list")), None),
            consent=consent if consent in STATES else "",
            country=country if re.fullmatch("[A-Z]{2}", country) else "",
            import_id=next(_ids(given.get("import_id")), None),
            field=_one(given, "field")[:64],
            test=_one(given, "test")[:10],
            value=_one(given, "value")[:LONGEST],
            ids=tuple(_ids(given.get("ids"))),
        )

    def to_json(self) -> dict[str, Any]:
        """Write what `of` reads; what is empty is left out."""
        out: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, tuple):
                value = [str(item) for item in value]
            if value:
                out[one.name] = value if isinstance(value, list) else str(value)
        return out

    def __bool__(self) -> bool:
        return self != Filters()


def rule(filters: Filters, known: Sequence[Field]) -> segments.Rule:
    """Write filters as a rule of `segments`, but for words and named people."""
    parts: list[segments.Rule] = [
        {"op": "tag", "tag": str(tag_id)} for tag_id in filters.tags
    ]
    if filters.on_list:
        parts.append({"op": "list", "list": str(filters.on_list)})
    if filters.import_id:
        parts.append({"op": "import", "import": str(filters.import_id)})
    if filters.country:
        named = {"op": "field", "field": "country", "test": "is", "value": filters.country}
        parts.append(named)
    if (said := _own(filters, known)) is not None:
        parts.append(said)
    return {"op": "and", "of": parts} if parts else segments.everyone()


def chosen(filters: Filters, known: Sequence[Field]) -> Select[Any]:
    """Select exactly the people of this account whom filters leave."""
    return narrowed(filters, known).where(*searching.found(filters.words).reading)


def narrowed(filters: Filters, known: Sequence[Field]) -> Select[Any]:
    """Select whom filters leave but for their words, which are looked up apart."""
    query = select(Contact).where(
        Contact.account_id == current_account(),
        whole(),
    )
    if filters.ids:
        query = query.where(Contact.id.in_(filters.ids))
    if filters.consent == "suppressed":
        query = query.where(Contact.id.in_(silent()))
    elif filters.consent:
        query = query.where(Contact.consent == filters.consent)
    return query.where(segments.condition(rule(filters, known)))


def _own(filters: Filters, known: Sequence[Field]) -> segments.Rule | None:
    """Write the test of an own field; None when it is half said."""
    if not filters.field:
        return None
    kind = next((one.kind for one in known if one.key == filters.field), "text")
    if filters.test not in TESTS[kind]:
        return None
    said: dict[str, Any] = {
        "op": "field",
        "field": segments.ATTRIBUTE + filters.field,
        "kind": kind,
        "test": filters.test,
    }
    if filters.test in ALONE:
        return said
    value: Any = filters.value
    if kind == "number":
        try:
            value = kinds.number(value)
        except Invalid:
            return None
    if (kind == "date" and kinds.day(value) is None) or value == "":
        return None
    return said | {"value": value}


def _one(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name) or ""
    if isinstance(value, list | tuple):
        value = value[0]
    return str(value).strip()


def _ids(given: Any) -> Iterator[UUID]:
    for one in given if isinstance(given, list | tuple) else [given]:
        try:
            yield UUID(str(one))
        except ValueError:
            continue
