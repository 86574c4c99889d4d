"""The moves of rows that a restored database left in doubt; beside `ledger`, by its rules.

Each is one conditional statement that names the old state. What a restored database
holds as queued may have been sent: it is held, then asked about, never sent by itself.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, select, update

from clarion.base import db
from clarion.messaging.models import Campaign, Message
from clarion.tenancy.scope import current_account

RESTORED = "restored"
WAITING = ("queued", "claimed")


def hold() -> int:
    """Hold what waits in this account, call unknown what was on the wire; count rows.

    Orders that have such rows pause, so that none finishes over them. An answer that waits
    in a conversation is given up: it may have been given, and comes too late in any case.
    """
    given_up = (
        update(Message)
        .where(
            Message.account_id == current_account(),
            Message.state.in_(WAITING),
            Message.purpose == "service",
        )
        .values(
            state="expired",
            reason="not_started",
            token=None,
            lease_until=None,
            state_since=func.clarion_now(),
        )
        .execution_options(synchronize_session=False)
    )
    db.session().execute(given_up)
    moved = (
        update(Message)
        .where(
            Message.account_id == current_account(),
            Message.state.in_((*WAITING, "dispatching")),
        )
        .values(
            state=case((Message.state == "dispatching", "unknown"), else_="held"),
            reason=case((Message.purpose == "service", "no_answer"), else_=RESTORED),
            token=None,
            lease_until=None,
            state_since=func.clarion_now(),
        )
        .execution_options(synchronize_session=False)
    )
    count = db.session().execute(moved).rowcount  # type: ignore[attr-defined]
    orders = (
        update(Campaign)
        .where(
            Campaign.account_id == current_account(),
            Campaign.state.in_(("starting", "running", "pausing", "paused")),
            _doubtful_rows(),
        )
        .values(state="paused", state_reason=RESTORED)
        .execution_options(synchronize_session=False)
    )
    db.session().execute(orders)
    return int(count)


def ask() -> int:
    """Turn what is held since the restore into questions for people; count rows."""
    moved = (
        update(Message)
        .where(
            Message.account_id == current_account(),
            Message.state == "held",
            Message.reason == RESTORED,
        )
        .values(state="needs_decision", state_since=func.clarion_now())
        .execution_options(synchronize_session=False)
    )
    return int(db.session().execute(moved).rowcount)  # type: ignore[attr-defined]


def decide(campaign_id: UUID, *, resend: bool) -> int:
    """Queue again, or give up, what two people decided about; count rows."""
    queued = {
        "state": "queued",
        "reason": "",
        "claims": 0,
        "not_before": func.clarion_now(),
    }
    left = {"state": "failed", "reason": "outcome_unknown"}
    moved = (
        update(Message)
        .where(
            Message.account_id == current_account(),
            Message.campaign_id == campaign_id,
            Message.state == "needs_decision",
            Message.reason == RESTORED,
        )
        .values(
            **(queued if resend else left),
            token=None,
            lease_until=None,
            state_since=func.clarion_now(),
        )
        .execution_options(synchronize_session=False)
    )
    return int(db.session().execute(moved).rowcount)  # type: ignore[attr-defined]


def settled() -> list[UUID]:
    """List this account's orders that paused for the restore and have nothing in doubt."""
    query = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.state == "paused",
        Campaign.state_reason == RESTORED,
        ~_doubtful_rows(),
    )
    return list(db.session().scalars(query))


def tally(campaign_id: UUID) -> dict[str, int]:
    """Count an order's rows in doubt by state: held, unknown, needs_decision."""
    query = (
        select(Message.state, func.count())
        .where(
            Message.account_id == current_account(),
            Message.campaign_id == campaign_id,
            _in_doubt(),
        )
        .group_by(Message.state)
    )
    return dict(db.session().execute(query).tuples().all())


def _in_doubt() -> ColumnElement[bool]:
    return and_(
        Message.state.in_(("held", "unknown", "needs_decision")),
        Message.reason == RESTORED,
    )


def _doubtful_rows() -> ColumnElement[bool]:
    return exists().where(
        Message.account_id == Campaign.account_id,
        Message.campaign_id == Campaign.id,
        _in_doubt(),
    )
