"""How often may this happen: counters in PostgreSQL, so they hold when the broker is gone."""

import datetime as dt
import hashlib
from dataclasses import dataclass

from sqlalchemy import DateTime, LargeBinary, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import clock
from clarion.base.db import Base, Entry, Wall, apart, column
from clarion.base.errors import TooMany
from clarion.base.trails import NoTrail
from clarion.base.words import _


class LimitCounter(Base):
    """How often something happened in a time slot: sign-ins, resets, sign-ups."""

    __tablename__ = "limit_counter"
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="counts attempts before anybody is known; keys are hashes",
    )
    trail = NoTrail("a counter of minutes and hours")

    key: Mapped[bytes] = column(LargeBinary, pd=None, primary_key=True)
    slot: Mapped[dt.datetime] = column(DateTime(timezone=True), pd=None, primary_key=True)
    count: Mapped[int] = column(pd=None, server_default="0")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `times` in `per_seconds` for one key; counted over two half-open slots."""

    name: str
    times: int
    per_seconds: int


SYSTEM = Entry("clarion_system")


def hit(limit: Limit, *parts: str) -> None:
    """Count one attempt and raise `TooMany` when it is above the limit.

    Args:
        limit: which budget.
        parts: whose: an e-mail address, an address prefix; hashed before storing.
    """
    now = clock.now()
    slot = _slot(limit, now)
    row = insert(LimitCounter).values(key=_key(limit, parts), slot=slot, count=1)
    row = row.on_conflict_do_update(
        index_elements=["key", "slot"], set_={"count": LimitCounter.count + 1}
    )
    with apart(SYSTEM) as s:
        count = s.scalar(row.returning(LimitCounter.count)) or 0
    if count > limit.times:
        wait = (
            int((slot + dt.timedelta(seconds=limit.per_seconds) - now).total_seconds()) + 1
        )
        raise TooMany(
            "too_many_attempts",
            _("That was too often. Please wait %(minutes)s min and try again.")
            % {"minutes": max(1, round(wait / 60))},
            retry_after_seconds=wait,
        )


def used(limit: Limit, *parts: str) -> int:
    """Say how often it happened in the present slot."""
    query = select(func.coalesce(func.sum(LimitCounter.count), 0)).where(
        LimitCounter.key == _key(limit, parts),
        LimitCounter.slot == _slot(limit, clock.now()),
    )
    with apart(SYSTEM) as s:
        return int(s.scalar(query) or 0)


def clear(limit: Limit, *parts: str) -> None:
    """Forget the attempts: the right password was given."""
    with apart(SYSTEM) as s:
        s.execute(delete(LimitCounter).where(LimitCounter.key == _key(limit, parts)))


def purge(older_than: dt.timedelta = dt.timedelta(days=2)) -> None:
    """Delete slots that count no more."""
    with apart(SYSTEM) as s:
        s.execute(delete(LimitCounter).where(LimitCounter.slot < clock.now() - older_than))


def _slot(limit: Limit, now: dt.datetime) -> dt.datetime:
    seconds = int(now.timestamp()) // limit.per_seconds * limit.per_seconds
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _key(limit: Limit, parts: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\x1f".join((limit.name, *parts)).encode()).digest()
