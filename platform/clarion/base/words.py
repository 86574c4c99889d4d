"""Words a person reads: gettext that works in requests, in jobs and on the command line.

Inside a Flask application Flask-Babel decides the language; elsewhere `speaking` does,
and without it sentences stay as they are written in the code. Flask is never imported
from here: if nobody has loaded it, nobody can be in a request.
"""

import gettext as catalogues
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

_folders: list[Path] = []
_language: ContextVar[str | None] = ContextVar("language", default=None)


def gettext(message: str, /, **values: Any) -> str:
    """Translate a sentence and fill its `%(name)s` places."""
    babel = _babel()
    if babel is not None:
        return str(babel.gettext(message, **values))
    return _fill(_catalogue().gettext(message), values)


def ngettext(one: str, many: str, num: int, /, **values: Any) -> str:
    """Translate the form that fits a number, which is there as `%(num)s`."""
    babel = _babel()
    if babel is not None:
        return str(babel.ngettext(one, many, num, **values))
    return _fill(_catalogue().ngettext(one, many, num), {"num": num, **values})


class Lazy:
    """A sentence that is translated when it is shown, for module-level words."""

    __slots__ = ("_message", "_values")

    def __init__(self, message: str, values: dict[str, Any]) -> None:
        self._message, self._values = message, values

    def __str__(self) -> str:
        return gettext(self._message, **self._values)

    def __repr__(self) -> str:
        return f"lazy({self._message!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, str | Lazy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._message)

    def __len__(self) -> int:
        return len(str(self))

    def __mod__(self, values: Any) -> str:
        return str(str(self) % values)

    def __add__(self, other: str) -> str:
        return str(self) + other

    def __radd__(self, other: str) -> str:
        return other + str(self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def lazy(message: str, /, **values: Any) -> Lazy:
    """Translate later: when the words are shown."""
    return Lazy(message, values)


def spoken() -> str | None:
    """Say which language sentences are in now; None for that of the code, English."""
    babel = _babel()
    locale = babel.get_locale() if babel is not None else None
    return str(locale) if locale else _language.get()


def figure(value: float) -> str:
    """Write a number as the language that is spoken does."""
    from babel.numbers import format_decimal

    return str(format_decimal(value, locale=spoken() or "en"))


def share(value: float, digits: int = 0) -> str:
    """Write a share as a percentage, as the language that is spoken does."""
    from babel.core import Locale
    from babel.numbers import parse_pattern

    locale = Locale.parse(spoken() or "en")
    form = parse_pattern(locale.percent_formats[None])
    form.frac_prec = (digits, digits)
    return str(form.apply(value, locale))


def country(code: str) -> str:
    """Name a country, given as two letters, in the language that is spoken."""
    from babel.core import Locale, UnknownLocaleError

    tag = (spoken() or "en").partition("_")[0]
    try:
        found = Locale.parse(tag).territories.get(code)
    except (ValueError, UnknownLocaleError):
        found = None
    return str(found or code)


_ = gettext


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Use a language outside requests: a mail in the words of the person who gets it."""
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def add_folder(folder: Path) -> None:
    """Look for catalogues (`<language>/LC_MESSAGES/messages.mo`) in one more folder."""
    if folder not in _folders:
        _folders.append(folder)
        _read.cache_clear()


def folders() -> list[Path]:
    """List the folders catalogues are looked for in, so that a child process can, too."""
    return list(_folders)


def languages() -> list[str]:
    """List the languages there are words for; the code itself is written in English."""
    found = {
        path.parents[1].name for folder in _folders for path in folder.glob("*/*/*.mo")
    }
    return sorted({"en"} | found)


def _fill(message: str, values: dict[str, Any]) -> str:
    return message % values if values else message


def _babel() -> Any:
    """Flask-Babel, when we are inside an application that uses it; else None."""
    flask = sys.modules.get("flask")
    if flask is None or not flask.has_app_context():
        return None
    if _language.get() or "babel" not in flask.current_app.extensions:
        return None
    return sys.modules.get("flask_babel")


def _catalogue() -> catalogues.NullTranslations:
    language = _language.get()
    return _read(language) if language else _PLAIN


_PLAIN = catalogues.NullTranslations()


@cache
def _read(language: str) -> catalogues.NullTranslations:
    """Chain the catalogues of all folders; a missing one is no error."""
    found = catalogues.NullTranslations()
    for folder in _folders:
        one = catalogues.translation(
            "messages", folder, [language, language.partition("_")[0]], fallback=True
        )
        if isinstance(one, catalogues.GNUTranslations):
            one.add_fallback(found)
            found = one
    return found
