"""Holds on what is sent to many, before harm is done; what waits goes on later.

On all of an account: placed by the watch for misuse, lifted by a person. On one order:
placed and lifted by staff. Orders that run pause, orders that are to begin wait; nothing of
them is lost. Codes and answers to people are not held.
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import ColumnElement, Index, String, Uuid, func, select
from sqlalchemy import column as plain
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Wall, column
from clarion.base.trails import Trail
from clarion.base.words import lazy
from clarion.messaging import ledger
from clarion.messaging.events import CampaignPaused
from clarion.messaging.models import Campaign
from clarion.tenancy import audit
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.models import Account, AccountBase, Time
from clarion.tenancy.scope import account_scope, current_account
from clarion.work import outbox
from clarion.work.jobs import job

REASON = "misuse_review"
BY_STAFF = "held_by_staff"
BY_PERSON = ("paused_by_person", "by_person")
PURPOSES = ("marketing", "utility")
audit.label("messaging.hold.placed", "Campaigns are held for a review")
audit.label("messaging.hold.lifted", "Campaigns go on after a review")
audit.label("console.campaign.held", "Staff hold a campaign")
audit.label("console.campaign.released", "Staff let a held campaign go")


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
    trail = Trail(lazy("Hold of an account's campaigns"))

    reason: Mapped[str] = column(String(60), pd=None)
    flag_id: Mapped[UUID] = column(Uuid, pd=None)
    lifted_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class CampaignHold(AccountBase):
    """That staff hold one order; the customer reads why, and cannot lift it.

    `was` is why the order was paused before, if it was: then it stays paused afterwards.
    """

    __tablename__ = "campaign_hold"
    __table_args__ = (
        Index(
            "uq_campaign_hold_standing",
            "account_id",
            "campaign_id",
            unique=True,
            postgresql_where=plain("lifted_at").is_(None),
        ),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT",),
        staff=(
            "SELECT",
            "INSERT (id, account_id, campaign_id, words, by, was)",
            "UPDATE (lifted_at, lifted_by, lifted_words)",
        ),
    )
    trail = Trail(lazy("Hold of a campaign"))

    campaign_id: Mapped[UUID] = column(Uuid, pd=None, to="campaign")
    words: Mapped[str] = column(String(300), pd="account.note", export=False)
    by: Mapped[str] = column(String(120), pd="person.name", retention="account", log="mask")
    was: Mapped[str] = column(String(200), pd=None, server_default="")
    lifted_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    lifted_by: Mapped[str] = column(String(80), pd=None, server_default="")
    lifted_words: Mapped[str] = column(
        String(300), pd="account.note", export=False, server_default=""
    )


def why(order: Campaign) -> str:
    """Say why an order has to wait, whoever wants it to go on; empty when it need not."""
    if of_order(order.id) is not None:
        return BY_STAFF
    return REASON if stands(order.purpose) else ""


def of_order(campaign_id: UUID) -> CampaignHold | None:
    """Find what staff hold one order by."""
    query = select(CampaignHold).where(
        CampaignHold.campaign_id == campaign_id, CampaignHold.lifted_at.is_(None)
    )
    return db.session().scalar(query)


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


@job(queue="default", idempotent=True, alone=True, system=True)
def settle(account_id: UUID, campaign_id: UUID) -> None:
    """Tell who listens that an order is held; it is paused once nothing is on the wire."""
    from clarion.messaging import orders

    with account_scope(account_id, SYSTEM_JOB), db.transaction():
        if of_order(campaign_id) is not None:
            outbox.publish(CampaignPaused(campaign_id=campaign_id, reason=BY_STAFF))
            orders.settle(campaign_id)


@job(queue="default", idempotent=True, alone=True, system=True)
def let_go(account_id: UUID, campaign_id: UUID) -> None:
    """Let an order go on that nobody of staff holds any more.

    What a person had paused before stays paused, and what a breaker stops that is still open.
    """
    from clarion.messaging import breakers, orders

    with account_scope(account_id, SYSTEM_JOB), db.transaction():
        order = orders.locked(campaign_id)
        paused = order.state in ("paused", "pausing")
        if of_order(campaign_id) is not None or not paused:
            return
        if order.state_reason != BY_STAFF:
            return  # it waits for something else by now
        last = (
            select(CampaignHold.was)
            .where(CampaignHold.campaign_id == campaign_id)
            .order_by(CampaignHold.created_at.desc())
            .limit(1)
        )
        was = db.session().scalar(last) or ""
        stops = breakers.of_order(campaign_id)
        stopped = {stop.reason for stop in stops if stop.state == "open"}
        if was in BY_PERSON or was in stopped:
            order.state_reason = was
        else:
            orders.go_on(campaign_id)


def _orders(*which: ColumnElement[bool]) -> list[UUID]:
    query = select(Campaign.id).where(
        Campaign.account_id == current_account(), Campaign.purpose.in_(PURPOSES), *which
    )
    return list(db.session().scalars(query.order_by(Campaign.id)))
