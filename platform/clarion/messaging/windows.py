"""Local time → instants: zones of people, hours of the day, days without sending. Pure.

Everything that asks "when may it leave?" asks here, and keeps the answer as instants: what
is checked later is only ever an instant against the database's clock.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from babel.core import get_global

COUNTRY = "country/"  # a key that stands for all zones of a country
DAY = dt.timedelta(days=1)
NOWHERE = "ZZ"  # where zones without a country are
FARTHEST = 400  # days that are looked at for a moment that is allowed
_SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """Between which local times, on which weekdays and dates, something may leave.

    Attributes:
        opens: minutes after midnight, 0 to 1439.
        closes: minutes after midnight, up to 1440; at this minute nothing leaves any more.
        weekdays: on which days of the week, Monday is 0.
        silent: dates on which nothing leaves.
    """

    opens: int = 0
    closes: int = 1440
    weekdays: frozenset[int] = frozenset(range(7))
    silent: frozenset[dt.date] = frozenset()

    def allow(self, day: dt.date) -> bool:
        """Say whether anything may leave on a date."""
        return day.weekday() in self.weekdays and day not in self.silent


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in which something may leave, and the calendar it lies in.

    Attributes:
        opens: from this instant.
        closes: up to this instant.
        day_from: when the local day began.
        week_from: when the local week began, on Monday.
    """

    opens: dt.datetime
    closes: dt.datetime
    day_from: dt.datetime
    week_from: dt.datetime


# --- zones


def known(zone: str) -> bool:
    """Say whether this is the name of a time zone."""
    return zone in _names()


def key_of(zone: str, country: str, otherwise: str) -> str:
    """Name the calendar of a person: their zone, else their country's, else the account's.

    A country whose zones differ is a key of its own: only what is allowed in all of them
    is allowed.
    """
    if zone and known(zone):
        return zone
    if country.isalpha() and (names := zones_of_country(country.upper())):
        return names[0] if len(names) == 1 else f"{COUNTRY}{country.upper()}"
    return otherwise if known(otherwise) else "UTC"


@lru_cache(maxsize=1)
def choices() -> tuple[tuple[str, str], ...]:
    """List the zones a person may choose, by name: those of places, and UTC."""
    odd = ("Etc/", "SystemV/", "posix/", "right/")
    names = sorted(n for n in _names() if "/" in n and not n.startswith(odd))
    return (("UTC", "UTC"), *((name, name.replace("_", " ")) for name in names))


@lru_cache(maxsize=1_024)
def zones_of(key: str) -> tuple[ZoneInfo, ...]:
    """List the zones behind a key; an unknown one is UTC."""
    if key.startswith(COUNTRY):
        names = zones_of_country(key.removeprefix(COUNTRY))
        return tuple(ZoneInfo(name) for name in names) or (ZoneInfo("UTC"),)
    return (ZoneInfo(key if known(key) else "UTC"),)


@lru_cache(maxsize=512)
def zones_of_country(country: str) -> tuple[str, ...]:
    """List a country's zones by name; those that show the same time count once."""
    found: dict[tuple[object, ...], str] = {}
    for name, territory in sorted(get_global("zone_territories").items()):
        if territory == country != NOWHERE and known(name):
            zone = ZoneInfo(name)
            found.setdefault(tuple(day.astimezone(zone).utcoffset() for day in _YEAR), name)
    return tuple(found.values())


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


_YEAR = [dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC) + n * DAY for n in range(366)]


# --- instants


def instant(zone: ZoneInfo, local: dt.datetime, *, last: bool = False) -> dt.datetime:
    """Say which instant a local time without a zone is.

    A time that does not exist, because clocks jump over it, is the next one that does. A
    time that comes twice is the first of the two; `last` asks for the second.
    """
    found = local.replace(tzinfo=zone, fold=int(last)).astimezone(dt.UTC)
    if _shown(found, zone) == local:
        return found
    before, after = sorted(
        local.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)
    )
    while after - before > _SECOND:  # clocks jump somewhere between the two
        middle = before + (after - before) // 2
        before, after = (
            (before, middle) if _shown(middle, zone) >= local else (middle, after)
        )
    return after.replace(microsecond=0)


def start_for(key: str, local: dt.datetime) -> dt.datetime:
    """Say from which instant on it is this local time for everybody behind a key."""
    return max(instant(zone, local) for zone in zones_of(key))


def midnight(zone: ZoneInfo, day: dt.date) -> dt.datetime:
    """Say when a local day begins."""
    return instant(zone, dt.datetime.combine(day, dt.time()))


def _shown(at: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """Say what a clock on the wall shows."""
    return at.astimezone(zone).replace(tzinfo=None)


# --- windows


def windows(
    key: str, hours: Hours, after: dt.datetime, until: dt.datetime | None = None
) -> Iterator[Window]:
    """Yield the stretches in which something may leave, in order, from `after` to `until`.

    Behind a key with several zones only what is allowed in all of them is. Nothing is
    yielded when no moment is: hours too narrow for a wide country.
    """
    zones = zones_of(key)
    end = min(until or after + FARTHEST * DAY, after + FARTHEST * DAY)
    first = min(after.astimezone(zone).date() for zone in zones) - DAY
    last = max(end.astimezone(zone).date() for zone in zones)
    day = first
    while day <= last:
        for opens, closes in _of_day(zones, hours, day):
            begins, ends = max(opens, after), min(closes, end)
            if begins < ends:
                yield _window(zones, begins, ends)
        day += DAY


def _of_day(
    zones: tuple[ZoneInfo, ...], hours: Hours, day: dt.date
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield what of the first zone's day is allowed in every zone, cut at each midnight."""
    pieces = list(_one(zones[0], hours, day))
    for zone in zones[1:]:
        others = [
            piece
            for near in (day - DAY, day, day + DAY)
            for piece in _one(zone, hours, near)
        ]
        pieces = [
            (max(a, c), min(b, d))
            for a, b in pieces
            for c, d in others
            if max(a, c) < min(b, d)
        ]
    return iter(sorted(pieces))


def _one(
    zone: ZoneInfo, hours: Hours, day: dt.date
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    if not hours.allow(day):
        return
    begin = dt.datetime.combine(day, dt.time())
    # of a time that comes twice the later opens and the earlier closes: never too early,
    # never too late
    opens = instant(zone, begin + dt.timedelta(minutes=hours.opens), last=True)
    closes = instant(zone, begin + dt.timedelta(minutes=hours.closes))
    if opens < closes:
        yield opens, closes


def _window(zones: Iterable[ZoneInfo], opens: dt.datetime, closes: dt.datetime) -> Window:
    days = [(zone, opens.astimezone(zone).date()) for zone in zones]
    return Window(
        opens,
        closes,
        min(midnight(zone, day) for zone, day in days),
        min(midnight(zone, day - day.weekday() * DAY) for zone, day in days),
    )


def next_day(key: str, at: dt.datetime) -> dt.datetime:
    """Say from when on it is another day for everybody behind a key."""
    return max(midnight(z, at.astimezone(z).date() + DAY) for z in zones_of(key))


def next_week(key: str, at: dt.datetime) -> dt.datetime:
    """Say from when on it is another week for everybody behind a key."""
    days = [(zone, at.astimezone(zone).date()) for zone in zones_of(key)]
    return max(midnight(z, day + (7 - day.weekday()) * DAY) for z, day in days)


# --- shares of several windows


@dataclass(frozen=True, slots=True)
class Share:
    """A window, and which part of the people (from 0 to 1) leaves in it."""

    window: Window
    since: float
    to: float


def shares(found: Iterable[Window]) -> list[Share]:
    """Divide people among windows by how long each of them is."""
    every = list(found)
    spans = [(one.closes - one.opens).total_seconds() for one in every]
    edges = [0.0]
    for span in spans:
        edges.append(edges[-1] + span)
    total = edges[-1] or 1.0
    return [
        Share(window, a / total, b / total)
        for window, (a, b) in zip(every, pairwise(edges), strict=True)
    ]
