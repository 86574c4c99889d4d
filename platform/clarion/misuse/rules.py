"""From what was counted to points, each with its measure beside what is usual.

Pure arithmetic on counters: no text, no name, no number comes in here. The version names
these rules on every score; sources of the thresholds: `docs/reference/misuse.md`.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from clarion.base.settings import settings

VERSION = "2026-11"
MOST = 100
STEPS = ((8.0, 45), (4.0, 30), (2.0, 15))
"""So many times what is usual, so many points."""
IN_ROW, IN_ROW_MANY = 100, 500  # of 1,000 numbers
INVALID, INVALID_MANY = 0.2, 0.5
COUNTRIES, LIST_LEAST = 20, 100
QUALITY = {"red": 30, "yellow": 10}
STOPS = {
    "account_locked": 60,  # it is stopped already; a review on top holds nobody back
    "policy_restriction": 45,
    "spam_restricted": 45,
    "template_misuse_limit": 45,
    "number_quality_red": 30,
    "opt_out_rate": 20,
    "template_policy": 20,
    "template_quality_red": 15,
}
"""Points for what a provider has stopped, by the breaker's reason."""


@dataclass(frozen=True, slots=True)
class ListFacts:
    """One uploaded list of the last days; `twins` are other accounts with the same one."""

    rows: int
    invalid: int
    in_row: int
    countries: int
    attested: bool
    twins: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an account's last seven days."""

    age_days: float = 1_000.0
    asked: int = 0  # people of orders that began in the last 24 hours
    left: int = 0
    delivered: int = 0
    failed: int = 0
    stopped: int = 0
    blocked: int = 0
    lists: Sequence[ListFacts] = ()
    quality: str = ""
    stops: Sequence[str] = ()
    odd_links: int = 0
    link_kinds: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Norms:
    """What is usual: the median of accounts that send, or a setting while there are few."""

    opt_outs: float
    blocks: float
    failures: float


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a score: which rule, how many points, what was found, what is usual."""

    rule: str
    points: int
    found: float
    norm: float
    of: int = 0

    def to_json(self) -> dict[str, Any]:
        """Write it for a column."""
        return asdict(self)


def judge(facts: Facts, norms: Norms) -> list[Part]:
    """Give points for what is unusual, most first."""
    parts = [
        _ramp(facts),
        _share("opt_outs", facts.stopped, facts.delivered, norms.opt_outs),
        _share("blocks", facts.blocked, facts.delivered, norms.blocks),
        _share("failures", facts.failed, facts.left, norms.failures),
        *_worst([_list_parts(one) for one in facts.lists]),
        _quality(facts),
        _links(facts),
    ]
    return sorted((p for p in parts if p is not None), key=lambda p: (-p.points, p.rule))


def score(parts: Sequence[Part]) -> int:
    """Add the points up; 100 is the most."""
    return min(MOST, sum(part.points for part in parts))


def usual_people(age_days: float) -> int | None:
    """Say how many people a day are usual at an age; None for accounts that are old."""
    steps = sorted(
        (int(days), int(people))
        for days, _colon, people in (
            one.partition(":") for one in settings().misuse_ramp.split(",")
        )
    )
    return next((people for days, people in steps if age_days < days), None)


def _ramp(facts: Facts) -> Part | None:
    usual = usual_people(facts.age_days)
    if usual is None or facts.asked <= usual:
        return None
    times = facts.asked / max(1, usual)
    points = min(60, 20 + round(15 * math.log2(times)))
    return Part("ramp", points, facts.asked, usual, facts.asked)


def _share(rule: str, found: int, of: int, norm: float) -> Part | None:
    if of < settings().misuse_least:
        return None
    share = found / of
    points = next((points for times, points in STEPS if share >= times * norm), 0)
    return Part(rule, points, round(share, 5), round(norm, 5), of) if points else None


def _list_parts(one: ListFacts) -> list[Part]:
    if one.rows < LIST_LEAST:
        return []
    invalid = one.invalid / one.rows
    parts = []
    if invalid >= INVALID:
        points = 30 if invalid >= INVALID_MANY else 15
        parts.append(Part("invalid_rows", points, round(invalid, 3), INVALID, one.rows))
    if one.in_row >= IN_ROW:
        points = 70 if one.in_row >= IN_ROW_MANY else 30
        found = one.in_row / 1_000
        parts.append(Part("in_sequence", points, found, IN_ROW / 1_000, one.rows))
    if one.countries >= COUNTRIES:
        parts.append(Part("countries", 10, one.countries, COUNTRIES, one.rows))
    if one.twins:
        parts.append(Part("same_list", 40 if one.twins > 1 else 25, one.twins, 0, one.rows))
    if parts and not one.attested:
        parts.append(Part("no_consent", 10, 0, 0, one.rows))
    return parts


def _worst(lists: Sequence[list[Part]]) -> list[Part]:
    """Count each rule once, by its worst list."""
    found: dict[str, Part] = {}
    for part in (part for parts in lists for part in parts):
        if part.rule not in found or found[part.rule].points < part.points:
            found[part.rule] = part
    return list(found.values())


def _quality(facts: Facts) -> Part | None:
    points = max(
        [QUALITY.get(facts.quality, 0), *(STOPS.get(why, 0) for why in facts.stops)]
    )
    return Part("quality", points, points, 0) if points else None


def _links(facts: Facts) -> Part | None:
    if not facts.odd_links:
        return None
    points = min(40, 20 * facts.odd_links)
    return Part("links", points, facts.odd_links, 0, facts.odd_links)
