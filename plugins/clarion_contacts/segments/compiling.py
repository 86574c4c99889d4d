"""The compiler: a checked rule tree becomes one SQL condition over `Contact`.

Turning a group around is pushed down to its rules, so that at the top of a WHERE each
rule about other tables is a semi or an anti join of its own. Every rule's condition is
true or false and never NULL, which is what makes that exact.
"""

import hashlib
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeGuard
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Select,
    Text,
    and_,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import aliased

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.base.patience import ROOM
from clarion.messaging import hours, suppression
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Consent, Contact, Listing, Tagging
from clarion_contacts.records import Member, Segment
from clarion_contacts.segments import behaviour, days
from clarion_contacts.segments.filling import ATTRIBUTE, value_of
from clarion_contacts.segments.rules import (
    Behaved,
    Consented,
    Days,
    Everyone,
    Field,
    Group,
    Imported,
    InSegment,
    InSnapshot,
    Listed,
    Node,
    Numbers,
    Outcome,
    Rule,
    Share,
    Suppressed,
    Tagged,
    Texts,
    Wrote,
    parse,
)

Condition = ColumnElement[bool]
GRANTS = ("grant", "import_attested")
ACTIONS = {"given": GRANTS, "withdrawn": ("withdraw",), "any": (*GRANTS, "withdraw")}
SHARES = 10_000
MOST_SEGMENTS = 20
"""Segments that one rule may lead to, through others."""


class Missing(Exception):
    """A rule speaks of a segment that is gone, or of itself."""


def condition(rule: Rule) -> Condition:
    """Compile a rule for `Contact`. Raises `Invalid` (`segment_invalid`) for any other shape.

    A rule that speaks of a segment that is gone chooses nobody: silence is the mistake
    that can be made up for.
    """
    return Compiler().condition(parse(rule))


class Compiler:
    """Writes one condition; asks the database for what a rule only names."""

    def __init__(self) -> None:
        self._zone = ""
        self._open: list[UUID] = []
        self._read: dict[UUID, Node] = {}
        self._wants_room = False

    def condition(self, node: Node) -> Condition:
        """Write the condition of a whole tree."""
        try:
            written = self._write(node, turned=False, top=True)
        except Missing:
            return false()
        if self._wants_room:
            db.session().execute(select(func.set_config("work_mem", ROOM, True)))
        return written

    # --- groups

    def _write(self, node: Node, *, turned: bool, top: bool) -> Condition:
        """Write a node, or its opposite; `top`: everything above it is an AND."""
        if isinstance(node, Group):
            return self._group(node, turned=turned, top=top)
        if isinstance(node, InSegment):
            return self._nested(node, turned=turned, top=top)
        if _settled(node):  # nobody has an event that says "none"
            node, turned = replace(node, state="any"), not turned
        if (chosen := self._chosen(node)) is not None:
            return self._among(chosen, turned=turned, top=top)
        plain = _PLAIN[type(node)](self, node)
        return not_(plain) if turned else plain

    def _group(self, node: Group, *, turned: bool, top: bool) -> Condition:
        """None of them is none of any; the opposite of all is any that is not."""
        inner = turned != (node.kind == "none")
        every = (node.kind == "and") != turned if node.kind != "none" else not turned
        if every:
            parts = [self._write(one, turned=inner, top=top) for one in node.of]
            return and_(true(), *parts)
        if len(node.of) == 1:
            return self._write(node.of[0], turned=inner, top=top)
        parts = [self._write(one, turned=inner, top=False) for one in node.of]
        return or_(false(), *parts)

    def _among(self, chosen: Select[Any], *, turned: bool, top: bool) -> Condition:
        if not top:
            self._wants_room = True
            inside = Contact.id.in_(chosen)
            return not_(inside) if turned else inside
        if not turned:
            return Contact.id.in_(chosen)
        listed = chosen.subquery()
        return ~exists(select(1).where(listed.c[0] == Contact.id).correlate(Contact))

    def _nested(self, node: InSegment, *, turned: bool, top: bool) -> Condition:
        if node.segment_id in self._open:
            raise Missing
        self._open.append(node.segment_id)
        written = self._write(self._segment(node.segment_id), turned=turned, top=top)
        self._open.pop()
        return written

    def _segment(self, segment_id: UUID) -> Node:
        if segment_id not in self._read:
            if len(self._read) >= MOST_SEGMENTS:
                raise Missing
            query = select(Segment.rule).where(
                Segment.account_id == current_account(), Segment.id == segment_id
            )
            stored = db.session().scalar(query)
            if stored is None:
                raise Missing
            try:
                self._read[segment_id] = parse(stored)
            except Invalid:  # of a later version: whom it means cannot be known
                raise Missing from None
        return self._read[segment_id]

    # --- rules about other tables: a SELECT of the ids of contacts

    def _chosen(self, node: Node) -> Select[Any] | None:
        if isinstance(node, Wrote):
            return behaviour.wrote(node, self.zone if node.last else "")
        if isinstance(node, Consented):
            return self._consented(node)
        write = _ELSEWHERE.get(type(node))
        return write(node) if write else None

    def _consented(self, node: Consented) -> Select[Any] | None:
        """Choose by the newest event for a purpose; marketing's is named on the row."""
        if _on_row(node):
            return None
        if node.purpose != "marketing":
            return _newest(node.purpose, self._consent(node))
        holder = aliased(Contact)
        mine = and_(
            holder.account_id == Consent.account_id, holder.consent_id == Consent.id
        )
        return _ids(Consent).join(holder, mine).where(self._consent(node))

    # --- rules about the row itself

    @property
    def zone(self) -> str:
        """The account's clock, asked for once."""
        self._zone = self._zone or hours.rules().zone
        return self._zone

    def everyone(self, _node: Everyone) -> Condition:
        """Write nothing that anybody fails."""
        return true()

    def field(self, node: Field) -> Condition:
        """Write what a person has in a field."""
        if node.kind == "moment":
            test = typing.cast(Days, node.test)  # by `parse`
            return days.of_moment(Contact.created_at, test, self.zone)
        if node.kind == "number":
            return _number(node.field, node.test)
        if node.kind == "yes_no":
            return _yes_no(node.field, node.test)
        if isinstance(node.test, Days):
            return days.of_text(_value(node.field), node.test, self.zone)
        tested = _code if node.kind == "choice" else _words
        return tested(_value(node.field), typing.cast(Texts, node.test))

    def imported(self, node: Imported) -> Condition:
        """Write with which import somebody came."""
        return func.coalesce(Contact.import_id == node.import_id, false())

    def agreed(self, node: Consented) -> Condition:
        """Write the state of consent to marketing, which is on the row."""
        said = {"given": "opted_in", "withdrawn": "opted_out", "none": "none"}
        return Contact.consent == said[node.state]

    def _consent(self, node: Consented) -> Condition:
        if node.part == "state":
            return Consent.action.in_(ACTIONS[node.state])
        if node.part == "method":
            return Consent.method == node.method
        if node.part == "wording":
            return Consent.wording_id == node.wording_id
        if node.date is not None:
            noted = cast(func.timezone(_text(self.zone), Consent.created_at), Date)
            day = func.coalesce(Consent.agreed_on, noted)
            return days.of_date(day, node.date, self.zone)
        return _words(Consent.source, node.source or Texts("empty"))

    def suppressed(self, _node: Suppressed) -> Condition:
        """Write who must not be written to, known as a person or by their number."""
        self._wants_room = True
        by_number = Contact.phone_idx.in_(suppression.addresses())
        return or_(
            Contact.id.in_(suppression.contacts()), func.coalesce(by_number, false())
        )

    def share(self, node: Share) -> Condition:
        """Write who falls into a share: PostgreSQL's hash of the id, which is for ever."""
        digest = hashlib.sha256(node.seed.encode()).digest()[:8]
        seed = cast(literal(int.from_bytes(digest, signed=True), BigInteger), BigInteger)
        drawn = func.mod(func.uuid_hash_extended(Contact.id, seed), SHARES)
        return func.mod(drawn + SHARES, SHARES) < node.hundredths

    def outcome(self, node: Outcome) -> Condition:
        """Write whose message failed, for a follow-up.

        Without numbers of the United States, where WhatsApp delivers no marketing at all
        (Meta, 2025): a +1 number counts as such unless its country says otherwise.
        """
        number = func.coalesce(Contact.phone, _text(""))
        american = and_(number.startswith("+1"), Contact.country.in_(("", "US")))
        return and_(Contact.id.in_(behaviour.failed(node)), not_(american))


_ELSEWHERE: Mapping[type, Callable[[Any], Select[Any]]] = {
    Tagged: lambda node: _ids(Tagging).where(Tagging.tag_id == node.tag_id),
    Listed: lambda node: _ids(Listing).where(Listing.list_id == node.list_id),
    InSnapshot: lambda node: _ids(Member).where(Member.snapshot_id == node.snapshot_id),
    Behaved: behaviour.behaved,
}
_PLAIN: Mapping[type, Callable[[Compiler, Any], Condition]] = {
    Everyone: Compiler.everyone,
    Field: Compiler.field,
    Imported: Compiler.imported,
    Consented: Compiler.agreed,
    Suppressed: Compiler.suppressed,
    Share: Compiler.share,
    Outcome: Compiler.outcome,
}


# --- values


def _ids(model: Any) -> Select[Any]:  # Any: a table of ids of contacts
    return select(model.contact_id).where(model.account_id == current_account())


def _newest(purpose: str, test: Condition) -> Select[Any]:
    """Choose whose newest event for a purpose fits."""
    newest = (
        select(Consent.id)
        .where(Consent.account_id == current_account(), Consent.purpose == purpose)
        .distinct(Consent.contact_id)
        .order_by(Consent.contact_id, Consent.created_at.desc(), Consent.id.desc())
    )
    return _ids(Consent).where(Consent.id.in_(newest), test)


def _value(name: str) -> ColumnElement[Any]:
    """Give what a field says as a text, empty where there is nothing."""
    if name in ("first_name", "phone") or name.startswith(ATTRIBUTE):
        value = Contact.phone if name == "phone" else value_of(name)
        return func.coalesce(value, _text(""))
    return cast(getattr(Contact, name), Text)


def _code(value: ColumnElement[Any], test: Texts) -> Condition:
    """Compare something chosen from a list, letter by letter."""
    if test.test == "is":
        return value == test.values[0]
    if test.test == "is_not":
        return value != test.values[0]
    if test.test == "one_of":
        return value.in_(test.values)
    return value == "" if test.test == "empty" else value != ""


def _words(value: days.Value, test: Texts) -> Condition:
    """Compare words, capital or small alike."""
    if test.test in ("empty", "filled"):
        return value == "" if test.test == "empty" else value != ""
    low, sought = func.lower(value), [func.lower(_text(one)) for one in test.values]
    if test.test in ("is", "is_not"):
        return low == sought[0] if test.test == "is" else low != sought[0]
    if test.test == "one_of":
        return low.in_(sought)
    if test.test == "starts":
        return value.istartswith(test.values[0], autoescape=True)
    contains = value.icontains(test.values[0], autoescape=True)
    return not_(contains) if test.test == "contains_not" else contains


def _number(name: str, test: Texts | Numbers | Days) -> Condition:
    """Compare a number; what is none, written as a text for example, is missing.

    By a JSON path, which looks at a value once and compares numbers with numbers only.
    """
    if isinstance(test, Texts):
        return _typed(name, "number", there=test.test == "filled")
    values = typing.cast(Numbers, test).values  # by `parse`
    first, last = format(values[0], "f"), format(values[-1], "f")
    here = f"$.{json.dumps(name.removeprefix(ATTRIBUTE), ensure_ascii=False)}"
    path = {
        "is": f"{here} == {first}",
        "is_not": f"{here} == {first}",
        "lt": f"{here} < {first}",
        "le": f"{here} <= {first}",
        "gt": f"{here} > {first}",
        "ge": f"{here} >= {first}",
        "between": f"{here} >= {first} && {here} <= {last}",
    }[test.test]
    known = func.coalesce(Contact.attributes.path_match(cast(path, JSONPATH)), false())
    return not_(known) if test.test == "is_not" else known


def _yes_no(name: str, test: Texts | Numbers | Days) -> Condition:
    if test.test in ("empty", "filled"):
        return _typed(name, "boolean", there=test.test == "filled")
    said = {name.removeprefix(ATTRIBUTE): test.test == "yes"}
    return Contact.attributes.contains(said)


def _typed(name: str, kind: str, *, there: bool) -> Condition:
    """Say whether an own field holds a value of its kind."""
    key = _text(name.removeprefix(ATTRIBUTE))
    found = func.jsonb_typeof(func.jsonb_extract_path(Contact.attributes, key))
    known = func.coalesce(found == kind, false())
    return known if there else not_(known)


def _settled(node: Node) -> TypeGuard[Consented]:
    return isinstance(node, Consented) and node.state == "none" and not _on_row(node)


def _on_row(node: Consented) -> bool:
    return node.part == "state" and node.purpose == "marketing"


def _text(value: str) -> ColumnElement[str]:
    """Bind a text as text: inside functions of any type PostgreSQL cannot guess it."""
    return cast(value, Text)
