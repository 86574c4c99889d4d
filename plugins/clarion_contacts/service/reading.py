"""The dry run: judge every row of the file and put it, with its verdict, into a set.

A child reads and judges; pages are staged one transaction each, so that a worker that dies
goes on where it was. While PostgreSQL stores a page, the child judges the next.
"""

import contextvars
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Date,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.messaging import identifiers
from clarion.messaging.address import Kind
from clarion_contacts.importing import confined, pages
from clarion_contacts.models import ImportRow
from clarion_contacts.service import uploads

PAGE = 2_500
MOST_TAGS = 1_000
MOST_LISTS = 200


@dataclass(frozen=True, slots=True)
class Judged:
    """A page of judged rows: those after row `after`, up to row `to`, column by column."""

    after: int
    to: int
    columns: dict[str, str]
    count: int
    tags: dict[str, str]
    lists: dict[str, str]


def reader(import_id: UUID) -> Iterator[Judged]:
    """Open a list that is being checked, and judge it page by page from where it was.

    Empty when there is nothing to check (any more). The database is asked only before
    the first page.
    """
    row = uploads.get(import_id)
    if row.state != "checking":
        return iter(())
    told = pages.order(
        uploads.light(row),
        uploads.matching(row),
        row.country or None,
        after=row.read_to,
        size=PAGE,
    )
    with uploads.opened(row) as file:
        judged = _pages(confined.frames(pages.judged, file, told), row.read_to)
        # the file is opened with the first page, in the caller's transaction
        return chain(list(islice(judged, 1)), _ahead(judged))


def stage(import_id: UUID, page: Judged) -> bool:
    """Store a page. False when the list is not being checked any more, or not by us.

    Nobody waits for the disk: a page that is lost with the machine is read again, because
    `read_to` is lost with it.
    """
    db.session().execute(select(func.set_config("synchronous_commit", "off", True)))
    row = uploads.get(import_id, lock=True)
    if row.state != "checking" or row.read_to != page.after:
        return False
    known = {**row.counts.get("tags", {}), **page.tags}
    if len(known) > MOST_TAGS:
        raise Invalid(
            "import_too_many_tags",
            _("There are more than 1,000 different tags. Is this the right column?"),
        )
    on = {**row.counts.get("lists", {}), **page.lists}
    if len(on) > MOST_LISTS:
        raise Invalid(
            "import_too_many_lists",
            _("There are more than 200 different lists. Is this the right column?"),
        )
    given = {f"given_{name}": page.columns.get(name, "") for name in _GIVEN}
    db.session().connection().execute(_staging(), {**given, "list": import_id})
    row.counts = {**row.counts, "tags": known, "lists": on}
    row.read_to = page.to
    row.progress += page.count
    row.beat_at = func.clarion_now()
    return True


def _pages(frames: Iterator[bytes], after: int) -> Iterator[Judged]:
    indexers = {kind: identifiers.indexer(kind) for kind in _INDEX}
    for frame in frames:
        page = pages.Page.of(frame)
        columns = page.columns
        for name, seen in indexers.items():
            if cells := columns.get(name):
                idxs = [seen(cell) if cell else "" for cell in cells.split(pages.CELL)]
                columns[_INDEX[name]] = pages.CELL.join(idxs)
        yield Judged(after, page.to, columns, page.count, page.tags, page.lists)
        after = page.to


def _ahead(pages: Iterator[Judged]) -> Iterator[Judged]:
    """Take a page ready while PostgreSQL stores the one before: in a thread, one at most."""
    said = contextvars.copy_context()  # who acts, and in which language mistakes are told

    def following() -> Judged | None:
        return said.run(lambda: next(pages, None))

    with ThreadPoolExecutor(1) as other:
        coming = other.submit(following)
        while (page := coming.result()) is not None:
            coming = other.submit(following)
            yield page


_INDEX: dict[Kind, str] = {
    "phone": "idx",
    "wa_id": "wa_idx",
    "bsuid": "bsuid_idx",
    "parent_bsuid": "parent_idx",
    "email": "email_idx",
}
"""Where the index of each address goes; the first there is names the person."""
_GIVEN = (*pages.NAMES, *_INDEX.values())


@cache
def _staging() -> Any:  # Any: Insert of many
    """Write the statement that takes the columns of a page apart and stores its rows.

    Once for all pages: writing it takes as long as judging six of a page's rows a hundred.
    """
    cells = [
        func.string_to_array(bindparam(f"given_{name}", type_=Text), pages.CELL)
        for name in _GIVEN
    ]
    given = func.unnest(*cells).table_valued(*_GIVEN, name="given").render_derived()
    c = given.c

    def said(name: str) -> Any:  # Any: an expression of the column's type
        return func.nullif(c[name], "")

    shown: dict[str, Any] = {name: func.coalesce(c[name], "") for name in _GIVEN}
    shown |= {
        "line": cast(c.line, Integer),
        "state": case((func.coalesce(c.reason, "") == "", "new"), else_="invalid"),
        **{name: func.decode(said(name), "hex") for name in _INDEX.values()},
        "idx": func.decode(func.coalesce(*map(said, _INDEX.values())), "hex"),
        "tags": cast(func.coalesce(said("tags"), "[]"), JSONB),
        "lists": cast(func.coalesce(said("lists"), "[]"), JSONB),
        "attributes": cast(func.coalesce(said("attributes"), "{}"), JSONB),
        "said_on": cast(said("said_on"), Date),
        "notes": cast(func.coalesce(said("notes"), "0"), SmallInteger),
    }
    own = {
        "id": func.clarion_new_id(),
        "account_id": func.clarion_account(),
        "import_id": bindparam("list", type_=Uuid),
    }
    rows = select(*own.values(), *shown.values())
    return insert(db.table_of(ImportRow)).from_select(
        [*own, *shown], rows, include_defaults=False
    )
