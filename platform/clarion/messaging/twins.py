"""Contacts that may be one person: asked of the account, never decided by a machine."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Index,
    Select,
    String,
    UniqueConstraint,
    Uuid,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Wall, column
from clarion.base.trails import Trail
from clarion.base.words import lazy
from clarion.messaging.events import IdentityDoubted
from clarion.tenancy import audit
from clarion.tenancy.models import NOW, AccountBase, Time
from clarion.tenancy.scope import current_account
from clarion.work import outbox

audit.label("messaging.identity.doubted", "May be the same person as another contact")


class IdentityDoubt(AccountBase):
    """Two contacts that may be one person: an event gave an address of one to the other.

    Until somebody decides (`merged`, `different`) nobody acts on it but to be careful. The
    smaller id stands first.
    """

    __tablename__ = "identity_doubt"
    __table_args__ = (
        UniqueConstraint("account_id", "contact_id", "other_id"),
        Index("ix_identity_doubt_other", "account_id", "other_id"),
        CheckConstraint("(decided_at IS NULL) = (decision = '')", name="decided"),
        CheckConstraint("decision IN ('', 'merged', 'different')", name="decision"),
    )
    wall = Wall(kind="content")
    trail = Trail(lazy("Doubt whether two contacts are one person"))

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    other_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    reason: Mapped[str] = column(String(20), pd=None)
    raised_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    decided_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    decision: Mapped[str] = column(String(12), pd=None, server_default="")


def doubt(one: UUID, other: UUID, reason: str) -> None:
    """Ask the account whether two contacts are one person.

    What was decided stays decided, unless a provider says something new: that both were
    named together is nothing new.
    """
    first, second = sorted((one, other))
    row = insert(IdentityDoubt).values(
        id=db.new_id(), contact_id=first, other_id=second, reason=reason
    )
    again = row.on_conflict_do_update(
        index_elements=["account_id", "contact_id", "other_id"],
        set_={
            "reason": reason,
            "raised_at": func.clarion_now(),
            "decided_at": None,
            "decision": "",
        },
        where=(IdentityDoubt.decision != "") & (reason != "named_both"),
    )
    if db.session().scalar(again.returning(IdentityDoubt.id)) is None:
        return
    audit.record("messaging.identity.doubted", None, contact=first, other=second)
    outbox.publish(IdentityDoubted(contact_id=first, other_id=second, reason=reason))


def waiting(limit: int = 200) -> list[IdentityDoubt]:
    """List the pairs that wait for a decision, the oldest first."""
    query = (
        select(IdentityDoubt)
        .where(
            IdentityDoubt.account_id == current_account(),
            IdentityDoubt.decided_at.is_(None),
        )
        .order_by(IdentityDoubt.raised_at, IdentityDoubt.id)
        .limit(limit)
    )
    return list(db.session().scalars(query))


def of(contact_id: UUID) -> list[UUID]:
    """List who a contact may be the same person as."""
    mine = IdentityDoubt.contact_id == contact_id
    query = select(IdentityDoubt.contact_id, IdentityDoubt.other_id).where(
        IdentityDoubt.account_id == current_account(),
        IdentityDoubt.decided_at.is_(None),
        or_(mine, IdentityDoubt.other_id == contact_id),
    )
    found = db.session().execute(query)
    return [other if one == contact_id else one for one, other in found]


def settle(one: UUID, other: UUID, decision: Literal["merged", "different"]) -> bool:
    """Decide a doubt; says whether there was an open one."""
    first, second = sorted((one, other))
    done = db.session().execute(
        update(IdentityDoubt)
        .where(
            IdentityDoubt.account_id == current_account(),
            IdentityDoubt.contact_id == first,
            IdentityDoubt.other_id == second,
            IdentityDoubt.decided_at.is_(None),
        )
        .values(decided_at=func.clarion_now(), decision=decision)
        .returning(IdentityDoubt.id)
        .execution_options(synchronize_session=False)
    )
    return done.first() is not None


def forget(contact_ids: Iterable[UUID] | Select[Any]) -> None:
    """Remove the doubts about contacts that are erased."""
    db.session().execute(
        delete(IdentityDoubt)
        .where(
            IdentityDoubt.account_id == current_account(),
            or_(
                IdentityDoubt.contact_id.in_(contact_ids),
                IdentityDoubt.other_id.in_(contact_ids),
            ),
        )
        .execution_options(synchronize_session=False)
    )
