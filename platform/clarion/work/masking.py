"""What staff may read of a job, a webhook and an error: ids and shapes, nobody's words.

Everything is hidden that is not known to be harmless. Of a payload stay ids, moments,
small numbers and the names of our own fields; of an error stay its kind, its code, and
those words of its text that stand in the code which raised it.
"""

import datetime as dt
import hashlib
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, TracebackType
from typing import Any, Final
from uuid import UUID

from clarion.base.errors import ClarionError

DOTS: Final = "••••"
LONGEST_ERROR: Final = 500
LONGEST_TRACE: Final = 8_000
DEEP: Final = 30  # frames of a trace
SMALL: Final = 1_000_000  # a number below is a count; one above may be a phone number
RESULTS: Final = ("applied", "taken apart")
SHORTEST: Final = 4  # letters of our own words; fewer are in anybody's
UUID_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PATH = re.compile(r"clarion[a-z0-9_]*(?:\.[a-z0-9_]+)*:[a-z0-9_]+")
_KEY = re.compile(r"[a-z][a-z_]{0,39}")
_ERROR = re.compile(r"[A-Z]\w+(?::|$)")
_HOLES = re.compile(r"%\(\w+\)[sdr]|%[sdr]|\{\w*\}")


def payload(value: Any, *, ours: bool = False) -> Any:
    """Return a value as staff may see it: the same shape, ids in it, no content.

    Args:
        value: what JSON can hold.
        ours: whether the names of its fields are written in our code. Those of others are
            shown only if they look like names of fields; somebody's may be a phone number.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        shown = {}
        for n, (key, one) in enumerate(value.items()):
            name = key if ours or _KEY.fullmatch(str(key)) else f"{DOTS} {n + 1}"
            shown[name] = payload(one)
        return shown
    if isinstance(value, list | tuple):
        return [payload(one) for one in value]
    if isinstance(value, int | float):
        return value if abs(value) < SMALL else f"{DOTS} (number)"
    return _word(str(value))


def _word(text: str) -> str:
    if UUID_TEXT.fullmatch(text) or _PATH.fullmatch(text) or _moment(text):
        return text
    return f"{DOTS} ({len(text)})" if text else ""


def _moment(text: str) -> bool:
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return False
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


# --- errors


def error(what: BaseException) -> str:
    """Say what went wrong, with the words that are ours and without those that are not."""
    known = [*_facts(what)]
    said = str(what)
    if isinstance(what, ClarionError):
        said = said.removeprefix(f"{what.code}: ")
    if said:
        known.append(_ours(said, _literals(what)))
    return ": ".join([type(what).__name__, *known])[:LONGEST_ERROR]


def trace(what: BaseException) -> str:
    """Write where it went wrong, innermost last: files, lines and functions, no values."""
    parts, seen = list[str](), set[int]()
    now: BaseException | None = what
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        lines = [_frame(one) for one in traceback.extract_tb(now.__traceback__)[-DEEP:]]
        parts.append("\n".join([*lines, error(now)]))
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)
    return "\n\n".join(reversed(parts))[-LONGEST_TRACE:]


def _frame(one: traceback.FrameSummary) -> str:
    name = one.filename.replace("\\", "/")
    for root in sorted(sys.path, key=len, reverse=True):
        if root and name.startswith(f"{root}/"):
            name = name.removeprefix(f"{root}/")
            break
    else:
        name = name.rpartition("/")[2]
    return f"{name}:{one.lineno} in {one.name}\n    {one.line or ''}".rstrip()


def _facts(what: BaseException) -> Iterator[str]:
    """Name what is known about an error besides its text: codes, never values."""
    if isinstance(what, ClarionError):
        yield what.code
    if isinstance(what, OSError) and what.errno:
        yield f"errno {what.errno}"
    inner = getattr(what, "orig", None)
    if state := getattr(inner, "sqlstate", None):
        yield f"SQLSTATE {state}"
        if broken := getattr(getattr(inner, "diag", None), "constraint_name", None):
            yield f"constraint {broken}"


def _ours(said: str, words: Iterable[str]) -> str:
    """Keep the stretches of a text that are words of our code, and ids; hide the rest."""
    kept = [False] * len(said)
    for one in UUID_TEXT.finditer(said):
        kept[one.start() : one.end()] = [True] * (one.end() - one.start())
    for word in words:
        place = said.find(word)
        while place >= 0:
            kept[place : place + len(word)] = [True] * len(word)
            place = said.find(word, place + len(word))
    out, hidden = list[str](), False
    for letter, shown in zip(said, kept, strict=True):
        if shown:
            out.append(letter)
        elif not hidden:
            out.append(DOTS)
        hidden = not shown
    return "".join(out).replace("\n", " ")


def _literals(what: BaseException) -> set[str]:
    """Collect the texts that stand in the functions an error went through."""
    found: set[str] = set()
    place: TracebackType | None = what.__traceback__
    while place is not None:
        _constants(place.tb_frame.f_code, found)
        place = place.tb_next
    if isinstance(what, ClarionError):
        found.add(what.code)
    return found


def _constants(code: CodeType, found: set[str]) -> None:
    for one in code.co_consts:
        if isinstance(one, str):
            found.update(w for w in _HOLES.split(one) if len(w.strip()) >= SHORTEST)


def result(text: str) -> str:
    """Show what became of a webhook: one of our words, or an error as `error` writes it."""
    return text if text in RESULTS or _ERROR.match(text) else DOTS if text else ""


def identifier(key: str) -> str:
    """Name a provider's id so that it can be compared, not read.

    The ids of messages that Meta gives hold the phone number of whom they are about.
    """
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def account_of(value: Mapping[str, Any]) -> UUID | None:
    """Find whose job a payload is."""
    given = (value.get("actor") or {}).get("account_id")
    return UUID(given) if given else None
