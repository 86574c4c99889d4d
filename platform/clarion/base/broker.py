"""The broker: the only Redis client. It rings bells; what must not be lost is a row.

Whatever is in it may vanish. So ringing never fails: a bell that was not heard is made
up for by the relay and the workers, which also look by themselves.
"""

import os
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from clarion.base.errors import Misconfigured
from clarion.base.settings import settings
from clarion.base.telemetry import logger

if TYPE_CHECKING:
    from redis import Redis

log = logger(__name__)
CALL_SECONDS = 5.0
BELL_SECONDS = 3_600


def redis() -> "Redis":
    """Return the client of this process; a forked child gets one of its own."""
    return _client(os.getpid(), _url())


def lost() -> tuple[type[Exception], ...]:
    """Name the errors of a missing or unwell broker, for an `except` clause."""
    from redis.exceptions import RedisError  # slow import

    return (RedisError, OSError)


def ring(name: str) -> bool:
    """Ring a bell for whoever `wait`s for it. Says whether the broker took it."""
    try:
        with redis().pipeline(transaction=True) as pipe:
            pipe.lpush(_bell(name), 1)
            pipe.ltrim(_bell(name), 0, 0)  # ten rings are one ring
            pipe.expire(_bell(name), BELL_SECONDS)
            pipe.execute()
    except lost() as e:
        log.warning("broker.unheard", bell=name, error=type(e).__name__)
        return False
    return True


def wait(name: str, seconds: float) -> bool:
    """Wait for a bell, at most so long; with the broker gone, simply wait.

    Returns whether it rang. One waiter hears one ring.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            if redis().brpop([_bell(name)], timeout=min(left, CALL_SECONDS / 2)):
                return True
        except lost():
            time.sleep(min(1.0, max(0.0, end - time.monotonic())))
    return False


def reachable() -> bool:
    """Say whether the broker answers now."""
    try:
        return bool(redis().ping())
    except lost():
        return False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the broker says about itself; `most_bytes` 0 is no limit of its own."""

    version: str
    used_bytes: int
    most_bytes: int
    policy: str
    clients: int

    @property
    def keeps(self) -> bool:
        """Whether it never throws a job away to make room."""
        return self.policy == "noeviction"


def facts() -> Facts:
    """Ask the broker about itself; raises what `lost` names, or `Misconfigured`."""
    known: dict[str, Any] = redis().info()
    return Facts(
        version=str(known.get("valkey_version") or known.get("redis_version") or ""),
        used_bytes=int(known.get("used_memory", 0)),
        most_bytes=int(known.get("maxmemory", 0)),
        policy=str(known.get("maxmemory_policy", "noeviction")),
        clients=int(known.get("connected_clients", 0)),
    )


def reset() -> None:
    """Forget the client: the address has changed (tests, embedded servers)."""
    _client.cache_clear()


def _bell(name: str) -> str:
    return f"clarion:bell:{name}"


def _url() -> str:
    url = settings().redis_url
    if not url:
        raise Misconfigured(
            "broker_missing",
            "No broker runs: set CLARION_REDIS_URL, or start Clarion with `clarion demo`.",
        )
    return url


@lru_cache(maxsize=4)
def _client(_pid: int, url: str) -> "Redis":
    from redis import Redis  # slow import
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    return Redis.from_url(
        url,
        socket_connect_timeout=CALL_SECONDS,
        socket_timeout=CALL_SECONDS,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.02), 3),
        client_name="clarion",
    )
