"""Who must not be written to, as conditions on contacts."""

from sqlalchemy import ColumnElement, func, or_

from clarion.base import db
from clarion.messaging import suppression
from clarion.messaging.models import Suppression
from clarion_contacts.models import Contact


def silenced() -> ColumnElement[bool]:
    """Say whether somebody asked for silence, by themselves or by their number."""
    return or_(
        Contact.id.in_(suppression.contacts()),
        func.coalesce(Contact.phone_idx.in_(suppression.addresses()), False),
    )


def suppressed(contact: Contact) -> str:
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
