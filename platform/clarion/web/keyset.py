"""One page of a list by key: as fast behind a million rows as at the first.

Ordered by one column and the primary key; the page after a row is found by that row's
key. Nothing is skipped row by row, and nothing is counted further than a cap.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, DateTime, func, literal, select, tuple_
from sqlalchemy.orm import Session

from clarion.base.patience import planned_anew

CAP = 1_000  # shown as "more than 1,000"
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
    query: Any,  # Any: a Select that FAB's filters have been at
    key: Any,
    asked: Asked,
    *,
    size: int,
    options: Sequence[Any] = (),
) -> Leaf:
    """Read one page in one statement, and count to the cap in another.

    Both are planned for what was asked: one plan for every word walked a million rows in
    their order to find one, or read what nearly all of them have to sort it.
    """
    planned_anew()
    order = _never_null(asked.column)
    back = asked.after is None and asked.before is not None
    falling = asked.falling is not back
    anchor = asked.before if back else asked.after
    found = query
    if anchor is not None:
        place = select(order).where(key == anchor).correlate(None).scalar_subquery()
        here, there = tuple_(order, key), tuple_(place, anchor)
        found = found.where(here < there if falling else here > there)
    ways = [one.desc() if falling else one.asc() for one in (order, key)]
    rows = list(orm.scalars(found.options(*options).order_by(*ways).limit(size + 1)))
    more, rows = len(rows) > size, rows[:size]
    if back:
        rows.reverse()
    capped = query.with_only_columns(key).order_by(None).limit(CAP + 1).subquery()
    count = orm.scalar(select(func.count()).select_from(capped)) or 0
    ends = (getattr(rows[0], key.key), getattr(rows[-1], key.key)) if rows else (None, None)
    return Leaf(
        rows,
        count,
        after=ends[1] if more or back else None,
        before=ends[0] if (more if back else anchor is not None) else None,
    )


def inside(column: Any, value: str) -> ColumnElement[bool]:
    """Say that a text is anywhere inside; a short one, at the beginning.

    An index of three letters each (`gin_trgm_ops`) serves it, also under row level
    security where the policy lets the role see all: `USING (true)` hides nothing.
    """
    return _like(column, "%" if len(value) >= SHORT else "", value)


def containing(query: Any, column: Any, value: str) -> Any:
    """Keep the rows with a text anywhere inside; with a short one, at the beginning."""
    return query.where(inside(column, value))


def beginning(query: Any, column: Any, value: str) -> Any:
    """Keep the rows that begin with a text."""
    return query.where(_like(column, "", value))


def _like(column: Any, before: str, value: str) -> ColumnElement[bool]:
    literally = value.replace("/", "//").replace("%", "/%").replace("_", "/_")
    found: ColumnElement[bool] = column.ilike(f"{before}{literally}%", escape="/")
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
