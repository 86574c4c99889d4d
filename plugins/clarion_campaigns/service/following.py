"""The follow-up: once more, a day later, to people whom WhatsApp did not let through.

WhatsApp limits how much marketing one person gets from everybody (code 131049). Repeating
it at once gets a sender blocked for that person; after a day it may get through. So nothing
is repeated by a machine: a planner looks every hour and proposes a follow-up, once, and a
person starts it like any campaign.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, select
from sqlalchemy.orm import aliased

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.base.words import _
from clarion.messaging.models import Campaign, Message
from clarion.messaging.prices import Quote
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion_campaigns.models import Draft
from clarion_campaigns.service import pricing, telling
from clarion_campaigns.service.drafts import (
    NAME_MAX,
    DraftView,
    about,
    begin,
    found,
    get,
    locked,
    view,
)
from clarion_contacts import contract as contacts

REASON = "per_user_limit"
WAIT = dt.timedelta(hours=24)
VALID = dt.timedelta(days=7)
"""How long an offer without an end of its own is worth repeating."""
ROUNDS = 2
"""Follow-ups of one campaign: more is not patience but pressure."""
FEWEST = 30
"""Tries that have to have an outcome before they say what to expect."""
GOT = ("delivered", "read")
LONGEST = dt.timedelta(days=60)
"""Campaigns of longer ago are not looked at any more."""
PREFIX = "follow-up/"
SHOWN = 5

audit.label("campaigns.follow_up.proposed", "A follow-up was proposed")
audit.label("campaigns.follow_up.declined", "Wanted no follow-up")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A follow-up that can be prepared, or why not yet.

    Attributes:
        people: how many the limit kept from this campaign.
        reached: how many of them a follow-up would be sent to now.
        ready_at: from when it makes sense.
        ready: whether that is over.
        over: whether the offer is over, or was repeated often enough.
        expected: how many of them are likely to get it, by earlier follow-ups of this
            account; None while there are none to learn from.
        read_share: which share of those who got this campaign read it, in percent.
        draft_id: the follow-up that was prepared already.
        price: what it costs at most; None while no price is known.
        until: when the offer ends.
    """

    people: int
    reached: int
    ready_at: dt.datetime
    ready: bool
    over: bool
    expected: int | None
    read_share: int | None
    draft_id: UUID | None
    price: Quote | None
    until: dt.datetime


def proposal(draft: DraftView) -> Proposal | None:
    """Say whether a follow-up makes sense; None when the limit kept nobody out."""
    if draft.campaign_id is None or draft.purpose != "marketing":
        return None
    limited = _of(draft.campaign_id, Message.state == "failed", Message.reason == REASON)
    now, people, last = (
        db.session()
        .execute(
            select(func.clarion_now(), func.count(), func.max(Message.state_since)).where(
                limited
            )
        )
        .one()
    )
    if not people:
        return None
    order = (
        db.session().scalars(select(Campaign).where(Campaign.id == draft.campaign_id)).one()
    )
    end = order.finish_by or (order.started_at or now) + VALID
    segment = _segment(draft)
    topic = about(draft)
    counted = contacts.count(segment, draft.fillings, draft.purpose, about=topic)
    share = _share_before()
    return Proposal(
        people=people,
        reached=counted.reached,
        ready_at=last + WAIT,
        ready=last + WAIT <= now,
        over=end <= now or segment["round"] > ROUNDS,
        expected=None if share is None else round(share * counted.reached),
        read_share=_read_share(draft.campaign_id),
        draft_id=db.session().scalar(
            select(Draft.id).where(
                Draft.account_id == current_account(),
                Draft.request_key == _key(draft.campaign_id),
            )
        ),
        price=pricing.quoted(
            segment, draft.fillings, draft.purpose, draft.sender_id, about=topic
        ),
        until=end,
    )


def follow_up(draft_id: UUID) -> DraftView:
    """Prepare a follow-up as a draft; a second click finds the first one's.

    It is reviewed and sent like every campaign: consent, STOP, caps and approval hold.

    Raises:
        Conflict: nobody to repeat it to, too early, or the offer is over.
    """
    access.require("campaigns.edit")
    draft = get(draft_id)
    offered = proposal(draft)
    if offered is None or draft.campaign_id is None:
        said = _("Nobody of this campaign was kept out by WhatsApp's limit.")
        raise Conflict("follow_up_nobody", said)
    if offered.draft_id is not None:
        return view(found(offered.draft_id))
    if not offered.ready:
        said = _("It is too early: wait a day, or WhatsApp blocks you for these people.")
        raise Conflict("follow_up_early", said)
    if offered.over:
        said = _("The offer is over, or it was repeated often enough.")
        raise Conflict("follow_up_over", said)
    name = _("%(name)s (follow-up)", name=draft.name[: NAME_MAX - 14])
    same: Mapping[str, Any] = {
        "template_id": draft.template_id,
        "sender_id": draft.sender_id,
        "segment": _segment(draft),
        "variables": dict(draft.variables),
    }
    return begin(name, _key(draft.campaign_id), same)


def decline(draft_id: UUID) -> None:
    """Want no follow-up: it is not proposed any more, but can still be prepared."""
    access.require("campaigns.edit")
    row = locked(draft_id)
    if row.follow_up != "declined":
        row.follow_up = "declined"
        audit.record("campaigns.follow_up.declined", row)


def plan() -> int:
    """Propose the follow-ups that make sense now, each once; return how many.

    Called by the clock for one account. Nothing is prepared and nothing sent: the team is
    told, with what to expect and what it costs.
    """
    proposed = 0
    kept_out = exists().where(
        Message.account_id == Draft.account_id,
        Message.campaign_id == Draft.campaign_id,
        Message.state == "failed",
        Message.reason == REASON,
    )
    candidates = select(Draft.id).where(
        Draft.account_id == current_account(), worth_a_look(), kept_out
    )
    for draft_id in list(db.session().scalars(candidates.order_by(Draft.launched_at))):
        row = locked(draft_id)
        found = proposal(view(row)) if row.follow_up == "" else None
        if found is None or found.over or not found.ready or not found.reached:
            continue
        row.follow_up = "proposed"
        row.follow_up_people, row.follow_up_at = found.reached, func.clarion_now()
        if found.draft_id is not None:
            continue  # somebody was quicker
        audit.record("campaigns.follow_up.proposed", row, people=found.reached)
        telling.follow_up(row, found.reached, found.expected, found.price, found.until)
        proposed += 1
    return proposed


def worth_a_look() -> ColumnElement[bool]:
    """Say which campaigns a follow-up may be proposed for; a cheap first look."""
    return and_(
        Draft.state == "launched",
        Draft.purpose == "marketing",
        Draft.follow_up == "",
        Draft.launched_at > func.clarion_now() - LONGEST,
        Draft.launched_at < func.clarion_now() - WAIT,
    )


def open_proposals() -> list[DraftView]:
    """List the campaigns with a proposed follow-up that nobody has prepared or declined."""
    other = aliased(Draft)
    prepared = exists().where(
        other.account_id == Draft.account_id,
        other.request_key == PREFIX + cast(Draft.campaign_id, Text),
    )
    end = func.coalesce(Campaign.finish_by, Campaign.started_at + VALID)
    query = (
        select(Draft)
        .join(
            Campaign,
            and_(Campaign.account_id == Draft.account_id, Campaign.id == Draft.campaign_id),
        )
        .where(
            Draft.account_id == current_account(),
            Draft.follow_up == "proposed",
            end > func.clarion_now(),
            ~prepared,
        )
        .order_by(Draft.follow_up_at)
        .limit(SHOWN)
    )
    return [view(row) for row in db.session().scalars(query)]


def _segment(draft: DraftView) -> dict[str, Any]:
    """Choose the people a limit kept out; the round is one more than this campaign's."""
    before = int(draft.segment.get("round", 0))
    return {
        "op": "outcome",
        "campaign": str(draft.campaign_id),
        "reason": REASON,
        "round": before + 1,
    }


def _key(order_id: UUID) -> str:
    return f"{PREFIX}{order_id}"


def _share_before() -> float | None:
    """Say which share of this account's earlier follow-ups arrived, if it can be said."""
    earlier = select(Draft.campaign_id).where(
        Draft.account_id == current_account(),
        Draft.request_key.startswith(PREFIX),
        Draft.campaign_id.is_not(None),
    )
    tried, got = (
        db.session()
        .execute(
            select(func.count(), func.count().filter(Message.state.in_(GOT))).where(
                Message.account_id == current_account(),
                Message.campaign_id.in_(earlier),
                Message.state.in_((*GOT, "failed", "expired")),
                Message.attempt > 0,
            )
        )
        .one()
    )
    return got / tried if tried >= FEWEST else None


def _read_share(order_id: UUID) -> int | None:
    got, read = (
        db.session()
        .execute(
            select(
                func.count().filter(Message.state.in_(GOT)),
                func.count().filter(Message.state == "read"),
            ).where(_of(order_id))
        )
        .one()
    )
    return round(100 * read / got) if got else None


def _of(order_id: UUID, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(
        Message.account_id == current_account(), Message.campaign_id == order_id, *more
    )
