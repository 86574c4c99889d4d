"""The snapshot: who gets a campaign, frozen at its start, the excluded with their reason."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from clarion.base import db
from clarion.messaging import countries, counts, judging, timing
from clarion.messaging.models import Campaign, Message
from clarion.tenancy.scope import current_account

SHRINKS = ("opted_out", "topic_stopped", countries.REASON, timing.NEVER, timing.LATE)
"""What may keep people of an approved audience from it without making it another one."""


def freeze(campaign_id: UUID, audience: Select[Any]) -> int:
    """Store the audience: one row per contact, the excluded with their reason.

    Each row gets the window it may leave in, as instants. The caller holds the order.

    Args:
        campaign_id: the send order; nothing is stored unless it is `starting`.
        audience: a SELECT of contact_id, address_kind, address, address_idx, variables,
            consent_id and reason (empty for those who may be sent to), and if they are
            known zone and country of the person. Nobody is in it twice.

    Returns:
        how many rows now exist for the campaign.
    """
    order = db.session().scalars(select(Campaign).where(Campaign.id == campaign_id)).one()
    there = counts.total(campaign_id)
    if order.state != "starting" or there:
        return there
    judging.plan_for_sets()
    rows = _rows(order, audience).execution_options(preserve_rowcount=True)
    done: Any = db.session().execute(rows)
    return int(done.rowcount)


FROZEN = (
    "id", "account_id", "campaign_id", "contact_id", "sender_id", "address_kind",
    "address", "address_idx", "purpose", "lane", "state", "reason", "variables",
    "consent_id", "expires_at", "not_before", "not_after", "zone", "day_from", "week_from",
)  # fmt: skip


def counted(audience: Select[Any], purpose: str, sender_id: UUID | None) -> dict[str, int]:
    """Count an audience by why its people get nothing from a number; empty: they do.

    What `freeze` would leave out, apart from the hours and what changes until then.
    """
    judging.plan_for_sets()
    why = judging.refused(audience.subquery("audience"), purpose, sender_id).label("why")
    query = select(why, func.count()).group_by("why")
    return {reason: number for reason, number in db.session().execute(query)}  # noqa: C416


def digest_of(audience: Select[Any], purpose: str) -> str:
    """Sum up who an audience is, whose message would leave or was stopped by a STOP.

    A STOP changes nothing, nor does a country that is left out: they only take away.
    SHA-256, in hexadecimal.
    """
    a = audience.subquery("audience")
    kept = judging.refused(a, purpose, None).in_(("", *SHRINKS))
    return _digest(select(_summed(a.c.contact_id, a.c.address_idx)).where(kept))


def digest_frozen(campaign_id: UUID) -> str:
    """Sum up who a frozen audience is; the same as `digest_of` while nobody changed it."""
    kept = and_(
        Message.account_id == current_account(),
        Message.campaign_id == campaign_id,
        or_(Message.state != "suppressed", Message.reason.in_(SHRINKS)),
    )
    return _digest(select(_summed(Message.contact_id, Message.address_idx)).where(kept))


# --- private


def _rows(order: Campaign, audience: Select[Any]) -> Any:  # an INSERT
    found = judging.judged(order, audience)
    a, slot, reason = found.people.c, found.slot.c, found.reason
    state = case(
        (reason == "", "queued"), (reason == timing.LATE, "expired"), else_="suppressed"
    )
    picked = select(
        func.clarion_new_id(),
        literal(current_account()),
        literal(order.id),
        a.contact_id,
        literal(order.sender_id),
        a.address_kind,
        a.address,
        a.address_idx,
        literal(order.purpose),
        literal(order.lane),
        state,
        reason,
        a.variables,
        a.consent_id,
        literal(order.finish_by, Message.expires_at.type),
        judging.leaves(order, found),
        slot.closes,
        slot.key,
        slot.day_from,
        slot.week_from,
    ).select_from(found.people.join(found.slot, found.here))
    table = db.table_of(Message)
    return insert(table).from_select([table.c[name] for name in FROZEN], picked)


def _summed(contact_id: Any, idx: Any) -> ColumnElement[Any]:
    one = func.uuid_send(contact_id).op("||")(idx)
    every = func.string_agg(one, aggregate_order_by(literal(b""), contact_id))
    return func.encode(func.sha256(func.coalesce(every, literal(b""))), "hex")


def _digest(query: Select[Any]) -> str:
    return str(db.session().scalars(query).one())
