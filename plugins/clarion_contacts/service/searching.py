"""Part of a name, a number or an e-mail → the people who have it, quick among a million.

Rare words are looked up in an index, through the SQL function `contacts_found`. For words
so frequent that one finds enough by looking at the newest people, it says so, and the list
is read newest first. Both ask the same of the same text.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    Uuid,
    and_,
    any_,
    case,
    cast,
    collate,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, array, insert

from clarion.base import db
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Contact, Import, ImportRow
from clarion_contacts.records import SearchText
from clarion_contacts.service import uploads

MOST, MANY = 10_000, "{NULL}"
FURTHEST = 200_000  # of those who match, when there are other conditions
MOST_WORDS = 6
STEP = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """Conditions for `Contact` that say the same, for reading a page and for counting.

    `many` says that counting takes longer than somebody wants to wait for a page.
    """

    reading: Sequence[ColumnElement[bool]] = ()
    counting: Sequence[ColumnElement[bool]] = ()
    many: bool = False


def found(words: str) -> Found:
    """Look for people who have every word in their name, e-mail or number.

    Digits and letters anywhere, one or two letters alone where a name or address begins.
    """
    parts = [_part(word) for word in words.split()[:MOST_WORDS]]
    if not parts:
        return Found()
    said = array([func.lower(_anywhere(one)) for one in parts])
    ids = db.session().scalar(select(_looked_up(said)))
    # not LIKE: what PostgreSQL guesses of a long pattern is "nobody", so it would sort everybody
    alike = [func.strpos(_text(), func.lower(one)) > 0 for one in parts]
    if ids is None:
        return Found(alike, alike)
    if ids == MANY:
        all_of_them = select(func.contacts_matching(said, FURTHEST).column_valued())
        return Found(alike, [Contact.id.in_(all_of_them)], many=True)
    named = [Contact.id == any_(cast(literal(ids, Text), ARRAY(Uuid)))]
    return Found(named, named)


def make_searchable(import_id: UUID) -> bool:
    """Put the next of a list's new people into the index; False when all are in it.

    Twice is once, and who was changed meanwhile is there already: a trigger saw to it.
    """
    row = uploads.get(import_id, lock=True)
    if row.state != "done" or row.searchable_to >= row.read_to:
        return False
    upto = row.searchable_to + STEP
    people = (
        select(Contact.id, Contact.account_id, _text())
        .join(
            ImportRow,
            and_(
                ImportRow.account_id == Contact.account_id,
                ImportRow.id == Contact.id,
                ImportRow.import_id == row.id,
                ImportRow.line.between(row.searchable_to + 1, upto),
            ),
        )
        .where(Contact.account_id == current_account())
        .order_by(ImportRow.line)
    )
    names = ["id", "account_id", "words"]
    statement = insert(SearchText).from_select(names, people, include_defaults=False)
    db.session().execute(statement.on_conflict_do_nothing())
    row.searchable_to, row.beat_at = min(upto, row.read_to), func.clarion_now()
    return row.searchable_to < row.read_to


def _looked_up(patterns: Any) -> ColumnElement[Any]:
    """Ask the index, unless a list of a moment ago is not in it yet."""
    late = exists().where(
        Import.account_id == current_account(),
        Import.state.in_(("done", "undoing")),
        Import.searchable_to < Import.read_to,
    )
    return case((late, None), else_=cast(func.contacts_found(patterns, MOST), Text))


def _text() -> ColumnElement[str]:
    """Write what a contact is found by, as the trigger of `contacts_search` does.

    The collation is said because that of `phone` knows small letters of English only.
    """
    words = (Contact.name, Contact.email, Contact.phone)
    return func.lower(collate(func.concat_ws(" ", "", *words), "default"))


def _part(word: str) -> str:
    """Say what must be in the text; one or two letters alone begin a name or an address."""
    digits = re.sub(r"\D", "", word)
    if digits and re.fullmatch(r"[+\d().\-/]+", word):
        return digits
    said = unicodedata.normalize("NFC", word)
    return f" {said}" if len(word) < 3 and word.isalnum() else said


def _anywhere(part: str) -> str:
    literally = re.sub(r"([\\%_])", r"\\\1", part)
    return f"%{literally}%"
