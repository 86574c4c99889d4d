"""What each column means: guessed from its header and its cells, corrected by a person."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.messaging import address
from clarion_contacts.importing import ours
from clarion_contacts.importing.headers import (
    Field,
    is_sensitive,
    looks_like_date,
    looks_like_email,
    looks_like_phone,
    meaning,
    plain,
)
from clarion_contacts.importing.kinds import Kind, Typing, decimal_of
from clarion_contacts.importing.places import language_named, region_named, zone_named
from clarion_contacts.importing.tables import Column, Table

State = Literal["sure", "check", "none", "clash"]


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """What we think a column is.

    Attributes:
        column: index from 0.
        field: None when it is left out.
        confidence: 0-100.
        state: sure, check (please look), none (left out), clash (used twice).
        help: one sentence, why; may be empty.
    """

    column: int
    field: Field | None
    confidence: int
    state: State
    help: str = ""


def guess_mapping(table: Table) -> list[ColumnGuess]:
    """Guess the meaning of every column, in order."""
    guesses = [_guess(table, column) for column in table.columns]
    guesses = _split_names(guesses)
    return [_settle(guess, guesses) for guess in guesses]


def guess_region(
    table: Table, column: int | None = None, default: str | None = None
) -> str | None:
    """The country most numbers are from, judged by those with a country code.

    `column` is the one with the phones, else every column is looked at. `default` is
    the account's own country; it stays unless the numbers speak clearly for another.
    """
    found: Counter[str] = Counter()
    for cell in _cells(table, column):
        if not looks_like_phone(cell):
            continue
        try:
            international = cell.strip(" '\"(=").startswith(("+", "00"))
            found[address.parse_phone(cell, None if international else default).region] += 1
        except address.BadPhone:
            found[_forgotten_plus_region(cell)] += 1
    del found[""]
    if not found:
        return default
    region, times = found.most_common(1)[0]
    return region if times * 2 >= sum(found.values()) or not default else default


@dataclass(frozen=True, slots=True)
class Matching:
    """The columns a person has confirmed, ready for `judge`.

    Attributes:
        fields: column index → field.
        names: column index → name on screen, for every column.
        keys: column index → attribute key of the custom columns.
        typings: column index → how cells become values, of custom columns that are no text.
        day_first: whether 03/04/2025 is the third of April.
        delimiter, mixed: of the table, to recognise damage.
        ours: whether an export wrote it, with a mark before what a spreadsheet could run.
    """

    fields: Mapping[int, Field]
    names: tuple[str, ...]
    keys: Mapping[int, str]
    typings: Mapping[int, Typing]
    day_first: bool
    delimiter: str
    mixed: bool
    ours: bool = False

    @classmethod
    def of(
        cls,
        table: Table,
        fields: Mapping[int, str | None],
        *,
        region: str | None = None,
        day_first: bool | None = None,
        kinds: Mapping[int, tuple[Kind, Sequence[str]]] | None = None,
    ) -> Self:
        """Check a choice of fields. Raises `Invalid` (codes `mapping_…`).

        A custom column is `custom`, or `custom:<key>` for a key of one's own; `kinds` says
        what it holds and which choices there are, where it is not text.
        """
        chosen: dict[int, Field] = {}
        keys: dict[int, str] = {}
        for place, said in sorted(fields.items()):
            if not said:
                continue
            name, _colon, key = said.partition(":")
            field = next((one for one in get_args(Field) if one == name), None)
            if field is None or not 0 <= place < len(table.columns):
                raise Invalid(
                    "mapping_unknown",
                    _("“%(name)s” is no field a column can be matched to.", name=said),
                )
            if field == "custom":
                keys[place] = _key(key or table.columns[place].name, place, keys)
            chosen[place] = field
        _refuse_clashes(table, chosen)
        typings = {
            place: Typing(kind, tuple(choices), _decimal(table, place))
            for place, (kind, choices) in (kinds or {}).items()
            if place in keys and kind != "text"
        }
        if day_first is None:
            day_first = _day_first(table, chosen, typings, region)
        return cls(
            fields=chosen,
            names=tuple(column.name for column in table.columns),
            keys=keys,
            typings=typings,
            day_first=day_first,
            delimiter=table.shape.delimiter or _NEVER,
            mixed=table.shape.mixed,
            ours=_is_ours(table) and table.shape.format == "csv",
        )

    @classmethod
    def guessed(cls, table: Table, *, region: str | None = None) -> Self:
        """Take every guess as it is."""
        fields = {guess.column: guess.field for guess in guess_mapping(table)}
        return cls.of(table, fields, region=region)


# --- guesses


def _guess(table: Table, column: Column) -> ColumnGuess:
    if not column.filled:
        return _left_out(column, _("This column is empty."))
    if not table.header:
        seen, shown = _by_content(table, column)
        return _checked(column, seen, shown) if seen else _left_out(column)
    if ours.own(column.name):
        return ColumnGuess(column.index, "custom", 99, "sure")
    if column.name == ours.MARK:
        return _left_out(column, _("Who they were in the account they came from."))
    if is_sensitive(column.name):
        return _left_out(column, _("Messages do not need this, and it is sensitive."))
    said, told = meaning(column.name)
    return _by_header(table, column, said, told) if said else _without_name(table, column)


def _left_out(column: Column, why: str = "") -> ColumnGuess:
    return ColumnGuess(column.index, None, 0, "none", why)


def _by_header(table: Table, column: Column, said: Field, told: int) -> ColumnGuess:
    """The header says it; the cells may confirm or doubt it."""
    seen, shown = _by_content(table, column)
    if said == "phone" and not shown:
        shown = _share(table, column, looks_like_phone)
        seen = "phone"
    if said == seen and shown > 50:
        return _checked(column, said, min(99, told + 2))
    if said in {"phone", "email"}:
        return ColumnGuess(
            column.index,
            said,
            40,
            "check",
            _("The header says so, but few cells look like it."),
        )
    return _checked(column, said, told)


def _without_name(table: Table, column: Column) -> ColumnGuess:
    """The header is unknown to us: take what the cells say, else keep it as it is."""
    seen, shown = _by_content(table, column)
    if seen in {"phone", "email"}:
        return _checked(column, seen, shown)
    return ColumnGuess(
        column.index,
        "custom",
        60,
        "check",
        _("Kept as a field of your own: “%(name)s”.", name=column.name),
    )


def _checked(column: Column, field: Field, confidence: int) -> ColumnGuess:
    if confidence >= 85:
        return ColumnGuess(column.index, field, confidence, "sure")
    return ColumnGuess(
        column.index, field, confidence, "check", _("Please look at the samples.")
    )


def _by_content(table: Table, column: Column) -> tuple[Field | None, int]:
    """The field the cells look like, and how many of them, 0-100."""
    kinds: tuple[tuple[Field, object], ...] = (
        ("email", looks_like_email),
        ("phone", looks_like_phone),
        ("consent", looks_like_date),
        ("timezone", _is_zone),
        ("language", _is_language),
        ("country", _is_country),
        ("name", _is_name),
    )
    for field, test in kinds:
        share = _share(table, column, test)
        if share >= (80 if field not in {"phone", "email"} else 50):
            return field, min(share, _CEILING.get(field, 95))
    return None, 0


_CEILING: dict[Field, int] = {
    "phone": 80,
    "consent": 55,
    "name": 60,
    "language": 75,
    "country": 75,
    "timezone": 80,
}


def _share(table: Table, column: Column, test: object) -> int:
    cells = [cell for cell in _cells(table, column.index) if cell.strip()]
    if not cells or not callable(test):
        return 0
    return 100 * sum(1 for cell in cells if test(cell)) // len(cells)


def _cells(table: Table, column: int | None) -> list[str]:
    return [
        cell
        for _at, cells in table.head
        for place, cell in enumerate(cells)
        if column is None or place == column
    ]


def _is_language(cell: str) -> bool:
    return bool(re.fullmatch(r"[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?", cell.strip())) and bool(
        language_named(cell)
    )


def _is_country(cell: str) -> bool:
    return bool(region_named(cell))


def _is_zone(cell: str) -> bool:
    return "/" in cell and bool(zone_named(cell))


def _is_name(cell: str) -> bool:
    words = cell.split()
    return 2 <= len(words) <= 5 and all(
        word.strip(".-'’").isalpha() and not word.islower() for word in words
    )


def _split_names(guesses: list[ColumnGuess]) -> list[ColumnGuess]:
    """`Nome` beside `Sobrenome` is the first name; `Nom` without `Prénom` is the name."""
    fields = {guess.field for guess in guesses if guess.confidence >= 75}
    settled = []
    for guess in guesses:
        field = guess.field
        if field == "name" and "last_name" in fields and "first_name" not in fields:
            field = "first_name"
        if field == "last_name" and not fields & {"first_name", "name"}:
            field = "name"
        settled.append(
            ColumnGuess(guess.column, field, guess.confidence, guess.state, guess.help)
        )
    return settled


def _settle(guess: ColumnGuess, guesses: Sequence[ColumnGuess]) -> ColumnGuess:
    """Of two columns with one field the better keeps it; equals clash."""
    if guess.field is None or guess.field in _REPEATABLE:
        return guess
    rivals = [
        other
        for other in guesses
        if other.field == guess.field and other.column != guess.column
    ]
    best = max((other.confidence for other in rivals), default=0)
    if guess.confidence > best + 10:
        return guess
    if guess.confidence + 10 < best:
        return ColumnGuess(
            guess.column,
            None,
            guess.confidence,
            "none",
            _("Another column fits better."),
        )
    return ColumnGuess(
        guess.column,
        guess.field,
        guess.confidence,
        "clash",
        _("Two columns are matched to the same field; choose one."),
    )


_NEVER = "\x1f"  # in workbooks and cards nothing separates cells: a sign no cell has
_REPEATABLE = frozenset({"custom", "tags", "lists"})


# --- choices


def _refuse_clashes(table: Table, chosen: Mapping[int, Field]) -> None:
    for field, times in Counter(chosen.values()).items():
        if times > 1 and field not in _REPEATABLE:
            names = [table.columns[at].name for at, one in chosen.items() if one == field]
            raise Invalid(
                "mapping_clash",
                _(
                    "The columns “%(one)s” and “%(two)s” are matched to the same field.",
                    one=names[0],
                    two=names[1],
                ),
            )
    if "phone" not in chosen.values():
        raise Invalid(
            "mapping_no_phone", _("Choose the column that has the phone numbers.")
        )


def _key(name: str, place: int, taken: Mapping[int, str]) -> str:
    key = key_for(name) or f"column_{place + 1}"
    while key in taken.values():
        key += "_"
    return key


def _is_ours(table: Table) -> bool:
    return any(column.name == ours.MARK for column in table.columns)


def key_for(name: str) -> str:
    """The key under which a field of this name is kept with a person; empty for no name."""
    told = ours.own(name)
    return told.key if told else re.sub(r"\W+", "_", plain(name)).strip("_")[:60]


def _decimal(table: Table, place: int) -> str:
    """The sign before fractions; workbooks and our own files have a point."""
    if _is_ours(table):
        return "."
    told = decimal_of(_cells(table, place))
    return told or ("" if table.shape.format in ("csv", "vcard") else ".")


def _day_first(
    table: Table,
    chosen: Mapping[int, Field],
    typings: Mapping[int, Typing],
    region: str | None,
) -> bool:
    """Tell the order by days above twelve; else by the country."""
    for place, field in chosen.items():
        if field != "consent" and not (place in typings and typings[place].kind == "date"):
            continue
        for cell in _cells(table, place):
            parts = re.match(r"(\d{1,2})[-/.](\d{1,2})[-/.]\d{2,4}", cell.strip())
            if parts and int(parts[1]) > 12:
                return True
            if parts and int(parts[2]) > 12:
                return False
    return region not in {"US", "PH", "FM", "MH", "PW"}


def _forgotten_plus_region(cell: str) -> str:
    digits = re.sub(r"\D", "", cell)
    try:
        return address.parse_phone("+" + digits).region if len(digits) > 10 else ""
    except address.BadPhone:
        return ""
