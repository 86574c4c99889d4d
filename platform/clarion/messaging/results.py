"""What came of calls: noted on the loop, written in sets by a thread of its own.

An answer that was heard is not lost with a database connection: it is written again
until the database takes it, or until the lease has long made the row unknown.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError

from clarion.base import crash, db
from clarion.base.telemetry import counter, histogram, logger
from clarion.messaging import ledger
from clarion.messaging.ledger import Outcome
from clarion.messaging.threads import LedgerThread

log = logger(__name__)
EVERY_SECONDS = 0.03
TRIES = 9  # with growing pauses: half a minute
AT_ONCE = 1_000
sent = counter(
    "messages_sent_total", "Calls to providers by result", ("transport", "result")
)
took = histogram("provider_seconds", "How long a provider took to answer", ("transport",))


class Results:
    """The outcomes of one slice on their way to the ledger.

    Attributes:
        lost: True when the database did not take them for so long that they were given
            up; their rows become unknown, which is the truth. Nothing more may leave.
    """

    def __init__(self, transport: str, watch: Callable[[Sequence[Outcome]], None]) -> None:
        self.lost = False
        self._watch = watch
        self._transport, self._took = transport, took.labels(transport)
        self._thread = LedgerThread()
        self._outcomes: list[Outcome] = []
        self._asides: list[Callable[[], Any]] = []
        self._closing = False
        self._fails = 0

    @property
    def unwritten(self) -> int:
        """Count the outcomes that are not in the ledger yet."""
        return len(self._outcomes)

    def note(self, outcome: Outcome, seconds: float) -> None:
        """Take down what came of one call, which lasted so long."""
        self._took.observe(seconds)
        self._outcomes.append(outcome)

    def aside(self, work: Callable[[], Any]) -> None:
        """Have something else written besides: a silenced person, a paused number."""
        self._asides.append(work)

    def close(self) -> None:
        """Say that no more will come; `write` ends when all of it is written."""
        self._closing = True

    async def write(self, wrote: Callable[[], None]) -> None:
        """Write outcomes in sets, many times a second, until closed and empty.

        Calls `wrote` after each look, so that who waits for the database goes on.
        """
        try:
            while not self.lost and (self._outcomes or self._asides or not self._closing):
                if self._fails or not self._closing:
                    await asyncio.sleep(EVERY_SECONDS * 2**self._fails)
                await self._flush()
                wrote()
        finally:
            wrote()
            self._thread.close()

    async def _flush(self) -> None:
        try:
            while self._outcomes:
                some = self._outcomes[:AT_ONCE]
                await self._thread.run(_record, some)
                del self._outcomes[: len(some)]
                self._watch(some)
                for state, n in Counter(one.state for one in some).items():
                    sent.labels(self._transport, state).inc(n)
            while self._asides:
                await self._thread.run(_alone, self._asides[0])
                del self._asides[0]
        except DBAPIError as error:
            self._fails += 1
            log.warning("results.waiting", error=type(error).__name__, tries=self._fails)
            if self._fails > TRIES:
                log.exception("results.lost", messages=len(self._outcomes))
                self.lost = True
        else:
            self._fails = 0


def _record(outcomes: list[Outcome]) -> None:
    with db.transaction():
        ledger.record(outcomes)
        crash.here("after_result_flush")
    crash.here("after_result_commit")


def _alone(work: Callable[[], Any]) -> None:
    """Do one thing in a transaction of its own; if it is wrong, the others are not."""
    try:
        with db.transaction():
            work()
    except DBAPIError:
        raise
    except Exception:  # what it was about is in the log; answers must not wait for it
        log.exception("results.aside_failed")
