"""Which order is drained next: codes, replies, utility, bulk; accounts in turn.

A worker has slots, and each drains one order for a while. A free one takes the highest
lane with work, of the account that has the fewest here; bulk keeps one in ten, and a
number whose provider is slow or gone holds its own slot only.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from clarion.work import stops
from clarion.work.jobs import QueueName

CODE, REPLY, UTILITY, BULK = 1, 2, 3, 4
OF_PURPOSE = {"auth": CODE, "service": REPLY, "utility": UTILITY, "marketing": BULK}
SLOTS = 12
BULK_SLOTS = 10
"""Of the slots, as many may be bulk's: who sends a code never waits for a slice of it."""
URGENT_SLOTS = 11
"""As many may be the other lanes': a flood of replies does not stop bulk."""
LINGERING = 48
"""How many orders may wait for hanging calls without a slot."""
TURN_SECONDS = 1.0
"""How long an order is drained while others wait for its slot."""
_NAMES: dict[int, QueueName] = {CODE: "code", REPLY: "reply", UTILITY: "utility"}
_RANK = {"code": 1, "reply": 2, "utility": 3, "fresh": 4, "dispatch": 5}


@dataclass(frozen=True, slots=True)
class Wish:
    """An order that waits for a slot, or has one."""

    campaign_id: UUID
    account_id: UUID
    queue: str

    @property
    def bulk(self) -> bool:
        """Whether it belongs to the lowest lane."""
        return _RANK[self.queue] >= BULK


def queue(lane: int, *, fresh: bool = False) -> QueueName:
    """Name the queue of the broker that a lane's orders wait in."""
    return _NAMES.get(lane) or ("fresh" if fresh else "dispatch")


def paused(lane: int) -> bool:
    """Say whether staff have paused a lane: its orders are not begun."""
    return stops.paused(_NAMES.get(lane) or "campaigns")


def choose(
    waiting: Sequence[Wish], running: Iterable[Wish], lingering: Iterable[Wish] = ()
) -> Wish | None:
    """Choose who gets a free slot; None when nobody may have one now.

    Args:
        waiting: in the order of arrival.
        running: who has a slot. An order that runs is not started a second time.
        lingering: whose turn is over, but whose calls are not answered yet.
    """
    busy, slow = list(running), list(lingering)
    busy += slow[LINGERING:]  # too many of them: the rest counts as busy
    if len(busy) >= SLOTS:
        return None
    bulk = sum(one.bulk for one in busy)
    urgent = len(busy) - bulk
    here = {one.campaign_id for one in (*busy, *slow)}
    held = Counter(one.account_id for one in (*busy, *slow))
    may = [
        one
        for one in waiting
        if one.campaign_id not in here
        and (bulk < BULK_SLOTS if one.bulk else urgent < URGENT_SLOTS)
    ]
    return min(may, key=lambda one: _merit(one, held), default=None)


def _merit(one: Wish, held: Counter[UUID]) -> tuple[int, int, int]:
    """Order by lane, then by what the account holds, then what has just started first."""
    rank = _RANK[one.queue]
    return min(rank, BULK), held[one.account_id], rank
