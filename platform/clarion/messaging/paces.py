"""How fast each number sends now, what slows it down, and what its day still holds."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, true
from sqlalchemy.orm import load_only

from clarion.base import db
from clarion.messaging import pacing, portfolio
from clarion.messaging.models import Channel, Sender, SenderBucket

OF_CHANNEL = (Channel.id, Channel.portfolio_id, Channel.slow_until, Channel.slow_reason)


@dataclass(frozen=True, slots=True)
class Pace:
    """A number's pace, as pages show it.

    Attributes:
        rate: messages a second now, also while it waits.
        allowed: what the provider allows, known since `allowed_at`.
        own: the lower rate somebody chose.
        slow_until: it sends nothing before that moment.
        why: a code for why it waits or is slower: `unreachable`, `throttled`, a
            provider's code, or nothing.
        day: the people its business may write to in 24 hours; None without a connection
            that was checked.
    """

    sender_id: UUID
    rate: int
    allowed: int
    allowed_at: dt.datetime
    own: int | None
    slow_until: dt.datetime | None
    why: str
    day: portfolio.Usage | None


def of_channel(channel_id: UUID) -> dict[UUID, Pace]:
    """Read the pace of a connection's numbers, by their ids."""
    return _read(Sender.channel_id == channel_id)


def of_sender(account_id: UUID, sender_id: UUID) -> Pace | None:
    """Read the pace of one number, for staff as well; None: it was never sent from."""
    mine = and_(Sender.account_id == account_id, Sender.id == sender_id)
    return _read(mine).get(sender_id)


def _read(which: ColumnElement[bool]) -> dict[UUID, Pace]:
    now = select(func.clarion_now().label("now")).subquery()
    query = (
        select(Sender, SenderBucket, Channel, now.c.now)
        .options(load_only(*OF_CHANNEL))
        .join(
            SenderBucket,
            (SenderBucket.account_id == Sender.account_id)
            & (SenderBucket.sender_id == Sender.id),
        )
        .join(
            Channel,
            (Channel.account_id == Sender.account_id) & (Channel.id == Sender.channel_id),
        )
        .join(now, true())
        .where(which)
    )
    rows = db.session().execute(query).tuples().all()
    ids = [channel.portfolio_id for _s, _b, channel, _now in rows if channel.portfolio_id]
    days = portfolio.usage(ids) if ids else {}
    return {
        sender.id: _pace(sender, b, channel, at, days) for sender, b, channel, at in rows
    }


def _pace(
    sender: Sender,
    bucket: SenderBucket,
    channel: Channel,
    now: dt.datetime,
    days: dict[UUID, portfolio.Usage],
) -> Pace:
    share = pacing.factor(bucket.factor, (now - bucket.factor_at).total_seconds())
    ceiling = min(sender.rate_per_s, sender.own_rate_per_s or sender.rate_per_s)
    waits = [
        (until, reason)
        for until, reason in (
            (sender.slow_until, sender.slow_reason),
            (channel.slow_until, channel.slow_reason),
        )
        if until is not None and until > now
    ]
    until, why = max(waits, default=(None, "throttled" if share < 1 else ""))
    return Pace(
        sender_id=sender.id,
        rate=max(1, int(ceiling * share)),
        allowed=sender.rate_per_s,
        allowed_at=sender.rate_at,
        own=sender.own_rate_per_s,
        slow_until=until,
        why=why,
        day=days.get(channel.portfolio_id) if channel.portfolio_id else None,
    )
