"""People: add, change, erase, find, and everything one page shows about one of them."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, func, or_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects.postgresql import aggregate_order_by

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import (
    address,
    identifiers,
    ledger,
    outcomes,
    suppression,
    windows,
)
from clarion.messaging.models import Attempt, Campaign, Identifier, Message, Suppression
from clarion.tenancy import access, audit, preferences
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts import segments
from clarion_contacts.events import ContactAdded, ContactErased
from clarion_contacts.models import CONSENTS, Consent, Contact, Tag, Tagging, Wording
from clarion_contacts.service import searching

PAGE = 50
COUNT_TO = 10_000
KINDS: tuple[address.Kind, ...] = ("phone", "email", "wa_id", "bsuid", "username")
LONGEST = {"name": 200, "first_name": 200, "last_name": 200, "language": 20}

audit.label("contacts.contact.added", "Added a contact")
audit.label("contacts.contact.changed", "Changed a contact")
audit.label("contacts.contact.erased", "Deleted a contact")
audit.label("contacts.contact.identified", "Added an address to a contact")


@dataclass(frozen=True, slots=True)
class Details:
    """What a person types about a contact. Empty means there is none."""

    name: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    email: str = ""
    language: str = ""
    country: str = ""
    timezone: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One contact as the list shows it. `state` is the consent, or the wish for silence."""

    id: UUID
    name: str
    phone: str
    email: str
    country: str
    consent: str
    added_at: dt.datetime
    tags: tuple[str, ...]
    suppressed: bool

    @property
    def state(self) -> str:
        """Name the state of consent that a pill shows."""
        return "opted_out" if self.suppressed else self.consent


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list. `next` and `previous` are keys, None where there is nothing.

    `total` is exact up to 10,000; `more` says that there are more.
    """

    rows: list[Line]
    next: UUID | None
    previous: UUID | None
    total: int
    more: bool


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """One event of a contact's consent, with the words they saw."""

    action: str
    purpose: str
    method: str
    source: str
    agreed_on: dt.date | None
    at: dt.datetime
    by: str
    wording: str
    row_number: int | None
    import_id: UUID | None


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One message of a contact: which campaign, what became of it, and why, in words."""

    id: UUID
    campaign_id: UUID | None
    campaign: str
    state: str
    since: dt.datetime
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything the page of one contact shows."""

    contact: Contact
    identifiers: list[Identifier]
    tags: list[tuple[UUID, str]]
    consents: list[ConsentLine]
    messages: list[MessageLine]
    suppressed: str

    @property
    def state(self) -> str:
        """Name the state of consent that a pill shows."""
        return "opted_out" if self.suppressed else self.contact.consent


def add(details: Details) -> Contact:
    """Add one person. Raises `Conflict` when the number or e-mail is somebody's already."""
    access.require("contacts.edit")
    values = _checked(details)
    if not (values["phone"] or values["email"]):
        raise Invalid(
            "contact_empty", _("Give a phone number or an e-mail address."), field="phone"
        )
    _refuse_taken(values, None)
    contact = Contact(id=db.new_id(), **values)
    contact.phone_idx = _idx(contact.phone)
    db.session().add(contact)
    db.session().flush()
    _identify(contact)
    audit.record("contacts.contact.added", contact)
    outbox.publish(ContactAdded(contact_id=contact.id))
    return contact


def edit(contact_id: UUID, details: Details) -> Contact:
    """Change what we know of a person. A former number stays in their history."""
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    values = _checked(details)
    _refuse_taken(values, contact_id)
    for kind, key in (("phone", "phone"), ("email", "email")):
        before = getattr(contact, key)
        if before and before != values[key]:
            identifiers.retire(contact_id, kind, before)
    for key, value in values.items():
        setattr(contact, key, value)
    contact.phone_idx = _idx(contact.phone)
    contact.updated_at = func.clarion_now()
    db.session().flush()
    _identify(contact)
    audit.record("contacts.contact.changed", contact)
    return contact


def add_identifier(contact_id: UUID, kind: str, value: str) -> None:
    """Say that one more address belongs to a person; a STOP by any silences all."""
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    known = next((one for one in KINDS if one == kind), None)
    if known is None:
        raise Invalid(
            "identifier_kind", _("Choose what kind of address it is."), field="kind"
        )
    try:
        said = _phone(value) if known == "phone" else address.normalise(known, value)
    except Invalid as refused:
        raise Invalid(refused.code, refused.text, field="value") from None
    owner = identifiers.find(known, said)
    if owner is not None and owner != contact_id:
        raise Conflict(
            "identifier_taken", _("This address belongs to another contact."), field="value"
        )
    identifiers.attach(contact_id, [(known, said)], "team")
    suppression.adopt([contact_id])
    if known == "phone" and not contact.phone:
        contact.phone, contact.phone_idx = said, _idx(said)
    if known == "email" and not contact.email:
        contact.email = said
    contact.updated_at = func.clarion_now()
    audit.record("contacts.contact.identified", contact, kind=known)


def delete(contact_ids: Iterable[UUID]) -> int:
    """Erase people: their row, addresses, tags and consent. Returns how many there were.

    A wish not to be contacted stays, as an index nobody can read; what waits for them in
    the ledger is not sent any more.
    """
    access.require("contacts.delete")
    ids = sorted(set(contact_ids))
    ledger.lock_contacts(ids)
    query = select(Contact.id).where(
        Contact.account_id == current_account(), Contact.id.in_(ids)
    )
    found = list(db.session().scalars(query.order_by(Contact.id).with_for_update()))
    ledger.silence(found, "all", "erased")
    identifiers.forget(found)
    db.session().execute(
        sql_delete(Contact)
        .where(Contact.account_id == current_account(), Contact.id.in_(found))
        .execution_options(synchronize_session=False)
    )
    for contact_id in found:
        audit.record("contacts.contact.erased", None, contact=contact_id)
        outbox.publish(ContactErased(contact_id=contact_id))
    return len(found)


def find(
    words: str = "",
    *,
    tag: UUID | None = None,
    consent: str = "",
    after: UUID | None = None,
    before: UUID | None = None,
    limit: int = PAGE,
) -> Page:
    """List people, newest first, by part of a name, number or e-mail, by tag and consent.

    Pages by key: `after` and `before` are ids of contacts. Two queries, whatever is found,
    and one more for words.
    """
    access.require("contacts.view")
    chosen, hits = _filtered(tag, consent), searching.found(words)
    query = _lines(chosen.where(*hits.reading))
    if before is not None:
        query = query.where(Contact.id > before).order_by(Contact.id).limit(limit + 1)
    else:
        if after is not None:
            query = query.where(Contact.id < after)
        query = query.order_by(Contact.id.desc()).limit(limit + 1)
    rows = [
        Line(
            id=row[0],
            name=row[1],
            phone=row[2],
            email=row[3],
            country=row[4],
            consent=row[5],
            added_at=row[6],
            tags=tuple(row[7] or ()),
            suppressed=row[8],
        )
        for row in db.session().execute(query)
    ]
    further = len(rows) > limit
    rows = rows[:limit]
    if before is not None:
        rows.reverse()
    total = COUNT_TO + 1
    if not hits.many or tag or consent:
        some = chosen.where(*hits.counting).with_only_columns(Contact.id)
        capped = some.limit(COUNT_TO + 1).subquery()
        total = db.session().scalar(select(func.count()).select_from(capped)) or 0
    onwards, back = (before is not None or further), (after is not None)
    if before is not None:
        back = further
    return Page(
        rows=rows,
        next=rows[-1].id if rows and onwards else None,
        previous=rows[0].id if rows and back else None,
        total=min(total, COUNT_TO),
        more=total > COUNT_TO,
    )


def show(contact_id: UUID) -> Shown:
    """Read everything about one person, in a fixed number of queries."""
    access.require("contacts.view")
    contact = get(contact_id)
    held = (
        select(Tag.id, Tag.name)
        .join(Tagging, and_(Tagging.account_id == Tag.account_id, Tagging.tag_id == Tag.id))
        .where(Tagging.account_id == current_account(), Tagging.contact_id == contact_id)
        .order_by(Tag.key)
    )
    return Shown(
        contact=contact,
        identifiers=identifiers.of(contact_id),
        tags=[(row.id, row.name) for row in db.session().execute(held)],
        consents=_history(contact_id),
        messages=_messages(contact_id),
        suppressed=_suppressed(contact),
    )


def get(contact_id: UUID) -> Contact:
    """Load one person of this account, or raise `NotFound`."""
    query = select(Contact).where(
        Contact.account_id == current_account(), Contact.id == contact_id
    )
    contact = db.session().scalar(query)
    if contact is None:
        raise _unknown()
    return contact


def names() -> Select[Any]:
    """Select who contacts are, for others to join by `id`: account_id, id, name."""
    return select(Contact.account_id, Contact.id, Contact.name).where(
        Contact.account_id == current_account()
    )


def locked(contact_id: UUID) -> Contact:
    """Load one person and keep others from changing them until the transaction ends."""
    query = select(Contact).where(
        Contact.account_id == current_account(), Contact.id == contact_id
    )
    contact = db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
    if contact is None:
        raise _unknown()
    return contact


def default_country() -> str:
    """Say which country numbers without a country code are from, as two letters or empty."""
    chosen = str(preferences.value("contacts", "default_country")).strip().upper()
    if chosen in address.regions():
        return chosen
    query = select(Account.country).where(Account.id == current_account())
    return str(db.session().scalar(query) or "")


def _unknown() -> NotFound:
    return NotFound("contact_unknown", _("There is no such contact."))


# --- what was typed


def _checked(details: Details) -> dict[str, Any]:
    values: dict[str, Any] = {
        key: _clean(getattr(details, key), longest) for key, longest in LONGEST.items()
    }
    parts = f"{values['first_name']} {values['last_name']}".strip()
    values["name"] = values["name"] or parts[:200]
    values["country"] = details.country.strip().upper()
    if values["country"] and values["country"] not in address.regions():
        raise Invalid(
            "country_unknown", _("Choose a country by its two letters."), field="country"
        )
    values["timezone"] = details.timezone.strip()
    if values["timezone"] and not windows.known(values["timezone"]):
        raise Invalid(
            "timezone_unknown", _("Choose a time zone of the list."), field="timezone"
        )
    values["phone"] = (
        _phone(details.phone, values["country"]) if details.phone.strip() else None
    )
    values["country"] = values["country"] or address.region_of(values["phone"] or "")
    values["email"] = _email(details.email) if details.email.strip() else ""
    values["attributes"] = {
        _clean(key, 60): said
        for key, value in details.attributes.items()
        if key.strip() and (said := _clean(value, 1000))
    }
    return values


def _clean(value: str, longest: int) -> str:
    return " ".join("".join(s if s.isprintable() else " " for s in value).split())[:longest]


def _phone(value: str, country: str = "") -> str:
    try:
        return address.parse_phone(value, country or default_country() or None).e164
    except Invalid as refused:
        raise Invalid(refused.code, refused.text, field="phone") from None


def _email(value: str) -> str:
    try:
        return address.normalise("email", value)
    except Invalid as refused:
        raise Invalid(refused.code, refused.text, field="email") from None


def _idx(phone: str | None) -> bytes | None:
    return identifiers.index("phone", phone) if phone else None


def _refuse_taken(values: Mapping[str, Any], own: UUID | None) -> None:
    for kind in ("phone", "email"):
        owner = identifiers.find(kind, values[kind]) if values[kind] else None
        if owner is not None and owner != own:
            raise Conflict(
                "contact_exists",
                _("%(address)s belongs to another contact.", address=values[kind]),
                field=kind,
            )


def _identify(contact: Contact) -> None:
    said = (("phone", contact.phone or ""), ("email", contact.email))
    known = [(kind, value) for kind, value in said if value]
    identifiers.attach(contact.id, known, "team")
    suppression.adopt([contact.id])


# --- finding


def _filtered(tag: UUID | None, consent: str) -> Select[Any]:
    query = select(Contact).where(Contact.account_id == current_account())
    if tag is not None:
        query = query.where(segments.condition(segments.by_tags([tag])))
    if consent == "suppressed":
        query = query.where(Contact.id.in_(_silent()))
    elif consent in CONSENTS:
        query = query.where(Contact.consent == consent)
    return query


def _lines(chosen: Select[Any]) -> Select[Any]:
    names = (
        select(func.array_agg(aggregate_order_by(Tag.name, Tag.key)))
        .join(Tagging, and_(Tagging.account_id == Tag.account_id, Tagging.tag_id == Tag.id))
        .where(Tagging.account_id == Contact.account_id, Tagging.contact_id == Contact.id)
        .correlate(Contact)
        .scalar_subquery()
    )
    return chosen.with_only_columns(
        Contact.id,
        Contact.name,
        func.coalesce(Contact.phone, ""),
        Contact.email,
        Contact.country,
        Contact.consent,
        Contact.created_at,
        names,
        _silenced(),
    )


def _silenced() -> ColumnElement[bool]:
    """Say whether one of the few people on a page must not be written to."""
    return or_(
        suppression.contacts().where(Suppression.contact_id == Contact.id).exists(),
        suppression.addresses().where(Suppression.idx == Contact.phone_idx).exists(),
    )


def _silent() -> CompoundSelect[Any]:
    """Select everybody who must not be written to, by contact or by an address of theirs."""
    theirs = and_(
        Identifier.account_id == Suppression.account_id,
        Identifier.idx == Suppression.idx,
        Identifier.valid_to.is_(None),
    )
    by_address = (
        suppression.addresses()
        .with_only_columns(Identifier.contact_id)
        .select_from(Suppression)
        .join(Identifier, theirs)
    )
    return suppression.contacts().union(by_address)


# --- one person


def _history(contact_id: UUID) -> list[ConsentLine]:
    query = (
        select(
            Consent.action,
            Consent.purpose,
            Consent.method,
            Consent.source,
            Consent.agreed_on,
            Consent.created_at,
            Consent.created_by,
            func.coalesce(Wording.text, ""),
            Consent.row_number,
            Consent.import_id,
        )
        .outerjoin(
            Wording,
            and_(
                Wording.account_id == Consent.account_id, Wording.id == Consent.wording_id
            ),
        )
        .where(Consent.account_id == current_account(), Consent.contact_id == contact_id)
        .order_by(Consent.created_at.desc(), Consent.id.desc())
        .limit(100)
    )
    return [ConsentLine(*row) for row in db.session().execute(query)]


def _messages(contact_id: UUID) -> list[MessageLine]:
    query = (
        select(
            Message.id,
            Message.campaign_id,
            Campaign.name,
            Message.state,
            Message.state_since,
            Message.reason,
            func.coalesce(Attempt.code, ""),
            Campaign.purpose,
        )
        .outerjoin(
            Campaign,
            and_(
                Campaign.account_id == Message.account_id,
                Campaign.id == Message.campaign_id,
            ),
        )
        .outerjoin(
            Attempt,
            and_(
                Attempt.account_id == Message.account_id,
                Attempt.message_id == Message.id,
                Attempt.number == Message.attempt,
            ),
        )
        .where(Message.account_id == current_account(), Message.contact_id == contact_id)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(50)
    )
    lines = []
    for row in db.session().execute(query):
        said = outcomes.explain(row.state, row.reason, row[6])
        lines.append(
            MessageLine(
                id=row.id,
                campaign_id=row.campaign_id if row.purpose != "service" else None,
                campaign=row[2] or "",
                state=row.state,
                since=row.state_since,
                title=said.title,
                why=said.why,
            )
        )
    return lines


def _suppressed(contact: Contact) -> str:
    """Say why nobody may write to a person; empty when one may."""
    mine = [Suppression.contact_id == contact.id]
    if contact.phone_idx is not None:
        mine.append(Suppression.idx == contact.phone_idx)
    query = (
        suppression.contacts()
        .with_only_columns(Suppression.reason)
        .where(or_(*mine))
        .limit(1)
    )
    return str(db.session().scalar(query) or "")
