"""Local times as instants, at every change of the clocks in forty zones."""

import datetime as dt
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.messaging import windows
from clarion.messaging.windows import DAY, Hours

ZONES = [
    "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "America/Adak",
    "America/Anchorage", "America/Asuncion", "America/Bogota", "America/Chicago",
    "America/Denver", "America/Godthab", "America/Halifax", "America/Havana",
    "America/Los_Angeles", "America/Manaus", "America/Mexico_City", "America/Miquelon",
    "America/New_York", "America/Noronha", "America/Sao_Paulo", "America/Santiago",
    "America/Scoresbysund", "America/St_Johns", "Antarctica/Troll", "Asia/Beirut",
    "Asia/Gaza", "Asia/Jerusalem", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Tehran",
    "Asia/Tokyo", "Atlantic/Azores", "Australia/Adelaide", "Australia/Lord_Howe",
    "Europe/Berlin", "Europe/Chisinau", "Europe/Dublin", "Europe/Lisbon",
    "Pacific/Apia", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Easter",
]  # fmt: skip
COUNTRIES = [
    windows.key_of("", c, "UTC") for c in ("US", "RU", "BR", "AU", "CL", "PT", "ES")
]
BEGIN, END = dt.datetime(2023, 1, 1, tzinfo=dt.UTC), dt.datetime(2028, 1, 1, tzinfo=dt.UTC)
DAYTIME = Hours(9 * 60, 20 * 60)


def shown(at, zone):
    return at.astimezone(zone).replace(tzinfo=None)


@cache
def changes(name):
    """The instants at which the clocks of a zone are changed, and both offsets."""
    zone, found, day = ZoneInfo(name), [], BEGIN
    while day < END:
        old, new = (t.astimezone(zone).utcoffset() for t in (day, day + DAY))
        if old != new:
            before, after = day, day + DAY
            while after - before > dt.timedelta(seconds=1):
                middle = before + (after - before) // 2
                same = middle.astimezone(zone).utcoffset() == old
                before, after = (middle, after) if same else (before, middle)
            found.append((after.replace(microsecond=0), old, new))
        day += DAY
    return found


def test_the_zones_do_change_their_clocks():
    assert len(ZONES) >= 40
    assert set(ZONES) <= available_timezones()
    assert sum(bool(changes(name)) for name in ZONES) >= 25


@pytest.mark.parametrize("name", ZONES)
def test_missing_times_move_on_and_double_ones_are_the_first(name):
    zone, missing, double = ZoneInfo(name), 0, 0
    for at, old, new in changes(name):
        gap = new - old
        wall = (at + old).replace(tzinfo=None)  # what clocks show when they are changed
        for part in (0.0, 0.25, 0.5, 0.99):
            if gap > dt.timedelta(0):
                local = (wall + gap * part).replace(second=0, microsecond=0)
                assert windows.instant(zone, local) == at
                missing += 1
            elif part:
                local = (wall + gap * part).replace(second=0, microsecond=0)
                first = windows.instant(zone, local)
                again = windows.instant(zone, local, last=True)
                assert shown(first, zone) == shown(again, zone) == local
                assert first < at <= again
                assert again - first == -gap
                double += 1
    assert bool(changes(name)) == bool(missing + double)


@given(
    name=st.sampled_from(ZONES),
    local=st.datetimes(dt.datetime(2023, 1, 2), dt.datetime(2027, 12, 30)),
)
@settings(max_examples=200, deadline=None)
def test_an_instant_shows_the_time_or_the_next_there_is(name, local):
    zone, local = ZoneInfo(name), local.replace(second=0, microsecond=0)

    at = windows.instant(zone, local)

    assert shown(at, zone) >= local
    assert shown(at - dt.timedelta(minutes=1), zone) < local


@given(
    key=st.sampled_from(ZONES + COUNTRIES),
    after=st.datetimes(dt.datetime(2023, 1, 2), dt.datetime(2027, 6, 1)),
    opens=st.integers(0, 1439),
    long=st.integers(1, 1440),
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    silent=st.frozensets(st.integers(0, 9), max_size=4),
    part=st.floats(0, 0.999),
)
@settings(max_examples=120, deadline=None)
def test_nothing_of_a_window_is_outside_the_hours(
    key, after, opens, long, weekdays, silent, part
):
    after = after.replace(tzinfo=dt.UTC)
    days = frozenset(after.date() + n * DAY for n in silent)
    hours = Hours(opens, min(opens + long, 1440), weekdays, days)

    end = None
    for found in islice(windows.windows(key, hours, after, after + 20 * DAY), 12):
        assert after <= found.opens < found.closes
        assert end is None or end <= found.opens
        end = found.closes
        inside = (found.closes - found.opens) * part + found.opens
        for zone in windows.zones_of(key):
            for at in (found.opens, inside, found.closes - dt.timedelta(microseconds=1)):
                local = shown(at, zone)
                assert hours.allow(local.date())
                minute = local.hour * 60 + local.minute
                assert hours.opens <= minute < hours.closes
                assert found.day_from <= windows.midnight(zone, local.date()) <= at
                assert found.week_from <= found.day_from


@given(
    key=st.sampled_from(ZONES + COUNTRIES),
    at=st.datetimes(dt.datetime(2023, 1, 2), dt.datetime(2027, 6, 1)),
)
@settings(max_examples=80, deadline=None)
def test_another_day_is_another_day_for_everybody(key, at):
    at = at.replace(tzinfo=dt.UTC)
    day, week = windows.next_day(key, at), windows.next_week(key, at)

    for zone in windows.zones_of(key):
        then, now = shown(day, zone).date(), shown(at, zone).date()
        assert then > now
        assert shown(week, zone).isocalendar()[:2] > now.isocalendar()[:2]
    later = next(windows.windows(key, Hours(), day))
    assert later.day_from > at


@pytest.mark.parametrize("key", ZONES)
def test_the_first_window_of_a_day_is_found_at_once(key):
    noon = dt.datetime(2026, 7, 1, 12, tzinfo=windows.zones_of(key)[0])

    found = next(windows.windows(key, DAYTIME, noon))

    assert found.opens == noon
    assert shown(found.closes, noon.tzinfo) == dt.datetime(2026, 7, 1, 20)


def test_a_country_with_several_zones_is_open_when_all_of_them_are():
    begin = dt.datetime(2026, 1, 14, 2, tzinfo=dt.UTC)

    found = next(windows.windows("country/US", DAYTIME, begin))

    assert found.opens == dt.datetime(2026, 1, 14, 19, tzinfo=dt.UTC)  # 09:00 in Adak
    assert found.closes == dt.datetime(2026, 1, 15, 1, tzinfo=dt.UTC)  # 20:00 in New York


def test_hours_too_narrow_for_a_wide_country_never_open():
    noon = Hours(12 * 60, 13 * 60)

    assert list(windows.windows("country/US", noon, BEGIN)) == []
    assert list(windows.windows("Europe/Lisbon", noon, BEGIN, BEGIN + 3 * DAY))


def test_a_key_is_the_persons_zone_else_the_countrys_else_the_accounts():
    cases = [
        (("Asia/Tokyo", "BR", "UTC"), "Asia/Tokyo"),
        (("Moon/Base", "DE", "UTC"), "Europe/Berlin"),
        (("", "US", "UTC"), "country/US"),
        (("", "us", "UTC"), "country/US"),
        (("", "", "Europe/Lisbon"), "Europe/Lisbon"),
        (("", "ZZ", "nowhere"), "UTC"),
    ]

    assert [windows.key_of(*given) for given, _ in cases] == [key for _, key in cases]


def test_a_local_start_is_when_everybody_has_reached_it():
    local = dt.datetime(2026, 1, 14, 9, 30)

    assert windows.start_for("country/US", local) == dt.datetime(
        2026, 1, 14, 19, 30, tzinfo=dt.UTC
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_shares_divide_people_by_time(spans):
    at, found = BEGIN, []
    for span in spans:
        found.append(windows.Window(at, at + span * DAY, at, at))
        at += span * DAY

    divided = windows.shares(found)

    assert (divided[0].since, divided[-1].to) == (0.0, 1.0)
    assert [s.to - s.since for s in divided] == pytest.approx(
        [n / sum(spans) for n in spans]
    )


def test_leap_days_are_days():
    day = dt.datetime(2028, 2, 29, 9, 30)

    assert windows.start_for("Europe/Berlin", day) == dt.datetime(
        2028, 2, 29, 8, 30, tzinfo=dt.UTC
    )
    silent = Hours(silent=frozenset({day.date()}))
    begin = dt.datetime(2028, 2, 28, 23, tzinfo=dt.UTC)
    found = next(windows.windows("Europe/Berlin", silent, begin))
    assert found.opens == dt.datetime(2028, 2, 29, 23, tzinfo=dt.UTC)
