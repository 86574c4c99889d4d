"""Countries, time zones and languages to choose from, in the reader's words."""

from functools import cache

from babel import Locale
from flask_babel import get_locale
from flask_babel import gettext as _

from clarion.base import words
from clarion.messaging import windows

Choices = list[tuple[str, str]]


def countries() -> Choices:
    """List the countries by name, with nothing chosen first."""
    return [("", "—"), *_countries(str(get_locale() or "en"))]


@cache
def _countries(language: str) -> Choices:
    names = Locale.parse(language).territories
    found = [(code, str(name)) for code, name in names.items() if len(code) == 2]
    return sorted(
        (pair for pair in found if pair[0] not in ("ZZ", "EU", "UN", "EZ", "QO")),
        key=_by_name,
    )


def _by_name(pair: tuple[str, str]) -> str:
    return pair[1].casefold()


def zones() -> Choices:
    """List the time zones of places, as `Europe/Lisbon`."""
    return list(windows.choices())


def own_languages() -> Choices:
    """List the languages a person may choose; the account's when they choose none."""
    return [("", _("As the account")), *languages()]


def languages() -> Choices:
    """List the languages Clarion speaks, each by its own name."""
    found = [(code, Locale.parse(code).display_name or code) for code in words.languages()]
    return [(code, str(name).capitalize()) for code, name in found]


def spoken() -> str:
    """Answer the language of this page, for what is written to its reader."""
    return str(get_locale() or "en")
