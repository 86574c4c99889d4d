"""A person's sessions: list them, end one, end the others, end all. Rows, not promises."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, delete, literal, or_, select, update

from clarion.base import clock, db
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.tenancy import audit
from clarion.tenancy.models import ConsoleSession, PortalSession

# Sessions exist before an account is known, so clarion_app may not see them (security.md).
SYSTEM = db.Entry("clarion_system", None, "tenancy:sessions")
END = dt.timedelta(days=30)
LASTS = {  # idle and in all, by table; `web.login` holds to the same
    PortalSession: (dt.timedelta(hours=12), END),
    ConsoleSession: (dt.timedelta(minutes=30), dt.timedelta(hours=12)),
}

audit.label("portal.session.ended", "Ended a session")

Who = UUID | str
"""A person's id, or a subject as sessions name it: `p:<person id>`, `s:<staff id>`."""


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
    proofs: tuple[str, ...] = ()


def listing(who: Who, present: bytes | None) -> list[Device]:
    """List somebody's live sessions, the present one first.

    Args:
        who: whose.
        present: hash of the session that asks (`web.login.session_id_hash`).
    """
    m = _table(who)
    behind = PortalSession.behind if m is PortalSession else literal(None)
    query = (
        select(
            m.id,
            m.id_hash,
            m.device,
            m.address,
            m.seen_at,
            m.created_at,
            behind.label("behind"),
            m.data["proofs"].label("proofs"),
        )
        .where(m.subject == _subject(who), *_live(m))
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
            tuple(r.proofs or ()),
        )
        for r in rows
    ]
    return sorted(found, key=lambda one: not one.present)


def end(who: Who, session_id: UUID) -> None:
    """End one session of somebody; raises `NotFound` when it is not theirs or is over."""
    m = _table(who)
    if not _revoke(m, m.subject == _subject(who), m.id == session_id):
        raise NotFound("session_unknown", _("This session has ended already."))


def end_others(who: Who, present: bytes | None) -> int:
    """End all sessions of somebody but the present one; return how many."""
    m = _table(who)
    return _revoke(m, m.subject == _subject(who), m.id_hash != (present or b""))


def known_from(person_id: UUID, address: str) -> bool:
    """Say whether this person was signed in from this network before."""
    m = PortalSession
    query = select(m.id).where(m.subject == _subject(person_id), m.address == address)
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


def _live(m: type[PortalSession] | type[ConsoleSession]) -> tuple[ColumnElement[bool], ...]:
    (idle, end), now = LASTS[m], clock.now()
    return (m.revoked_at.is_(None), m.seen_at > now - idle, m.created_at > now - end)


def _revoke(
    m: type[PortalSession] | type[ConsoleSession], *which: ColumnElement[bool]
) -> int:
    query = (
        update(m)
        .where(*which, m.revoked_at.is_(None))
        .values(revoked_at=clock.now())
        .returning(m.id)
    )
    with db.apart(SYSTEM) as orm:
        return len(orm.execute(query).all())


def _table(who: Who) -> type[PortalSession] | type[ConsoleSession]:
    return ConsoleSession if str(who).startswith("s:") else PortalSession


def _subject(who: Who) -> str:
    return who if isinstance(who, str) else f"p:{who}"
