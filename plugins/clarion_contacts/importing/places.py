"""Countries, languages and time zones as people write them: codes and names."""

from functools import cache, lru_cache

from babel import Locale, UnknownLocaleError

from clarion.messaging import windows
from clarion.messaging.address import regions
from clarion_contacts.importing.headers import plain

_SPOKEN = ("en", "pt", "es", "de", "fr", "hi")
_USUAL = {
    "usa": "US",
    "u s a": "US",
    "eua": "US",
    "eeuu": "US",
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "uae": "AE",
    "bharat": "IN",
    "brd": "DE",
    "holland": "NL",
    "czech republic": "CZ",
}


@lru_cache(maxsize=4096)
def region_named(text: str) -> str:
    """Two letters of a country written as a code or a name; empty when unknown."""
    said = text.strip()
    if len(said) == 2 and said.upper() in regions():
        return said.upper()
    return _regions().get(plain(said), "")


@lru_cache(maxsize=4096)
def language_named(text: str) -> str:
    """A language tag (`pt`, `pt-BR`) for a code or a name; empty when unknown."""
    said = text.strip().replace("_", "-")
    if len(said) in {2, 3} or (len(said) > 3 and said[2] == "-"):
        try:
            found = Locale.parse(said, sep="-")
        except (UnknownLocaleError, ValueError):
            return ""
        place = f"-{found.territory}" if found.territory else ""
        return f"{found.language}{place}"
    return _languages().get(plain(said), "")


@lru_cache(maxsize=4096)
def zone_named(text: str) -> str:
    """A time zone by its name (`America/Sao_Paulo`), or by its city; empty when unknown.

    A bare offset is none: it does not say when clocks change.
    """
    return _zones().get(plain(text.replace("/", " ")), "")


@cache
def _regions() -> dict[str, str]:
    names = {
        plain(name): code
        for spoken in _SPOKEN
        for code, name in Locale(spoken).territories.items()
        if code in regions()
    }
    return names | _USUAL


@cache
def _zones() -> dict[str, str]:
    """Every way to write a zone: its whole name, and its city where only one has it."""
    names = [name for name, _title in windows.choices()]
    cities: dict[str, set[str]] = {}
    for name in names:
        cities.setdefault(plain(name.rpartition("/")[2]), set()).add(name)
    alone = {city: found.pop() for city, found in cities.items() if len(found) == 1}
    return alone | {plain(name.replace("/", " ")): name for name in names}


@cache
def _languages() -> dict[str, str]:
    return {
        plain(name): code
        for spoken in _SPOKEN
        for code, name in Locale(spoken).languages.items()
        if len(code) == 2
    }
