"""Proof that people agreed: events that are added and never changed."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select

from clarion.base import clock, crypto, db
from clarion.base.errors import Conflict, Invalid
from clarion.base.words import _
from clarion.messaging import identifiers, ledger, suppression
from clarion.messaging.models import Suppression
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts.events import ContactOptedIn, ContactOptedOut
from clarion_contacts.models import Consent, Contact, Wording
from clarion_contacts.service.attestation import has_come
from clarion_contacts.service.history import place_of
from clarion_contacts.service.people import Details, add, locked
from clarion_contacts.service.wordings import LONGEST, keep_wording

BY_HAND = ("web_form", "shop", "paper", "existing", "other")
LONGEST_EVIDENCE = 4_000
LIFTED = ("stop", "maybe", "manual", "unsubscribe")
"""What somebody takes back who signs up again by the number itself, and proves it."""

audit.label("contacts.contact.opted_in", "Recorded a person's consent")
audit.label("contacts.contact.opted_out", "Recorded that a person objects")
audit.label("contacts.contact.complained", "Recorded a complaint")


def add_agreed(
    details: Details,
    *,
    method: str,
    source: str,
    wording: str,
    agreed_on: dt.date | None = None,
    evidence: str = "",
) -> Contact:
    """Add one person who agreed, with the proof of it; both, or neither. See `opt_in`."""
    contact = add(details)
    opt_in(
        contact.id,
        method=method,
        source=source,
        wording=wording,
        agreed_on=agreed_on,
        evidence=evidence,
    )
    return contact


def opt_in(
    contact_id: UUID,
    *,
    method: str,
    source: str,
    wording: str,
    agreed_on: dt.date | None = None,
    purpose: str = "marketing",
    evidence: str = "",
) -> UUID:
    """Record that a person agreed: how, where, when, and to which words.

    `agreed_on` is the day they did, where known; a day that has not come is `Invalid`
    (`consent_date`). `evidence` is whatever else proves it: the number of a paper, where a
    scan is kept. It is sealed. Returns the id of the event. Raises `Conflict` for somebody
    who said STOP: only they can take that back.
    """
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    _check(method, source, wording, agreed_on)
    if silenced(contact):
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
    if said := evidence.strip()[:LONGEST_EVIDENCE]:
        event.evidence = crypto.seal(
            said, place=place_of(event.id), account_id=current_account()
        )
    store(contact, event, "opted_in")
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
    store(contact, event, "opted_out")
    contact.updated_at = func.clarion_now()
    audit.record("contacts.contact.opted_out", contact)
    suppression.suppress([], reason="manual", contact_id=contact.id)
    outbox.publish(ContactOptedOut(contact_id=contact.id, purpose="marketing"))


def complain(contact_id: UUID, *, source: str = "") -> None:
    """Record that a person complained, by mail or to an authority: nothing reaches them.

    Not even answers: the scope is everything, and nobody here can lift it.
    """
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id])
    contact = locked(contact_id)
    object_to(contact, method="team", source=source.strip()[:300] or "complaint")
    contact.updated_at = func.clarion_now()
    audit.record("contacts.contact.complained", contact)
    suppression.suppress([], scope="all", reason="complaint", contact_id=contact.id)


def object_to(contact: Contact, *, method: str, source: str) -> None:
    """Write that a person objects to marketing; the caller holds their lock and suppresses."""
    event = Consent(
        id=db.new_id(),
        contact_id=contact.id,
        action="object",
        purpose="marketing",
        method=method,
        source=source,
    )
    store(contact, event, "opted_out")
    outbox.publish(ContactOptedOut(contact_id=contact.id, purpose="marketing"))


def note_suppressed(contact_id: UUID, reason: str) -> None:
    """End a contact's consent because they said STOP.

    Asks what is true now, so that being called twice or late changes nothing.
    """
    contact = find_locked(contact_id)
    if contact is None or contact.consent != "opted_in" or reason == "maybe":
        return
    if not silenced(contact):
        return
    event = Consent(
        id=db.new_id(),
        contact_id=contact.id,
        action="withdraw",
        purpose="marketing",
        method="inbound_message",
        source=reason,
    )
    store(contact, event, "opted_out")
    outbox.publish(ContactOptedOut(contact_id=contact.id, purpose="marketing"))


def note_resumed(contact_id: UUID) -> None:
    """Take up the consent again of somebody who had agreed, said STOP, and then START.

    Whoever never agreed has not agreed now. Asks what is true now, like `note_suppressed`.
    """
    contact = find_locked(contact_id)
    if contact is None or contact.consent != "opted_out" or silenced(contact):
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
    store(contact, event, "opted_in")
    outbox.publish(ContactOptedIn(contact_id=contact.id, purpose="marketing"))


def store(contact: Contact, event: Consent, state: str) -> None:
    """Add an event with every address known now; for marketing also the copy of it.

    Lists and audiences read the copy. The caller holds the contact's lock.
    """
    orm = db.session()
    known = {one.idx for one in identifiers.of(contact.id)}
    event.idxs = sorted(known | ({contact.phone_idx} if contact.phone_idx else set()))
    orm.add(event)
    of_all = event.topic_id is None and event.channel in (None, "whatsapp")
    if event.purpose == "marketing" and of_all:
        contact.consent = state
        contact.consent_id = event.id if state != "none" else None
        contact.consent_at = clock.now() if state != "none" else None
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
    if len(wording) > LONGEST:
        raise Invalid(
            "consent_wording_long",
            _("At most 4,000 letters: only the sentence they agreed to."),
            field="wording",
        )
    if agreed_on and not has_come(agreed_on):
        raise Invalid("consent_date", _("This day has not come yet."), field="agreed_on")


def silenced(contact: Contact) -> bool:
    """Ask the do-not-contact list about the person and the address messages go to."""
    query = suppression.contacts().where(Suppression.contact_id == contact.id)
    if db.session().scalar(select(query.exists())):
        return True
    return bool(contact.phone) and suppression.is_suppressed("phone", contact.phone or "")


def find_locked(contact_id: UUID) -> Contact | None:
    """Lock a contact if there is one; as `locked`, for who may be gone already."""
    ledger.lock_contacts([contact_id])
    query = select(Contact).where(
        Contact.account_id == current_account(), Contact.id == contact_id
    )
    return db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
