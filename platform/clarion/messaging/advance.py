"""Status events move the ledger: by rank, in any order, any number of times, in one statement.

Matched by our token first, by the provider's id second, never by number. What the rules
are about is in `sending.md`, section 6; which moves there are, in `ledger.MOVES`.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from clarion.base import db
from clarion.messaging.ledger import MOVES
from clarion.tenancy.scope import current_account


@dataclass(frozen=True, slots=True)
class Advance:
    """A status event, matched or not yet: our token if it was echoed, the provider's id."""

    provider_id: str
    status: str
    at: dt.datetime
    message_id: UUID | None = None
    number: int | None = None
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What status events did, by their positions.

    Attributes:
        moved: how many messages changed their state.
        unknown: events no attempt fits.
        restored: events about an attempt that was lost with a database, and is written
            again because the message is there: somebody should know.
        failed: failures heard for the first time; a repeated one is not among them.
    """

    moved: int
    unknown: frozenset[int]
    restored: frozenset[int]
    failed: frozenset[int]


def advance(updates: Sequence[Advance]) -> Advanced:
    """Apply status events in the caller's transaction.

    `failed` counts for the current attempt only; `delivered` and `read` for any.
    """
    moved, unknown, failed = _advanced(updates, range(len(updates)))
    tokens = [n for n in unknown if updates[n].message_id is not None]
    if not tokens or not _restored([updates[n] for n in tokens]):
        return Advanced(moved, frozenset(unknown), frozenset(), frozenset(failed))
    more, lost, also = _advanced([updates[n] for n in tokens], tokens)
    return Advanced(
        moved + more,
        frozenset(unknown) - (frozenset(tokens) - frozenset(lost)),
        frozenset(tokens) - frozenset(lost),
        frozenset(failed) | frozenset(also),
    )


def _advanced(
    updates: Sequence[Advance], positions: Sequence[int]
) -> tuple[int, list[int], list[int]]:
    """Run the statement; answers positions: how many moved, unmatched, newly failed."""
    if not updates:
        return 0, [], []
    row = db.session().execute(
        _ADVANCE, {"account": current_account(), "moves": _MOVES, **_columns(updates)}
    )
    moved, unknown, failed = row.one()
    return (
        moved,
        [positions[n - 1] for n in unknown or ()],
        [positions[n - 1] for n in failed or ()],
    )


def _columns(updates: Sequence[Advance]) -> dict[str, str]:
    """Write events as arrays, each one text: cheaper than a value for each field."""
    messages = [u.message_id.hex if u.message_id else "NULL" for u in updates]
    numbers = ["NULL" if u.number is None else str(u.number) for u in updates]
    return {
        "messages": "{" + ",".join(messages) + "}",
        "numbers": "{" + ",".join(numbers) + "}",
        "ats": "{" + ",".join([str(u.at.timestamp()) for u in updates]) + "}",
        "words": json.dumps(
            [[u.provider_id, u.status, u.code[:20], u.reason[:60]] for u in updates]
        ),
    }


def _restored(updates: Sequence[Advance]) -> bool:
    """Write attempts that a restored database has lost; says whether there were any."""
    given = _columns(updates)
    row = db.session().execute(
        _RESTORE,
        {
            "account": current_account(),
            **{name: given[name] for name in ("messages", "numbers", "ats")},
        },
    )
    return row.first() is not None


_MOVES = "{" + ",".join(f"{a}>{b}" for a, to in MOVES.items() for b in to.split()) + "}"
# locked in the order of ids; what `locked` says is the row after the wait, and the update
# then meets that row: nobody else can change it in between
_ADVANCE = text(
    """
    WITH u AS MATERIALIZED (
      SELECT k.ref, k.message_id, k.number, to_timestamp(k.at) AS at,
        w.r ->> 0 AS provider_id, w.r ->> 1 AS status, w.r ->> 2 AS code,
        w.r ->> 3 AS reason, CASE w.r ->> 1 WHEN 'sent' THEN 2 WHEN 'failed' THEN 3
          WHEN 'delivered' THEN 4 WHEN 'read' THEN 5 ELSE 0 END AS rank
      FROM unnest(CAST(:messages AS uuid[]), CAST(:numbers AS int[]),
          CAST(:ats AS float8[])) WITH ORDINALITY AS k(message_id, number, at, ref)
        JOIN json_array_elements(CAST(:words AS json)) WITH ORDINALITY AS w(r, ref)
          USING (ref)),
    hit AS MATERIALIZED (
      SELECT u.ref, u.rank, u.status, u.reason, a.id, a.message_id, a.number
      FROM u JOIN attempt a
        ON a.account_id = :account AND a.message_id = u.message_id AND a.number = u.number
      UNION ALL
      SELECT u.ref, u.rank, u.status, u.reason, a.id, a.message_id, a.number
      FROM u JOIN attempt a
        ON a.account_id = :account AND a.provider_id = u.provider_id
      WHERE u.message_id IS NULL),
    locked AS MATERIALIZED (
      SELECT m.id, m.state, m.attempt FROM message m
      WHERE m.account_id = :account AND m.id = ANY(ARRAY(SELECT message_id FROM hit))
      ORDER BY m.id FOR NO KEY UPDATE),
    aim AS MATERIALIZED (
      SELECT DISTINCT ON (l.id) l.id, h.status, h.number,
        CASE WHEN h.status = 'failed' THEN h.reason ELSE '' END AS reason
      FROM locked l JOIN hit h ON h.message_id = l.id
      WHERE (h.status <> 'failed' OR h.number >= l.attempt)
        AND l.state || '>' || h.status = ANY(CAST(:moves AS text[]))
      ORDER BY l.id, h.rank DESC, h.ref),
    moved AS (
      UPDATE message m SET state = aim.status, reason = aim.reason, token = NULL,
        lease_until = NULL, state_since = clarion_now(),
        attempt = greatest(m.attempt, aim.number)
      FROM aim WHERE m.account_id = :account AND m.id = aim.id RETURNING 1),
    best AS MATERIALIZED (
      SELECT DISTINCT ON (h.id) h.id, u.* FROM hit h JOIN u USING (ref)
        JOIN locked l ON l.id = h.message_id
      ORDER BY h.id, u.rank DESC, u.at DESC, u.ref),
    noted AS (
      UPDATE attempt a SET status = b.status, status_at = b.at,
        code = CASE WHEN b.status = 'failed' THEN b.code ELSE '' END,
        provider_id = coalesce(a.provider_id, b.provider_id)
      FROM best b WHERE a.account_id = :account AND a.id = b.id
        AND b.rank > CASE a.status WHEN 'sent' THEN 2 WHEN 'failed' THEN 3
          WHEN 'delivered' THEN 4 WHEN 'read' THEN 5 ELSE 0 END
      RETURNING b.ref, b.status)
    SELECT (SELECT count(*) FROM moved),
      (SELECT array_agg(u.ref) FROM u LEFT JOIN hit USING (ref) WHERE hit.id IS NULL),
      (SELECT array_agg(ref) FROM noted WHERE status = 'failed')
    """
)
_RESTORE = text(
    """
    INSERT INTO attempt (id, account_id, message_id, number, sender_id, intent_at, outcome)
    SELECT clarion_new_id(), :account, m.id, k.number, m.sender_id, min(to_timestamp(k.at)),
      'accepted'
    FROM unnest(CAST(:messages AS uuid[]), CAST(:numbers AS int[]), CAST(:ats AS float8[]))
        AS k(message_id, number, at)
      JOIN message m ON m.account_id = :account AND m.id = k.message_id
    GROUP BY m.id, k.number, m.sender_id
    ON CONFLICT (account_id, message_id, number) DO NOTHING
    RETURNING id
    """
)
