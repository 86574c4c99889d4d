"""The audience of a campaign as a form offers it: where to begin, whom to take, whom not."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from clarion_contacts.segments.rules import Rule, everyone

KINDS = ("tag", "list")
BASES = ("segment", "snapshot")


@dataclass(frozen=True, slots=True)
class Pick:
    """What somebody ticked; each of these is `tag:<id>`, `list:<id>` and so on.

    Attributes:
        base: the segment or snapshot that everybody must be in; empty: all contacts.
        include: tags and lists; who has one of them is taken, everybody without any.
        exclude: tags and lists; nobody with one of them is taken.
    """

    base: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def by_pick(pick: Pick) -> Rule:
    """Write the rule that a pick means. Names of no known kind are left out."""
    base = _leaf(pick.base, BASES)
    wanted = [leaf for one in pick.include if (leaf := _leaf(one, KINDS))]
    refused = [leaf for one in pick.exclude if (leaf := _leaf(one, KINDS))]
    parts: list[Rule] = [base] if base else []
    parts += [{"op": "or", "of": wanted}] if wanted else []
    parts += [{"op": "not", "of": [one]} for one in refused]
    return {"op": "and", "of": parts} if parts else everyone()


def pick_in(rule: Rule) -> Pick | None:
    """Read a pick back from what `by_pick` wrote; None for rules that are none."""
    if rule.get("op") == "all":
        return Pick()
    if rule.get("op") != "and":
        return None
    base, include, exclude = "", list[str](), list[str]()
    for part in rule.get("of", ()):
        if part.get("op") in BASES and not base:
            base = _name(part)
        elif part.get("op") in ("or", "not"):
            into = include if part["op"] == "or" else exclude
            into += [_name(leaf) for leaf in part.get("of", ()) if leaf.get("op") in KINDS]
        else:
            return None
    found = Pick(base, tuple(include), tuple(exclude))
    return found if by_pick(found) == rule else None


def _leaf(name: str, kinds: tuple[str, ...]) -> dict[str, Any] | None:
    kind, _colon, one = name.partition(":")
    try:
        return {"op": kind, kind: str(UUID(one))} if kind in kinds else None
    except ValueError:
        return None


def _name(leaf: Rule) -> str:
    return f"{leaf['op']}:{leaf.get(leaf['op'], '')}"
