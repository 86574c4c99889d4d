"""Segments: saved choices of people, counted with patience, and where they are used."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.patience import PATIENCE_MS, patiently
from clarion.base.words import _
from clarion.plugging.manager import plugins
from clarion.tenancy import access, audit, preferences
from clarion.tenancy.scope import current_account
from clarion_contacts import segments
from clarion_contacts.models import Contact
from clarion_contacts.records import Segment, Snapshot
from clarion_contacts.segments import Rule

NAME_MAX, ABOUT_MAX, MOST = 80, 300, 500
SAMPLE = 10
MERGING: Mapping[str, str] = {"random_page_cost": "2", "enable_hashjoin": "off"}
"""Ids of people are in order in most tables: merging them takes half of what hashing does."""

audit.label("contacts.segment.added", "Saved a segment")
audit.label("contacts.segment.changed", "Changed a segment")
audit.label("contacts.segment.deleted", "Deleted a segment")


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """A segment in the list of them."""

    id: UUID
    name: str
    about: str
    updated_at: dt.datetime
    snapshots: int


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A segment with its rule."""

    id: UUID
    name: str
    about: str
    rule: Mapping[str, Any]
    revision: int
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Use:
    """Something that speaks of a segment: what it is called, and where it is shown.

    Attributes:
        name: of that thing.
        kind: what it is, in the reader's words.
        url: its page.
        holds: whether the segment has to stay because of it.
        owner: the segment that speaks of it, if it is one.
    """

    name: str
    kind: Any  # a text, translated when it is shown
    url: str
    holds: bool = True
    owner: UUID | None = None


@dataclass(frozen=True, slots=True)
class Somebody:
    """One person of a choice, for a look."""

    id: UUID
    name: str
    phone: str
    email: str
    country: str
    consent: str


def segment_lines() -> list[SegmentLine]:
    """List all segments by name; nobody is counted here."""
    access.require("contacts.view")
    frozen = (
        select(Snapshot.segment_id, func.count().label("snapshots"))
        .where(Snapshot.account_id == current_account())
        .group_by(Snapshot.segment_id)
        .subquery()
    )
    query = (
        select(
            Segment.id,
            Segment.name,
            Segment.about,
            Segment.updated_at,
            func.coalesce(frozen.c.snapshots, 0),
        )
        .outerjoin(frozen, frozen.c.segment_id == Segment.id)
        .where(Segment.account_id == current_account())
        .order_by(Segment.key)
        .limit(MOST)
    )
    return [SegmentLine(*row) for row in db.session().execute(query)]


def get_segment(segment_id: UUID) -> SegmentView:
    """Load one segment of this account, or raise `NotFound`."""
    access.require("contacts.view")
    return _view(_found(segment_id))


def save_segment(
    rule: Rule, name: str, about: str = "", segment_id: UUID | None = None
) -> SegmentView:
    """Keep a choice of people under a name; with an id, in the place of what it said.

    Campaigns that are not launched yet, and other segments, take the new rule at once.

    Raises:
        Invalid: the rule cannot be read, speaks of what is gone, or leads to itself.
        Conflict: there is another segment of this name.
    """
    access.require("contacts.edit")
    rows = _locked_all()
    row = rows.get(segment_id) if segment_id else None
    if segment_id and row is None:
        raise _unknown()
    name = _named(name)
    if any(one.key == name.casefold() and one is not row for one in rows.values()):
        raise Conflict(
            "segment_exists", _("There is a segment of this name."), field="name"
        )
    if row is None and len(rows) >= MOST:
        raise Conflict("segments_many", _("There are %(max)s segments already.", max=MOST))
    _check(rule, row, rows)

    said = {
        "name": name,
        "key": name.casefold()[:100],
        "about": " ".join(about.split())[:ABOUT_MAX],
    }
    if row is None:
        row = Segment(id=db.new_id(), rule=dict(rule), **said)
        db.session().add(row)
        event = "contacts.segment.added"
    else:
        for column, value in said.items():
            setattr(row, column, value)
        row.rule, row.revision = dict(rule), row.revision + 1
        row.updated_at = func.clarion_now()
        event = "contacts.segment.changed"
    db.session().flush()
    db.session().refresh(row)
    audit.record(event, row)
    return _view(row)


def copy_segment(segment_id: UUID) -> SegmentView:
    """Keep the same rule once more under another name."""
    access.require("contacts.edit")
    row = _found(segment_id)
    taken = set(
        db.session().scalars(
            select(Segment.key).where(Segment.account_id == current_account())
        )
    )
    name = ""
    for number in range(1, MOST + 2):
        copy = _("%(name)s (copy)", name=row.name[: NAME_MAX - 20])
        name = copy if number == 1 else f"{copy} {number}"
        if name.casefold() not in taken:
            break
    return save_segment(row.rule, name, row.about)


def delete_segment(segment_id: UUID) -> None:
    """Delete a segment with its snapshots.

    Raises:
        Conflict: something still uses it or one of them; the sentence says what.
    """
    access.require("contacts.edit")
    row = _locked_all().get(segment_id)
    if row is None:
        raise _unknown()
    frozen = select(Snapshot.id).where(
        Snapshot.account_id == current_account(), Snapshot.segment_id == segment_id
    )
    refuse_used({segment_id, *db.session().scalars(frozen)}, but=segment_id)

    db.session().execute(
        delete(Snapshot)
        .where(Snapshot.account_id == current_account(), Snapshot.segment_id == segment_id)
        .execution_options(synchronize_session=False)
    )
    audit.record("contacts.segment.deleted", row)
    db.session().delete(row)
    db.session().flush()


# --- where they are used


def uses_of(ids: Collection[UUID]) -> dict[UUID, list[Use]]:
    """Say where segments and snapshots are used: other segments, and what plugins tell.

    Plugins add theirs through `render_slot("segments", {"ids": …, "uses": …})`.
    """
    access.require("contacts.view")
    uses: dict[UUID, list[Use]] = {one: [] for one in ids}
    if not uses:
        return uses
    query = select(Segment.id, Segment.name, Segment.rule).where(
        Segment.account_id == current_account()
    )
    for row in db.session().execute(query.order_by(Segment.key)):
        spoken = segments.references(row.rule)
        for one in {*spoken[0], *spoken[1]} & set(uses):
            url = f"/contacts/segments/{row.id}"
            uses[one].append(Use(row.name, _("Segment"), url, owner=row.id))
    given = {"ids": frozenset(uses), "uses": uses, "use": Use}
    for _plugin, _markup in plugins().render("segments", preferences.switched_on, given):
        pass  # what they have to say, they put into `uses`
    return uses


def refuse_used(ids: Collection[UUID], but: UUID | None = None) -> None:
    """Refuse to let go of what something needs, except for the segment itself."""
    held = {
        use.name
        for several in uses_of(ids).values()
        for use in several
        if use.holds and (use.owner is None or use.owner != but)
    }
    if held:
        names = ", ".join(f"“{one}”" for one in sorted(held)[:5])
        raise Conflict("segment_used", _("It is used by %(names)s.", names=names))


def keep_used(rule: Rule) -> None:
    """Keep what a rule speaks of from being deleted while the rule is being stored.

    Raises `Invalid` when it is gone already. For whoever stores a rule of their own.
    """
    wanted = segments.references(rule)
    for model, ids in ((Segment, wanted[0]), (Snapshot, wanted[1])):
        query = select(model.id).where(model.account_id == current_account())
        found = query.where(model.id.in_(ids)).order_by(model.id)
        if ids and set(db.session().scalars(found.with_for_update(read=True))) != ids:
            raise Invalid("segment_unknown", _("There is no such segment."))


# --- counting


def people_in(rule: Rule, patience_ms: int = PATIENCE_MS) -> int | None:
    """Count who fits a rule now; None when that takes longer than the patience lasts."""
    access.require("contacts.view")
    query = select(func.count()).select_from(Contact)
    chosen = query.where(_mine(), segments.condition(rule))
    return patiently(
        lambda: db.session().execute(chosen).scalar_one(), patience_ms, MERGING
    )


def some_of(rule: Rule, patience_ms: int = PATIENCE_MS) -> list[Somebody] | None:
    """Show ten people who fit a rule, the newest; None when finding them takes too long."""
    access.require("contacts.view")
    newest = (
        select(Contact.id)
        .where(_mine(), segments.condition(rule))
        .order_by(Contact.id.desc())
        .limit(SAMPLE)
    )
    query = (
        select(
            Contact.id,
            Contact.name,
            func.coalesce(Contact.phone, ""),
            Contact.email,
            Contact.country,
            Contact.consent,
        )
        .where(_mine(), Contact.id.in_(newest.scalar_subquery()))
        .order_by(Contact.id.desc())
    )

    def look() -> list[Somebody]:
        return [Somebody(*row) for row in db.session().execute(query)]

    return patiently(look, patience_ms, MERGING)


# --- private


def _check(rule: Rule, row: Segment | None, rows: Mapping[UUID, Segment]) -> None:
    """Refuse a rule that cannot be read, speaks of what is gone, or leads to itself."""
    spoken = segments.references(rule)
    if not spoken[0] <= set(rows):
        raise Invalid("segment_unknown", _("There is no such segment."))
    keep_used(rule)
    ways, waiting = set[UUID](), list(spoken[0])
    while waiting:
        one = waiting.pop()
        if row is not None and one == row.id:
            said = _("A segment cannot contain itself, not even through others.")
            raise Invalid("segment_circle", said)
        if one not in ways:
            ways.add(one)
            waiting += segments.references(rows[one].rule)[0] & set(rows)
    if len(ways) > segments.MOST_SEGMENTS:
        said = _("At most %(max)s segments inside one.", max=segments.MOST_SEGMENTS)
        raise Invalid("segment_deep", said)


def _locked_all() -> dict[UUID, Segment]:
    """Lock every segment of the account: two that are saved at once could make a circle."""
    query = select(Segment).where(Segment.account_id == current_account())
    rows = db.session().scalars(
        query.order_by(Segment.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


def _found(segment_id: UUID) -> Segment:
    query = select(Segment).where(
        Segment.account_id == current_account(), Segment.id == segment_id
    )
    row = db.session().scalar(query)
    if row is None:
        raise _unknown()
    return row


def _view(row: Segment) -> SegmentView:
    return SegmentView(row.id, row.name, row.about, row.rule, row.revision, row.updated_at)


def _named(name: str) -> str:
    said = " ".join(name.split())
    if not said:
        raise Invalid("segment_name", _("Give the segment a name."), field="name")
    if len(said) > NAME_MAX:
        said = _("The name may have %(max)s letters.", max=NAME_MAX)
        raise Invalid("segment_name", said, field="name")
    return said


def _unknown() -> NotFound:
    return NotFound("segment_unknown", _("There is no such segment."))


def _mine() -> Any:
    return Contact.account_id == current_account()
