"""How many may leave now: a sender's rate, handed out in slices of a tenth of a second."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from clarion.base import db
from clarion.tenancy.scope import current_account

SLICES_PER_S = 10


@dataclass(frozen=True, slots=True)
class Grant:
    """How many may leave in this slice, and when the next one begins, in seconds."""

    count: int
    wait_seconds: float


def take(sender_id: UUID, want: int) -> Grant:
    """Take up to `want` sends from the sender's present slice, under a row lock.

    Unused slices lapse: we under-send rather than over-send. A sender that the provider
    told to slow down gets nothing until that is over.
    """
    row = (
        db.session()
        .execute(_TAKE, {"account": current_account(), "sender": sender_id, "want": want})
        .first()
    )
    if row is None:
        return Grant(0, 1.0)
    return Grant(int(row.granted), float(row.wait))


def slow(sender_id: UUID, seconds: float) -> None:
    """Give the sender nothing for a while: the provider is busy."""
    db.session().execute(
        text(
            "UPDATE sender SET slow_until = greatest(coalesce(slow_until, clarion_now()),"
            " clarion_now() + make_interval(secs => :s))"
            " WHERE account_id = :account AND id = :sender"
        ),
        {"account": current_account(), "sender": sender_id, "s": seconds},
    )


_TAKE = text(
    """
    WITH s AS (
      SELECT id, rate_per_s, greatest(0, extract(epoch FROM
        (coalesce(slow_until, clarion_now()) - clarion_now())))::float8 AS slow
      FROM sender WHERE account_id = :account AND id = :sender),
    n AS (SELECT floor(extract(epoch FROM clarion_now()) * 10)::bigint AS slot,
      extract(epoch FROM clarion_now())::float8 AS now),
    b AS (
      SELECT k.id, k.slot, k.used FROM sender_bucket k
      WHERE k.account_id = :account AND k.sender_id = :sender FOR UPDATE),
    t AS (  -- the clock may have been read before waiting for the row: never go back
      SELECT greatest(n.slot, b.slot) AS slot, n.now FROM n, b),
    g AS (
      SELECT b.id, t.slot, CASE WHEN s.slow > 0 THEN 0 ELSE least(:want,
          -- the whole of the rate over ten slices, the remainder spread over them
          (s.rate_per_s * (t.slot % 10 + 1)) / 10 - (s.rate_per_s * (t.slot % 10)) / 10
          - CASE WHEN b.slot = t.slot THEN b.used ELSE 0 END) END AS granted,
        CASE WHEN b.slot = t.slot THEN b.used ELSE 0 END AS used,
        CASE WHEN s.slow > 0 THEN s.slow ELSE (t.slot + 1) / 10.0 - t.now END AS wait
      FROM b, s, t)
    UPDATE sender_bucket k SET slot = g.slot, used = g.used + greatest(g.granted, 0)
    FROM g WHERE k.account_id = :account AND k.id = g.id
    RETURNING greatest(g.granted, 0) AS granted, greatest(g.wait, 0)::float8 AS wait
    """
)
