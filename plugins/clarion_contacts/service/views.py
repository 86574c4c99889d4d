"""Saved views: a choice of people with a name, one's own or for everybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account, current_actor
from clarion_contacts.importing import key_of
from clarion_contacts.records import FirstView, View
from clarion_contacts.service.filters import Filters
from clarion_contacts.service.finding import SORTS, Sort

LONGEST, MOST_COLUMNS, MOST_VIEWS = 60, 12, 50

audit.label("contacts.view.added", "Saved a view of contacts")
audit.label("contacts.view.changed", "Changed a view of contacts")
audit.label("contacts.view.removed", "Removed a view of contacts")


@dataclass(frozen=True, slots=True)
class Saved:
    """A view as the list needs it. `mine`: one may change it. `first`: the list opens with it."""

    id: UUID
    name: str
    shared: bool
    mine: bool
    first: bool
    filters: Filters
    sort: Sort
    columns: tuple[str, ...]


def views() -> list[Saved]:
    """List one's own views and those shared with everybody, by name."""
    access.require("contacts.view")
    me = current_actor().label
    query = (
        select(View, FirstView.id)
        .outerjoin(
            FirstView,
            and_(
                FirstView.account_id == View.account_id,
                FirstView.view_id == View.id,
                FirstView.owner == me,
            ),
        )
        .where(View.account_id == current_account(), or_(View.owner == me, View.shared))
        .order_by(View.key, View.id)
    )
    return [_saved(view, me, first) for view, first in db.session().execute(query)]


def save_view(
    name: str,
    filters: Filters,
    *,
    sort: Sort = "newest",
    columns: Sequence[str] = (),
    shared: bool = False,
) -> UUID:
    """Save what is on the screen under a name. Raises `Conflict` when one has it already."""
    access.require("contacts.edit" if shared else "contacts.view")
    said = _named(name)
    me = current_actor().label
    mine = select(View.key).where(View.account_id == current_account(), View.owner == me)
    keys = set(db.session().scalars(mine))
    if key_of(said) in keys:
        raise Conflict("view_exists", _("You have a view of this name."), field="name")
    if len(keys) >= MOST_VIEWS:
        raise Conflict("views_many", _("A person can have 50 views."), field="name")
    view = View(
        id=db.new_id(),
        name=said,
        key=key_of(said),
        owner=me,
        shared=shared,
        filters=filters.to_json() | {"sort": sort},
        columns=list(columns)[:MOST_COLUMNS],
    )
    db.session().add(view)
    db.session().flush()
    audit.record("contacts.view.added", view, shared=shared)
    return view.id


def change_view(
    view_id: UUID, filters: Filters, *, sort: Sort = "newest", columns: Sequence[str] = ()
) -> None:
    """Let one's own view be what is on the screen now."""
    access.require("contacts.view")
    view = _own(view_id)
    view.filters = filters.to_json() | {"sort": sort}
    view.columns = list(columns)[:MOST_COLUMNS]
    audit.record("contacts.view.changed", view)


def open_with(view_id: UUID) -> None:
    """Let the list open with a view, for oneself."""
    open_without(view_id)
    row = insert(FirstView).values(
        id=db.new_id(), owner=current_actor().label, view_id=view_id
    )
    db.session().execute(row.on_conflict_do_nothing())


def open_without(view_id: UUID) -> None:
    """Let the list open with everybody again, for oneself."""
    access.require("contacts.view")
    if view_id not in {one.id for one in views()}:
        raise _unknown()
    mine = (
        FirstView.account_id == current_account(),
        FirstView.owner == current_actor().label,
    )
    db.session().execute(
        delete(FirstView).where(*mine).execution_options(synchronize_session=False)
    )


def remove_view(view_id: UUID) -> None:
    """Remove one's own view, also for those it was shared with."""
    access.require("contacts.view")
    view = _own(view_id)
    audit.record("contacts.view.removed", view)
    db.session().delete(view)
    db.session().flush()


def _saved(view: View, me: str, first: Any) -> Saved:
    sort: Sort = next((one for one in SORTS if one == view.filters.get("sort")), SORTS[0])
    return Saved(
        view.id,
        view.name,
        view.shared,
        view.owner == me,
        first is not None,
        Filters.of(view.filters),
        sort,
        tuple(view.columns),
    )


def _named(name: str) -> str:
    said = " ".join(name.split())
    if not said or len(said) > LONGEST:
        raise Invalid("view_name", _("A name of at most 60 letters."), field="name")
    return said


def _own(view_id: UUID) -> View:
    query = select(View).where(
        View.account_id == current_account(),
        View.id == view_id,
        View.owner == current_actor().label,
    )
    view = db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
    if view is None:
        raise _unknown()
    return view


def _unknown() -> NotFound:
    return NotFound("view_unknown", _("There is no such view."))
