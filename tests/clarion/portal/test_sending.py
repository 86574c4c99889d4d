"""Settings of sending: hours, caps, approval, days without sending."""

import datetime as dt

import pytest

from clarion.messaging import hours
from clarion.testing.visitor import Visitor

DAY = dt.date(2099, 12, 25)


@pytest.fixture
def owner(account):
    visitor = Visitor(account)
    visitor.get("/settings/sending/")
    return visitor


def test_rules_are_shown_and_kept(owner):
    given = {"opens": 600, "closes": 1080, "weekdays": [0, 1, 2], "per_day": 2}

    answer = owner.post(
        "/settings/sending/", **given, per_week=4, approve_above=500, price="99.5"
    )

    assert answer.status_code == 302
    rules = hours.rules()
    assert (rules.opens, rules.closes, rules.weekdays) == (600, 1080, {0, 1, 2})
    assert (rules.per_day, rules.per_week, rules.approve_above) == (2, 4, 500)
    page = owner.get("/settings/sending/").text
    assert '<option selected value="600">10:00</option>' in page
    assert page.count("checked") == 3
    assert 'value="500"' in page
    assert rules.approve_above_price == 99_500_000
    assert 'value="99.5"' in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"opens": 1080, "closes": 600},
        {"per_day": 5, "per_week": 4},
        {"per_day": ""},
        {"approve_above": -1},
        {"price": -1},
        {"price": "much"},
        {"weekdays": []},
        {"weekdays": [9]},
    ],
)
def test_what_makes_no_sense_is_said_at_its_field(owner, wrong):
    given = {"opens": 600, "closes": 1080, "weekdays": [0], "per_day": 1, "per_week": 4}

    answer = owner.post("/settings/sending/", **{**given, **wrong})

    assert answer.status_code == 422
    assert "Please look at this again" in answer.text
    assert hours.rules().per_week == 3


def test_days_without_sending(owner):
    added = owner.post("/settings/sending/days", day=DAY.isoformat(), name="Christmas")
    wrong = owner.post("/settings/sending/days", day="never")

    assert (added.status_code, wrong.status_code) == (302, 422)
    assert hours.silent_days(DAY) == [(DAY, "Christmas")]
    assert "Christmas" in owner.get("/settings/sending/").text
    gone = owner.post("/settings/sending/days/remove", day=DAY.isoformat())
    again = owner.post("/settings/sending/days/remove", day="nonsense")
    assert (gone.status_code, again.status_code) == (302, 404)
    assert hours.silent_days(DAY) == []
