"""Second factors of both realms: codes of an app, codes on paper; passkeys are kept here too.

A subject is `p:<person id>` or `s:<staff id>`, as in sessions. Each realm has its own
table. Rows are read and written as `clarion_system`, in transactions of their own: a code
that was used stays used, whatever becomes of the request.
"""

import datetime as dt
import hmac
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Delete, delete, select, update
from sqlalchemy.orm import Session

from clarion.base import clock, crypto, db, limits
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.limits import Limit
from clarion.base.words import _
from clarion.tenancy import audit, totp
from clarion.tenancy.models import PersonFactor, StaffFactor
from clarion.tenancy.scope import current_actor, system_scope

CODES = 10
LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that look alike
PASSKEYS = 20
UNCONFIRMED_LASTS = dt.timedelta(hours=1)

# What may be typed wrongly: from one network; from everywhere but known devices.
NEAR = Limit("factor.near", 6, 900)
FAR = Limit("factor.far", 20, 3_600)

for _realm in ("portal", "console"):
    audit.label(f"{_realm}.factor.added", "Added a second factor")
    audit.label(f"{_realm}.factor.removed", "Removed a second factor")
    audit.label(f"{_realm}.factor.renamed", "Renamed a passkey")
    audit.label(f"{_realm}.factor.refused", "Showed a wrong second factor")
    audit.label(f"{_realm}.factor.codes_made", "Made new recovery codes")
    audit.label(f"{_realm}.factor.code_used", "Used a recovery code")
    audit.label(f"{_realm}.factor.copied", "Used a passkey that may have been copied")
    audit.label(f"{_realm}.factor.reset", "Removed every second factor")


@dataclass(frozen=True, slots=True)
class Factor:
    """A passkey or an authenticator app, as its owner sees it."""

    id: UUID
    kind: str
    name: str
    created_at: dt.datetime
    used_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Factors:
    """Everything somebody can show besides the password."""

    passkeys: list[Factor] = field(default_factory=list)
    app: Factor | None = None
    codes_left: int = 0

    @property
    def any(self) -> bool:
        """Whether there is a second factor; codes on paper alone are none."""
        return bool(self.passkeys or self.app)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Name the kinds there are, the stronger first."""
        return ("passkey",) * bool(self.passkeys) + ("totp",) * bool(self.app)


def table(subject: str) -> type[PersonFactor] | type[StaffFactor]:
    """Choose the realm's table by the subject."""
    return StaffFactor if subject.startswith("s:") else PersonFactor


def realm(subject: str) -> str:
    """Name the realm of a subject: `portal` or `console`."""
    return "console" if subject.startswith("s:") else "portal"


@contextmanager
def as_system() -> Iterator[Session]:
    """Work on everybody's factors in a transaction of its own, as the present actor."""
    with system_scope(current_actor()), db.transaction() as orm:
        yield orm


# --- what there is


def of(subject: str) -> Factors:
    """Read somebody's factors, in one query."""
    m = table(subject)
    query = (
        select(m.id, m.kind, m.name, m.created_at, m.used_at)
        .where(m.subject == subject, m.confirmed_at.is_not(None))
        .order_by(m.created_at, m.id)
    )
    with as_system() as orm:
        rows = [Factor(*row) for row in orm.execute(query).all()]
    apps = [one for one in rows if one.kind == "totp"]
    return Factors(
        passkeys=[one for one in rows if one.kind == "passkey"],
        app=apps[-1] if apps else None,
        codes_left=sum(one.kind == "recovery" and one.used_at is None for one in rows),
    )


def enrolled(subjects: Iterable[str]) -> dict[str, set[str]]:
    """Say which of these have a second factor, and of which kinds, in one query a realm."""
    wanted, found = set(subjects), dict[str, set[str]]()
    with as_system() as orm:
        for m, prefix in ((PersonFactor, "p:"), (StaffFactor, "s:")):
            some = [one for one in wanted if one.startswith(prefix)]
            if not some:
                continue
            query = select(m.subject, m.kind).where(
                m.subject.in_(some), m.kind != "recovery", m.confirmed_at.is_not(None)
            )
            for subject, kind in orm.execute(query.distinct()):
                found.setdefault(subject, set()).add(kind)
    return found


# --- codes of an app


def begin_app(subject: str) -> bytes:
    """Make a secret for an app. It counts once a code of it was typed; see `confirm_app`."""
    m, secret, key = table(subject), totp.new_secret(), db.new_id()
    with as_system() as orm:
        orm.execute(_unconfirmed(subject))
        orm.add(m(id=key, subject=subject, kind="totp", secret=_seal(subject, key, secret)))
    return secret


def unconfirmed(subject: str) -> bytes | None:
    """Return the secret that waits for its first code, for showing it again."""
    m = table(subject)
    query = select(m.id, m.secret).where(
        m.subject == subject,
        m.kind == "totp",
        m.confirmed_at.is_(None),
        m.created_at > clock.now() - UNCONFIRMED_LASTS,
    )
    with as_system() as orm:
        row = orm.execute(query).first()
    return _open(subject, row.id, row.secret) if row else None


def confirm_app(subject: str, typed: str) -> None:
    """Take an app into use by a first code of it; an earlier app is good no more.

    Raises:
        Invalid: the code is not of this secret and this minute.
        Conflict: no secret waits, or it has waited for too long.
    """
    secret, m, now = unconfirmed(subject), table(subject), clock.now()
    if secret is None:
        raise Conflict("factor_stale", _("This took too long. Begin again."))
    limits.hit(NEAR, subject, "confirm")
    step = totp.matching(secret, totp.plain(typed), now)
    if step is None:
        raise _wrong_code()
    mine = (m.subject == subject, m.kind == "totp")
    with as_system() as orm:
        orm.execute(delete(m).where(*mine, m.confirmed_at.is_not(None)))
        orm.execute(
            update(m)
            .where(*mine, m.confirmed_at.is_(None))
            .values(confirmed_at=now, used_at=now, counter=step)
        )
        audit.record(f"{realm(subject)}.factor.added", kind="totp")
    limits.clear(NEAR, subject, "confirm")


def check_code(subject: str, typed: str, address: str, *, known: bool) -> None:
    """Check a code of the app; each is good once.

    Args:
        subject: whose.
        typed: as they typed it.
        address: the network it comes from.
        known: whether the device is; strangers share a budget, known devices do not.

    Raises:
        Invalid: it is not good, or was used already.
        TooMany: too many were wrong.
    """
    _count(subject, address, known=known)
    m, now, won = table(subject), clock.now(), None
    query = select(m.id, m.secret).where(
        m.subject == subject, m.kind == "totp", m.confirmed_at.is_not(None)
    )
    with as_system() as orm:
        for key, sealed in orm.execute(query).tuples().all():
            step = totp.matching(_open(subject, key, sealed), totp.plain(typed), now)
            if step is None:
                continue
            used = update(m).where(m.id == key, m.counter < step)
            won = orm.scalar(used.values(counter=step, used_at=now).returning(m.id))
        if won is None:
            audit.record(f"{realm(subject)}.factor.refused", kind="totp")
    if won is None:
        raise _wrong_code()
    limits.clear(NEAR, subject, address)


# --- codes on paper


def new_codes(subject: str) -> list[str]:
    """Make ten recovery codes; earlier ones are good no more. They are shown once."""
    m, now = table(subject), clock.now()
    made = [_new_code() for _n in range(CODES)]
    with as_system() as orm:
        orm.execute(delete(m).where(m.subject == subject, m.kind == "recovery"))
        orm.add_all(
            m(
                subject=subject,
                kind="recovery",
                secret=_mark(subject, one),
                confirmed_at=now,
            )
            for one in made
        )
        audit.record(f"{realm(subject)}.factor.codes_made", count=CODES)
    return made


def use_code(subject: str, typed: str, address: str, *, known: bool) -> None:
    """Use a recovery code up; it stands for the second factor, never for the password.

    Raises:
        Invalid: there is no such code, or it was used already.
        TooMany: too many were wrong.
    """
    _count(subject, address, known=known)
    m = table(subject)
    query = (
        update(m)
        .where(
            m.subject == subject,
            m.kind == "recovery",
            m.secret == _mark(subject, typed),
            m.used_at.is_(None),
        )
        .values(used_at=clock.now())
        .returning(m.id)
    )
    with as_system() as orm:
        won = orm.scalar(query)
        audit.record(f"{realm(subject)}.factor.{'code_used' if won else 'refused'}")
    if won is None:
        raise _wrong_code()
    limits.clear(NEAR, subject, address)


def _new_code() -> str:
    text = "".join(secrets.choice(LETTERS) for _n in range(12))
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def _mark(subject: str, typed: str) -> bytes:
    """Hash a code with a key that is not in the database: sixty bits alone could be tried."""
    text = f"{subject}\x1f{totp.plain(typed).upper()}"
    return hmac.digest(crypto.signing_key("recovery code"), text.encode(), "sha256")


# --- fewer


def remove(subject: str, factor_id: UUID, *, keep_one: bool) -> Factor:
    """Remove a passkey or the app; with the last one, the codes on paper go too.

    Args:
        subject: whose.
        factor_id: which.
        keep_one: refuse to remove the last one: staff cannot be without.

    Raises:
        NotFound: it is not theirs, or is gone; Conflict: it is the last one.
    """
    m = table(subject)
    with as_system() as orm:
        rows = orm.scalars(
            select(m)
            .where(m.subject == subject, m.kind != "recovery", m.confirmed_at.is_not(None))
            .order_by(m.id)
            .with_for_update()
        ).all()
        row = next((one for one in rows if one.id == factor_id), None)
        if row is None:
            raise NotFound("factor_unknown", _("This was removed already."))
        if len(rows) == 1 and keep_one:
            raise Conflict(
                "factor_last", _("This is your last one. Add another, then remove it.")
            )
        gone = Factor(row.id, row.kind, row.name, row.created_at, row.used_at)
        orm.delete(row)
        if len(rows) == 1:
            orm.execute(delete(m).where(m.subject == subject))
        audit.record(f"{realm(subject)}.factor.removed", kind=gone.kind)
    return gone


def forget_all(subject: str) -> int:
    """Remove every factor of somebody who has lost them; the next sign-in sets one up.

    For the command line, where whoever runs it owns the deployment.
    """
    m = table(subject)
    with as_system() as orm:
        query = select(m.id).where(m.subject == subject, m.kind != "recovery")
        count = len(orm.scalars(query).all())
        orm.execute(delete(m).where(m.subject == subject))
        audit.record(f"{realm(subject)}.factor.reset", count=count)
    return count


def purge() -> None:
    """Delete secrets of apps whose first code never came."""
    with as_system() as orm:
        for m in (PersonFactor, StaffFactor):
            late = m.created_at < clock.now() - UNCONFIRMED_LASTS
            orm.execute(delete(m).where(m.confirmed_at.is_(None), late))


# --- pieces


def _count(subject: str, address: str, *, known: bool) -> None:
    limits.hit(NEAR, subject, address)
    if not known:
        limits.hit(FAR, subject)


def _unconfirmed(subject: str) -> Delete:
    m = table(subject)
    return delete(m).where(m.subject == subject, m.kind == "totp", m.confirmed_at.is_(None))


def _place(subject: str, key: UUID) -> str:
    return f"{table(subject).__tablename__}.secret:{key}"


def _seal(subject: str, key: UUID, secret: bytes) -> bytes:
    return crypto.seal(secret, place=_place(subject, key))


def _open(subject: str, key: UUID, sealed: bytes) -> bytes:
    return crypto.unseal(sealed, place=_place(subject, key))


def _wrong_code() -> Invalid:
    return Invalid(
        "code_wrong", _("This code is not good, or was used already."), field="code"
    )
