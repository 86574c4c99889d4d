"""The dry run: the list of a draft's people, each with what becomes of them, and why.

The list that is looked at is the list that is launched with: its rows are kept, and the
order is frozen from them. What is asked again later can only take people away.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import foresight, judging, outcomes, prices, timing
from clarion.messaging.states import NOTHING
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_campaigns.events import CheckWanted, ListForgotten
from clarion_campaigns.models import Check, Draft, Listed
from clarion_campaigns.service import planning
from clarion_campaigns.service.drafts import (
    DraftView,
    about,
    changed,
    found,
    open_draft,
    view,
)
from clarion_contacts import contract as contacts
from clarion_templates import service as templates

AT_ONCE = 5_000
"""So many people are looked at while a person waits; for more, a worker does it."""
MOST_CONTROL = 50
PATIENCE = dt.timedelta(minutes=5)
"""After so long without an answer a worker is asked again."""


@dataclass(frozen=True, slots=True)
class Group:
    """People of a dry run with whom the same happens, in words.

    Attributes:
        reason: why they are left out; empty for those who get it.
        note: why they get it later; empty: as it begins.
        people: how many.
        first: from when the first of them gets it.
        last: from when the last of them gets it, as far as it can be known.
    """

    reason: str
    note: str
    people: int
    first: dt.datetime | None
    last: dt.datetime | None
    title: str
    why: str
    todo: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A dry run as it is shown.

    Attributes:
        ready: whether it is done; a big one is made by a worker.
        fresh: whether the draft is still the one it was made of.
    """

    id: UUID
    draft_id: UUID
    ready: bool
    fresh: bool
    at: dt.datetime | None
    people: int
    reached: int
    groups: list[Group]

    @property
    def gets(self) -> list[Group]:
        """Those who get it, at once or later."""
        return [one for one in self.groups if not one.reason]

    @property
    def left_out(self) -> dict[str, int]:
        """How many are left out, by reason."""
        return {one.reason: one.people for one in self.groups if one.reason}


# --- what a person does


def limit(draft_id: UUID, *, control: int, budget_micros: int | None) -> DraftView:
    """Keep a share of the people as a control group, and bound what it may spend.

    Raises:
        Invalid: a share that is not between nothing and half, or no amount of money.
    """
    access.require("campaigns.edit")
    row = open_draft(draft_id)
    if not 0 <= control <= MOST_CONTROL:
        said = _(
            "A control group is between 0 and %(most)s in a hundred.", most=MOST_CONTROL
        )
        raise Invalid("control_invalid", said, field="control")
    if budget_micros is not None and not 0 < budget_micros < 2**62:
        said = _("Give an amount of money, or leave it empty.")
        raise Invalid("budget_invalid", said, field="budget")
    row.control_percent, row.budget_micros = control, budget_micros
    return changed(row)


def look(draft_id: UUID) -> Seen | None:
    """Show the last dry run of a campaign; None: nobody has looked at its people yet."""
    access.require("campaigns.view")
    row = found(draft_id)
    newest = last(row)
    return None if newest is None else seen(newest, row)


def make(draft_id: UUID) -> None:
    """Make the dry run of a draft: now, or for a big audience have a worker make it."""
    access.require("campaigns.edit")
    row = open_draft(draft_id)
    if _is_small(row):
        _made(row)
        return
    newest = last(row)
    if newest and newest.state == "counting" and newest.revision == row.revision:
        if newest.created_at > timing.now() - PATIENCE:
            return  # asked for already
        forget(newest)
    outbox.publish(CheckWanted(check_id=_begun(row).id))


def fill(check_id: UUID) -> None:
    """Make a dry run that was asked for; a second run finds it made."""
    check = db.session().scalar(one(check_id).with_for_update())
    if check is None or check.state != "counting":
        return
    row = found(check.draft_id)
    if row.revision == check.revision and row.state == "draft":
        _fill(row, check)
    else:
        forget(check)  # the draft is another one by now


# --- for launching


def agreed(row: Draft, check_id: UUID | None) -> Check:
    """Return the list a launch goes by: the one that was looked at, or one made now.

    Raises:
        Conflict: the list is not the draft's any more, or somebody has come since.
    """
    if check_id is None:
        return _made(row)
    check = db.session().scalar(one(check_id))
    if check is None or check.draft_id != row.id or check.state != "ready":
        said = _("The list you looked at is not kept any more. Look at it again.")
        raise Conflict("audience_changed", said)
    if check.revision != row.revision:
        said = _("The campaign was changed since you looked. Look at it again.")
        raise Conflict("audience_changed", said)
    came, went = _difference(row, check)
    if came:
        said = _(
            "The audience changed since you looked: %(came)s came, %(went)s went. Nothing"
            " was sent. Look at it again.",
            came=came,
            went=went,
        )
        raise Conflict("audience_changed", said)
    return check


def seen(check: Check, row: Draft) -> Seen:
    """Put words to a dry run."""
    ready = check.state != "counting"
    groups = [_group(one) for one in check.counts]
    return Seen(
        id=check.id,
        draft_id=row.id,
        ready=ready,
        fresh=ready and check.revision == row.revision and check.state == "ready",
        at=check.made_at,
        people=check.people,
        reached=check.reached,
        groups=sorted(groups, key=lambda g: (g.reason != "", g.note != "", -g.people)),
    )


def words(reason: str, note: str) -> outcomes.Words:
    """Say in words what becomes of a person, and what can be done about it."""
    if reason == timing.LATE:
        why = _("The hours in which they may get it begin only after the campaign's end.")
        return outcomes.Words(_("Not before the end"), why, _("Choose a later end."))
    if reason:
        return outcomes.explain("suppressed", reason)
    if note:
        return outcomes.explain("queued", note)
    return outcomes.Words(_("Gets it"), _("Nothing stands in the way."), "")


def foreseen_for(row: Draft, contact_id: UUID) -> tuple[str, str] | None:
    """Say what would become of one person now: reason and note; None: not in the audience."""
    told = _foreseen(row, only=contact_id).subquery("foreseen")
    found = db.session().execute(select(told.c.reason, told.c.note)).one_or_none()
    return None if found is None else (found.reason, found.note)


def last(row: Draft) -> Check | None:
    """Find the list a campaign was launched with, or the newest of a draft."""
    query = _checks(row.id)
    if row.check_id is not None and row.state != "draft":
        query = query.where(Check.id == row.check_id)
    return db.session().scalar(query.where(Check.state != "gone").limit(1))


def forget(check: Check) -> None:
    """Have the rows of a list deleted, a page at a time."""
    check.state = "gone"
    outbox.publish(ListForgotten(check_id=check.id))


def one(check_id: UUID) -> Select[tuple[Check]]:
    """Choose a dry run of this account."""
    return select(Check).where(Check.account_id == current_account(), Check.id == check_id)


def of(check_id: UUID) -> ColumnElement[bool]:
    """Choose the rows of a list."""
    return and_(Listed.account_id == current_account(), Listed.check_id == check_id)


# --- private


def _is_small(row: Draft) -> bool:
    """Say whether an audience can be looked at while a page waits."""
    people = contacts.audience(row.segment, {}, "utility").with_only_columns(literal(1))
    some = people.limit(AT_ONCE + 1).subquery()
    count = db.session().scalar(select(func.count()).select_from(some)) or 0
    return count <= AT_ONCE


def _begun(row: Draft) -> Check:
    check = Check(id=db.new_id(), draft_id=row.id, revision=row.revision)
    db.session().add(check)
    db.session().flush()
    return check


def _made(row: Draft) -> Check:
    """Make a dry run now; the one before the last is not needed any more."""
    check = _fill(row, _begun(row))
    older = list(db.session().scalars(_checks(row.id).offset(2)))
    for one in older:
        if one.state != "gone":
            forget(one)
    return check


def _fill(row: Draft, check: Check) -> Check:
    told = _foreseen(row).subquery("foreseen")
    table = db.table_of(Listed)
    rows = select(
        func.clarion_new_id(),
        literal(check.id),
        told.c.contact_id,
        told.c.reason,
        told.c.note,
        told.c.leaves_at,
    )
    names = ("id", "check_id", "contact_id", "reason", "note", "leaves_at")
    db.session().execute(insert(table).from_select([table.c[n] for n in names], rows))
    check.counts = _counted(check.id)
    check.people = sum(one["people"] for one in check.counts)
    check.reached = sum(one["people"] for one in check.counts if not one["reason"])
    check.state, check.made_at = "ready", func.clarion_now()
    db.session().flush()
    db.session().refresh(check)
    return check


def _foreseen(row: Draft, only: UUID | None = None) -> Select[Any]:
    draft, purpose = view(row), purpose_of(row)
    audience = contacts.audience(draft.segment, draft.fillings, purpose, about=about(row))
    if only is None:
        judging.plan_for_sets()
    else:
        every = audience.subquery("everybody")
        audience = select(every).where(every.c.contact_id == only)
    table: Mapping[str, int] = {}
    if row.budget_micros is not None and row.sender_id is not None:
        table = prices.table(row.sender_id, purpose, row.starts_at)
    terms = foresight.Terms(row.control_percent, row.id, table, row.budget_micros)
    return foresight.foreseen(planning.order_of(draft, purpose), audience, terms)


def purpose_of(row: Draft) -> str:
    """Say what a draft is: its template's category, as the provider sees it by now."""
    if row.template_id is None:
        return "marketing"
    try:
        return templates.get(row.template_id).category
    except NotFound:
        return "marketing"


def _counted(check_id: UUID) -> list[dict[str, Any]]:
    query = (
        select(
            Listed.reason,
            Listed.note,
            func.count(),
            func.min(Listed.leaves_at),
            func.max(Listed.leaves_at),
        )
        .where(of(check_id))
        .group_by(Listed.reason, Listed.note)
    )
    return [
        {
            "reason": reason,
            "note": note,
            "people": people,
            "first": first.isoformat() if first else None,
            "last": last.isoformat() if last else None,
        }
        for reason, note, people, first, last in db.session().execute(query)
    ]


def _difference(row: Draft, check: Check) -> tuple[int, int]:
    """Count who would get it now and is not on the list, and who is on it and would not."""
    now = _foreseen(row).subquery("foreseen")
    now_in = select(now.c.contact_id).where(now.c.reason == "").subquery("now_in")
    then_in = (
        select(Listed.contact_id)
        .where(of(check.id), Listed.reason == "")
        .subquery("then_in")
    )
    both = now_in.join(then_in, now_in.c.contact_id == then_in.c.contact_id, full=True)
    query = select(
        func.count().filter(then_in.c.contact_id.is_(None)),
        func.count().filter(now_in.c.contact_id.is_(None)),
    ).select_from(both)
    came, went = db.session().execute(query).one()
    return came, went


def _group(one: Mapping[str, Any]) -> Group:
    said = words(one["reason"], one["note"])
    return Group(
        reason=one["reason"],
        note=one["note"],
        people=one["people"],
        first=_moment(one["first"]),
        last=_moment(one["last"]),
        title=said.title,
        why=said.why,
        todo="" if said.todo == str(NOTHING) else said.todo,
    )


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _checks(draft_id: UUID) -> Select[tuple[Check]]:
    return (
        select(Check)
        .where(Check.account_id == current_account(), Check.draft_id == draft_id)
        .order_by(Check.id.desc())
    )
