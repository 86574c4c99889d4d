"""The drain: claim, intend, send, record; an asyncio loop inside one job.

Two threads talk to the database (one prepares what may leave, one writes what came of
it); the loop talks to the provider. No connection is held while a provider is awaited.
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
from typing import Any
from uuid import UUID

import uvloop
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from clarion.base import crash, db
from clarion.base.errors import NotSent
from clarion.base.settings import settings
from clarion.base.telemetry import logger
from clarion.messaging import (
    breakers,
    budget,
    caps,
    channels,
    contract,
    counts,
    epoch,
    gauges,
    lanes,
    launches,
    ledger,
    orders,
    pacing,
    references,
    suppression,
)
from clarion.messaging.budget import Budget
from clarion.messaging.contract import Busy, Halted, Rejected
from clarion.messaging.ledger import Intent, Outcome
from clarion.messaging.models import Campaign, Channel, Sender
from clarion.messaging.results import Results
from clarion.messaging.threads import LedgerThread
from clarion.plugging.manager import plugins
from clarion.tenancy import preferences
from clarion.work import jobs
from clarion.work.jobs import job

log = logger(__name__)
BATCH = 200
IN_FLIGHT = 400
SLICE_SECONDS = 5.0
PATIENCE_SECONDS = 1.0
"""A sender that has to wait longer is left, and its order rung again."""
LATE_SECONDS = 0.008
"""By so much may a slice leave late without the next ones being put off."""
LOOK_SECONDS = 0.25
"""How long a turn that is over may go unnoticed while all calls hang."""
MISSES = 5
"""After so many calls in a row that reached nobody, the sender rests."""
_USER_IDS = ("bsuid", "parent_bsuid")


@dataclass(frozen=True, slots=True)
class Batch:
    """What a veto is asked about: claimed rows, inside the intent transaction."""

    campaign_id: UUID
    ids: tuple[UUID, ...]
    token: UUID


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is needed to send for one order, opened once per slice."""

    campaign_id: UUID
    channel_id: UUID
    sender_id: UUID
    sender: str
    lane: int
    budget: Budget | None
    template: dict[str, Any]
    transport: contract.Transport
    channel: contract.Channel
    trials: tuple[UUID, ...] = ()


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
        .where(Campaign.id == campaign_id, Campaign.state == "running")
    )
    row = db.session().execute(query).first()
    if row is None:
        return None
    campaign, sender, channel = row
    if sender.state != "active" or channel.state != "active":
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
        self.plan, self.compose = plan, _composer(plan)
        self.preparing = LedgerThread()
        self.results = Results(plan.transport.name, self._weigh)
        self.gauge, self.came_of = gauges.of(plan.campaign_id), set[str]()
        self.sure = False
        self.calls: set[asyncio.Task[None]] = set()
        self.room = asyncio.Event()
        self.halted = False
        self.late, self.rest = 0.0, 0.0
        self.misses, self.missed_before = 0, False

    async def run(self) -> float:
        """Send until the slice is over, nothing is left, or the worker must stop.

        Returns for how many seconds the sender has to rest.
        """
        now = time.monotonic()
        self.until = now + lanes.TURN_SECONDS, now + SLICE_SECONDS
        async with channels.http_for(self.plan.transport) as http:
            writer = asyncio.create_task(self.results.write())
            try:
                while not self._must_stop():
                    await self._wait_for_room()
                    if self._must_stop():
                        break
                    size = min(BATCH, self._limit() - len(self.calls))
                    if not await self._send_batch(size, http) or self.plan.trials:
                        break
            finally:
                self.turn.over()
                if self.calls:
                    await asyncio.wait(self.calls)
                self.results.close()
                await writer
                self.preparing.close()
        return self.rest

    def _must_stop(self) -> bool:
        gone, (fair, end) = self.misses >= MISSES, self.until
        over = time.monotonic() >= (fair if self.turn.crowded() else end)
        return self.halted or gone or over or self.results.lost or jobs.stopping()

    def _limit(self) -> int:
        """How many calls may be under way: one as a trial, a few until one is answered."""
        if self.plan.trials:
            return 1
        return IN_FLIGHT if self.sure else gauges.SILENT

    async def _wait_for_room(self) -> None:
        """Wait until half a batch may go on the wire, or the turn is over: calls may hang."""
        while len(self.calls) > max(0, self._limit() - BATCH // 2):
            if self._must_stop():
                return
            self.room.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.room.wait(), LOOK_SECONDS)

    async def _send_batch(self, size: int, http: contract.Http) -> bool:
        """Prepare up to `size` intents and start their calls; False when none are left."""
        began = time.monotonic()
        grant, intents, claimed = await self.preparing.run(
            _prepare, self.plan, size, self.late
        )
        self.missed_before = grant.misses > 0
        if intents:
            await self._begin(grant)
        for intent in intents:
            call = asyncio.create_task(self._call(intent, http, began))
            self.calls.add(call)
            call.add_done_callback(self._called)
        if grant.count == 0:
            if grant.wait_seconds > PATIENCE_SECONDS:
                self.rest = grant.wait_seconds
                return False
            await asyncio.sleep(grant.wait_seconds)
            return True
        if claimed == 0 or (self.plan.budget and self.plan.budget.stuck):
            return False
        if grant.count < size and grant.wait_seconds > 0 and claimed >= grant.count:
            await asyncio.sleep(grant.wait_seconds)
        return True

    async def _begin(self, grant: pacing.Grant) -> None:
        """Wait for the slice to begin; note by how much it leaves too late."""
        await asyncio.sleep(max(0.0, grant.begins - time.monotonic()))
        self.late = max(0.0, time.monotonic() - grant.begins - LATE_SECONDS)

    def _called(self, call: asyncio.Task[None]) -> None:
        self.calls.discard(call)
        if len(self.calls) <= IN_FLIGHT - BATCH // 2:
            self.room.set()

    async def _call(self, intent: Intent, http: contract.Http, began: float) -> None:
        """Make one call and note its outcome. Never raises: what escapes is unknown.

        One that could not begin in time is not made: its lease may be over before the
        answer comes.
        """
        start = time.monotonic()
        if start - began > settings().lease_seconds / 3:
            outcome = _queued(intent, "not_begun", 0.0)
        else:
            outcome = await self._outcome(intent, http)
            self._note_reach(missed=outcome.reason == "not_sent")
            self._note_answer(outcome)
            crash.here("after_response")
        self.results.note(outcome, time.monotonic() - start)

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

    async def _outcome(self, intent: Intent, http: contract.Http) -> Outcome:
        plan = self.plan
        try:
            answer = await plan.transport.send(plan.channel, self.compose(intent), http)
        except Rejected as no:
            if no.suppress:
                self._suppress(intent, no)
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

    def _busy(self, intent: Intent, busy: Busy) -> Outcome:
        """Slow down whom the provider names; the message waits."""
        plan, wait = self.plan, busy.retry_after
        if busy.scope == "pair":
            self.results.aside(partial(pacing.pair_busy, intent.id))
        else:
            self.results.aside(partial(pacing.busy, plan.channel_id, plan.sender_id, busy))
        if busy.throttles:
            wait *= random.uniform(0.4, 1.6)  # noqa: S311 -- so that they do not come at once
        return _queued(intent, "", wait, busy.code)

    def _suppress(self, intent: Intent, no: Rejected) -> None:
        address = [(intent.address_kind, intent.address)]
        scope = no.suppress or "marketing"
        self.results.aside(
            lambda: suppression.suppress(address, scope=scope, reason="provider_stop")
        )


def _prepare(plan: Plan, size: int, late: float) -> tuple[pacing.Grant, list[Intent], int]:
    """Claim what the pace allows, then commit the intent for what may leave."""
    with db.transaction():
        ledger.beat(plan.campaign_id)
        ledger.keep_statistics()
        grant = pacing.take(plan.sender_id, size, lane=plan.lane, late=late)
        if grant.count == 0:
            return grant, [], 0
        token, ids = ledger.claim(plan.campaign_id, grant.count)
    crash.here("after_claim")
    if not ids:
        return grant, [], 0
    claimed = len(ids)
    try:
        if plan.budget:
            ids = plan.budget.admit(token, ids)
        with db.transaction():
            epoch.require()
            ledger.lock_for_intent(plan.campaign_id, ids)
            crash.here("after_gate_locks")
            _ask_plugins(plan, ids, token)
            if grant.pairs:
                pacing.hold_pairs(ids, token)
            intents = ledger.intend(token, ids)
            if plan.lane < pacing.BULK_LANE:
                pacing.note_pairs([one.id for one in intents])
            gone = {i.id for i in intents}
            kept = [i for i in ids if i not in gone]
            caps.put_off(token, kept)
            ledger.refuse(token, kept)
            crash.here("after_intent_flush")
    except Exception as error:
        # a veto that cannot be asked has not agreed: what was claimed waits
        log.exception("dispatch.intent_failed", campaign_id=str(plan.campaign_id))
        deadlock = isinstance(error, OperationalError)  # or a lost connection: soon over
        with db.transaction():
            ledger.unclaim(token, wait_seconds=0.5 if deadlock else 30.0)
        return grant, [], 0
    crash.here("after_intent_commit")
    return grant, intents, claimed


def _ask_plugins(plan: Plan, ids: Sequence[UUID], token: UUID) -> None:
    batch = Batch(plan.campaign_id, tuple(ids), token)
    for _plugin, refusals in plugins().before("send", preferences.switched_on, batch=batch):
        if refusals is not None:
            ledger.veto(refusals, ids, token)


def _queued(intent: Intent, reason: str, wait: float, code: str = "") -> Outcome:
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


def _outcome(intent: Intent, state: str, reason: str, code: str = "") -> Outcome:
    return Outcome(intent.id, intent.attempt, intent.token, state, reason, code)


def _composer(plan: Plan) -> Callable[[Intent], contract.Message]:
    """Read an order's template once; returns what writes its messages."""
    template, by = plan.template, references.instance()
    name, language = template["name"], template["language"]
    style = template.get("parameter_format", "named")
    shapes = [
        (one["kind"], tuple(one["variables"]), one.get("index", 0), one.get("button", ""))
        for one in template.get("parts", ())
    ]

    def compose(intent: Intent) -> contract.Message:
        given = intent.variables
        parts = tuple(
            contract.Part(kind, {v: str(given.get(v, "")) for v in names}, index, button)
            for kind, names, index, button in shapes
        )
        return contract.Message(
            id=intent.id,
            reference=references.reference(intent.id, intent.attempt, by=by),
            sender=plan.sender,
            to=intent.address,
            to_kind="bsuid" if intent.address_kind in _USER_IDS else "phone",
            template=contract.TemplateUse(name, language, parts, style),
        )

    return compose
