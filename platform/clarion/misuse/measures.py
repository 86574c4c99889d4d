"""Suspending and closing an account: one staff member asks, another one decides.

What stops harm at once does not wait for two: the watch's hold, and a quota of zero. What
a measure stops loses nothing; reopening lets it go on.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import holds, ledger, orders
from clarion.messaging.models import Campaign
from clarion.misuse import telling
from clarion.misuse.models import MisuseFlag
from clarion.tenancy import access, audit
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.models import Account
from clarion.tenancy.records import AccountMeasure
from clarion.tenancy.scope import account_scope, current_account, current_actor
from clarion.work.jobs import job

audit.label("console.account.suspended", "Suspended an account")
audit.label("console.account.closed", "Closed an account")
audit.label("console.account.reopened", "Reopened an account")
audit.label("console.measure.asked", "Asked a colleague to suspend or close an account")
audit.label("console.measure.refused", "Decided against suspending or closing an account")
LONGEST = 300
STATES = {"suspend": "suspended", "close": "closed"}


def ask(account_id: UUID, kind: str, reason: str, flag_id: UUID | None = None) -> UUID:
    """Want an account suspended or closed; somebody else has to decide. Returns its id."""
    access.require("console.accounts_suspend")
    words = said(reason)
    if kind not in STATES:
        raise Invalid("measure_unknown", _("Choose what is to be done."))
    account = locked(account_id)
    if account.state == "closed" or (kind == "suspend" and account.state != "active"):
        raise Conflict("account_not_active", _("This account is not active."))
    measure_id = db.new_id()
    row = insert(
        AccountMeasure
    ).values(  # these columns and no others: it is undecided
        id=measure_id,
        account_id=account_id,
        kind=kind,
        reason=words,
        by=current_actor().name[:120],
        flag_id=flag_id,
    )
    try:
        with db.session().begin_nested():
            db.session().execute(row)
    except IntegrityError as error:
        raise Conflict(
            "measure_asked", _("Somebody has asked for this already; decide about it.")
        ) from error
    audit.record("console.measure.asked", account, kind=kind, why=words)
    return measure_id


def confirm(measure_id: UUID) -> None:
    """Do what a colleague asked for: from the next message on nothing leaves.

    Takes the account's lock, which every intent to send holds shared: when this commits,
    nothing that was not on its way already will leave. What waits stays where it is.

    Raises:
        Conflict: it is one's own wish (`measure_own`), or it was decided already.
    """
    access.require("console.accounts_suspend")
    row = _measure(measure_id)
    if row.created_by == current_actor().label:
        raise Conflict("measure_own", _("Somebody else has to decide about this."))
    ledger.lock_account(row.account_id)
    account = locked(row.account_id)
    if account.state == "closed":
        raise Conflict("account_not_active", _("This account is not active."))
    _decide(row, "done")
    account.state, account.state_reason = STATES[row.kind], row.reason
    account.updated_at = clock.now()
    if row.flag_id is not None:
        _close_case(row)
    audit.record(f"console.account.{account.state}", account)
    # who is closed out cannot come in to read why
    said = {"why": row.reason} if account.state == "closed" else {}
    telling.owners(f"account_{account.state}", row.flag_id, row.account_id, **said)


def refuse(measure_id: UUID) -> None:
    """Decide against it, or take one's own wish back."""
    access.require("console.accounts_suspend")
    row = _measure(measure_id)
    _decide(row, "refused")
    audit.record("console.measure.refused", locked(row.account_id), kind=row.kind)


def reopen(account_id: UUID, reason: str) -> None:
    """Let a suspended or closed account send again; what waited goes on by itself."""
    access.require("console.accounts_suspend")
    words = said(reason)
    account = locked(account_id)
    if account.state == "active":
        raise Conflict("account_not_suspended", _("This account is not suspended."))
    let_go(account, words)


def let_go(account: Account, words: str) -> None:
    """Make an account active again, inside a verb that may."""
    account.state, account.state_reason = "active", ""
    account.updated_at = clock.now()
    db.session().flush()
    audit.record("console.account.reopened", account, reason=words)
    go_on.later(account.id)


@job(queue="default", idempotent=True, alone=True, system=True)
def go_on(account_id: UUID) -> None:
    """Let an account's orders go on after a review; one that is still open keeps its hold."""
    with account_scope(account_id, SYSTEM_JOB), db.transaction():
        still = select(MisuseFlag.id).where(
            MisuseFlag.account_id == current_account(),
            MisuseFlag.state == "open",
            MisuseFlag.held_at.is_not(None),
        )
        if db.session().scalar(still) is None:
            holds.lift()
        running = select(Campaign.id).where(
            Campaign.account_id == current_account(), Campaign.state == "running"
        )
        for campaign_id in list(db.session().scalars(running)):
            orders.ring(campaign_id)


@dataclass(frozen=True, slots=True)
class Wish:
    """A measure that waits for a second person."""

    id: UUID
    kind: str
    reason: str
    by: str
    mine: bool
    flag_id: UUID | None


def open_for(account_id: UUID) -> Wish | None:
    """Find what waits for a second person about an account."""
    query = select(AccountMeasure).where(
        AccountMeasure.account_id == account_id, AccountMeasure.state == "asked"
    )
    row = db.session().scalar(query)
    if row is None:
        return None
    mine = row.created_by == current_actor().label
    return Wish(row.id, row.kind, row.reason, row.by, mine, row.flag_id)


def whose(measure_id: UUID) -> UUID:
    """Say which account a measure is about; raises `NotFound`."""
    query = select(AccountMeasure.account_id).where(AccountMeasure.id == measure_id)
    found = db.session().scalar(query)
    if found is None:
        raise NotFound("measure_unknown", _("Nobody asked for this."))
    return found


def said(text: str, most: int = LONGEST) -> str:
    """Take in words of staff, or refuse."""
    words = " ".join(text.split())
    if not words:
        raise Invalid(
            "reason_missing", _("Say why; the account's log keeps it."), field="reason"
        )
    if len(words) > most:
        raise Invalid(
            "reason_long", _("Use at most %(most)s letters.", most=most), field="reason"
        )
    return words


def locked(account_id: UUID) -> Account:
    """Read and lock an account, as staff; raises `NotFound`."""
    query = select(Account).where(Account.id == account_id).with_for_update()
    found = db.session().scalar(query.execution_options(populate_existing=True))
    if found is None:
        raise unknown()
    return found


def unknown() -> NotFound:
    """Say that there is no such account."""
    return NotFound("account_unknown", _("There is no such account."))


def _measure(measure_id: UUID) -> AccountMeasure:
    query = select(AccountMeasure).where(AccountMeasure.id == measure_id)
    row = db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("measure_unknown", _("Nobody asked for this."))
    if row.state != "asked":
        raise Conflict("measure_decided", _("This was decided already."))
    return row


def _decide(row: AccountMeasure, state: str) -> None:
    who = current_actor()
    row.state, row.decided_by, row.decided_name = state, who.label, who.name[:120]
    row.decided_at = func.clarion_now()
    db.session().flush()


def _close_case(row: AccountMeasure) -> None:
    query = select(MisuseFlag).where(MisuseFlag.id == row.flag_id).with_for_update()
    flag = db.session().scalar(query)
    if flag is None or flag.state != "open":
        return
    who, now = current_actor(), func.clarion_now()
    flag.state, flag.asked_by, flag.said = "suspended", row.created_by, row.reason
    flag.decided_by, flag.decided_name, flag.decided_at = who.label, who.name[:120], now
    flag.shown_at = func.coalesce(MisuseFlag.shown_at, now)
    db.session().flush()
