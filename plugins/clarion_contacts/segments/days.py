"""Tests of days as SQL: over moments, over dates, and over dates written as texts.

Bounds are scalar subqueries without a row of their own, so PostgreSQL works each out
once for the whole question and not once for each person.
"""

import datetime as dt
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Select,
    Text,
    and_,
    cast,
    column,
    func,
    literal,
    select,
    union_all,
)

from clarion_contacts.segments.rules import Days

DATE = r"^[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]$"
Value = (
    Any  # SQLAlchemy has several words for an expression: columns, attributes, subqueries
)


def of_moment(value: Value, test: Days, zone: str) -> ColumnElement[bool]:
    """Test the day of a moment, on the clock of a zone."""
    if test.test == "anniversary":
        local = func.to_char(func.timezone(_text(zone), value), _text("MM-DD"))
        return local.in_(_anniversaries(test.days, zone))

    def start(day: Value) -> Value:
        return func.timezone(_text(zone), cast(day, DateTime))

    low, high = _bounds(test, zone)
    return _between(value, low, high, start)


def of_date(value: Value, test: Days, zone: str) -> ColumnElement[bool]:
    """Test a date."""
    low, high = _bounds(test, zone)
    return _between(value, low, high, lambda day: day)


def of_text(value: Value, test: Days, zone: str) -> ColumnElement[bool]:
    """Test a date that is written as a text, like 2027-01-31; other texts are no date."""
    is_date = value.regexp_match(DATE)
    if test.test == "anniversary":
        month_day = func.substr(value, 6, 5)
        return and_(is_date, month_day.in_(_anniversaries(test.days, zone)))

    def written(day: Value) -> Value:
        return func.to_char(cast(day, DateTime), _text("YYYY-MM-DD")).collate("C")

    low, high = _bounds(test, zone)
    return and_(is_date, _between(value.collate("C"), low, high, written))


def since(days: int) -> Value:
    """Give the moment so many days ago."""
    return select(func.clarion_now() - dt.timedelta(days=days)).scalar_subquery()


def _between(value: Value, low: Value | None, high: Value | None, form: Any) -> Any:
    """Write low <= value < high, with each bound worked out once."""
    parts = []
    if low is not None:
        parts.append(value >= select(form(low)).scalar_subquery())
    if high is not None:
        parts.append(value < select(form(high)).scalar_subquery())
    return and_(*parts)


def _bounds(test: Days, zone: str) -> tuple[Value | None, Value | None]:
    """Give the first day that fits and the first after it that does not."""
    if test.test == "last_days":
        return _plus(_today(zone), -test.days), _plus(_today(zone), 1)
    if test.test == "next_days":
        return _today(zone), _plus(_today(zone), test.days + 1)
    first = literal(test.first, Date)
    if test.test == "before":
        return None, first
    if test.test == "after":
        return _plus(first, 1), None
    return first, _plus(first if test.last is None else literal(test.last, Date), 1)


def _anniversaries(days: int, zone: str) -> Select[Any]:
    """List the days of the year from today on, as 01-31; 29 February is 28 in other years."""
    ahead = (
        func.generate_series(0, days)
        .table_valued(column("n", Integer), name="ahead")
        .render_derived()
    )
    day = cast(_plus(_today(zone), ahead.c.n), DateTime)
    each = select(func.to_char(day, _text("MM-DD"))).select_from(ahead)
    again = (
        func.generate_series(0, days)
        .table_valued(column("n", Integer), name="again")
        .render_derived()
    )
    one = _plus(_today(zone), again.c.n)
    leap = (
        select(literal("02-29", Text))
        .select_from(again)
        .where(
            func.to_char(cast(one, DateTime), _text("MM-DD")) == "02-28",
            func.to_char(cast(_plus(one, 1), DateTime), _text("MM-DD")) == "03-01",
        )
    )
    listed = union_all(each, leap).subquery()
    return select(listed.c[0])


def _today(zone: str) -> Value:
    return cast(func.timezone(_text(zone), func.clarion_now()), Date)


def _plus(day: Value, days: Any) -> Value:
    return day.op("+", return_type=Date())(cast(days, Integer))


def _text(value: str) -> ColumnElement[str]:
    return cast(value, Text)
