"""Many people who want no marketing, on record in one go."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    cast,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, insert

from clarion.base import db
from clarion.messaging import ledger, suppression
from clarion.messaging.models import Identifier
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts.events import ContactOptedOut
from clarion_contacts.models import Consent, Contact
from clarion_contacts.service.silence import silenced

audit.label("contacts.contact.opted_out", "Recorded that a person objects")


def opt_out_many(contact_ids: list[UUID], *, source: str) -> list[UUID]:
    """Record that people want no marketing, and silence every address of theirs.

    Returns those for whom this was new. Who is silenced already is left as they are.
    """
    access.require("contacts.edit")
    ledger.lock_contacts(contact_ids)
    query = (
        select(Contact.id)
        .where(
            Contact.account_id == current_account(),
            Contact.id.in_(contact_ids),
            or_(Contact.consent != "opted_out", ~silenced()),
        )
        .order_by(Contact.id)
        .with_for_update()
    )
    found = list(db.session().scalars(query))
    if found:
        _withdraw(found, source)
        suppression.suppress_people(found, reason="manual")
    audit.record_each("contacts.contact.opted_out", [{"contact": one} for one in found])
    for one in found:
        outbox.publish(ContactOptedOut(contact_id=one, purpose="marketing"))
    return found


def _withdraw(found: list[UUID], source: str) -> None:
    """Add an event for each, and the copy of it that lists and audiences read."""
    values: dict[str, Any] = {
        "id": func.clarion_new_id(),
        "account_id": func.clarion_account(),
        "contact_id": Contact.id,
        "action": literal("withdraw"),
        "purpose": literal("marketing"),
        "method": literal("team"),
        "source": literal(source),
        "idxs": func.coalesce(_addresses(), cast([], ARRAY(LargeBinary))),
    }
    rows = select(*values.values()).where(
        Contact.account_id == current_account(), Contact.id.in_(found)
    )
    events = (
        insert(Consent)
        .from_select(list(values), rows.order_by(Contact.id), include_defaults=False)
        .returning(Consent.id, Consent.contact_id, Consent.created_at)
        .cte("events")
    )
    db.session().execute(
        update(Contact)
        .where(Contact.account_id == current_account(), Contact.id == events.c.contact_id)
        .values(
            consent="opted_out",
            consent_id=events.c.id,
            consent_at=events.c.created_at,
            updated_at=func.clarion_now(),
        )
        .execution_options(synchronize_session=False)
    )


def _addresses() -> ColumnElement[Any]:
    """The blind indexes of every address a contact has now."""
    known = (
        select(func.array_agg(aggregate_order_by(Identifier.idx, Identifier.idx)))
        .where(
            Identifier.account_id == Contact.account_id,
            Identifier.contact_id == Contact.id,
            Identifier.valid_to.is_(None),
        )
        .correlate(Contact)
    )
    return known.scalar_subquery()
