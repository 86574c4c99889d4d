"""Applying a stored webhook once more: by staff, by hand, through its own lane.

Three kinds, three answers. What could not be applied is tried again, whatever it is.
Delivery reports may be applied a second time, because a message only moves forward. What
a person wrote, and news about a number or a business, are applied once: the first may be
forgotten by now and must not come back, the second said how things were at that moment.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from clarion.base import broker, db
from clarion.tenancy.actor import WEBHOOK
from clarion.tenancy.scope import account_scope
from clarion.work import outbox
from clarion.work.jobs import job
from clarion.work.models import WebhookInbox
from clarion.work.webhooks import LANES, TRIES

SLICE: Final = 500
TWICE: Final = "status"
"""The kind that may be applied although it was."""


def given_up(kind: str = "") -> ColumnElement[bool]:
    """Say in SQL that a webhook could not be applied in so many tries."""
    left = and_(WebhookInbox.applied_at.is_(None), WebhookInbox.tries >= TRIES)
    return and_(left, WebhookInbox.kind == kind) if kind else left


@job(queue="intake", idempotent=True, alone=True, system=True)
def replay(owner_id: UUID, webhook_id: UUID) -> None:
    """Give one webhook back to its lane."""
    _give_back(owner_id, [webhook_id])


@job(queue="intake", idempotent=True, alone=True, system=True)
def replay_failed(kind: str, until: UUID, after: UUID | None = None) -> None:
    """Give every webhook of a kind that was given up back to its lane, a slice at a time.

    `until` is the newest there was when it was asked for: what fails again is not taken
    a second time.
    """
    m = WebhookInbox
    query = select(m.account_id, m.id).where(given_up(kind), m.id <= until)
    if after:
        query = query.where(m.id > after)
    with db.apart(outbox.SYSTEM) as orm:
        found = orm.execute(query.order_by(m.id).limit(SLICE)).all()
    owned: dict[UUID, list[UUID]] = {}
    for owner_id, webhook_id in found:
        owned.setdefault(owner_id, []).append(webhook_id)
    for owner_id, ids in owned.items():
        _give_back(owner_id, ids)
    if len(found) == SLICE:
        with db.transaction():
            replay_failed.later(kind, until, found[-1].id)


def _give_back(owner_id: UUID, ids: Sequence[UUID]) -> None:
    """Make rows wait again, if they may; a row that waits already stays as it is."""
    m = WebhookInbox
    query = (
        update(m)
        .where(m.account_id == owner_id, m.id.in_(ids))
        .where(or_(m.applied_at.is_(None), m.kind == TWICE))
        .values(applied_at=None, tries=0, result="")
        .returning(m.kind)
        .execution_options(synchronize_session=False)
    )
    with account_scope(owner_id, WEBHOOK), db.transaction() as orm:
        kinds = set(orm.scalars(query))
    for lane, listed in LANES.items():
        if kinds.intersection(listed):
            broker.ring(lane)


def newest(kind: str) -> UUID | None:
    """Find the youngest webhook of a kind that was given up."""
    with db.apart(outbox.SYSTEM) as orm:
        query = select(WebhookInbox.id).where(given_up(kind))
        return orm.scalar(query.order_by(WebhookInbox.id.desc()).limit(1))


def left(kind: str) -> int:
    """Count the webhooks of a kind that were given up."""
    with db.apart(outbox.SYSTEM) as orm:
        return orm.scalar(select(func.count(WebhookInbox.id)).where(given_up(kind))) or 0
