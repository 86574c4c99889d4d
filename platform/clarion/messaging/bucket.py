"""The arithmetic of a sender's rate: slices of a tenth of a second, a little apart.

Pure: `pacing` reads the row, calls `step` and writes it back. Ten slices together are the
rate, and they take `GUARD` longer than a second, so that what the network shakes up is
never more than the rate in any second. What a slice leaves unused lapses: we under-send
rather than over-send.
"""

from dataclasses import dataclass, replace

GUARD = 0.016
"""How much longer than a second the slices of one second take."""
LEAD = 0.05
"""How long before its beginning a slice is handed out, in seconds: time to prepare it."""
OPEN = 0.006
"""How long after its beginning what is left of a slice is still handed out, in seconds."""
BULK = 0.8
"""What bulk may use of the rate while replies, codes and utility are sent as well."""
SLICE = 50
"""What a slice holds at most: of a faster number there are more than ten in a second."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The slice that was handed out last. Times in seconds since the epoch.

    Attributes:
        slice_at: when it begins.
        slot: its number within a second: the remainder of the rate is spread over them.
        used: how many of its messages are taken.
        used_bulk: how many of these by bulk.
    """

    slice_at: float
    slot: int = 0
    used: int = 0
    used_bulk: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants: how many, in which lane, how late their last slice left.

    `headroom` is withheld from bulk; `late` in seconds.
    """

    want: int
    bulk: bool = True
    headroom: bool = False
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Given:
    """The bucket afterwards, how many were given, and when to come again."""

    bucket: Bucket
    count: int
    again_at: float


def step(bucket: Bucket, now: float, rate: int, ask: Ask) -> Given:
    """Give out of the slice that begins next, or say when to ask again.

    Args:
        bucket: as it was left.
        now: the database's clock.
        rate: messages in a second; at least one.
        ask: what is wanted.
    """
    per_s = slots(rate)
    gap = (1 + GUARD) / per_s
    bucket = replace(bucket, slice_at=bucket.slice_at + min(ask.late, 1.0))
    if not bucket.used:  # nobody has taken any of it yet: it begins now, if it is due
        bucket = replace(bucket, slice_at=max(bucket.slice_at, now))
    if now > bucket.slice_at + OPEN or room(bucket, rate, ask) <= 0:
        bucket = _next(bucket, now, rate, gap)
    if bucket.slice_at - now > LEAD:
        # what is not handed out has not begun: the next one asks for the same slice
        return Given(bucket, 0, bucket.slice_at - LEAD)
    count = min(ask.want, room(bucket, rate, ask))
    bucket = _use(bucket, count, ask)
    spare, ahead = ask.want - count, gap
    while spare > 0 and ahead <= OPEN:  # short slices: several of them at once
        bucket = replace(
            bucket,
            slice_at=bucket.slice_at + gap,
            slot=(bucket.slot + 1) % per_s,
            used=0,
            used_bulk=0,
        )
        more = min(spare, room(bucket, rate, ask))
        bucket = _use(bucket, more, ask)
        count, spare, ahead = count + more, spare - more, ahead + gap
    return Given(bucket, count, bucket.slice_at + gap - LEAD)


def slots(rate: int) -> int:
    """Say how many slices make up a second."""
    return max(10, rate // SLICE)


def size(rate: int, slot: int) -> int:
    """Say how many messages a slice holds: any second's worth of them make the rate."""
    per_s = slots(rate)
    slot %= per_s
    return rate * (slot + 1) // per_s - rate * slot // per_s


def room(bucket: Bucket, rate: int, ask: Ask) -> int:
    """Say how many of a slice are left to somebody."""
    whole = size(rate, bucket.slot)
    left = whole - bucket.used
    if ask.bulk and ask.headroom:
        per_s, share = slots(rate), max(1, int(rate * BULK))
        slot = bucket.slot % per_s
        mine = share * (slot + 1) // per_s - share * slot // per_s
        left = min(left, mine - bucket.used_bulk)
    return left


def _next(bucket: Bucket, now: float, rate: int, gap: float) -> Bucket:
    """Open the next slice that holds anything: in turn, or now after a pause."""
    per_s, start = slots(rate), bucket.slice_at + gap
    slot = (bucket.slot + 1) % per_s
    if start < now - 1:  # nothing left for a second: any slice may be the first
        start, slot = now, next(n for n in range(per_s) if size(rate, n))
    while not size(rate, slot):
        start, slot = start + gap, (slot + 1) % per_s
    return Bucket(max(start, now), slot)


def _use(bucket: Bucket, count: int, ask: Ask) -> Bucket:
    return replace(
        bucket,
        used=bucket.used + count,
        used_bulk=bucket.used_bulk + (count if ask.bulk else 0),
    )
