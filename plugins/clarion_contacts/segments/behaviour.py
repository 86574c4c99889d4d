"""What people did with messages, as SELECTs of their ids.

`message` has no index by time: that would cost each message that is sent. What somebody
did lately is looked for among the orders that had not ended before.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from clarion.base import db
from clarion.messaging import parts
from clarion.messaging.models import Attempt, Campaign, InboundMessage, Message
from clarion.tenancy.scope import current_account
from clarion_contacts.segments import days
from clarion_contacts.segments.rules import Behaved, Outcome, Wrote

LEFT = ("accepted", "sent", "delivered", "read")
STATES = {
    "sent": LEFT,
    "delivered": ("delivered", "read"),
    "read": ("read",),
    "replied": LEFT,
    "clicked": LEFT,
    "failed": ("failed",),
}
PRESSED = ("button", "interactive")
"""Kinds of answers that are a button of the message (Meta's names). Who opens a link is told
to nobody: its address is the customer's own, and we lead nobody over another one."""
REPLY = dt.timedelta(days=7)
"""How long after a message what a person writes counts as an answer to it."""


def behaved(rule: Behaved) -> Select[Any]:
    """Choose whose messages became what a rule says."""
    query, person = _whose(Message)
    query = query.where(
        Message.account_id == current_account(), Message.state.in_(STATES[rule.deed])
    )
    if rule.campaign_id is not None:
        query = query.where(Message.campaign_id == rule.campaign_id)
    elif not rule.days:  # answers by no person belong to an order too, and are no campaign
        query = query.where(Message.campaign_id.is_not(None), Message.purpose != "service")
    if rule.days:
        query = query.where(_lately(rule.days, rule.campaign_id))
    if rule.reason:
        query = query.where(Message.reason == rule.reason)
    if rule.code:
        query = query.where(_code(rule.code))
    if rule.deed in ("replied", "clicked"):
        query = query.where(_answered(person, pressed=rule.deed == "clicked"))
    if rule.times > 1:
        query = query.group_by(person).having(func.count() >= rule.times)
    return query


def wrote(rule: Wrote, zone: str) -> Select[Any]:
    """Choose who wrote to us, or did the last time on some day."""
    query, person = _whose(InboundMessage)
    query = query.where(
        InboundMessage.account_id == current_account(),
        InboundMessage.contact_id.is_not(None),
    )
    if rule.last is None:
        return query
    last = func.max(InboundMessage.sent_at)
    return query.group_by(person).having(days.of_moment(last, rule.last, zone))


def failed(rule: Outcome) -> Select[Any]:
    """Choose whose message of one send order failed for one reason."""
    query, _person = _whose(Message)
    return query.where(
        Message.account_id == current_account(),
        Message.campaign_id == rule.campaign_id,
        Message.state == "failed",
        Message.reason == rule.reason,
    )


def _whose(model: Any) -> tuple[Select[Any], ColumnElement[Any]]:  # Any: of a contact
    """Select whose messages of some kind are: the contact's theirs is part of, if it is."""
    if not parts.any_there():
        return select(model.contact_id), model.contact_id  # the usual case, and cheap
    told = parts.whose(model.contact_id)
    query = select(told.person).select_from(model).outerjoin(told.part, told.on)
    return query, told.person


def _lately(last: int, campaign_id: UUID | None) -> ColumnElement[bool]:
    """Leave messages of the last days.

    An order that has ended sends nothing; one that goes on has not ended. The orders are
    asked for first and named: else the planner reads all messages of all years. Of orders
    begun in these days all messages are of these days, which spares reading when they went.
    """
    since = days.since(last)
    orders = select(Campaign.id, Campaign.started_at >= since).where(
        Campaign.account_id == current_account(),
        or_(Campaign.finished_at.is_(None), Campaign.finished_at >= days.since(last + 1)),
        Campaign.purpose != "service"
        if campaign_id is None
        else Campaign.id == campaign_id,
    )
    found = db.session().execute(orders).all()
    begun = Message.campaign_id.in_([order for order, lately in found if lately])
    older = [order for order, lately in found if not lately]
    if not older:
        return begun
    at = func.coalesce(Message.intent_at, Message.state_since)
    return or_(begun, and_(Message.campaign_id.in_(older), at >= since))


def _code(code: str) -> Any:
    return (
        select(Attempt.id)
        .where(
            Attempt.account_id == current_account(),
            Attempt.message_id == Message.id,
            Attempt.number == Message.attempt,
            Attempt.code == code,
        )
        .correlate(Message)
        .exists()
    )


def _answered(person: ColumnElement[Any], *, pressed: bool) -> Any:
    query, writer = _whose(InboundMessage)
    if pressed:
        query = query.where(InboundMessage.kind.in_(PRESSED))
    return (
        query.where(
            InboundMessage.account_id == current_account(),
            writer == person,
            InboundMessage.sent_at > Message.intent_at,
            InboundMessage.sent_at <= Message.intent_at + REPLY,
        )
        .correlate_except(InboundMessage)
        .exists()
    )
