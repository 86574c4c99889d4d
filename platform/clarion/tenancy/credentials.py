"""Passwords and one-time tokens: how they are made, checked and kept.

argon2id with 19 MiB, two passes, one lane: about 75 ms. A semaphore bounds how many run
at once, so that a burst of sign-ins cannot take the memory.
"""

import datetime as dt
import gzip
import os
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type
from sqlalchemy import ColumnElement, select, update

from clarion.base import clock, crypto, db
from clarion.base.errors import Invalid, Unavailable
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.tenancy.models import OneTimeToken

SHORTEST, LONGEST = 12, 256
_ENDS = "0123456789!?.,*#-_+$@& "
_LEET = str.maketrans("01345$@!7", "oieassait")
AT_ONCE, WAIT_SECONDS = 4, 3.0
# A password of only these is easy however long it is.
RUNS = (
    "0123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb",
)
PRODUCT = "clarion"
COMMON = Path(__file__).parent / "common_passwords.txt"
LEAKED = Path(__file__).parent / "leaked_passwords.txt.gz"  # see dev/passwords.py

_hasher = PasswordHasher(
    time_cost=2,
    memory_cost=19 * 1024,
    parallelism=1,
    hash_len=32,
    salt_len=16,
    type=Type.ID,
)
_slots = threading.BoundedSemaphore(AT_ONCE)


# --- passwords


def check(password: str, *, own: tuple[str, ...] = (), field: str = "password") -> None:
    """Refuse a password that is too short, too long, widely known or about its owner.

    Args:
        password: as typed; blanks count, any letters of any script may be used.
        own: e-mail address and names of the person and account.
        field: the form field a refusal belongs to.

    Raises:
        Invalid: with the sentence to show.
    """
    text = _normal(password)
    if len(text) < SHORTEST:
        sentence = _("Use at least %(count)s characters.", count=SHORTEST)
        raise Invalid("password_short", sentence, field=field)
    if len(text) > LONGEST:
        sentence = _("Use at most %(count)s characters.", count=LONGEST)
        raise Invalid("password_long", sentence, field=field)
    if _is_own(text, own):
        sentence = _("Leave your name, your e-mail address and “Clarion” out of it.")
        raise Invalid("password_own", sentence, field=field)
    if _is_common(text) or _is_listed(text):
        sentence = _("This password is on lists that attackers try first. Choose another.")
        raise Invalid("password_common", sentence, field=field)


def hashed(password: str) -> str:
    """Hash a password for keeping. Slow on purpose."""
    with _slot():
        return _hasher.hash(_normal(password))


def matches(stored: str, password: str) -> bool:
    """Say whether a password is the one that was hashed.

    As slow for nobody's hash (`""`) as for somebody's, so that the time tells nothing.
    """
    if len(password) > 4 * LONGEST:
        return False
    with _slot():
        try:
            _hasher.verify(stored or _nobody(), _normal(password))
        except (VerificationError, InvalidHashError):
            return False
    return bool(stored)


def outdated(stored: str) -> bool:
    """Say whether a hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(timeout=WAIT_SECONDS):
        raise Unavailable(
            "sign_in_busy", _("Many people are signing in. Please try again.")
        )
    try:
        yield
    finally:
        _slots.release()


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(16))


def _normal(password: str) -> str:
    return unicodedata.normalize("NFC", password)


def _is_common(text: str) -> bool:
    """Say whether a password is made of what attackers try first.

    Leaked passwords of 12 and more characters are nearly all one or two shorter ones,
    runs along the keyboard, and some digits: so the shorter ones are kept, 38,000 of them
    besides some hundred words, and every way of putting two together is refused.
    """
    plain = text.casefold()
    if len(set(plain)) <= 4 or _is_repeated(plain):
        return True
    bare = plain.strip(_ENDS)  # what people add to satisfy a rule
    if len(plain) - len(bare) > 8:
        bare = plain
    return any(_is_made_of(form) for form in (plain, bare, bare.translate(_LEET)))


def _is_made_of(text: str) -> bool:
    """Say whether at most two known words or runs leave nothing but a few odd characters."""
    rest, found = text, 0
    while found < 2 and (piece := _longest_known(rest)):
        rest, found = rest.replace(piece, "", 1), found + 1
    odd = "".join(c for c in rest if c.isalpha())
    return bool(found) and len(odd) <= 2 and len(rest) <= 8


def _longest_known(text: str) -> str:
    for size in range(min(len(text), 24), 2, -1):
        for start in range(len(text) - size + 1):
            piece = text[start : start + size]
            if piece in _common() or (size >= 5 and _is_run(piece)):
                return piece
    return ""


def _is_run(text: str) -> bool:
    """Say whether the text is one walk along the alphabet, the digits or the keyboard."""
    doubled = (run * 3 for run in RUNS)
    return any(text in run or text[::-1] in run for run in doubled)


def _is_repeated(text: str) -> bool:
    """Say whether a short piece makes up the whole: `abcabcabcabc`."""
    return any(
        text == (text[:size] * (len(text) // size + 1))[: len(text)] for size in range(1, 5)
    )


def _is_listed(text: str) -> bool:
    """Say whether a password is in the operator's own list, which may be larger than memory.

    Sorted by bytes (`LC_ALL=C sort`), so that some thirty looks find it.
    """
    path = settings().passwords_file
    if path is None:
        return False
    with path.open("rb") as file:
        return any(_has(file, one.encode()) for one in {text, text.casefold()})


def _has(file: BinaryIO, wanted: bytes) -> bool:
    low, high = 0, file.seek(0, os.SEEK_END)
    while (
        low < high
    ):  # at which byte or later does the first line begin that is not before it
        middle = (low + high) // 2
        line = _line_from(file, middle)
        if line and line.rstrip(b"\r\n") < wanted:
            low = middle + 1
        else:
            high = middle
    return _line_from(file, low).rstrip(b"\r\n") == wanted


def _line_from(file: BinaryIO, place: int) -> bytes:
    file.seek(max(0, place - 1))
    if place:
        file.readline()
    return file.readline()


def _is_own(text: str, own: tuple[str, ...]) -> bool:
    plain = text.casefold()
    words = {PRODUCT}
    for one in own:
        words |= {
            one.casefold(),
            *one.casefold().replace("@", " ").replace(".", " ").split(),
        }
    for word in words:
        if len(word) >= 4 and word in plain and len(plain) - len(word) < 8:
            return True
    return False


@cache
def _common() -> frozenset[str]:
    chosen = COMMON.read_text(encoding="utf-8").split("\n")
    leaked = gzip.decompress(LEAKED.read_bytes()).decode().split("\n")
    return frozenset(chosen).union(leaked) - {""}


# --- tokens: random, kept as a hash, good once


def issue(purpose: str, subject: str, lasts: dt.timedelta) -> str:
    """Make a one-time token; earlier ones for the same purpose and subject are void."""
    token = secrets.token_urlsafe(32)
    orm = db.session()
    orm.execute(
        update(OneTimeToken)
        .where(
            OneTimeToken.purpose == purpose,
            OneTimeToken.subject == subject,
            OneTimeToken.used_at.is_(None),
        )
        .values(used_at=clock.now())
        .execution_options(synchronize_session=False)
    )
    orm.add(
        OneTimeToken(
            purpose=purpose,
            subject=subject,
            token_hash=crypto.digest(token),
            expires_at=clock.now() + lasts,
        )
    )
    orm.flush()
    return token


def peek(purpose: str, token: str) -> str | None:
    """Return the subject of a token that is still good, without using it up."""
    m = OneTimeToken
    query = select(m.subject).where(*_good(purpose, token))
    return db.session().scalar(query)


def use(purpose: str, token: str) -> str | None:
    """Use a token up and return its subject; None when it is not good. Only one caller wins."""
    query = (
        update(OneTimeToken)
        .where(*_good(purpose, token))
        .values(used_at=clock.now())
        .returning(OneTimeToken.subject)
        .execution_options(synchronize_session=False)
    )
    return db.session().execute(query).scalar()


def void(subject: str) -> None:
    """Use up every open token of a subject: its password or address has changed."""
    db.session().execute(
        update(OneTimeToken)
        .where(OneTimeToken.subject == subject, OneTimeToken.used_at.is_(None))
        .values(used_at=clock.now())
        .execution_options(synchronize_session=False)
    )


def _good(purpose: str, token: str) -> tuple[ColumnElement[bool], ...]:
    m = OneTimeToken
    return (
        m.purpose == purpose,
        m.token_hash == crypto.digest(token),
        m.used_at.is_(None),
        m.expires_at > clock.now(),
    )


def subject_of(person_id: UUID) -> str:
    """Name a person as the subject of a token."""
    return f"person:{person_id}"
