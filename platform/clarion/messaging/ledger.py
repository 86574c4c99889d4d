"""The state machine: every transition of a message, as conditional SQL.

A transition is one statement that names the old state; zero rows is an answer. A trigger
refuses every pair that is not in `MOVES`. Database clock only. Rules: `sending.md`.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, case, exists, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.settings import settings
from clarion.messaging import counts
from clarion.messaging.models import Campaign, Message, Suppression
from clarion.tenancy.scope import current_account

MAX_CLAIMS = 3
RANK = {"accepted": 1, "sent": 2, "failed": 3, "delivered": 4, "read": 5}
DONE = ("read", "delivered", "failed", "suppressed", "expired", "cancelled")
OPEN = ("queued", "claimed", "dispatching")

LATE = "accepted sent delivered read failed"
MOVES: dict[str, str] = {
    "queued": f"claimed suppressed cancelled expired held {LATE}",
    "claimed": f"queued dispatching suppressed cancelled expired failed held {LATE}",
    "dispatching": f"queued held unknown {LATE}",
    "unknown": f"needs_decision queued held {LATE}",
    "held": f"needs_decision cancelled {LATE}",
    "needs_decision": f"queued {LATE}",
    "accepted": "sent delivered read failed expired held",
    "sent": "delivered read failed expired",
    "failed": "delivered read",
    "expired": "delivered read",
    "delivered": "read",
    "read": "",
    "suppressed": "delivered read",
    "cancelled": "delivered read",
}
"""From → to. What stands after a state without an attempt is for late events only."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One message that may leave now: its intent is durable when this is returned."""

    id: UUID
    attempt: int
    token: UUID
    address: str
    address_kind: str
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call: the state it leads to, and what the provider said."""

    id: UUID
    attempt: int
    token: UUID
    state: str
    reason: str = ""
    code: str = ""
    provider_id: str | None = None
    wait_seconds: float = 0.0


# --- snapshot


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


# --- claim and intent


def claim(campaign_id: UUID, size: int) -> tuple[UUID, list[UUID]]:
    """Take a lease on up to `size` queued rows; returns the token and their ids."""
    token = uuid4()
    rows = db.session().execute(
        text(
            """
            UPDATE message SET state = 'claimed', token = :token, claims = claims + 1,
              lease_until = clarion_now() + make_interval(secs => :lease),
              state_since = clarion_now()
            WHERE account_id = :account AND id IN (
              SELECT id FROM message
              WHERE account_id = :account AND campaign_id = :campaign
                AND state = 'queued' AND not_before <= clarion_now()
              ORDER BY not_before LIMIT :size FOR UPDATE SKIP LOCKED)
            RETURNING id
            """
        ),
        {
            "token": token,
            "account": current_account(),
            "campaign": campaign_id,
            "size": size,
            "lease": settings().lease_seconds,
        },
    )
    return token, list(rows.scalars())


def lock_for_intent(campaign_id: UUID, ids: Sequence[UUID]) -> None:
    """Take the locks that STOP, pause and suspension wait for; before every check.

    Statements of their own: a check in the same statement keeps the snapshot taken
    before it waited, and misses a STOP committed milliseconds earlier (measured).
    """
    orm = db.session()
    orm.execute(
        text(
            "SELECT pg_advisory_xact_lock_shared(1, hashtext(:account)),"
            " pg_advisory_xact_lock_shared(1, hashtext(:campaign))"
        ),
        {"account": str(current_account()), "campaign": str(campaign_id)},
    )
    orm.execute(
        text(
            """
            SELECT count(pg_advisory_xact_lock(2, k)) FROM (
              SELECT DISTINCT hashtext(contact_id::text) AS k FROM message
              WHERE account_id = :account AND id = ANY(:ids) ORDER BY k) s
            """
        ),
        {"account": current_account(), "ids": list(ids)},
    )


def lock_contacts(contact_ids: Iterable[UUID]) -> None:
    """Take the exclusive lock of contacts, in order: STOP, erasure and merge do."""
    db.session().execute(
        text(
            """
            SELECT count(pg_advisory_xact_lock(2, k)) FROM (
              SELECT DISTINCT hashtext(c::text) AS k FROM unnest(CAST(:ids AS uuid[])) c
              ORDER BY k) s
            """
        ),
        {"ids": list(contact_ids)},
    )


def lock_campaign(campaign_id: UUID) -> None:
    """Take the exclusive lock of a campaign: waits for intents that are being committed."""
    db.session().execute(
        text("SELECT pg_advisory_xact_lock(1, hashtext(:campaign))"),
        {"campaign": str(campaign_id)},
    )


def lock_account(account_id: UUID) -> None:
    """Take the exclusive lock of an account: suspension does."""
    db.session().execute(
        text("SELECT pg_advisory_xact_lock(1, hashtext(:account))"),
        {"account": str(account_id)},
    )


def intend(token: UUID, ids: Sequence[UUID]) -> list[Intent]:
    """Move claimed rows to dispatching if everything still allows it; the gate.

    The caller holds the locks and commits before the first byte leaves. Suppression,
    campaign, sender, channel and account are asked in the same statement.
    """
    rows = db.session().execute(
        text(
            """
            WITH gone AS (
              UPDATE message m SET state = 'dispatching', attempt = m.attempt + 1,
                claims = 0, state_since = clarion_now(), reason = '',
                lease_until = clarion_now() + make_interval(secs => :lease)
              FROM campaign c, sender s, channel h, account a
              WHERE m.account_id = :account AND m.id = ANY(:ids)
                AND m.state = 'claimed' AND m.token = :token
                AND m.lease_until > clarion_now() AND m.not_before <= clarion_now()
                AND (m.expires_at IS NULL OR m.expires_at > clarion_now())
                AND c.account_id = m.account_id AND c.id = m.campaign_id
                AND c.state = 'running'
                AND s.account_id = m.account_id AND s.id = m.sender_id
                AND s.state = 'active'
                AND h.account_id = s.account_id AND h.id = s.channel_id
                AND h.state = 'active'
                AND a.id = m.account_id AND a.state = 'active'
                AND NOT EXISTS (
                  SELECT 1 FROM suppression x WHERE x.account_id = m.account_id
                    AND (x.idx = m.address_idx OR x.contact_id = m.contact_id)
                    AND (x.scope = 'all' OR m.purpose = 'marketing')
                    AND (x.until IS NULL OR x.until > clarion_now()))
              RETURNING m.id, m.attempt, m.token, m.address, m.address_kind, m.variables,
                m.sender_id),
            noted AS (
              INSERT INTO attempt (id, account_id, message_id, number, sender_id)
              SELECT clarion_new_id(), :account, id, attempt, sender_id FROM gone)
            SELECT id, attempt, token, address, address_kind, variables FROM gone
            """
        ),
        {
            "account": current_account(),
            "ids": list(ids),
            "token": token,
            "lease": settings().lease_seconds,
        },
    )
    return [Intent(*row) for row in rows]


def veto(refusals: Select[Any], ids: Sequence[UUID], token: UUID) -> int:
    """Suppress the claimed rows a plugin's SELECT of (message id, reason) names."""
    refused = refusals.subquery("refused")
    message_id, why = list(refused.c)[:2]
    statement = (
        update(Message)
        .where(
            Message.account_id == current_account(),
            Message.id == message_id,
            Message.id.in_(ids),
            Message.state == "claimed",
            Message.token == token,
        )
        .values(
            state="suppressed",
            reason=func.left(why, 60),
            state_since=func.clarion_now(),
            token=None,
            lease_until=None,
        )
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return len(db.session().execute(statement).all())


def refuse(token: UUID, ids: Sequence[UUID]) -> None:
    """Settle claimed rows the gate did not let through: name the cause, or queue again."""
    if not ids:
        return
    db.session().execute(
        text(
            """
            UPDATE message m SET
              state = CASE WHEN g.reason IN ('opted_out') THEN 'suppressed'
                WHEN g.reason = 'not_started' THEN 'expired'
                WHEN g.reason = 'cancelled' THEN 'cancelled' ELSE 'queued' END,
              reason = CASE WHEN g.reason IN ('opted_out', 'not_started', 'cancelled')
                THEN g.reason ELSE '' END,
              claims = CASE WHEN g.reason = 'pause' THEN 0 ELSE m.claims END,
              state_since = clarion_now(), token = NULL, lease_until = NULL
            FROM (
              SELECT m2.id, CASE
                WHEN EXISTS (SELECT 1 FROM suppression x
                  WHERE x.account_id = m2.account_id
                    AND (x.idx = m2.address_idx OR x.contact_id = m2.contact_id)
                    AND (x.scope = 'all' OR m2.purpose = 'marketing')
                    AND (x.until IS NULL OR x.until > clarion_now())) THEN 'opted_out'
                WHEN c.state = 'cancelled' THEN 'cancelled'
                WHEN m2.expires_at <= clarion_now() THEN 'not_started'
                WHEN c.state <> 'running' THEN 'pause' ELSE '' END AS reason
              FROM message m2 JOIN campaign c
                ON c.account_id = m2.account_id AND c.id = m2.campaign_id
              WHERE m2.account_id = :account AND m2.id = ANY(:ids)) g
            WHERE m.id = g.id AND m.account_id = :account
              AND m.state = 'claimed' AND m.token = :token
            """
        ),
        {"account": current_account(), "ids": list(ids), "token": token},
    )


def unclaim(token: UUID, wait_seconds: float = 0.0) -> None:
    """Give back what was claimed but not intended: nothing of it has left."""
    db.session().execute(
        text(
            """
            UPDATE message SET state = 'queued', token = NULL, lease_until = NULL,
              claims = greatest(claims - 1, 0), state_since = clarion_now(),
              not_before = clarion_now() + make_interval(secs => :wait)
            WHERE account_id = :account AND state = 'claimed' AND token = :token
            """
        ),
        {"account": current_account(), "token": token, "wait": wait_seconds},
    )


# --- results


def record(outcomes: Sequence[Outcome]) -> None:
    """Write what came of calls: the rows (if still ours) and their attempts.

    A status event may have overtaken the answer; then the row has moved on and only the
    attempt is completed.
    """
    if not outcomes:
        return
    columns = {
        "ids": [o.id for o in outcomes],
        "numbers": [o.attempt for o in outcomes],
        "tokens": [o.token for o in outcomes],
        "states": [o.state for o in outcomes],
        "reasons": [o.reason[:60] for o in outcomes],
        "codes": [o.code[:20] for o in outcomes],
        "provider_ids": [o.provider_id for o in outcomes],
        "waits": [o.wait_seconds for o in outcomes],
    }
    db.session().execute(
        text(
            """
            WITH o AS (
              SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS int[]),
                CAST(:tokens AS uuid[]), CAST(:states AS text[]), CAST(:reasons AS text[]), CAST(:codes AS text[]),
                CAST(:provider_ids AS text[]), CAST(:waits AS float8[]))
                AS t(id, number, token, state, reason, code, provider_id, wait)),
            tried AS (
              UPDATE attempt a SET outcome = o.state, code = o.code,
                provider_id = coalesce(o.provider_id, a.provider_id),
                ended_at = clarion_now()
              FROM o WHERE a.account_id = :account AND a.message_id = o.id
                AND a.number = o.number)
            UPDATE message m SET state = o.state, reason = o.reason,
              not_before = CASE WHEN o.state = 'queued'
                THEN clarion_now() + make_interval(secs => o.wait) ELSE m.not_before END,
              token = NULL, lease_until = NULL, state_since = clarion_now()
            FROM o WHERE m.account_id = :account AND m.id = o.id
              AND m.state = 'dispatching' AND m.token = o.token AND m.attempt = o.number
            """
        ),
        {"account": current_account(), **columns},
    )


@dataclass(frozen=True, slots=True)
class Advance:
    """A status event, matched or not yet: our token if it was echoed, the provider's id."""

    provider_id: str
    status: str
    at: Any
    message_id: UUID | None = None
    number: int | None = None
    reason: str = ""
    code: str = ""


def advance(updates: Sequence[Advance]) -> list[tuple[UUID, str]]:
    """Apply status events by rank, in any order, any number of times.

    Matches by our token first, by the provider's id second, never by number. `failed`
    counts for the current attempt only; `delivered` and `read` for any. Returns the
    (message, state) pairs that moved.
    """
    if not updates:
        return []
    rows = db.session().execute(
        text(ADVANCE),
        {
            "account": current_account(),
            "refs": list(range(len(updates))),
            "messages": [u.message_id for u in updates],
            "numbers": [u.number for u in updates],
            "provider_ids": [u.provider_id for u in updates],
            "statuses": [u.status for u in updates],
            "reasons": [u.reason[:60] for u in updates],
            "codes": [u.code[:20] for u in updates],
            "ats": [u.at for u in updates],
        },
    )
    return [(row.id, row.state) for row in rows]


RANKS = (
    "CASE {0} WHEN 'accepted' THEN 1 WHEN 'sent' THEN 2 WHEN 'failed' THEN 3"
    " WHEN 'delivered' THEN 4 WHEN 'read' THEN 5 ELSE 0 END"
)
ADVANCE = f"""
WITH u AS (
  SELECT * FROM unnest(CAST(:refs AS int[]), CAST(:messages AS uuid[]),
    CAST(:numbers AS int[]), CAST(:provider_ids AS text[]), CAST(:statuses AS text[]),
    CAST(:reasons AS text[]), CAST(:codes AS text[]), CAST(:ats AS timestamptz[]))
    AS t(ref, message_id, number, provider_id, status, reason, code, at)),
matched AS (
  SELECT DISTINCT ON (u.ref) u.*, a.id AS attempt_id, a.message_id AS mid,
    a.number AS anumber, {RANKS.format("u.status")} AS rank
  FROM u JOIN attempt a ON a.account_id = :account AND (
    (u.message_id IS NOT NULL AND a.message_id = u.message_id AND a.number = u.number)
    OR (u.message_id IS NULL AND a.provider_id = u.provider_id))
  ORDER BY u.ref),
best_attempt AS (
  SELECT DISTINCT ON (attempt_id) * FROM matched ORDER BY attempt_id, rank DESC),
tried AS (
  UPDATE attempt a SET status = b.status, status_at = b.at,
    code = CASE WHEN b.status = 'failed' THEN b.code ELSE a.code END,
    provider_id = coalesce(a.provider_id, b.provider_id)
  FROM best_attempt b
  WHERE a.account_id = :account AND a.id = b.attempt_id
    AND b.rank > {RANKS.format("a.status")}),
best AS (
  SELECT DISTINCT ON (x.mid) x.* FROM matched x
  JOIN message m ON m.account_id = :account AND m.id = x.mid
  WHERE x.status <> 'failed' OR x.anumber = m.attempt
  ORDER BY x.mid, x.rank DESC)
UPDATE message m SET state = b.status,
  reason = CASE WHEN b.status = 'failed' THEN b.reason ELSE '' END,
  token = NULL, lease_until = NULL, state_since = clarion_now()
FROM best b
WHERE m.account_id = :account AND m.id = b.mid
  AND b.rank > {RANKS.format("m.state")}
  AND NOT (m.state IN ('suppressed', 'cancelled') AND b.rank < 4)
  AND NOT (m.state = 'expired' AND b.rank < 4)
RETURNING m.id, m.state
"""  # noqa: S608 -- constants only


def known(updates: Sequence[Advance]) -> set[int]:
    """Say which of the updates (by position) match an attempt of ours."""
    rows = db.session().execute(
        text(
            """
            SELECT t.ref FROM unnest(CAST(:refs AS int[]), CAST(:messages AS uuid[]),
              CAST(:numbers AS int[]), CAST(:provider_ids AS text[]))
              AS t(ref, message_id, number, provider_id)
            WHERE EXISTS (SELECT 1 FROM attempt a WHERE a.account_id = :account AND (
              (t.message_id IS NOT NULL AND a.message_id = t.message_id
                AND a.number = t.number)
              OR (t.message_id IS NULL AND a.provider_id = t.provider_id)))
            """
        ),
        {
            "account": current_account(),
            "refs": list(range(len(updates))),
            "messages": [u.message_id for u in updates],
            "numbers": [u.number for u in updates],
            "provider_ids": [u.provider_id for u in updates],
        },
    )
    return set(rows.scalars())


# --- the reconciler and the person


def reclaim() -> int:
    """Settle leases that ran out in this account; return how many rows moved.

    Claimed rows go back to queued (or are quarantined after the third time); a row whose
    intent was committed becomes unknown, because its bytes may have left.
    """
    rows = db.session().execute(
        text(
            """
            UPDATE message SET
              state = CASE WHEN state = 'dispatching' THEN 'unknown'
                WHEN claims >= :claims THEN 'failed' ELSE 'queued' END,
              reason = CASE WHEN state = 'dispatching' THEN 'no_answer'
                WHEN claims >= :claims THEN 'quarantined' ELSE '' END,
              token = NULL, lease_until = NULL, state_since = clarion_now()
            WHERE account_id = :account AND state IN ('claimed', 'dispatching')
              AND lease_until < clarion_now()
            RETURNING id
            """
        ),
        {"account": current_account(), "claims": MAX_CLAIMS},
    )
    return len(rows.all())


def cancel_rest(campaign_id: UUID) -> int:
    """Cancel what has not left; the caller holds the campaign's lock."""
    rows = db.session().execute(
        text(
            """
            UPDATE message SET state = 'cancelled', reason = 'stopped', token = NULL,
              lease_until = NULL, state_since = clarion_now()
            WHERE account_id = :account AND campaign_id = :campaign
              AND state IN ('queued', 'claimed') RETURNING id
            """
        ),
        {"account": current_account(), "campaign": campaign_id},
    )
    return len(rows.all())


def silence(contact_ids: Sequence[UUID], scope: str) -> int:
    """Suppress what waits for contacts who said STOP; the caller holds their locks."""
    rows = db.session().execute(
        text(
            """
            UPDATE message SET state = 'suppressed', reason = 'opted_out', token = NULL,
              lease_until = NULL, state_since = clarion_now()
            WHERE account_id = :account AND contact_id = ANY(:contacts)
              AND state IN ('queued', 'claimed')
              AND (:scope = 'all' OR purpose = 'marketing') RETURNING id
            """
        ),
        {"account": current_account(), "contacts": list(contact_ids), "scope": scope},
    )
    return len(rows.all())


def ask_people(after: dt.timedelta) -> int:
    """Turn unknown rows older than `after` into questions for a person; count them."""
    rows = db.session().execute(
        text(
            """
            UPDATE message SET state = 'needs_decision', state_since = clarion_now()
            WHERE account_id = :account AND state = 'unknown'
              AND state_since < clarion_now() - :after RETURNING id
            """
        ),
        {"account": current_account(), "after": after},
    )
    return len(rows.all())


def beat(campaign_id: UUID) -> None:
    """Note that a drain is at work on a campaign, so that nobody else is rung."""
    db.session().execute(
        text(
            "UPDATE campaign SET drained_at = clarion_now()"
            " WHERE account_id = :account AND id = :campaign"
        ),
        {"account": current_account(), "campaign": campaign_id},
    )
