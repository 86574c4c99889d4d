"""One page of a list by key: as fast behind a million rows as at the first.

Ordered by one column and the primary key; the page after a row is found by that row's
key. Nothing is skipped row by row, and nothing is counted further than a cap.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from clarion.base.patience import planned_anew

CAP = 1_000  # shown as "more than 1,000"
NEAR = 8_000  # rows that are looked at one by one, in 4 to 8 ms
SHORT = 3  # letters; an index of three letters each finds nothing for fewer


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page: the order, and the row before it or behind it.

    Attributes:
        column: what to sort by, of the model.
        falling: the greatest first.
        after: key of the last row of the page before.
        before: key of the first row of the page behind; `after` goes first.
    """

    column: Any
    falling: bool = False
    after: Any = None  # Any: a key, as the table has it
    before: Any = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One page: its rows, the keys that lead on and back, and how many rows there are.

    Attributes:
        rows: in order.
        count: how many there are, up to one more than the cap.
        after: key for the next page; None on the last.
        before: key for the page before; None on the first.
    """

    rows: Sequence[Any]
    count: int
    after: Any = None
    before: Any = None


def read(
    orm: Session,
    query: Any,  # Any: a Select of one model that FAB's filters have been at
    key: Any,
    asked: Asked,
    *,
    size: int,
    options: Sequence[Any] = (),
) -> Leaf:
    """Read one page in one statement, and count to the cap in another where that must be.

    Under row level security PostgreSQL looks at no statistics of a text: it cannot know
    whether a word is in every second row or in none, and a wrong guess reads a million
    rows. So both statements look at the nearest `NEAR` rows first: what is frequent is
    found there. Only what is not goes by its own index, which then gives few rows.
    """
    order = _never_null(asked.column)
    back = asked.after is None and asked.before is not None
    falling = asked.falling is not back
    anchor = asked.before if back else asked.after
    planned_anew(orm)  # a text that is known is found by its beginning
    filters, beyond = query.whereclause, []
    if anchor is not None:
        place = select(order).where(key == anchor).correlate(None).scalar_subquery()
        here, there = tuple_(order, key), tuple_(place, anchor)
        beyond.append(here < there if falling else here > there)
    found, far = _found(key, order, filters, (size + 1, beyond, falling))
    page = select(key.class_, _capped(far)).where(key.in_(found)).options(*options)
    got = orm.execute(page.order_by(*_ways(falling, order, key))).all()
    rows, more = [row for row, _count in got[:size]], len(got) > size
    if back:
        rows.reverse()
    if far is None or beyond or (rows and not got[0][1]):
        counted = chosen(key, order, filters, falling=None, most=CAP + 1)
        count = orm.scalar(select(_capped(counted))) or 0
    else:  # all that match have been looked up for this page
        count = got[0][1] if rows else 0
    ends = (getattr(rows[0], key.key), getattr(rows[-1], key.key)) if rows else (None, None)
    return Leaf(
        rows,
        count,
        after=ends[1] if more or back else None,
        before=ends[0] if (more if back else anchor is not None) else None,
    )


def chosen(
    key: Any,  # Any: columns and conditions of a model, and statements
    order: Any,
    filters: Any = None,
    *,
    most: int,
    beyond: Sequence[Any] = (),
    falling: bool | None = True,
) -> Any:
    """Choose up to `most` keys: of the nearest rows, if as many of them pass the filters.

    Each part is planned for itself, whatever is guessed about the filters: the near rows
    are walked in order, the others are all looked up before they are sorted. What is
    frequent and yet nowhere near takes longest: 220 ms for a quarter of a million rows.

    Args:
        key: the primary key.
        order: what comes before the key in the order; never null.
        filters: a condition on the key's table; others than it only in subqueries.
        most: how many.
        beyond: where the page begins.
        falling: the greatest first; None when the order does not matter.
    """
    return _found(key, order, filters, (most, beyond, falling))[0]


def _found(
    key: Any, order: Any, filters: Any, page: tuple[int, Sequence[Any], bool | None]
) -> tuple[Any, Any]:
    """Answer the keys, and what is looked up where the near rows are not enough."""
    most, beyond, falling = page
    wanted = select(key.expression, order.label("place")).where(*beyond)
    if filters is None:
        plain = wanted.with_only_columns(key.expression)
        return plain.order_by(*_ways(falling, order, key)).limit(most), None
    place = wanted.selected_columns.place
    parts = [one for part in (key.expression, place, filters) for one in iterate(part)]
    mine = {c.key: c for c in parts if isinstance(c, Column) and c.table is key.table}
    walk = wanted.with_only_columns(*mine.values())
    rows = walk.order_by(*_ways(falling, order, key)).limit(NEAR).subquery("near_rows")

    def moved(element: Any, **_: Any) -> Any:
        ours = isinstance(element, Column) and element.table is key.table
        return rows.c[element.key] if ours else None

    def there(what: Any) -> Any:
        found: Any = replacement_traverse(what, {}, moved)
        return found

    passing = select(there(key.expression), there(place)).where(there(filters))
    passing = passing.order_by(*_ways(falling, there(place), there(key.expression)))
    near = passing.limit(most).cte("near").prefix_with("MATERIALIZED")
    enough = select(func.count()).select_from(near).scalar_subquery() >= most
    far = wanted.where(filters, ~enough).cte("far").prefix_with("MATERIALIZED")
    others = select(far).order_by(*_ways(falling, far.c.place, far.c[key.key]))
    both = union_all(select(near).where(enough), others.limit(most)).subquery()
    return select(both.c[key.key]), select(far)


def _capped(found: Any) -> Any:
    """Count rows, up to one more than the cap."""
    if found is None:
        return literal(0)
    some = found.limit(CAP + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _ways(falling: bool | None, *columns: Any) -> list[Any]:
    if falling is None:
        return []
    return [one.desc() if falling else one.asc() for one in columns]


def inside(column: Any, value: str) -> ColumnElement[bool]:
    """Say that a text is anywhere inside; a short one, at the beginning.

    An index of three letters each serves it, or one of the small letters (`models.words`),
    also under row level security where the policy lets the role see all: `USING (true)`
    hides nothing.
    """
    if len(value) < SHORT:
        return begins(column, value)
    found: ColumnElement[bool] = column.icontains(value, autoescape=True)
    return found


def containing(query: Any, column: Any, value: str) -> Any:
    """Keep the rows with a text anywhere inside; with a short one, at the beginning."""
    return query.where(inside(column, value))


def beginning(query: Any, column: Any, value: str) -> Any:
    """Keep the rows that begin with a text."""
    return query.where(begins(column, value))


def begins(column: Any, value: str) -> ColumnElement[bool]:
    """Say that a text is at the beginning, in any case."""
    found: ColumnElement[bool] = func.lower(column).startswith(
        value.lower(), autoescape=True
    )
    return found


def _never_null(column: Any) -> ColumnElement[Any]:
    """Sort what is not known before everything else, for it can be compared with nothing."""
    if not column.expression.nullable:
        ordered: ColumnElement[Any] = column
        return ordered
    if isinstance(column.type, DateTime):
        zone = dt.UTC if column.type.timezone else None
        return func.coalesce(
            column, literal(dt.datetime(1, 1, 1, tzinfo=zone), column.type)
        )
    return func.coalesce(column, literal("" if column.type.python_type is str else 0))
