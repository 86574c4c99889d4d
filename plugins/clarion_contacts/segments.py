"""Rules that choose people → SQL conditions. Pure: no query is run here.

A rule is JSON: `{"op": "all"}`, `{"op": "tag", "tag": "<id>"}`,
`{"op": "outcome", "campaign": "<send order>", "reason": "<why it failed>"}`, and
`{"op": "and" | "or" | "not", "of": [rule, …]}` around others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Text,
    and_,
    cast,
    false,
    func,
    not_,
    or_,
    select,
    true,
)

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.messaging.models import Message
from clarion_contacts.models import Contact, Listing, Tagging

Rule = Mapping[str, Any]
DEEPEST, LARGEST = 10, 200
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


def everyone() -> Rule:
    """Choose every contact."""
    return {"op": "all"}


def by_tags(include: Iterable[UUID | str] = (), exclude: Iterable[UUID | str] = ()) -> Rule:
    """Choose who has one of some tags (everybody when none is named) and none of others."""
    wanted = [{"op": "tag", "tag": str(tag)} for tag in include]
    refused = [{"op": "tag", "tag": str(tag)} for tag in exclude]
    parts: list[Rule] = [{"op": "or", "of": wanted}] if wanted else []
    parts += [{"op": "not", "of": [one]} for one in refused]
    return {"op": "and", "of": parts} if parts else everyone()


def tags_in(rule: Rule) -> tuple[list[UUID], list[UUID]]:
    """Read the included and excluded tags back from what `by_tags` wrote."""
    include: list[UUID] = []
    exclude: list[UUID] = []
    for part in rule.get("of", ()):
        into = exclude if part.get("op") == "not" else include
        into += [
            UUID(leaf["tag"]) for leaf in part.get("of", ()) if leaf.get("op") == "tag"
        ]
    return include, exclude


def condition(rule: Rule) -> ColumnElement[bool]:
    """Compile a rule for `Contact`. Raises `Invalid` (`segment_invalid`) for any other shape."""
    return _compiled(rule, _Budget(LARGEST), 0)


def value_of(source: str) -> ColumnElement[Any]:
    """Give the SQL expression of a variable's source; NULL where a contact has none."""
    if source == "first_name":
        first = func.split_part(Contact.name, _text(" "), 1)
        return func.coalesce(func.nullif(Contact.first_name, ""), func.nullif(first, ""))
    if source in PLAIN:
        return func.nullif(getattr(Contact, source), "")
    if source.startswith(ATTRIBUTE):
        key = source.removeprefix(ATTRIBUTE)
        return func.nullif(func.jsonb_extract_path_text(Contact.attributes, _text(key)), "")
    if source:
        raise Invalid(
            "variable_source_unknown",
            _("“%(name)s” is nothing a contact has.", name=source),
        )
    return func.nullif(_text(""), "")


class _Budget:
    """How many rules a tree may still have; a form cannot send a forest."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _strange()


def _compiled(rule: Any, budget: _Budget, depth: int) -> ColumnElement[bool]:
    budget.spend()
    if not isinstance(rule, Mapping) or depth > DEEPEST:
        raise _strange()
    op, parts = rule.get("op"), rule.get("of", [])
    if op == "all":
        return true()
    if op == "tag":
        return _tagged(rule.get("tag"))
    if op == "outcome":
        return _failed(rule.get("campaign"), rule.get("reason"))
    if op in _LEAVES:
        return _LEAVES[op](rule)
    if op not in ("and", "or", "not") or not isinstance(parts, list):
        raise _strange()
    inner = [_compiled(part, budget, depth + 1) for part in parts]
    if op == "and":
        return and_(true(), *inner)
    if op == "or":
        return or_(false(), *inner)
    if len(inner) != 1:
        raise _strange()
    return not_(inner[0])


def _tagged(tag: Any) -> ColumnElement[bool]:
    try:
        tag_id = UUID(str(tag))
    except ValueError:
        raise _strange() from None
    holders = select(Tagging.contact_id).where(
        Tagging.account_id == func.clarion_account(), Tagging.tag_id == tag_id
    )
    return Contact.id.in_(holders)


def _failed(campaign: Any, reason: Any) -> ColumnElement[bool]:
    """Choose whose message of one send order failed for one reason.

    Without numbers of the United States, where WhatsApp delivers no marketing at all
    (Meta, 2025): a +1 number counts as such unless its country says otherwise.
    """
    try:
        campaign_id = UUID(str(campaign))
    except ValueError:
        raise _strange() from None
    theirs = select(Message.contact_id).where(
        Message.account_id == func.clarion_account(),
        Message.campaign_id == campaign_id,
        Message.state == "failed",
        Message.reason == str(reason),
    )
    american = and_(Contact.phone.startswith("+1"), Contact.country.in_(("", "US")))
    return and_(Contact.id.in_(theirs), not_(american))


def _listed(rule: Rule) -> ColumnElement[bool]:
    theirs = select(Listing.contact_id).where(
        Listing.account_id == func.clarion_account(), Listing.list_id == UUID(rule["list"])
    )
    return Contact.id.in_(theirs)


def _imported(rule: Rule) -> ColumnElement[bool]:
    return Contact.import_id == UUID(rule["import"])


def _field(rule: Rule) -> ColumnElement[bool]:
    name, test, value = rule["field"], rule["test"], rule.get("value")
    if name == "country":
        return Contact.country == value
    key = name.removeprefix(ATTRIBUTE)
    has = Contact.attributes.has_key(key)
    if test in ("filled", "empty"):
        return has if test == "filled" else not_(has)
    if test in ("is", "yes", "no"):
        said = value if test == "is" else test == "yes"
        return Contact.attributes.contains({key: said})
    text: Any = func.jsonb_extract_path_text(Contact.attributes, _text(key))
    left: Any = cast(text, Numeric) if rule["kind"] == "number" else text
    right: Any = value if rule["kind"] == "number" else _text(str(value))
    found = {
        "is_not": lambda: left != right,
        "contains": lambda: text.icontains(str(value), autoescape=True),
        "starts": lambda: text.istartswith(str(value), autoescape=True),
        "on": lambda: left == right,
        "before": lambda: left < right,
        "after": lambda: left > right,
        "ge": lambda: left >= right,
        "le": lambda: left <= right,
        "gt": lambda: left > right,
        "lt": lambda: left < right,
    }[test]()
    return func.coalesce(found, false())


_LEAVES = {"list": _listed, "import": _imported, "field": _field}


def _text(value: str) -> ColumnElement[str]:
    """Bind a text as text: inside functions of any type PostgreSQL cannot guess it."""
    return cast(value, Text)


def _strange() -> Invalid:
    return Invalid("segment_invalid", _("This choice of people cannot be read."))
