"""Named crash points: where a test lets this process die as a power cut would.

`CLARION_CRASH_AT=after_claim` ends it there with 137, without a word to anybody;
`after_claim:3` at the third passage, and `after_claim:1:stop` suspends it instead, until
somebody continues it. `composing:@+5511999` ends it whenever it comes to that subject.
Production refuses the setting.
"""

import os
import signal
from dataclasses import dataclass
from functools import cache

from clarion.base.settings import settings

POINTS = frozenset(
    {
        "after_snapshot_half",
        "after_claim",
        "composing",
        "after_gate_locks",
        "after_intent_flush",
        "after_intent_commit",
        "after_connect",
        "after_response",
        "after_result_flush",
        "after_result_commit",
        "after_inbox_insert",
        "after_inbox_commit",
        "after_status_apply",
        "after_bell",
        "after_outbox_commit",
        "after_epoch_commit",
    }
)
_passed: list[str] = []


@dataclass(frozen=True, slots=True)
class _Where:
    point: str
    times: int = 1
    how: str = ""
    subject: str = ""


def here(point: str, subject: str = "") -> None:
    """Die, if this is the point the setting names, and the subject if it names one."""
    where = _where()
    if where is None or where.point != point or where.subject not in ("", subject):
        return
    _passed.append(point)
    if len(_passed) != where.times:
        return
    if where.how == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        os._exit(137)


@cache
def _where() -> _Where | None:
    conf = settings()
    if conf.production or not conf.crash_at:
        return None
    point, _, rest = conf.crash_at.partition(":")
    if point not in POINTS:
        raise ValueError(f"CLARION_CRASH_AT: there is no point {point!r}")
    if rest.startswith("@"):
        return _Where(point, subject=rest[1:])
    times, _, how = rest.partition(":")
    return _Where(point, int(times or 1), how)


def forget() -> None:
    """Read the setting anew; for processes forked by a test."""
    _where.cache_clear()
    _passed.clear()
