"""What time it is: the one place that asks, and the one place where tests stop time."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class _Frozen:
    at: dt.datetime | None = None


_frozen = _Frozen()  # for the whole process: server threads of a test see the same time


def now() -> dt.datetime:
    """Return the present moment: aware, in UTC."""
    return _frozen.at or dt.datetime.now(dt.UTC)


@contextmanager
def freeze(at: dt.datetime | None = None) -> Iterator[dt.datetime]:
    """Stop time at a moment (aware; the present one when left out) for a block of a test.

    `advance` moves it. The database's clock goes on.
    """
    if at is not None and at.tzinfo is None:
        raise ValueError("freeze() needs a time with a zone")
    before = _frozen.at
    _frozen.at = (at or now()).astimezone(dt.UTC)
    try:
        yield _frozen.at
    finally:
        _frozen.at = before


def advance(
    *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
) -> None:
    """Move frozen time on (or back). Raises RuntimeError while time is not frozen."""
    if _frozen.at is None:
        raise RuntimeError("advance() works inside freeze() only")
    _frozen.at += dt.timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
