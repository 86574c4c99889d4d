"""What staff may look at, for how long and why: ask, approve, end; and everybody's list."""

import datetime as dt
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, insert, or_, select

from clarion.base import clock, db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.base.words import _, lazy
from clarion.support import entries, settling
from clarion.support.events import EmergencyAsked
from clarion.support.models import (
    EMERGENCY_MINUTES,
    MINUTES,
    PURPOSES,
    SCOPES,
    AccessEntry,
    AccessGrant,
    SupportWindow,
)
from clarion.tenancy import access, audit, devices
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_actor
from clarion.work import outbox

LONGEST_DELAY: Final = 14  # days
MANY_REVEALS: Final = 20
"""So many records in the clear, in one access, are an alarm; twice as many are the end."""

PAGE = 50

NAMES = {
    "support": lazy("Support"),
    "troubleshooting": lazy("Troubleshooting"),
    "stability": lazy("Stability"),
    "updates": lazy("Updates"),
    "misuse_investigation": lazy("Investigation of misuse"),
}
"""What each purpose is called, to staff and to customers."""

audit.label("support.grant.asked", "Support asked for access")
audit.label("support.grant.opened", "Support access began")
audit.label("support.grant.approved", "A second colleague approved an emergency access")
audit.label("support.grant.ended", "Support access ended")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a staff member asks for."""

    purpose: str
    ticket: str
    reason: str
    minutes: int = 30
    scope: str = "view"
    emergency: bool = False
    delay_days: int = 0


def ask(account_id: UUID, asked: Asked) -> AccessGrant:
    """Ask for access to an account's content.

    Inside a window of the account it begins at once; without one an owner decides, and an
    emergency waits for a second colleague instead.
    """
    access.require("console.support_open")
    who = current_actor()
    _check(asked)
    if db.session().get(Account, account_id) is None:
        raise NotFound("account_unknown", _("There is no such account."))
    if mine(account_id):
        raise Conflict(
            "grant_asked", _("You have access to this account, or asked already.")
        )

    window = None if asked.emergency else _window(account_id, asked.scope)
    kind = "emergency" if asked.emergency else "window" if window else "request"
    values = {
        "id": db.new_id(),
        "account_id": account_id,
        "staff_id": int(who.id),
        "staff_name": who.name[:120],
        "staff_role": who.role[:120],
        "kind": kind,
        "purpose": asked.purpose,
        "scope": asked.scope,
        "reason": asked.reason.strip(),
        "ticket": asked.ticket.strip(),
        "minutes": asked.minutes,
        "window_id": window,
    }
    if asked.delay_days:
        # a moment less than the days, so that it is never a moment more
        late = dt.timedelta(days=asked.delay_days, seconds=-5)
        values["told_at"] = func.clarion_now() + late
    db.session().execute(insert(db.table_of(AccessGrant)).values(**values).inline())
    grant = db.session().get_one(AccessGrant, values["id"])

    entries.write(grant, "asked", _what(grant))
    _record("support.grant.asked", grant)
    if window:
        _begin(grant)
    else:
        settling.ask_owners(grant)
    if asked.emergency:
        outbox.publish(EmergencyAsked(grant.id))
    return grant


def approve(grant_id: UUID) -> None:
    """Let a colleague's emergency access begin; nobody approves their own."""
    access.require("console.support_approve")
    who = current_actor()
    grant = _locked(grant_id)
    if grant.kind != "emergency" or grant.starts_at or grant.revoked_at:
        raise Conflict("grant_not_waiting", _("This does not wait for a colleague."))
    if str(grant.staff_id) == who.id or devices.shared(
        f"s:{grant.staff_id}", f"s:{who.id}"
    ):
        raise Forbidden("same_person", _("Somebody else has to approve this."))
    if grant.created_at < clock.now() - settling.WAITS:
        raise Conflict("grant_stale", _("This was asked for too long ago."))

    grant.approved_by, grant.approved_name = int(who.id), who.name[:120]
    entries.write(grant, "approved", who.name)
    _record("support.grant.approved", grant, by=int(who.id))
    _begin(grant)


def end(grant_id: UUID) -> None:
    """End an access, or take back what was asked for: one's own, or a colleague's."""
    access.require("console.support")
    who = current_actor()
    grant = _locked(grant_id)
    if str(grant.staff_id) != who.id:
        access.require("console.support_approve")
    if grant.revoked_at or grant.closed_at:
        raise Conflict("grant_over", _("This access has ended already."))
    _end(grant, who.name)


def end_of_staff(user_id: int) -> None:
    """End everything a staff member has or waits for: they are shut out."""
    query = select(AccessGrant).where(
        AccessGrant.staff_id == user_id,
        AccessGrant.revoked_at.is_(None),
        AccessGrant.closed_at.is_(None),
    )
    for grant in db.session().scalars(query.with_for_update()):
        _end(grant, current_actor().name)


def holders() -> list[int]:
    """List the staff who have an access, or wait for one."""
    m = AccessGrant
    query = select(m.staff_id.distinct()).where(
        m.revoked_at.is_(None), m.closed_at.is_(None)
    )
    return sorted(db.session().scalars(query))


# --- lists


@dataclass(frozen=True, slots=True)
class Row:
    """A grant as the console lists it; `reveals` is how many records were shown in the clear."""

    grant: AccessGrant
    account_name: str
    state: str
    mine: bool
    reveals: int = 0

    @property
    def alarming(self) -> bool:
        """Whether so many is more than a ticket needs."""
        return self.reveals >= MANY_REVEALS


def page(after: str = "", *, account_id: UUID | None = None) -> tuple[list[Row], str]:
    """List grants, newest first, by key; answers the rows and where the next page begins."""
    access.require("console.support")
    query = select(AccessGrant, Account.name).join(
        Account, Account.id == AccessGrant.account_id
    )
    if account_id:
        query = query.where(AccessGrant.account_id == account_id)
    if place := _place(after):
        query = query.where(_beyond(*place))
    order = (AccessGrant.created_at.desc(), AccessGrant.id.desc())
    found = db.session().execute(query.order_by(*order).limit(PAGE + 1)).all()
    counts = reveals([grant.id for grant, _name in found[:PAGE]])
    rows = [_row(grant, name, counts.get(grant.id, 0)) for grant, name in found[:PAGE]]
    last = rows[-1].grant if len(found) > PAGE else None
    return rows, f"{last.created_at.isoformat()}_{last.id}" if last else ""


def reveals(grant_ids: list[UUID]) -> dict[UUID, int]:
    """Count the records that each access has shown in the clear."""
    e = AccessEntry
    query = select(e.grant_id, func.count(e.row.distinct())).where(
        e.grant_id.in_(grant_ids), e.deed == "reveal"
    )
    return dict(db.session().execute(query.group_by(e.grant_id)).tuples().all())


def waiting() -> list[Row]:
    """List the emergencies that wait for a second colleague."""
    access.require("console.support")
    query = (
        select(AccessGrant, Account.name)
        .join(Account, Account.id == AccessGrant.account_id)
        .where(*_unapproved())
        .order_by(AccessGrant.created_at)
        .limit(PAGE)
    )
    return [_row(grant, name) for grant, name in db.session().execute(query).tuples()]


def unapproved() -> Select[tuple[int]]:
    """Count, in a statement of the caller's, the emergencies that wait for a colleague."""
    return select(func.count(AccessGrant.id)).where(*_unapproved())


def mine(account_id: UUID) -> AccessGrant | None:
    """Find the present staff member's live grant for an account, or what they wait for."""
    query: Select[tuple[AccessGrant]] = select(AccessGrant).where(
        AccessGrant.account_id == account_id,
        AccessGrant.staff_id == int(current_actor().id),
        AccessGrant.revoked_at.is_(None),
        or_(
            and_(
                AccessGrant.starts_at.is_(None),
                AccessGrant.created_at > clock.now() - settling.WAITS,
            ),
            and_(
                AccessGrant.starts_at.is_not(None), func.clarion_grant_live(AccessGrant.id)
            ),
        ),
    )
    query = query.order_by(
        AccessGrant.starts_at.desc().nulls_last(), AccessGrant.created_at.desc()
    )
    return db.session().scalar(query.limit(1))


def window_of(account_id: UUID) -> SupportWindow | None:
    """Find the account's open window that allows most."""
    m = SupportWindow
    query = select(m).where(m.account_id == account_id, *is_open())
    return db.session().scalar(query.order_by(m.scope, m.ends_at.desc()).limit(1))


def is_open() -> tuple[ColumnElement[bool], ...]:
    """Say in SQL that a window is open."""
    m = SupportWindow
    now = func.clarion_now()
    return (m.revoked_at.is_(None), m.starts_at <= now, m.ends_at > now)


def state(grant: AccessGrant) -> str:
    """Say in a word where a grant stands."""
    if grant.revoked_at:
        return "ended" if grant.starts_at else "refused"
    if grant.starts_at is None:
        return "waiting" if grant.created_at > clock.now() - settling.WAITS else "expired"
    return "live" if grant.ends_at and grant.ends_at > clock.now() else "ended"


# --- rules


def _check(asked: Asked) -> None:
    if asked.purpose not in PURPOSES:
        raise Invalid("purpose_unknown", _("Choose a purpose."), field="purpose")
    allowed = EMERGENCY_MINUTES if asked.emergency else MINUTES
    if asked.minutes not in allowed:
        raise Invalid("minutes_unknown", _("Choose for how long."), field="minutes")
    if asked.scope not in SCOPES or (asked.emergency and asked.scope != "view"):
        text = _("An emergency access is for looking only.")
        raise Invalid("scope_unknown", text, field="scope")
    if not asked.reason.strip() or len(asked.reason) > 300:
        raise Invalid(
            "reason_missing", _("Say why, in 300 letters at most."), field="reason"
        )
    if not asked.ticket.strip() or len(asked.ticket) > 40:
        raise Invalid("ticket_missing", _("Name the ticket."), field="ticket")
    if not 0 <= asked.delay_days <= LONGEST_DELAY:
        raise Invalid("delay_too_long", _("14 days at most."), field="delay_days")
    if asked.delay_days and not (
        asked.emergency and asked.purpose == "misuse_investigation"
    ):
        text = _(
            "Only an investigation of misuse that a colleague approves may be told later."
        )
        raise Invalid("delay_not_allowed", text, field="delay_days")


def _unapproved() -> tuple[ColumnElement[bool], ...]:
    m = AccessGrant
    young = m.created_at > clock.now() - settling.WAITS
    return m.kind == "emergency", m.starts_at.is_(None), m.revoked_at.is_(None), young


def _window(account_id: UUID, scope: str) -> UUID | None:
    m = SupportWindow
    query = select(m.id).where(m.account_id == account_id, *is_open())
    if scope == "act":
        query = query.where(m.scope == "act")
    return db.session().scalar(query.order_by(m.ends_at.desc()).limit(1))


def _begin(grant: AccessGrant) -> None:
    """Start the clock: the database's."""
    now = db.session().scalars(select(func.clarion_now())).one()
    grant.starts_at = now
    grant.ends_at = now + dt.timedelta(minutes=grant.minutes)
    db.session().flush()
    entries.write(grant, "started", _what(grant))
    _record("support.grant.opened", grant)
    settling.settle.later()


def _end(grant: AccessGrant, by: str) -> None:
    grant.revoked_at, grant.revoked_by = clock.now(), by[:120]
    entries.write(grant, "ended", by)
    _record("support.grant.ended", grant)


def _locked(grant_id: UUID) -> AccessGrant:
    query = select(AccessGrant).where(AccessGrant.id == grant_id)
    grant = db.session().scalar(query.with_for_update())
    if grant is None:
        raise NotFound("grant_unknown", _("There is no such access."))
    return grant


def _what(grant: AccessGrant) -> str:
    return f"{grant.purpose} · {grant.ticket} · {grant.minutes} min · {grant.scope}"


def _record(name: str, grant: AccessGrant, **facts: object) -> None:
    """Log in the account's own chain; an investigation not yet told, in the platform's."""
    hidden = grant.kind == "emergency" and grant.told_at > grant.created_at
    said = {"purpose": grant.purpose, "ticket": grant.ticket, **facts}
    if hidden:
        audit.record(name, None, grant=grant.id, **said)
    else:
        audit.record(name, grant, **said)


def _row(grant: AccessGrant, account_name: str, reveals: int = 0) -> Row:
    mine = str(grant.staff_id) == current_actor().id
    return Row(grant, account_name, state(grant), mine, reveals)


def _place(after: str) -> tuple[dt.datetime, UUID] | None:
    at, _underscore, key = after.partition("_")
    try:
        moment = dt.datetime.fromisoformat(at)
        return (moment, UUID(key)) if moment.tzinfo else None
    except ValueError:
        return None


def _beyond(at: dt.datetime, key: UUID) -> ColumnElement[bool]:
    m = AccessGrant
    return or_(m.created_at < at, and_(m.created_at == at, m.id < key))
