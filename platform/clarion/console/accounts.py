"""Accounts as staff look them up: search, what they use, how they stand, what happened.

Lists go on by key, whatever the number of accounts; each page is a fixed number of
statements. What customers write, and to whom, is not here.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select

from clarion.announcing.models import AnnouncementNotice
from clarion.base import db, keyset
from clarion.base.errors import Invalid
from clarion.base.patience import planned_anew
from clarion.base.words import _
from clarion.messaging.holds import SendingHold
from clarion.misuse import measures, plans, quotas, usage
from clarion.misuse.models import MisuseFlag, MisuseStanding
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account, AuditEntry, Membership, Person
from clarion.tenancy.records import AccountNote, AccountPlan, AccountQuota, Plan
from clarion.tenancy.scope import current_actor

PAGE, LONGEST_NOTE = 50, 2_000
audit.label("console.note.written", "Wrote a note about an account")
TOLD = (
    "console.%", "misuse.%", "support.%", "messaging.hold.%", "messaging.breaker.%",
    "messaging.country.%", "messaging.channel.%", "portal.plugin.%",
    "portal.account.%", "portal.member.%", "portal.person.joined",
)  # fmt: skip
"""What colleagues must know of an account's life; its daily work stands in the log."""


@dataclass(frozen=True, slots=True)
class Found:
    """An account as the search lists it."""

    id: UUID
    name: str
    state: str
    owner: str
    people: int
    messages: int
    score: int
    quotas: int
    held: bool
    created_at: dt.datetime
    plan: str


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of what happened to an account."""

    id: UUID
    at: dt.datetime
    kind: str
    title: str
    by: str
    text: str
    changes: list[tuple[str, Any, Any]]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands: usage, risk with its parts, quotas, notes, what waits for two."""

    account: Account
    risk: MisuseStanding | None
    usage: usage.Usage
    quotas: dict[str, AccountQuota]
    notes: list[AccountNote]
    held: bool
    open_case: UUID | None
    wish: measures.Wish | None


def find(asked: str = "", *, risky: bool = False, after: str = "") -> list[Found]:
    """List accounts by name, an owner's e-mail, or id, in one statement.

    Args:
        asked: an id; an address, or its beginning with an @; else part of a name.
        risky: those with the highest score first; else the newest.
        after: the key of the last one of the page before: `<id>`, or `<score>.<id>`.
    """
    access.require("console.accounts")
    owner = (
        select(func.min(Person.email))
        .join(Membership, Membership.person_id == Person.id)
        .where(Membership.account_id == Account.id, Membership.role == "owner")
        .scalar_subquery()
    )
    limits = (
        select(func.count(AccountQuota.id))
        .where(AccountQuota.account_id == Account.id, AccountQuota.of_plan.is_(False))
        .scalar_subquery()
    )
    plan = (
        select(Plan.name)
        .join(AccountPlan, AccountPlan.plan_id == Plan.id)
        .where(AccountPlan.account_id == Account.id)
        .scalar_subquery()
    )
    held = exists().where(
        SendingHold.account_id == Account.id, SendingHold.lifted_at.is_(None)
    )
    score = func.coalesce(MisuseStanding.score, 0)
    query = (
        select(
            Account.id, Account.name, Account.state, func.coalesce(owner, ""),
            func.coalesce(MisuseStanding.people, 0),
            func.coalesce(MisuseStanding.messages, 0), score, limits, held,
            Account.created_at, func.coalesce(plan, ""),
        )
        .outerjoin(MisuseStanding, MisuseStanding.account_id == Account.id)
        .limit(PAGE)
    )  # fmt: skip
    matching = _matching(asked.strip())
    planned_anew()
    if risky:
        # the accounts with points are few, and their index gives them in order
        query = query.where(MisuseStanding.score > 0, *_riskier(after))
        if matching is not None:
            query = query.where(matching)
        query = query.order_by(MisuseStanding.score.desc(), Account.id.desc())
    else:
        beyond = [Account.id < _uuid(after)] if after else []
        key = Account.id
        found = keyset.chosen(key, key, matching, beyond=beyond, most=PAGE)
        query = query.where(key.in_(found)).order_by(key.desc())
    return [Found(*row) for row in db.session().execute(query)]


def standing(account_id: UUID) -> Standing:
    """Read how an account stands."""
    access.require("console.accounts")
    orm = db.session()
    account = orm.scalar(select(Account).where(Account.id == account_id))
    if account is None:
        raise measures.unknown()
    mine = MisuseStanding.account_id == account_id
    held = select(SendingHold.id).where(
        SendingHold.account_id == account_id, SendingHold.lifted_at.is_(None)
    )
    case = select(MisuseFlag.id).where(
        MisuseFlag.account_id == account_id, MisuseFlag.state == "open"
    )
    return Standing(
        account=account,
        risk=orm.scalar(select(MisuseStanding).where(mine)),
        usage=usage.of_account(account_id),
        quotas=quotas.of(account_id),
        notes=notes(account_id),
        held=orm.scalar(held) is not None,
        open_case=orm.scalar(case),
        wish=measures.open_for(account_id),
    )


def head(account_id: UUID) -> tuple[Plan | None, MisuseStanding | None]:
    """Read what stands in the head of an account's pages: its plan and its score."""
    access.require("console.accounts")
    mine = MisuseStanding.account_id == account_id
    risk = db.session().scalar(select(MisuseStanding).where(mine))
    return plans.of(account_id), risk


def note(account_id: UUID, text: str) -> None:
    """Write something down about an account, for colleagues; it cannot be changed."""
    access.require("console.accounts_notes")
    words = text.strip()
    if not words:
        raise Invalid("note_empty", _("Write something."), field="text")
    if len(words) > LONGEST_NOTE:
        raise Invalid("note_long", _("Use at most 2,000 letters."), field="text")
    account = measures.locked(account_id)
    by = current_actor().name[:120]
    db.session().add(AccountNote(account_id=account_id, text=words, by=by))
    audit.record("console.note.written", account)


def notes(account_id: UUID, limit: int = PAGE) -> list[AccountNote]:
    """List the notes about an account, newest first."""
    query = (
        select(AccountNote)
        .where(AccountNote.account_id == account_id)
        .order_by(AccountNote.created_at.desc(), AccountNote.id.desc())
        .limit(limit)
    )
    return list(db.session().scalars(query))


def timeline(account_id: UUID, before: UUID | None = None) -> list[Happening]:
    """List what happened to an account, newest first, by key: three statements a page.

    Notes, deeds and announcements have ids that grow with time, so one key pages through
    them all.
    """
    access.require("console.accounts")
    deeds = select(AuditEntry).where(
        AuditEntry.account_id == account_id,
        or_(*(AuditEntry.name.like(one) for one in TOLD)),
        AuditEntry.name.not_in(("console.note.written", "support.log.downloaded")),
    )
    written = select(AccountNote).where(AccountNote.account_id == account_id)
    told = select(AnnouncementNotice).where(
        AnnouncementNotice.account_id == account_id,
        AnnouncementNotice.language == "en",  # there is one in every announcement
    )
    if before is not None:
        deeds = deeds.where(AuditEntry.id < before)
        written = written.where(AccountNote.id < before)
        told = told.where(AnnouncementNotice.id < before)
    orm = db.session()
    found = [
        _deed(one) for one in orm.scalars(deeds.order_by(AuditEntry.id.desc()).limit(PAGE))
    ]
    found += [
        Happening(one.id, one.created_at, "note", _("Note"), one.by, one.text, [])
        for one in orm.scalars(written.order_by(AccountNote.id.desc()).limit(PAGE))
    ]
    found += [
        Happening(one.id, one.created_at, "told", _("Announcement"), "", one.title, [])
        for one in orm.scalars(told.order_by(AnnouncementNotice.id.desc()).limit(PAGE))
    ]
    return sorted(found, key=lambda one: one.id, reverse=True)[:PAGE]


def _deed(row: AuditEntry) -> Happening:
    kind = row.name.split(".")[1]
    text = row.reason or ""
    changes = [(key, old, new) for key, (old, new) in sorted(row.changes.items())]
    return Happening(
        row.id, row.at, kind, audit.words(row.name), row.actor_name, text, changes
    )


def _matching(asked: str) -> ColumnElement[bool] | None:
    if not asked:
        return None
    if len(asked) > 200 or "\0" in asked:
        raise Invalid("filter_unknown", _("This is too long to search for."))
    try:
        return Account.id == UUID(asked)
    except ValueError:
        pass
    if "@" not in asked:
        return keyset.inside(Account.name, asked)
    theirs = (
        select(Membership.account_id)
        .join(Person, Person.id == Membership.person_id)
        .where(Membership.role == "owner", keyset.begins(Person.email, asked))
    )
    return Account.id.in_(theirs)


def _riskier(after: str) -> list[ColumnElement[bool]]:
    if not after:
        return []
    score, _dot, key = after.partition(".")
    if not (score.isascii() and score.isdigit() and len(score) < 4):
        raise Invalid("page_unknown", _("There is no such page."))
    same = (MisuseStanding.score == int(score)) & (Account.id < _uuid(key))
    return [or_(MisuseStanding.score < int(score), same)]


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("page_unknown", _("There is no such page.")) from None
