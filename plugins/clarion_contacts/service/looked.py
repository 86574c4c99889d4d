"""Contacts as staff see them under a grant: masked, and one record at a time in the clear."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select

from clarion.base import db
from clarion.base.errors import NotFound, TooMany
from clarion.base.telemetry import logger
from clarion.base.words import _
from clarion.messaging import address
from clarion.support import entries, grants
from clarion.tenancy import access, audit
from clarion_contacts.models import Contact

log = logger(__name__)
PAGE: Final = 50
DOTS: Final = "••••"

audit.label("contacts.reveals.many", "Support revealed many records in one access")


@dataclass(frozen=True, slots=True)
class Masked:
    """A contact, with nothing in it by which somebody could be found."""

    id: UUID
    name: str
    phone: str
    email: str
    consent: str
    language: str
    country: str
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Clear:
    """One contact as the customer sees it."""

    name: str
    phone: str
    email: str
    attributes: dict[str, Any] = field(default_factory=dict)


def page(account_id: UUID, after: UUID | None = None) -> tuple[list[Masked], UUID | None]:
    """List an account's contacts by key; answers them and where the next page begins."""
    access.require("contacts.look")
    with entries.looking(account_id, "/console/contacts"):
        query = _of(account_id)
        if after:
            query = query.where(Contact.id > after)
        found = db.session().scalars(query.order_by(Contact.id).limit(PAGE + 1)).all()
        rows = [_masked(one) for one in found[:PAGE]]
    return rows, rows[-1].id if len(found) > PAGE else None


def one(account_id: UUID, contact_id: UUID) -> Masked:
    """Find one contact, masked."""
    access.require("contacts.look")
    row = f"contact_id:{contact_id}"
    with entries.looking(account_id, "/console/contacts/…", row=row):
        return _masked(_find(account_id, contact_id))


def reveal(account_id: UUID, contact_id: UUID) -> tuple[Masked, Clear]:
    """Show one contact in the clear; the log says so before it is read.

    Raises:
        TooMany: this access has revealed too many already.
    """
    access.require("contacts.reveal")
    row = f"contact_id:{contact_id}"
    held = entries.held(account_id)
    if held and _revealed(held) >= 2 * grants.MANY_REVEALS:
        text = _("This access has shown too many records in the clear. Ask for a new one.")
        raise TooMany("reveals_many", text)
    with entries.looking(
        account_id, "/console/contacts/…", deed="reveal", row=row
    ) as grant:
        found = _find(account_id, contact_id)
        clear = Clear(found.name, found.phone or "", found.email, dict(found.attributes))
        masked = _masked(found)
    if _revealed(grant) == grants.MANY_REVEALS:
        log.warning("contacts.reveals_many", grant=str(grant.id), staff=grant.staff_id)
        audit.record(
            "contacts.reveals.many", None, grant=grant.id, count=grants.MANY_REVEALS
        )
    return masked, clear


def _of(account_id: UUID) -> Select[tuple[Contact]]:
    return select(Contact).where(Contact.account_id == account_id)


def _find(account_id: UUID, contact_id: UUID) -> Contact:
    found = db.session().scalar(_of(account_id).where(Contact.id == contact_id))
    if found is None:
        raise NotFound("contact_unknown", _("There is no such contact."))
    return found


def _revealed(grant: entries.Held) -> int:
    return grants.reveals([grant.id]).get(grant.id, 0)


def _masked(row: Contact) -> Masked:
    words = row.name.split()
    return Masked(
        row.id,
        " ".join(f"{word[0]}{DOTS}" for word in words[:3]),
        address.mask("phone", row.phone) if row.phone else "",
        address.mask("email", row.email) if row.email else "",
        row.consent,
        row.language,
        row.country,
        row.created_at,
    )
