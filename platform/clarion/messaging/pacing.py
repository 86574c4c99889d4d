"""How many may leave now: each sender's rate, each pair's, and what slows them down.

The rate is handed out in slices under a row lock (`bucket` has the arithmetic). A
throttled sender goes on at half its rate and regains it; a busy one waits.
"""

import datetime as dt
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from clarion.base import db
from clarion.messaging import bucket, contract
from clarion.messaging.bucket import Ask, Bucket
from clarion.tenancy.scope import current_account

BULK_LANE = 4
URGENT_SECONDS = 10
"""How long headroom is withheld from bulk after something urgent was sent or came in."""
REGAIN, REGAIN_SECONDS = 0.05, 10
PAIR_GAP, PAIR_BURST = dt.timedelta(seconds=6), 45
"""One message in six seconds to one person; up to 45 at once, borrowed from the future."""
PAIR_MEMORY = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Grant:
    """How many may leave, when they begin, and what else is known of the sender.

    Attributes:
        count: how many.
        begins: when they may leave, on this process's monotonic clock.
        wait_seconds: until it is worth asking again, from when this was given.
        again: the same as a moment on this process's monotonic clock.
        pairs: whether some people have to be waited for.
        misses: how often in a row the provider could not be reached.
        why: what slows the sender down when it has to wait, as a code.
    """

    count: int
    wait_seconds: float
    begins: float = 0.0
    again: float = 0.0
    pairs: bool = False
    misses: int = 0
    why: str = ""


def take(sender_id: UUID, want: int, *, lane: int = BULK_LANE, late: float = 0.0) -> Grant:
    """Take up to `want` sends from the sender's next slice, under a row lock.

    Args:
        sender_id: whose rate.
        want: how many could be sent.
        lane: 4 is bulk, which leaves headroom while the others are at work.
        late: seconds by which the caller's last slice left after its time.
    """
    found = _LOOK(account=current_account(), sender=sender_id)
    if not found:
        return _nothing(1.0)
    row = found[0]
    if row.slow > 0:
        return _nothing(row.slow, row.misses, row.why)
    urgent = lane < BULK_LANE
    ask = Ask(want, bulk=not urgent, headroom=row.calm < URGENT_SECONDS, late=late)
    rate = max(1, int(row.rate * factor(row.factor, row.age)))
    before = Bucket(row.slice_at, row.slot, row.used, row.used_bulk)
    given = bucket.step(before, row.now, rate, ask)
    after = given.bucket
    (kept,) = _KEEP(
        account=current_account(),
        sender=sender_id,
        slice=after.slice_at,
        slot=after.slot,
        used=after.used,
        bulk=after.used_bulk,
        urgent=urgent,
    )
    here = time.monotonic() - kept.now
    return Grant(
        given.count,
        max(0.0, given.again_at - kept.now),
        begins=here + after.slice_at,
        again=here + given.again_at,
        pairs=row.pairs,
        misses=row.misses,
    )


def _nothing(wait_seconds: float, misses: int = 0, why: str = "") -> Grant:
    again = time.monotonic() + wait_seconds
    return Grant(0, wait_seconds, again=again, misses=misses, why=why)


def factor(left: float, age: float) -> float:
    """Say what share of its rate a throttled sender has again, `age` seconds later."""
    return min(1.0, left + REGAIN * (age // REGAIN_SECONDS))


def busy(channel_id: UUID, sender_id: UUID, said: contract.Busy) -> None:
    """Do what a provider's "not now" asks for: half the rate, or a wait.

    A storm of the same answer is one signal: the rate is halved once a second at most.
    """
    who = {"account": current_account(), "sender": sender_id, "channel": channel_id}
    if said.throttles:
        gain = {"regain": REGAIN, "every": REGAIN_SECONDS}
        db.session().execute(_HALVE, {**who, **gain})
    elif said.scope == "token":
        db.session().execute(
            _SLOW_CHANNEL, {**who, "s": said.retry_after, "why": said.code}
        )
    else:
        slow(sender_id, said.retry_after, said.code)


def slow(sender_id: UUID, seconds: float, why: str = "busy") -> None:
    """Give the sender nothing for a while: the provider is busy."""
    who = {"account": current_account(), "sender": sender_id}
    db.session().execute(_SLOW_SENDER, {**who, "s": seconds, "why": why[:20]})


def unreachable(sender_id: UUID) -> None:
    """Let a sender rest whose provider cannot be reached: 2 s, 4 s … at most 5 minutes."""
    who = {"account": current_account(), "sender": sender_id}
    misses = db.session().scalar(_MISSED, who)
    if misses is not None:
        slow(sender_id, min(300.0, 2.0**misses), "unreachable")


def reached(sender_id: UUID) -> None:
    """Forget that the provider could not be reached."""
    who = {"account": current_account(), "sender": sender_id}
    db.session().execute(_REACHED, who)


def heard(sender_id: UUID) -> None:
    """Note that people write to this number: replies will need some of its rate."""
    who = {"account": current_account(), "sender": sender_id}
    db.session().execute(_URGENT, who)


def put_off(token: UUID, waits: Mapping[UUID, dt.datetime], reason: str) -> None:
    """Put claimed rows back until the moment that is named for each."""
    rows = [[str(row), until.isoformat()] for row, until in sorted(waits.items())]
    what = {"account": current_account(), "token": token, "reason": reason}
    db.session().execute(_PUT_OFF, {**what, "rows": json.dumps(rows)})


# --- one sender, one person


def hold_pairs(ids: Sequence[UUID], token: UUID) -> None:
    """Put claimed rows back whose person has to be left alone by this sender for now."""
    db.session().execute(
        _HOLD_PAIRS, {"account": current_account(), "ids": list(ids), "token": token}
    )


def note_pairs(ids: Sequence[UUID]) -> None:
    """Count what leaves now against the people it goes to; for what is not bulk."""
    if ids:
        gaps = {"gap": PAIR_GAP, "borrowed": PAIR_GAP * (PAIR_BURST - 1)}
        what = {"account": current_account(), "ids": list(ids), **gaps}
        db.session().execute(_NOTE_PAIRS, what)


def pair_busy(message_id: UUID) -> None:
    """Leave a message's person alone for 6 s × 4ⁿ, n being how often it was said lately."""
    who = {"account": current_account(), "id": message_id, "gap": PAIR_GAP}
    db.session().execute(_PAIR_BUSY, who)


def forget_pairs() -> int:
    """Drop pairs of this account that nothing is to be remembered of; count them."""
    who = {"account": current_account(), "memory": PAIR_MEMORY}
    return len(db.session().execute(_FORGET_PAIRS, who).all())


_LOOK = db.Direct(
    """
    SELECT least(s.rate_per_s, s.own_rate_per_s) AS rate,
      extract(epoch FROM k.slice_at)::float8 AS slice_at, k.slot, k.used, k.used_bulk,
      k.factor, k.misses, extract(epoch FROM clarion_now() - k.factor_at)::float8 AS age,
      coalesce(extract(epoch FROM clarion_now() - k.urgent_at), 1e9)::float8 AS calm,
      coalesce(extract(epoch FROM greatest(s.slow_until, h.slow_until) - clarion_now()),
        0)::float8 AS slow,
      CASE WHEN h.slow_until > coalesce(s.slow_until, h.created_at) THEN h.slow_reason
        ELSE s.slow_reason END AS why,
      EXISTS (SELECT 1 FROM pair_next p WHERE p.account_id = :account
        AND p.sender_id = :sender AND p.next_at > clarion_now()) AS pairs,
      extract(epoch FROM clarion_now())::float8 AS now
    FROM sender_bucket k
    JOIN sender s ON s.account_id = :account AND s.id = k.sender_id
    JOIN channel h ON h.account_id = :account AND h.id = s.channel_id
    WHERE k.account_id = :account AND k.sender_id = :sender FOR UPDATE OF k
    """
)
_KEEP = db.Direct(
    """
    UPDATE sender_bucket SET slice_at = to_timestamp(:slice), slot = :slot, used = :used,
      used_bulk = :bulk,
      urgent_at = CASE WHEN :urgent THEN clarion_now() ELSE urgent_at END
    WHERE account_id = :account AND sender_id = :sender
    RETURNING extract(epoch FROM clarion_now())::float8 AS now
    """
)
_HALVE = text(
    """
    UPDATE sender_bucket SET factor_at = clarion_now(), factor = greatest(0.01, 0.5 *
      least(1, factor + :regain * floor(extract(epoch FROM clarion_now() - factor_at)
        / :every)))
    WHERE account_id = :account AND sender_id = :sender
      AND (factor = 1 OR factor_at < clarion_now() - interval '1 s')
    """
)
_SLOW_SENDER = text(
    """
    UPDATE sender SET slow_reason = :why,
      slow_until = greatest(coalesce(slow_until, clarion_now()),
        clarion_now() + make_interval(secs => :s))
    WHERE account_id = :account AND id = :sender
    """
)
_SLOW_CHANNEL = text(
    """
    UPDATE channel SET slow_reason = :why,
      slow_until = greatest(coalesce(slow_until, clarion_now()),
        clarion_now() + make_interval(secs => :s))
    WHERE account_id = :account AND id = :channel
    """
)
_MISSED = text(
    """
    UPDATE sender_bucket k SET misses = least(k.misses + 1, 9) FROM sender s
    WHERE k.account_id = :account AND k.sender_id = :sender
      AND s.account_id = :account AND s.id = k.sender_id
      AND (s.slow_until IS NULL OR s.slow_until < clarion_now())
    RETURNING k.misses
    """
)
_REACHED = text(
    "UPDATE sender_bucket SET misses = 0"
    " WHERE account_id = :account AND sender_id = :sender AND misses > 0"
)
_URGENT = text(
    "UPDATE sender_bucket SET urgent_at = clarion_now()"
    " WHERE account_id = :account AND sender_id = :sender"
)
_HOLD_PAIRS = text(
    """
    UPDATE message m SET state = 'queued', reason = 'pair_limit', token = NULL,
      lease_until = NULL, claims = greatest(m.claims - 1, 0), not_before = p.next_at,
      state_since = clarion_now()
    FROM pair_next p
    WHERE m.account_id = :account AND m.id = ANY(:ids) AND m.state = 'claimed'
      AND m.token = :token AND p.account_id = :account AND p.sender_id = m.sender_id
      AND p.address_idx = m.address_idx AND p.next_at > clarion_now()
    """
)
_PUT_OFF = text(
    """
    WITH w AS MATERIALIZED (
      SELECT CAST(r ->> 0 AS uuid) AS id, CAST(r ->> 1 AS timestamptz) AS until
      FROM json_array_elements(CAST(:rows AS json)) r)
    UPDATE message m SET state = 'queued', reason = :reason, token = NULL,
      lease_until = NULL, claims = greatest(m.claims - 1, 0), not_before = w.until,
      state_since = clarion_now()
    FROM w WHERE m.account_id = :account AND m.id = w.id AND m.state = 'claimed'
      AND m.token = :token
    """
)
_NOTE_PAIRS = text(
    """
    INSERT INTO pair_next AS p (id, account_id, sender_id, address_idx, written_to, next_at)
    SELECT clarion_new_id(), :account, m.sender_id, m.address_idx,
      clarion_now() + CAST(:gap AS interval), clarion_now()
    FROM message m WHERE m.account_id = :account AND m.id = ANY(:ids)
    ORDER BY m.sender_id, m.address_idx
    ON CONFLICT (account_id, sender_id, address_idx) DO UPDATE SET
      written_to = greatest(p.written_to, clarion_now()) + CAST(:gap AS interval),
      next_at = greatest(p.next_at, greatest(p.written_to, clarion_now())
        + CAST(:gap AS interval) - CAST(:borrowed AS interval))
    """
)
_PAIR_BUSY = text(
    """
    INSERT INTO pair_next AS p
      (id, account_id, sender_id, address_idx, written_to, next_at, strikes)
    SELECT clarion_new_id(), :account, m.sender_id, m.address_idx, clarion_now(),
      clarion_now() + CAST(:gap AS interval), 1
    FROM message m WHERE m.account_id = :account AND m.id = :id
    ON CONFLICT (account_id, sender_id, address_idx) DO UPDATE SET
      strikes = CASE WHEN p.next_at < clarion_now() - interval '1 h' THEN 1
        ELSE least(p.strikes + 1, 6) END,
      next_at = clarion_now() + CAST(:gap AS interval) * (4 ^ CASE
        WHEN p.next_at < clarion_now() - interval '1 h' THEN 0
        ELSE least(p.strikes, 5) END)
    """
)
_FORGET_PAIRS = text(
    """
    DELETE FROM pair_next WHERE account_id = :account
      AND greatest(written_to, next_at) < clarion_now() - CAST(:memory AS interval)
    RETURNING id
    """
)
