"""What is to happen to a message: rules, matched from the newest to the oldest."""

import random
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

ANSWERS = (
    "accept",  # 200 with an id
    "held",  # 200 with an id, held for quality assessment
    "no_id",  # taken, but the 200 carries no id
    "refuse",  # not taken: an error with `code`
    "error",  # not taken: a 5xx
    "error_accepted",  # taken, and a 5xx all the same
    "hang",  # not taken, never answered
    "hang_accepted",  # taken, never answered
    "reset",  # not taken, connection reset
    "reset_accepted",  # taken, connection reset
)
TAKEN = frozenset({"accept", "held", "no_id"} | {a for a in ANSWERS if "_accepted" in a})


@dataclass(frozen=True, slots=True)
class Statuses:
    """Which status webhooks follow an accepted message, and how badly."""

    late_ms: int = 0
    times: int = 1
    shuffle: bool = False
    never: bool = False
    only: tuple[str, ...] = ()
    fail: int = 0  # the code of a `failed` status instead of `delivered`
    hold: bool = False  # until POST /_sim/release


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one message. See `ANSWERS`; times in milliseconds."""

    answer: str = "accept"
    code: int = 0
    http: int = 0
    details: str = ""
    delay_ms: int = 0  # before it is taken and answered
    answer_delay_ms: int = 0  # between taking and answering: statuses may overtake
    rate: float = 0.0  # more than this per second: 130429
    retry_after: int = 0
    statuses: Statuses = Statuses()


ACCEPT = Fate()


@dataclass(slots=True)
class Rule:
    """A fate and whom it meets. Empty criteria match everybody."""

    fate: Fate
    to: frozenset[str] = frozenset()
    suffix: str = ""
    prefix: str = ""
    sender: str = ""
    template: str = ""
    reference: str = ""  # beginning of the callback token
    share: float = 1.0
    left: int = -1  # how often it still applies; -1: always
    _stamps: deque[float] = field(default_factory=deque)

    def matches(self, to: str, sender: str, template: str, reference: str) -> bool:
        return (
            self.left != 0
            and (not self.to or to in self.to)
            and to.endswith(self.suffix)
            and to.startswith(self.prefix)
            and self.sender in {"", sender}
            and self.template in {"", template}
            and reference.startswith(self.reference)
        )

    def over_rate(self) -> bool:
        """Count this one and tell whether the last second saw too many."""
        now = time.monotonic()
        while self._stamps and self._stamps[0] <= now - 1:
            self._stamps.popleft()
        if len(self._stamps) >= self.fate.rate:
            return True
        self._stamps.append(now)
        return False


class Rules:
    """The rules in force. Rules for listed numbers are found without looking at others."""

    def __init__(self, rng: random.Random, *, suffixes: bool) -> None:
        self._random = rng
        self._suffixes = suffixes
        self._general: list[Rule] = []
        self._listed: dict[str, list[Rule]] = {}

    def add(self, given: dict[str, Any]) -> None:
        """Take a rule as posted: `{"match": {…}, "fate": {…}}`. Raises `ValueError`."""
        rule = read_rule(given)
        for to in rule.to:
            self._listed.setdefault(to, []).insert(0, rule)
        if not rule.to:
            self._general.insert(0, rule)

    def clear(self) -> None:
        self._general.clear()
        self._listed.clear()

    def choose(self, to: str, sender: str, template: str, reference: str) -> Fate:
        if self._listed or self._general:
            rules: list[Rule] = [*self._listed.get(to, ()), *self._general]
            for rule in rules:
                if not rule.matches(to, sender, template, reference):
                    continue
                if rule.share < 1 and self._random.random() >= rule.share:
                    continue
                if rule.fate.rate:
                    if not rule.over_rate():
                        continue
                    return Fate("refuse", 130429, retry_after=rule.fate.retry_after)
                rule.left -= rule.left > 0
                return rule.fate
        return by_suffix(to) if self._suffixes else ACCEPT


_SUFFIX = re.compile(r"([01])(13\d{4})$")


def by_suffix(to: str) -> Fate:
    """Read the fate off the number itself.

    …0131026 is refused with 131026, …1131026 is accepted and fails with it later; all
    others are accepted.
    """
    found = _SUFFIX.search(to)
    if not found:
        return ACCEPT
    code = int(found[2])
    return Fate("refuse", code) if found[1] == "0" else Fate(statuses=Statuses(fail=code))


def read_rule(given: dict[str, Any]) -> Rule:
    """Read a rule. Raises `ValueError` for a word that is not known."""
    match = dict(given.get("match") or {})
    to = match.pop("to", ())
    fate = dict(given.get("fate") or {})
    statuses = dict(fate.pop("statuses", None) or {})
    statuses["only"] = tuple(statuses.get("only", ()))
    try:
        rule = Rule(
            fate=Fate(**fate, statuses=Statuses(**statuses)),
            to=frozenset([to] if isinstance(to, str) else to),
            left=int(given.get("times", -1)),
            **match,
        )
    except TypeError as error:
        raise ValueError(str(error)) from error
    if rule.fate.answer not in ANSWERS:
        raise ValueError(f"answer is one of {', '.join(ANSWERS)}")
    if rule.fate.answer == "refuse" and not rule.fate.code:
        raise ValueError("refuse needs a code")
    return rule
