"""The log of deeds as staff read it: filtered by the address, page by page, with its chain."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from clarion.base import crypto, db
from clarion.base.errors import Invalid
from clarion.base.words import _, lazy
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account, AuditEntry, AuditLink

PAGE = 50
VERBS = {
    "row.added": lazy("%(thing)s added"),
    "row.changed": lazy("%(thing)s changed"),
    "row.removed": lazy("%(thing)s removed"),
}
THINGS = {
    "account": lazy("Account"),
    "ab_role": lazy("Role"),
    "ab_user": lazy("Staff member"),
    "invitation": lazy("Invitation"),
    "membership": lazy("Membership"),
    "person": lazy("Person"),
    "preference": lazy("Setting"),
    "staff_profile": lazy("Staff profile"),
}
PLATFORM = crypto.PLATFORM  # the chain of deeds that belong to no account


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for; empty means everything.

    Attributes:
        account: only this account's; `PLATFORM` for deeds that belong to none.
        name: the deed's name, or its beginning (`console.account`).
        actor: whose, as the log labels them (`staff:7`), or part of the name.
        row: the thing it happened to (`account:…`).
        since: from this day.
        until: to this day, inclusive.
        after: id of the last entry of the page before.
    """

    account: UUID | None = None
    name: str = ""
    actor: str = ""
    row: str = ""
    since: dt.date | None = None
    until: dt.date | None = None
    after: UUID | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """One entry as a page shows it."""

    id: UUID
    at: dt.datetime
    name: str
    words: str
    actor: str
    actor_name: str
    behind: str | None
    reason: str | None
    address: str
    request_id: str
    row: str
    account_id: UUID | None
    account_name: str
    changes: list[tuple[str, Any, Any]]
    seq: int | None


@dataclass(frozen=True, slots=True)
class Chain:
    """How far a chain has grown."""

    id: UUID
    length: int
    sealed_at: dt.datetime | None
    loose: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page of deeds."""

    deeds: list[Deed]
    after: UUID | None
    chain: Chain


def page(asked: Asked) -> Page:
    """Read one page of the log and the state of its chain."""
    access.require("console.audit")
    query = (
        select(AuditEntry, Account.name, AuditLink.seq)
        .outerjoin(Account, Account.id == AuditEntry.account_id)
        .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
        .where(*_where(asked))
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(PAGE + 1)
    )
    rows = db.session().execute(query).all()
    deeds = [_deed(*row) for row in rows[:PAGE]]
    more = deeds[-1].id if len(rows) > PAGE else None
    return Page(deeds, more, chain(asked.account or PLATFORM))


def latest(*, account_id: UUID | None = None, row: str = "", limit: int = 20) -> list[Deed]:
    """List the latest deeds of an account, or about one thing."""
    query = (
        select(AuditEntry, Account.name, AuditLink.seq)
        .outerjoin(Account, Account.id == AuditEntry.account_id)
        .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
        .where(*_where(Asked(account=account_id, row=row)))
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(limit)
    )
    return [_deed(*found) for found in db.session().execute(query)]


def chain(chain_id: UUID) -> Chain:
    """Say how long a chain is, when it was last sealed, and what is not in it yet."""
    orm = db.session()
    query = select(func.count(), func.max(AuditLink.sealed_at)).where(
        AuditLink.chain == chain_id
    )
    length, sealed_at = orm.execute(query).one()
    loose = (
        select(func.count())
        .select_from(AuditEntry)
        .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
        .where(_of(chain_id), AuditLink.entry_id.is_(None))
    )
    return Chain(chain_id, length, sealed_at, orm.scalar(loose) or 0)


def check(chain_id: UUID) -> str | None:
    """Walk a chain from its start; the first place that is not as it was, or None."""
    access.require("console.audit")
    audit.record("console.audit.checked", chain=str(chain_id))
    return audit.broken(db.session(), chain_id)


audit.label("console.audit.checked", "Checked the chain of the log")


def day(text: str | None, field: str) -> dt.date | None:
    """Read a day from the address; raises `Invalid`."""
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as e:
        raise Invalid("day_invalid", _("Write the day as 2027-03-31."), field=field) from e


def ident(text: str | None) -> UUID | None:
    """Read an id from the address; raises `Invalid`."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as e:
        raise Invalid("id_invalid", _("This is not an id."), field="account") from e


def _where(asked: Asked) -> list[Any]:
    m, out = AuditEntry, []
    if asked.account is not None:
        out.append(_of(asked.account))
    if asked.name:
        out.append(m.name.startswith(asked.name, autoescape=True))
    if asked.actor:
        part = m.actor_name.icontains(asked.actor, autoescape=True)
        out.append(or_(m.actor == asked.actor, part))
    if asked.row:
        out.append(m.row == asked.row)
    if asked.since:
        out.append(m.at >= _midnight(asked.since))
    if asked.until:
        out.append(m.at < _midnight(asked.until + dt.timedelta(days=1)))
    if asked.after:
        last = select(m.at).where(m.id == asked.after).scalar_subquery()
        out.append(or_(m.at < last, and_(m.at == last, m.id < asked.after)))
    return out


def _of(chain_id: UUID) -> Any:
    m = AuditEntry
    return m.account_id.is_(None) if chain_id == PLATFORM else m.account_id == chain_id


def _midnight(date: dt.date) -> dt.datetime:
    return dt.datetime.combine(date, dt.time.min, dt.UTC)


def _deed(entry: AuditEntry, account_name: str | None, seq: int | None) -> Deed:
    changes = [
        (name, *(pair if isinstance(pair, list) and len(pair) == 2 else [None, pair]))
        for name, pair in entry.changes.items()
        if pair not in ([None, ""], [None, None])  # an empty field of something new
    ]
    return Deed(
        entry.id,
        entry.at,
        entry.name,
        _words(entry.name, entry.row or ""),
        entry.actor,
        entry.actor_name,
        entry.behind,
        entry.reason,
        entry.address,
        entry.request_id,
        entry.row or "",
        entry.account_id,
        account_name or "",
        changes,
        seq,
    )


def _words(name: str, row: str) -> str:
    """Say what was done; of a row, what sort of thing it is."""
    verb = VERBS.get(name)
    if verb is None:
        return audit.words(name)
    table = row.partition(":")[0]
    thing = THINGS.get(table) or table.replace("_", " ").capitalize()
    return verb % {"thing": str(thing)}
