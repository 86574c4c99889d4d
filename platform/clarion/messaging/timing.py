"""When a campaign's people get it: its schedule, their zones and the account's hours."""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Float, String, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.sql.expression import TableValuedAlias, literal

from clarion.base import db
from clarion.messaging import windows
from clarion.messaging.hours import Rules
from clarion.messaging.models import Campaign
from clarion.messaging.windows import Window

# an intent is followed by up to a third of its lease before the call begins, and by the
# call: what is intended a minute before the end has been received at the end
EDGE = dt.timedelta(seconds=60)
STEP = 10  # seconds: people of a campaign that is spread leave in steps of these
Slot = dict[str, Any]  # a row of JSON; `table` names its columns

NEVER, LATE = "no_sending_hours", "not_started"


def now() -> dt.datetime:
    """Ask the database what time it is."""
    return db.session().scalars(select(func.clarion_now())).one()


def slots(
    order: Campaign, people: Iterable[tuple[str, str]], rules: Rules, at: dt.datetime
) -> list[Slot]:
    """Say for each (zone, country) in which windows its people leave.

    Without `spread_until` there is one slot for each pair; with it as many as the spread
    has windows, each with the share of the people that leaves in it.
    """
    return [
        {"zone": zone, "country": country, "key": key, **one}
        for zone, country in people
        for key in (windows.key_of(zone, country, rules.zone),)
        for one in _slots(order, key, rules, at)
    ]


def first_slot(order: Campaign, key: str, rules: Rules, at: dt.datetime) -> Slot:
    """Say when the first of the people behind a key leave."""
    return next(_slots(order, key, rules, at))


def table(rows: list[Slot]) -> TableValuedAlias:
    """Offer slots to a statement as a table."""
    moment = TIMESTAMP(timezone=True)
    return (
        func.jsonb_to_recordset(literal(rows, JSONB))
        .table_valued(
            column("zone", String),
            column("country", String),
            column("key", String),
            column("since", Float),
            column("upto", Float),
            column("opens", moment),
            column("until", moment),
            column("closes", moment),
            column("day_from", moment),
            column("week_from", moment),
            column("refused", String),
            column("begins", moment),
            column("after_day", moment),
            column("after_week", moment),
            name="slot",
        )
        .render_derived(with_types=True)
    )


def opening(
    key: str, rules: Rules, since: dt.datetime, end: dt.datetime | None = None
) -> Window | None:
    """Find the first window for marketing that is long enough to be used."""
    for one in windows.windows(key, rules.hours, since, end):
        if one.opens < one.closes - EDGE:
            return one
    return None


def _slots(order: Campaign, key: str, rules: Rules, at: dt.datetime) -> Iterator[Slot]:
    planned = (
        windows.start_for(key, order.local_start) if order.local_start else order.starts_at
    )
    start = max(at, planned or at)
    if order.purpose != "marketing":
        yield from _anytime(order, start)
        return
    spread = order.spread_until
    if spread is None or spread <= start:
        found = opening(key, rules, start, order.finish_by)
        pieces = [found] if found else []
    else:
        every = windows.windows(key, rules.hours, start, order.finish_by)
        pieces = [one for one in _until(every, spread) if one.opens < one.closes - EDGE]
        pieces = pieces or [
            one for one in (opening(key, rules, start, order.finish_by),) if one
        ]
    if not pieces:
        never = opening(key, rules, start) is None
        yield _slot(0.0, 1.0, start, None, refused=NEVER if never else LATE)
    parts = [_shortened(one, spread) for one in pieces]
    for share, whole in zip(windows.shares(parts), pieces, strict=True):
        window = share.window
        yield _slot(
            share.since,
            share.to,
            window.opens,
            whole.closes - EDGE,
            until=window.closes if spread else None,
            day_from=window.day_from,
            week_from=window.week_from,
        )


def _until(every: Iterable[Window], end: dt.datetime) -> Iterator[Window]:
    for one in every:
        if one.opens >= end:
            return
        yield one


def _shortened(one: Window, spread: dt.datetime | None) -> Window:
    """Cut a window at the end of the spread, and before its own edge."""
    closes = one.closes - EDGE
    if spread and one.opens < spread < closes:
        closes = spread
    return Window(one.opens, closes, one.day_from, one.week_from)


def _anytime(order: Campaign, start: dt.datetime) -> Iterator[Slot]:
    closes = order.finish_by - EDGE if order.finish_by else None
    late = closes is not None and closes <= start
    spread = order.spread_until if order.spread_until and not late else None
    if spread and closes:
        spread = min(spread, closes)
    yield _slot(
        0.0,
        1.0,
        start,
        closes,
        until=spread if spread and spread > start else None,
        refused=LATE if late else "",
    )


def _slot(
    since: float,
    upto: float,
    opens: dt.datetime,
    closes: dt.datetime | None,
    *,
    until: dt.datetime | None = None,
    day_from: dt.datetime | None = None,
    week_from: dt.datetime | None = None,
    refused: str = "",
) -> Slot:
    def said(moment: dt.datetime | None) -> str | None:
        return moment.isoformat() if moment else None

    return {
        "since": since,
        "upto": upto,
        "opens": said(opens),
        "until": said(until),
        "closes": said(closes),
        "day_from": said(day_from),
        "week_from": said(week_from),
        "refused": refused,
    }
