"""Proof that people agreed: events that are added and never changed."""

import datetime as dt
import hashlib
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid
from clarion.base.words import _
from clarion.messaging import ledger, suppression
from clarion.messaging.models import Suppression
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts.events import ContactOptedIn, ContactOptedOut
from clarion_contacts.models import Consent, Contact, Wording
from clarion_contacts.service.people import locked

BY_HAND = ("web_form", "shop", "paper", "existing", "other")
LONGEST_WORDING = 4_000

audit.label("contacts.contact.opted_in", "Recorded a person's consent")
audit.label("contacts.contact.opted_out", "Recorded that a person objects")


def opt_in(
    contact_id: UUID,
    *,
    method: str,
    source: str,
    wording: str,
    agreed_on: dt.date | None = None,
    purpose: str = "marketing",
) -> UUID:
    """Record that a person agreed: how, where, when, and to which words.

    Returns the id of the event. Raises `Conflict` for somebody who said STOP: only they
    can take that back.
    """
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    _check(method, source, wording, agreed_on)
    if _silenced(contact):
        raise Conflict(
            "contact_suppressed",
            _("This person said STOP. Only they can take that back, by writing START."),
        )
    event = Consent(
        id=db.new_id(),
        contact_id=contact.id,
        action="grant",
        purpose=purpose,
        method=method,
        source=source.strip()[:300],
        wording_id=keep_wording(wording),
        agreed_on=agreed_on,
    )
    _store(contact, event, "opted_in")
    contact.updated_at = func.clarion_now()
    audit.record("contacts.contact.opted_in", contact, purpose=purpose, method=method)
    outbox.publish(ContactOptedIn(contact_id=contact.id, purpose=purpose))
    return event.id


def evidence() -> Select[Any]:
    """Select consent events with the words people saw, for others to join by `id`.

    Columns: account_id, id, at, agreed_on, source, wording.
    """
    return (
        select(
            Consent.account_id,
            Consent.id,
            Consent.created_at.label("at"),
            Consent.agreed_on,
            Consent.source,
            func.coalesce(Wording.text, "").label("wording"),
        )
        .outerjoin(
            Wording,
            and_(
                Wording.account_id == Consent.account_id, Wording.id == Consent.wording_id
            ),
        )
        .where(Consent.account_id == current_account())
    )


def opt_out(contact_id: UUID, *, source: str = "") -> None:
    """Record that a person does not want marketing, and silence every address of theirs."""
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    event = Consent(
        id=db.new_id(),
        contact_id=contact.id,
        action="withdraw",
        purpose="marketing",
        method="team",
        source=source.strip()[:300],
    )
    _store(contact, event, "opted_out")
    contact.updated_at = func.clarion_now()
    audit.record("contacts.contact.opted_out", contact)
    suppression.suppress([], reason="manual", contact_id=contact.id)
    outbox.publish(ContactOptedOut(contact_id=contact.id, purpose="marketing"))


def note_suppressed(contact_id: UUID, reason: str) -> None:
    """End a contact's consent because they said STOP.

    Asks what is true now, so that being called twice or late changes nothing.
    """
    contact = _maybe(contact_id)
    if contact is None or contact.consent != "opted_in" or reason == "maybe":
        return
    if not _silenced(contact):
        return
    event = Consent(
        id=db.new_id(),
        contact_id=contact.id,
        action="withdraw",
        purpose="marketing",
        method="inbound_message",
        source=reason,
    )
    _store(contact, event, "opted_out")
    outbox.publish(ContactOptedOut(contact_id=contact.id, purpose="marketing"))


def note_resumed(contact_id: UUID) -> None:
    """Take up the consent again of somebody who had agreed, said STOP, and then START.

    Whoever never agreed has not agreed now. Asks what is true now, like `note_suppressed`.
    """
    contact = _maybe(contact_id)
    if contact is None or contact.consent != "opted_out" or _silenced(contact):
        return
    had = select(Consent.wording_id).where(
        Consent.account_id == current_account(),
        Consent.contact_id == contact.id,
        Consent.purpose == "marketing",
        Consent.action.in_(("grant", "import_attested")),
    )
    last = db.session().execute(had.order_by(Consent.created_at.desc()).limit(1)).first()
    if last is None:
        return
    event = Consent(
        id=db.new_id(),
        contact_id=contact.id,
        action="grant",
        purpose="marketing",
        method="inbound_message",
        source="START",
        wording_id=last.wording_id,
    )
    _store(contact, event, "opted_in")
    outbox.publish(ContactOptedIn(contact_id=contact.id, purpose="marketing"))


def keep_wording(text: str) -> UUID:
    """Store the words somebody agreed to, each text once; returns their id."""
    said = text.strip()
    digest = hashlib.sha256(said.encode()).digest()
    row = insert(Wording).values(
        id=db.new_id(), text=said, digest=digest, version=f"{clock.now():%Y-%m-%d}"
    )
    db.session().execute(row.on_conflict_do_nothing())
    query = select(Wording.id).where(
        Wording.account_id == current_account(), Wording.digest == digest
    )
    return db.session().execute(query).scalar_one()


def _store(contact: Contact, event: Consent, state: str) -> None:
    """Add an event; for marketing also the copy of it that lists and audiences read."""
    orm = db.session()
    orm.add(event)
    if event.purpose == "marketing":
        contact.consent, contact.consent_id = state, event.id
        contact.consent_at = clock.now()
    orm.flush()


def _check(method: str, source: str, wording: str, agreed_on: dt.date | None) -> None:
    if method not in BY_HAND:
        raise Invalid("consent_method", _("Choose how this person agreed."), field="method")
    if not source.strip():
        raise Invalid(
            "consent_source",
            _("Say where they agreed: the page, form or shop."),
            field="source",
        )
    if not wording.strip():
        raise Invalid(
            "consent_wording", _("Write the words they agreed to."), field="wording"
        )
    if len(wording) > LONGEST_WORDING:
        raise Invalid(
            "consent_wording_long",
            _("At most 4,000 letters: only the sentence they agreed to."),
            field="wording",
        )
    if agreed_on and agreed_on > clock.now().date() + dt.timedelta(days=1):
        raise Invalid("consent_date", _("This day has not come yet."), field="agreed_on")


def _silenced(contact: Contact) -> bool:
    """Ask the do-not-contact list about the person and the address messages go to."""
    query = suppression.contacts().where(Suppression.contact_id == contact.id)
    if db.session().scalar(select(query.exists())):
        return True
    return bool(contact.phone) and suppression.is_suppressed("phone", contact.phone or "")


def _maybe(contact_id: UUID) -> Contact | None:
    ledger.lock_contacts([contact_id])
    query = select(Contact).where(
        Contact.account_id == current_account(), Contact.id == contact_id
    )
    return db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
