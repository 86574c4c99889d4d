"""Who works: the workers that the broker knows, when each was seen last, and its release."""

import datetime as dt
from dataclasses import dataclass

from clarion.base import broker

RELEASE = "clarion"
"""The field of a worker's entry at the broker that says which release it runs."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One worker."""

    name: str
    host: str
    pid: int
    release: str
    seen_at: dt.datetime | None
    busy: bool


def seen() -> list[Seen]:
    """List the workers; raises what `broker.lost` names when the broker is gone."""
    from rq import Worker  # slow import

    client = broker.redis()
    found = []
    for one in Worker.all(connection=client):
        told = client.hget(one.key, RELEASE)
        release = told.decode() if isinstance(told, bytes) else str(told or "")
        found.append(
            Seen(
                name=one.name,
                host=one.hostname or "",
                pid=one.pid or 0,
                release=release,
                seen_at=_utc(one.last_heartbeat),
                busy=str(one.get_state()) == "busy",
            )
        )
    return sorted(found, key=lambda one: one.name)


def _utc(moment: dt.datetime | None) -> dt.datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=dt.UTC)
