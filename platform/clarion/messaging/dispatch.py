"""The drain: claim, intend, send, record; an asyncio loop inside one job.

Two threads talk to the database (one prepares what may leave, one writes what came of
it); the loop talks to the provider. No connection is held while a provider is awaited.
"""

import asyncio
import contextvars
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import uvloop
from sqlalchemy import select

from clarion.base import crash, db
from clarion.base.errors import NotSent
from clarion.base.settings import settings
from clarion.base.telemetry import counter, histogram, logger
from clarion.messaging import (
    channels,
    contract,
    counts,
    ledger,
    orders,
    pacing,
    references,
    suppression,
)
from clarion.messaging.contract import Busy, Halted, Rejected
from clarion.messaging.ledger import Intent, Outcome
from clarion.messaging.models import Campaign, Channel, Sender
from clarion.plugging.manager import plugins
from clarion.tenancy import preferences
from clarion.tenancy.scope import account_scope, current_account, current_actor
from clarion.work import jobs
from clarion.work.jobs import job

log = logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
BATCH = 200
IN_FLIGHT = 400
SLICE_SECONDS = 5.0
RECORD_EVERY_SECONDS = 0.02
sent = counter(
    "messages_sent_total", "Calls to providers by result", ("transport", "result")
)
took = histogram("provider_seconds", "How long a provider took to answer", ("transport",))


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
    template: dict[str, Any]
    transport: contract.Transport
    channel: contract.Channel


@job(queue="dispatch", idempotent=True, alone=True)
def drain(campaign_id: UUID) -> None:
    """Send for one order until its slice of time is over, then ring again if more waits."""
    with db.transaction():
        plan = _plan(campaign_id)
        if plan is None:
            orders.settle(campaign_id)
            return
    uvloop.run(_Drain(plan).run())
    with db.transaction():
        state = orders.settle(campaign_id)
        if state == "running":
            _ring_again(campaign_id)


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
    return Plan(
        campaign_id=campaign_id,
        channel_id=channel.id,
        sender_id=sender.id,
        sender=sender.provider_id,
        template=campaign.template,
        transport=channels.transports()[channel.transport],
        channel=channels.opened(channel),
    )


def _ring_again(campaign_id: UUID) -> None:
    wait = counts.next_due(campaign_id)
    if wait is None:
        return
    if wait.total_seconds() <= 0:
        drain.later(campaign_id)
    else:
        drain.after(wait, campaign_id)


class _Drain:
    """One slice of sending for one order."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.preparing, self.writing = _DbThread(), _DbThread()
        self.calls: set[asyncio.Task[None]] = set()
        self.outcomes: list[Outcome] = []
        self.asides: list[Callable[[], Any]] = []
        self.halted = False
        self.failed_writes = 0

    async def run(self) -> None:
        """Send until the slice is over, nothing is left, or the worker must stop."""
        end = time.monotonic() + SLICE_SECONDS
        http = channels.http_for(self.plan.transport)
        async with http:
            writer = asyncio.create_task(self._write_results())
            try:
                while time.monotonic() < end and not self.halted and not jobs.stopping():
                    room = IN_FLIGHT - len(self.calls)
                    if room < BATCH // 2:
                        await asyncio.wait(self.calls, return_when=asyncio.FIRST_COMPLETED)
                        continue
                    more = await self._send_batch(min(BATCH, room), http)
                    if not more:
                        break
            finally:
                if self.calls:
                    await asyncio.wait(self.calls)
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
                await self._flush()
                self.preparing.close()
                self.writing.close()

    async def _send_batch(self, size: int, http: contract.Http) -> bool:
        """Prepare up to `size` intents and start their calls; False when none are left."""
        grant, intents, claimed = await self.preparing.run(_prepare, self.plan, size)
        began = time.monotonic()
        for intent in intents:
            call = asyncio.create_task(self._call(intent, http, began))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)
        if grant.count == 0:
            await asyncio.sleep(min(grant.wait_seconds, 1.0))
            return grant.wait_seconds < SLICE_SECONDS
        if claimed == 0:
            if self.calls:  # some of these may come back to the queue
                await asyncio.wait(self.calls)
                return False
            return False
        if grant.count < size and grant.wait_seconds > 0 and claimed >= grant.count:
            await asyncio.sleep(grant.wait_seconds)
        return True

    async def _call(self, intent: Intent, http: contract.Http, began: float) -> None:
        """Make one call and note its outcome. Never raises: what escapes is unknown."""
        plan, name = self.plan, self.plan.transport.name
        start = time.monotonic()
        if start - began > settings().lease_seconds / 3:
            self.outcomes.append(_queued(intent, "not_begun", 0.0))
            return
        try:
            answer = await plan.transport.send(plan.channel, _message(plan, intent), http)
            state = "held" if answer.held else "accepted"
            outcome = Outcome(
                intent.id,
                intent.attempt,
                intent.token,
                state,
                provider_id=answer.provider_id,
            )
        except Rejected as no:
            outcome = Outcome(
                intent.id, intent.attempt, intent.token, "failed", no.reason, no.code
            )
            if no.suppress:
                self._suppress(intent, no)
        except Busy as busy:
            outcome = _queued(intent, "", busy.retry_after, busy.code)
            if busy.scope != "pair":
                self.asides.append(partial(pacing.slow, plan.sender_id, busy.retry_after))
        except Halted as halt:
            outcome = _queued(intent, "", 0.0, halt.code)
            self._halt(halt)
        except NotSent:
            outcome = _queued(intent, "not_sent", _back_off(intent.attempt))
        except Exception as error:  # the outcome is not known, and we say so
            log.info(
                "message.unknown", message_id=str(intent.id), error=type(error).__name__
            )
            outcome = Outcome(
                intent.id, intent.attempt, intent.token, "unknown", "no_answer"
            )
        crash.here("after_response")
        took.labels(name).observe(time.monotonic() - start)
        sent.labels(name, outcome.state).inc()
        self.outcomes.append(outcome)

    def _suppress(self, intent: Intent, no: Rejected) -> None:
        address = [(intent.address_kind, intent.address)]
        scope = no.suppress or "marketing"
        self.asides.append(
            lambda: suppression.suppress(address, scope=scope, reason="provider_stop")
        )

    def _halt(self, halt: Halted) -> None:
        self.halted = True
        plan = self.plan
        self.asides.append(lambda: _halt_scope(plan, halt))

    async def _write_results(self) -> None:
        """Write outcomes in sets, a few times a second, while calls are on the wire."""
        while True:
            await asyncio.sleep(RECORD_EVERY_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        outcomes, self.outcomes = self.outcomes, []
        asides, self.asides = self.asides, []
        if outcomes or asides:
            await asyncio.shield(self.writing.run(_write, outcomes, asides))


class _DbThread:
    """A thread with a scope of its own: one ORM session, one connection at a time."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self.context = contextvars.copy_context()
        self.account, self.actor = current_account(), current_actor()

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        def entered() -> R:
            with account_scope(self.account, self.actor):
                return work(*args, **kwargs)

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, lambda: self.context.run(entered))

    def close(self) -> None:
        # a write that was under way when its task was cancelled is still to be seen by
        # `settle`: without waiting, the order stays running and nobody rings again
        self.pool.shutdown(wait=True)


def _prepare(plan: Plan, size: int) -> tuple[pacing.Grant, list[Intent], int]:
    """Claim what the pace allows, then commit the intent for what may leave."""
    with db.transaction():
        ledger.beat(plan.campaign_id)
        grant = pacing.take(plan.sender_id, size)
        if grant.count == 0:
            return grant, [], 0
        token, ids = ledger.claim(plan.campaign_id, grant.count)
    crash.here("after_claim")
    if not ids:
        return grant, [], 0
    try:
        with db.transaction():
            ledger.lock_for_intent(plan.campaign_id, ids)
            crash.here("after_gate_locks")
            _ask_plugins(plan, ids, token)
            intents = ledger.intend(token, ids)
            gone = {i.id for i in intents}
            ledger.refuse(token, [i for i in ids if i not in gone])
            crash.here("after_intent_flush")
    except Exception:
        # a veto that cannot be asked has not agreed: what was claimed waits
        log.exception("dispatch.intent_failed", campaign_id=str(plan.campaign_id))
        with db.transaction():
            ledger.unclaim(token, wait_seconds=30.0)
        return grant, [], 0
    crash.here("after_intent_commit")
    return grant, intents, len(ids)


def _ask_plugins(plan: Plan, ids: Sequence[UUID], token: UUID) -> None:
    batch = Batch(plan.campaign_id, tuple(ids), token)
    for _plugin, refusals in plugins().before("send", preferences.switched_on, batch=batch):
        if refusals is not None:
            ledger.veto(refusals, ids, token)


def _write(outcomes: list[Outcome], asides: list[Callable[[], Any]]) -> None:
    with db.transaction():
        ledger.record(outcomes)
        crash.here("after_result_flush")
    crash.here("after_result_commit")
    if asides:
        with db.transaction():
            for aside in asides:
                aside()


def _halt_scope(plan: Plan, halt: Halted) -> None:
    if halt.scope != "template":
        channels.halt(plan.channel_id, plan.sender_id, halt.scope, halt.reason)
    orders.halt(plan.campaign_id, halt.reason)


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


def _message(plan: Plan, intent: Intent) -> contract.Message:
    template = plan.template
    parts = tuple(
        contract.Part(
            kind=part["kind"],
            variables={v: str(intent.variables.get(v, "")) for v in part["variables"]},
            index=part.get("index", 0),
            button=part.get("button", ""),
        )
        for part in template.get("parts", ())
    )
    return contract.Message(
        id=intent.id,
        reference=references.reference(intent.id, intent.attempt),
        sender=plan.sender,
        to=intent.address,
        to_kind="bsuid" if intent.address_kind in ("bsuid", "parent_bsuid") else "phone",
        template=contract.TemplateUse(
            template["name"],
            template["language"],
            parts,
            template.get("parameter_format", "named"),
        ),
    )
