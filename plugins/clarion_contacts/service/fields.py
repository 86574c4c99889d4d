"""Fields of one's own: what an account knows about its people beside name and address.

The values are in `Contact.attributes`, each in the form of its field's kind. A change of
the kind turns all values over in one statement, or puts those that do not fit aside into
a text field: nothing is lost, and nothing is guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    not_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import kinds
from clarion_contacts.importing.headers import plain
from clarion_contacts.importing.rows import clean
from clarion_contacts.models import FIELD_KINDS, Contact, Field
from clarion_contacts.service import deeds

LONGEST_TITLE, LONGEST_CHOICE, MOST_CHOICES, MOST_FIELDS = 80, 120, 200, 100
NEWEST = 5_000  # contacts that are asked which keys they have
SHOWN = 8

audit.label("contacts.field.added", "Added a field")
audit.label("contacts.field.changed", "Changed a field")
audit.label("contacts.field.given", "Changed a field of contacts")
audit.label("contacts.field.moved", "Changed the order of fields")
audit.label("contacts.field.removed", "Removed a field")


@dataclass(frozen=True, slots=True)
class Loss:
    """What a change of a field would not carry over.

    `people` have a value at all, `misfits` of them one that does not fit; `samples` are
    the most frequent of those, with how many people have each.
    """

    people: int
    misfits: int
    samples: list[tuple[str, int]]


def all_fields() -> list[Field]:
    """List the fields in their order."""
    access.require("contacts.view")
    return known()


def known(*, lock: bool = False) -> list[Field]:
    """List the fields; with `lock` no kind changes until the transaction ends."""
    query = (
        select(Field)
        .where(Field.account_id == current_account())
        .order_by(Field.position, Field.id)
    )
    if lock:
        query = query.with_for_update(read=True).execution_options(populate_existing=True)
    return list(db.session().scalars(query))


def unknown_keys() -> list[str]:
    """List keys that people have and no field describes, as seen among the newest."""
    newest = (
        select(Contact.attributes)
        .where(Contact.account_id == current_account())
        .order_by(Contact.id.desc())
        .limit(NEWEST)
        .subquery()
    )
    keys = select(func.jsonb_object_keys(newest.c.attributes).label("key")).distinct()
    described = {one.key for one in known()}
    return sorted(key for key in db.session().scalars(keys) if key not in described)


def get_field(field_id: UUID) -> Field:
    """Load one field of this account, or raise `NotFound`."""
    access.require("contacts.view")
    return _loaded(field_id)


def add_field(title: str, kind: str, choices: Sequence[str] = ()) -> Field:
    """Make a field; its key is made from the title and never changes."""
    access.require("contacts.edit")
    said, options = _checked(title, kind, choices)
    key = key_of(said, {one.key for one in known()} | set(unknown_keys()))
    return _made(key, said, kind, options)


def adopt(key: str) -> Field:
    """Make a text field of a key that people have already."""
    access.require("contacts.edit")
    if key not in unknown_keys():
        raise NotFound("field_unknown", _("There is no such field."))
    return _made(key, key[:LONGEST_TITLE], "text", [])


def keep_fields(
    wanted: Mapping[str, tuple[str, str, Sequence[str]]], import_id: UUID | None = None
) -> None:
    """Make the fields (key → title, kind, choices) that do not exist, for a list."""
    last = max((one.position for one in known()), default=0)
    rows = [
        {
            "id": db.new_id(),
            "key": key,
            "title": title,
            "kind": kind,
            "choices": list(choices),
            "position": last + at,
            "import_id": import_id,
        }
        for at, (key, (title, kind, choices)) in enumerate(wanted.items(), 1)
    ]
    if rows:
        db.session().execute(insert(Field).values(rows).on_conflict_do_nothing())


def loss(field_id: UUID, kind: str, choices: Sequence[str] = ()) -> Loss:
    """Say what a change of kind or choices would not carry over. Reads all values."""
    access.require("contacts.view")
    field = _loaded(field_id)
    has, value = _having(field.key), _text_of(field.key)
    misfit = not_(_fitting(kind, list(choices), value))
    counted = select(func.count(), func.count().filter(misfit)).where(has)
    people, misfits = db.session().execute(counted).one()
    samples: list[tuple[str, int]] = []
    if misfits:
        said = value.label("said")
        query = (
            select(said, func.count().label("people"))
            .where(has, misfit)
            .group_by(said)
            .order_by(func.count().desc(), said)
            .limit(SHOWN)
        )
        samples = [(row.said, row.people) for row in db.session().execute(query)]
    return Loss(people, misfits, samples)


def change_field(
    field_id: UUID,
    title: str,
    kind: str,
    choices: Sequence[str] = (),
    *,
    aside: bool = False,
) -> int:
    """Rename a field, change its kind or its choices; returns how many values moved aside.

    Values that do not fit go to a text field of their own when `aside` is said; without it
    they are a `Conflict` (`field_misfits`) that counts them, and nothing changes.
    """
    access.require("contacts.edit")
    field = _loaded(field_id, lock=True)
    said, options = _checked(title, kind, choices)
    moved = 0
    if (kind, options) != (field.kind, list(field.choices)):
        moved = _turn_over(field, said, kind, options, aside=aside)
    field.title, field.kind, field.choices = said, kind, options
    db.session().flush()
    audit.record("contacts.field.changed", field, kind=kind, aside=moved)
    return moved


def move_field(field_id: UUID, steps: int) -> None:
    """Move a field up (negative) or down in the order."""
    access.require("contacts.edit")
    rows = known()
    ids = [one.id for one in rows]
    if field_id not in ids:
        raise NotFound("field_unknown", _("There is no such field."))
    at = ids.index(field_id)
    to = min(max(at + steps, 0), len(rows) - 1)
    rows.insert(to, rows.pop(at))
    for position, one in enumerate(rows, 1):
        one.position = position
    audit.record("contacts.field.moved", rows[to], position=to + 1)


def remove_field(field_id: UUID) -> int:
    """Remove a field and its value from everybody; returns how many people had one."""
    access.require("contacts.edit")
    field = _loaded(field_id, lock=True)
    gone: Any = db.session().execute(
        update(Contact)
        .where(_having(field.key))
        .values(
            attributes=Contact.attributes.op("-")(cast(field.key, Text)),
            updated_at=func.clarion_now(),
        )
        .execution_options(synchronize_session=False, audited=True)
    )
    audit.record("contacts.field.removed", field, people=gone.rowcount)
    db.session().delete(field)
    db.session().flush()
    return int(gone.rowcount)


def people_with(key: str) -> int:
    """Count the people who have a value."""
    query = select(func.count()).select_from(Contact).where(_having(key))
    return int(db.session().scalar(query) or 0)


def give(contact_ids: Sequence[UUID], key: str, value: kinds.Value | None) -> list[UUID]:
    """Give many people one value of a field, or take theirs away; returns whom it changed.

    Raises `Conflict` when the field has become of another kind.
    """
    access.require("contacts.edit")
    field = next((one for one in known(lock=True) if one.key == key), None)
    if field is None or (
        value is not None and not kinds.fits(field.kind, field.choices, value)
    ):
        raise Conflict("field_changed", _("The field was changed in the meantime."))
    has = func.jsonb_extract_path(Contact.attributes, _word(key))
    new: Any = Contact.attributes.op("-")(_word(key))
    differs: ColumnElement[bool] = has.is_not(None)
    if value is not None:
        pair = cast({key: value}, JSONB)
        new, differs = Contact.attributes.op("||")(pair), ~Contact.attributes.contains(pair)
    done = db.session().execute(
        update(Contact)
        .where(
            Contact.account_id == current_account(), Contact.id.in_(contact_ids), differs
        )
        .values(attributes=new, updated_at=func.clarion_now())
        .returning(Contact.id)
        .execution_options(synchronize_session=False, audited=True)
    )
    changed = list(done.scalars())
    deeds.note("field", field.title, changed)
    audit.record("contacts.field.given", field, people=len(changed))
    return changed


def typed(given: Mapping[str, str]) -> dict[str, kinds.Value]:
    """Read values as they were typed, by key; keys nobody described are text.

    Raises `Invalid` that names the form's field `own-<key>`.
    """
    described = {one.key: one for one in known(lock=True)}
    out: dict[str, kinds.Value] = {}
    for key, said in given.items():
        if not said.strip():
            continue
        field = described.get(key)
        kind, choices = (field.kind, field.choices) if field else ("text", [])
        try:
            out[key] = kinds.read(kind, choices, said)
        except Invalid as refused:
            raise Invalid(refused.code, refused.text, field=f"own-{key}") from None
    return out


def key_of(title: str, taken: set[str]) -> str:
    """Make a key from a title: small letters, digits and low lines, unlike all others."""
    stem = re.sub(r"\W+", "_", plain(title)).strip("_")[:56] or "field"
    key, number = stem, 1
    while key in taken:
        number += 1
        key = f"{stem}_{number}"
    return key


# --- values, all at once


def _turn_over(
    field: Field, title: str, kind: str, choices: list[str], *, aside: bool
) -> int:
    value = _text_of(field.key)
    misfit = not_(_fitting(kind, choices, value))
    query = select(func.count()).select_from(Contact).where(_having(field.key), misfit)
    count = int(db.session().scalar(query) or 0)
    if count and not aside:
        raise Conflict(
            "field_misfits",
            _("%(count)s people have a value that would not fit.", count=count),
            field="kind",
        )
    if count:
        _move_aside(field, title, misfit, value)
    if kind != field.kind:
        _convert(field.key, kind, value)
    return count


def _move_aside(field: Field, title: str, misfit: ColumnElement[bool], value: Any) -> None:
    """Put values that do not fit into a text field of their own."""
    others = {one.key for one in known()} | set(unknown_keys())
    key = key_of(f"{field.key}_before", others)
    _made(key, _("%(title)s (before)", title=title)[:LONGEST_TITLE], "text", [])
    without = Contact.attributes.op("-")(cast(field.key, Text))
    beside = func.jsonb_build_object(cast(key, Text), value)
    db.session().execute(
        update(Contact)
        .where(_having(field.key), misfit)
        .values(attributes=without.op("||")(beside), updated_at=func.clarion_now())
        .execution_options(synchronize_session=False, audited=True)
    )


def _convert(key: str, kind: str, value: ColumnElement[str]) -> None:
    """Give every value the form of its new kind; all of them fit by now."""
    shapes: dict[str, ColumnElement[Any]] = {
        "number": func.to_jsonb(cast(value, Numeric)),
        "yes_no": func.to_jsonb(func.lower(value).in_(kinds.YES)),
    }
    new = shapes.get(kind, func.to_jsonb(value))
    pair = func.jsonb_build_object(cast(key, Text), new)
    db.session().execute(
        update(Contact)
        .where(_having(key))
        .values(attributes=Contact.attributes.op("||")(pair), updated_at=func.clarion_now())
        .execution_options(synchronize_session=False, audited=True)
    )


def _having(key: str) -> ColumnElement[bool]:
    return and_(
        Contact.account_id == current_account(),
        Contact.attributes.has_key(key),
    )


def _text_of(key: str) -> ColumnElement[str]:
    """Give a value as text; yes and no in words, as `kinds.written` has them."""
    raw = func.jsonb_extract_path(Contact.attributes, cast(key, Text))
    text: ColumnElement[str] = func.jsonb_extract_path_text(
        Contact.attributes, cast(key, Text)
    )
    return case(
        (raw == cast(literal("true"), JSONB(astext_type=Text())), _word("yes")),
        (raw == cast(literal("false"), JSONB(astext_type=Text())), _word("no")),
        else_=text,
    )


def _fitting(
    kind: str, choices: list[str], value: ColumnElement[str]
) -> ColumnElement[bool]:
    if kind == "number":
        digits = func.length(
            func.regexp_replace(value, _word("[^0-9]"), _word(""), _word("g"))
        )
        return and_(value.regexp_match(kinds.NUMBER), digits <= kinds.MOST_DIGITS)
    if kind == "date":
        return value.regexp_match(kinds.DATE)
    if kind == "yes_no":
        return func.lower(value).in_([*kinds.YES, *kinds.NO])
    if kind == "choice":
        return value.in_(choices)
    return literal(True)


def _word(said: str) -> ColumnElement[str]:
    return cast(said, Text)


# --- one field


def _checked(title: str, kind: str, choices: Sequence[str]) -> tuple[str, list[str]]:
    said = clean(title, LONGEST_TITLE + 1)
    if not said:
        raise Invalid("field_empty", _("Give the field a name."), field="title")
    if len(said) > LONGEST_TITLE:
        raise Invalid("field_title", _("At most 80 letters."), field="title")
    if kind not in FIELD_KINDS:
        raise Invalid("field_kind", _("Choose what kind of field it is."), field="kind")
    if kind != "choice":
        return said, []
    options = list(
        dict.fromkeys(filter(None, (clean(one, LONGEST_CHOICE + 1) for one in choices)))
    )
    if not options:
        raise Invalid("field_choices", _("Write at least one choice."), field="choices")
    if len(options) > MOST_CHOICES or any(len(one) > LONGEST_CHOICE for one in options):
        raise Invalid(
            "field_choices",
            _("At most 200 choices, of at most 120 letters each."),
            field="choices",
        )
    return said, options


def _made(key: str, title: str, kind: str, choices: list[str]) -> Field:
    rows = known()
    if len(rows) >= MOST_FIELDS:
        raise Conflict("fields_many", _("An account can have 100 fields."), field="title")
    if any(one.title.casefold() == title.casefold() for one in rows):
        raise Conflict("field_exists", _("There is a field of this name."), field="title")
    last = max((one.position for one in rows), default=0)
    field = Field(
        id=db.new_id(), key=key, title=title, kind=kind, choices=choices, position=last + 1
    )
    db.session().add(field)
    db.session().flush()
    audit.record("contacts.field.added", field, kind=kind)
    return field


def _loaded(field_id: UUID, *, lock: bool = False) -> Field:
    query = select(Field).where(Field.account_id == current_account(), Field.id == field_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    field = db.session().scalar(query)
    if field is None:
        raise NotFound("field_unknown", _("There is no such field."))
    return field
