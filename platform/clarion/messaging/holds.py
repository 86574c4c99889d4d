"""A hold on what an account sends to many, before harm is done; what waits goes on later.

Placed by the watch for misuse, lifted by a person. Orders that run pause, orders that are
to begin wait; nothing of them is lost. Codes and answers to people are not held.
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import ColumnElement, Index, String, Uuid, func, select
from sqlalchemy import column as plain
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Wall, column
from clarion.messaging import ledger
from clarion.messaging.models import Campaign
from clarion.tenancy import audit
from clarion.tenancy.models import Account, AccountBase, Time
from clarion.tenancy.scope import current_account

REASON = "misuse_review"
PURPOSES = ("marketing", "utility")
audit.label("messaging.hold.placed", "Campaigns are held for a review")
audit.label("messaging.hold.lifted", "Campaigns go on after a review")


class SendingHold(AccountBase):
    """That an account's campaigns wait for a review; one at a time."""

    __tablename__ = "sending_hold"
    __table_args__ = (
        Index(
            "uq_sending_hold_standing",
            "account_id",
            unique=True,
            postgresql_where=plain("lifted_at").is_(None),
        ),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT", "UPDATE (lifted_at)"),
        staff=("SELECT",),
        watch=("SELECT",),
    )

    reason: Mapped[str] = column(String(60), pd=None)
    flag_id: Mapped[UUID] = column(Uuid, pd=None)
    lifted_at: Mapped[dt.datetime | None] = column(Time, pd=None)


def stands(purpose: str) -> bool:
    """Say whether orders of a purpose have to wait in this account."""
    return purpose in PURPOSES and standing() is not None


def stopped() -> str | None:
    """Say why this account may not send at all; None when it may."""
    query = select(Account.state_reason).where(
        Account.id == current_account(), Account.state != "active"
    )
    return db.session().scalar(query)


def standing() -> SendingHold | None:
    """Find the hold of this account, if there is one."""
    query = select(SendingHold).where(
        SendingHold.account_id == current_account(), SendingHold.lifted_at.is_(None)
    )
    return db.session().scalar(query)


def place(flag_id: UUID) -> bool:
    """Hold what runs and what is to begin; says whether the hold is new.

    Harmless when called again: it pauses what has begun in between. The account's lock
    waits for intents that are being committed and keeps orders from beginning meanwhile.
    """
    from clarion.messaging import orders

    ledger.lock_account(current_account())
    row = insert(SendingHold).values(id=db.new_id(), reason=REASON, flag_id=flag_id)
    new = (
        db.session().execute(row.on_conflict_do_nothing().returning(SendingHold.id)).first()
    )
    if new is not None:
        audit.record("messaging.hold.placed", None, flag=flag_id)
    running = _orders(Campaign.state == "running")
    for campaign_id in running:
        orders.halt(campaign_id, REASON)
    return new is not None


def lift() -> int:
    """Let everything go on that the hold has paused; returns how many orders did."""
    from clarion.messaging import orders

    ledger.lock_account(current_account())  # whoever is placing it ends first
    row = standing()
    if row is not None:
        row.lifted_at = func.clarion_now()
        db.session().flush()
        audit.record("messaging.hold.lifted", None, flag=row.flag_id)
    paused = _orders(
        Campaign.state.in_(("paused", "pausing")), Campaign.state_reason == REASON
    )
    for campaign_id in paused:
        orders.go_on(campaign_id)
    return len(paused)


def _orders(*which: ColumnElement[bool]) -> list[UUID]:
    query = select(Campaign.id).where(
        Campaign.account_id == current_account(), Campaign.purpose.in_(PURPOSES), *which
    )
    return list(db.session().scalars(query.order_by(Campaign.id)))
