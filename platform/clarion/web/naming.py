"""What the console calls things that the database keeps as keys: roles, languages, ways.

A role that somebody made has the name they gave it; ours have words in each language.
"""

from collections.abc import Iterable
from typing import Final

from babel.core import Locale, UnknownLocaleError

from clarion.base.words import _, country
from clarion.messaging import channels
from clarion.web.ui import num


def N_(text: str) -> str:  # noqa: N802 -- the name gettext's extraction looks for
    """Mark a word for translation; it is translated where it is shown."""
    return text


ROLES: Final = {
    "Admin": N_("Admin"),
    "owner": N_("Owner"),
    "operations": N_("Operations"),
    "support": N_("Support"),
    "compliance": N_("Compliance"),
    "billing": N_("Billing"),
    "content": N_("Content"),
    "manager": N_("Manager"),
    "member": N_("Member"),
}


def role_word(name: str) -> str:
    """Name one role, of staff or of a customer's team."""
    return _(ROLES[name]) if name in ROLES else name


def role_words(names: str | Iterable[str]) -> str:
    """Name several roles, given as a list or as an actor keeps them: "support, billing"."""
    several = names.split(", ") if isinstance(names, str) else names
    return ", ".join(role_word(one) for one in several)


def language_word(code: str) -> str:
    """Name a language in itself, as its own speakers look for it."""
    try:
        return Locale.parse(code, sep="-" if "-" in code else "_").display_name or code
    except (ValueError, UnknownLocaleError):
        return code


def way(transport: str) -> str:
    """Name the way messages go, by its plugin's title."""
    found = channels.transports().get(transport)
    return str(found.title) if found else transport


def took(microseconds: float) -> str:
    """Say how long something took, in the unit a person would choose."""
    if microseconds < 1_000:
        return f"{num(round(microseconds))} µs"
    if microseconds < 1_000_000:
        return f"{num(round(microseconds / 1_000, 1))} ms"
    return f"{num(round(microseconds / 1_000_000, 1))} s"


GLOBALS: Final = {
    "country": country,
    "language_word": language_word,
    "role_word": role_word,
    "role_words": role_words,
    "took": took,
    "way": way,
}
