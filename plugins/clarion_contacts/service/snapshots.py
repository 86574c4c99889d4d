"""Snapshots: who was in a segment at one moment, written by one statement."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, cast, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts import segments
from clarion_contacts.events import SnapshotRequested
from clarion_contacts.models import Contact, whole
from clarion_contacts.records import Member, Segment, Snapshot
from clarion_contacts.service.segments import (
    NAME_MAX,
    Somebody,
    get_segment,
    people_in,
    refuse_used,
    some_of,
)

PATIENCE_MS = 5_000
MOST = 100

audit.label("contacts.snapshot.requested", "Asked to freeze a segment")
audit.label("contacts.snapshot.frozen", "A segment was frozen")
audit.label("contacts.snapshot.deleted", "Deleted a snapshot")


@dataclass(frozen=True, slots=True)
class SnapshotLine:
    """A snapshot; `people` is None while it is being written."""

    id: UUID
    segment_id: UUID
    name: str
    people: int | None
    frozen_at: dt.datetime | None
    asked_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Turnover:
    """A snapshot beside its segment as it is now; None: it takes too long to count.

    Attributes:
        line: the snapshot.
        still: how many of it are contacts still.
        came: who fits now and did not then.
        went: who did then and does not now.
        newcomers: some who came.
        leavers: some who went.
        changed: whether the segment asks for something else than it did then.
    """

    line: SnapshotLine
    still: int | None
    came: int | None
    went: int | None
    newcomers: list[Somebody]
    leavers: list[Somebody]
    changed: bool


def freeze(segment_id: UUID) -> UUID:
    """Freeze a segment as it is now: a worker writes down who is in it."""
    access.require("contacts.edit")
    segment = get_segment(segment_id)
    made_id = db.new_id()
    row = Snapshot(
        id=made_id, segment_id=segment.id, name=segment.name[:NAME_MAX], rule=segment.rule
    )
    db.session().add(row)
    db.session().flush()
    audit.record("contacts.snapshot.requested", row)
    outbox.publish(SnapshotRequested(snapshot_id=made_id))
    return made_id


def write_members(snapshot_id: UUID) -> int:
    """Write down who is in a snapshot, all or nothing; twice changes nothing."""
    query = select(Snapshot).where(
        Snapshot.account_id == current_account(), Snapshot.id == snapshot_id
    )
    row = db.session().scalar(query.with_for_update())
    if row is None or row.people is not None:
        return 0
    chosen = select(
        func.clarion_new_id(),
        func.clarion_account(),
        Contact.id,
        literal(snapshot_id),
        cast("", Text),
    ).where(
        Contact.account_id == current_account(),
        whole(),
        segments.condition(row.rule),
    )
    names = ["id", "account_id", "contact_id", "snapshot_id", "created_by"]
    statement = insert(Member).from_select(names, chosen, include_defaults=False)
    done: Any = db.session().execute(statement.execution_options(preserve_rowcount=True))
    people = int(done.rowcount)
    row.people, row.frozen_at = people, func.clarion_now()
    db.session().flush()
    audit.record("contacts.snapshot.frozen", row, people=people)
    return people


def snapshots_of(segment_id: UUID) -> list[SnapshotLine]:
    """List a segment's snapshots, newest first."""
    segment = get_segment(segment_id)
    query = _lines().where(Snapshot.segment_id == segment.id)
    return [SnapshotLine(*row) for row in db.session().execute(query.limit(MOST))]


def snapshots() -> list[SnapshotLine]:
    """List all finished snapshots, newest first, for choosing one."""
    access.require("contacts.view")
    query = _lines().where(Snapshot.people.is_not(None))
    return [SnapshotLine(*row) for row in db.session().execute(query.limit(MOST))]


def turnover(snapshot_id: UUID) -> Turnover:
    """Say who came and who went since a segment was frozen."""
    access.require("contacts.view")
    line = _line(snapshot_id)
    query = (
        select(Segment.rule == Snapshot.rule, Segment.id)
        .select_from(Snapshot)
        .join(Segment, Segment.id == Snapshot.segment_id)
    )
    same, segment_id = db.session().execute(query.where(Snapshot.id == snapshot_id)).one()
    then = {"op": "snapshot", "snapshot": str(snapshot_id)}
    now = {"op": "segment", "segment": str(segment_id)}
    came = {"op": "and", "of": [now, {"op": "none", "of": [then]}]}
    went = {"op": "and", "of": [then, {"op": "none", "of": [now]}]}
    return Turnover(
        line=line,
        still=people_in(then, PATIENCE_MS),
        came=people_in(came, PATIENCE_MS),
        went=people_in(went, PATIENCE_MS),
        newcomers=some_of(came) or [],
        leavers=some_of(went) or [],
        changed=not same,
    )


def delete_snapshot(snapshot_id: UUID) -> UUID:
    """Delete a snapshot, unless something uses it; returns its segment's id."""
    access.require("contacts.edit")
    query = select(Snapshot).where(
        Snapshot.account_id == current_account(), Snapshot.id == snapshot_id
    )
    row = db.session().scalar(query.with_for_update())
    if row is None:
        raise _unknown()
    refuse_used({snapshot_id})
    audit.record("contacts.snapshot.deleted", row)
    db.session().execute(
        delete(Snapshot)
        .where(Snapshot.account_id == current_account(), Snapshot.id == snapshot_id)
        .execution_options(synchronize_session=False)
    )
    return row.segment_id


def _lines() -> Select[Any]:
    return (
        select(
            Snapshot.id,
            Snapshot.segment_id,
            Snapshot.name,
            Snapshot.people,
            Snapshot.frozen_at,
            Snapshot.created_at,
        )
        .where(Snapshot.account_id == current_account())
        .order_by(Snapshot.id.desc())
    )


def _line(snapshot_id: UUID) -> SnapshotLine:
    row = db.session().execute(_lines().where(Snapshot.id == snapshot_id)).first()
    if row is None:
        raise _unknown()
    return SnapshotLine(*row)


def _unknown() -> NotFound:
    return NotFound("snapshot_unknown", _("There is no such snapshot."))
