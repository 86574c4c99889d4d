"""The outbox: publish in the caller's transaction, ring after commit, never before."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, insert, select

from clarion.base import broker, crash, db
from clarion.base.telemetry import counter, logger
from clarion.tenancy.scope import current_actor
from clarion.work import stops
from clarion.work.events import Event, subscribers
from clarion.work.models import LaneStop, Outbox

log = logger(__name__)
SYSTEM = db.Entry("clarion_system", None, "job:relay")
BATCH = 500
rung = counter("outbox_rung_total", "Jobs handed from the outbox to the broker")


def publish(event: Event) -> None:
    """Tell everybody who subscribed, after this transaction has committed."""
    for job in subscribers(type(event)):
        put(job.queue, job.path, event.to_json())


def put(
    queue: str,
    job: str,
    arguments: Mapping[str, Any],
    *,
    after: dt.timedelta | None = None,
    unique_key: str | None = None,
) -> None:
    """Write one job into the outbox, with the actor it will run as."""
    who = current_actor()
    values: dict[str, Any] = {
        "queue": queue,
        "job": job,
        "payload": {"actor": who.to_json(), "args": dict(arguments)},
        "unique_key": unique_key,
    }
    if after is not None:
        values["not_before"] = func.clarion_now() + after
    # inline: who may only INSERT may not read a key back
    db.session().execute(insert(db.table_of(Outbox)).values(**values).inline())


def relay(limit: int = BATCH) -> int:
    """Hand what is due to the broker; return how many.

    The rows are deleted in the transaction that read them, after the broker took the
    jobs: a crash in between rings twice, and every job is safe to run twice. What is for
    a lane that staff have stopped stays here.
    """
    from clarion.work import jobs

    with db.apart(SYSTEM) as orm:
        due = (
            select(Outbox.seq, Outbox.queue, Outbox.job, Outbox.payload, Outbox.unique_key)
            .where(Outbox.not_before <= func.clarion_now())
            .order_by(Outbox.not_before, Outbox.seq)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        if held := stops.held():
            due = due.where(Outbox.queue.not_in(held))
        rows = orm.execute(due).all()
        if not rows:
            return 0
        jobs.ring(rows)
        crash.here("after_bell")
        orm.execute(delete(Outbox).where(Outbox.seq.in_([r.seq for r in rows])))
    crash.here("after_outbox_commit")
    rung.inc(len(rows))
    return len(rows)


def waiting() -> tuple[int, dt.datetime | None]:
    """Say how many jobs wait in the outbox and since when the oldest is due."""
    with db.apart(SYSTEM) as orm:
        query = select(func.count(), func.min(Outbox.not_before)).where(
            Outbox.not_before <= func.clarion_now()
        )
        count, oldest = orm.execute(query).one()
        return count, oldest


def overdue() -> dt.datetime | None:
    """Say since when the oldest job is due that may be rung: in no lane that staff stopped."""
    with db.apart(SYSTEM) as orm:
        stopped = orm.scalars(select(LaneStop.lane))
        held = [queue for lane in stopped for queue in stops.LANES.get(lane, ())]
        due = Outbox.not_before <= func.clarion_now()
        return orm.scalar(
            select(func.min(Outbox.not_before)).where(due, Outbox.queue.not_in(held))
        )


def wake() -> None:
    """Ring the relay's own bell, so that it need not wait for its next look."""
    broker.ring("relay")
