"""One answer to a STOP, in the conversation that the person has just opened, and no offer in it.

It goes through the ledger like every message, in the lane of replies: each number has an
order for its answers of a day, and a row for each person, so that nobody gets two a day
however often they write. A stranger gets none: nobody may be made of what they wrote.
"""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID, uuid5

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db, words
from clarion.base.words import _
from clarion.messaging import identifiers, lanes, orders, stopwords
from clarion.messaging.contract import FREE
from clarion.messaging.models import Campaign, Message
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account

PURPOSE = "service"
IN_TIME = dt.timedelta(hours=23)
"""A conversation is open for 24 hours after the person wrote; an answer leaves in them."""
_ADDRESSES = {"phone": "phone", "wa_id": "phone", "bsuid": "bsuid"}
_TEMPLATE = {"name": "", "language": "", "parts": [{"kind": "body", "variables": [FREE]}]}


def say(
    sender_id: UUID,
    contact_id: UUID,
    named: Sequence[tuple[str, str]],
    said: str,
    at: dt.datetime,
) -> None:
    """Order the one answer to a person's STOP; the caller holds the person's lock.

    Args:
        sender_id: the number they wrote to, which answers.
        contact_id: who it was.
        named: the (kind, value) pairs their message carries.
        said: their words, for the language.
        at: when they wrote.
    """
    to = _address(named)
    now = db.session().scalar(select(func.clarion_now()))
    if to is None or now is None or at + IN_TIME <= now:
        return
    order_id = _order(sender_id, now)
    kind, value = to
    row = insert(Message).values(
        id=db.new_id(),
        campaign_id=order_id,
        contact_id=contact_id,
        sender_id=sender_id,
        address_kind=kind,
        address=value,
        address_idx=identifiers.index(kind, value),
        purpose=PURPOSE,
        lane=lanes.OF_PURPOSE[PURPOSE],
        state="queued",
        variables={FREE: _words(said)},
        expires_at=at + IN_TIME,
    )
    new = row.on_conflict_do_nothing().returning(Message.id)
    if db.session().scalar(new) is not None:
        orders.reopen(order_id)


def _order(sender_id: UUID, now: dt.datetime) -> UUID:
    """Find, or write, the order of a number's answers of this day."""
    order_id = uuid5(sender_id, f"answers to STOP, {now.astimezone(dt.UTC):%Y-%m-%d}")
    row = insert(Campaign).values(
        id=order_id,
        name=_("Answers to STOP"),
        purpose=PURPOSE,
        lane=lanes.OF_PURPOSE[PURPOSE],
        sender_id=sender_id,
        template=_TEMPLATE,
        state="running",
        started_at=func.clarion_now(),
    )
    db.session().execute(row.on_conflict_do_nothing())
    return order_id


def _address(named: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """Choose where to answer: by phone number before an id of the provider's."""
    known = {_ADDRESSES[kind]: value for kind, value in named if kind in _ADDRESSES}
    if phone := known.get("phone"):
        return "phone", phone if phone.startswith("+") else f"+{phone}"
    return ("bsuid", known["bsuid"]) if "bsuid" in known else None


def _words(said: str) -> str:
    """Write the answer in the language of the word they used, else in the account's."""
    query = select(Account.name, Account.language).where(Account.id == current_account())
    name, own = db.session().execute(query).one()
    spoken = [one for one in stopwords.languages(said) if one in words.languages()]
    with words.speaking(own if own in spoken or not spoken else spoken[0]):
        return _(
            "You will get no more offers from %(account)s here. If you change your mind,"
            " write START.",
            account=name,
        )
