"""One-time codes by the clock: the numbers of the standard, and what is near enough."""

import datetime as dt

import pytest

from clarion.tenancy import totp

SECRET = b"12345678901234567890"  # RFC 6238, appendix B


@pytest.mark.parametrize(
    ("second", "eight"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_numbers_of_the_standard(second, eight):
    """The standard prints eight digits; six are their tail."""
    moment = dt.datetime.fromtimestamp(second, dt.UTC)

    assert totp.code(SECRET, totp.step_at(moment)) == eight[-6:]


@pytest.mark.parametrize(
    ("seconds", "good"), [(-31, True), (0, True), (29, True), (31, True)]
)
def test_a_code_is_good_for_its_neighbours(seconds, good):
    now = dt.datetime(2026, 3, 1, 12, 0, 15, tzinfo=dt.UTC)
    typed = totp.code(SECRET, totp.step_at(now + dt.timedelta(seconds=seconds)))

    assert (totp.matching(SECRET, typed, now) is not None) is good


@pytest.mark.parametrize("seconds", [-75, 75, 3600])
def test_and_for_no_other_time(seconds):
    now = dt.datetime(2026, 3, 1, 12, 0, 15, tzinfo=dt.UTC)
    typed = totp.code(SECRET, totp.step_at(now + dt.timedelta(seconds=seconds)))

    assert totp.matching(SECRET, typed, now) is None


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "0" * 4000])
def test_odd_codes_are_no_codes(typed):
    assert totp.matching(SECRET, totp.plain(typed), dt.datetime.now(dt.UTC)) is None


def test_the_address_is_what_apps_read():
    address = totp.address(SECRET, issuer="Clarion", name="ana@example.org")

    assert address == (
        "otpauth://totp/Clarion%3Aana%40example.org"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Clarion"
    )
    assert totp.shown(SECRET) == "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
