"""The list of people: filtered, sorted, a page at a time; as many queries for any page."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    false,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from clarion.base import db
from clarion.base.patience import PATIENCE_MS, patiently, planned_anew
from clarion.messaging.models import InboundMessage
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Contact, List, Listing, Tag, Tagging
from clarion_contacts.service import filters as narrowing
from clarion_contacts.service import searching
from clarion_contacts.service.fields import known
from clarion_contacts.service.filters import Filters
from clarion_contacts.service.silence import silenced

PAGE = 50
COUNT_TO = 10_000
SOON_MS = 15  # how long a page waits for the number of people on all of its pages
Sort = Literal["newest", "oldest", "name", "heard"]
SORTS: tuple[Sort, ...] = ("newest", "oldest", "name", "heard")
NEVER = dt.datetime(1, 1, 1, tzinfo=dt.UTC)  # when somebody wrote who never did


@dataclass(frozen=True, slots=True)
class Line:
    """One contact as the list shows it. `state` is the consent, or the wish for silence."""

    id: UUID
    name: str
    phone: str
    email: str
    country: str
    language: str
    consent: str
    added_at: dt.datetime
    attributes: dict[str, Any]
    tags: tuple[str, ...]
    lists: tuple[str, ...]
    heard_at: dt.datetime | None
    suppressed: bool

    @property
    def state(self) -> str:
        """Name the state of consent that a pill shows."""
        return "opted_out" if self.suppressed else self.consent


@dataclass(frozen=True, slots=True)
class Count:
    """How many people: `total` is exact up to 10,000, `more` says that there are more."""

    total: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list. `next` and `previous` are keys, None where there is nothing.

    `people` is None where counting them takes longer than the page: `count_found` says it then.
    """

    rows: list[Line]
    next: UUID | None
    previous: UUID | None
    people: Count | None


def find(
    filters: Filters | str = "",
    *,
    sort: Sort = "newest",
    after: UUID | None = None,
    before: UUID | None = None,
    limit: int = PAGE,
) -> Page:
    """List people, by default the newest first.

    Pages by key: `after` and `before` are ids of contacts on the pages beside. A person
    who was erased in between is no key any more: the list begins again.
    """
    access.require("contacts.view")
    wanted = Filters(words=filters) if isinstance(filters, str) else filters
    narrowed = narrowing.narrowed(wanted, known())
    planned_anew()
    hits = searching.found(wanted.words)
    rows, further, turned = _page(narrowed.where(*hits.reading), sort, after, before, limit)
    onwards, back = (before is not None or further), (after is not None)
    if turned:
        back = further
    people = None
    if not onwards and not back:
        people = Count(len(rows))  # all of them are on the page
    elif not hits.many:
        people = _counted(narrowed.where(*hits.counting), SOON_MS)
    return Page(
        rows=rows,
        next=rows[-1].id if rows and onwards else None,
        previous=rows[0].id if rows and back else None,
        people=people,
    )


def count_found(filters: Filters) -> Count | None:
    """Count whom filters leave, for who has seen the page; None when it takes too long."""
    access.require("contacts.view")
    hits = searching.found(filters.words)
    return _counted(narrowing.narrowed(filters, known()).where(*hits.counting), PATIENCE_MS)


def count_all(filters: Filters) -> int:
    """Count exactly whom filters leave, however many."""
    access.require("contacts.view")
    query = narrowing.chosen(filters, known()).with_only_columns(func.count())
    return int(db.session().scalar(query) or 0)


def _counted(chosen: Select[Any], patience_ms: int) -> Count | None:
    """Count up to 10,000, and give up after a while."""
    capped = chosen.with_only_columns(Contact.id).limit(COUNT_TO + 1).subquery()
    query = select(func.count()).select_from(capped)
    total = patiently(lambda: db.session().scalar(query), patience_ms)
    return None if total is None else Count(min(total, COUNT_TO), total > COUNT_TO)


def _page(
    chosen: Select[Any], sort: Sort, after: UUID | None, before: UUID | None, limit: int
) -> tuple[list[Line], bool, bool]:
    """Read a page; says whether there is more that way, and whether it was read backwards."""
    turned = before is not None
    place = None if (at := before or after) is None else _place(at, sort)
    if sort == "heard":
        chosen = chosen.where(Contact.id.in_(_near(chosen, place, turned, limit + 1)))
    query, keys = _sorted(chosen, sort)
    query = _beyond(query, keys, place, turned=turned)
    order = [key.desc() if descending != turned else key.asc() for key, descending in keys]
    found = db.session().execute(query.order_by(*order).limit(limit + 1))
    rows = [_line(row) for row in found]
    further = len(rows) > limit
    rows = rows[:limit]
    if turned:
        rows.reverse()
    return rows, further, turned


Keys = Sequence[tuple[ColumnElement[Any], bool]]


def _sorted(chosen: Select[Any], sort: Sort) -> tuple[Select[Any], Keys]:
    """Give the query of lines and what it is sorted by: (key, descending), the id last."""
    query = _lines(chosen)
    if sort == "name":
        return query, [(func.lower(Contact.name), False), (Contact.id.expression, False)]
    if sort == "heard":
        at = func.coalesce(_heard(), literal(NEVER))
        return query, [(at, True), (Contact.id.expression, True)]
    return query, [(Contact.id.expression, sort == "newest")]


def _near(
    chosen: Select[Any], place: tuple[Any, ...] | None, turned: bool, count: int
) -> Select[Any]:
    """Choose whom a page by the last answer can show: few have written, most never did.

    Both kinds are looked for apart, each by what orders it, so that nobody sorts a million.
    """
    last = (
        select(InboundMessage.contact_id, func.max(InboundMessage.sent_at).label("at"))
        .where(InboundMessage.account_id == current_account())
        .group_by(InboundMessage.contact_id)
        .subquery("last")
    )
    wrote = chosen.join(last, last.c.contact_id == Contact.id)
    keys = [(last.c.at.expression, True), (Contact.id.expression, True)]
    wrote = _beyond(wrote, keys, place, turned=turned)
    never = chosen.where(_heard().is_(None))
    if place is not None and place[0] == NEVER:
        beyond = Contact.id > place[1] if turned else Contact.id < place[1]
        never = never.where(beyond)
    elif place is not None and turned:
        never = never.where(false())
    parts = []
    for part, by in ((wrote, [last.c.at, Contact.id]), (never, [Contact.id])):
        order = [one.asc() if turned else one.desc() for one in by]
        parts.append(
            part.with_only_columns(Contact.id).order_by(*order).limit(count).subquery()
        )
    return union_all(*(select(part.c.id) for part in parts)).subquery().select()


def _heard() -> ScalarSelect[Any]:
    """Say when a contact wrote for the last time."""
    return (
        select(func.max(InboundMessage.sent_at))
        .where(
            InboundMessage.account_id == Contact.account_id,
            InboundMessage.contact_id == Contact.id,
        )
        .correlate(Contact)
        .scalar_subquery()
    )


def _place(at: UUID, sort: Sort) -> tuple[Any, ...] | None:
    """Say where a person stands in the order; None when they are not there any more."""
    if sort in ("newest", "oldest"):
        return (at,)
    alone = select(Contact).where(Contact.account_id == current_account(), Contact.id == at)
    query, ((key, _down), _own) = _sorted(alone, sort)
    here = db.session().execute(query.with_only_columns(key)).first()
    return None if here is None else (here[0], at)


def _beyond(
    query: Select[Any], keys: Keys, place: tuple[Any, ...] | None, *, turned: bool
) -> Select[Any]:
    """Leave what comes after a place in the order of the keys; before it when turned."""
    if place is None:
        return query
    mine = tuple_(*(key for key, _down in keys))
    theirs = tuple_(
        *(literal(value, key.type) for (key, _down), value in zip(keys, place, strict=True))
    )
    backwards = keys[0][1] != turned
    return query.where(mine < theirs if backwards else mine > theirs)


def _lines(chosen: Select[Any]) -> Select[Any]:
    tags = (
        select(func.array_agg(aggregate_order_by(Tag.name, Tag.key)))
        .join(Tagging, and_(Tagging.account_id == Tag.account_id, Tagging.tag_id == Tag.id))
        .where(Tagging.account_id == Contact.account_id, Tagging.contact_id == Contact.id)
        .correlate(Contact)
        .scalar_subquery()
    )
    lists = (
        select(func.array_agg(aggregate_order_by(List.name, List.key)))
        .join(
            Listing, and_(Listing.account_id == List.account_id, Listing.list_id == List.id)
        )
        .where(Listing.account_id == Contact.account_id, Listing.contact_id == Contact.id)
        .correlate(Contact)
        .scalar_subquery()
    )
    return chosen.with_only_columns(
        Contact.id,
        Contact.name,
        func.coalesce(Contact.phone, ""),
        Contact.email,
        Contact.country,
        Contact.language,
        Contact.consent,
        Contact.created_at,
        Contact.attributes,
        tags,
        lists,
        _heard(),
        silenced(),
    )


def _line(row: Any) -> Line:  # Any: a row of `_lines`
    tags, lists, heard, quiet = row[9:]
    return Line(*(*row[:9], tuple(tags or ()), tuple(lists or ()), heard, quiet))
