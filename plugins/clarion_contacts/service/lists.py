"""Lists: people gathered for one purpose; on and off them one by one, or in sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import key_of
from clarion_contacts.importing.rows import clean
from clarion_contacts.models import Contact, List, Listing
from clarion_contacts.service import deeds
from clarion_contacts.service.tags import PARTING, touch

LONGEST, LONGEST_ABOUT = 80, 300
PURPOSES = ("marketing", "utility")

audit.label("contacts.list.added", "Made a list")
audit.label("contacts.list.changed", "Changed a list")
audit.label("contacts.list.removed", "Removed a list")
audit.label("contacts.contact.listed", "Put contacts on a list")
audit.label("contacts.contact.unlisted", "Took contacts off a list")


@dataclass(frozen=True, slots=True)
class ListLine:
    """A list and how many people are on it."""

    id: UUID
    name: str
    purpose: str
    about: str
    people: int


def all_lists() -> list[ListLine]:
    """List all lists by name, with their people counted."""
    access.require("contacts.view")
    held = (
        select(Listing.list_id, func.count().label("people"))
        .where(Listing.account_id == current_account())
        .group_by(Listing.list_id)
        .subquery()
    )
    query = (
        select(
            List.id, List.name, List.purpose, List.about, func.coalesce(held.c.people, 0)
        )
        .outerjoin(held, held.c.list_id == List.id)
        .where(List.account_id == current_account())
        .order_by(List.key)
    )
    return [ListLine(*row) for row in db.session().execute(query)]


def list_names() -> list[tuple[UUID, str]]:
    """List the lists by name, without counting: for menus."""
    access.require("contacts.view")
    query = (
        select(List.id, List.name)
        .where(List.account_id == current_account())
        .order_by(List.key)
    )
    return [(row.id, row.name) for row in db.session().execute(query)]


def get_list(list_id: UUID) -> List:
    """Load one list of this account, or raise `NotFound`."""
    access.require("contacts.view")
    return _loaded(list_id)


def add_list(name: str, *, purpose: str = "marketing", about: str = "") -> List:
    """Make a list. Raises `Conflict` when there is one of this name."""
    access.require("contacts.edit")
    said, text = _checked(name, purpose, about)
    _refuse_twin(said, None)
    made = List(id=db.new_id(), name=said, key=key_of(said), purpose=purpose, about=text)
    db.session().add(made)
    db.session().flush()
    audit.record("contacts.list.added", made, purpose=purpose)
    return made


def change_list(list_id: UUID, name: str, *, purpose: str, about: str = "") -> None:
    """Rename a list, describe it, or say what it is for."""
    access.require("contacts.edit")
    made = _loaded(list_id, lock=True)
    said, text = _checked(name, purpose, about)
    _refuse_twin(said, list_id)
    made.name, made.key, made.purpose, made.about = said, key_of(said), purpose, text
    audit.record("contacts.list.changed", made, purpose=purpose)


def remove_list(list_id: UUID) -> None:
    """Remove a list; its people stay."""
    access.require("contacts.edit")
    made = _loaded(list_id, lock=True)
    audit.record("contacts.list.removed", made)
    db.session().delete(made)
    db.session().flush()


def enlist(contact_ids: Iterable[UUID], list_id: UUID) -> list[UUID]:
    """Put people on a list; returns those who were not on it."""
    access.require("contacts.edit")
    name = _loaded(list_id).name
    ids = list(contact_ids)
    rows = select(Contact.id).where(
        Contact.account_id == current_account(), Contact.id.in_(ids)
    )
    added = _put(list_id, rows)
    deeds.note("list", name, added)
    touch(added)
    audit.record("contacts.contact.listed", None, people=len(added), list=list_id)
    return added


def delist(contact_ids: Iterable[UUID], list_id: UUID) -> list[UUID]:
    """Take people off a list; returns those who were on it."""
    access.require("contacts.edit")
    done = db.session().execute(
        delete(Listing)
        .where(
            Listing.account_id == current_account(),
            Listing.list_id == list_id,
            Listing.contact_id.in_(list(contact_ids)),
        )
        .returning(Listing.contact_id)
        .execution_options(synchronize_session=False)
    )
    gone = list(done.scalars())
    if gone:
        deeds.note("unlist", _loaded(list_id).name, gone)
    touch(gone)
    audit.record("contacts.contact.unlisted", None, people=len(gone), list=list_id)
    return gone


def keep_lists(wanted: Mapping[str, str], import_id: UUID | None = None) -> dict[str, UUID]:
    """Make the lists (key → name) that do not exist, and return the ids of all."""
    if not wanted:
        return {}
    rows = [
        {"id": db.new_id(), "key": key, "name": name[:LONGEST], "import_id": import_id}
        for key, name in sorted(wanted.items())
    ]
    db.session().execute(insert(List).values(rows).on_conflict_do_nothing())
    query = select(List.key, List.id).where(
        List.account_id == current_account(), List.key.in_(list(wanted))
    )
    return {key: list_id for key, list_id in db.session().execute(query)}  # noqa: C416


def keep(
    list_id: UUID, contact_ids: Select[Any] | Sequence[UUID], import_id: UUID | None = None
) -> int:
    """Put whole sets of people on a list, as an import does; returns how many were new.

    Args:
        list_id: of this account.
        contact_ids: ids, or a SELECT of one column with ids of contacts.
        import_id: which import says so; taking it back takes them off again.
    """
    if not isinstance(contact_ids, Select):
        contact_ids = select(Contact.id).where(
            Contact.account_id == current_account(), Contact.id.in_(contact_ids)
        )
    return len(_put(list_id, contact_ids, import_id))


def take_back(import_id: UUID) -> None:
    """Take off the people an import put on lists; a list it made for nobody else goes."""
    db.session().execute(
        delete(Listing)
        .where(Listing.account_id == current_account(), Listing.import_id == import_id)
        .execution_options(synchronize_session=False)
    )
    held = (
        select(Listing.list_id)
        .where(Listing.account_id == List.account_id, Listing.list_id == List.id)
        .exists()
    )
    db.session().execute(
        delete(List)
        .where(List.account_id == current_account(), List.import_id == import_id, ~held)
        .execution_options(synchronize_session=False)
    )


def of_contact(contact_id: UUID) -> list[tuple[UUID, str]]:
    """List the lists a person is on."""
    query = (
        select(List.id, List.name)
        .join(Listing, Listing.list_id == List.id)
        .where(
            List.account_id == current_account(),
            Listing.account_id == current_account(),
            Listing.contact_id == contact_id,
        )
        .order_by(List.key)
    )
    return [(row.id, row.name) for row in db.session().execute(query)]


def _put(list_id: UUID, ids: Select[Any], import_id: UUID | None = None) -> list[UUID]:
    chosen = ids.subquery()
    (column,) = chosen.c
    rows = select(
        func.clarion_new_id(),
        func.clarion_account(),
        column,
        literal(list_id),
        literal(import_id, Listing.import_id.type),
    ).order_by(column)
    names = ["id", "account_id", "contact_id", "list_id", "import_id"]
    statement = insert(Listing).from_select(names, rows, include_defaults=False)
    done = db.session().execute(
        statement.on_conflict_do_nothing().returning(Listing.contact_id)
    )
    return list(done.scalars())


def _checked(name: str, purpose: str, about: str) -> tuple[str, str]:
    said = clean(name, LONGEST + 1)
    if not said:
        raise Invalid("list_empty", _("Give the list a name."), field="name")
    if len(said) > LONGEST or any(sign in said for sign in PARTING):
        raise Invalid(
            "list_name",
            _("At most 80 letters, without comma, semicolon and bar."),
            field="name",
        )
    if purpose not in PURPOSES:
        raise Invalid("list_purpose", _("Choose what the list is for."), field="purpose")
    text = about.strip()
    if len(text) > LONGEST_ABOUT:
        raise Invalid("list_about", _("At most 300 letters."), field="about")
    return said, text


def _refuse_twin(name: str, own: UUID | None) -> None:
    query = select(List.id).where(
        List.account_id == current_account(), List.key == key_of(name)
    )
    found = db.session().scalar(query)
    if found is not None and found != own:
        raise Conflict("list_exists", _("There is a list of this name."), field="name")


def _loaded(list_id: UUID, *, lock: bool = False) -> List:
    query = select(List).where(List.account_id == current_account(), List.id == list_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    made = db.session().scalar(query)
    if made is None:
        raise NotFound("list_unknown", _("There is no such list."))
    return made
