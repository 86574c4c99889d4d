"""Answers in the conversation a person has just opened: free text, one of a kind a day.

They go through the ledger like every message, in the lane of replies: each number has an
order for each kind of answer and day, and a row for each person, so that nobody gets two
of a kind a day however often they write.
"""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID, uuid5

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.messaging import identifiers, lanes, orders
from clarion.messaging.contract import FREE
from clarion.messaging.models import Campaign, Message

PURPOSE = "service"
IN_TIME = dt.timedelta(hours=23)
"""A conversation is open for 24 hours after the person wrote; an answer leaves in them."""
_ADDRESSES = {"phone": "phone", "wa_id": "phone", "bsuid": "bsuid"}
_TEMPLATE = {"name": "", "language": "", "parts": [{"kind": "body", "variables": [FREE]}]}


def say(
    kind: str,
    title: str,
    words: str,
    *,
    sender_id: UUID,
    contact_id: UUID,
    named: Sequence[tuple[str, str]],
    at: dt.datetime,
) -> bool:
    """Order one answer; the caller holds the person's lock.

    Args:
        kind: what it answers; one of a kind a day.
        title: what the order is called.
        words: the text.
        sender_id: the number they wrote to, which answers.
        contact_id: who it was, or will be.
        named: the (kind, value) pairs their message carries.
        at: when they wrote.

    Returns:
        whether it was ordered now: there is an address, time is left, and none was today.
    """
    to = address_of(named)
    now = db.session().scalar(select(func.clarion_now()))
    if to is None or now is None or at + IN_TIME <= now:
        return False
    order_id = _order(sender_id, kind, title, now)
    address_kind, value = to
    row = insert(Message).values(
        id=db.new_id(),
        campaign_id=order_id,
        contact_id=contact_id,
        sender_id=sender_id,
        address_kind=address_kind,
        address=value,
        address_idx=identifiers.index(address_kind, value),
        purpose=PURPOSE,
        lane=lanes.OF_PURPOSE[PURPOSE],
        state="queued",
        variables={FREE: words},
        expires_at=at + IN_TIME,
    )
    new = row.on_conflict_do_nothing().returning(Message.id)
    if db.session().scalar(new) is None:
        return False
    orders.reopen(order_id)
    return True


def address_of(named: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """Choose where to answer: by phone number before an id of the provider's."""
    known = {_ADDRESSES[kind]: value for kind, value in named if kind in _ADDRESSES}
    if phone := known.get("phone"):
        return "phone", phone if phone.startswith("+") else f"+{phone}"
    return ("bsuid", known["bsuid"]) if "bsuid" in known else None


def _order(sender_id: UUID, kind: str, title: str, now: dt.datetime) -> UUID:
    """Find, or write, the order of a number's answers of one kind on this day."""
    order_id = uuid5(sender_id, f"answers to {kind}, {now.astimezone(dt.UTC):%Y-%m-%d}")
    row = insert(Campaign).values(
        id=order_id,
        name=title,
        purpose=PURPOSE,
        lane=lanes.OF_PURPOSE[PURPOSE],
        sender_id=sender_id,
        template=_TEMPLATE,
        state="running",
        started_at=func.clarion_now(),
    )
    db.session().execute(row.on_conflict_do_nothing())
    return order_id
