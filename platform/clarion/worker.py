"""An RQ worker: settings, servers, plugins, queues; beside it the webhooks' lanes, and the relay.

Webhooks are applied by threads of their own, because jobs are slices of sending that last
seconds: a STOP must not wait for one.
"""

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from clarion.base import broker, services
from clarion.base.telemetry import logger
from clarion.boot import boot
from clarion.messaging import epoch, restored, slots
from clarion.work import jobs, masking, outbox, presence, schedule, stops, webhooks

log = logger(__name__)
RELAY_SECONDS = 0.1
TICK_SECONDS = 1.0
BROKER_BACK_SECONDS = 1.0
LANE_SECONDS = 0.5  # without a bell, a lane looks by itself so often


class Worker(SimpleWorker):  # type: ignore[misc,unused-ignore] # rq is untyped
    """Runs jobs in this process: the program is loaded once, the drain keeps its caches."""

    dequeue_timeout = 2  # seconds; between two looks it can be asked to stop

    def _install_signal_handlers(self) -> None:
        """Leave signals to `run`: the first asks to stop, jobs finish what is on the wire."""

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """Say that this worker lives; between two jobs, notice that it or a lane shall stop."""
        super().heartbeat(*args, **kwargs)
        if self.get_current_job_id() is not None:
            return
        with contextlib.suppress(SQLAlchemyError):  # what was known holds until it is back
            stops.look()
        self._ordered_queues = [one for one in self.queues if not stops.shut(one.name)]
        if jobs.stopping() or not self._ordered_queues:
            raise StopRequested

    def perform_job(self, job: Any, queue: Any, *more: Any) -> bool:
        """Run one job; say which, for as long as it runs."""
        lane, (path, payload) = stops.OF_QUEUE.get(queue.name, queue.name), job.args
        with presence.doing(lane, path, masking.account_of(payload)):
            done = super().perform_job(job, queue, *more)
        presence.count(lane)
        return bool(done)


def run(*, burst: bool = False, relay: bool = False) -> None:
    """Work until asked to stop; survives the loss of the broker and of the database."""
    services.ensure()
    boot()
    configure_mappers()
    _spare_the_collector()
    stop = threading.Event()
    _listen(stop)
    jobs.on_stop(stop.is_set)
    beside = [_beside(f"lane {lane}", lane_loop, lane, stop) for lane in webhooks.LANES]
    beside.append(_beside("presence", presence.loop, stop, relay))
    if relay:
        beside.append(_beside("relay", relay_loop, stop))
    sending = None if burst else slots.serve(stop.is_set)
    log.info("worker.up", pid=os.getpid(), relay=relay)
    while not stop.is_set():
        try:
            restored.look()  # a connection made later is asked about at the gate
            stops.look()
            if not _work(burst=burst):
                stop.wait(stops.LOOK_SECONDS)
        except (RedisError, SQLAlchemyError, OSError) as error:
            log.warning("worker.waiting", error=type(error).__name__)
            stop.wait(BROKER_BACK_SECONDS)
        if burst:
            _apply_all()
            break
    if sending:
        sending.join()  # what is on the wire is answered first
    stop.set()
    for thread in beside:
        thread.join(timeout=5)
    log.info("worker.down", pid=os.getpid())


def _beside(name: str, work: Callable[..., None], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=args, name=name, daemon=True)
    thread.start()
    return thread


def _work(*, burst: bool) -> bool:
    """Run jobs for a while; says whether any lane was open."""
    every = jobs.QUEUES if burst else jobs.OTHERS  # sending has slots of its own
    if all(stops.shut(one) for one in every):
        return False
    worker = Worker(jobs.queues(every), connection=broker.redis(), serializer="json")
    worker.work(burst=burst, with_scheduler=False, logging_level="WARNING")
    return True


def _spare_the_collector() -> None:
    """Let the garbage collector leave the loaded program alone: it took a third of the drain."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _listen(stop: threading.Event) -> None:
    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)


# --- the webhooks


def _apply_all() -> None:
    for lane in webhooks.LANES:
        while webhooks.work(lane):
            pass


def lane_loop(lane: str, stop: threading.Event) -> None:
    """Apply the webhooks of one lane as they come; never gives up."""
    while not stop.is_set():
        try:
            stops.look()
            if not webhooks.work(lane):
                broker.wait(lane, LANE_SECONDS)
        except (SQLAlchemyError, OSError) as error:
            log.warning("lane.waiting", lane=lane, error=type(error).__name__)
            stop.wait(BROKER_BACK_SECONDS)
        except Exception:  # the lane must outlive whatever one account's rows hold
            log.exception("lane.failed", lane=lane)
            stop.wait(BROKER_BACK_SECONDS)


# --- the relay


def relay_loop(stop: threading.Event) -> None:
    """Ring what committed, tick the clock, count the epoch; wait for a bell in between.

    Never gives up. Before the first ring, and after each loss of the database, it asks
    whether this is the database it knows.
    """
    ticked, known = 0.0, False
    while not stop.is_set():
        try:
            if not known:
                restored.look()
                known = True
            if time.monotonic() - ticked >= TICK_SECONDS:
                ticked = time.monotonic()
                schedule.tick()
                known = epoch.count()
            stops.look()
            if outbox.relay():
                continue
            stop.wait(RELAY_SECONDS)
        except (RedisError, SQLAlchemyError, OSError) as error:
            known = False
            log.warning("relay.waiting", error=type(error).__name__)
            stop.wait(BROKER_BACK_SECONDS)
        except Exception:  # the relay must outlive whatever one row holds
            log.exception("relay.failed")
            stop.wait(BROKER_BACK_SECONDS)


def run_relay() -> None:
    """Run the relay alone: outbox and schedule, until asked to stop."""
    services.ensure()
    boot()
    stop = threading.Event()
    _listen(stop)
    relay_loop(stop)
