"""The dry run: who of an audience would get an order, when, and why not. Nothing is written.

Some get it later than the order begins: after their quiet hours, when they have had enough
for now, when the day's limit is used up. They are in it, with a note.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from clarion.base import db
from clarion.messaging import judging, portfolio, timing, windows
from clarion.messaging.hours import Rules
from clarion.messaging.judging import Judged
from clarion.messaging.models import Campaign, Channel, Identifier, Sender
from clarion.tenancy.scope import current_account

CAP = "frequency_cap"
LIMIT = "daily_limit"
QUIET = "quiet_hours"
CONTROL = "control_group"
TWICE = "duplicate"
BUDGET = "no_budget"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a campaign lays down about its people, beside its order.

    Attributes:
        control: so many of a hundred get nothing, to compare with.
        key: of the draw: the same person and key, the same answer.
        prices: millionths for a message, by country; `*` for all others.
        budget: millionths it may cost; None: no bound.
    """

    control: int
    key: UUID
    prices: Mapping[str, int]
    budget: int | None = None


def foreseen(order: Campaign, audience: Select[Any], terms: Terms) -> Select[Any]:
    """Say what becomes of each person of an audience, if it began as planned.

    Returns:
        a SELECT of contact_id; reason: why they get nothing, or empty; note: why they get
        it later, or empty; and leaves_at: from when, as far as it can be known.
    """
    found = judging.judged(order, audience, _slots)
    judged = _judged(order, found, audience, terms)
    if terms.budget is not None and terms.prices:
        judged = _affordable(judged.subquery("judged_all"), terms)
    if (limit := _limit(order.sender_id)) is not None:
        judged = _rationed(judged.subquery("affordable"), *limit)
    told = judged.subquery("told")
    return select(told.c.contact_id, told.c.reason, told.c.note, told.c.leaves_at)


# --- private


def _slots(
    order: Campaign, people: Iterable[tuple[str, str]], rules: Rules, at: dt.datetime
) -> list[timing.Slot]:
    """Cut windows as the snapshot does; say as well when it begins, and what comes next."""
    rows = timing.slots(order, people, rules, at)
    for row in rows:
        key, planned = row["key"], order.starts_at
        if order.local_start:
            planned = windows.start_for(key, order.local_start)
        row["begins"] = max(at, planned or at).isoformat()
        if order.purpose == judging.MARKETING and not row["refused"]:
            opens = dt.datetime.fromisoformat(row["opens"])
            later = (windows.next_day(key, opens), windows.next_week(key, opens))
            row["after_day"], row["after_week"] = (
                _opens(key, rules, since, order.finish_by) for since in later
            )
    return rows


def _opens(
    key: str, rules: Rules, since: dt.datetime, end: dt.datetime | None
) -> str | None:
    window = timing.opening(key, rules, since, end)
    return window.opens.isoformat() if window else None


def _judged(
    order: Campaign, found: Judged, audience: Select[Any], terms: Terms
) -> Select[Any]:
    a, slot = found.people, found.slot
    joined: Any = a.join(slot, found.here)
    at = judging.leaves(order, found)
    note = case((at > slot.c.begins, QUIET), else_="")
    rules = [(found.reason != "", found.reason)]
    if _any_twice(a):
        rules.append((a.c.contact_id.in_(_twice(audience)), literal(TWICE)))
    if (capped := judging.capped(order, found)) is not None:
        enough = capped.subquery("enough")
        joined = joined.outerjoin(enough, enough.c.contact_id == a.c.contact_id)
        had = enough.c.contact_id.is_not(None)
        later = case((enough.c.over_week, slot.c.after_week), else_=slot.c.after_day)
        rules.append((and_(had, later.is_(None)), literal(CAP)))
        note = case((had, CAP), else_=note)
        at = case((had, later), else_=at)
    if terms.control:
        drawn = judging.place(a, f"control/{terms.key}") < terms.control / 100
        rules.append((drawn, literal(CONTROL)))
    reason = case(*rules, else_="")
    country = a.c.country if "country" in a.c else literal("")
    asked = select(
        a.c.contact_id,
        country.label("country"),
        reason.label("reason"),
        note.label("note"),
        at.label("leaves_at"),
    )
    told = asked.select_from(joined).offset(0).subquery("told_first")
    gets = told.c.reason == ""
    return select(
        told.c.contact_id,
        told.c.country,
        told.c.reason,
        case((gets, told.c.note), else_="").label("note"),
        case((gets, told.c.leaves_at)).label("leaves_at"),
    )


def _owned_by_another(a: FromClause, other: FromClause) -> Any:
    """Join people to the one of the same audience whose number theirs has become."""
    theirs = and_(
        Identifier.account_id == current_account(),
        Identifier.idx == a.c.address_idx,
        Identifier.valid_to.is_(None),
        Identifier.contact_id != a.c.contact_id,
    )
    there = and_(other.c.contact_id == Identifier.contact_id, other.c.reason == "")
    return a.join(Identifier, theirs).join(other, there)


def _any_twice(a: FromClause) -> bool:
    """Say whether anybody's number is known as somebody else's: mostly nobody's is."""
    query = (
        select(a.c.contact_id)
        .join(
            Identifier,
            and_(
                Identifier.account_id == current_account(),
                Identifier.idx == a.c.address_idx,
                Identifier.valid_to.is_(None),
                Identifier.contact_id != a.c.contact_id,
            ),
        )
        .where(a.c.why == "")
    )
    return db.session().scalar(query.limit(1)) is not None


def _twice(audience: Select[Any]) -> Select[Any]:
    """Choose who is in the audience a second time, under a number that is another's."""
    a, other = audience.subquery("once"), audience.subquery("again")
    return select(a.c.contact_id).select_from(_owned_by_another(a, other))


def _affordable(told: FromClause, terms: Terms) -> Select[Any]:
    """Leave out whom the budget does not cover any more, those who come last first."""
    costs = func.coalesce(_price(told, terms.prices), 0)
    gets = told.c.reason == ""
    so_far = func.sum(case((gets, costs), else_=0)).over(
        order_by=(told.c.leaves_at, told.c.contact_id), rows=(None, 0)
    )
    spent = select(*told.c, so_far.label("so_far")).subquery("spent")
    over = and_(spent.c.reason == "", spent.c.so_far > terms.budget)
    return select(
        spent.c.contact_id,
        spent.c.country,
        case((over, BUDGET), else_=spent.c.reason).label("reason"),
        case((over, ""), else_=spent.c.note).label("note"),
        case((~over, spent.c.leaves_at)).label("leaves_at"),
    )


def _price(told: FromClause, prices: Mapping[str, int]) -> ColumnElement[Any]:
    """Look a country's price up in the list."""
    listed = literal(dict(prices), JSONB)
    text = func.coalesce(
        func.jsonb_extract_path_text(listed, told.c.country),
        func.jsonb_extract_path_text(listed, literal("*")),
    )
    return cast(text, BigInteger)


def _limit(sender_id: UUID | None) -> tuple[int, int] | None:
    """Say how many people a number's business may write to now, and in each further day."""
    if sender_id is None:
        return None
    query = (
        select(Channel.portfolio_id)
        .join(
            Sender,
            and_(Sender.account_id == Channel.account_id, Sender.channel_id == Channel.id),
        )
        .where(Sender.account_id == current_account(), Sender.id == sender_id)
    )
    portfolio_id = db.session().scalar(query)
    if portfolio_id is None:
        return None
    used = portfolio.usage([portfolio_id]).get(portfolio_id)
    if used is None or used.per_day is None or used.left is None:
        return None
    return used.left, used.per_day


def _rationed(told: FromClause, left: int, per_day: int) -> Select[Any]:
    """Tell those whom the daily limit puts off on which day their turn comes, about."""
    gets = told.c.reason == ""
    place = func.row_number().over(
        partition_by=gets, order_by=(told.c.leaves_at, told.c.contact_id)
    )
    ranked = select(*told.c, place.label("place")).subquery("ranked")
    # nobody may be written to at all: each waits, until somebody raises the limit
    days = (ranked.c.place - left - 1) // max(per_day, 1) + 1
    waits = and_(ranked.c.reason == "", ranked.c.place > left)
    later = func.make_interval(0, 0, 0, cast(days, Integer))
    return select(
        ranked.c.contact_id,
        ranked.c.country,
        ranked.c.reason,
        case((and_(waits, ranked.c.note != CAP), LIMIT), else_=ranked.c.note).label("note"),
        case((waits, ranked.c.leaves_at + later), else_=ranked.c.leaves_at).label(
            "leaves_at"
        ),
    )
