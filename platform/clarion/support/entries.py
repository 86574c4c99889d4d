"""The log of what staff looked at: each entry is committed before anything is read.

Row level security asks for it: without a committed entry, a minute old at most, a grant
opens nothing. What is read afterwards may fail or be taken back; the entry stays.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import func, insert, select

from clarion.base import db
from clarion.base.errors import Forbidden
from clarion.base.words import _
from clarion.support.models import AccessEntry, AccessGrant
from clarion.tenancy import audit
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import account_scope, current_actor, staff_scope

FRESH_SECONDS = 50  # of the 60 for which the database lets an entry open something
LONGEST = 200

audit.label("row.seen", "Support looked at something")


class GrantNeeded(Forbidden):
    """Staff asked for content of an account without a live grant."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a live grant is, to whoever uses it."""

    id: UUID
    account_id: UUID
    staff_id: int
    delayed: bool


def write(
    grant: AccessGrant | Held, deed: str, what: str, *, row: str = "", request_id: str = ""
) -> UUID:
    """Add an entry in the present transaction; returns its id.

    The account's chain gets its digest, so that no entry can be altered or lost unseen;
    that of an investigation not yet told stands in the platform's own chain.
    """
    entry = AccessEntry(id=db.new_id(), account_id=grant.account_id)
    values = {
        "id": entry.id,
        "account_id": grant.account_id,
        "grant_id": grant.id,
        "staff_id": grant.staff_id,
        "deed": deed,
        "what": what[:LONGEST],
        "row": row[:120],
        "request_id": request_id or current_actor().request_id,
    }
    told = {"told_at": _told(grant.id)} if _delayed(grant) else {}
    db.session().execute(insert(db.table_of(AccessEntry)).values(**values, **told).inline())
    said = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode())
    facts = {"entry": entry.id, "digest": said.hexdigest()}
    audit.record("row.seen", None if told else entry, **facts)
    return entry.id


def note(
    grant: AccessGrant | Held,
    deed: str,
    what: str,
    *,
    row: str = "",
    reuse: bool = False,
    who: Actor | None = None,
) -> UUID:
    """Add an entry in a transaction of its own, and commit it; returns its id.

    Args:
        grant: under which.
        deed: one of `models.DEEDS`.
        what: the page, as its address names it.
        row: the record it is about.
        reuse: take the last entry about the same, if it is young: a part of a page that
            refreshes itself is one look, not thirty a minute.
        who: acts, where that is not said by the scope yet.
    """
    who = replace(who or current_actor(), grant_id=None, access_id=None, read_only=False)
    with _alone(who, grant.account_id), db.transaction():
        if reuse and (known := _recent(grant.id, what)):
            return known
        return write(grant, deed, what, row=row)


@contextmanager
def looking(
    account_id: UUID, what: str, *, deed: str = "screen", row: str = ""
) -> Iterator[Held]:
    """Let staff read content of one account inside this block, written down beforehand.

    Raises:
        GrantNeeded: this staff member has no live grant for the account.
    """
    who = current_actor()
    grant = held(account_id)
    if grant is None:
        raise GrantNeeded("grant_needed", _("Ask for access to this account first."))
    entry = note(grant, deed, what, row=row)
    with staff_scope(replace(who, access_id=entry)), db.transaction():
        yield grant


def held(account_id: UUID) -> Held | None:
    """Find the live grant of the present staff member for an account."""
    who = current_actor()
    if who.kind != "staff" or not who.id.isdecimal():
        return None
    m = AccessGrant
    query = (
        select(m.id, m.staff_id, (m.told_at > func.clarion_now()).label("delayed"))
        .where(m.account_id == account_id, m.staff_id == int(who.id))
        .where(m.ends_at > func.clarion_now(), func.clarion_grant_live(m.id))
        .order_by(m.ends_at.desc())
        .limit(1)
    )
    row = db.session().execute(query).first()
    return Held(row.id, account_id, row.staff_id, row.delayed) if row else None


@contextmanager
def _alone(who: Actor, account_id: UUID) -> Iterator[Actor]:
    """Enter a scope of its own, so that what is written is committed by itself."""
    scope = staff_scope(who) if who.kind == "staff" else account_scope(account_id, who)
    with scope as entered:
        yield entered


def _recent(grant_id: UUID, what: str) -> UUID | None:
    m = AccessEntry
    young = func.clarion_now() - func.make_interval(0, 0, 0, 0, 0, 0, FRESH_SECONDS)
    query = select(m.id).where(m.grant_id == grant_id, m.what == what[:LONGEST])
    query = query.where(m.deed == "screen", m.created_at > young)
    return db.session().scalar(query.order_by(m.created_at.desc()).limit(1))


def _delayed(grant: AccessGrant | Held) -> bool:
    if isinstance(grant, Held):
        return grant.delayed
    return grant.kind == "emergency" and grant.told_at > grant.created_at


def _told(grant_id: UUID) -> object:
    """Show an entry when its grant is shown; at once, when that is over."""
    m = AccessGrant
    when = select(func.greatest(m.told_at, func.clarion_now())).where(m.id == grant_id)
    return when.scalar_subquery()
