"""The rule tree: what a choice of people may say, read from JSON and checked. Pure.

A rule is a JSON object with an `op`. Groups hold others in `of`: `and` (all of them),
`or` (any), `none` (not one), and `not` (of exactly one). Every other op asks one thing
about a person; with `"not": true` the answer is turned around.

Each answer is yes or no, never "unknown": a question about something a person does not
have is answered no, and its opposite therefore yes. Somebody without a birthday has no
birthday today; somebody without a city is in "city is not Recife".
"""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from clarion.base.errors import Invalid
from clarion.base.words import Lazy, _, lazy
from clarion_contacts.segments.filling import ATTRIBUTE

Rule = Mapping[str, Any]
DEEPEST, LARGEST = 10, 200
LONGEST_TEXT, LONGEST_KEY, MOST_VALUES = 200, 64, 100
MOST_DAYS, MOST_TIMES, GREATEST = 3650, 100, Decimal(10) ** 15
PURPOSES = ("marketing", "utility", "auth")
STATES = ("given", "withdrawn", "none")
PARTS = ("state", "method", "source", "date", "wording")
DEEDS = ("sent", "delivered", "read", "replied", "clicked", "failed")
KINDS = ("text", "choice", "number", "date", "yes_no", "moment")
FIELDS: Mapping[str, str] = {
    "name": "text",
    "first_name": "text",
    "last_name": "text",
    "email": "text",
    "phone": "text",
    "language": "choice",
    "country": "choice",
    "timezone": "choice",
    "added_on": "moment",
}
"""What every contact may have, and of which kind it is; own fields are `attributes.<key>`."""
TEXT_TESTS = ("is", "is_not", "one_of", "contains", "contains_not", "starts")
NUMBER_TESTS = ("is", "is_not", "lt", "le", "gt", "ge", "between")
DAY_TESTS = ("on", "before", "after", "between", "last_days", "next_days")
TESTS: Mapping[str, tuple[str, ...]] = {
    "text": (*TEXT_TESTS, "empty", "filled"),
    "choice": ("is", "is_not", "one_of", "empty", "filled"),
    "number": (*NUMBER_TESTS, "empty", "filled"),
    "date": (*DAY_TESTS, "anniversary", "empty", "filled"),
    "yes_no": ("yes", "no", "empty", "filled"),
    "moment": (*DAY_TESTS, "anniversary"),
}
"""Which tests a field of a kind knows."""


@dataclass(frozen=True, slots=True)
class Everyone:
    """Everybody."""


@dataclass(frozen=True, slots=True)
class Group:
    """Several rules: all of them, any of them, or none of them."""

    kind: Literal["and", "or", "none"]
    of: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Days:
    """A test of a day: `on`, `before`, `after`, `between` two, or so many from today."""

    test: str
    first: dt.date | None = None
    last: dt.date | None = None
    days: int = 0


@dataclass(frozen=True, slots=True)
class Texts:
    """A test of a text, in small letters; several only for `one_of`."""

    test: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbers:
    """A test of a number; two only for `between`."""

    test: str
    values: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """What a person has in a field; a test without values is `empty`, `filled`, `yes`, `no`."""

    field: str
    kind: str
    test: Texts | Numbers | Days


@dataclass(frozen=True, slots=True)
class Tagged:
    """Has a tag."""

    tag_id: UUID


@dataclass(frozen=True, slots=True)
class Listed:
    """Is on a list."""

    list_id: UUID


@dataclass(frozen=True, slots=True)
class Imported:
    """Came with an import."""

    import_id: UUID


@dataclass(frozen=True, slots=True)
class Consented:
    """What the newest consent event for a purpose says: its state, or one part of it."""

    purpose: str
    part: str
    state: str = ""
    method: str = ""
    wording_id: UUID | None = None
    source: Texts | None = None
    date: Days | None = None


@dataclass(frozen=True, slots=True)
class Behaved:
    """What became of the messages of a campaign, or of any.

    Attributes:
        deed: one of `DEEDS`.
        campaign_id: of this send order only.
        days: only messages sent in so many days; 0 for all.
        times: at least so many messages.
        reason: why they failed; empty for any.
        code: the provider's code they failed with; empty for any.
    """

    deed: str
    campaign_id: UUID | None = None
    days: int = 0
    times: int = 1
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Wrote:
    """Wrote to us: ever (`test` is None), or the last time on some day."""

    last: Days | None = None


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Must not be written to."""


@dataclass(frozen=True, slots=True)
class Share:
    """Falls into a share drawn by a seed: the same people for the same seed, always."""

    hundredths: int
    seed: str


@dataclass(frozen=True, slots=True)
class InSegment:
    """Is in another segment, as it is now."""

    segment_id: UUID


@dataclass(frozen=True, slots=True)
class InSnapshot:
    """Was in a segment when it was frozen."""

    snapshot_id: UUID


@dataclass(frozen=True, slots=True)
class Outcome:
    """The message of one send order failed for one reason, outside the United States."""

    campaign_id: UUID
    reason: str


Node = (
    Everyone
    | Group
    | Field
    | Tagged
    | Listed
    | Imported
    | Consented
    | Behaved
    | Wrote
    | Suppressed
    | Share
    | InSegment
    | InSnapshot
    | Outcome
)

TITLES: Mapping[str, Lazy] = {
    "all": lazy("Everybody"),
    "field": lazy("Field"),
    "tag": lazy("Tag"),
    "list": lazy("List"),
    "import": lazy("Import"),
    "consent": lazy("Consent"),
    "campaign": lazy("Campaign"),
    "inbound": lazy("Wrote to us"),
    "suppressed": lazy("Said STOP"),
    "share": lazy("Random share"),
    "holdout": lazy("Holdout"),
    "segment": lazy("Segment"),
    "snapshot": lazy("Snapshot"),
    "outcome": lazy("Outcome"),
    "and": lazy("Group"),
    "or": lazy("Group"),
    "none": lazy("Group"),
    "not": lazy("Group"),
}


def everyone() -> Rule:
    """Choose every contact."""
    return {"op": "all"}


def nobody() -> Rule:
    """Choose no contact."""
    return {"op": "or", "of": []}


def by_tags(include: Iterable[UUID | str] = (), exclude: Iterable[UUID | str] = ()) -> Rule:
    """Choose who has one of some tags (everybody when none is named) and none of others."""
    wanted = [{"op": "tag", "tag": str(tag)} for tag in include]
    refused = [{"op": "tag", "tag": str(tag)} for tag in exclude]
    parts: list[Rule] = [{"op": "or", "of": wanted}] if wanted else []
    parts += [{"op": "not", "of": [one]} for one in refused]
    return {"op": "and", "of": parts} if parts else everyone()


def tags_in(rule: Rule) -> tuple[list[UUID], list[UUID]]:
    """Read the included and excluded tags back from what `by_tags` wrote."""
    include: list[UUID] = []
    exclude: list[UUID] = []
    for part in rule.get("of", ()):
        into = exclude if part.get("op") == "not" else include
        into += [
            UUID(leaf["tag"]) for leaf in part.get("of", ()) if leaf.get("op") == "tag"
        ]
    return include, exclude


def parse(rule: Any) -> Node:
    """Read a rule from JSON.

    Raises:
        Invalid: `segment_invalid`; the sentence names the rule by its place (2.1 is the
            first in the second group) and what is wrong with it, `field` is its place as
            the builder counts (`1.0`).
    """
    return _node(rule, [], [LARGEST])


def references(rule: Any) -> tuple[set[UUID], set[UUID]]:
    """Name the segments and the snapshots a rule speaks of."""
    segments: set[UUID] = set()
    snapshots: set[UUID] = set()
    waiting = [parse(rule)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Group):
            waiting += node.of
        elif isinstance(node, InSegment):
            segments.add(node.segment_id)
        elif isinstance(node, InSnapshot):
            snapshots.add(node.snapshot_id)
    return segments, snapshots


# --- groups


class _Wrong(Exception):
    """What is wrong with one rule, before its place is known."""


def _node(rule: Any, path: list[int], left: list[int]) -> Node:
    left[0] -= 1
    if left[0] < 0:
        said = _("A segment may have %(max)s rules.", max=LARGEST)
        raise Invalid("segment_invalid", said)
    if len(path) > DEEPEST:
        said = _("Groups may be nested %(max)s deep.", max=DEEPEST)
        raise Invalid("segment_invalid", said)
    op = rule.get("op") if isinstance(rule, Mapping) else None
    if not isinstance(op, str) or op not in TITLES:
        raise _strange(path)
    if op in ("and", "or", "none", "not"):
        return _group(op, rule.get("of", []), path, left)
    try:
        leaf = _LEAVES[op](rule)
        turned = _flag(rule.get("not", False))
    except _Wrong as wrong:
        raise _invalid(op, path, str(wrong)) from None
    return Group("none", (leaf,)) if turned else leaf


def _group(op: str, parts: Any, path: list[int], left: list[int]) -> Group:
    if not isinstance(parts, list | tuple):
        raise _strange(path)
    inner = tuple(_node(part, [*path, at], left) for at, part in enumerate(parts))
    if op == "not":
        if len(inner) != 1:
            raise _strange(path)
        return Group("none", inner)
    return Group("and" if op == "and" else "or" if op == "or" else "none", inner)


def _strange(path: list[int]) -> Invalid:
    said = _("This choice of people cannot be read.")
    return Invalid("segment_invalid", said, field=_place(path))


def _invalid(op: str, path: list[int], why: str) -> Invalid:
    if not path:
        said = f"{TITLES[op]}: {why}"
    else:
        at = ".".join(str(step + 1) for step in path)
        said = _("Rule %(at)s, %(what)s: %(why)s", at=at, what=str(TITLES[op]), why=why)
    return Invalid("segment_invalid", said, field=_place(path))


def _place(path: list[int]) -> str:
    return ".".join(map(str, path))


# --- leaves


def _everyone(_rule: Rule) -> Node:
    return Everyone()


def _field(rule: Rule) -> Node:
    name = rule.get("field")
    if not isinstance(name, str):
        raise _Wrong(_("Choose a field."))
    if name in FIELDS:
        kind = FIELDS[name]
    elif name.startswith(ATTRIBUTE) and len(name) <= len(ATTRIBUTE) + LONGEST_KEY:
        _text(name.removeprefix(ATTRIBUTE))
        kind = _of(rule.get("kind", "text"), KINDS[:-1], _("Choose a field."))
    else:
        raise _Wrong(_("There is no such field."))
    test = _of(rule.get("test"), TESTS[kind], _("Choose how to compare."))
    if test in ("empty", "filled", "yes", "no"):
        return Field(name, kind, Texts(test))
    if kind in ("text", "choice"):
        return Field(name, kind, _texts(test, rule.get("value")))
    if kind == "number":
        return Field(name, kind, _numbers(test, rule))
    return Field(name, kind, _days(test, rule))


def _tagged(rule: Rule) -> Node:
    return Tagged(_uuid(rule.get("tag"), _("Choose a tag.")))


def _listed(rule: Rule) -> Node:
    return Listed(_uuid(rule.get("list"), _("Choose a list.")))


def _imported(rule: Rule) -> Node:
    return Imported(_uuid(rule.get("import"), _("Choose an import.")))


def _consented(rule: Rule) -> Node:
    purpose = _of(rule.get("purpose", "marketing"), PURPOSES, _("Choose a purpose."))
    part = _of(rule.get("part", "state"), PARTS, _("Choose what about the consent."))
    if part == "state":
        state = _of(rule.get("value"), STATES, _("Choose a state."))
        return Consented(purpose, part, state=state)
    if part == "method":
        given = _text(rule.get("value"), _("Choose how they agreed."), longest=16)
        return Consented(purpose, part, method=given)
    if part == "wording":
        given_id = _uuid(rule.get("value"), _("Choose a wording."))
        return Consented(purpose, part, wording_id=given_id)
    if part == "source":
        tests = ("is", "contains", "starts")
        test = _of(rule.get("test", "contains"), tests, _("Choose how to compare."))
        return Consented(purpose, part, source=_texts(test, rule.get("value")))
    test = _of(rule.get("test"), DAY_TESTS[:5], _("Choose how to compare."))
    return Consented(purpose, part, date=_days(test, rule))


def _behaved(rule: Rule) -> Node:
    deed = _of(rule.get("did"), DEEDS, _("Choose what they did."))
    campaign = rule.get("campaign") or None
    failed = deed == "failed"
    return Behaved(
        deed,
        _uuid(campaign, _("Choose a campaign.")) if campaign is not None else None,
        days=_whole(rule.get("days") or 0, 0, MOST_DAYS, _("Say how many days.")),
        times=_whole(rule.get("times") or 1, 1, MOST_TIMES, _("Say how often.")),
        reason=_text(rule.get("reason") or "", longest=60, empty=True) if failed else "",
        code=_text(rule.get("code") or "", longest=20, empty=True) if failed else "",
    )


def _wrote(rule: Rule) -> Node:
    tests = ("ever", *DAY_TESTS[:5])
    test = _of(rule.get("test", "ever"), tests, _("Choose when."))
    return Wrote() if test == "ever" else Wrote(_days(test, rule))


def _suppressed(_rule: Rule) -> Node:
    return Suppressed()


def _share(rule: Rule) -> Node:
    seed = _text(rule.get("seed"), _("The draw has no name."), longest=60)
    return Share(_percent(rule.get("percent")), f"share:{seed}")


def _holdout(rule: Rule) -> Node:
    name = _text(rule.get("name"), _("Give the holdout a name."), longest=60)
    return Share(_percent(rule.get("percent")), f"holdout:{' '.join(name.split())}")


def _in_segment(rule: Rule) -> Node:
    return InSegment(_uuid(rule.get("segment"), _("Choose a segment.")))


def _in_snapshot(rule: Rule) -> Node:
    return InSnapshot(_uuid(rule.get("snapshot"), _("Choose a snapshot.")))


def _outcome(rule: Rule) -> Node:
    campaign = _uuid(rule.get("campaign"), _("Choose a campaign."))
    reason = str(_text(rule.get("reason"), _("Choose a reason."), longest=60))
    return Outcome(campaign, reason)


_LEAVES: Mapping[str, Callable[[Rule], Node]] = {
    "all": _everyone,
    "field": _field,
    "tag": _tagged,
    "list": _listed,
    "import": _imported,
    "consent": _consented,
    "campaign": _behaved,
    "inbound": _wrote,
    "suppressed": _suppressed,
    "share": _share,
    "holdout": _holdout,
    "segment": _in_segment,
    "snapshot": _in_snapshot,
    "outcome": _outcome,
}


# --- values


def _of(given: Any, known: tuple[str, ...], why: str) -> str:
    if not isinstance(given, str) or given not in known:
        raise _Wrong(why)
    return given


def _flag(given: Any) -> bool:
    if not isinstance(given, bool):
        raise _Wrong(_("It is turned around, or it is not."))
    return given


def _uuid(given: Any, why: str) -> UUID:
    if not isinstance(given, str | UUID):
        raise _Wrong(why)
    try:
        return UUID(str(given))
    except ValueError:
        raise _Wrong(why) from None


def _text(
    given: Any, why: str = "", *, longest: int = LONGEST_TEXT, empty: bool = False
) -> str:
    if not isinstance(given, str) or not (empty or given.strip()):
        raise _Wrong(why or _("Write what to look for."))
    if len(given) > longest:
        raise _Wrong(_("At most %(max)s letters.", max=longest))
    if "\0" in given or (not given.isascii() and _odd(given)):
        raise _Wrong(_("It holds letters nobody can write."))
    return given.strip()


def _odd(given: str) -> bool:
    """Find halves of letters, which no database stores."""
    return any("\ud800" <= letter <= "\udfff" for letter in given)


def _texts(test: str, given: Any) -> Texts:
    if test != "one_of":
        return Texts(test, (_text(given),))
    several = given.split(",") if isinstance(given, str) else given
    if not isinstance(several, list | tuple) or len(several) > MOST_VALUES:
        raise _Wrong(_("At most %(max)s values, with commas between.", max=MOST_VALUES))
    values = tuple(_text(one) for one in several if not isinstance(one, str) or one.strip())
    if not values:
        raise _Wrong(_("Write what to look for."))
    return Texts(test, values)


def _numbers(test: str, rule: Rule) -> Numbers:
    values = [_number(rule.get("value"))]
    if test == "between":
        values.append(_number(rule.get("to")))
    return Numbers(test, tuple(sorted(values)))


def _number(given: Any) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _Wrong(_("Write a number."))
    if (isinstance(given, float) and not math.isfinite(given)) or abs(given) > GREATEST:
        raise _Wrong(_("Write a smaller number."))
    return Decimal(str(given))


def _days(test: str, rule: Rule) -> Days:
    if test in ("last_days", "next_days"):
        return Days(
            test, days=_whole(rule.get("days"), 1, MOST_DAYS, _("Say how many days."))
        )
    if test == "anniversary":
        return Days(test, days=_whole(rule.get("days", 0), 0, 366, _("Say how many days.")))
    first = _date(rule.get("value"))
    if test != "between":
        return Days(test, first)
    last = _date(rule.get("to"))
    return Days(test, min(first, last), max(first, last))


def _date(given: Any) -> dt.date:
    try:
        if not isinstance(given, str) or len(given) != len("2027-01-31"):
            raise ValueError
        day = dt.date.fromisoformat(given)
    except ValueError:
        raise _Wrong(_("Choose a day.")) from None
    if not 1000 <= day.year <= 9000:
        raise _Wrong(_("Choose a day."))
    return day


def _whole(given: Any, least: int, most: int, why: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise _Wrong(why)
    if not least <= given <= most:
        raise _Wrong(_("From %(least)s to %(most)s.", least=least, most=most))
    return given


def _percent(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _Wrong(_("Say how many percent."))
    hundredths = round(given * 100) if 0 < given <= 100 else 0
    if not hundredths:
        raise _Wrong(_("More than 0 and at most 100 percent."))
    return hundredths
