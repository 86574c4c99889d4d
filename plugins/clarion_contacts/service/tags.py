"""Tags: words people are sorted by, put on many at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import key_of
from clarion_contacts.importing.rows import clean
from clarion_contacts.models import Contact, Tag, Tagging
from clarion_contacts.service import deeds

LONGEST = 60
PARTING = (",", ";", "|")  # what parts names from each other in a file

audit.label("contacts.tag.added", "Added a tag")
audit.label("contacts.tag.renamed", "Renamed a tag")
audit.label("contacts.tag.removed", "Removed a tag")
audit.label("contacts.contact.tagged", "Put a tag on contacts")
audit.label("contacts.contact.untagged", "Took a tag off contacts")


@dataclass(frozen=True, slots=True)
class TagLine:
    """A tag and how many people have it."""

    id: UUID
    name: str
    people: int


def tags() -> list[TagLine]:
    """List all tags by name, with their people counted."""
    access.require("contacts.view")
    held = (
        select(Tagging.tag_id, func.count().label("people"))
        .where(Tagging.account_id == current_account())
        .group_by(Tagging.tag_id)
        .subquery()
    )
    query = (
        select(Tag.id, Tag.name, func.coalesce(held.c.people, 0))
        .outerjoin(held, held.c.tag_id == Tag.id)
        .where(Tag.account_id == current_account())
        .order_by(Tag.key)
    )
    return [TagLine(*row) for row in db.session().execute(query)]


def tag_names() -> list[Tag]:
    """List all tags by name; their people are not counted, so a million are no matter."""
    access.require("contacts.view")
    query = select(Tag).where(Tag.account_id == current_account()).order_by(Tag.key)
    return list(db.session().scalars(query))


def get_tag(tag_id: UUID) -> Tag:
    """Load one tag of this account, or raise `NotFound`."""
    access.require("contacts.view")
    return _loaded(tag_id, lock=False)


def add_tag(name: str) -> UUID:
    """Make a tag; one that exists under another spelling of capitals is that one."""
    access.require("contacts.edit")
    said = _checked(name)
    made = keep_tags({key_of(said): said})
    audit.record("contacts.tag.added", None, tag=made[key_of(said)])
    return made[key_of(said)]


def rename_tag(tag_id: UUID, name: str) -> None:
    """Call a tag by another name. Raises `Conflict` when there is one of that name."""
    access.require("contacts.edit")
    tag = _locked(tag_id)
    said = _checked(name)
    query = select(Tag.id).where(
        Tag.account_id == current_account(), Tag.key == key_of(said), Tag.id != tag_id
    )
    if db.session().scalar(query):
        raise Conflict("tag_exists", _("There is a tag of this name."), field="name")
    tag.name, tag.key = said, key_of(said)
    audit.record("contacts.tag.renamed", tag)


def remove_tag(tag_id: UUID) -> None:
    """Remove a tag from everybody; the people stay."""
    access.require("contacts.edit")
    tag = _locked(tag_id)
    audit.record("contacts.tag.removed", tag)
    db.session().delete(tag)
    db.session().flush()


def tag(contact_ids: Iterable[UUID], names: Iterable[str]) -> int:
    """Put tags on many people, making those that do not exist; returns how many were new."""
    access.require("contacts.edit")
    wanted = {key_of(said): said for said in map(_checked, names)}
    made = keep_tags(wanted)
    ids = list(contact_ids)
    added = 0
    for key, tag_id in made.items():
        new = _put(tag_id, ids)
        deeds.note("tag", wanted[key], new)
        added += len(new)
    touch(ids)
    audit.record("contacts.contact.tagged", None, people=len(ids), tags=list(made.values()))
    return added


def attach(contact_ids: Iterable[UUID], tag_id: UUID) -> list[UUID]:
    """Put one tag on many people; returns those who did not have it."""
    access.require("contacts.edit")
    name = _loaded(tag_id, lock=False).name
    added = _put(tag_id, list(contact_ids))
    deeds.note("tag", name, added)
    touch(added)
    audit.record("contacts.contact.tagged", None, people=len(added), tags=[tag_id])
    return added


def detach(contact_ids: Iterable[UUID], tag_id: UUID) -> list[UUID]:
    """Take one tag off many people; returns those who had it."""
    access.require("contacts.edit")
    gone = [contact for contact, _tag in _take(list(contact_ids), [tag_id])]
    if gone:
        deeds.note("untag", _loaded(tag_id, lock=False).name, gone)
    touch(gone)
    audit.record("contacts.contact.untagged", None, people=len(gone), tags=[tag_id])
    return gone


def untag(contact_ids: Iterable[UUID], tag_ids: Iterable[UUID]) -> int:
    """Take tags off many people; returns how many were taken off."""
    access.require("contacts.edit")
    ids, gone = list(contact_ids), list(tag_ids)
    taken = _take(ids, gone)
    for tag_id in {tag_id for _contact, tag_id in taken}:
        lost = [contact for contact, one in taken if one == tag_id]
        deeds.note("untag", _loaded(tag_id, lock=False).name, lost)
    touch(ids)
    audit.record("contacts.contact.untagged", None, people=len(ids), tags=gone)
    return len(taken)


def keep_tags(wanted: Mapping[str, str], import_id: UUID | None = None) -> dict[str, UUID]:
    """Make the tags (key → name) that do not exist, and return the ids of all."""
    if not wanted:
        return {}
    rows = [
        {"id": db.new_id(), "key": key, "name": name, "import_id": import_id}
        for key, name in sorted(wanted.items())
    ]
    db.session().execute(insert(Tag).values(rows).on_conflict_do_nothing())
    query = select(Tag.key, Tag.id).where(
        Tag.account_id == current_account(), Tag.key.in_(list(wanted))
    )
    return {key: tag_id for key, tag_id in db.session().execute(query)}  # noqa: C416


def touch(contact_ids: list[UUID]) -> None:
    """Note that somebody worked on these people, so that an undone import keeps them."""
    db.session().execute(
        update(Contact)
        .where(Contact.account_id == current_account(), Contact.id.in_(contact_ids))
        .values(updated_at=func.clarion_now())
        .execution_options(synchronize_session=False)
    )


def _put(tag_id: UUID, ids: list[UUID]) -> list[UUID]:
    rows = (
        select(func.clarion_new_id(), func.clarion_account(), Contact.id, literal(tag_id))
        .where(Contact.account_id == current_account(), Contact.id.in_(ids))
        .order_by(Contact.id)
    )
    names = ["id", "account_id", "contact_id", "tag_id"]
    statement = insert(Tagging).from_select(names, rows, include_defaults=False)
    done = db.session().execute(
        statement.on_conflict_do_nothing().returning(Tagging.contact_id)
    )
    return list(done.scalars())


def _take(ids: list[UUID], tag_ids: list[UUID]) -> list[tuple[UUID, UUID]]:
    done = db.session().execute(
        delete(Tagging)
        .where(
            Tagging.account_id == current_account(),
            Tagging.contact_id.in_(ids),
            Tagging.tag_id.in_(tag_ids),
        )
        .returning(Tagging.contact_id, Tagging.tag_id)
        .execution_options(synchronize_session=False)
    )
    return [(row.contact_id, row.tag_id) for row in done]


def _checked(name: str) -> str:
    said = clean(name, LONGEST + 1)
    if not said:
        raise Invalid("tag_empty", _("Give the tag a name."), field="name")
    if len(said) > LONGEST or any(sign in said for sign in PARTING):
        raise Invalid(
            "tag_name",
            _("At most 60 letters, without comma, semicolon and bar."),
            field="name",
        )
    return said


def _locked(tag_id: UUID) -> Tag:
    return _loaded(tag_id, lock=True)


def _loaded(tag_id: UUID, *, lock: bool) -> Tag:
    query = select(Tag).where(Tag.account_id == current_account(), Tag.id == tag_id)
    tag = db.session().scalar(query.with_for_update() if lock else query)
    if tag is None:
        raise NotFound("tag_unknown", _("There is no such tag."))
    return tag
