"""What became of an account's orders, counted from its ledger: sets, never per message.

Runs inside the account, as `clarion_app`, because that is where the rows are. What it
writes are numbers; `watching` reads those and nothing else.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.messaging import quotas
from clarion.messaging.holds import PURPOSES
from clarion.messaging.models import Campaign, Identifier, Message, Suppression
from clarion.misuse.models import MisuseCount, MisuseStanding
from clarion.tenancy.scope import current_account

LATELY = dt.timedelta(days=7)
MONTH = dt.timedelta(days=30)
SETTLED = dt.timedelta(days=1)
"""So long after its end an order is counted with each look; later, once an hour."""
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
MANY = 10_000
"""So many people are counted once an hour at most; fewer with each look, because it is cheap."""
LEFT = ("dispatching", "accepted", "sent", "delivered", "read", "failed", "unknown",
        "needs_decision")  # fmt: skip
UNREACHED = ("undeliverable", "bad_address")
BLOCKS = ("block", "complaint", "provider_stop")


def count() -> int:
    """Count the present account's orders of the last days; returns how many."""
    due = _due()
    if due:
        _write(due)
    _standing()
    return len(due)


def _due() -> dict[UUID, tuple[str, dt.datetime]]:
    now = func.clarion_now()
    query = (
        select(Campaign.id, Campaign.purpose, Campaign.started_at)
        .outerjoin(
            MisuseCount,
            and_(
                MisuseCount.account_id == Campaign.account_id,
                MisuseCount.campaign_id == Campaign.id,
            ),
        )
        .where(
            Campaign.account_id == current_account(),
            Campaign.started_at > now - LATELY,
            Campaign.purpose.in_(PURPOSES),
            or_(
                MisuseCount.counted_at.is_(None),
                Campaign.finished_at.is_(None),
                MisuseCount.counted_at < Campaign.finished_at + SETTLED,
                MisuseCount.counted_at < now - HOUR,
            ),
        )
    )
    return {row[0]: (row[1], row[2]) for row in db.session().execute(query)}


def _write(due: dict[UUID, tuple[str, dt.datetime]]) -> None:
    numbers = _states(list(due))
    for campaign_id, found in _silenced(list(due)).items():
        numbers[campaign_id].update(found)
    rows = [
        {
            "id": db.new_id(),
            "campaign_id": campaign_id,
            "purpose": purpose,
            "started_at": started_at,
            **{name: numbers[campaign_id].get(name, 0) for name in NUMBERS},
        }
        for campaign_id, (purpose, started_at) in due.items()
    ]
    statement = insert(MisuseCount).values(rows)
    new = {name: statement.excluded[name] for name in NUMBERS}
    db.session().execute(
        statement.on_conflict_do_update(
            index_elements=["account_id", "campaign_id"],
            set_={**new, "counted_at": func.clarion_now()},
        )
    )


NUMBERS = ("people", "left", "delivered", "failed", "stopped", "blocked")


def _states(ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    unreached = and_(Message.state == "failed", Message.reason.in_(UNREACHED))
    query = (
        select(
            Message.campaign_id,
            func.count().filter(Message.state != "suppressed"),
            func.count().filter(Message.state.in_(LEFT)),
            func.count().filter(Message.state.in_(("delivered", "read"))),
            func.count().filter(unreached),
        )
        .where(Message.account_id == current_account(), Message.campaign_id.in_(ids))
        .group_by(Message.campaign_id)
    )
    found: dict[UUID, dict[str, int]] = defaultdict(dict)
    for campaign_id, *numbers in db.session().execute(query):
        found[campaign_id] = dict(zip(NUMBERS, numbers, strict=False))
    return found


def _silenced(ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Count the people who asked for silence since they got one of these orders."""
    who = Suppression.contact_id.distinct()
    query = (
        select(
            Message.campaign_id,
            func.count(who).filter(Suppression.reason == "stop"),
            func.count(who).filter(Suppression.reason.in_(BLOCKS)),
        )
        .join(
            Message,
            and_(
                Message.account_id == Suppression.account_id,
                Message.contact_id == Suppression.contact_id,
            ),
        )
        .where(
            Suppression.account_id == current_account(),
            Suppression.created_at > func.clarion_now() - LATELY,
            Message.campaign_id.in_(ids),
            Message.state.in_(LEFT),
            Message.created_at <= Suppression.created_at,
        )
        .group_by(Message.campaign_id)
    )
    return {
        row[0]: {"stopped": row[1], "blocked": row[2]}
        for row in db.session().execute(query)
    }


def _standing() -> None:
    """Keep what the account uses: its people, messages of the last month."""
    mine = MisuseStanding.account_id == current_account()
    rests = case((MisuseStanding.people > MANY, HOUR), else_=MINUTE)
    fresh = MisuseStanding.counted_at > func.clarion_now() - rests
    values: dict[str, Any] = {"messages": _messages()}
    if not db.session().scalar(select(MisuseStanding.id).where(mine, fresh)):
        values |= {"people": _people(), "counted_at": func.clarion_now()}
    row = insert(MisuseStanding).values(id=db.new_id(), **values)
    db.session().execute(
        row.on_conflict_do_update(index_elements=["account_id"], set_=values)
    )


def _messages() -> int:
    total = select(func.coalesce(func.sum(MisuseCount.left), 0)).where(
        MisuseCount.account_id == current_account(),
        MisuseCount.started_at > func.clarion_now() - MONTH,
    )
    return int(db.session().scalar(total) or 0)


def _people() -> int:
    """Count as the quota does; without a plugin that keeps people, who has a number."""
    if (kept := quotas.have("people")) is not None:
        return kept
    query = select(func.count()).where(
        Identifier.account_id == current_account(),
        Identifier.kind == "phone",
        Identifier.valid_to.is_(None),
    )
    return db.session().scalar(query) or 0
