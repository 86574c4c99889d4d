"""What providers told us is kept for some days, then forgotten: by the clock, in slices.

Jobs that were given up are forgotten after a month.
"""

import datetime as dt

from sqlalchemy import and_, delete, func, select

from clarion.base import db
from clarion.base.settings import settings
from clarion.base.telemetry import counter, logger
from clarion.work import outbox
from clarion.work.jobs import job
from clarion.work.models import DeadJob, WebhookInbox
from clarion.work.webhooks import TRIES

log = logger(__name__)
SLICE = 5_000
DEAD_DAYS = 30
purged = counter("webhook_rows_purged_total", "Raw webhooks that were forgotten")


@job(queue="bulk", idempotent=True, alone=True, system=True)
def forget_webhooks() -> None:
    """Forget a slice of raw webhooks whose time is over, and ring for the next slice.

    They are applied, or could not be in five tries. What waits is kept, however old.
    """
    limit = func.clarion_now() - dt.timedelta(days=settings().raw_event_days)
    inbox = WebhookInbox
    applied = and_(inbox.applied_at.is_not(None), inbox.applied_at < limit)
    hopeless = and_(
        inbox.applied_at.is_(None), inbox.tries >= TRIES, inbox.created_at < limit
    )
    full = False
    for which in (applied, hopeless):
        some = select(inbox.id).where(which).limit(SLICE)
        gone = delete(inbox).where(inbox.id.in_(some)).returning(inbox.id)
        with db.apart(outbox.SYSTEM) as orm:
            count = len(
                orm.execute(gone.execution_options(synchronize_session=False)).all()
            )
        purged.inc(count)
        full = full or count == SLICE
        if count:
            log.info("webhooks.forgotten", rows=count)
    if full:
        with db.transaction():
            forget_webhooks.later()


@job(queue="bulk", idempotent=True, alone=True, system=True)
def forget_dead_jobs() -> None:
    """Forget jobs that were given up a month ago, retried or not."""
    limit = func.clarion_now() - dt.timedelta(days=DEAD_DAYS)
    with db.apart(outbox.SYSTEM) as orm:
        orm.execute(delete(DeadJob).where(DeadJob.at < limit))
