"""The state machine: every transition of a message, as conditional SQL.

A transition is one statement that names the old state; zero rows is an answer. A trigger
refuses every pair that is not in `MOVES`. Database clock only. Rules: `sending.md`. What
status events move is in `advance.py`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, text, update

from clarion.base import db
from clarion.base.settings import settings
from clarion.messaging import caps
from clarion.messaging.models import Message
from clarion.tenancy.scope import current_account

DONE = ("read", "delivered", "failed", "suppressed", "expired", "cancelled")
OPEN = ("queued", "claimed", "dispatching")

HELD_SECONDS = 5
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


# --- the intent


def keep_statistics() -> None:
    """Have the planner look at the ledger's tables again if they have doubled since.

    They grow by thousands of rows a second, and autovacuum comes a minute later: plans
    made meanwhile read every row of the account for each batch (measured).
    """
    db.session().execute(text("SELECT clarion_keep_statistics()"))


def lock_for_intent(campaign_id: UUID, ids: Sequence[UUID]) -> None:
    """Take the locks that STOP, pause and suspension wait for; before every check.

    A statement of their own: a check in the same statement keeps the snapshot taken
    before it waited, and misses a STOP committed milliseconds earlier (measured).

    Whoever then does nothing for `HELD_SECONDS` loses transaction and locks: a worker that
    was suspended in here would keep every STOP waiting until it wakes.
    """
    _LOCK(
        account_key=str(current_account()),
        campaign_key=str(campaign_id),
        account=current_account(),
        ids=uuids(ids),
        held=f"{HELD_SECONDS}s",
    )


_LOCK = db.Direct(
    """
    SELECT set_config('idle_in_transaction_session_timeout', :held, true) AS held,
      pg_advisory_xact_lock_shared(1, hashtext(:account_key)) AS account,
      pg_advisory_xact_lock_shared(1, hashtext(:campaign_key)) AS campaign,
      (SELECT count(pg_advisory_xact_lock(2, k)) FROM (
        SELECT DISTINCT hashtext(x) AS k FROM message,
          LATERAL (VALUES (contact_id::text), (encode(address_idx, 'hex'))) v(x)
        WHERE account_id = :account AND id = ANY(CAST(:ids AS uuid[]))
        ORDER BY k) s) AS people
    """
)


def lock_contacts(contact_ids: Iterable[UUID], addresses: Iterable[bytes] = ()) -> None:
    """Take the exclusive lock of contacts, in order: STOP, erasure and merge do.

    Of addresses by their blind index as well: a message may go to one that is nobody's
    any more.
    """
    db.session().execute(
        text(
            """
            SELECT count(pg_advisory_xact_lock(2, k)) FROM (
              SELECT DISTINCT hashtext(x) AS k FROM unnest(CAST(:keys AS text[])) x
              ORDER BY k) s
            """
        ),
        {"keys": [*map(str, contact_ids), *(one.hex() for one in addresses)]},
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


def lock_account_shared(account_id: UUID) -> None:
    """Take the shared lock of an account: what begins to send waits for a suspension."""
    db.session().execute(
        text("SELECT pg_advisory_xact_lock_shared(1, hashtext(:account))"),
        {"account": str(account_id)},
    )


def intend(token: UUID, ids: Sequence[UUID]) -> list[UUID]:
    """Move claimed rows to dispatching if everything still allows it; the gate.

    The caller holds the locks and commits before the first byte leaves. Campaign, sender,
    channel and account are asked once, suppression for each row, in the same statement.

    Returns:
        the ids of those that may leave once this has committed.
    """
    rows = _INTEND(
        account=current_account(),
        ids=uuids(ids),
        token=token,
        lease=settings().lease_seconds,
    )
    return rows[0].gone or []


_INTEND = db.Direct(
    f"""
    WITH open AS MATERIALIZED (
      SELECT c.id, c.sender_id FROM campaign c
      JOIN sender s ON s.account_id = c.account_id AND s.id = c.sender_id
      JOIN channel h ON h.account_id = s.account_id AND h.id = s.channel_id
      JOIN account a ON a.id = c.account_id
      WHERE c.account_id = :account
        AND c.id = (SELECT campaign_id FROM message  -- a batch is of one campaign
          WHERE account_id = :account AND id = ANY(CAST(:ids AS uuid[])) LIMIT 1)
        AND c.state = 'running' AND s.state = 'active' AND h.state = 'active'
        AND a.state = 'active'
        AND NOT EXISTS (SELECT FROM instance_epoch  -- restored: see epoch.py
          WHERE restored_at IS NOT NULL AND released_at IS NULL)),
    gone AS (
      UPDATE message m SET state = 'dispatching', attempt = m.attempt + 1,
        claims = 0, state_since = clarion_now(), reason = '', intent_at = clarion_now(),
        lease_until = clarion_now() + make_interval(secs => :lease)
      WHERE m.account_id = :account AND m.id = ANY(CAST(:ids AS uuid[]))
        AND m.state || '' = 'claimed' AND m.token = :token
        AND coalesce(m.lease_until, '-infinity') > clarion_now()
        AND m.not_before <= clarion_now()
        AND (m.expires_at IS NULL OR m.expires_at > clarion_now())
        AND {caps.IN_WINDOW} AND {caps.UNDER_CAP}
        AND (m.campaign_id, m.sender_id) = (SELECT id, sender_id FROM open)
        AND NOT EXISTS (  -- two questions: an OR would read the whole list
          SELECT 1 FROM suppression x WHERE x.account_id = m.account_id
            AND x.idx = m.address_idx
            AND (x.scope = 'all' OR m.purpose = 'marketing')
            AND (x.until IS NULL OR x.until > clarion_now()))
        AND NOT EXISTS (
          SELECT 1 FROM suppression x WHERE x.account_id = m.account_id
            AND x.contact_id = m.contact_id
            AND (x.scope = 'all' OR m.purpose = 'marketing')
            AND (x.until IS NULL OR x.until > clarion_now()))
      RETURNING m.id, m.attempt, m.sender_id),
    noted AS (
      INSERT INTO attempt (id, account_id, message_id, number, sender_id)
      SELECT clarion_new_id(), :account, id, attempt, sender_id FROM gone)
    SELECT array_agg(id) AS gone FROM gone
    """  # noqa: S608 -- of constants
)


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
              claims = 0,  -- the gate was reached: no lease was lost
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
                ELSE '' END AS reason
              FROM message m2 JOIN campaign c
                ON c.account_id = m2.account_id AND c.id = m2.campaign_id
              WHERE m2.account_id = :account AND m2.id = ANY(:ids)) g
            WHERE m.id = g.id AND m.account_id = :account
              AND m.state = 'claimed' AND m.token = :token
            """
        ),
        {"account": current_account(), "ids": list(ids), "token": token},
    )


# --- results


def record(outcomes: Sequence[Outcome]) -> None:
    """Write what came of calls: the rows (if still ours) and their attempts.

    A status event may have overtaken the answer; then the row has moved on and only the
    attempt is completed. An answer that came after the lease settles what was unknown.
    """
    groups: dict[tuple[str, str, int, float], list[Outcome]] = {}
    for one in outcomes:
        key = (one.state, one.reason[:60], one.attempt, one.wait_seconds)
        groups.setdefault(key, []).append(one)
    for (state, reason, attempt, wait), some in groups.items():
        _RECORD(
            account=current_account(),
            state=state,
            reason=reason,
            attempt=attempt,
            wait=wait,
            ids=uuids(one.id for one in some),
            tokens=uuids({one.token for one in some}),
        )
    numbers: dict[int, dict[str, tuple[str, str, str | None]]] = {}
    for one in outcomes:
        said = (one.state, one.code[:20], one.provider_id)
        numbers.setdefault(one.attempt, {})[str(one.id)] = said
    for number, answers in sorted(numbers.items()):
        _TRIED(
            account=current_account(),
            number=number,
            ids=uuids(sorted(answers)),
            said=json.dumps(answers),
        )


# one table only, so that no plan can read more than the rows on the wire
_RECORD = db.Direct(
    """
    UPDATE message SET state = :state, reason = :reason,
      not_before = CASE WHEN :state = 'queued'
        THEN clarion_now() + make_interval(secs => :wait) ELSE not_before END,
      intent_at = CASE WHEN :state <> 'queued' THEN intent_at END,
      token = NULL, lease_until = NULL, state_since = clarion_now()
    WHERE account_id = :account AND id = ANY(CAST(:ids AS uuid[])) AND attempt = :attempt
      AND (state || '' = 'dispatching' AND token = ANY(CAST(:tokens AS uuid[]))
        OR state || '' = 'unknown' AND :state IN ('accepted', 'held', 'failed'))
    """
)
_TRIED = db.Direct(
    """
    UPDATE attempt SET ended_at = clarion_now(),
      outcome = CAST(:said AS jsonb) -> CAST(message_id AS text) ->> 0,
      code = CASE WHEN status = ''
        THEN CAST(:said AS jsonb) -> CAST(message_id AS text) ->> 1 ELSE code END,
      provider_id = coalesce(
        CAST(:said AS jsonb) -> CAST(message_id AS text) ->> 2, provider_id)
    WHERE account_id = :account AND message_id = ANY(CAST(:ids AS uuid[]))
      AND number = :number
    """
)


def uuids(ids: Iterable[UUID | str]) -> str:
    """Write ids as PostgreSQL reads an array: one text instead of one value each."""
    return "{" + ",".join(map(str, ids)) + "}"


# --- the reconciler and the person


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


def silence(contact_ids: Sequence[UUID], scope: str, reason: str = "opted_out") -> int:
    """Suppress what waits for contacts; the caller holds their locks.

    Args:
        contact_ids: who shall get nothing more.
        scope: `marketing`, or `all`.
        reason: `opted_out` for a STOP, `erased` for contacts that were deleted.
    """
    rows = db.session().execute(
        text(
            """
            UPDATE message SET state = 'suppressed', reason = :reason, token = NULL,
              lease_until = NULL, state_since = clarion_now()
            WHERE account_id = :account AND contact_id = ANY(:contacts)
              AND state IN ('queued', 'claimed')
              AND (:scope = 'all' OR purpose = 'marketing') RETURNING id
            """
        ),
        {
            "account": current_account(),
            "contacts": list(contact_ids),
            "scope": scope,
            "reason": reason,
        },
    )
    return len(rows.all())


def withhold(contact_id: UUID, idxs: Iterable[bytes], reason: str) -> int:
    """Suppress what waits for a contact at some addresses; the caller holds their locks.

    What is not sent to an address that is theirs no more goes to nobody instead.
    """
    rows = db.session().execute(
        text(
            """
            UPDATE message SET state = 'suppressed', reason = :reason, token = NULL,
              lease_until = NULL, state_since = clarion_now()
            WHERE account_id = :account AND contact_id = :contact
              AND address_idx = ANY(:idxs) AND state IN ('queued', 'claimed') RETURNING id
            """
        ),
        {
            "account": current_account(),
            "contact": contact_id,
            "idxs": list(idxs),
            "reason": reason,
        },
    )
    return len(rows.all())


def hand_over(contact_id: UUID, to: UUID) -> list[UUID]:
    """Let what waits for one contact wait for another; the caller holds their locks.

    Where the other has a message of the same campaign, one is enough: what waits is
    cancelled. What has left stays what it was. Returns the ids of what now waits for `to`.
    """
    values = {"account": current_account(), "contact": contact_id, "other": to}
    db.session().execute(_ONE_IS_ENOUGH, values)
    return list(db.session().scalars(_HAND_OVER, values))


# of two that wait, the one of the contact that goes; of one that waits, that one
_ONE_IS_ENOUGH = text(
    """
    UPDATE message m SET state = 'cancelled', reason = 'duplicate_contact', token = NULL,
      lease_until = NULL, state_since = clarion_now()
    FROM message n
    WHERE m.account_id = :account AND n.account_id = :account
      AND m.campaign_id = n.campaign_id AND m.state IN ('queued', 'claimed')
      AND ((m.contact_id = :contact AND n.contact_id = :other
          AND n.state NOT IN ('suppressed', 'cancelled', 'expired'))
        OR (m.contact_id = :other AND n.contact_id = :contact
          AND n.state NOT IN ('queued', 'claimed', 'suppressed', 'cancelled', 'expired')))
    """
)
_HAND_OVER = text(
    """
    UPDATE message m SET contact_id = :other
    WHERE m.account_id = :account AND m.contact_id = :contact
      AND m.state IN ('queued', 'claimed')
      AND NOT EXISTS (SELECT FROM message n WHERE n.account_id = :account
        AND n.contact_id = :other AND n.campaign_id = m.campaign_id)
    RETURNING m.id
    """
)


def give_back(ids: Iterable[UUID], contact_id: UUID) -> None:
    """Let those of these messages that still wait wait for a contact again."""
    db.session().execute(
        text(
            """
            UPDATE message m SET contact_id = :contact
            WHERE m.account_id = :account AND m.id = ANY(:ids)
              AND m.state IN ('queued', 'claimed')
            """
        ),
        {"account": current_account(), "contact": contact_id, "ids": list(ids)},
    )


def beat(campaign_id: UUID) -> None:
    """Note that a drain is at work on a campaign, so that nobody else is rung."""
    db.session().execute(
        text(
            "UPDATE campaign SET drained_at = clarion_now()"
            " WHERE account_id = :account AND id = :campaign"
        ),
        {"account": current_account(), "campaign": campaign_id},
    )
