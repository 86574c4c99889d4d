"""People and their places: sign up, confirm, sign in, reset, invite, accept, change, leave.

Before an account is known, and for a person's own row, which no account owns, the work
is done as `clarion_system` in a transaction of its own; everything about members of an
account runs as that account.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clarion.base import clock, crypto, db, limits, words
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.base.limits import Limit
from clarion.base.words import _
from clarion.plugging.manager import plugins
from clarion.tenancy import access, audit, credentials, devices, sessions
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.models import Account, Membership, Person
from clarion.tenancy.scope import current_account, current_actor, system_scope

CONFIRM, RESET = "confirm", "reset"
CONFIRM_LASTS, RESET_LASTS = dt.timedelta(hours=24), dt.timedelta(minutes=60)

# A budget for one address and network, one address, one network, and everybody's mistakes.
PAIR = Limit("sign_in.pair", 10, 900)
EMAIL = Limit("sign_in.email", 40, 900)
NETWORK = Limit("sign_in.network", 200, 900)
EVERYWHERE = Limit("sign_in.everywhere", 3_000, 60)

NOBODY = UUID(int=0)  # asked for as if it were somebody: the time tells nothing

audit.label("portal.person.signed_in", "Signed in")
audit.label("portal.person.refused", "Sign-in refused")
audit.label("portal.password.changed", "Changed the password")
audit.label("portal.account.created", "Created the account")
audit.label("portal.account.changed", "Changed the account")
audit.label("portal.account.second_factor", "Changed whether a second factor is asked for")


@dataclass(frozen=True, slots=True)
class Seat:
    """A person's place in one account."""

    account_id: UUID
    account_name: str
    role: str
    timezone: str
    language: str
    state: str
    state_reason: str
    second_factor_from: dt.datetime | None = None

    @property
    def wants_second_factor(self) -> bool:
        """Whether this account asks a second factor of its people by now."""
        since = self.second_factor_from
        return since is not None and since <= clock.now()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person as each request sees them, with every account they may enter."""

    id: UUID
    name: str
    email: str
    language: str
    epoch: int
    seats: tuple[Seat, ...]

    def seat(self, account_id: object) -> Seat | None:
        """Return the place in the account that was chosen; the only one if there is one."""
        for one in self.seats:
            if str(one.account_id) == str(account_id):
                return one
        return self.seats[0] if len(self.seats) == 1 else None


# --- who is it


def find(key: str) -> SignedIn | None:
    """Return who has this id, with their accounts, if they may come in: one query."""
    try:
        person_id = UUID(key)
    except ValueError:
        return None
    with as_system() as orm:
        return _signed_in(orm, person_id)


def closed(person_id: UUID) -> list[tuple[str, str]]:
    """List the accounts of this person that were closed: name, and why in words for them."""
    query = (
        select(Account.name, Account.state_reason)
        .join(Membership, Membership.account_id == Account.id)
        .where(Membership.person_id == person_id, Account.state == "closed")
        .order_by(Account.name, Account.id)
    )
    with as_system() as orm:
        return [(name, why) for name, why in orm.execute(query).tuples()]


def check(email: str, password: str, address: str, device: str = "") -> SignedIn:
    """Check an e-mail address and password at the door.

    Takes as long and says the same for unknown people as for wrong passwords. Too many
    tries are refused, yet never a person on a network they signed in from before. A
    browser they are known in counts for itself alone: nobody can shut them out there.

    Args:
        email: as typed.
        password: as typed.
        address: the network it comes from.
        device: by what the browser says it is known (`steps.device_key`).

    Raises:
        Invalid: not these two; TooMany: a budget is used up; Forbidden: a plugin says no.
    """
    email = _plain(email)
    with as_system() as orm:
        row = orm.execute(
            select(
                Person.id, Person.password_hash, Person.state, Person.confirmed_at
            ).where(Person.email == email)
        ).first()
    who = row.id if row else NOBODY
    place = address
    if devices.known(f"p:{who}", device):
        place = f"device {crypto.digest(device).hex()[:16]}"
    else:
        limits.hit(NETWORK, address)
        limits.hit(EVERYWHERE)
    limits.hit(PAIR, email, place)
    if place == address and not sessions.known_from(who, address):
        limits.hit(EMAIL, email)
    right = credentials.matches(row.password_hash if row else "", password)
    if row is None or not right or row.state != "active" or row.confirmed_at is None:
        raise Invalid(
            "sign_in_wrong", _("The e-mail address or the password is not right.")
        )
    limits.clear(PAIR, email, place)
    with as_system() as orm:
        if credentials.outdated(row.password_hash):
            _keep(orm, row.id, password_hash=credentials.hashed(password))
    return admit(row.id)


def admit(person_id: UUID) -> SignedIn:
    """Let somebody in who has shown who they are, unless a plugin says no.

    Raises:
        Invalid: they may not come in; Forbidden: a plugin says no.
    """
    with as_system() as orm:
        who = _signed_in(orm, person_id)
        if who is None:
            raise Invalid(
                "sign_in_wrong", _("The e-mail address or the password is not right.")
            )
        _keep(orm, person_id, last_seen_at=clock.now())
    for _plugin, sentence in plugins().before("sign_in", lambda _name: True, person=who):
        if sentence:
            raise Forbidden("sign_in_refused", sentence)
    return who


def confirm_password(person_id: UUID, password: str, address: str) -> None:
    """Check the password of somebody who is signed in, once more; raises `Invalid`."""
    limits.hit(PAIR, str(person_id), address)
    with as_system() as orm:
        stored = _hash_of(orm, person_id)
    if not credentials.matches(stored, password):
        raise Invalid("password_wrong", _("This is not your password."), field="password")
    limits.clear(PAIR, str(person_id), address)


# --- coming in


def sign_up(email: str) -> str | None:
    """Begin: return a token that proves the address, or None when it is known already.

    Nothing about anybody is kept before the address is proven, so nobody can prepare an
    account for somebody else's address.
    """
    email = parse_email(email)
    with as_system() as orm:
        if orm.scalar(select(Person.id).where(Person.email == email)):
            return None
        return credentials.issue(CONFIRM, email, CONFIRM_LASTS)


def confirming(token: str) -> str | None:
    """Return the address a sign-up token proves, without using it up."""
    with as_system():
        return credentials.peek(CONFIRM, token)


def confirm(
    token: str,
    *,
    name: str,
    password: str,
    account_name: str,
    country: str = "",
    timezone: str = "UTC",
    language: str = "",
) -> SignedIn:
    """Finish: make the person, their account, and them its owner.

    Raises:
        Conflict: the link was used, or is too old; Invalid: a field does not fit.
    """
    email = confirming(token)
    if email is None:
        raise stale()
    name, account_name = parse_name(name, "name"), parse_name(account_name, "account_name")
    credentials.check(password, own=(email, name, account_name))
    place = {"country": _country(country), "timezone": _zone(timezone)}
    kept, person_id = credentials.hashed(password), db.new_id()
    with as_system(newcomer(person_id, name)) as orm:
        if credentials.use(CONFIRM, token) is None:
            raise stale()
        new_person(
            orm, person_id=person_id, email=email, name=name, kept=kept, language=language
        )
        account = Account(name=account_name, **place, language=language or "en")
        orm.add(account)
        orm.flush()
        orm.add(Membership(account_id=account.id, person_id=person_id, role="owner"))
        audit.record("portal.account.created", account)
        return present(orm, person_id)


def create(
    email: str, name: str, password: str, account_name: str, **place: str
) -> SignedIn:
    """Make a person with an account of their own, without a mail: seeds and commands."""
    token = sign_up(email)
    if token is None:
        raise Conflict("person_known", _("There is somebody with this e-mail address."))
    return confirm(token, name=name, password=password, account_name=account_name, **place)


# --- a forgotten password


def request_reset(email: str) -> tuple[str, str] | None:
    """Return a token and the language to write in; None when nobody has the address."""
    with as_system() as orm:
        query = select(Person.id, Person.language).where(
            Person.email == _plain(email),
            Person.state == "active",
            Person.confirmed_at.is_not(None),
        )
        row = orm.execute(query).first()
        if row is None:
            return None
        subject = credentials.subject_of(row.id)
        return credentials.issue(RESET, subject, RESET_LASTS), row.language


def resetting(token: str) -> bool:
    """Say whether a reset link is still good, without using it up."""
    with as_system():
        return credentials.peek(RESET, token) is not None


def reset(token: str, password: str) -> SignedIn:
    """Set a new password by a link from an e-mail; ends every session.

    Raises:
        Conflict: the link was used or is too old; Invalid: the password does not fit.
    """
    with as_system() as orm:
        who = _by_subject(orm, credentials.peek(RESET, token))
    if who is None:
        raise stale()
    credentials.check(password, own=(who.email, who.name))
    kept = credentials.hashed(password)
    with as_system() as orm:
        if credentials.use(RESET, token) is None:
            raise stale()
        _new_password(orm, who.id, kept)
        return present(orm, who.id)


def change_password(person_id: UUID, old: str, new: str) -> SignedIn:
    """Change a password with the present one; every session ends (the caller's begins anew).

    Raises:
        Invalid: the present password is wrong, or the new one does not fit.
    """
    _refuse_behind()
    limits.hit(PAIR, str(person_id), "change")
    with as_system() as orm:
        who, stored = present(orm, person_id), _hash_of(orm, person_id)
    if not credentials.matches(stored, old):
        raise Invalid("password_wrong", _("This is not your password."), field="old")
    limits.clear(PAIR, str(person_id), "change")
    credentials.check(new, own=(who.email, who.name), field="new")
    kept = credentials.hashed(new)
    with as_system() as orm:
        _new_password(orm, person_id, kept)
        return present(orm, person_id)


def lost_factors(email: str) -> SignedIn:
    """End every session of somebody whose second factors are about to be removed."""
    with as_system(COMMAND) as orm:
        person = orm.scalar(select(Person).where(Person.email == email))
        if person is None:
            raise NotFound("person_unknown", _("There is no such person."))
        person.session_epoch += 1
        credentials.void(credentials.subject_of(person.id))
        orm.flush()
        return present(orm, person.id)


def change_profile(person_id: UUID, *, name: str, language: str) -> None:
    """Change what a person is called and which language they read."""
    _refuse_behind()
    name = parse_name(name, "name")
    if language and language not in words.languages():
        raise Invalid(
            "language_unknown", _("Choose a language of the list."), field="language"
        )
    with as_system() as orm:
        _keep(orm, person_id, name=name, language=language)


def language_of(label: str) -> str:
    """Answer what somebody of this account reads: their language, else the account's.

    `label` names them as `created_by` of a row does; for a job's work, shown to them later.
    """
    kind, _sep, name = label.partition(":")
    ours = select(Account.language).where(Account.id == current_account())
    own = (
        select(Person.language).where(Person.id == UUID(name)) if kind == "person" else ours
    )
    return db.session().scalar(own) or db.session().scalar(ours) or "en"


def require_second_factor(since: dt.datetime | None) -> None:
    """Ask a second factor of everybody in the account, from a moment on; None asks none."""
    access.require("portal.team")
    account = db.session().get_one(Account, current_account())
    account.second_factor_from, account.updated_at = since, clock.now()
    audit.record("portal.account.second_factor", account)


def change_account(*, name: str, country: str, timezone: str, language: str) -> None:
    """Change how the account is called and where it is."""
    access.require("portal.settings")
    account = db.session().get_one(Account, current_account())
    account.name = parse_name(name, "name")
    account.country, account.timezone = _country(country), _zone(timezone)
    if language not in words.languages():
        raise Invalid(
            "language_unknown", _("Choose a language of the list."), field="language"
        )
    account.language, account.updated_at = language, clock.now()
    audit.record("portal.account.changed", account)


# --- words that fit


def parse_email(text: str) -> str:
    """Return an e-mail address in the form it is kept; raises `Invalid`."""
    from email_validator import EmailNotValidError, validate_email  # slow import

    try:
        found = validate_email(text.strip(), check_deliverability=False)
    except EmailNotValidError as e:
        sentence = _("This is not an e-mail address.")
        raise Invalid("email_invalid", sentence, field="email") from e
    return _plain(found.normalized)


def _plain(email: str) -> str:
    return email.strip().casefold()


def parse_name(text: str, field: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > 120 or not name.isprintable():
        raise Invalid("name_invalid", _("Use 1 to 120 letters."), field=field)
    return name


def _country(code: str) -> str:
    if code and not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise Invalid(
            "country_unknown", _("Choose a country of the list."), field="country"
        )
    return code.upper()


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise Invalid(
            "zone_unknown", _("Choose a time zone of the list."), field="timezone"
        )
    return name


# --- rows; what `tenancy.team` also needs


@contextmanager
def as_system(actor: Actor | None = None) -> Iterator[Session]:
    """Work across accounts in a transaction of its own, as the present actor or another."""
    with system_scope(actor or current_actor()), db.transaction() as orm:
        yield orm


def newcomer(person_id: UUID, name: str) -> Actor:
    """Act as somebody who is just being made, from where the request comes."""
    return replace(current_actor(), kind="person", id=str(person_id), name=name)


def _signed_in(orm: Session, person_id: UUID) -> SignedIn | None:
    query = (
        select(
            Person.name,
            Person.email,
            Person.language,
            Person.session_epoch,
            Membership.account_id,
            Membership.role,
            Account.name.label("account_name"),
            Account.timezone,
            Account.language.label("account_language"),
            Account.state,
            Account.state_reason,
            Account.second_factor_from,
        )
        .outerjoin(Membership, Membership.person_id == Person.id)
        .outerjoin(
            Account, (Account.id == Membership.account_id) & (Account.state != "closed")
        )
        .where(
            Person.id == person_id,
            Person.state == "active",
            Person.confirmed_at.is_not(None),
        )
        .order_by(Account.name, Account.id)
    )
    rows = orm.execute(query).all()
    if not rows:
        return None
    seats = tuple(
        Seat(
            r.account_id,
            r.account_name,
            r.role,
            r.timezone,
            r.account_language,
            r.state,
            r.state_reason,
            r.second_factor_from,
        )
        for r in rows
        if r.account_name is not None
    )
    one = rows[0]
    return SignedIn(person_id, one.name, one.email, one.language, one.session_epoch, seats)


def present(orm: Session, person_id: UUID) -> SignedIn:
    who = _signed_in(orm, person_id)
    if who is None:
        raise NotFound("person_unknown", _("There is no such person."))
    return who


def _by_subject(orm: Session, subject: str | None) -> SignedIn | None:
    kind, _colon, key = (subject or "").partition(":")
    return _signed_in(orm, UUID(key)) if kind == "person" else None


def _hash_of(orm: Session, person_id: UUID) -> str:
    return orm.scalar(select(Person.password_hash).where(Person.id == person_id)) or ""


def _keep(orm: Session, person_id: UUID, **values: Any) -> None:
    person = orm.get_one(Person, person_id)
    for name, value in values.items():
        setattr(person, name, value)
    orm.flush()


def _new_password(orm: Session, person_id: UUID, kept: str) -> None:
    """Keep it, void every open link, and raise the epoch: every session is over."""
    person = orm.get_one(Person, person_id, with_for_update=True)
    person.password_hash = kept
    person.session_epoch += 1
    credentials.void(credentials.subject_of(person_id))
    sessions.end_others(person_id, None)
    audit.record("portal.password.changed", person)


def new_person(
    orm: Session, *, person_id: UUID, email: str, name: str, kept: str, language: str
) -> None:
    """Store somebody whose address is proven; raises `Conflict` if it is taken."""
    row = Person(
        id=person_id,
        email=email,
        name=name,
        password_hash=kept,
        language=language if language in words.languages() else "",
        confirmed_at=clock.now(),
    )
    try:
        orm.add(row)
        orm.flush()
    except IntegrityError as e:  # two links for one address, at the same moment
        raise stale() from e


def _refuse_behind() -> None:
    if current_actor().behind:
        raise Forbidden("not_as_somebody", _("Only the person themselves can change this."))


def stale() -> Conflict:
    return Conflict(
        "link_over", _("This link was used already or is too old. Ask for a new one.")
    )
