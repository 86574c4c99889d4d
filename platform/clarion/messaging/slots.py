"""The slots of a worker: orders are drained side by side, each for a turn.

One thread with one asyncio loop. It takes bells from the broker, lets `lanes` choose, and
never waits for a provider: a slot whose calls hang is one slot less, for as long as they
hang.
"""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import uvloop
from sqlalchemy.exc import SQLAlchemyError

from clarion.base import broker, telemetry
from clarion.base.telemetry import logger
from clarion.messaging import dispatch, lanes, reconcile
from clarion.messaging.lanes import Wish
from clarion.tenancy import hooktimes
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import account_scope
from clarion.work import jobs, presence, stops
from clarion.work.jobs import Bell

log = logger(__name__)
LOOK_SECONDS = 0.1
"""How long a finished slot or a stop may go unnoticed while we listen to the broker."""
AHEAD = lanes.SLOTS
"""How many bells are taken at most before there is a slot for them."""
EACH = 2
"""How many of one account: further ones go to the end, so that others are found."""
LOOKS = 30
BACK_SECONDS = 1.0


def serve(stopping: Callable[[], bool]) -> threading.Thread:
    """Start draining orders in a thread of its own, until asked to stop."""
    thread = threading.Thread(
        target=lambda: uvloop.run(Slots(stopping).run()), name="dispatch", daemon=True
    )
    thread.start()
    return thread


class Slots:
    """The slots of one worker, and the bells that wait for one."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self.stopping = stopping
        self.waiting: dict[Wish, Bell] = {}
        self.running: dict[asyncio.Task[None], Wish] = {}
        self.lingering: dict[asyncio.Task[None], Wish] = {}
        self.freed = asyncio.Event()
        self.taken = 0

    async def run(self) -> None:
        """Drain until asked to stop; then finish what is on the wire, give back the rest."""
        while not self.stopping():
            try:
                await self._listen()
                self._start()
            except SQLAlchemyError as error:  # whether a lane is stopped is not known
                log.warning("slots.database_lost", error=type(error).__name__)
                await asyncio.sleep(BACK_SECONDS)
            except broker.lost() as error:
                log.warning("slots.broker_lost", error=type(error).__name__)
                await self._without_bells()
        if left := {*self.running, *self.lingering}:
            await asyncio.wait(left)
        for bell in self.waiting.values():
            with contextlib.suppress(*broker.lost()):  # the reconciler rings again
                jobs.give_back(bell)

    async def _without_bells(self) -> None:
        """Look for work in the database: while the broker is away, nobody can ring."""
        with contextlib.suppress(SQLAlchemyError):  # away as well; we come again
            await asyncio.to_thread(stops.look)
            for bell in await asyncio.to_thread(reconcile.unrung):
                wish = _wish(bell)
                if wish and len(self.waiting) < AHEAD:
                    self.waiting.setdefault(wish, bell)
            self._start()
        await asyncio.sleep(BACK_SECONDS)

    def crowded(self, queue: str) -> bool:
        """Whether an order that has had its turn must leave its slot.

        Somebody waits for it, or staff have paused its lane.
        """
        return bool(self.waiting) or stops.shut(queue)

    def _start(self) -> None:
        while wish := lanes.choose(
            [one for one in self.waiting if not stops.shut(one.queue)],
            self.running.values(),
            self.lingering.values(),
        ):
            bell = self.waiting.pop(wish)
            task = asyncio.create_task(self._drain(wish, bell))
            self.running[task] = wish
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.running.pop(task, None)
        self.lingering.pop(task, None)
        self.freed.set()

    def _turn_over(self, task: asyncio.Task[None] | None) -> None:
        """Free the slot of an order that only waits for its last answers."""
        if task and (wish := self.running.pop(task, None)):
            self.lingering[task] = wish
            self.freed.set()

    async def _listen(self) -> None:
        """Take what is there; with nothing there, wait a moment for a bell or a slot."""
        self.freed.clear()
        more = await asyncio.to_thread(self._take)
        if more:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.freed.wait(), LOOK_SECONDS)

    def _take(self) -> bool:
        """Take bells from the broker; says whether any is kept.

        What goes on waits there while enough wait here; what is new or urgent is seen.
        """
        stops.look()
        held = Counter(wish.account_id for wish in self.waiting)
        looks = kept = 0
        while looks < LOOKS:
            idle = not (self.running or self.waiting or self.lingering or looks)
            full = len(self.waiting) >= AHEAD
            lanes_now = jobs.SENDING[:-1] if full else self._order()
            if not (lanes_now := tuple(one for one in lanes_now if not stops.shut(one))):
                break
            bell = jobs.take_bell(lanes_now, seconds=1 if idle else 0)
            if bell is None:
                break
            looks += 1
            kept += self._sort_in(bell, held)
        return kept > 0

    def _order(self) -> tuple[str, ...]:
        """One look in ten goes from the bottom: no lane is never looked at."""
        self.taken += 1
        return jobs.SENDING if self.taken % 10 else jobs.SENDING[::-1]

    def _sort_in(self, bell: Bell, held: Counter[Any]) -> bool:
        """Keep a bell, unless there are enough of its account; says whether it is kept."""
        wish = _wish(bell)
        if wish is None:
            log.error("slots.strange_bell", path=bell.path)
            return False
        account = wish.account_id
        if any(one.campaign_id == wish.campaign_id for one in self.waiting):
            return False  # it is known that there is work
        if held[account] >= EACH and wish.bulk:
            jobs.give_back(bell, "dispatch")
            return False
        held[account] += 1
        self.waiting[wish] = bell
        return True

    async def _drain(self, wish: Wish, bell: Bell) -> None:
        """Drain one order for a turn, as the actor who rang."""
        who = Actor.from_json(bell.payload["actor"])
        lane = stops.OF_QUEUE[wish.queue]
        with (
            account_scope(wish.account_id, who),
            telemetry.bound(job=bell.path),
            presence.doing(lane, bell.path, wish.account_id),
        ):
            try:
                turn = dispatch.Turn(
                    partial(self.crowded, wish.queue),
                    partial(self._turn_over, asyncio.current_task()),
                )
                await dispatch.work(wish.campaign_id, turn)
                presence.count(lane)
                jobs.done.labels(bell.path, "done").inc()
            except Exception as error:  # written down, and rung again
                jobs.done.labels(bell.path, "failed").inc()
                one = jobs.resolve(bell.path)
                await asyncio.to_thread(jobs.again, one, bell.path, bell.payload, 1, error)
            if hooktimes.due():
                await asyncio.to_thread(hooktimes.keep)


def _wish(bell: Bell) -> Wish | None:
    account, campaign = bell.account_id, bell.payload["args"].get("campaign_id")
    if account is None or campaign is None:
        return None
    return Wish(UUID(campaign), account, bell.queue)
