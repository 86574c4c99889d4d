"""What the builder of segments lets people choose from, each list by names only."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select

from clarion.base import db
from clarion.messaging import outcomes
from clarion.messaging.models import Campaign
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_contacts.models import (
    Contact,
    Field,
    Import,
    List,
    Listing,
    Tag,
    Tagging,
    Wording,
)
from clarion_contacts.records import Segment, Snapshot

MOST = 300
NEWEST = 2_000  # contacts that are asked what else they have
Named = list[tuple[str, str]]  # id and name, as a select takes them


@dataclass(frozen=True, slots=True)
class OwnField:
    """A field of the account's own, with its kind; nobody typed it yet: a text."""

    key: str
    title: str
    kind: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything a rule can speak of."""

    fields: list[OwnField]
    languages: list[str]
    tags: Named
    lists: Named
    imports: Named
    segments: Named
    snapshots: list[Any]
    campaigns: Named
    wordings: Named
    reasons: Named


@dataclass(frozen=True, slots=True)
class Offer:
    """A tag or list a campaign can take or leave out; `name` is as `Pick` writes it."""

    name: str
    title: str
    people: int


def offered() -> tuple[list[Offer], list[Offer], Named, list[Any]]:
    """List what a campaign's audience is picked from: tags, lists, segments, snapshots."""
    access.require("contacts.view")
    return (
        _counted("tag", Tag, Tagging.tag_id),
        _counted("list", List, Listing.list_id),
        _named(_of(Segment, Segment.name).order_by(Segment.key)),
        _snapshots(),
    )


def choices(but: UUID | None = None) -> Choices:
    """List what rules can speak of; `but` is the segment that is being changed."""
    access.require("contacts.view")
    done = ("done", "undone")
    return Choices(
        fields=_fields(),
        languages=sorted(one for one in _newest(Contact.language) if one),
        tags=_named(_of(Tag, Tag.name).order_by(Tag.key)),
        lists=_named(_of(List, List.name).order_by(List.key)),
        imports=_named(
            _of(Import, Import.file_name)
            .where(Import.state.in_(done))
            .order_by(Import.created_at.desc())
        ),
        segments=_named(
            _of(Segment, Segment.name).where(Segment.id != but).order_by(Segment.key)
            if but
            else _of(Segment, Segment.name).order_by(Segment.key)
        ),
        snapshots=_snapshots(),
        campaigns=_named(
            _of(Campaign, Campaign.name)
            .where(Campaign.purpose != "service")
            .order_by(Campaign.created_at.desc())
        ),
        wordings=_named(
            _of(Wording, func.left(Wording.text, 120)).order_by(Wording.created_at.desc())
        ),
        reasons=_reasons(),
    )


def _counted(kind: str, model: Any, key: Any) -> list[Offer]:
    """List tags or lists by name, with their people counted."""
    held = (
        select(key.label("one"), func.count().label("people"))
        .where(key.class_.account_id == current_account())
        .group_by(key)
        .subquery()
    )
    query = (
        select(model.id, model.name, func.coalesce(held.c.people, 0))
        .outerjoin(held, held.c.one == model.id)
        .where(model.account_id == current_account())
        .order_by(model.key)
    )
    return [
        Offer(f"{kind}:{row[0]}", row[1], row[2]) for row in db.session().execute(query)
    ]


def _of(model: Any, name: Any) -> Select[Any]:  # Any: a table of the account
    return select(model.id, name).where(model.account_id == current_account()).limit(MOST)


def _named(query: Select[Any]) -> Named:
    return [(str(one), name) for one, name in db.session().execute(query)]


def _snapshots() -> list[Any]:
    query = (
        select(Snapshot.id, Snapshot.name, Snapshot.frozen_at, Snapshot.people)
        .where(Snapshot.account_id == current_account(), Snapshot.people.is_not(None))
        .order_by(Snapshot.id.desc())
        .limit(MOST)
    )
    return list(db.session().execute(query))


def _fields() -> list[OwnField]:
    """List own fields in their order, then keys that nobody has typed."""
    query = select(Field.key, Field.title, Field.kind, Field.choices).where(
        Field.account_id == current_account()
    )
    rows = db.session().execute(query.order_by(Field.position, Field.title))
    typed = [OwnField(row[0], row[1], row[2], tuple(row[3])) for row in rows]
    known = {one.key for one in typed}
    keys = _newest(func.jsonb_object_keys(Contact.attributes)) - known
    return typed + [OwnField(key, key, "text", ()) for key in sorted(keys)]


def _newest(value: Any) -> set[str]:
    """Gather what the newest contacts have."""
    newest = (
        select(value.label("found"))
        .where(Contact.account_id == current_account())
        .order_by(Contact.id.desc())
        .limit(NEWEST)
        .subquery()
    )
    return set(db.session().scalars(select(newest.c.found).distinct()))


def _reasons() -> Named:
    """List why messages fail, in words."""
    found = {reason for state, reason in outcomes.pairs() if state == "failed" and reason}
    named = [(one, outcomes.explain("failed", one).title) for one in found]
    return sorted(named, key=lambda pair: pair[1])
