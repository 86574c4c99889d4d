"""Whether the time an answer takes tells who has a log-in: known against unknown, at each door.

Sign-in (wrong password), sign-up and forgotten password in the portal, sign-in in the
console: each is asked in pairs, for an address somebody has and for one nobody has, now this
one first and now that, from a network of its own. What is bounded is the median difference
within the pairs: with 99% confidence it is no larger than `…_bound_ms`, from the order
statistics of the differences, so that no shape of their distribution is assumed.
`BENCH_DOORS` is the number of pairs.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import count
from math import comb
from typing import Any

import ground

TARGETS = {
    "sign_in_bound_ms": ("max", 3.0),
    "sign_up_bound_ms": ("max", 3.0),
    "reset_bound_ms": ("max", 3.0),
    "console_bound_ms": ("max", 3.0),
}
PAIRS = int(os.environ.get("BENCH_DOORS", "80"))
KNOWN = 20  # people; each gets at most four mails
SURE = 0.99

Knock = Callable[[str], float]
"""Asks at a door for one address; answers the milliseconds it took."""


def measure() -> dict[str, float]:
    """Knock at every door in pairs."""
    with ground.prepared():
        from clarion.boot import boot
        from clarion.testing.console import make_staff
        from clarion.testing.factories import make_account
        from clarion.web import staff

        boot()
        staff.sync()
        people = [make_account().email for _n in range(KNOWN)]
        colleagues = [make_staff("support").email for _n in range(KNOWN)]
        networks = _networks()
        doors = {
            "sign_in": (
                _portal("/sign-in", networks, password="not the right one"),
                people,
            ),
            "sign_up": (_portal("/sign-up", networks), people),
            "reset": (_portal("/forgot", networks), people),
            "console": (_console(networks), colleagues),
        }
        figures: dict[str, float] = {}
        for name, (knock, known) in doors.items():
            figures |= _compared(name, knock, known)
    return figures | {"pairs": float(PAIRS)}


def _compared(name: str, knock: Knock, known: list[str]) -> dict[str, float]:
    differences, times = [], []
    for turn in range(-5, PAIRS):
        somebody = known[turn % len(known)]
        nobody = f"nobody-{time.time_ns():x}@example.org"
        order = (somebody, nobody) if turn % 2 == 0 else (nobody, somebody)
        took = {email: knock(email) for email in order}
        if turn >= 0:  # the first ones warm up
            differences.append(took[somebody] - took[nobody])
            times += took.values()
    low, high = _between(differences)
    return {
        f"{name}_bound_ms": max(abs(low), abs(high)),
        f"{name}_difference_ms": statistics.median(differences),
        f"{name}_median_ms": statistics.median(times),
    }


def _between(values: list[float]) -> tuple[float, float]:
    """Answer between which two of the values the median is, as surely as `SURE` says."""
    size, ordered = len(values), sorted(values)
    outside, rank = 0.0, 0
    while outside + comb(size, rank) / 2**size <= (1 - SURE) / 2:
        outside += comb(size, rank) / 2**size
        rank += 1
    rank = max(rank - 1, 0)
    return ordered[rank], ordered[size - 1 - rank]


def _networks() -> Iterator[str]:
    for n in count():
        yield f"10.{n // 250 % 250}.{n % 250}.9"


def _portal(path: str, networks: Iterator[str], **more: str) -> Knock:
    from clarion.testing.visitor import Visitor

    def knock(email: str) -> float:
        visitor = Visitor()
        visitor.get(path)
        form = {"csrf_token": visitor.token, "email": email, **more}
        return _timed(visitor.client, path, form, next(networks))

    return knock


def _console(networks: Iterator[str]) -> Knock:
    from clarion.testing.console import Browser
    from clarion.web.app import joined, wrapped

    app, path = wrapped(joined()), "/console/sign/in"

    def knock(email: str) -> float:
        browser = Browser(app)
        form = {"csrf_token": browser.token(path), "name": email, "password": "not it"}
        return _timed(browser.client, path, form, next(networks))

    return knock


def _timed(client: Any, path: str, form: dict[str, str], network: str) -> float:
    began = time.perf_counter()
    answer = client.post(path, data=form, environ_base={"REMOTE_ADDR": network})
    took = (time.perf_counter() - began) * 1000
    if answer.status_code not in (302, 422):
        raise SystemExit(f"{path}: {answer.status_code}")
    return took
