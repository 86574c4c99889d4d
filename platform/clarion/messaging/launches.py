"""Soft launch: what nobody knows yet goes to a few people first, and to more if they like it.

The people of later waves wait a thousand years longer; releasing a wave takes that off
again. So a wave costs the sending path nothing, and every other limit on when a message
may leave stays as it was. The reconciler releases the next wave by the results of the
last ones, or a person does, on record.
"""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, update

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.base.words import _
from clarion.messaging import breakers, gauges, ledger, orders
from clarion.messaging.models import Breaker, Campaign, Message, Sender
from clarion.tenancy import audit
from clarion.tenancy.scope import current_account
from clarion.work.jobs import job

audit.label("messaging.wave.released", "Released the next wave")

WAVES = (100, 1_000, 10_000)
"""People in the first waves; the last one has everybody else."""
LAST = len(WAVES) + 1
OFFERED, ADVISED = WAVES[0], 2_000
"""More people than this: a soft launch can be chosen; is chosen unless a person says no."""
GAP = dt.timedelta(minutes=30)
BEYOND = dt.timedelta(days=365_000)
FAR = BEYOND / 2
KNOWN = 0.5
"""The share of a wave whose outcome has to be known before the next one leaves by itself."""
FEWEST = 3
PROVEN = 100
PAGE = 10_000
SEEN = ("accepted", "sent", "held", "unknown", "delivered", "read", "failed")


@dataclass(frozen=True, slots=True)
class Wave:
    """Where a soft launch is.

    Attributes:
        number: the wave that was released last, from 1.
        of: how many waves there are for this order.
        released_at: when.
        next_at: the earliest moment for the next one; None after the last.
        next_size: how many people are in it.
        waits_for: why it has not left: `time`, `sending`, `held`, `news`, or nothing.
    """

    number: int
    of: int
    released_at: dt.datetime
    next_at: dt.datetime | None
    next_size: int
    waits_for: str


def proven(sender_id: UUID, template: str, language: str) -> bool:
    """Say whether a template was received well lately: 100 got it, nothing stopped it."""
    sender = db.session().scalar(select(Sender).where(Sender.id == sender_id))
    if sender is None:
        return False
    key = breakers.of_template(sender.channel_id, template, language)
    stopped = select(Breaker.id).where(
        Breaker.account_id == current_account(),
        Breaker.kind == "template",
        Breaker.subject == key,
        Breaker.opened_at > func.clarion_now() - gauges.RECENT,
    )
    if db.session().scalar(stopped) is not None:
        return False
    earlier = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.sender_id == sender_id,
        Campaign.template["name"].astext == template,
    )
    got = (
        select(Message.id)
        .where(
            Message.account_id == current_account(),
            Message.campaign_id.in_(earlier),
            Message.state.in_(("delivered", "read")),
        )
        .limit(PROVEN)
        .subquery()
    )
    return db.session().scalar(select(func.count()).select_from(got)) == PROVEN


def hold_back(order: Campaign) -> None:
    """Let all but the first wave of a frozen audience wait; called by `orders.start`."""
    mine = _waiting(order.id)
    first = select(Message.id).where(mine).order_by(Message.not_before, Message.id)
    rest = (
        update(Message)
        .where(mine, Message.id.not_in(first.limit(WAVES[0])))
        .values(not_before=Message.not_before + BEYOND)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    held = select(func.count()).select_from(rest.cte("held"))
    if db.session().scalar(held):
        order.wave, order.wave_at = 1, func.clarion_now()
    else:
        order.wave = 0  # so few go all at once
    db.session().flush()


def wave(campaign_id: UUID) -> Wave | None:
    """Say where a soft launch is; None for an order that went out whole."""
    order = db.session().scalar(select(Campaign).where(Campaign.id == campaign_id))
    if order is None or not order.wave or order.wave_at is None:
        return None
    left = _held(campaign_id)
    of, rest = order.wave, left
    while rest > 0:
        rest -= _size(of) or rest
        of += 1
    return Wave(
        number=order.wave,
        of=of,
        released_at=order.wave_at,
        next_at=order.wave_at + GAP if left else None,
        next_size=min(left, _size(order.wave) or left),
        waits_for=_why_not(order) if left and order.state == "running" else "",
    )


def release(campaign_id: UUID) -> int:
    """Release the next wave early; the caller may it and is named in the log.

    Raises:
        Conflict: it is not being sent, or there is no further wave.
    """
    ledger.lock_campaign(campaign_id)
    order = orders.locked(campaign_id)
    if order.state != "running" or not order.wave or not _held(campaign_id):
        raise Conflict("no_wave_waits", _("No wave of this campaign is waiting."))
    return _release(order)


def tick() -> int:
    """Release every next wave whose time has come and whose last one went well."""
    running = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.state == "running",
        Campaign.wave.between(1, LAST - 1),
        Campaign.wave_at <= func.clarion_now() - GAP,
    )
    released = 0
    for campaign_id in list(db.session().scalars(running)):
        order = orders.locked(campaign_id)
        if order.state != "running" or not _held(campaign_id):
            continue
        bad = _went_badly(order)
        if bad:
            breakers.open_("campaign", str(campaign_id), bad)
        elif not _why_not(order):
            released += _release(order)
    return released


@job(queue="default", idempotent=True)
def spread(campaign_id: UUID) -> None:
    """Release a page of the last wave, and ring for the next page; safe to repeat."""
    order = orders.locked(campaign_id)
    if order.wave == LAST and _let_go(campaign_id, PAGE) == PAGE:
        spread.later(campaign_id)
    orders.ring(campaign_id)


# --- private


def _release(order: Campaign) -> int:
    size = _size(order.wave)
    order.wave, order.wave_at = order.wave + 1, func.clarion_now()
    db.session().flush()
    count = _let_go(order.id, size or PAGE)
    if size is None:
        spread.later(order.id)
    audit.record("messaging.wave.released", order, wave=order.wave, people=count)
    orders.ring(order.id)
    return count


def _size(after: int) -> int | None:
    """How many people the wave after this one has; None: everybody who is left."""
    return WAVES[after] if after < len(WAVES) else None


def _let_go(campaign_id: UUID, count: int) -> int:
    later = and_(_waiting(campaign_id), Message.not_before > func.clarion_now() + FAR)
    some = select(Message.id).where(later).order_by(Message.not_before, Message.id)
    go = (
        update(Message)
        .where(later, Message.id.in_(some.limit(count)))
        .values(not_before=Message.not_before - BEYOND)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return db.session().scalar(select(func.count()).select_from(go.cte("gone"))) or 0


def _why_not(order: Campaign) -> str:
    """Say what the next wave waits for, apart from bad results; nothing: it may leave."""
    now = db.session().scalar(select(func.clarion_now()))
    if now is None or order.wave_at is None or order.wave_at + GAP > now:
        return "time"
    n = _tally(order.id)
    under_way = select(Message.id).where(
        _of(order.id),
        Message.state.in_(("queued", "claimed", "dispatching")),
        Message.not_before < func.clarion_now() + FAR,
    )
    if db.session().scalar(under_way.limit(1)) is not None:
        return "sending"
    if n.get("held"):
        return "held"
    known = n.get("delivered", 0) + n.get("read", 0) + n.get("failed", 0)
    return "" if known >= KNOWN * sum(n.get(state, 0) for state in SEEN) else "news"


def _went_badly(order: Campaign) -> str:
    """Name what speaks against going on, by the results of the waves so far."""
    n = _tally(order.id)
    wrong = (
        select(func.count())
        .select_from(Message)
        .where(
            _of(order.id),
            Message.state == "failed",
            Message.attempt > 0,
            Message.reason.not_in(gauges.RECIPIENT),
        )
    )
    seen = sum(n.get(state, 0) for state in SEEN)
    failed = db.session().scalar(wrong) or 0
    if failed >= FEWEST and failed >= gauges.SHARE * seen:
        return "failure_rate"
    got = n.get("delivered", 0) + n.get("read", 0)
    stops = gauges.opt_outs(order.id)
    if stops >= FEWEST and stops >= gauges.OPTED_OUT * got:
        return "opt_out_rate"
    sender = db.session().scalar(select(Sender).where(Sender.id == order.sender_id))
    return "number_quality_red" if sender is not None and sender.quality == "red" else ""


def _tally(campaign_id: UUID) -> dict[str, int]:
    query = select(Message.state, func.count()).where(_of(campaign_id))
    return dict(db.session().execute(query.group_by(Message.state)).tuples().all())


def _held(campaign_id: UUID) -> int:
    later = and_(_waiting(campaign_id), Message.not_before > func.clarion_now() + FAR)
    return db.session().scalar(select(func.count()).select_from(Message).where(later)) or 0


def _of(campaign_id: UUID) -> ColumnElement[bool]:
    return and_(Message.account_id == current_account(), Message.campaign_id == campaign_id)


def _waiting(campaign_id: UUID) -> ColumnElement[bool]:
    return and_(_of(campaign_id), Message.state == "queued")
