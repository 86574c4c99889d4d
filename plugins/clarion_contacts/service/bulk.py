"""Many people at once: who they are is frozen when it is asked, then done a thousand a time.

A part is one transaction: whoever is killed goes on with the next, and a part that is done
is not done again. What was put on or taken off can be undone for a day.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account, current_actor
from clarion.work import notices, outbox
from clarion_contacts.events import BulkStarted
from clarion_contacts.importing import key_of
from clarion_contacts.models import Contact
from clarion_contacts.records import Bulk, BulkPart
from clarion_contacts.service import (
    exporting,
    fields,
    filters,
    lists,
    objecting,
    people,
)
from clarion_contacts.service.filters import Filters
from clarion_contacts.service.tags import add_tag, attach, detach, tag_names

SIZE = 1_000  # people of a part
AT_ONCE = 1_000  # people for whom a click waits
CONVERTED_AT_ONCE = 20_000
KEPT = dt.timedelta(hours=24)
ASKED = dt.timedelta(hours=1)
NEEDS: Mapping[str, str] = {
    "tag": "contacts.edit",
    "untag": "contacts.edit",
    "list": "contacts.edit",
    "unlist": "contacts.edit",
    "field": "contacts.edit",
    "opt_out": "contacts.edit",
    "delete": "contacts.delete",
    "export": "contacts.export",
}
"""Which permission each act needs."""
UNDONE_BY = {"tag": "untag", "untag": "tag", "list": "unlist", "unlist": "list"}
"""What takes an act back; the others cannot be taken back."""

audit.label("contacts.bulk.started", "Did something with many contacts")
audit.label("contacts.bulk.undone", "Took back what was done with many contacts")
audit.label("contacts.contact.exported", "Exported contacts")
audit.label("contacts.export.taken", "Downloaded exported contacts")


def ask(action: str, chosen: Filters) -> Bulk:
    """Freeze whom filters leave at this moment, for something to be done with them.

    Nothing happens yet: `go` does it, for exactly these people, however the list changes.
    """
    if action not in NEEDS:
        raise Invalid("bulk_action", _("Choose what to do."), field="action")
    access.require(NEEDS[action])
    bulk = Bulk(
        id=db.new_id(),
        action=action,
        filters=chosen.to_json() if not chosen.ids else {},
        expires_at=clock.now() + ASKED,
    )
    db.session().add(bulk)
    db.session().flush()
    bulk.total = _freeze(bulk.id, chosen)
    if not bulk.total:
        raise Invalid("bulk_nobody", _("Nobody was chosen."))
    return bulk


def get_bulk(bulk_id: UUID, *, lock: bool = False) -> Bulk:
    """Load what one asked for oneself, or raise `NotFound`: nobody sees another's."""
    query = select(Bulk).where(
        Bulk.account_id == current_account(),
        Bulk.id == bulk_id,
        Bulk.forgotten_at.is_(None),
    )
    who = current_actor()
    if who.kind == "person":
        query = query.where(Bulk.created_by == who.label)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    bulk = db.session().scalar(query)
    if bulk is None:
        raise NotFound("bulk_unknown", _("This is not kept any longer."))
    return bulk


def go(bulk_id: UUID, arguments: Mapping[str, str], *, typed: str = "") -> Bulk:
    """Do it: at once for a thousand people, in the background for more.

    Args:
        bulk_id: what `ask` froze.
        arguments: `name` of a tag, `list` (an id), `field` and `value`, or `reason`.
        typed: for a deletion the number of people, as a person typed it.
    """
    bulk = get_bulk(bulk_id, lock=True)
    access.require(NEEDS[bulk.action])
    if bulk.state != "asked":
        raise Conflict("bulk_started", _("This was started already."))
    if bulk.action == "delete" and _digits(typed) != str(bulk.total):
        raise Invalid(
            "bulk_number", _("Type the number of people to confirm."), field="typed"
        )
    bulk.arguments = _checked(bulk.action, arguments)
    bulk.state, bulk.expires_at = "running", clock.now() + KEPT
    bulk.beat_at = func.clarion_now()
    if bulk.action == "export":
        audit.record("contacts.contact.exported", bulk, people=bulk.total)
        notices.exported(
            lambda: _("contacts, %(count)s people", count=bulk.total), link="/activity/"
        )
    else:
        audit.record("contacts.bulk.started", bulk, action=bulk.action, people=bulk.total)
    _set_off(bulk)
    return bulk


def undo(bulk_id: UUID) -> Bulk:
    """Take back tags and lists: from exactly those who got them, or to who lost them."""
    bulk = get_bulk(bulk_id, lock=True)
    access.require(NEEDS[bulk.action])
    if bulk.state != "done" or bulk.action not in UNDONE_BY:
        raise Conflict("bulk_final", _("This cannot be taken back."))
    db.session().execute(
        update(BulkPart)
        .where(BulkPart.account_id == current_account(), BulkPart.bulk_id == bulk.id)
        .values(done=False)
        .execution_options(synchronize_session=False)
    )
    bulk.state, bulk.progress, bulk.changed = "undoing", 0, 0
    bulk.beat_at = func.clarion_now()
    audit.record("contacts.bulk.undone", bulk, action=bulk.action, people=bulk.total)
    _set_off(bulk)
    return bulk


def change_field(
    field_id: UUID,
    title: str,
    kind: str,
    choices: Sequence[str] = (),
    *,
    aside: bool = False,
) -> Bulk | None:
    """Change a field as `fields.change_field` does; in the background when very many have it.

    Returns the work to watch, or None when it is done already.
    """
    access.require("contacts.edit")
    field = fields.get_field(field_id)
    same = (kind, [*choices]) == (field.kind, [*field.choices])
    people_ = 0 if same else fields.people_with(field.key)
    if people_ <= CONVERTED_AT_ONCE:
        fields.change_field(field_id, title, kind, choices, aside=aside)
        return None
    bulk = Bulk(
        id=db.new_id(),
        action="convert",
        state="running",
        arguments={
            "field": str(field_id),
            "title": title,
            "kind": kind,
            "choices": [*choices],
            "aside": aside,
        },
        total=people_,
        beat_at=clock.now(),
        expires_at=clock.now() + KEPT,
    )
    db.session().add(bulk)
    db.session().flush()
    outbox.publish(BulkStarted(bulk_id=bulk.id))
    return bulk


def throw_away(bulk_id: UUID) -> None:
    """Forget what was asked and not started."""
    bulk = get_bulk(bulk_id, lock=True)
    if bulk.state == "asked":
        db.session().delete(bulk)
        db.session().flush()


def step(bulk_id: UUID) -> bool:
    """Do the next part; says whether there is one more. Called again, it does the next."""
    bulk = get_bulk(bulk_id, lock=True)
    if bulk.state not in ("running", "undoing"):
        return False
    query = (
        select(BulkPart)
        .where(
            BulkPart.account_id == current_account(),
            BulkPart.bulk_id == bulk.id,
            BulkPart.done.is_(False),
        )
        .order_by(BulkPart.number)
        .limit(1)
    )
    part = db.session().scalar(query)
    if bulk.action == "convert":
        _convert(bulk)
    if part is None:
        bulk.state = "done" if bulk.state == "running" else "undone"
        bulk.finished_at = func.clarion_now()
        return False
    if bulk.action == "export":
        part.body, part.changed_ids = exporting.written(part.id, part.contact_ids)
    elif bulk.state == "running":
        part.changed_ids = _ACTS[bulk.action](bulk.arguments, part.contact_ids)
    else:
        back = _ACTS[UNDONE_BY[bulk.action]]
        part.changed_ids = back(bulk.arguments, part.changed_ids or [])
    part.done = True
    bulk.progress += len(part.contact_ids)
    bulk.changed += len(part.changed_ids)
    bulk.beat_at = func.clarion_now()
    return True


def fail_bulk(bulk_id: UUID, problem: str) -> None:
    """Note why the rest was not done; what was done stays."""
    bulk = get_bulk(bulk_id, lock=True)
    if bulk.state in ("running", "undoing"):
        bulk.state, bulk.problem = "failed", problem[:400]
        bulk.finished_at = func.clarion_now()


def forget_bulks() -> int:
    """Forget what is a day old: who the people were, and what was exported."""
    over = select(Bulk.id).where(
        Bulk.account_id == current_account(),
        Bulk.expires_at < clock.now(),
        Bulk.forgotten_at.is_(None),
        Bulk.state.not_in(("running", "undoing")),
    )
    ids = list(db.session().scalars(over))
    if not ids:
        return 0
    mine = (BulkPart.account_id == current_account(), BulkPart.bulk_id.in_(ids))
    db.session().execute(
        delete(BulkPart).where(*mine).execution_options(synchronize_session=False)
    )
    db.session().execute(
        update(Bulk)
        .where(Bulk.account_id == current_account(), Bulk.id.in_(ids))
        .values(forgotten_at=func.clarion_now(), arguments={}, filters={})
        .execution_options(synchronize_session=False)
    )
    return len(ids)


def _convert(bulk: Bulk) -> None:
    said = bulk.arguments
    bulk.changed = fields.change_field(
        UUID(said["field"]),
        said["title"],
        said["kind"],
        said["choices"],
        aside=said["aside"],
    )
    bulk.progress = bulk.total


# --- who


def _freeze(bulk_id: UUID, chosen: Filters) -> int:
    """Write down whom filters leave, a thousand ids a row, in one statement."""
    people_ = filters.chosen(chosen, fields.known()).with_only_columns(
        Contact.id,
        ((func.row_number().over(order_by=Contact.id) - 1) // SIZE).label("number"),
    )
    found = people_.subquery("found")
    rows = select(
        func.clarion_new_id(),
        func.clarion_account(),
        literal(bulk_id),
        found.c.number,
        func.array_agg(aggregate_order_by(found.c.id, found.c.id)),
    ).group_by(found.c.number)
    names = ["id", "account_id", "bulk_id", "number", "contact_ids"]
    statement = insert(BulkPart).from_select(names, rows, include_defaults=False)
    db.session().execute(statement)
    counted = select(
        func.coalesce(func.sum(func.cardinality(BulkPart.contact_ids)), 0)
    ).where(BulkPart.account_id == current_account(), BulkPart.bulk_id == bulk_id)
    return int(db.session().scalar(counted) or 0)


def _set_off(bulk: Bulk) -> None:
    if bulk.total > AT_ONCE:
        outbox.publish(BulkStarted(bulk_id=bulk.id))
        return
    while step(bulk.id):
        pass


# --- what


def _checked(action: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Check what an act needs to know, and look up what it names."""
    if action in ("tag", "untag"):
        return _tag_named(action, given.get("name", ""))
    if action in ("list", "unlist"):
        return {"list": str(lists.get_list(_id(given.get("list", ""))).id)}
    if action == "field":
        return _field_named(given)
    if action == "opt_out":
        reason = " ".join(given.get("reason", "").split())
        if not reason:
            raise Invalid(
                "bulk_reason", _("Say how you know that they object."), field="reason"
            )
        return {"reason": reason[:300]}
    return {}


def _tag_named(action: str, name: str) -> dict[str, Any]:
    known = {one.key: one.id for one in tag_names()}
    key = key_of(name)
    if action == "tag" and key not in known:
        return {"tag": str(add_tag(name))}
    if key not in known:
        raise Invalid("tag_unknown", _("There is no such tag."), field="name")
    return {"tag": str(known[key])}


def _field_named(given: Mapping[str, str]) -> dict[str, Any]:
    key = given.get("field", "")
    if key not in {one.key for one in fields.known()}:
        raise Invalid("field_unknown", _("Choose a field."), field="field")
    try:
        value = fields.typed({key: given.get("value", "")})
    except Invalid as refused:
        raise Invalid(refused.code, refused.text, field="value") from None
    return {"field": key, "value": value.get(key)}


def _id(said: str) -> UUID:
    try:
        return UUID(said)
    except ValueError:
        raise Invalid("list_unknown", _("Choose a list."), field="list") from None


Act = Callable[[Mapping[str, Any], list[UUID]], list[UUID]]
"""Does one thing with some people; returns those whom it changed."""


def _tag(said: Mapping[str, Any], ids: list[UUID]) -> list[UUID]:
    return attach(ids, UUID(said["tag"]))


def _untag(said: Mapping[str, Any], ids: list[UUID]) -> list[UUID]:
    return detach(ids, UUID(said["tag"]))


def _list(said: Mapping[str, Any], ids: list[UUID]) -> list[UUID]:
    return lists.enlist(ids, UUID(said["list"]))


def _unlist(said: Mapping[str, Any], ids: list[UUID]) -> list[UUID]:
    return lists.delist(ids, UUID(said["list"]))


def _field(said: Mapping[str, Any], ids: list[UUID]) -> list[UUID]:
    return fields.give(ids, said["field"], said["value"])


def _opt_out(said: Mapping[str, Any], ids: list[UUID]) -> list[UUID]:
    return objecting.opt_out_many(ids, source=said["reason"])


def _delete(_said: Mapping[str, Any], ids: list[UUID]) -> list[UUID]:
    return people.erase(ids)


_ACTS: Mapping[str, Act] = {
    "tag": _tag,
    "untag": _untag,
    "list": _list,
    "unlist": _unlist,
    "field": _field,
    "opt_out": _opt_out,
    "delete": _delete,
}


def _digits(typed: str) -> str:
    return "".join(sign for sign in typed if sign.isdigit())
