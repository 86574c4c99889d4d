"""Contacts that may be one person: what providers told us, and those that look alike.

The search is a few statements over all contacts, run by a job; the page reads what it
found. Nobody is merged by it: two people can share a name, an address, even a telephone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from clarion.base import clock, db
from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import address, identifiers, twins
from clarion.messaging.twins import IdentityDoubt
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts.events import SearchRequested
from clarion_contacts.models import Contact, whole
from clarion_contacts.records import Likeness
from clarion_contacts.service.people import default_country, get

SHOWN = 50
MOST = 1_000  # pairs of one kind that a search keeps
CROWD = 10  # contacts alike: more are a company's address or a made-up name

audit.label("contacts.duplicate.search_requested", "Looked for contacts that are alike")
audit.label("contacts.duplicate.dismissed", "Said that two contacts are two people")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two contacts that may be one person.

    Attributes:
        one_id: the first of them.
        other_id: the second.
        one: name, number or e-mail to show.
        other: the same of the second.
        one_phone: its number.
        other_phone: the same of the second.
        why: `number_changed`, `id_changed`, `named_both` (somebody told us), or `email`,
            `spelling`, `name_phone`, `name` (they look alike).
    """

    one_id: UUID
    other_id: UUID
    one: str
    other: str
    one_phone: str
    other_phone: str
    why: str

    @property
    def told(self) -> bool:
        """Say whether an event gave an address of one to the other: the stricter holds."""
        return self.why in ("number_changed", "id_changed", "named_both")


@dataclass(frozen=True, slots=True)
class Pairs:
    """What waits for a decision: the first of it, and how many there are."""

    rows: list[Pair]
    total: int


def duplicates() -> Pairs:
    """List pairs that wait for a decision, what a provider told first. Two queries."""
    access.require("contacts.view")
    orm = db.session()
    told = orm.execute(_open(IdentityDoubt, IdentityDoubt.reason, IdentityDoubt.raised_at))
    alike = orm.execute(_open(Likeness, Likeness.why, Likeness.created_at))
    rows: dict[frozenset[UUID], Pair] = {}
    total = 0
    for found in (told.all(), alike.all()):
        total += found[0].total if found else 0
        for row in found:
            rows.setdefault(frozenset((row[0], row[1])), Pair(*row[:7]))
    return Pairs(list(rows.values())[:SHOWN], total)


def twins_of(contact_id: UUID) -> list[UUID]:
    """List whom a contact may be the same person as, as an event told."""
    return twins.of(contact_id)


def tell_apart(contact_id: UUID, other_id: UUID) -> None:
    """Record that two contacts are two people; they are not asked about again."""
    access.require("contacts.edit")
    first, second = sorted((contact_id, other_id))
    found = select(Contact.id).where(
        Contact.account_id == current_account(), Contact.id.in_([first, second])
    )
    if len(db.session().scalars(found).all()) != 2:
        raise NotFound("contact_unknown", _("There is no such contact."))
    twins.settle(first, second, "different")
    row = insert(Likeness).values(
        id=db.new_id(),
        contact_id=first,
        other_id=second,
        why="name",
        decided_at=clock.now(),
    )
    db.session().execute(
        row.on_conflict_do_update(
            index_elements=["account_id", "contact_id", "other_id"],
            set_={"decided_at": clock.now()},
        )
    )
    audit.record("contacts.duplicate.dismissed", None, contact=first, other=second)


def look_for_duplicates() -> None:
    """Ask for a search; it runs in the background."""
    access.require("contacts.view")
    audit.record("contacts.duplicate.search_requested")
    outbox.publish(SearchRequested())


def same_address(contact_id: UUID, written: str) -> UUID:
    """Find the other contact that has a number or e-mail, as somebody writes it.

    Raises `Invalid` at `address` when it is nobody's or the contact's own.
    """
    access.require("contacts.view")
    contact = get(contact_id)
    try:
        if "@" in written:
            found = identifiers.find("email", address.normalise("email", written))
        else:
            region = contact.country or default_country() or None
            found = identifiers.find("phone", address.parse_phone(written, region).e164)
    except Invalid as refused:
        raise Invalid(refused.code, refused.text, field="address") from None
    if found is None or found == contact_id:
        raise Invalid(
            "address_nobody", _("No other contact has this address."), field="address"
        )
    return found


def search() -> int:
    """Find contacts that look alike; returns how many pairs wait for a decision now.

    Harmless when called again: what was decided stays decided, the rest is found anew.
    """
    account = current_account()
    db.session().execute(
        delete(Likeness)
        .where(Likeness.account_id == account, Likeness.decided_at.is_(None))
        .execution_options(synchronize_session=False)
    )
    found = 0
    for why, key, among in _kinds():
        found += _search(why, key, among)
    return found


def _kinds() -> Iterator[tuple[str, ColumnElement[Any], ColumnElement[bool]]]:
    """Say in what contacts can be alike: kind, the key they share, who has one."""
    phone, end = Contact.phone, func.right
    yield "email", func.lower(Contact.email), Contact.email != ""
    # Brazil's ninth digit, Mexico's 1, Argentina's 9: one number, spelled twice
    yield (
        "spelling",
        func.concat(func.left(phone, 5), end(phone, 8)),
        phone.startswith("+55"),
    )
    yield (
        "spelling",
        func.concat(func.left(phone, 3), end(phone, 10)),
        or_(phone.startswith("+52"), phone.startswith("+54")),
    )
    yield (
        "name_phone",
        func.concat(func.lower(Contact.name), cast(" ", Text), end(phone, 7)),
        and_(Contact.name != "", phone.is_not(None)),
    )
    # a whole name that two contacts have, one by number only, one by e-mail only
    yield (
        "name",
        func.lower(Contact.name),
        and_(
            Contact.name.contains(" "),
            or_(phone.is_(None), Contact.email == ""),
        ),
    )


def _search(why: str, key: ColumnElement[Any], among: ColumnElement[bool]) -> int:
    # said here too: INSERT … SELECT is not asked
    mine = and_(Contact.account_id == current_account(), whole(), among)
    # one pass over one sort: a join of the keys with the people takes as long as the
    # square of them when the planner does not know yet how many there are
    rows = (
        select(
            Contact.id,
            Contact.phone,
            func.first_value(Contact.id)
            .over(partition_by=key, order_by=Contact.id)
            .label("first"),
            func.count().over(partition_by=key).label("sharing"),
        )
        .where(mine)
        .subquery("rows")
    )
    pairs = select(
        func.clarion_new_id(),
        func.clarion_account(),
        rows.c.first,
        rows.c.id,
        cast(why, Text),
    ).where(
        rows.c.first != rows.c.id,
        rows.c.sharing.between(2, 2 if why == "name" else CROWD),
    )
    if why == "name":
        one = aliased(Contact)
        pairs = pairs.join(
            one, and_(one.account_id == current_account(), one.id == rows.c.first)
        ).where(one.phone.is_(None) != rows.c.phone.is_(None))
    names = ["id", "account_id", "contact_id", "other_id", "why"]
    statement = insert(Likeness).from_select(
        names, pairs.limit(MOST), include_defaults=False
    )
    done = db.session().execute(statement.on_conflict_do_nothing().returning(Likeness.id))
    return len(done.all())


def _open(model: Any, why: Any, at: Any) -> Any:  # Any: a mapped class and its columns
    one, other = aliased(Contact), aliased(Contact)
    return (
        select(
            one.id,
            other.id,
            func.coalesce(func.nullif(one.name, ""), one.phone, one.email),
            func.coalesce(func.nullif(other.name, ""), other.phone, other.email),
            func.coalesce(one.phone, one.email),
            func.coalesce(other.phone, other.email),
            why,
            func.count().over().label("total"),
        )
        .select_from(model)
        .join(one, and_(one.account_id == model.account_id, one.id == model.contact_id))
        .join(other, and_(other.account_id == model.account_id, other.id == model.other_id))
        .where(model.account_id == current_account(), model.decided_at.is_(None))
        .order_by(at, model.id)
        .limit(SHOWN)
    )
