"""Lost every second factor: one asks, two staff agree, 72 hours later it is so.

Whoever asks has given the password, which is theirs alone to choose: staff remove what was
lost, and set nothing. Until the end a link in every mail stops it, and so does whoever
shows one of the factors after all.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import and_, delete, select, update
from sqlalchemy.exc import IntegrityError

from clarion.base import clock, db, limits
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.base.limits import Limit
from clarion.base.words import _
from clarion.tenancy import access, audit, credentials, devices, factors, sessions
from clarion.tenancy.changes import Recovery
from clarion.tenancy.models import Person, StaffProfile
from clarion.tenancy.scope import current_actor

DELAY: Final = dt.timedelta(hours=72)
WARNED: Final = dt.timedelta(hours=24)  # so long before, everybody is told once more
AT_LEAST: Final = dt.timedelta(hours=12)  # between that mail and the end, however late
WAITS: Final = dt.timedelta(days=14)  # for two staff
KEPT: Final = dt.timedelta(days=90)
ASKED = Limit("recovery.asked", 3, 86_400)
STOP, LONGEST, PAGE = "stop", 300, 50
OPEN: Final = ("asked", "approved")

STAGES: Final = {
    "asked": 1, "approved": 2, "soon": 3,
    "done": 4, "stopped": 4, "refused": 4, "lapsed": 4,
}  # fmt: skip
"""What is told, in its order: each once, and nothing after the end."""

for _realm in ("portal", "console"):
    audit.label(f"{_realm}.recovery.asked", "Asked to remove lost second factors")
    audit.label(f"{_realm}.recovery.agreed", "Agreed to remove lost second factors")
    audit.label(f"{_realm}.recovery.refused", "Refused to remove second factors")
    audit.label(f"{_realm}.recovery.stopped", "Stopped that second factors be removed")
    audit.label(f"{_realm}.recovery.lapsed", "Nobody decided about lost second factors")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who has lost everything, and from where they ask."""

    subject: str
    email: str
    name: str
    language: str
    device: str
    address: str


# --- by who has lost them


def ask(who: Asker, words: str) -> Recovery:
    """Ask that every second factor be removed; runs as `clarion_system`.

    Raises:
        Invalid: nothing is said, or there is nothing to remove.
        Conflict: they have asked already.
        TooMany: they ask too often.
    """
    text = _said(words, "words")
    limits.hit(ASKED, who.subject)
    if not factors.of(who.subject).any:
        raise Invalid("factor_none", _("There is no second factor to be removed."))
    row = Recovery(
        subject=who.subject,
        email=who.email,
        name=who.name,
        language=who.language,
        words=text,
        device=who.device,
        address=who.address,
    )
    try:
        with db.session().begin_nested():
            db.session().add(row)
            db.session().flush()
    except IntegrityError as error:
        sentence = _("You have asked already. Two of our staff decide about it.")
        raise Conflict("recovery_asked", sentence) from error
    _record("asked", row)
    return row


def open_of(subject: str) -> Recovery | None:
    """Return what somebody has asked for and what is not over; as `clarion_system`."""
    return db.session().scalar(
        select(Recovery).where(Recovery.subject == subject, Recovery.state.in_(OPEN))
    )


def stoppable(token: str) -> Recovery | None:
    """Return what the link of a mail stops, without stopping it; as `clarion_system`."""
    _kind, _colon, key = (credentials.peek(STOP, token) or "").partition(":")
    row = db.session().get(Recovery, UUID(key[:36])) if key else None
    return row if row is not None and row.state in OPEN else None


def stop(recovery_id: UUID) -> Recovery | None:
    """Stop it: by a mailed link, or because a factor was shown; None when it is over."""
    row = db.session().get(Recovery, recovery_id, with_for_update=True)
    if row is None or row.state not in OPEN:
        return None
    _end(row, "stopped")
    return row


def stop_link(row: Recovery, stage: str) -> str:
    """Make the token of one mail's link; those of other mails stay good."""
    lasts = WAITS + DELAY + WARNED
    return credentials.issue(STOP, f"recovery:{row.id}:{stage}", lasts)


# --- by staff


def agree(recovery_id: UUID, how: str) -> Recovery:
    """Agree, as the first or the second; with the second the 72 hours begin.

    Args:
        recovery_id: which.
        how: how they made sure who is asking; colleagues read it.

    Raises:
        Conflict: it is one's own, one has agreed already, or it is over.
        Forbidden: it may be one and the same person.
    """
    access.require("console.recoveries_decide")
    row, me, text = _locked(recovery_id), current_actor(), _said(how, "how")
    if row.state != "asked":
        raise _over()
    if row.subject == f"s:{me.id}":
        raise Conflict("recovery_own", _("Two colleagues have to decide about this."))
    if row.first_by == me.label:
        raise Conflict("two_needed", _("You have agreed; a colleague has to, too."))
    _refuse_same_person(row, me.id)
    if row.first_by is None:
        row.first_by, row.first_name = me.label, me.name[:120]
        row.first_how, row.first_at = text, clock.now()
    else:
        row.second_by, row.second_name = me.label, me.name[:120]
        row.second_how, row.second_at = text, clock.now()
        row.state, row.due_at = "approved", row.second_at + DELAY
    _record("agreed", row)
    return row


def refuse(recovery_id: UUID) -> Recovery:
    """Decide against it, also after two have agreed: one is enough for that."""
    access.require("console.recoveries_decide")
    row = _locked(recovery_id)
    if row.state not in OPEN:
        raise _over()
    if row.subject == f"s:{current_actor().id}":
        raise Conflict("recovery_own", _("Two colleagues have to decide about this."))
    _end(row, "refused")
    return row


def listing() -> list[Recovery]:
    """List what waits, oldest first, then the latest that is over."""
    access.require("console.recoveries")
    orm, m = db.session(), Recovery
    waiting = select(m).where(m.state.in_(OPEN)).order_by(m.created_at, m.id)
    over = select(m).where(m.state.not_in(OPEN)).order_by(m.created_at.desc(), m.id.desc())
    return [*orm.scalars(waiting.limit(PAGE)), *orm.scalars(over.limit(PAGE))]


# --- by the clock, as `clarion_system`


def due() -> tuple[list[UUID], list[UUID], list[UUID]]:
    """Find which are to be told once more, which come true, and which nobody decided."""
    m, now = Recovery, clock.now()
    soon = and_(m.state == "approved", m.warned_at.is_(None), m.due_at <= now + WARNED)
    true = and_(m.state == "approved", m.due_at <= now, m.warned_at <= now - AT_LEAST)
    late = and_(m.state == "asked", m.created_at <= now - WAITS)
    found: list[list[UUID]] = []
    for which in (soon, true, late):
        query = select(m.id).where(which).order_by(m.id).limit(PAGE)
        found.append(list(db.session().scalars(query)))
    return found[0], found[1], found[2]


def warn(recovery_id: UUID) -> Recovery | None:
    """Note that it is told once more; only one caller is answered."""
    query = (
        update(Recovery)
        .where(Recovery.id == recovery_id, Recovery.state == "approved")
        .where(Recovery.warned_at.is_(None))
        .values(warned_at=clock.now())
        .returning(Recovery)
    )
    return db.session().scalar(query)


def come_true(recovery_id: UUID) -> Recovery | None:
    """Remove every second factor, end every session; None when that is not due.

    No browser of theirs is known any more, so that a password alone opens nothing: the
    mailed code comes after it.
    """
    row = db.session().get(Recovery, recovery_id, with_for_update=True)
    now = clock.now()
    if row is None or row.state != "approved" or row.due_at is None or row.due_at > now:
        return None
    orm, m = db.session(), factors.table(row.subject)
    count = orm.execute(delete(m).where(m.subject == row.subject)).rowcount  # type: ignore[attr-defined]
    end_sessions(row.subject)
    devices.forget(row.subject)
    row.state, row.ended_at = "done", now
    audit.record(f"{factors.realm(row.subject)}.factor.reset", count=count)
    return row


def lapse(recovery_id: UUID) -> Recovery | None:
    """Close what nobody decided about."""
    row = db.session().get(Recovery, recovery_id, with_for_update=True)
    if row is None or row.state != "asked":
        return None
    _end(row, "lapsed")
    return row


def telling(recovery_id: UUID, stage: str) -> Recovery | None:
    """Answer what is to be told about, unless that or something later was."""
    query = (
        update(Recovery)
        .where(Recovery.id == recovery_id, Recovery.told < STAGES[stage])
        .values(told=STAGES[stage])
        .returning(Recovery)
    )
    return db.session().scalar(query)


def purge() -> None:
    """Forget what has been over for three months; the log keeps what was done."""
    with factors.as_system() as orm:
        orm.execute(delete(Recovery).where(Recovery.ended_at < clock.now() - KEPT))


# --- pieces


def end_sessions(subject: str) -> None:
    """End every session of a person or staff member, void their links; as the system."""
    orm, (kind, _colon, key) = db.session(), subject.partition(":")
    owner: Person | StaffProfile | None
    if kind == "p":
        owner = orm.get(Person, UUID(key), with_for_update=True)
    else:
        owner = orm.get(StaffProfile, int(key), with_for_update=True)
    if owner is not None:
        owner.session_epoch += 1
    sessions.end_others(subject, None)
    credentials.void(holder(subject))


def holder(subject: str) -> str:
    """Name somebody as the subject of their links: `person:<id>`, `staff:<id>`."""
    kind, _colon, key = subject.partition(":")
    return f"{'person' if kind == 'p' else 'staff'}:{key}"


def _refuse_same_person(row: Recovery, staff_id: str) -> None:
    others: Iterable[str] = (
        (row.first_by or "").replace("staff:", "s:"),
        row.subject if row.subject.startswith("s:") else "",
    )
    if any(devices.shared(one, f"s:{staff_id}") for one in others if one):
        raise Forbidden(
            "same_person",
            _("Somebody else has to agree: you share a browser with one of them."),
        )


def _locked(recovery_id: UUID) -> Recovery:
    row = db.session().get(Recovery, recovery_id, with_for_update=True)
    if row is None:
        raise NotFound("recovery_unknown", _("There is no such request."))
    return row


def _end(row: Recovery, state: str) -> None:
    row.state, row.ended_at = state, clock.now()
    _record(state, row)


def _record(what: str, row: Recovery) -> None:
    audit.record(f"{factors.realm(row.subject)}.recovery.{what}", row, of=row.subject)


def _said(text: str, field: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > LONGEST:
        sentence = _("Write one to %(count)s letters.", count=LONGEST)
        raise Invalid("text_missing", sentence, field=field)
    return words


def _over() -> Conflict:
    return Conflict("recovery_over", _("This was decided already, or was stopped."))
