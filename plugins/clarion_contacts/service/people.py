"""People: add, change, erase them, and load one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy import delete as sql_delete

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import address, identifiers, ledger, suppression, windows
from clarion.tenancy import access, audit, preferences
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts.events import ContactAdded, ContactErased
from clarion_contacts.importing.rows import clean
from clarion_contacts.models import Contact
from clarion_contacts.service import fields, gauging, lineage

KINDS: tuple[address.Kind, ...] = (
    "phone", "email", "wa_id", "bsuid", "parent_bsuid", "username",
)  # fmt: skip
LONGEST = {"name": 200, "first_name": 200, "last_name": 200, "language": 20}

audit.label("contacts.contact.added", "Added a contact")
audit.label("contacts.contact.changed", "Changed a contact")
audit.label("contacts.contact.erased", "Deleted a contact")
audit.label("contacts.contact.identified", "Added an address to a contact")


@dataclass(frozen=True, slots=True)
class Details:
    """What a person types about a contact. Empty means there is none.

    `attributes` are values of own fields by key, as typed; see `importing/kinds.py`.
    """

    name: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    email: str = ""
    language: str = ""
    country: str = ""
    timezone: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def add(details: Details) -> Contact:
    """Add one person. Raises `Conflict` when the number or e-mail is somebody's already."""
    access.require("contacts.edit")
    values = _checked(details)
    if not (values["phone"] or values["email"]):
        raise Invalid(
            "contact_empty", _("Give a phone number or an e-mail address."), field="phone"
        )
    _refuse_taken(values, None)
    gauging.require_room(1)
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
    """Erase people; returns how many there were. See `erase`."""
    return len(erase(contact_ids))


def erase(contact_ids: Iterable[UUID]) -> list[UUID]:
    """Erase people: their row, addresses, tags and consent. Returns who was there.

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
    everybody = [*found, *lineage.parts_of(found)]
    ledger.silence(everybody, "all", "erased")
    identifiers.forget(everybody)
    db.session().execute(
        sql_delete(Contact)
        .where(Contact.account_id == current_account(), Contact.id.in_(found))
        .execution_options(synchronize_session=False, audited=True)  # each is said below
    )
    audit.record_each("contacts.contact.erased", [{"contact": one} for one in everybody])
    for contact_id in everybody:
        outbox.publish(ContactErased(contact_id=contact_id))
    return found


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
    """Select who contacts are, for others to join by `id`: account_id, id, name.

    Merged ones too: messages keep the id they were sent under.
    """
    table = db.table_of(Contact)
    return select(table.c.account_id, table.c.id, table.c.name).where(
        table.c.account_id == current_account()
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
        key: clean(getattr(details, key), longest) for key, longest in LONGEST.items()
    }
    parts = f"{values['first_name']} {values['last_name']}".strip()
    values["name"] = values["name"] or parts[:200].rstrip()
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
    values["attributes"] = fields.typed(
        {
            clean(key, 64): clean(value, 1000)
            for key, value in details.attributes.items()
            if key.strip()
        }
    )
    return values


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
