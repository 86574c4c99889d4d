"""From a claim to a durable intent: what may leave is chosen, composed and committed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import OperationalError

from clarion.base import crash, db
from clarion.base.telemetry import logger
from clarion.messaging import (
    caps,
    contract,
    epoch,
    leases,
    ledger,
    pacing,
    quotas,
    references,
)
from clarion.messaging.budget import Budget
from clarion.messaging.leases import Claimed
from clarion.plugging.manager import plugins
from clarion.tenancy import preferences

log = logger(__name__)
LOOK_SECONDS = 1.0  # between two words to the others that somebody is at work
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
    quota: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What one look at the ledger brought.

    Attributes:
        grant: what the pace allowed.
        claimed: how many rows were there to be claimed.
        leaving: rows whose intent is durable, each with its message.
        durable: since when, on this process's monotonic clock.
        full: whether today's quota let nobody of them through.
    """

    grant: pacing.Grant
    claimed: int = 0
    leaving: Sequence[tuple[Claimed, contract.Message]] = ()
    durable: float = 0.0
    full: bool = False


class Preparer:
    """Claims what the pace allows, composes it, and commits the intent for what may leave.

    Whatever is done with a single message in this process before it leaves is done between
    claim and intent: a row that kills its worker loses a lease, and is never unknown.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.compose = plan, _composer(plan)
        self.looked, self.dry, self.full = 0.0, False, False

    def __call__(self, size: int, *, late: float = 0.0, suspect: bool = False) -> Prepared:
        """Prepare up to `size` messages, or the next row under suspicion.

        `late` says by how many seconds the last slice left after its time.
        """
        plan = self.plan
        with db.transaction():
            self._look()
            if (suspect or self.dry) and not leases.any_due(
                plan.campaign_id, suspect=suspect
            ):
                return Prepared(pacing.Grant(size, 0.0))  # the slice is for the others
            grant = pacing.take(plan.sender_id, size, lane=plan.lane, late=late)
            if grant.count == 0:
                return Prepared(grant)
            token, rows = leases.claim(plan.campaign_id, grant.count, suspect=suspect)
        crash.here("after_claim")
        self.dry = len(rows) < grant.count
        if not rows:
            return Prepared(grant)
        composed = self._composed(token, rows)
        try:
            ids = [row.id for row, _ in composed]
            if plan.budget:
                ids = plan.budget.admit(token, ids)
            gone = self._intend(grant, token, ids)
            durable = time.monotonic()
        except Exception as error:
            # a veto that cannot be asked has not agreed: what was claimed waits
            log.exception("dispatch.intent_failed", campaign_id=str(plan.campaign_id))
            deadlock = isinstance(error, OperationalError)  # or a lost connection
            with db.transaction():
                leases.unclaim(token, wait_seconds=0.5 if deadlock else 30.0)
            return Prepared(grant)
        crash.here("after_intent_commit")
        leaving = [one for one in composed if one[0].id in gone]
        return Prepared(grant, len(rows), leaving, durable, self.full)

    def _look(self) -> None:
        """Say now and then that somebody is at work, and keep the plans good."""
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.looked = time.monotonic()
            ledger.beat(self.plan.campaign_id)
            ledger.keep_statistics()

    def _composed(
        self, token: UUID, rows: Sequence[Claimed]
    ) -> list[tuple[Claimed, contract.Message]]:
        """Write the messages; a row that cannot be written is put aside, its claim counted."""
        composed, wrong = [], []
        for row in rows:
            crash.here("composing", row.address)
            try:
                composed.append((row, self.compose(row)))
            except Exception:
                log.exception("dispatch.not_composed", message_id=str(row.id))
                wrong.append(row.id)
        if wrong:
            with db.transaction():
                leases.set_aside(token, wrong)
        return composed

    def _intend(self, grant: pacing.Grant, token: UUID, ids: Sequence[UUID]) -> set[UUID]:
        with db.transaction():
            epoch.require()
            ledger.lock_for_intent(self.plan.campaign_id, ids)
            crash.here("after_gate_locks")
            _ask_plugins(self.plan, ids, token)
            if grant.pairs:
                pacing.hold_pairs(ids, token)
            if self.plan.quota:
                asked, ids = ids, quotas.admit(token, ids)
                self.full = bool(asked) and not ids
            gone = ledger.intend(token, ids)
            if self.plan.quota:
                quotas.count(len(gone))
            if self.plan.lane < pacing.BULK_LANE:
                pacing.note_pairs(gone)
            left = set(gone)
            kept = [one for one in ids if one not in left]
            caps.put_off(token, kept)
            ledger.refuse(token, kept)
            crash.here("after_intent_flush")
        return left


def _ask_plugins(plan: Plan, ids: Sequence[UUID], token: UUID) -> None:
    batch = Batch(plan.campaign_id, tuple(ids), token)
    for plugin, refusals in plugins().before("send", preferences.switched_on, batch=batch):
        if refusals is not None:
            with plugins().timed(plugin, "before_send"):
                ledger.veto(refusals, ids, token)


def _composer(plan: Plan) -> Callable[[Claimed], contract.Message]:
    """Read an order's template once; returns what writes its messages."""
    template, by = plan.template, references.instance()
    name, language = template["name"], template["language"]
    style = template.get("parameter_format", "named")
    shapes = [
        (one["kind"], tuple(one["variables"]), one.get("index", 0), one.get("button", ""))
        for one in template.get("parts", ())
    ]

    def compose(intent: Claimed) -> contract.Message:
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
