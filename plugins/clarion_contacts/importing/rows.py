"""A verdict for every row: a person who can be written to, or a reason in plain words.

What the database knows (new, changed, opted out) is decided later, in SQL.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Literal

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.messaging.address import BadPhone, normalise, parse_phone
from clarion_contacts.importing import ours
from clarion_contacts.importing.columns import Matching
from clarion_contacts.importing.kinds import NO, YES, Typing, Value, date_of, value_of
from clarion_contacts.importing.places import language_named, region_named, zone_named

State = Literal["ok", "invalid", "duplicate_in_file"]
MAX_NAME = 200
MAX_VALUE = 1000
MAX_TAGS = 200


@dataclass(slots=True)
class RowVerdict:
    """What became of one row.

    Attributes:
        line: the row's number as a spreadsheet shows it.
        state: ok, invalid, or duplicate_in_file (the first one counts).
        reason: stable code; empty when ok. `phone_…` codes are those of `parse_phone`.
        sentence: the reason in words, naming row and column.
        phone: E.164, in the one spelling of its person; empty when there is none.
        consent: what the consent column says; empty when it says nothing.
        consent_on: its date.
        notes: (code, sentence) of what was left out of a row that is ok.
        raw: the cells as they came.
    """

    line: int
    state: State
    reason: str = ""
    sentence: str = ""
    phone: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    email: str = ""
    attributes: dict[str, Value] = field(default_factory=dict)
    language: str = ""
    country: str = ""
    timezone: str = ""
    consent: Literal["yes", "no", ""] = ""
    consent_on: dt.date | None = None
    notes: tuple[tuple[str, str], ...] = ()
    raw: list[str] = field(default_factory=list)


def judge(
    rows: Iterable[tuple[int, list[str]]],
    mapping: Matching,
    region: str | None,
    seen: MutableMapping[str, int],
) -> Iterator[RowVerdict]:
    """Judge rows in their order, one verdict each, lazily.

    `region` is the country of numbers without a country code. `seen` remembers phone →
    row; hand the same one in for every page of a file.
    """
    reader = _Reader(mapping, region)
    for line, cells in rows:
        verdict = reader.read(line, cells)
        if verdict.state == "ok":
            first = seen.setdefault(verdict.phone, line)
            if first != line:
                verdict.state = "duplicate_in_file"
                verdict.reason = "phone_duplicate"
                verdict.sentence = _(
                    "Row %(row)s, column “%(column)s”: the same person as in row "
                    "%(first)s.",
                    row=line,
                    column=reader.phone_name,
                    first=first,
                )
        yield verdict


def key_of(tag: str) -> str:
    """Fold a tag's name so that capitals and spaces make no second tag."""
    return " ".join(tag.split()).casefold()[:80]


class _Reader:
    """Columns by field, looked up once, not for every row."""

    def __init__(self, mapping: Matching, region: str | None) -> None:
        places = {one: at for at, one in mapping.fields.items()}
        self.mapping = mapping
        self.region = region
        self.width = len(mapping.names)
        self.phone = places["phone"]
        self.phone_name = mapping.names[self.phone]
        self.name = places.get("name")
        self.parts = [
            (at, one)
            for one in ("first_name", "last_name")
            if (at := places.get(one)) is not None
        ]
        self.email = places.get("email")
        self.language = places.get("language")
        self.country = places.get("country")
        self.timezone = places.get("timezone")
        self.consent = places.get("consent")
        self.tags = [at for at, one in mapping.fields.items() if one == "tags"]
        self.lists = [at for at, one in mapping.fields.items() if one == "lists"]
        self.keys = [(at, key, mapping.typings.get(at)) for at, key in mapping.keys.items()]

    def read(self, line: int, cells: list[str]) -> RowVerdict:
        verdict = RowVerdict(line, "ok", raw=cells)
        if self.mapping.ours:
            cells = [*map(ours.plain, cells)]
        if damage := self._damage(line, cells):
            verdict.state, verdict.reason, verdict.sentence = "invalid", *damage
            return verdict
        self._extras(verdict, cells)
        try:
            verdict.phone = parse_phone(
                cells[self.phone], verdict.country or self.region
            ).e164
        except BadPhone as refused:
            verdict.state, verdict.reason = "invalid", refused.code
            verdict.sentence = self._at(line, self.phone, refused.text)
        return verdict

    def _damage(self, line: int, cells: list[str]) -> tuple[str, str] | None:
        """What makes the whole row unbelievable, whatever its cells say."""
        if len(cells) > self.width and any(cells[self.width :]):
            return "row_too_long", _(
                "Row %(row)s has %(cells)s cells, but there are %(columns)s columns: a "
                "separator too many, or quotation marks are missing.",
                row=line,
                cells=len(cells),
                columns=self.width,
            )
        text = "".join(cells)
        if text.isprintable():
            return None
        if self.mapping.mixed and any("\udc80" <= sign <= "\udcff" for sign in text):
            place = next(at for at, cell in enumerate(cells) if _has_stray_bytes(cell))
            return "row_encoding", self._at(
                line, place, _("the letters are in another encoding than the file's.")
            )
        if "\n" in text and self._swallowed(cells):
            return "row_open_quote", _(
                "Row %(row)s runs over several lines: a quotation mark is opened and "
                "closed too late.",
                row=line,
            )
        return None

    def _swallowed(self, cells: list[str]) -> bool:
        """Whether a cell holds what looks like further rows of this file."""
        signs = self.width - 1
        return signs > 0 and any(
            inner.count(self.mapping.delimiter) >= signs
            for cell in cells
            if "\n" in cell
            for inner in cell.splitlines()[1:]
        )

    def _extras(self, verdict: RowVerdict, cells: list[str]) -> None:
        """Everything but the phone; what cannot be read is left out and noted."""
        self._names(verdict, cells)
        if self.email is not None and (cell := cells[self.email].strip()):
            try:
                verdict.email = normalise("email", cell)
            except Invalid as refused:
                self._note(verdict, self.email, refused.code, refused.text)
        if self.country is not None and (cell := cells[self.country].strip()):
            self._country(verdict, self.country, cell)
        if self.timezone is not None and (cell := cells[self.timezone].strip()):
            self._zone(verdict, self.timezone, cell)
        if self.language is not None and (cell := cells[self.language].strip()):
            said = clean(cell, 20)
            verdict.language = said if self.mapping.ours else language_named(cell)
        if self.tags:
            verdict.tags = _names(cells[at] for at in self.tags)
        if self.lists:
            verdict.lists = _names((cells[at] for at in self.lists), 80)
        if self.consent is not None and (cell := cells[self.consent].strip()):
            self._consent(verdict, self.consent, cell)
        for at, key, typing in self.keys:
            if cell := clean(cells[at], MAX_VALUE):
                if typing is None:
                    verdict.attributes[key] = cell
                else:
                    self._value(verdict, at, key, typing, cell)

    def _value(
        self, verdict: RowVerdict, at: int, key: str, typing: Typing, cell: str
    ) -> None:
        try:
            verdict.attributes[key] = value_of(
                typing, cell, day_first=self.mapping.day_first
            )
        except Invalid as refused:
            self._note(verdict, at, refused.code, refused.text)

    def _names(self, verdict: RowVerdict, cells: list[str]) -> None:
        if self.name is not None:
            verdict.name = clean(cells[self.name], MAX_NAME)
        for at, key in self.parts:
            if cell := clean(cells[at], MAX_NAME):
                verdict.attributes[key] = cell
        if not verdict.name and self.parts:
            given = (verdict.attributes.get(one, "") for _at, one in self.parts)
            verdict.name = " ".join(str(one) for one in given if one)[:MAX_NAME]

    def _country(self, verdict: RowVerdict, place: int, cell: str) -> None:
        verdict.country = region_named(cell)
        if not verdict.country:
            self._note(
                verdict,
                place,
                "country_unknown",
                _("“%(text)s” is no country we know.", text=cell[:40]),
            )

    def _zone(self, verdict: RowVerdict, place: int, cell: str) -> None:
        verdict.timezone = zone_named(cell)
        if not verdict.timezone:
            self._note(
                verdict,
                place,
                "timezone_unknown",
                _(
                    "“%(text)s” is no time zone we know; write it like America/Sao_Paulo.",
                    text=cell[:40],
                ),
            )

    def _consent(self, verdict: RowVerdict, place: int, cell: str) -> None:
        said = cell.casefold()
        if said in NO:
            verdict.consent = "no"
        elif said in YES:
            verdict.consent = "yes"
        elif on := date_of(cell, day_first=self.mapping.day_first):
            verdict.consent, verdict.consent_on = "yes", on
        else:
            self._note(
                verdict,
                place,
                "consent_unreadable",
                _("“%(text)s” is neither yes, no nor a date.", text=cell[:40]),
            )

    def _note(self, verdict: RowVerdict, place: int, code: str, text: str) -> None:
        verdict.notes += ((code, self._at(verdict.line, place, text)),)

    def _at(self, line: int, place: int, text: str) -> str:
        return _(
            "Row %(row)s, column “%(column)s”: %(text)s",
            row=line,
            column=self.mapping.names[place],
            text=text,
        )


def clean(cell: str, limit: int) -> str:
    """One line of visible text; joiners that some scripts need stay."""
    if not cell.isascii():
        cell = unicodedata.normalize("NFC", cell)
    if cell.isprintable() and "  " not in cell:
        return cell.strip()[:limit].rstrip()
    kept = "".join(
        sign if sign.isprintable() or sign in "\u200c\u200d" else " "
        for sign in cell
        if sign not in _DIRECTIONS
    )
    return " ".join(kept.split())[:limit].rstrip()


_DIRECTIONS = frozenset(
    "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
_BETWEEN_TAGS = re.compile(r"[,;|\n]")


def _names(cells: Iterable[str], longest: int = 60) -> tuple[str, ...]:
    """Read the names of tags or lists that cells hold, each once."""
    found: dict[str, str] = {}
    for cell in cells:
        for part in _BETWEEN_TAGS.split(cell) if cell else ():
            if name := clean(part, longest):
                found.setdefault(name.casefold(), name)
    return tuple(found.values())[:MAX_TAGS]


def _has_stray_bytes(cell: str) -> bool:
    return any("\udc80" <= sign <= "\udcff" for sign in cell)
