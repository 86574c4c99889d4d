"""The drain: claim, intend, send, record; an asyncio loop inside one job.

Threads talk to the database (one prepares what may leave, another one beside it where a
number is fast, one writes what came of it); the loop talks to the provider. No connection
is held while a provider is awaited.
"""

import asyncio
import contextlib
import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import uvloop
from sqlalchemy import select

from clarion.base import crash, db
from clarion.base.errors import NotSent
from clarion.base.settings import settings
from clarion.base.telemetry import logger
from clarion.messaging import (
    breakers,
    budget,
    channels,
    contract,
    countries,
    counts,
    epoch,
    gauges,
    lanes,
    launches,
    orders,
    pacing,
    quotas,
    window,
    wishes,
)
from clarion.messaging.contract import Busy, Halted, Rejected
from clarion.messaging.leases import Claimed
from clarion.messaging.ledger import Outcome
from clarion.messaging.models import Campaign, Channel, Sender
from clarion.messaging.preparing import Plan, Prepared, Preparer
from clarion.messaging.results import Results
from clarion.messaging.threads import LedgerThread
from clarion.tenancy.models import Account
from clarion.work import jobs
from clarion.work.jobs import job

log = logger(__name__)
BATCH = 100
HANDS = 2  # batches that are prepared at once for a fast number
UNWRITTEN = 2 * BATCH  # answers that may wait for the database before sending waits too
SLICE_SECONDS = 5.0
PATIENCE_SECONDS = 1.0
"""A sender that has to wait longer is left, and its order rung again."""
LATE_SECONDS = 0.008
"""By so much may a slice leave late without the next ones being put off."""
BEGIN_SECONDS = 1.5
"""A call that has not begun so long after its intent is not made: a pause promises two."""
LOOK_SECONDS = 0.25
"""How long a turn that is over may go unnoticed while all calls hang."""
MISSES = 5
"""After so many calls in a row that reached nobody, the sender rests."""


@job(queue="dispatch", idempotent=True, alone=True)
def drain(campaign_id: UUID) -> None:
    """Send for one order until its slice of time is over, then ring again if more waits."""
    uvloop.run(work(campaign_id, Turn()))


@dataclass(frozen=True, slots=True)
class Turn:
    """What the worker has to do with an order's turn.

    Attributes:
        crowded: whether somebody waits for the place of an order that had its turn.
        over: to be called when nothing more begins and only answers are awaited.
    """

    crowded: Callable[[], bool] = lambda: False
    over: Callable[[], None] = lambda: None


async def work(campaign_id: UUID, turn: Turn) -> None:
    """Send for one order of the present account for a turn, then ring if more waits."""
    around = LedgerThread()
    try:
        plan = await around.run(_opened, campaign_id)
        if plan is not None:
            slice_ = _Drain(plan, turn)
            rest = await slice_.run()
            await around.run(_close, plan, rest, slice_.came_of)
    finally:
        around.close()


def _opened(campaign_id: UUID) -> Plan | None:
    with db.transaction():
        plan = None if epoch.shut() else _plan(campaign_id)
        if plan is None:
            orders.settle(campaign_id)
        return plan


def _close(plan: Plan, rest: float, came_of: set[str]) -> None:
    with db.transaction():
        if plan.trials:
            breakers.judge(plan.trials, came_of)
        if plan.budget:
            rest = max(rest, plan.budget.close())
        if orders.settle(plan.campaign_id) == "running":
            _ring_again(plan.campaign_id, rest)


def _plan(campaign_id: UUID) -> Plan | None:
    query = (
        select(Campaign, Sender, Channel)
        .join(Sender, Sender.id == Campaign.sender_id)
        .join(Channel, Channel.id == Sender.channel_id)
        .join(Account, Account.id == Campaign.account_id)
        .where(Campaign.id == campaign_id, Campaign.state == "running")
        .where(Account.state == "active")  # else the gate would refuse one after the other
    )
    row = db.session().execute(query).first()
    if row is None:
        return None
    campaign, sender, channel = row
    if lanes.paused(campaign.lane):
        return None  # staff stopped it; the reconciler rings when it goes on
    if sender.state != "active" or channel.state != "active":
        return None
    if quotas.spent(campaign):
        return None
    trials = breakers.way(campaign, sender)
    if trials is None:
        return None
    return Plan(
        campaign_id=campaign_id,
        channel_id=channel.id,
        sender_id=sender.id,
        sender=sender.provider_id,
        lane=campaign.lane,
        budget=budget.of(campaign, channel),
        template=campaign.template,
        transport=channels.transports()[channel.transport],
        channel=channels.opened(channel),
        trials=trials,
        quota=quotas.of("messages") is not None,
    )


def _ring_again(campaign_id: UUID, rest: float) -> None:
    """Ring when the next row is due, but not while its sender rests."""
    due = counts.next_due(campaign_id)
    if due is None or due > launches.FAR:
        return  # nobody waits, or only the people of a later wave
    wait = max(due, dt.timedelta(seconds=rest))
    orders.ring(campaign_id, after=wait if wait.total_seconds() > 0 else None)


class _Drain:
    """One slice of sending for one order."""

    def __init__(self, plan: Plan, turn: Turn) -> None:
        self.turn, self.until = turn, (0.0, 0.0)
        self.plan = plan
        self.hands = [_Hand(plan)]
        self.results = Results(plan.transport.name, self._weigh)
        self.gauge, self.came_of = gauges.of(plan.campaign_id), set[str]()
        self.sure, self.window = False, window.of(plan.sender_id)
        self.calls: set[asyncio.Task[None]] = set()
        self.coming = 0  # calls that are being prepared
        self.changed, self.few = asyncio.Event(), 0
        self.halted = False
        self.late, self.rest, self.paced = 0.0, 0.0, True
        self.misses, self.missed_before = 0, False

    async def run(self) -> float:
        """Send until the slice is over, nothing is left, or the worker must stop.

        Returns for how many seconds the sender has to rest.
        """
        now = time.monotonic()
        self.until = now + lanes.TURN_SECONDS, now + SLICE_SECONDS
        async with channels.http_for(self.plan.transport) as http:
            writer = asyncio.create_task(self.results.write(self.changed.set))
            try:
                await self._keep_sending(self.hands[0], http)
            finally:
                self.turn.over()
                if self.calls:
                    await asyncio.wait(self.calls)
                self.results.close()
                await writer
                for hand in self.hands:
                    hand.thread.close()
        return self.rest

    async def _keep_sending(self, hand: "_Hand", http: contract.Http) -> None:
        """Send batch after batch; for a fast number with a second hand at work."""
        second: asyncio.Task[None] | None = None
        try:
            while not self._must_stop():
                size = await self._room()
                if self._must_stop() or not await self._send_batch(hand, size, http):
                    break
                if self.plan.trials or (hand is not self.hands[0] and not self._fast()):
                    break
                if len(self.hands) < HANDS and self._fast():
                    self.hands.append(_Hand(self.plan))
                    second = asyncio.create_task(self._keep_sending(self.hands[1], http))
        except BaseException:
            self.halted = True  # the other one ends with its batch, whose intents stand
            raise
        finally:
            if second:
                await second

    def _must_stop(self) -> bool:
        gone, (fair, end) = self.misses >= MISSES, self.until
        over = time.monotonic() >= (fair if self.turn.crowded() else end)
        return self.halted or gone or over or self.results.lost or jobs.stopping()

    def _fast(self) -> bool:
        """Say whether the next batch is worth preparing while this one is committed.

        Not where the number's rate is what limits us: one hand keeps its slices in time.
        Nor under a daily limit: who asks for its places one after the other gets them in
        order.
        """
        free = self.sure and not self.paced and self.plan.budget is None
        return free and self._limit() >= 2 * BATCH

    def _limit(self) -> int:
        """How many calls may be under way: one as a trial, a few until one is answered."""
        if self.plan.trials:
            return 1
        limit = self.window.limit
        return limit if self.sure else min(limit, gauges.SILENT)

    async def _room(self) -> int:
        """Wait until some calls may begin, or the turn is over: calls may hang.

        Returns how many; about half of what may be on the wire, so that batches are worth
        their transactions.
        """
        while not self._must_stop():
            limit = self._limit()
            room = min(BATCH, limit - len(self.calls) - self.coming)
            worth = max(1, min(BATCH, limit // 2))
            if self.results.unwritten < UNWRITTEN and room >= worth:
                return room
            await self._change(limit - worth - self.coming)
        return 0

    async def _change(self, calls: int) -> None:
        """Wait until so few calls are on the wire, or answers were written, or a moment."""
        self.few = max(self.few, calls)
        self.changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self.changed.wait()
        self.few = 0

    async def _send_batch(self, hand: "_Hand", size: int, http: contract.Http) -> bool:
        """Prepare up to `size` intents and start their calls; False when none are left."""
        found = await self._begin(hand, size, http)
        if not found.claimed and found.grant.count:
            if hand is not self.hands[0]:
                return False  # the first one looks whether that is the end
            found = await self._suspect(hand, http)
        grant = found.grant
        if grant.count == 0:
            if grant.wait_seconds > PATIENCE_SECONDS:
                self.rest = grant.wait_seconds
                return False
            await _until(grant)
            return True
        if (
            found.claimed == 0
            or found.full
            or (self.plan.budget and self.plan.budget.stuck)
        ):
            return False
        if grant.count < size and grant.wait_seconds > 0 and found.claimed >= grant.count:
            await _until(grant)
        return True

    async def _suspect(self, hand: "_Hand", http: contract.Http) -> Prepared:
        """Look for a row that may be what killed workers, with nothing else in hand.

        Should it kill this one too, then nobody else's message becomes unknown with it.
        """
        while self._at_work() and not self._must_stop():
            await self._change(0)
        if self._at_work():
            return Prepared(pacing.Grant(1, 0.0))  # the turn is over; who comes next looks
        return await self._begin(hand, 1, http, suspect=True)

    def _at_work(self) -> bool:
        return bool(self.calls or self.results.unwritten or self.coming)

    async def _begin(
        self, hand: "_Hand", size: int, http: contract.Http, *, suspect: bool = False
    ) -> Prepared:
        """Prepare a batch and start its calls when its slice begins."""
        late, self.late = self.late, 0.0  # said once: the slices are put off by it
        self.coming += size
        try:
            found = await hand.thread.run(hand.prepare, size, late=late, suspect=suspect)
            grant = found.grant
            self.paced = grant.count < size or grant.wait_seconds > 0
            # until it was reached: a look that took no slice knows of no misses
            self.missed_before = self.missed_before or grant.misses > 0
            if found.leaving:
                await asyncio.sleep(max(0.0, grant.begins - time.monotonic()))
                self.late = max(0.0, time.monotonic() - grant.begins - LATE_SECONDS)
        finally:
            self.coming -= size
        for row, message in found.leaving:
            call = asyncio.create_task(self._call(row, message, http, found.durable))
            self.calls.add(call)
            call.add_done_callback(self._called)
        return found

    def _called(self, call: asyncio.Task[None]) -> None:
        self.calls.discard(call)
        if len(self.calls) <= self.few:
            self.changed.set()

    async def _call(
        self, row: Claimed, message: contract.Message, http: contract.Http, durable: float
    ) -> None:
        """Make one call and note its outcome. Never raises: what escapes is unknown.

        One that could not begin soon after its intent is not made: somebody may have
        been told since that nothing leaves any more.
        """
        start = time.monotonic()
        if start - durable > min(BEGIN_SECONDS, settings().lease_seconds / 3):
            self.results.note(_queued(row, "not_begun", 0.0), 0.0)
            return
        outcome = await self._outcome(row, message, http)
        crash.here("after_response")
        took = time.monotonic() - start
        self.results.note(outcome, took)
        self._note_reach(missed=outcome.reason == "not_sent")
        self._note_answer(outcome)
        if outcome.state == "unknown" or outcome.reason == "not_sent":
            self.window.lost()
        else:
            self.window.answered(took, len(self.calls))

    def _note_reach(self, *, missed: bool) -> None:
        """Count calls that reached nobody: a sender whose provider is gone rests."""
        if missed:
            self.misses += 1
            if self.misses == MISSES:
                self.results.aside(partial(pacing.unreachable, self.plan.sender_id))
        else:
            if self.missed_before:
                self.results.aside(partial(pacing.reached, self.plan.sender_id))
            self.misses, self.missed_before = 0, False

    def _note_answer(self, outcome: Outcome) -> None:
        """Stop at once when nobody answers any more: each further call becomes unknown."""
        if outcome.state == "queued":
            return
        silent = outcome.state == "unknown"
        self.sure = self.sure or not silent
        if self.gauge.heard(silent=silent) and not self.halted:
            self._stop("sender", str(self.plan.sender_id), "provider_down")

    def _weigh(self, outcomes: Sequence[Outcome]) -> None:
        """Look at a batch of outcomes as it is written: is it better to stop?"""
        self.came_of.update(one.state for one in outcomes)
        reason = self.gauge.take(outcomes)
        if reason and not self.halted:
            self._stop("campaign", str(self.plan.campaign_id), reason)
        codes = Counter(one.code for one in outcomes if one.reason == "provider_code")
        if codes:
            self.results.aside(partial(gauges.strange, self.plan.transport.name, codes))

    def _stop(self, kind: breakers.Kind, subject: str, reason: str) -> None:
        self.halted = True
        gauges.forget(self.plan.campaign_id)
        self.results.aside(partial(breakers.open_, kind, subject, reason))

    async def _outcome(
        self, intent: Claimed, message: contract.Message, http: contract.Http
    ) -> Outcome:
        plan = self.plan
        try:
            answer = await plan.transport.send(plan.channel, message, http)
        except Rejected as no:
            if no.suppress:
                self._suppress(intent, no)
            if no.reason == countries.REASON:
                refused = [intent.address]
                self.results.aside(partial(countries.refused, plan.channel_id, refused))
            return _outcome(intent, "failed", no.reason, no.code)
        except Busy as busy:
            return self._busy(intent, busy)
        except Halted as halt:
            self.halted = True
            self.results.aside(
                partial(
                    breakers.halted,
                    plan.channel_id,
                    plan.sender_id,
                    plan.campaign_id,
                    halt,
                )
            )
            return _queued(intent, "", 0.0, halt.code)
        except NotSent:
            return _queued(intent, "not_sent", _back_off(intent.attempt))
        except Exception as error:  # the outcome is not known, and we say so
            said = type(error).__name__
            log.info("message.unknown", message_id=str(intent.id), error=said)
            return _outcome(intent, "unknown", "no_answer")
        return Outcome(
            intent.id,
            intent.attempt,
            intent.token,
            "held" if answer.held else "accepted",
            "provider_quality" if answer.held else "",
            provider_id=answer.provider_id,
        )

    def _busy(self, intent: Claimed, busy: Busy) -> Outcome:
        """Slow down whom the provider names; the message waits."""
        plan, wait = self.plan, busy.retry_after
        if busy.scope == "pair":
            self.results.aside(partial(pacing.pair_busy, intent.id))
        else:
            self.results.aside(partial(pacing.busy, plan.channel_id, plan.sender_id, busy))
        if busy.throttles:
            wait *= random.uniform(0.4, 1.6)  # noqa: S311 -- so that they do not come at once
        return _queued(intent, "", wait, busy.code)

    def _suppress(self, intent: Claimed, no: Rejected) -> None:
        address = [(intent.address_kind, intent.address)]
        scope = no.suppress or "marketing"
        self.results.aside(lambda: wishes.stop(address, scope=scope))


class _Hand:
    """A thread that prepares batches, one after the other."""

    def __init__(self, plan: Plan) -> None:
        self.thread, self.prepare = LedgerThread(), Preparer(plan)


async def _until(grant: pacing.Grant) -> None:
    """Wait until it is worth asking for the next slice; some of it has passed already."""
    if grant.wait_seconds > 0:
        await asyncio.sleep(max(0.0, grant.again - time.monotonic()))


def _queued(intent: Claimed, reason: str, wait: float, code: str = "") -> Outcome:
    return Outcome(
        intent.id,
        intent.attempt,
        intent.token,
        "queued",
        reason,
        code,
        wait_seconds=wait,
    )


def _back_off(attempt: int) -> float:
    """Wait 1 s × 2ⁿ, at most 5 min, with jitter."""
    return min(300.0, 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311


def _outcome(intent: Claimed, state: str, reason: str, code: str = "") -> Outcome:
    return Outcome(intent.id, intent.attempt, intent.token, state, reason, code)
