"""Fields an import made and nobody needs once it is taken back."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Exists, Text, cast, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import JSONPATH

from clarion.base import db
from clarion.plugging.manager import plugins
from clarion.tenancy import preferences
from clarion.tenancy.scope import current_account
from clarion_contacts import segments
from clarion_contacts.models import Contact, Field
from clarion_contacts.records import Segment, Snapshot, View

SAID = "$.** ? (@ == $name)"  # anywhere in a rule


def drop_fields(import_id: UUID) -> list[str]:
    """Remove the fields an import made, but for those in use; returns their titles.

    In use is what anybody has a value of, and what a segment, a snapshot or a view speaks
    of. Plugins name what they use through `render_slot("fields", {"keys": …, "used": …})`.
    """
    query = select(Field.key, Field.title).where(
        Field.account_id == current_account(), Field.import_id == import_id, ~_used()
    )
    made = {row.key: row.title for row in db.session().execute(query)}
    used: set[str] = set()
    given = {"keys": frozenset(made), "used": used}
    for _plugin, _markup in plugins().render("fields", preferences.switched_on, given):
        pass  # what they have to say, they put into `used`
    gone = sorted(made.keys() - used)
    db.session().execute(
        delete(Field)
        .where(Field.account_id == current_account(), Field.key.in_(gone))
        .execution_options(synchronize_session=False)
    )
    return [made[key] for key in gone]


def _used() -> ColumnElement[bool]:
    held = exists().where(
        Contact.account_id == Field.account_id, Contact.attributes.has_key(Field.key)
    )
    shown = exists().where(
        View.account_id == Field.account_id,
        or_(
            View.filters["field"].astext == Field.key,
            View.columns.has_key(func.concat(cast("own.", Text), Field.key)),
        ),
    )
    return or_(held, shown, _spoken_of(Segment), _spoken_of(Snapshot))


def _spoken_of(model: Any) -> Exists:  # Any: a table with a `rule`
    name = func.concat(cast(segments.ATTRIBUTE, Text), Field.key)
    named = func.jsonb_build_object(cast("name", Text), name)
    return exists().where(
        model.account_id == Field.account_id,
        func.jsonb_path_exists(model.rule, cast(SAID, JSONPATH), named),
    )
