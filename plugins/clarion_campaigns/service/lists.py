"""The list of a dry run: people to look at, everybody as a file, and how long it is kept."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, literal, select, union_all

from clarion.base import db
from clarion.base.errors import NotFound
from clarion.base.words import Lazy, _, lazy
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work import notices
from clarion_campaigns.models import Check, Draft, Listed
from clarion_campaigns.service import dry_run
from clarion_campaigns.service.drafts import found
from clarion_contacts import contract as contacts

audit.label("campaigns.people.exported", "Downloaded who gets a campaign and who does not")

KEPT = dt.timedelta(days=7)
SHOWN, PAGE, CHUNK = 10, 5_000, 20_000


@dataclass(frozen=True, slots=True)
class Sampled:
    """One person of a dry run."""

    contact_id: UUID
    name: str
    phone: str
    leaves_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page of a download begins."""

    reason: str
    note: str
    contact_id: UUID


def samples(check_id: UUID) -> dict[tuple[str, str], list[Sampled]]:
    """Show the first ten people of each group of a dry run; two queries for any number."""
    access.require("campaigns.view")
    check = _known(check_id)
    some = [
        select(Listed.reason, Listed.note, Listed.contact_id, Listed.leaves_at)
        .where(
            dry_run.of(check_id), Listed.reason == one["reason"], Listed.note == one["note"]
        )
        .order_by(Listed.contact_id)
        .limit(SHOWN)
        .subquery()
        .select()
        for one in check.counts
    ]
    rows = db.session().execute(union_all(*some)).all() if some else []
    who = contacts.labels([row.contact_id for row in rows])
    shown: dict[tuple[str, str], list[Sampled]] = {}
    for reason, note, contact_id, at in rows:
        name, phone = who.get(contact_id, ("", ""))
        shown.setdefault((reason, note), []).append(Sampled(contact_id, name, phone, at))
    return shown


def download(draft_id: UUID) -> UUID:
    """Allow a download of everybody of a draft's dry run, on record; returns the dry run.

    Raises:
        NotFound: there is none, or its list is forgotten already.
    """
    access.require("campaigns.export")
    row = found(draft_id)
    check = dry_run.last(row)
    if check is None or check.state != "ready":
        raise NotFound("check_unknown", _("This list is not kept any more."))
    audit.record("campaigns.people.exported", row, people=check.people)
    notices.exported(
        lambda: _("who gets a campaign, %(count)s people", count=check.people),
        link="/activity/",
    )
    return check.id


def lines(check_id: UUID, after: Cursor | None) -> tuple[list[list[str]], Cursor | None]:
    """Write the next people of a dry run as lines of a table, and say where they end."""
    access.require("campaigns.export")
    key = (Listed.reason, Listed.note, Listed.contact_id)
    query = (
        select(*key, Listed.leaves_at)
        .where(dry_run.of(check_id))
        .order_by(*key)
        .limit(PAGE)
    )
    if after is not None:
        query = query.where(
            func.row(*key)
            > func.row(
                literal(after.reason), literal(after.note), literal(after.contact_id)
            )
        )
    rows = db.session().execute(query).all()
    who = contacts.labels([row.contact_id for row in rows])
    written = []
    for reason, note, contact_id, at in rows:
        name, phone = who.get(contact_id, ("", ""))
        said = dry_run.words(reason, note)
        verdict = STANDS["out" if reason else "later" if note else "gets"]
        from_ = at.isoformat(timespec="seconds") if at else ""
        written.append([name, phone, str(verdict), said.title, said.why, said.todo, from_])
    last = rows[-1] if len(rows) == PAGE else None
    return written, Cursor(last.reason, last.note, last.contact_id) if last else None


STANDS: Mapping[str, Lazy] = {
    "gets": lazy("Gets it"),
    "later": lazy("Gets it later"),
    "out": lazy("Left out"),
}
HEAD: tuple[Lazy, ...] = (
    lazy("Name"),
    lazy("Number"),
    lazy("Result"),
    lazy("Reason"),
    lazy("Why"),
    lazy("What can be done"),
    lazy("From"),
)


# --- forgetting


def forget_page(check_id: UUID) -> bool:
    """Delete the next rows of a list; say whether there are more."""
    some = select(Listed.id).where(dry_run.of(check_id)).limit(CHUNK)
    gone = delete(Listed).where(
        Listed.account_id == current_account(), Listed.id.in_(some.scalar_subquery())
    )
    done = db.session().execute(gone.execution_options(synchronize_session=False))
    return bool(done.rowcount == CHUNK)  # type: ignore[attr-defined]


def forget_old() -> None:
    """Forget the lists of this account that are old, and of no campaign that will begin.

    What was counted stays with a campaign that was launched; its people are in the ledger.
    """
    waits = select(Draft.check_id).where(
        Draft.account_id == current_account(),
        Draft.check_id.is_not(None),
        Draft.state.in_(("submitted", "scheduled", "starting")),
    )
    old = select(Check).where(
        Check.account_id == current_account(),
        Check.state != "gone",
        Check.created_at < func.clarion_now() - KEPT,
        Check.id.not_in(waits),
    )
    for check in db.session().scalars(old.with_for_update()):
        dry_run.forget(check)


# --- private


def _known(check_id: UUID) -> Check:
    check = db.session().scalar(dry_run.one(check_id))
    if check is None:
        raise NotFound("check_unknown", _("This list is not kept any more."))
    return check
