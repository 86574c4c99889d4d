"""The team of an account: invite, accept, change a role, remove. The last owner stays.

Members are changed as the account itself; an invitation is accepted before its account
may be entered, so that runs as `clarion_system`.
"""

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from clarion.base import clock, crypto, db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit, credentials, factors
from clarion.tenancy.models import Account, Invitation, Membership, Person
from clarion.tenancy.people import (
    Seat,
    SignedIn,
    as_system,
    new_person,
    newcomer,
    parse_email,
    parse_name,
    present,
    stale,
)
from clarion.tenancy.scope import current_actor

INVITATION_LASTS = dt.timedelta(hours=24)

audit.label("portal.person.joined", "Joined the account")
audit.label("portal.member.invited", "Invited somebody")
audit.label("portal.invitation.withdrawn", "Withdrew an invitation")
audit.label("portal.member.role_changed", "Changed a role")
audit.label("portal.member.removed", "Removed somebody from the team")


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in the team, as the team page shows them."""

    id: UUID
    person_id: UUID
    name: str
    email: str
    role: str
    since: dt.datetime
    language: str
    factors: frozenset[str]  # kinds of second factors: passkey, totp


@dataclass(frozen=True, slots=True)
class Invited:
    """An open invitation."""

    id: UUID
    email: str
    role: str
    expires_at: dt.datetime
    expired: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What an invitation's link leads to."""

    email: str
    role: str
    account_name: str
    known: bool


def listing() -> tuple[list[Member], list[Invited]]:
    """List the account's members and its open invitations, in three queries."""
    members = (
        select(
            Membership.id,
            Membership.person_id,
            Person.name,
            Person.email,
            Membership.role,
            Membership.created_at.label("since"),
            Person.language,
        )
        .join(Person, Person.id == Membership.person_id)
        .order_by(Membership.created_at)
    )
    open_ones = (
        select(Invitation.id, Invitation.email, Invitation.role, Invitation.expires_at)
        .where(Invitation.accepted_at.is_(None), Invitation.withdrawn_at.is_(None))
        .order_by(Invitation.created_at)
    )
    orm, now = db.session(), clock.now()
    rows = orm.execute(members).all()
    have = factors.enrolled(f"p:{row.person_id}" for row in rows)
    return (
        [
            Member(**row._mapping, factors=frozenset(have.get(f"p:{row.person_id}", ())))
            for row in rows
        ],
        [
            Invited(row.id, row.email, row.role, row.expires_at, row.expires_at <= now)
            for row in orm.execute(open_ones)
        ],
    )


def invite(email: str, role: str) -> str:
    """Offer a place in the account to an e-mail address; return the link's token.

    An earlier offer to the same address is withdrawn.
    """
    access.require("portal.team")
    email = parse_email(email)
    _refuse_above(role)
    orm = db.session()
    taken = select(Membership.id).join(Person, Person.id == Membership.person_id)
    if orm.scalar(taken.where(Person.email == email)):
        raise Conflict(
            "member_known", _("This person is in your team already."), field="email"
        )
    for old in orm.scalars(_offers().where(Invitation.email == email).with_for_update()):
        old.withdrawn_at = clock.now()
    token = secrets.token_urlsafe(32)
    offer = Invitation(
        email=email,
        role=role,
        token_hash=crypto.digest(token),
        expires_at=clock.now() + INVITATION_LASTS,
    )
    orm.add(offer)
    audit.record("portal.member.invited", offer, role=role)
    return token


def withdraw(invitation_id: UUID) -> None:
    """Take an offer back; its link leads nowhere any more."""
    access.require("portal.team")
    query = _offers().where(Invitation.id == invitation_id).with_for_update()
    offer = db.session().scalar(query)
    if offer is None:
        raise NotFound("invitation_unknown", _("This invitation is not open any more."))
    offer.withdrawn_at = clock.now()
    audit.record("portal.invitation.withdrawn", offer)


def offered(token: str) -> Offer | None:
    """Say what an invitation's link offers, without accepting; None when it is over."""
    with as_system() as orm:
        row = _open_offer(orm, token)
        if row is None:
            return None
        name = orm.scalar(select(Account.name).where(Account.id == row.account_id)) or ""
        known = orm.scalar(select(Person.id).where(Person.email == row.email)) is not None
        return Offer(row.email, row.role, name, known)


def accept(token: str, person_id: UUID) -> Seat:
    """Take the offered place as a person who has signed in with the invited address.

    Raises:
        Conflict: the link is over; Forbidden: it was meant for another address.
    """
    with as_system() as orm:
        offer, who = _open_offer(orm, token), present(orm, person_id)
        if offer is None:
            raise stale()
        if offer.email != who.email:
            raise Forbidden(
                "invitation_not_yours", _("This invitation is for another e-mail address.")
            )
        return _join(orm, offer, person_id)


def accept_as_new(token: str, *, name: str, password: str, language: str = "") -> SignedIn:
    """Take the offered place as somebody new; the link has proven the address."""
    offer_now = offered(token)
    if offer_now is None or offer_now.known:
        raise stale()
    name = parse_name(name, "name")
    credentials.check(password, own=(offer_now.email, name))
    kept, person_id = credentials.hashed(password), db.new_id()
    with as_system(newcomer(person_id, name)) as orm:
        offer = _open_offer(orm, token)
        if offer is None:
            raise stale()
        new_person(
            orm,
            person_id=person_id,
            email=offer.email,
            name=name,
            kept=kept,
            language=language,
        )
        _join(orm, offer, person_id)
        return present(orm, person_id)


def change_role(membership_id: UUID, role: str) -> None:
    """Give a member another role. The last owner stays one."""
    access.require("portal.team")
    row = _locked_member(membership_id)
    _refuse_above(role)
    _refuse_above(row.role)
    if row.role == "owner" and role != "owner":
        _refuse_last_owner()
    before, row.role = row.role, role
    audit.record("portal.member.role_changed", row, before=before, after=role)


def remove(membership_id: UUID) -> None:
    """Take somebody out of the account; they keep their own log-in. Never the last owner."""
    access.require("portal.team")
    row = _locked_member(membership_id)
    _refuse_above(row.role)
    if row.role == "owner":
        _refuse_last_owner()
    audit.record("portal.member.removed", row, person=row.person_id)
    db.session().delete(row)


# --- rows


def _offers() -> Any:
    return select(Invitation).where(
        Invitation.accepted_at.is_(None), Invitation.withdrawn_at.is_(None)
    )


def _open_offer(orm: Session, token: str) -> Invitation | None:
    query = _offers().where(
        Invitation.token_hash == crypto.digest(token), Invitation.expires_at > clock.now()
    )
    offer: Invitation | None = orm.scalar(query)
    return offer


def _join(orm: Session, offer: Invitation, person_id: UUID) -> Seat:
    taken = (
        update(Invitation)
        .where(
            Invitation.id == offer.id,
            Invitation.accepted_at.is_(None),
            Invitation.withdrawn_at.is_(None),
        )
        .values(accepted_at=clock.now())
        .returning(Invitation.id)
        .execution_options(synchronize_session=False, audited=True)  # "joined", below
    )
    if orm.execute(taken).first() is None:
        raise stale()
    mine = select(Membership.id).where(
        Membership.account_id == offer.account_id, Membership.person_id == person_id
    )
    if orm.scalar(mine) is None:
        row = Membership(account_id=offer.account_id, person_id=person_id, role=offer.role)
        orm.add(row)
        audit.record("portal.person.joined", row, role=offer.role)
    seat = present(orm, person_id).seat(offer.account_id)
    if seat is None:
        raise stale()
    return seat


def _locked_member(membership_id: UUID) -> Membership:
    """Lock the account's owners first, always in one order, then the member."""
    orm = db.session()
    orm.execute(
        select(Membership.id)
        .where(Membership.role == "owner")
        .order_by(Membership.id)
        .with_for_update()
    )
    row = orm.scalar(
        select(Membership).where(Membership.id == membership_id).with_for_update()
    )
    if row is None:
        raise NotFound("member_unknown", _("This person is not in your team."))
    return row


def _refuse_last_owner() -> None:
    owners = select(func.count()).select_from(Membership).where(Membership.role == "owner")
    if (db.session().scalar(owners) or 0) < 2:
        raise Conflict(
            "last_owner", _("An account needs an owner. Make somebody else one first.")
        )


def _refuse_above(role: str) -> None:
    """Let owners alone make, change and remove owners."""
    if role not in access.ROLES:
        raise Invalid("role_unknown", _("There is no such role."), field="role")
    if role == "owner" and current_actor().role not in ("owner", ""):
        raise Forbidden("owner_only", _("Only an owner can do this."))
