"""Did it make a difference? Who was sent a campaign, beside its control group."""

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, case, distinct, func, or_, select

from clarion.base import db
from clarion.base.patience import patiently
from clarion.base.words import _
from clarion.messaging import parts, timing
from clarion.messaging.foresight import CONTROL
from clarion.messaging.models import Campaign, InboundMessage, Message, Suppression
from clarion.tenancy.scope import current_account
from clarion_campaigns.service.drafts import get

AFTER = dt.timedelta(days=7)
"""How long after a campaign's beginning what people do is counted."""
LEAST_PEOPLE, LEAST_DEEDS = 30, 5
SURE = 1.96  # standard deviations: right 19 times of 20
STOPS = ("stop", "provider_stop", "unsubscribe", "complaint", "block")


@dataclass(frozen=True, slots=True)
class Measure:
    """What people of both groups did, how many of them, and what may be said about it.

    `tone` is `ok` for a difference that helps, `bad` for one that hurts, else empty.
    """

    title: str
    sent: int
    control: int
    words: str
    tone: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A campaign beside its control group.

    Attributes:
        sent: people it left for, whether it arrived or not: the control group has people
            too whom it would not have reached.
        control: people who were drawn to get nothing.
        until: the end of the time that is counted.
        over: whether that time is over.
        measures: what they did; None when counting takes too long.
    """

    sent: int
    control: int
    until: dt.datetime
    over: bool
    measures: list[Measure] | None


@dataclass(frozen=True, slots=True)
class _Counts:
    people: int
    wrote: int
    stopped: int


def compared(draft_id: UUID) -> Comparison | None:
    """Compare who was sent a campaign with its control group; None: it has none."""
    draft = get(draft_id)
    if draft.campaign_id is None or not draft.control_percent:
        return None
    query = select(Campaign.started_at).where(
        Campaign.account_id == current_account(), Campaign.id == draft.campaign_id
    )
    began = db.session().scalar(query)
    if began is None:
        return None
    now, until = timing.now(), began + AFTER
    counted = _counted(draft.campaign_id, began, min(now, until))
    found = patiently(lambda: dict(_read(counted)))
    over = until <= now
    if found is None:
        return Comparison(0, 0, until, over, None)
    nobody = _Counts(0, 0, 0)
    sent, control = found.get(False, nobody), found.get(True, nobody)
    measures = [
        _measure(_("Wrote to you"), sent.wrote, control.wrote, sent, control, good=True),
        _measure(_("Said STOP"), sent.stopped, control.stopped, sent, control, good=False),
    ]
    return Comparison(sent.people, control.people, until, over, measures)


def difference(hits: int, of: int, others: int, of_others: int) -> tuple[float, float]:
    """Say between which two numbers the difference of two shares lies, 19 times of 20.

    Newcombe's method: made of Wilson's intervals, so that it is honest for few people too.
    """
    one, other = hits / of, others / of_others
    low, high = _wilson(hits, of)
    other_low, other_high = _wilson(others, of_others)
    gap = one - other
    below = math.sqrt((one - low) ** 2 + (other_high - other) ** 2)
    above = math.sqrt((high - one) ** 2 + (other - other_low) ** 2)
    return gap - below, gap + above


# --- private


def _measure(
    title: str, hits: int, others: int, sent: _Counts, control: _Counts, *, good: bool
) -> Measure:
    few = min(sent.people, control.people) < LEAST_PEOPLE or hits + others < LEAST_DEEDS
    if few:
        said = _("Too few to say anything: chance alone can make such a difference.")
        return Measure(title, hits, others, said, "")
    low, high = difference(hits, sent.people, others, control.people)
    if low <= 0 <= high:
        said = _(
            "No difference can be shown. Of 1,000 people it is between %(less)s fewer and"
            " %(more)s more, and chance alone can make that.",
            less=_thousandths(-low),
            more=_thousandths(high),
        )
        return Measure(title, hits, others, said, "")
    least, most = sorted((abs(low), abs(high)))
    between = {"least": _thousandths(least), "most": _thousandths(most)}
    if low > 0:
        said = _("Of 1,000 people %(least)s to %(most)s more than without it.", **between)
    else:
        said = _("Of 1,000 people %(least)s to %(most)s fewer than without it.", **between)
    return Measure(title, hits, others, said, "ok" if (low > 0) == good else "bad")


def _thousandths(share: float) -> str:
    return f"{1000 * share:.0f}"


def _wilson(hits: int, of: int) -> tuple[float, float]:
    share, squared = hits / of, SURE**2
    middle = share + squared / (2 * of)
    width = SURE * math.sqrt(share * (1 - share) / of + squared / (4 * of * of))
    whole = 1 + squared / of
    return (middle - width) / whole, (middle + width) / whole


def _counted(campaign_id: UUID, began: dt.datetime, until: dt.datetime) -> Select[Any]:
    """Count people by group; under whichever contact they got it, or wrote, or said STOP."""
    control = and_(Message.state == "suppressed", Message.reason == CONTROL)
    people, whose = _of_person(Message)
    group = people.add_columns(whose.label("person"), control.label("control")).where(
        Message.account_id == current_account(),
        Message.campaign_id == campaign_id,
        or_(control, Message.intent_at.is_not(None)),
    )
    inbound, writer = _of_person(InboundMessage)
    wrote = inbound.add_columns(writer).where(
        InboundMessage.account_id == current_account(),
        InboundMessage.meaning.not_in(("stop", "maybe")),
        InboundMessage.sent_at.between(began, until),
    )
    asked, silent = _of_person(Suppression)
    stopped = asked.add_columns(silent).where(
        Suppression.account_id == current_account(),
        Suppression.reason.in_(STOPS),
        Suppression.created_at.between(began, until),
    )
    g = group.subquery("grouped")

    def those(chosen: Select[Any]) -> Any:
        return func.count(distinct(case((g.c.person.in_(chosen), g.c.person))))

    return select(
        g.c.control, func.count(distinct(g.c.person)), those(wrote), those(stopped)
    ).group_by(g.c.control)


def _of_person(model: Any) -> tuple[Select[Any], Any]:  # Any: what is of a contact
    """Begin a SELECT of something of contacts, with the expression for whose it is."""
    if not parts.any_there():
        return select().select_from(model), model.contact_id
    told = parts.whose(model.contact_id)
    return select().select_from(model).outerjoin(told.part, told.on), told.person


def _read(counted: Select[Any]) -> Any:
    for control, *numbers in db.session().execute(counted):
        yield control, _Counts(*numbers)
