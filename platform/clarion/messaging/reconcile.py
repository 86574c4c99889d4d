"""The reconciler: finds what was left lying, across accounts; the work runs per account.

Leases that ran out, orders nobody rings, statuses nobody matched, unknown rows grown old.
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import func, or_, select

from clarion.base import db
from clarion.base.telemetry import logger
from clarion.messaging import (
    ageing,
    breakers,
    counts,
    gauges,
    incoming,
    lanes,
    launches,
    leases,
    orders,
    pacing,
    portfolio,
)
from clarion.messaging.models import Breaker, Campaign, Message, Orphan
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.models import Account
from clarion.tenancy.scope import account_scope
from clarion.work import outbox, stops
from clarion.work.jobs import Bell, job

log = logger(__name__)
IDLE = dt.timedelta(seconds=3)
JUST_NOW = dt.timedelta(minutes=1)


@job(queue="default", idempotent=True, alone=True, system=True)
def look() -> None:
    """Find accounts with something to mend and mend it, one account at a time."""
    for account_id in _accounts():
        with account_scope(account_id, SYSTEM_JOB):
            mend()


def mend() -> None:
    """Mend one account: leases, orders that stand still, late matches, old unknowns."""
    with db.transaction():
        moved = leases.reclaim()
        adopted = incoming.adopt_orphans()
        incoming.forget_orphans()
        again = ageing.send_again()
        asked = ageing.ask_people()
        late = ageing.expire_waiting()
        pacing.forget_pairs()
        for campaign_id in sorted(set(again)):
            orders.reopen(campaign_id)
    if moved or adopted or again or asked or late:
        log.info(
            "ledger.mended",
            reclaimed=moved,
            adopted=adopted,
            again=len(again),
            to_decide=asked,
            late=len(late),
        )
    with db.transaction():
        gauges.weigh_opt_outs()
        breakers.tick()
        launches.tick()
    with db.transaction():
        query = select(Campaign.id).where(Campaign.state.in_(("running", "pausing")))
        for campaign_id in list(db.session().scalars(query)):
            orders.settle(campaign_id)
        for campaign_id in sorted(set(late)):
            orders.settle(campaign_id)
        for campaign_id in counts.standing(IDLE):
            if not _stopped(campaign_id):
                orders.ring(campaign_id)


def _stopped(campaign_id: UUID) -> bool:
    """Say whether ringing would only pile up bells before a lane that staff have stopped."""
    if not stops.held():
        return False
    query = select(Campaign.lane).where(Campaign.id == campaign_id)
    lane = db.session().scalars(query).one()
    return lanes.queue(lane) in stops.held()


def unrung() -> list[Bell]:
    """List orders that stand still though they could go on, as bells.

    What a worker asks while the broker is away: nobody can ring then.
    """
    running = select(Campaign.account_id).where(Campaign.state == "running").distinct()
    with db.apart(outbox.SYSTEM) as orm:
        accounts = list(orm.scalars(running))
    found = []
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            found += [orders.bell(one) for one in counts.standing(IDLE)]
    return found


@job(queue="default", idempotent=True, alone=True, system=True)
def close_books() -> None:
    """Find orders whose messages have outlived themselves, and close their books."""
    portfolio.forget_waits()
    old = select(Campaign.account_id).where(ageing.outlived()).distinct()
    with db.apart(outbox.SYSTEM) as orm:
        accounts = list(orm.scalars(old))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            expired = ageing.close_books()
        if expired:
            log.info("ledger.undelivered", messages=expired)


def _accounts() -> list[UUID]:
    # columns are named: clarion_system may read these and no others, `EXISTS (SELECT *)` none
    late = select(Message.id).where(
        Message.account_id == Account.id,
        Message.state.in_(("claimed", "dispatching")),
        Message.lease_until < func.clarion_now(),
    )
    doubt = select(Message.id).where(
        Message.account_id == Account.id, ageing.doubtful_anywhere()
    )
    active = select(Campaign.id).where(
        Campaign.account_id == Account.id,
        or_(
            Campaign.state.in_(("running", "pausing")),
            (Campaign.state == "paused") & (Campaign.finish_by <= func.clarion_now()),
        ),
    )
    over = select(Campaign.id).where(  # whose last answers nobody has looked at
        Campaign.account_id == Account.id,
        Campaign.state == "finished",
        Campaign.finished_at > func.clarion_now() - JUST_NOW,
    )
    orphaned = select(Orphan.id).where(Orphan.account_id == Account.id)
    stopped = select(Breaker.id).where(
        Breaker.account_id == Account.id,
        Breaker.state == "open",
        Breaker.until <= func.clarion_now(),
    )
    found = (late, doubt, active, over, orphaned, stopped)
    waits = or_(*(each.exists() for each in found))
    with db.apart(outbox.SYSTEM) as orm:
        return list(orm.scalars(select(Account.id).where(waits)))
