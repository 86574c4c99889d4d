"""Rules that choose people, and the one compiler that makes SQL conditions of them.

`rules` reads and checks a tree, `compiling` writes it as an expression over `Contact`.
"""

from clarion_contacts.segments.compiling import MOST_SEGMENTS, condition
from clarion_contacts.segments.filling import ATTRIBUTE, PLAIN, Filling, value_of
from clarion_contacts.segments.picking import Pick, by_pick, pick_in
from clarion_contacts.segments.rules import (
    Rule,
    by_tags,
    everyone,
    nobody,
    parse,
    references,
    tags_in,
)

__all__ = [
    "ATTRIBUTE",
    "MOST_SEGMENTS",
    "PLAIN",
    "Filling",
    "Pick",
    "Rule",
    "by_pick",
    "by_tags",
    "condition",
    "everyone",
    "nobody",
    "parse",
    "pick_in",
    "references",
    "tags_in",
    "value_of",
]
