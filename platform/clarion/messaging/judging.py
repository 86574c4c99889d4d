"""Who of an audience gets an order, from when on, and why not: asked of all at once.

The snapshot asks this when it freezes people, and the dry run asks it before: one answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    join,
    literal,
    or_,
    select,
)

from clarion.base import db
from clarion.messaging import countries, hours, parts, suppression, timing
from clarion.messaging.models import Campaign, Message
from clarion.messaging.timing import slots
from clarion.tenancy.scope import current_account

MARKETING = "marketing"
PLAN = (("enable_nestloop", "off"), ("work_mem", "64MB"), ("jit", "off"))


@dataclass(frozen=True, slots=True)
class Judged:
    """An audience with the answer for each person, as a table.

    Attributes:
        people: columns of the audience, and `why`: empty, or why this person gets nothing.
        slot: the windows, a row per calendar and share of the people.
        here: which of them is a person's.
    """

    people: FromClause
    slot: Any  # SQLAlchemy's table of values
    here: ColumnElement[bool]

    @property
    def reason(self) -> ColumnElement[Any]:
        """Empty for those who get it, else why not; no hour to send at is a reason too."""
        return case((self.people.c.why != "", self.people.c.why), else_=self.slot.c.refused)


def judged(
    order: Campaign, audience: Select[Any], cut: Callable[..., list[timing.Slot]] = slots
) -> Judged:
    """Judge an audience for an order, which need not be written yet.

    `cut` makes the windows of the calendars its people live by.
    """
    a = audience.subquery("audience")
    why = refused(a, order.purpose, order.sender_id).label("why")
    # asked once for each person: without the barrier it is pasted wherever it is used
    people = select(*a.c, why).offset(0).subquery("judged")
    slot = timing.table(_windows(order, a, cut))
    here = _here(people, slot)
    if order.spread_until:
        place_of = place(people, order.id)
        here = and_(here, place_of >= slot.c.since, place_of < slot.c.upto)
    return Judged(people, slot, here)


def refused(a: FromClause, purpose: str, sender_id: UUID | None) -> ColumnElement[Any]:
    """Say why somebody gets nothing whatever the hour; empty: they may.

    On the do-not-contact list, or the audience's own reason; else whoever lives in a
    country that is left out, or where nobody gets marketing.
    """
    scope: suppression.Scope = "marketing" if purpose == MARKETING else "all"
    # two lists that are hashed once: an OR inside would read them for every person
    listed = or_(
        a.c.address_idx.in_(suppression.addresses(scope)),
        a.c.contact_id.in_(suppression.contacts(scope)),
    )
    rules = [(listed, literal("opted_out")), (a.c.reason != "", a.c.reason)]
    if sender_id is not None:
        rules.append((countries.among(a, sender_id), literal(countries.REASON)))
    if purpose == MARKETING:
        rules.append((countries.american(a), literal(countries.AMERICAN)))
    return case(*rules, else_="")


def leaves(order: Campaign, found: Judged) -> ColumnElement[Any]:
    """Say from when on a person's message may leave, spread over their window if asked."""
    slot = found.slot
    if not order.spread_until:
        return slot.c.opens
    width = func.extract("epoch", slot.c.until - slot.c.opens)
    part = (place(found.people, order.id) - slot.c.since) / (slot.c.upto - slot.c.since)
    seconds = func.floor(part * width / timing.STEP) * timing.STEP
    later = slot.c.opens + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    return func.coalesce(later, slot.c.opens)


def place(a: FromClause, key: object) -> ColumnElement[Any]:
    """Give each person a place from 0 to 1: for one key the same every time."""
    number = func.hashtext(cast(a.c.contact_id, Text) + str(key))
    return (cast(number, BigInteger) + 2**31) / float(2**32)


def plan_for_sets() -> None:
    """Tell the planner, until the transaction ends, that whole audiences are joined here.

    The lists that people are looked up in have to fit into memory, or each is read anew for
    every person (measured: hours instead of seconds).
    """
    for name, value in PLAN:
        db.session().execute(select(func.set_config(name, value, True)))


def capped(order: Campaign, found: Judged) -> Select[Any] | None:
    """Find who would have had enough in their window; None when certainly nobody.

    Returns:
        a SELECT of contact_id and over_week: whether it is their week that is full.
    """
    if order.purpose != MARKETING:
        return None
    a, slot, rules = found.people, found.slot, hours.rules()
    since = db.session().scalar(select(func.min(slot.c.week_from)))
    if since is None:
        return None  # nobody is in it, or nobody's message has a window
    lately = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.purpose == order.purpose,
        Campaign.drained_at >= since,
    )
    if db.session().scalar(lately.limit(1)) is None:
        return None  # nobody got anything: the usual case, and cheap
    sent, whose = _whose()
    got = and_(
        Message.account_id == current_account(),
        whose == a.c.contact_id,
        Message.campaign_id.in_(lately),
        Message.purpose == order.purpose,
        Message.intent_at >= slot.c.week_from,
        or_(Message.state != "failed", Message.reason == "outcome_unknown"),
    )
    today = func.count().filter(Message.intent_at >= slot.c.day_from)
    week = func.count() >= rules.per_week
    return (
        select(a.c.contact_id, week.label("over_week"))
        .select_from(a.join(slot, found.here).join(sent, got))
        .where(a.c.why == "")
        .group_by(a.c.contact_id)
        .having(or_(today >= rules.per_day, week))
    )


# --- private


def _whose() -> tuple[Any, Any]:  # Any: a table or a join of two; a column of it
    """Messages, and whose each is: the contact's that the one it went to is part of."""
    if not parts.any_there():
        return Message, Message.contact_id  # the usual case, and cheap
    got = parts.whose(Message.contact_id)
    return join(Message, got.part, got.on, isouter=True), got.person


def _windows(
    order: Campaign, a: FromClause, cut: Callable[..., list[timing.Slot]]
) -> list[timing.Slot]:
    """Cut the windows of each calendar that the people of an audience live by."""
    zone, country = _clock(a)
    told = "zone" in a.c or "country" in a.c
    pairs = db.session().execute(select(zone, country).distinct()) if told else [("", "")]
    people = {(z or "", c or "") for z, c in pairs}
    return cut(order, sorted(people), hours.rules(), timing.now())


def _here(a: FromClause, slot: Any) -> ColumnElement[bool]:
    zone, country = _clock(a)
    return and_(
        slot.c.zone == func.coalesce(zone, ""), slot.c.country == func.coalesce(country, "")
    )


def _clock(a: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    zone = a.c.zone if "zone" in a.c else literal("")
    return zone, a.c.country if "country" in a.c else literal("")
