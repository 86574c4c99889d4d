"""Everything one page shows about one person, in a fixed number of queries."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, select

from clarion.base import db
from clarion.messaging import identifiers
from clarion.messaging.models import Identifier
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import kinds
from clarion_contacts.models import Contact, Field, Tag, Tagging
from clarion_contacts.service import fields, lists
from clarion_contacts.service.history import ConsentLine, history
from clarion_contacts.service.people import get
from clarion_contacts.service.silence import suppressed


@dataclass(frozen=True, slots=True)
class Own:
    """What a person has in a field of the account's own; `kind` is text where nobody said."""

    key: str
    title: str
    kind: str
    value: kinds.Value

    @property
    def day(self) -> dt.date | None:
        """The value as a day, where it is one."""
        return kinds.day(self.value) if self.kind == "date" else None


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything the page of one contact shows, but what happened: that is the timeline."""

    contact: Contact
    identifiers: list[Identifier]
    tags: list[tuple[UUID, str]]
    lists: list[tuple[UUID, str]]
    own: list[Own]
    consents: list[ConsentLine]
    suppressed: str

    @property
    def state(self) -> str:
        """Name the state of consent that a pill shows."""
        return "opted_out" if self.suppressed else self.contact.consent


def show(contact_id: UUID) -> Shown:
    """Read everything about one person, in a fixed number of queries."""
    access.require("contacts.view")
    contact = get(contact_id)
    return Shown(
        contact=contact,
        identifiers=identifiers.of(contact_id),
        tags=tags_of(contact_id),
        lists=lists.of_contact(contact_id),
        own=own_of(contact, fields.known()),
        consents=history(contact_id),
        suppressed=suppressed(contact),
    )


def tags_of(contact_id: UUID) -> list[tuple[UUID, str]]:
    """List the tags of a person."""
    held = (
        select(Tag.id, Tag.name)
        .join(Tagging, and_(Tagging.account_id == Tag.account_id, Tagging.tag_id == Tag.id))
        .where(Tagging.account_id == current_account(), Tagging.contact_id == contact_id)
        .order_by(Tag.key)
    )
    return [(row.id, row.name) for row in db.session().execute(held)]


def own_of(contact: Contact, known: list[Field]) -> list[Own]:
    """Put a person's own values into the order of the fields; keys nobody described last."""
    has = contact.attributes
    said = [Own(f.key, f.title, f.kind, has[f.key]) for f in known if f.key in has]
    described = {one.key for one in known}
    loose = sorted(key for key in has if key not in described)
    return said + [Own(key, key, "text", has[key]) for key in loose]
