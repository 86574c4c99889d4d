"""How many calls may be on the wire at once, found out from how long they take.

A provider that answers slower when asked more gets fewer calls; one that does not is
asked more until it does, or until there is nothing more to send. What is on the wire
when a worker is killed becomes unknown, so no more is there than brings speed.
"""

import math
from collections import OrderedDict
from uuid import UUID

FIRST, LEAST, MOST = 50, 4, 400
CALM = 0.05  # seconds; an answer within is no sign of a queue, but of our own being busy
SAMPLE = 20  # answers that make one measurement, or as many as are on the wire
TOLERANCE = 1.5  # how much slower than usual is still no sign of a queue
CREEP = 1.0002  # for each measurement
REMEMBERED = 256  # senders


class Window:
    """The limit of one sender's calls, by the gradient of its latency.

    After Netflix's concurrency limits: when the last answers took longer than usual, the
    limit shrinks by that ratio, else it grows by its square root, the queue we allow. It
    grows only while it is used up. What is usual is the quickest of late, which creeps up
    so slowly that a queue of our own making does not become usual.
    """

    def __init__(self) -> None:
        self._limit = float(FIRST)
        self._usual = 0.0
        self._sum, self._count, self._busiest = 0.0, 0, 0

    @property
    def limit(self) -> int:
        """Calls that may be on the wire now."""
        return int(self._limit)

    def answered(self, seconds: float, in_flight: int) -> None:
        """Learn from one answer: how long it took, with how many calls on the wire."""
        self._sum += seconds
        self._count += 1
        self._busiest = max(self._busiest, in_flight)
        if self._count >= min(SAMPLE, self._limit):
            self._adapt(self._sum / self._count)
            self._sum, self._count, self._busiest = 0.0, 0, 0

    def lost(self) -> None:
        """Learn that a call was not answered: step back at once."""
        self._limit = max(LEAST, self._limit * 0.9)

    def _adapt(self, latest: float) -> None:
        if not self._usual or self._limit < LEAST + 1:
            self._usual = latest  # so few do not queue: this is how long it takes
        elif latest < self._usual:
            self._usual += (latest - self._usual) * 0.2
        else:
            self._usual *= CREEP
        if self._busiest < self._limit / 2:
            return  # what limits us is something else
        usual = max(self._usual, CALM)
        gradient = max(0.5, min(1.0, TOLERANCE * usual / max(latest, 1e-6)))
        wanted = self._limit * gradient + math.sqrt(self._limit)
        self._limit = min(MOST, max(LEAST, self._limit * 0.8 + wanted * 0.2))


_known: OrderedDict[UUID, Window] = OrderedDict()


def of(sender_id: UUID) -> Window:
    """Return what this process knows about a sender, a new window for one it does not."""
    window = _known.pop(sender_id, None) or Window()
    _known[sender_id] = window
    if len(_known) > REMEMBERED:
        _known.popitem(last=False)
    return window
