"""The snapshot: who gets a campaign, frozen at its start, the excluded with their reason."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from clarion.base import db
from clarion.messaging import countries, counts, hours, timing
from clarion.messaging.models import Campaign, Message, Suppression
from clarion.tenancy.scope import current_account


def freeze(campaign_id: UUID, audience: Select[Any]) -> int:
    """Store the audience: one row per contact, the excluded with their reason.

    Each row gets the window it may leave in, as instants.

    Args:
        campaign_id: the send order; it must be `starting` and have no rows yet.
        audience: a SELECT of contact_id, address_kind, address, address_idx, variables,
            consent_id and reason (empty for those who may be sent to), and if they are
            known zone and country of the person.

    Returns:
        how many rows now exist for the campaign.
    """
    a = audience.subquery("audience")
    order = db.session().scalars(select(Campaign).where(Campaign.id == campaign_id)).one()
    slot, here = _slots(order, a)
    barred = countries.among(a, order.sender_id)
    refused = _refused(a, Campaign.purpose, barred)
    reason = case((refused != "", refused), else_=slot.c.refused)
    state = case(
        (reason == "", "queued"), (reason == timing.LATE, "expired"), else_="suppressed"
    )
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
        state,
        reason,
        a.c.variables,
        a.c.consent_id,
        Campaign.finish_by,
        _leaves(slot, a) if order.spread_until else slot.c.opens,
        slot.c.closes,
        slot.c.key,
        slot.c.day_from,
        slot.c.week_from,
    )
    picked = picked.select_from(Campaign.__table__.join(a, true()).join(slot, here)).where(
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
    "consent_id", "expires_at", "not_before", "not_after", "zone", "day_from", "week_from",
)  # fmt: skip


def counted(audience: Select[Any], sender_id: UUID | None) -> dict[str, int]:
    """Count an audience by why its people get nothing from a number; empty: they do.

    What `freeze` would leave out, apart from what changes until then.
    """
    a = audience.subquery("audience")
    reason: ColumnElement[Any] = a.c.reason
    if sender_id is not None:
        barred = countries.among(a, sender_id)
        reason = case((and_(a.c.reason == "", barred), countries.REASON), else_=reason)
    query = select(reason.label("why"), func.count()).group_by("why")
    return {why: number for why, number in db.session().execute(query)}  # noqa: C416


def had_enough(order: Campaign, audience: Select[Any]) -> int:
    """Count the people of an audience whose message would wait, because they had enough.

    Of those who would get it: they get it on their next day or week, if the order does not
    end before. `order` may be one that is not written yet.
    """
    a = audience.subquery("audience")
    if order.purpose != "marketing":
        return 0
    rules = hours.rules()
    rows = [row for row in _windows(order, a) if row["week_from"]]
    weeks = (dt.datetime.fromisoformat(row["week_from"]) for row in rows)
    since = min(weeks, default=None)
    if since is None:
        return 0  # nobody is in it, or nobody's message has a window
    lately = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.purpose == order.purpose,
        Campaign.drained_at >= since,
    )
    if db.session().scalar(lately.limit(1)) is None:
        return 0  # nobody got anything: the usual case, and cheap
    slot = timing.table(rows)
    got = and_(
        Message.account_id == current_account(),
        Message.contact_id == a.c.contact_id,
        Message.campaign_id.in_(lately),
        Message.purpose == order.purpose,
        Message.intent_at >= slot.c.week_from,
        or_(Message.state != "failed", Message.reason == "outcome_unknown"),
    )
    today = func.count().filter(Message.intent_at >= slot.c.day_from)
    capped = (
        select(a.c.contact_id)
        .select_from(a.join(slot, _here(a, slot)).join(Message, got))
        .where(a.c.reason == "")
        .group_by(a.c.contact_id)
        .having(or_(today >= rules.per_day, func.count() >= rules.per_week))
    )
    return db.session().scalar(select(func.count()).select_from(capped.subquery())) or 0


def digest_of(audience: Select[Any], purpose: str) -> str:
    """Sum up who an audience is, whose message would leave or was stopped by a STOP.

    A STOP changes nothing, nor does a country that is left out: they only take away.
    SHA-256, in hexadecimal.
    """
    a = audience.subquery("audience")
    kept = _refused(a, literal(purpose)).in_(("", "opted_out"))
    return _digest(select(_summed(a.c.contact_id, a.c.address_idx)).where(kept))


def digest_frozen(campaign_id: UUID) -> str:
    """Sum up who a frozen audience is; the same as `digest_of` while nobody changed it."""
    kept = and_(
        Message.account_id == current_account(),
        Message.campaign_id == campaign_id,
        or_(
            Message.state != "suppressed",
            Message.reason.in_(("opted_out", countries.REASON, timing.NEVER)),
        ),
    )
    return _digest(select(_summed(Message.contact_id, Message.address_idx)).where(kept))


# --- private


def _refused(
    a: FromClause, purpose: Any, barred: ColumnElement[bool] | None = None
) -> ColumnElement[Any]:
    """Say why somebody gets nothing: on the do-not-contact list, or the audience's reason.

    Else, whoever lives in a country that is barred.
    """
    listed = exists().where(
        Suppression.account_id == current_account(),
        or_(Suppression.idx == a.c.address_idx, Suppression.contact_id == a.c.contact_id),
        or_(Suppression.scope == "all", purpose == "marketing"),
        or_(Suppression.until.is_(None), Suppression.until > func.clarion_now()),
    )
    if barred is None:
        return case((listed, "opted_out"), else_=a.c.reason)
    there = and_(a.c.reason == "", barred)
    return case((listed, "opted_out"), (there, countries.REASON), else_=a.c.reason)


def _slots(order: Campaign, a: FromClause) -> tuple[Any, ColumnElement[bool]]:
    """Make the table of windows, and say which of its rows belongs to a person."""
    slot = timing.table(_windows(order, a))
    here = _here(a, slot)
    if order.spread_until:
        place = _place(a)
        here = and_(here, place >= slot.c.since, place < slot.c.upto)
    return slot, here


def _windows(order: Campaign, a: FromClause) -> list[timing.Slot]:
    """Cut the windows of each calendar that the people of an audience live by."""
    zone, country = _clock(a)
    told = "zone" in a.c or "country" in a.c
    pairs = db.session().execute(select(zone, country).distinct()) if told else [("", "")]
    people = {(z or "", c or "") for z, c in pairs}
    return timing.slots(order, sorted(people), hours.rules(), timing.now())


def _here(a: FromClause, slot: Any) -> ColumnElement[bool]:
    zone, country = _clock(a)
    return and_(
        slot.c.zone == func.coalesce(zone, ""), slot.c.country == func.coalesce(country, "")
    )


def _clock(a: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    zone = a.c.zone if "zone" in a.c else literal("")
    return zone, a.c.country if "country" in a.c else literal("")


def _place(a: FromClause) -> ColumnElement[Any]:
    """Give each person of a campaign a place from 0 to 1, the same every time."""
    number = func.hashtext(cast(a.c.contact_id, Text) + cast(Campaign.id, Text))
    return (cast(number, BigInteger) + 2**31) / float(2**32)


def _leaves(slot: Any, a: FromClause) -> ColumnElement[Any]:
    """Spread people over their window, in steps: not one at a time."""
    width = func.extract("epoch", slot.c.until - slot.c.opens)
    part = (_place(a) - slot.c.since) / (slot.c.upto - slot.c.since)
    seconds = func.floor(part * width / timing.STEP) * timing.STEP
    later = slot.c.opens + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    return func.coalesce(later, slot.c.opens)


def _summed(contact_id: Any, idx: Any) -> ColumnElement[Any]:
    one = func.uuid_send(contact_id).op("||")(idx)
    every = func.string_agg(one, aggregate_order_by(literal(b""), contact_id))
    return func.encode(func.sha256(func.coalesce(every, literal(b""))), "hex")


def _digest(query: Select[Any]) -> str:
    return str(db.session().scalars(query).one())
