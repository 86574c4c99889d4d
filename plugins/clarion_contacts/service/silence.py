"""Who must not be written to, as conditions on contacts."""

from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, and_, or_

from clarion.base import db
from clarion.messaging import suppression
from clarion.messaging.models import Identifier, Suppression
from clarion_contacts.models import Contact


def silenced() -> ColumnElement[bool]:
    """Say whether one of a few people must not be written to; among many use `silent`."""
    return or_(
        suppression.contacts().where(Suppression.contact_id == Contact.id).exists(),
        suppression.addresses().where(Suppression.idx == Contact.phone_idx).exists(),
    )


def silent() -> CompoundSelect[Any]:
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
