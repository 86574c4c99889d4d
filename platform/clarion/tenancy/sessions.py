"""A person's sessions: list them, end one, end the others, end all. Rows, not promises."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, update

from clarion.base import clock, db
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.tenancy import audit
from clarion.tenancy.models import ConsoleSession, PortalSession

# Sessions exist before an account is known, so clarion_app may not see them (security.md).
SYSTEM = db.Entry("clarion_system", None, "tenancy:sessions")
IDLE = dt.timedelta(hours=12)
END = dt.timedelta(days=30)

audit.label("portal.session.ended", "Ended a session")


@dataclass(frozen=True, slots=True)
class Device:
    """One live session as its owner sees it."""

    id: UUID
    device: str
    address: str
    seen_at: dt.datetime
    created_at: dt.datetime
    present: bool
    behind: str | None


def listing(person_id: UUID, present: bytes | None) -> list[Device]:
    """List a person's live sessions, the present one first.

    Args:
        person_id: whose.
        present: hash of the session that asks (`web.login.session_id_hash`).
    """
    m = PortalSession
    query = (
        select(m.id, m.id_hash, m.device, m.address, m.seen_at, m.created_at, m.behind)
        .where(m.subject == _subject(person_id), *_live())
        .order_by(m.seen_at.desc())
    )
    with db.apart(SYSTEM) as orm:
        rows = orm.execute(query).all()
    found = [
        Device(
            r.id,
            r.device,
            r.address,
            r.seen_at,
            r.created_at,
            r.id_hash == present,
            r.behind,
        )
        for r in rows
    ]
    return sorted(found, key=lambda one: not one.present)


def end(person_id: UUID, session_id: UUID) -> None:
    """End one session of a person; raises `NotFound` when it is not theirs or is over."""
    m = PortalSession
    if not _revoke(m.subject == _subject(person_id), m.id == session_id):
        raise NotFound("session_unknown", _("This session has ended already."))


def end_others(person_id: UUID, present: bytes | None) -> int:
    """End all sessions of a person but the present one; return how many."""
    m = PortalSession
    return _revoke(m.subject == _subject(person_id), m.id_hash != (present or b""))


def known_from(person_id: UUID, address: str) -> bool:
    """Say whether this person was signed in from this network before."""
    m = PortalSession
    query = select(m.id).where(m.subject == _subject(person_id), m.address == address)
    with db.apart(SYSTEM) as orm:
        return orm.execute(query.limit(1)).first() is not None


def any_of(person_id: UUID) -> bool:
    """Say whether this person has been signed in before."""
    m = PortalSession
    query = select(m.id).where(m.subject == _subject(person_id))
    with db.apart(SYSTEM) as orm:
        return orm.execute(query.limit(1)).first() is not None


def purge() -> int:
    """Delete sessions of both realms that open nothing any more; return how many."""
    now, gone = clock.now(), 0
    with db.apart(SYSTEM) as orm:
        for m in (PortalSession, ConsoleSession):
            dead = or_(
                m.revoked_at < now - dt.timedelta(days=1),
                m.seen_at < now - END,
                m.created_at < now - END,
            )
            gone += len(orm.execute(delete(m).where(dead).returning(m.id)).all())
    return gone


def _live() -> tuple[ColumnElement[bool], ...]:
    m, now = PortalSession, clock.now()
    return (m.revoked_at.is_(None), m.seen_at > now - IDLE, m.created_at > now - END)


def _revoke(*which: ColumnElement[bool]) -> int:
    m = PortalSession
    query = (
        update(m)
        .where(*which, m.revoked_at.is_(None))
        .values(revoked_at=clock.now())
        .returning(m.id)
    )
    with db.apart(SYSTEM) as orm:
        return len(orm.execute(query).all())


def _subject(person_id: UUID) -> str:
    return f"p:{person_id}"
