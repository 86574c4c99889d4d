"""Whether a message says STOP or START, in every language at once.

The words are in `stop/<language>.txt` and `start/<language>.txt`. What is not certain is
“maybe”: the engine shows it to the team and pauses marketing (fail towards silence).
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

Said = Literal["stop", "start", "maybe"]
FEW = 4  # a message of so many words may begin with a word and still mean it


def read(text: str) -> Said | None:
    """Tell what a message asks for; None for an everyday one.

    stop: the whole message is a word of the files, or begins with one and has at most
    four words. maybe: a STOP word stands anywhere else. start: the whole message is a
    word of the files, and nothing less: “start my order now” must not lift a STOP.
    """
    said = plain(text).split()
    lists = _lists()
    if _begins(said, lists.stop):
        return "stop"
    if _contains(said, lists):
        return "maybe"
    return "start" if " ".join(said) in lists.start else None


def plain(text: str) -> str:
    """The letters of a message, for comparing: one form, width and case; no ornaments.

    Accents go only where leaving them out is a way of writing (Latin, Greek, Cyrillic):
    without its marks रोकें is no word, and ストップ another.
    """
    text = unicodedata.normalize("NFKC", text)
    text = "".join(map(_visible, text)).casefold()
    text = unicodedata.normalize("NFD", text).translate(_STROKES)
    text = unicodedata.normalize("NFKC", "".join(_without_accents(text)))
    return " ".join(part for word in text.split() if (part := _trimmed(word)))


def _begins(said: list[str], phrases: frozenset[str]) -> bool:
    if " ".join(said) in phrases:
        return True
    return len(said) <= FEW and any(
        " ".join(said[:size]) in phrases for size in range(1, len(said))
    )


def _contains(said: list[str], lists: "_Lists") -> bool:
    for size in range(1, lists.longest + 1):
        for at in range(len(said) - size + 1):
            if " ".join(said[at : at + size]) in lists.stop:
                return True
    squeezed = "".join(said)  # s t o p
    if squeezed in lists.stop and len(squeezed) > 3:
        return True
    return bool(lists.unspaced.search(" ".join(said)))


# --- letters


def _visible(sign: str) -> str:
    """Drop what cannot be seen; what only separates or adorns becomes a space."""
    if sign in _JOINS:
        return sign
    category = unicodedata.category(sign)
    if category in {"Cf", "Cn", "Co", "Cs"} or sign in _SELECTORS:
        return ""
    return " " if category[0] in "ZSC" or sign in _ENDS or category == "Me" else sign


_JOINS = frozenset("'’`´-‐‑·")  # inside a word they are part of it
_ENDS = frozenset('.,;:!?…/\\|()[]{}<>"“”„«»¡¿。、！？，；：（）「」『』【】،؛؟।॥*_~#@&')
_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
_STROKES = str.maketrans("ıøłđħ’`´‐‑", "iolđh'''--")


def _without_accents(text: str) -> Iterator[str]:
    base = ""
    for sign in text:
        if unicodedata.combining(sign):
            if not _folds(base):
                yield sign
        else:
            base = sign
            yield sign


@cache
def _folds(base: str) -> bool:
    return unicodedata.name(base or " ", "").startswith(("LATIN", "GREEK", "CYRILLIC"))


def _trimmed(word: str) -> str:
    start, end = 0, len(word)
    while start < end and unicodedata.category(word[start])[0] == "P":
        start += 1
    while end > start and unicodedata.category(word[end - 1])[0] == "P":
        end -= 1
    return word[start:end]


# --- the files


class _Lists(NamedTuple):
    stop: frozenset[str]
    start: frozenset[str]
    longest: int
    unspaced: re.Pattern[str]  # STOP words of scripts without spaces between words


@cache
def _lists() -> _Lists:
    stop = frozenset(plain(word) for word in entries("stop"))
    start = frozenset(plain(word) for word in entries("start"))
    unspaced = [word for word in stop if _UNSPACED.search(word)]
    return _Lists(
        stop=stop,
        start=start,
        longest=max(len(word.split()) for word in stop),
        unspaced=re.compile("|".join(map(re.escape, sorted(unspaced)))),
    )


_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)


def languages(text: str) -> list[str]:
    """List the languages that have the STOP word a message is, or begins with."""
    said = plain(text).split()
    starts = {" ".join(said[:count]) for count in range(1, len(said) + 1)}
    files = sorted((Path(__file__).parent / "stop").glob("*.txt"))
    return [
        file.stem
        for file in files
        if starts & {plain(word) for word in entries("stop", file.stem)}
    ]


def entries(kind: Literal["stop", "start"], language: str = "*") -> list[str]:
    """Every word or phrase of the files, as written; of one language if it is given."""
    return [
        line.strip()
        for file in sorted((Path(__file__).parent / kind).glob(f"{language}.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
