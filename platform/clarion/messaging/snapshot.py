"""The snapshot: who gets a campaign, frozen at its start, the excluded with their reason."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, exists, func, or_, select, true
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.messaging import counts
from clarion.messaging.models import Campaign, Message, Suppression
from clarion.tenancy.scope import current_account


def freeze(campaign_id: UUID, audience: Select[Any]) -> int:
    """Store the audience: one row per contact, the excluded with their reason.

    Args:
        campaign_id: the send order; it must be `starting` and have no rows yet.
        audience: a SELECT of contact_id, address_kind, address, address_idx, variables,
            consent_id and reason (empty for those who may be sent to).

    Returns:
        how many rows now exist for the campaign.
    """
    a = audience.subquery("audience")
    listed = exists().where(
        Suppression.account_id == Campaign.account_id,
        or_(Suppression.idx == a.c.address_idx, Suppression.contact_id == a.c.contact_id),
        or_(Suppression.scope == "all", Campaign.purpose == "marketing"),
        or_(Suppression.until.is_(None), Suppression.until > func.clarion_now()),
    )
    reason = case((listed, "opted_out"), else_=a.c.reason)
    picked = select(
        func.clarion_new_id(),
        Campaign.account_id,
        Campaign.id,
        a.c.contact_id,
        Campaign.sender_id,
        a.c.address_kind,
        a.c.address,
        a.c.address_idx,
        Campaign.purpose,
        Campaign.lane,
        case((reason == "", "queued"), else_="suppressed"),
        reason,
        a.c.variables,
        a.c.consent_id,
        Campaign.finish_by,
    )
    picked = picked.select_from(Campaign.__table__.join(a, true())).where(
        Campaign.account_id == current_account(),
        Campaign.id == campaign_id,
        Campaign.state == "starting",
    )
    table = db.table_of(Message)
    rows = insert(table).from_select([table.c[name] for name in FROZEN], picked)
    db.session().execute(rows.on_conflict_do_nothing())
    return counts.total(campaign_id)


FROZEN = (
    "id", "account_id", "campaign_id", "contact_id", "sender_id", "address_kind",
    "address", "address_idx", "purpose", "lane", "state", "reason", "variables",
    "consent_id", "expires_at",
)  # fmt: skip
