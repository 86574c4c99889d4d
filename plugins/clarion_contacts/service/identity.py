"""Addresses of a person: which are theirs, which were, and which one is written to."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union_all
from sqlalchemy.orm import aliased

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import address, identifiers, identity, ledger, suppression
from clarion.messaging.models import Identifier, Message
from clarion.messaging.twins import IdentityDoubt
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Contact
from clarion_contacts.service.people import default_country, locked

PHONES = ("phone", "wa_id")

audit.label("contacts.contact.renumbered", "Recorded a contact's new number")
audit.label("contacts.contact.readdressed", "Chose which number of a contact is written to")
audit.label("contacts.contact.unaddressed", "Ended an address of a contact")


@dataclass(frozen=True, slots=True)
class Address:
    """One identifier of a contact, present or former.

    Attributes:
        id: of the identifier.
        kind: phone, wa_id, bsuid, parent_bsuid, username, email.
        value: as it is shown.
        source: who said that it is theirs: team, import, inbound, provider.
        since: when it became theirs, as far as we know.
        until: when it ended; None for a present one.
        written_to: messages go to this one.
    """

    id: UUID
    kind: str
    value: str
    source: str
    since: dt.datetime
    until: dt.datetime | None
    written_to: bool

    @property
    def can_be_written_to(self) -> bool:
        """Say whether it is a number of theirs that messages could go to."""
        return self.until is None and self.kind in PHONES and not self.written_to


def addresses(contact: Contact) -> list[Address]:
    """List a contact's addresses: the one written to, other present ones, then former."""
    access.require("contacts.view")
    found = [
        Address(
            id=one.id,
            kind=one.kind,
            value=one.value,
            source=one.source,
            since=one.created_at,
            until=one.valid_to,
            written_to=one.valid_to is None and bytes(one.idx) == _idx(contact),
        )
        for one in identifiers.history(contact.id)
    ]
    present = [one for one in found if one.until is None]
    present.sort(key=lambda one: not one.written_to)
    former = [one for one in found if one.until is not None]
    return present + sorted(former, key=lambda one: one.since, reverse=True)


def write_to(contact_id: UUID, identifier_id: UUID) -> None:
    """Write to another number of a person from now on. The former one stays theirs."""
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    chosen = _present(contact_id, identifier_id)
    if chosen.kind not in PHONES:
        raise Conflict("identifier_no_phone", _("Messages can go to a phone number only."))
    _set_phone(contact, _e164(chosen))
    audit.record("contacts.contact.readdressed", contact)


def retire_address(contact_id: UUID, identifier_id: UUID) -> None:
    """End an address: it is not this person's any more.

    It stays in their history, and what waits for it is not sent. If it was written to,
    the newest of their other numbers is from now on.
    """
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    gone = _present(contact_id, identifier_id)
    identifiers.end(contact_id, [bytes(gone.idx)])
    repair(contact)
    audit.record("contacts.contact.unaddressed", contact, kind=gone.kind)


def change_number(contact_id: UUID, number: str) -> UUID | None:
    """Record that a person has another phone number instead of the one written to.

    Their consent and their silence are theirs with the new number as well; what waits for
    the old one is not sent: it may be a stranger's by now.

    Returns:
        the other contact the number belongs to, when there is one. Then nothing has
        changed but that both may be one person, which somebody has to decide.
    """
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    new = _read(number, contact)
    if new == contact.phone:
        return None
    old = [("phone", contact.phone)] if contact.phone else []
    done = identity.change(old, [("phone", new)], source="team", contact_id=contact_id)
    if done.taken_by is not None:
        return done.taken_by
    suppression.adopt([contact_id])
    _set_phone(contact, new)
    audit.record("contacts.contact.renumbered", contact)
    return None


def note_changed(contact_id: UUID) -> None:
    """Write to a number that is theirs, after a provider said that one is not.

    Asks what is true now, so that being called twice or late changes nothing.
    """
    ledger.lock_contacts([contact_id])
    query = select(Contact).where(
        Contact.account_id == current_account(), Contact.id == contact_id
    )
    contact = db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
    if contact is not None:
        repair(contact)


# --- what campaigns and the gate ask


def not_theirs() -> ColumnElement[bool]:
    """Say of a message whether its address was its contact's and is not any more."""
    same = and_(
        Identifier.account_id == Message.account_id,
        Identifier.contact_id == Message.contact_id,
        Identifier.idx == Message.address_idx,
    )
    was = select(Identifier.id).where(same, Identifier.valid_to.is_not(None))
    is_now = select(Identifier.id).where(same, Identifier.valid_to.is_(None))
    return and_(was.exists(), ~is_now.exists())


def in_doubt(scope: suppression.Scope) -> Select[Any]:
    """Select contacts that may be the same person as one who must not be written to.

    Until somebody decides, what is stricter holds for both: for marketing that one said
    STOP or has not agreed, for everything else that one asked for complete silence.
    """
    doubt, twin = IdentityDoubt, aliased(Contact)
    waiting = and_(doubt.account_id == current_account(), doubt.decided_at.is_(None))
    pairs = union_all(
        select(doubt.contact_id.label("id"), doubt.other_id.label("twin")).where(waiting),
        select(doubt.other_id.label("id"), doubt.contact_id.label("twin")).where(waiting),
    ).subquery("pairs")
    refused = [
        twin.id.in_(suppression.contacts(scope)),
        func.coalesce(twin.phone_idx.in_(suppression.addresses(scope)), False),
    ]
    if scope == "marketing":
        refused.append(twin.consent != "opted_in")
    return (
        select(pairs.c.id)
        .join(twin, and_(twin.account_id == current_account(), twin.id == pairs.c.twin))
        .where(or_(*refused))
    )


# --- how it looks


def repair(contact: Contact) -> None:
    """Let number and e-mail of a contact be among their present addresses."""
    present = identifiers.of(contact.id)
    phones = [one for one in present if one.kind in PHONES]
    if contact.phone and _idx(contact) not in {bytes(one.idx) for one in phones}:
        _set_phone(contact, _e164(phones[-1]) if phones else None)
    emails = [one.value for one in present if one.kind == "email"]
    if contact.email and contact.email not in emails and not _listed_only(contact):
        contact.email = emails[-1] if emails else ""
        contact.updated_at = func.clarion_now()
        db.session().flush()


def _listed_only(contact: Contact) -> bool:
    """Say whether the e-mail is no address of theirs but what a list said beside them."""
    owner = identifiers.find("email", contact.email)
    former = select(Identifier.id).where(
        Identifier.account_id == current_account(),
        Identifier.contact_id == contact.id,
        Identifier.idx == identifiers.index("email", contact.email),
    )
    return owner != contact.id and db.session().scalar(former.limit(1)) is None


def _present(contact_id: UUID, identifier_id: UUID) -> Identifier:
    for one in identifiers.of(contact_id):
        if one.id == identifier_id:
            return one
    raise NotFound("identifier_unknown", _("This contact has no such address."))


def _read(number: str, contact: Contact) -> str:
    try:
        region = contact.country or default_country() or None
        return address.parse_phone(number, region).e164
    except Invalid as refused:
        raise Invalid(refused.code, refused.text, field="number") from None


def _e164(one: Identifier) -> str:
    return address.normalise("wa_id", one.value)


def _idx(contact: Contact) -> bytes | None:
    return bytes(contact.phone_idx) if contact.phone_idx is not None else None


def _set_phone(contact: Contact, phone: str | None) -> None:
    before = address.region_of(contact.phone or "")
    contact.phone = phone
    contact.phone_idx = identifiers.index("phone", phone) if phone else None
    if phone and contact.country in ("", before):
        contact.country = address.region_of(phone)
    contact.updated_at = func.clarion_now()
    db.session().flush()
