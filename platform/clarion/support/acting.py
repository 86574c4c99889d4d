"""Seeing the portal as a customer does: a ticket for one minute, a session of its own, an end.

Only the console makes tickets and only staff are in the console, so nobody acts as staff and
nothing nests. A ticket is of use in the browser that asked for it alone: the portal sends
whoever shows one to the console with a word of its own session, and the console signs the
two together only where its own session made the ticket (decision 0033).
"""

import datetime as dt
import hmac
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import clock, crypto, db
from clarion.base.errors import Conflict, Forbidden, NotFound
from clarion.base.words import _
from clarion.support import entries
from clarion.support.models import AccessGrant
from clarion.tenancy import access, audit, credentials
from clarion.tenancy.actor import Actor
from clarion.tenancy.models import Membership, Person
from clarion.tenancy.scope import account_scope, current_actor, system_scope

PURPOSE: Final = "view_as"
LASTS: Final = dt.timedelta(seconds=60)

audit.label("support.view.began", "Support opened the portal as somebody")
audit.label("support.view.ended", "Support left the portal")


@dataclass(frozen=True, slots=True)
class Acting:
    """Under which grant somebody stands behind a person.

    Attributes:
        grant_id: of the grant.
        account_id: whose account.
        staff_id: who of us.
        staff_name: as customers read it.
        purpose: one of the five.
        reason: in their words.
        ticket: which one.
        ends_at: when it is over.
        read_only: whether for looking only.
    """

    grant_id: UUID
    account_id: UUID
    staff_id: int
    staff_name: str
    purpose: str
    reason: str
    ticket: str
    ends_at: dt.datetime
    read_only: bool

    @property
    def behind(self) -> str:
        """Name who stands behind the person, as every entry of the log does."""
        return f"staff:{self.staff_id} {self.staff_name}"[:60]

    @property
    def held(self) -> entries.Held:
        """What the log of looks needs to know."""
        return entries.Held(self.grant_id, self.account_id, self.staff_id, delayed=False)


def members(account_id: UUID) -> list[tuple[UUID, str, str]]:
    """List as whom the portal may be seen: id, name and role."""
    access.require("console.support_open")
    query = (
        select(Person.id, Person.name, Membership.role)
        .join(Membership, Membership.person_id == Person.id)
        .where(Membership.account_id == account_id, Person.state == "active")
        .order_by(Membership.role.desc(), Person.name, Person.id)
        .limit(100)
    )
    return [(row.id, row.name, row.role) for row in db.session().execute(query)]


def ticket(account_id: UUID, person_id: UUID, browser: str) -> str:
    """Make a ticket to the portal, good once, for a minute, and in one browser.

    Args:
        account_id: whose portal.
        person_id: as whom it is seen.
        browser: what the console's session of this browser alone knows.
    """
    access.require("console.support_open")
    held = entries.held(account_id)
    if held is None:
        raise entries.GrantNeeded(
            "grant_needed", _("Ask for access to this account first.")
        )
    if held.delayed:
        text = _("What the account is not told yet cannot be done as one of its people.")
        raise Conflict("grant_delayed", text)
    query = select(Membership.id).join(Person, Person.id == Membership.person_id)
    query = query.where(Membership.account_id == account_id, Person.state == "active")
    if db.session().scalar(query.where(Membership.person_id == person_id)) is None:
        raise NotFound("person_unknown", _("There is no such person in this account."))
    with system_scope(current_actor()), db.transaction():
        subject = f"{held.id}:{account_id}:{person_id}:{_digest(browser)}"
        return credentials.issue(PURPOSE, subject, LASTS)


def known(token: str) -> bool:
    """Say whether a ticket is good, without using it up."""
    with system_scope(Actor("nobody")), db.transaction():
        return credentials.peek(PURPOSE, token) is not None


def vouch(token: str, word: str, browser: str) -> str:
    """Sign that a ticket and a word of the portal's session meet in the browser that asked.

    Args:
        token: the ticket.
        word: what the portal's session of this browser alone knows.
        browser: as given to `ticket`.

    Raises:
        NotFound: the ticket is over, or was asked for in another browser.
    """
    access.require("console.support_open")
    with system_scope(current_actor()), db.transaction():
        subject = credentials.peek(PURPOSE, token) or ""
    asked_by = subject.rpartition(":")[2]
    if not (word and browser and hmac.compare_digest(asked_by, _digest(browser))):
        raise NotFound(
            "ticket_foreign", _("This ticket is for the browser that asked for it.")
        )
    return _signed(token, word)


def vouched(token: str, word: str, proof: str) -> bool:
    """Say whether the console has signed this ticket together with this word."""
    signed = _signed(token, word)
    return bool(word) and hmac.compare_digest(signed.encode(), proof.encode())


def enter(token: str, word: str, proof: str) -> tuple[UUID, Acting]:
    """Use a ticket up; answers as whom, and under which grant.

    Nothing is used up where the console has not vouched for this browser.
    """
    if not vouched(token, word, proof):
        raise NotFound(
            "ticket_foreign", _("This ticket is for the browser that asked for it.")
        )
    with system_scope(Actor("nobody")), db.transaction():
        subject = credentials.use(PURPOSE, token)
    if subject is None:
        raise NotFound("ticket_gone", _("This ticket was used, or its minute is over."))
    grant_id, account_id, person_id = (UUID(part) for part in subject.split(":")[:3])
    acting = resume(grant_id, account_id)
    if acting is None:
        raise Forbidden("grant_over", _("The access has ended."))
    _log("support.view.began", acting, person_id)
    return person_id, acting


def resume(grant_id: UUID, account_id: UUID) -> Acting | None:
    """Find the grant of a session, as it is now; None once it is over."""
    m = AccessGrant
    query = select(m).where(m.id == grant_id, func.clarion_grant_live(m.id))
    with account_scope(account_id, Actor("nobody")), db.transaction() as orm:
        grant = orm.scalar(query)
        if grant is None or grant.ends_at is None:
            return None
        return Acting(
            grant.id,
            grant.account_id,
            grant.staff_id,
            grant.staff_name,
            grant.purpose,
            grant.reason,
            grant.ticket,
            grant.ends_at,
            grant.scope == "view",
        )


def leave(grant_id: UUID, account_id: UUID) -> None:
    """End the grant of a session, because whoever used it says so."""
    acting = resume(grant_id, account_id)
    if acting is None:
        return
    who = Actor("staff", str(acting.staff_id), acting.staff_name)
    with account_scope(account_id, who), db.transaction() as orm:
        query = select(AccessGrant).where(AccessGrant.id == grant_id)
        grant = orm.scalars(query.with_for_update()).one()
        if grant.revoked_at is None:
            grant.revoked_at, grant.revoked_by = clock.now(), acting.staff_name
            entries.write(grant, "ended", acting.staff_name)
            audit.record("support.view.ended", grant)


def _digest(browser: str) -> str:
    return crypto.digest(browser).hex()


def _signed(token: str, word: str) -> str:
    key = crypto.signing_key("view as")
    return hmac.digest(key, f"{token}\n{word}".encode(), "sha256").hex()


def _log(name: str, acting: Acting, person_id: UUID) -> None:
    who = Actor("staff", str(acting.staff_id), acting.staff_name, reason=acting.reason)
    with account_scope(acting.account_id, who), db.transaction() as orm:
        grant = orm.get_one(AccessGrant, acting.grant_id)
        audit.record(name, grant, person=person_id)
