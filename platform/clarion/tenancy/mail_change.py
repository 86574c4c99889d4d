"""Another e-mail address for a log-in: a link at the new one makes it so, for who is signed in.

The link alone is no proof: mistyped, it reaches a stranger. For a week the old address can
take it back, whatever has happened since; what was set up meanwhile goes with it.
"""

import datetime as dt
from collections.abc import Callable
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from clarion.base import clock, db, limits
from clarion.base.errors import Conflict, Invalid
from clarion.base.limits import Limit
from clarion.base.words import _
from clarion.tenancy import audit, credentials, devices, factors, people, recovery
from clarion.tenancy.changes import MailChange
from clarion.tenancy.models import Person

MOVE, UNDO = "move", "move_undo"
LASTS: Final = dt.timedelta(minutes=60)
UNDO_LASTS: Final = dt.timedelta(days=7)
KEPT: Final = dt.timedelta(days=30)
ASKED = Limit("mail_change.asked", 5, 3_600)
SYSTEM = db.Entry("clarion_system", None, "tenancy:mail_change")

Mover = Callable[[str, str], None]
"""Writes another address into the row of who has this key; of one realm."""

for _realm in ("portal", "console"):
    audit.label(f"{_realm}.address.changed", "Changed the e-mail address")
    audit.label(f"{_realm}.address.undone", "Took back a change of the e-mail address")


def check(subject: str, old: str, new: str) -> str:
    """Answer the new address as it is kept; raises `Invalid` or `TooMany`."""
    limits.hit(ASKED, subject)
    parsed = people.parse_email(new)
    if parsed == old:
        raise Invalid("email_same", _("This is your address already."), field="email")
    return parsed


def begin(subject: str, old: str, new: str) -> str:
    """Note what is wanted, and answer the token for the new address; earlier ones are void.

    Nothing changes yet. The token dies with a change of password.
    """
    close(subject)
    db.session().add(MailChange(subject=subject, old=old, new=new))
    return credentials.issue(MOVE, recovery.holder(subject), LASTS)


def close(subject: str) -> None:
    """Want no other address any more."""
    wanted = (MailChange.subject == subject, MailChange.state == "asked")
    db.session().execute(update(MailChange).where(*wanted).values(state="over"))


def waiting(subject: str, token: str) -> str | None:
    """Answer which address a link makes somebody's own; None when it is not good."""
    with factors.as_system() as orm:
        if credentials.peek(MOVE, token) != recovery.holder(subject):
            return None
        return orm.scalar(
            select(MailChange.new).where(
                MailChange.subject == subject, MailChange.state == "asked"
            )
        )


def confirm(subject: str, token: str, move: Mover) -> tuple[MailChange, str]:
    """Make it so: every session ends, open links are void, the old address may take it back.

    Returns:
        what was done, and the token for the old address.

    Raises:
        Conflict: the link is over, or somebody else has the address by now.
    """
    m = MailChange
    row = db.session().scalar(
        select(m).where(m.subject == subject, m.state == "asked").with_for_update()
    )
    if row is None or credentials.use(MOVE, token) != recovery.holder(subject):
        raise people.stale()
    _moved(subject, row.new, move)
    row.state, row.done_at = "done", clock.now()
    recovery.end_sessions(subject)
    audit.record(f"{factors.realm(subject)}.address.changed", row)
    return row, credentials.issue(UNDO, f"move:{row.id}", UNDO_LASTS)


def undoing(token: str) -> MailChange | None:
    """Answer what a link at an old address takes back, without doing it."""
    key = (credentials.peek(UNDO, token) or "").removeprefix("move:")
    row = db.session().get(MailChange, UUID(key)) if key else None
    return row if row is not None and row.state == "done" else None


def undo(token: str, move: Mover) -> MailChange:
    """Give the old address back; what was set up or changed since is not trusted.

    Later changes are void, factors made since are removed, no browser is known, every
    session ends. The password stays: with an unknown browser it opens nothing without the
    mail that goes to the old address again.

    Raises:
        Conflict: the link is over, or somebody else has the address by now.
    """
    row = undoing(token)
    if row is None or credentials.use(UNDO, token) is None:
        raise people.stale()
    subject, m, f = row.subject, MailChange, factors.table(row.subject)
    orm = db.session()
    row = orm.get_one(m, row.id, with_for_update=True)
    _moved(subject, row.old, move)
    later = (m.subject == subject, m.id != row.id, m.created_at >= row.created_at)
    orm.execute(update(m).where(*later).values(state="over"))
    orm.execute(delete(f).where(f.subject == subject, f.created_at >= row.created_at))
    recovery.end_sessions(subject)
    devices.forget(subject)
    row.state = "undone"
    audit.record(f"{factors.realm(subject)}.address.undone", row)
    return row


def addresses(subject: str, email: str) -> list[str]:
    """List every address of somebody that is proven: theirs, and those they may go back to."""
    m = MailChange
    query = select(m.old).where(
        m.subject == subject, m.state == "done", m.done_at > clock.now() - UNDO_LASTS
    )
    with db.apart(SYSTEM) as orm:
        former = orm.scalars(query.order_by(m.done_at)).all()
    return list(dict.fromkeys([email, *former]))


def purge() -> None:
    """Forget addresses that nobody has had for a month."""
    with factors.as_system() as orm:
        orm.execute(delete(MailChange).where(MailChange.created_at < clock.now() - KEPT))


def known(email: str) -> bool:
    """Say whether a customer has this address; as `clarion_system`."""
    return db.session().scalar(select(Person.id).where(Person.email == email)) is not None


def move_person(key: str, email: str) -> None:
    """Write another address into a person's row; a `Mover`."""
    person = db.session().get_one(Person, UUID(key), with_for_update=True)
    person.email, person.confirmed_at = email, clock.now()


def _moved(subject: str, email: str, move: Mover) -> None:
    try:
        with db.session().begin_nested():
            move(subject.partition(":")[2], email)
            db.session().flush()
    except IntegrityError as error:
        raise Conflict(
            "email_taken", _("Somebody else signs in with this address by now.")
        ) from error
