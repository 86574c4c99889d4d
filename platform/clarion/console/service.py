"""Accounts and people as staff manage them: open, rename, invite, disable.

Staff never see what customers write or whom they write to; the database refuses it.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import func, select
from sqlalchemy.orm import load_only

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.console.staffing import first_token
from clarion.messaging import outcomes
from clarion.messaging.models import Campaign, Channel, Sender
from clarion.tenancy import access, audit, team
from clarion.tenancy.models import Account, Invitation, Membership, Person
from clarion.tenancy.people import parse_email, parse_name
from clarion.tenancy.scope import account_scope, current_actor, staff_scope
from clarion.work import mails

RECENT = 20

audit.label("console.account.opened", "Opened an account")
audit.label("console.account.renamed", "Renamed an account")
audit.label("console.person.disabled", "Disabled a person")
audit.label("console.person.enabled", "Enabled a person")


# --- accounts


def open_account(name: str, owner_email: str, country: str = "", zone: str = "UTC") -> UUID:
    """Open an account and invite its first owner by e-mail.

    Two transactions, because the invitation is the account's own row: should the second
    fail, the account is there, and `invite_owner` can be tried again.

    Returns:
        the new account's id.
    """
    access.require("console.accounts_edit")
    words, email = parse_name(name, "name"), parse_email(owner_email)
    code = country.strip().upper()
    if code and not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise Invalid(
            "country_unknown", _("Choose a country of the list."), field="country"
        )
    if zone not in available_timezones():
        raise Invalid(
            "zone_unknown", _("Choose a time zone of the list."), field="timezone"
        )
    with staff_scope(current_actor()), db.transaction() as orm:
        account = Account(name=words, country=code, timezone=zone)
        orm.add(account)
        audit.record("console.account.opened", account)
        account_id = account.id
    invite_owner(account_id, email)
    return account_id


def invite_owner(account_id: UUID, email: str) -> None:
    """Offer somebody the place of an owner; the link goes to them alone, by e-mail.

    The one place where staff write into an account: the row and the mail are made by
    the same verb a customer calls, in the account's scope, as a job staff caused.
    """
    access.require("console.accounts_edit")
    address = parse_email(email)
    who = current_actor()
    acting = replace(who.as_job(), role="", email="")
    named = account(account_id).name
    with account_scope(account_id, acting), db.transaction():
        token = team.invite(address, "owner")
        link = f"/invitation/{token}"
        mails.post("invitation", address, link=link, account=named, who=who.name)


def rename_account(account_id: UUID, name: str) -> None:
    """Call an account differently; before and after are in the log."""
    access.require("console.accounts_edit")
    words = parse_name(name, "name")
    account = _locked_account(account_id)
    account.name, account.updated_at = words, clock.now()
    audit.record("console.account.renamed", account)


# --- people


def disable_person(person_id: UUID) -> None:
    """Shut a person out of every account; their sessions end at once."""
    access.require("console.people_edit")
    person = _locked_person(person_id)
    if person.state != "active":
        raise Conflict("person_disabled", _("This person is disabled already."))
    person.state = "disabled"
    person.session_epoch += 1
    audit.record("console.person.disabled", person)


def enable_person(person_id: UUID) -> None:
    """Let a disabled person sign in again."""
    access.require("console.people_edit")
    person = _locked_person(person_id)
    if person.state == "active":
        raise Conflict("person_active", _("This person is active already."))
    person.state = "active"
    audit.record("console.person.enabled", person)


# --- reading


@dataclass(frozen=True, slots=True)
class MemberView:
    """Somebody's place in an account."""

    person_id: UUID
    name: str
    email: str
    role: str
    state: str
    account_id: UUID
    account_name: str
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A send order without what it says or to whom."""

    id: UUID
    name: str
    purpose: str
    state: str
    state_reason: str
    started_at: dt.datetime | None
    finished_at: dt.datetime | None

    @property
    def why(self) -> str:
        """The reason in words, where it has some."""
        return outcomes.stands_for(self.state_reason)[0]


@dataclass(frozen=True, slots=True)
class SenderLine:
    """A number and the connection it belongs to."""

    name: str
    number: str
    transport: str
    quality: str
    state: str
    state_reason: str


@dataclass(frozen=True, slots=True)
class AccountCounts:
    """What a list shows of an account besides its row."""

    people: int = 0
    senders: int = 0
    running: int = 0


PERSON_COLUMNS = (
    Person.id, Person.name, Person.email, Person.state, Person.confirmed_at,
    Person.last_seen_at, Person.session_epoch, Person.created_at, Person.language,
)  # fmt: skip


def account(account_id: UUID) -> Account:
    """Read one account; raises `NotFound`."""
    found = db.session().get(Account, account_id)
    if found is None:
        raise NotFound("account_unknown", _("There is no such account."))
    return found


def person(person_id: UUID) -> Person:
    """Read one person, without what proves who they are; raises `NotFound`."""
    query = select(Person).where(Person.id == person_id).options(load_only(*PERSON_COLUMNS))
    found = db.session().scalar(query)
    if found is None:
        raise NotFound("person_unknown", _("There is no such person."))
    return found


def counts(account_ids: Sequence[UUID]) -> dict[UUID, AccountCounts]:
    """Count people, senders and running campaigns of many accounts, in one statement."""
    if not account_ids:
        return {}
    busy = Campaign.state.in_(("starting", "running", "pausing"))
    people = (
        select(func.count()).where(Membership.account_id == Account.id).scalar_subquery()
    )
    senders = select(func.count()).where(Sender.account_id == Account.id).scalar_subquery()
    running = (
        select(func.count())
        .where(Campaign.account_id == Account.id, busy)
        .scalar_subquery()
    )
    query = select(Account.id, people, senders, running).where(Account.id.in_(account_ids))
    return {row[0]: AccountCounts(*row[1:]) for row in db.session().execute(query)}


def places(
    *, account_id: UUID | None = None, person_id: UUID | None = None
) -> list[MemberView]:
    """List who belongs to an account, or where a person belongs, in one statement."""
    query = (
        select(
            Person.id,
            Person.name,
            Person.email,
            Membership.role,
            Person.state,
            Account.id,
            Account.name,
            Membership.created_at,
        )
        .join(Person, Person.id == Membership.person_id)
        .join(Account, Account.id == Membership.account_id)
        .order_by(Membership.created_at)
    )
    if account_id is not None:
        query = query.where(Membership.account_id == account_id)
    if person_id is not None:
        query = query.where(Membership.person_id == person_id)
    return [MemberView(*row) for row in db.session().execute(query)]


def memberships(person_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """Name the accounts of many people, in one statement."""
    query = (
        select(Membership.person_id, Account.name)
        .join(Account, Account.id == Membership.account_id)
        .where(Membership.person_id.in_(person_ids))
        .order_by(Account.name)
    )
    found: dict[UUID, list[str]] = {}
    for person_id, name in db.session().execute(query):
        found.setdefault(person_id, []).append(name)
    return found


def invitations(account_id: UUID) -> list[Invitation]:
    """List an account's open invitations."""
    query = select(Invitation).where(
        Invitation.account_id == account_id,
        Invitation.accepted_at.is_(None),
        Invitation.withdrawn_at.is_(None),
        Invitation.expires_at > clock.now(),
    )
    return list(db.session().scalars(query.order_by(Invitation.created_at)))


def campaigns(account_id: UUID) -> list[CampaignView]:
    """List an account's latest send orders: names and states, nothing they say."""
    query = (
        select(
            Campaign.id,
            Campaign.name,
            Campaign.purpose,
            Campaign.state,
            Campaign.state_reason,
            Campaign.started_at,
            Campaign.finished_at,
        )
        .where(Campaign.account_id == account_id)
        .order_by(Campaign.created_at.desc())
        .limit(RECENT)
    )
    return [CampaignView(*row) for row in db.session().execute(query)]


def senders(account_id: UUID) -> list[SenderLine]:
    """List an account's numbers, masked, with their health."""
    query = (
        select(
            Sender.name,
            Sender.number,
            Channel.transport,
            Sender.quality,
            Sender.state,
            Sender.state_reason,
            Channel.state,
            Channel.state_reason,
        )
        .join(Channel, Channel.id == Sender.channel_id)
        .where(Sender.account_id == account_id)
        .order_by(Sender.created_at)
    )
    out = []
    for (
        name,
        number,
        transport,
        quality,
        state,
        why,
        channel,
        channel_why,
    ) in db.session().execute(query):
        shut = channel != "active"
        out.append(
            SenderLine(
                name,
                masked(number),
                transport,
                quality,
                channel if shut else state,
                channel_why if shut else why,
            )
        )
    return out


@dataclass(frozen=True, slots=True)
class ChannelLine:
    """A connection to a provider, without its secrets."""

    id: UUID
    transport: str
    state: str
    state_reason: str


def channels(channel_ids: Sequence[UUID]) -> dict[UUID, ChannelLine]:
    """Read many connections, in one statement."""
    if not channel_ids:
        return {}
    query = select(Channel.id, Channel.transport, Channel.state, Channel.state_reason)
    found = db.session().execute(query.where(Channel.id.in_(set(channel_ids))))
    return {row[0]: ChannelLine(*row) for row in found}


def masked(number: str) -> str:
    """Show of a phone number what names it to its owner: `+91••••1234`."""
    return f"{number[:3]}••••{number[-4:]}" if len(number) > 8 else "••••"


# --- rows and words


def _locked_account(account_id: UUID) -> Account:
    query = select(Account).where(Account.id == account_id).with_for_update()
    found = db.session().scalar(query)
    if found is None:
        raise NotFound("account_unknown", _("There is no such account."))
    return found


def _locked_person(person_id: UUID) -> Person:
    # FOR UPDATE needs a privilege on one column only; the hash is not even read
    query = select(Person).where(Person.id == person_id).options(load_only(*PERSON_COLUMNS))
    found = db.session().scalar(query.with_for_update())
    if found is None:
        raise NotFound("person_unknown", _("There is no such person."))
    return found


__all__ = ["first_token"]
