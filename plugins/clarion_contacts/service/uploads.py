"""An uploaded file: kept sealed, and what was found out about its shape."""

import datetime as dt
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import undefer

from clarion.base import crypto, db
from clarion.base.errors import ClarionError, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging.address import regions
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import (
    Column,
    Matching,
    Shape,
    Table,
    confined,
    judge,
    looking,
)
from clarion_contacts.importing import ours as exported
from clarion_contacts.importing.columns import key_for
from clarion_contacts.importing.kinds import KINDS, Kind, Value
from clarion_contacts.importing.source import Source
from clarion_contacts.importing.tables import MAX_BYTES, below, too_large
from clarion_contacts.models import Field, Import, ImportPart
from clarion_contacts.service.people import default_country

PART = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was looked at, and what a child found in it."""

    file: BinaryIO
    size: int
    digest: bytes
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ColumnView:
    """One column of the file and where it goes.

    Attributes:
        state: sure, check, yours, clash, left_out, or last: as the last list had it.
        kind: what a field of one's own holds, with its `choices`.
        can_choose: there are few enough different cells to be choices.
        settled: the field is there already, so that its kind is not asked.
    """

    index: int
    name: str
    samples: tuple[str, ...]
    filled: int
    field: str
    own_name: str
    confidence: int
    state: str
    help: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    can_choose: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """An uploaded list as its pages show it.

    `problem` says why the columns cannot be used like this; empty when they can.
    `preview` is the first person, as (what, value). `sheets` are names and whether they are
    hidden. `as_last` is the list with the same header whose choices were taken. `own` are
    the titles of the account's own fields.
    """

    row: Import
    columns: list[ColumnView]
    notes: list[str]
    preview: list[tuple[str, str]]
    problem: str
    earlier: dt.datetime | None
    sheets: list[tuple[str, bool]]
    as_last: Import | None
    own: list[str]

    @property
    def fields(self) -> set[str]:
        """Name the fields that columns go to."""
        return {one.field for one in self.columns if one.field}


def uploader(import_id: UUID) -> str:
    """Name who uploaded a list, as `created_by` does; "" when the list is gone."""
    query = select(Import.created_by).where(
        Import.account_id == current_account(), Import.id == import_id
    )
    return db.session().scalar(query) or ""


def get(import_id: UUID, *, lock: bool = False) -> Import:
    """Load one import of this account, or raise `NotFound`."""
    query = select(Import).where(
        Import.account_id == current_account(), Import.id == import_id
    )
    query = query.options(undefer(Import.guessed))
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = db.session().scalar(query)
    if row is None:
        raise NotFound("import_unknown", _("There is no such import."))
    return row


def look(file: BinaryIO, **chosen: Any) -> Seen:
    """Have a child open a file; no connection is held meanwhile.

    `chosen` may say encoding, delimiter, header, sheet and country; what it does not is
    guessed. Raises `Invalid` (codes `file_…`).
    """
    order = {**chosen, "country": chosen.get("country") or default_country()}
    size = file.seek(0, os.SEEK_END)
    if size > MAX_BYTES:
        raise too_large()
    db.let_go()
    told = json.loads(confined.only(looking.look, file, order))
    digest = hashlib.sha256()
    for chunk in Source.of(file).chunks():
        digest.update(chunk)
    return Seen(file, size, digest.digest(), told)


def store(import_id: UUID, file: BinaryIO) -> None:
    """Keep a file in sealed parts: one alone is in memory at a time.

    Each is sealed for its number and for being the last or not, so that parts can neither
    change places nor be missing.
    """
    file.seek(0)
    number, part = 0, file.read(PART)
    while part:
        after = file.read(PART)
        body = crypto.seal(
            part,
            place=_place(import_id, number, last=not after),
            account_id=current_account(),
        )
        values = {"import_id": import_id, "number": number, "body": body}
        db.session().execute(insert(db.table_of(ImportPart)), values)
        number, part = number + 1, after


@contextmanager
def opened(row: Import) -> Iterator[BinaryIO]:
    """Open the kept file, in a nameless temporary one. Raises `NotFound` when forgotten."""
    with tempfile.TemporaryFile() as file:
        for part in _parts(row):
            file.write(part)
        file.flush()
        yield cast("BinaryIO", file)


def _parts(row: Import) -> Iterator[bytes]:
    mine = (
        ImportPart.account_id == current_account(),
        ImportPart.import_id == row.id,
    )
    count = (
        db.session().scalar(select(func.count()).select_from(ImportPart).where(*mine)) or 0
    )
    if not count:
        yield _original(row)
    for number in range(count):
        body = db.session().scalar(
            select(ImportPart.body).where(*mine, ImportPart.number == number)
        )
        place = _place(row.id, number, last=number == count - 1)
        yield crypto.unseal(body or b"", place=place, account_id=row.account_id)


def _original(row: Import) -> bytes:
    """Open what a release kept that had no parts; for the 24 hours of an upgrade."""
    query = select(Import.original).where(
        Import.account_id == current_account(), Import.id == row.id
    )
    sealed = db.session().scalar(query)
    if sealed is None:
        raise _forgotten()
    place = f"contacts_import.original:{row.id}"
    return crypto.unseal(sealed, place=place, account_id=row.account_id)


def shred(row: Import) -> None:
    """Forget a file and what was seen in it."""
    row.original, row.guessed = None, {}
    db.session().execute(
        delete(ImportPart)
        .where(ImportPart.account_id == current_account(), ImportPart.import_id == row.id)
        .execution_options(synchronize_session=False)
    )


def _forgotten() -> NotFound:
    return NotFound(
        "upload_forgotten",
        _("The file is not kept any longer than 24 hours. Upload it again."),
    )


def matching(row: Import) -> Matching:
    """Read the kept choice of columns. Raises `Invalid` (codes `mapping_…`)."""
    kept = row.guessed.get("columns", ())
    ours = own_fields()
    kinds: dict[int, tuple[Kind, Sequence[str]]] = {
        place: _typed(kept[place], _own_name(kept[place], said), row.kinds, place, ours)
        for at, said in row.mapping.items()
        if said.partition(":")[0] == "custom" and (place := int(at)) < len(kept)
    }
    return Matching.of(
        light(row),
        {int(place): said or None for place, said in row.mapping.items()},
        region=row.country or None,
        day_first=row.day_first,
        kinds=kinds,
    )


def keep_seen(row: Import, told: Mapping[str, Any], *, fresh: bool = False) -> None:
    """Keep what a child found in a file and what was chosen last time, unless `fresh`."""
    shape, columns = told["shape"], told["columns"]
    row.format, row.sheet, row.header = shape["format"], shape["sheet"], told["header"]
    row.encoding, row.delimiter = shape["encoding"], shape["delimiter"]
    row.row_count = told["row_count"]
    row.country = row.country or told["region"]
    row.kinds, row.day_first, row.recalled_id = {}, None, None
    row.mapping = {
        str(at): f"custom:{one['name']}" if one["field"] == "custom" else one["field"]
        for at, one in enumerate(columns)
        if one["filled"]  # nobody has said anything about an empty column
    }
    row.names = [one["name"] for one in columns]
    if row.header and exported.is_ours(row.names):
        row.mapping = {**row.mapping, **_told_by_headings(row.names)}
    row.header_digest = header_digest(row.names) if row.header else None
    row.guessed = {
        "shape": shape,
        "last": {} if fresh else _recall(row),
        **{name: told[name] for name in ("columns", "head", "notes", "sure", "sheets")},
    }


def shape_of(row: Import) -> Shape:
    """Say how the rows of a file are read again. Raises `NotFound` when it is forgotten."""
    kept = row.guessed
    if not kept:
        raise _forgotten()
    return Shape(**kept["shape"]) if "shape" in kept else _older_shape(row)


def _older_shape(row: Import) -> Shape:
    """Read what releases wrote that knew no workbooks; for the 24 hours of an upgrade."""
    kept = row.guessed
    width = len(kept["columns"])
    return Shape(
        "csv", row.encoding, kept["mixed"], row.delimiter, 0, kept["header_row"], width
    )


def light(row: Import) -> Table:
    """Make the table of what was kept of the file: enough to match columns, no bytes."""
    shape, kept = shape_of(row), row.guessed
    sure = kept["sure"]
    return Table(
        shape=shape,
        encoding_sure=sure[0],
        delimiter_sure=sure[1],
        header=row.header,
        header_sure=sure[2],
        columns=tuple(
            Column(place, one["name"], tuple(one["samples"]), one["filled"])
            for place, one in enumerate(kept["columns"])
        ),
        row_count=row.row_count,
        head=tuple((at, list(cells)) for at, cells in kept["head"]),
    )


# --- the same header again


def header_digest(names: Sequence[str]) -> bytes:
    """Recognise a header whatever the order of its columns."""
    said = sorted(map(_folded, names))
    return hashlib.sha256("\x1f".join(said).encode()).digest()


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _recall(row: Import) -> dict[str, str]:
    """Take columns, country and dates as the last list with this header had them.

    Returns what each column went to then; empty when there was no such list.
    """
    last = db.session().scalar(
        select(Import)
        .where(
            Import.account_id == current_account(),
            Import.header_digest == row.header_digest,
            Import.state == "done",
            Import.id != row.id,
        )
        .order_by(Import.id.desc())
        .limit(1)
    )
    if last is None:
        return {}
    said = {
        _folded(name): (last.mapping.get(str(at)), last.kinds.get(str(at)))
        for at, name in enumerate(last.names)
    }
    for at, name in enumerate(row.names):
        field, kind = said[_folded(name)]
        if field is not None:
            row.mapping = {**row.mapping, str(at): field}
        if kind:
            row.kinds = {**row.kinds, str(at): kind}
    row.country = last.country or row.country
    row.day_first, row.recalled_id = last.day_first, last.id
    return dict(row.mapping)


def recalled(row: Import) -> Import | None:
    """Find the list this one was matched like; its answers are offered again."""
    if row.recalled_id is None:
        return None
    return db.session().scalar(
        select(Import).where(
            Import.account_id == current_account(), Import.id == row.recalled_id
        )
    )


# --- fields of one's own


def own_fields() -> dict[str, Field]:
    """List the account's own fields by key."""
    query = select(Field).where(Field.account_id == current_account())
    return {one.key: one for one in db.session().scalars(query)}


def _typed(
    kept: Mapping[str, Any],
    name: str,
    chosen: Mapping[str, str],
    place: int,
    ours: Mapping[str, Field],
) -> tuple[Kind, Sequence[str]]:
    """Say what a column of one's own holds: as its field is, else as chosen or guessed."""
    if known := ours.get(key_for(name)):
        return cast("Kind", known.kind), known.choices
    if told := exported.own(name):
        return cast("Kind", told.kind), told.choices
    guessed = kept.get("kind", "text")
    kind = chosen.get(str(place), guessed)
    choices = kept.get("choices", ())
    if kind == "choice" and not choices:
        return "text", ()
    return cast("Kind", kind), choices if kind == "choice" else ()


def _own_name(kept: Mapping[str, Any], said: str) -> str:
    return said.partition(":")[2] or str(kept["name"])


def make_fields(row: Import) -> None:
    """Make the fields a list brings that the account has not got yet."""
    chosen = matching(row)
    ours = own_fields()
    position = max((one.position for one in ours.values()), default=0)
    for place, key in chosen.keys.items():
        if key in ours or key in ("first_name", "last_name"):
            continue
        typing = chosen.typings.get(place)
        name = _own_name(row.guessed["columns"][place], row.mapping[str(place)])
        told = exported.own(name)
        title = told.title if told else name
        position += 1
        db.session().add(
            Field(
                key=key,
                title=title[:80],
                kind=typing.kind if typing else "text",
                choices=list(typing.choices) if typing else [],
                position=position,
                import_id=row.id,
            )
        )
    db.session().flush()


def choose(
    row: Import,
    fields: Mapping[int, str],
    country: str,
    day_first: bool | None,
    kinds: Mapping[int, str] | None = None,
) -> None:
    """Keep a choice of columns as it is, even an impossible one."""
    columns = row.guessed.get("columns", ())
    width = len(columns)
    row.mapping = {
        str(at): _as_told(columns[at]["name"], said) if 0 <= at < width else said
        for at, said in fields.items()
        if 0 <= at < width and (said or columns[at]["filled"])
    }
    row.kinds = {
        str(at): kind for at, kind in (kinds or {}).items() if at < width and kind in KINDS
    }
    row.day_first = day_first
    if country:
        row.country = country_of(country)


def _told_by_headings(names: Sequence[str]) -> dict[str, str]:
    """Match columns of our own file that are empty: nobody agreed, nobody has a value."""
    told = {str(at): f"custom:{one}" for at, one in enumerate(names) if exported.own(one)}
    return told | {str(at): one for at, one in enumerate(names) if one == "consent"}


def _as_told(name: str, said: str) -> str:
    """Keep what the heading of our own file says about a field, whatever it is called."""
    return f"custom:{name}" if said.startswith("custom") and exported.own(name) else said


def described(row: Import) -> Described:
    kept = row.guessed
    ours = own_fields()
    taken = [said.partition(":")[0] for said in row.mapping.values() if said]
    columns = [
        _column(place, one, row, taken, ours)
        for place, one in enumerate(kept.get("columns", ()))
    ]
    problem, preview = "", list[tuple[str, str]]()
    try:
        if kept:
            preview = _preview(row, matching(row))
    except ClarionError as refused:
        problem = refused.text
    return Described(
        row=row,
        columns=columns,
        notes=list(kept.get("notes", ())),
        preview=preview,
        problem=problem,
        earlier=_earlier(row),
        sheets=[(name, hidden) for name, hidden in kept.get("sheets", ())],
        as_last=recalled(row),
        own=[one.title for one in sorted(ours.values(), key=lambda one: one.position)],
    )


def _column(
    place: int,
    kept: Mapping[str, Any],
    row: Import,
    taken: list[str],
    ours: Mapping[str, Field],
) -> ColumnView:
    said = row.mapping.get(str(place), "")
    field, _colon, own = said.partition(":")
    own = own or (kept["name"] if field == "custom" else "")
    known = ours.get(key_for(own)) if own else None
    state, helped = kept["state"], kept["help"]
    if field not in ("", "custom", "tags", "lists") and taken.count(field) > 1:
        state = "clash"
        helped = _("Two columns are matched to the same field; choose one.")
    elif not field:
        state = "left_out"
    elif row.guessed.get("last", {}).get(str(place)) == said:
        state, helped = "last", ""
    elif field != kept["field"]:
        state, helped = "yours", ""
    elif state == "clash":
        state, helped = "sure", ""
    kind, choices = _typed(kept, own, row.kinds, place, ours) if own else ("text", ())
    told = exported.own(own)
    return ColumnView(
        index=place,
        name=kept["name"],
        samples=tuple(kept["samples"]),
        filled=kept["filled"],
        field=field,
        own_name=known.title if known else told.title if told else own,
        confidence=kept["confidence"],
        state=state,
        help=helped,
        kind=kind,
        choices=tuple(choices),
        can_choose=bool(kept.get("choices")),
        settled=known is not None or told is not None,
    )


def _preview(row: Import, chosen: Matching) -> list[tuple[str, str]]:
    """Show the first person as the import would make them."""
    table = light(row)
    head = below(table.head, table.shape)
    said = next(iter(judge(head, chosen, row.country or None, {})), None)
    if said is None:
        return []
    shown = [
        (_("Phone number"), said.phone or said.sentence),
        (_("Name"), said.name),
        (_("E-mail"), said.email),
        (_("Language"), said.language),
        (_("Country"), said.country),
        (_("Time zone"), said.timezone.replace("_", " ")),
        (_("Tags"), ", ".join(said.tags)),
        (_("Lists"), ", ".join(said.lists)),
        (_("Agreed on"), str(said.consent_on) if said.consent_on else said.consent),
    ]
    titles = {
        key: _titled(row.mapping[str(at)].partition(":")[2] or chosen.names[at])
        for at, key in chosen.keys.items()
    } | {"first_name": _("First name"), "last_name": _("Last name")}
    shown += [(titles.get(key, key), _spoken(v)) for key, v in said.attributes.items()]
    return [(what, value) for what, value in shown if value]


def _titled(name: str) -> str:
    told = exported.own(name)
    return told.title if told else name


def _spoken(value: Value) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


def _earlier(row: Import) -> dt.datetime | None:
    """Say when the very same file was imported before."""
    query = select(func.max(Import.finished_at)).where(
        Import.account_id == current_account(),
        Import.file_digest == row.file_digest,
        Import.state == "done",
        Import.id != row.id,
    )
    return db.session().scalar(query)


def country_of(code: str) -> str:
    """Read a country's two letters, or raise `Invalid`."""
    said = code.strip().upper()
    if said not in regions():
        raise Invalid("country_unknown", _("Choose a country."), field="country")
    return said


def _place(import_id: UUID, number: int, *, last: bool) -> str:
    end = "last" if last else "more"
    return f"contacts_import_part.body:{import_id}:{number}:{end}"
