"""Browsers that somebody has come in from before, and the codes that make one known.

A browser keeps a random key in a cookie of its own; rows hold its hash. With a password
alone, or a code of an app, an unknown browser also needs the code that is mailed to the
person, typed into the same browser that began.
"""

import datetime as dt
import hmac
import secrets

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import clock, crypto, db, limits
from clarion.base.errors import Invalid
from clarion.base.limits import Limit
from clarion.base.words import _
from clarion.tenancy.models import PersonDevice, StaffDevice

SYSTEM = db.Entry("clarion_system", None, "tenancy:devices")
LASTS = dt.timedelta(days=180)
CODE_LASTS = dt.timedelta(minutes=20)
TOUCH = dt.timedelta(days=1)
TRIES = Limit("device.tries", 5, 3_600)  # wrong codes, of one that was mailed
MAILS = Limit("device.mails", 8, 3_600)  # codes mailed to one person
DIGITS = 8


def known(subject: str, key: str) -> bool:
    """Say whether this browser is one of theirs."""
    if not key:
        return False
    m, now = _table(subject), clock.now()
    mine = (m.subject == subject, m.key_hash == crypto.digest(key), m.seen_at > now - LASTS)
    with db.apart(SYSTEM) as orm:
        row = orm.execute(select(m.id, m.seen_at).where(*mine)).first()
        if row and row.seen_at < now - TOUCH:
            orm.execute(update(m).where(m.id == row.id).values(seen_at=now))
    return row is not None


def remember(subject: str, old: str, *, device: str, address: str) -> str:
    """Know this browser from now on; returns the key for its cookie.

    The key is always a new one, so that nobody can plant one they know; others who use
    the same browser stay known in it.
    """
    m, key, now = _table(subject), secrets.token_urlsafe(32), clock.now()
    row = {"subject": subject, "device": device, "address": address, "seen_at": now}
    with db.apart(SYSTEM) as orm:
        if old:
            mine = (m.subject == subject, m.key_hash == crypto.digest(old))
            orm.execute(delete(m).where(*mine))
            orm.execute(
                update(m)
                .where(m.key_hash == crypto.digest(old), m.seen_at > now - LASTS)
                .values(key_hash=crypto.digest(key))
            )
        orm.execute(insert(m).values(id=db.new_id(), key_hash=crypto.digest(key), **row))
    return key


def shared(one: str, other: str) -> bool:
    """Say whether two of the same realm came in from one and the same browser lately.

    Two accounts of one person look like that; two people who share a browser do, too.
    """
    m = _table(one)
    since = clock.now() - LASTS
    mine = select(m.key_hash).where(m.subject == one, m.seen_at > since)
    query = select(m.id).where(m.subject == other, m.seen_at > since, m.key_hash.in_(mine))
    with db.apart(SYSTEM) as orm:
        return orm.execute(query.limit(1)).first() is not None


def forget(subject: str, key: str = "") -> None:
    """Know none of their browsers any more, except the one with this key."""
    m = _table(subject)
    with db.apart(SYSTEM) as orm:
        orm.execute(delete(m).where(m.subject == subject, m.key_hash != crypto.digest(key)))


def purge() -> None:
    """Delete what has not been seen for so long that it is not known any more."""
    with db.apart(SYSTEM) as orm:
        for m in (PersonDevice, StaffDevice):
            orm.execute(delete(m).where(m.seen_at < clock.now() - LASTS))


# --- the mailed code


def new_code(subject: str) -> tuple[str, str]:
    """Make a code to mail, and its mark to keep; raises `TooMany`."""
    limits.hit(MAILS, subject)
    code = "".join(secrets.choice("0123456789") for _n in range(DIGITS))
    return code, _mark(subject, code)


def check_code(subject: str, typed: str, mark: str) -> None:
    """Compare a typed code with the mark of the one that was mailed.

    Raises:
        Invalid: it is another; TooMany: too many were.
    """
    limits.hit(TRIES, subject, mark)
    given = "".join(c for c in typed if c.isdigit())
    if not mark or not hmac.compare_digest(_mark(subject, given), mark):
        raise Invalid("code_wrong", _("This is not the code of the mail."), field="code")


def _mark(subject: str, code: str) -> str:
    text = f"{subject}\x1f{code}".encode()
    return hmac.digest(crypto.signing_key("device code"), text, "sha256").hex()


def _table(subject: str) -> type[PersonDevice] | type[StaffDevice]:
    return StaffDevice if subject.startswith("s:") else PersonDevice
