"""After a restore: hold what waited, replay the journal, and let two people decide.

`epoch` finds that the database is an older one; here is what happens then. Rows in doubt
move on by status events that still come; after a day what nobody heard of becomes a
question, which two people answer for a whole order.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Conflict, NotFound
from clarion.base.telemetry import logger
from clarion.base.words import _
from clarion.messaging import (
    doubts,
    epoch,
    holds,
    journal,
    ledger,
    orders,
    suppression,
)
from clarion.messaging.instance import InstanceEpoch, RestoreRelease
from clarion.messaging.models import Campaign
from clarion.tenancy import audit
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.models import Account, Person
from clarion.tenancy.scope import account_scope, current_account, current_actor
from clarion.work.jobs import job

log = logger(__name__)
Choice = Literal["resend", "leave"]
WAIT = dt.timedelta(hours=24)  # so long events may come late; afterwards hardly any do
HOLDER_LOCK = 7004
audit.label("messaging.restore.held", "The database was restored: messages are held")
audit.label("messaging.restore.asked", "Proposed what becomes of held messages")
audit.label("messaging.restore.decided", "Decided what becomes of held messages")
audit.label("messaging.restore.withdrawn", "Took back a proposal for held messages")


# --- what processes do


def look() -> bool:
    """Compare the database with its copies, hold what is in doubt; say whether it is shut.

    At the start of relay and workers, and whenever they have lost the database. Safe in
    many processes at once, and to be cut off anywhere: the next one goes on.
    """
    found = epoch.check()
    if found.restored_at is not None and not found.held:
        _hold_everything()
    return found.shut


@job(queue="default", idempotent=True, alone=True, system=True)
def tend() -> None:
    """Ask people about what is held for a day, and finish orders without doubt."""
    with db.apart(epoch.SYSTEM) as orm:
        row = orm.scalar(
            select(InstanceEpoch).where(InstanceEpoch.restored_at.is_not(None))
        )
        if row is None or row.restored_at is None:
            return
        due = orm.scalar(select(func.clarion_now() > row.restored_at + WAIT))
        asking = bool(due) and row.people_asked_at is None
        paused = select(Campaign.account_id).where(
            Campaign.state == "paused", Campaign.state_reason == doubts.RESTORED
        )
        accounts = list(orm.scalars(select(Account.id) if asking else paused.distinct()))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB):
            _tend(asking=asking)
    if asking:
        with db.apart(epoch.SYSTEM) as orm:
            orm.scalars(select(InstanceEpoch)).one().people_asked_at = func.clarion_now()


def _tend(*, asking: bool) -> None:
    with db.transaction():
        if asking:
            doubts.ask()
        for campaign_id in doubts.settled():
            _go_on(campaign_id)


def _hold_everything() -> None:
    """Replay and hold, account by account, then note that it is done."""
    lines = journal.read()
    with db.apart(epoch.SYSTEM) as orm:
        orm.execute(select(func.pg_advisory_xact_lock(HOLDER_LOCK)))
        row = orm.scalars(select(InstanceEpoch)).one()
        if row.held_at is not None:
            return  # another process was first
        held = replayed = 0
        for account_id in orm.scalars(select(Account.id)).all():
            with account_scope(account_id, SYSTEM_JOB), db.transaction():
                replayed += suppression.replay(lines.get(account_id, ()))
                count = doubts.hold()
                if count:
                    audit.record("messaging.restore.held", None, people=count)
                held += count
        row.held_at, row.replayed = func.clarion_now(), replayed
    log.critical("restore.held", messages=held, suppressions=replayed)


# --- what two people decide about one order


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a restore left in doubt of one order, and who proposes what.

    Attributes:
        held: rows for which events may still come.
        unknown: rows that were on the wire when the backup was made.
        to_decide: rows that wait for two people.
        decidable_at: when the held ones become questions.
        choice: what somebody proposes; empty when nobody did.
        asked_by: whose proposal that is.
        mine: the present person proposed it, so somebody else has to confirm.
    """

    held: int = 0
    unknown: int = 0
    to_decide: int = 0
    decidable_at: dt.datetime | None = None
    choice: str = ""
    asked_by: str = ""
    mine: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is in doubt."""
        return bool(self.held or self.unknown or self.to_decide)


def doubt(campaign_id: UUID) -> Doubt:
    """Read what is in doubt of an order; cheap where the database was never restored."""
    since = epoch.restored_at()
    if since is None:
        return Doubt()
    counts = doubts.tally(campaign_id)
    asked = _open(campaign_id)
    return Doubt(
        held=counts.get("held", 0),
        unknown=counts.get("unknown", 0),
        to_decide=counts.get("needs_decision", 0),
        decidable_at=since + WAIT,
        choice=asked.choice if asked else "",
        asked_by=_name(asked.asked_by) if asked else "",
        mine=asked is not None and asked.asked_by == current_actor().label,
    )


def propose(campaign_id: UUID, choice: Choice) -> None:
    """Say what shall become of an order's messages in doubt; somebody else confirms.

    Raises `Conflict` while nothing is to be decided, or another proposal is open.
    """
    _locked(campaign_id)
    asked = _open(campaign_id)
    who = current_actor().label
    if asked is not None:
        if (asked.choice, asked.asked_by) == (choice, who):
            return
        raise Conflict(
            "proposal_open", _("There is a proposal already. Confirm it or not.")
        )
    if not doubts.tally(campaign_id).get("needs_decision"):
        raise Conflict("nothing_to_decide", _("There is nothing to decide about."))
    row = RestoreRelease(
        id=db.new_id(), campaign_id=campaign_id, choice=choice, asked_by=who
    )
    db.session().add(row)
    audit.record("messaging.restore.asked", row, choice=choice)


def confirm(campaign_id: UUID, choice: Choice) -> int:
    """Do what another person proposed; return for how many people.

    Args:
        campaign_id: which order.
        choice: what the page showed; refused when the proposal is another one now.

    Raises `Conflict` for one's own proposal, or when it is gone.
    """
    order = _locked(campaign_id)
    asked, who = _open(campaign_id), current_actor().label
    if asked is None or asked.choice != choice:
        raise Conflict("proposal_gone", _("This proposal is not open any more."))
    if asked.asked_by == who:
        raise Conflict("second_person_needed", _("A second person has to confirm this."))
    count = doubts.decide(campaign_id, resend=choice == "resend")
    asked.decided_by, asked.decided_at = who, func.clarion_now()
    asked.people = count
    audit.record("messaging.restore.decided", asked, choice=choice, people=count)
    epoch.outgrow()
    if order.state != "cancelled":
        _go_on(campaign_id)
    return count


def withdraw(campaign_id: UUID) -> None:
    """Take a proposal back, one's own or another's: nothing happens to the messages."""
    _locked(campaign_id)
    asked = _open(campaign_id)
    if asked is None:
        return
    asked.withdrawn_at = func.clarion_now()
    audit.record("messaging.restore.withdrawn", asked, choice=asked.choice)


def _go_on(campaign_id: UUID) -> None:
    """Let an order run that paused for the restore; it finishes if nothing is left."""
    order = _locked(campaign_id)
    held = holds.why(order)
    order.state, order.state_reason = "paused" if held else "running", held
    order.finished_at = None
    db.session().flush()
    if orders.settle(campaign_id) == "running":
        orders.ring(campaign_id)


def _locked(campaign_id: UUID) -> Campaign:
    """Lock an order: two people's clicks meet here, and an intent is waited for."""
    ledger.lock_campaign(campaign_id)
    query = select(Campaign).where(
        Campaign.account_id == current_account(), Campaign.id == campaign_id
    )
    row = db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("campaign_unknown", _("There is no such campaign."))
    return row


def _open(campaign_id: UUID) -> RestoreRelease | None:
    return db.session().scalar(
        select(RestoreRelease).where(
            RestoreRelease.account_id == current_account(),
            RestoreRelease.campaign_id == campaign_id,
            RestoreRelease.decided_at.is_(None),
            RestoreRelease.withdrawn_at.is_(None),
        )
    )


def _name(label: str) -> str:
    """Name the person behind an actor's label; others stand as they are."""
    kind, _colon, key = label.partition(":")
    if kind != "person":
        return label
    found = db.session().scalar(select(Person.name).where(Person.id == UUID(key)))
    return found or _("somebody who left")
