"""Which contacts became part of another: what was sent to one was sent to the other.

Messages keep the id they left under (decision 0022); who counts what a person got asks here
whose it is. Kept by `identity.join` and `part`, flat: a part of a part is one of the whole.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Index,
    Select,
    UniqueConstraint,
    Uuid,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Wall, column
from clarion.base.trails import NoTrail
from clarion.tenancy.models import AccountBase
from clarion.tenancy.scope import current_account


class ContactPart(AccountBase):
    """A contact that is part of another one now; `into_id` is the one that is there."""

    __tablename__ = "contact_part"
    __table_args__ = (
        UniqueConstraint("account_id", "contact_id"),
        Index("ix_contact_part_into", "account_id", "into_id"),
    )
    wall = Wall(kind="content")
    trail = NoTrail("follows the merges of contacts, which have a trail")
    owner_unique = False

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    into_id: Mapped[UUID] = column(Uuid, pd="contact.id")


def join(contact_id: UUID, into: UUID) -> None:
    """Note that a contact, and all its parts, are part of another."""
    db.session().execute(
        update(ContactPart)
        .where(_mine(), ContactPart.into_id == contact_id)
        .values(into_id=into)
        .execution_options(synchronize_session=False)
    )
    db.session().add(ContactPart(id=db.new_id(), contact_id=contact_id, into_id=into))
    db.session().flush()


def part(contact_id: UUID, own: Iterable[UUID]) -> None:
    """Note that a contact is one of its own again, with the parts it had."""
    db.session().execute(
        delete(ContactPart)
        .where(_mine(), ContactPart.contact_id == contact_id)
        .execution_options(synchronize_session=False)
    )
    db.session().execute(
        update(ContactPart)
        .where(_mine(), ContactPart.contact_id.in_(list(own)))
        .values(into_id=contact_id)
        .execution_options(synchronize_session=False)
    )


def forget(contact_ids: Iterable[UUID] | Select[Any]) -> None:
    """Remove what is known about contacts that are erased."""
    db.session().execute(
        delete(ContactPart)
        .where(
            _mine(),
            or_(
                ContactPart.contact_id.in_(contact_ids),
                ContactPart.into_id.in_(contact_ids),
            ),
        )
        .execution_options(synchronize_session=False)
    )


def any_there() -> bool:
    """Say whether anybody of this account is part of another; mostly nobody is."""
    return db.session().scalar(select(ContactPart.id).where(_mine()).limit(1)) is not None


class Whose(NamedTuple):
    """Whose something is that was a contact's, and the outer join it needs to be known."""

    person: ColumnElement[UUID]
    part: FromClause
    on: ColumnElement[bool]


def whose(contact_id: Any) -> Whose:  # Any: a column with the contact it was of
    """Say whose something is: the contact's, or that one's whose part the contact is."""
    part = db.table_of(ContactPart).alias()
    on = and_(part.c.account_id == current_account(), part.c.contact_id == contact_id)
    return Whose(func.coalesce(part.c.into_id, contact_id), part, on)


def _mine() -> ColumnElement[bool]:
    return ContactPart.account_id == current_account()
