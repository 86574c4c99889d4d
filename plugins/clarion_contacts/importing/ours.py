"""Our own files: what an export writes and an import reads back. Pure.

The last column is `clarion_id`; by it an import knows the file for ours. A heading of an
own field tells its key and kind: `Birthday [birthday: date]`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clarion_contacts.importing.kinds import KINDS

PLAIN = (
    "phone", "name", "first_name", "last_name", "email", "language", "country",
    "timezone", "tags", "lists", "consent",
)  # fmt: skip
IDS = ("wa_id", "bsuid", "parent_bsuid")
"""By what WhatsApp knows somebody; columns of files with people who have one."""

MARK = "clarion_id"
PARTED = ", "
E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_RISKY = re.compile(r"'*[=+\-@\t\r\0]")
_HEADING = re.compile(
    r"(?P<title>.*) \[(?P<key>(?:[^\]\\:]|\\.)+): (?P<kind>\w+)(?: (?P<choices>.*))?\]",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Own:
    """A field of the account's own, as a heading told it."""

    key: str
    title: str
    kind: str
    choices: tuple[str, ...] = ()


def cell(value: str, phone: bool) -> str:
    """Keep a spreadsheet from taking a cell for a formula; a number of E.164 is none."""
    return value if phone and E164.fullmatch(value) else harmless(value)


def harmless(value: str) -> str:
    """Put a mark before what a spreadsheet could run, and before what looks so marked.

    `plain` takes exactly one mark away again, so that nothing is lost or added.
    """
    return f"'{value}" if _RISKY.match(value) else value


def plain(value: str) -> str:
    """Take our mark away, in a file that is ours."""
    return value[1:] if value.startswith("'") and _RISKY.match(value) else value


def is_ours(headings: Sequence[str]) -> bool:
    """Say whether a file was written by an export."""
    return bool(headings) and MARK in headings


def heading(field: Own) -> str:
    """Write the heading of an own field: it tells title, key, kind and choices."""
    told = "|".join(map(_escaped, field.choices))
    return f"{field.title} [{_escaped(field.key)}: {field.kind}{' ' if told else ''}{told}]"


def own(said: str) -> Own | None:
    """Read what `heading` wrote; None when it is no such heading."""
    found = _HEADING.fullmatch(plain(said))
    if found is None or found["kind"] not in KINDS:
        return None
    choices = _parted(found["choices"] or "")
    if (found["kind"] == "choice") != bool(choices):
        return None
    return Own(_unescaped(found["key"]), found["title"], found["kind"], choices)


def _escaped(said: str) -> str:
    return re.sub(r"([\\\]:|])", r"\\\1", said)


def _unescaped(said: str) -> str:
    return re.sub(r"\\(.)", r"\1", said)


def _parted(said: str) -> tuple[str, ...]:
    parts = re.findall(r"(?:[^\\|]|\\.)+", said, re.DOTALL)
    return tuple(map(_unescaped, parts))
