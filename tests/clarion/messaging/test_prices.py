"""Price lists: entered by staff, with a day; nothing is invented where there is no line."""

import datetime as dt
from decimal import Decimal

import pytest

from clarion.base import db
from clarion.base.errors import Forbidden, Invalid
from clarion.messaging import prices
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import staff_scope
from clarion.testing.factories import make_sender

TODAY = dt.datetime.now(dt.UTC).date()
LIST = """
BR; marketing; 0.0625
IN;marketing;0,0099
BR	utility	0.008
*, marketing, 0.06
"""


def enter(text=LIST, day=TODAY, currency="usd"):
    with staff_scope(COMMAND), db.transaction():
        return prices.enter("whatsapp_cloud", day, currency, text)


@pytest.fixture
def sender(account):
    """A number; whatever lists a test enters are gone afterwards."""
    yield make_sender(account)
    with staff_scope(COMMAND), db.transaction():
        for one in prices.lists():
            prices.remove(one.transport, one.valid_from)


def quote(sender, people, category="marketing", at=None):
    with db.transaction():
        return prices.quote(sender, category, people, at)


def test_each_country_has_its_price_and_others_the_common_one(sender):
    assert enter() == 4

    found = quote(sender, [("BR", 100), ("IN", 10), ("DE", 1), ("", 1)])

    assert found == prices.Quote("USD", 100 * 62_500 + 10 * 9_900 + 2 * 60_000)
    assert found.amount == Decimal("6.469")


def test_without_a_line_the_price_is_not_known(sender):
    assert quote(sender, [("BR", 1)]) is None
    enter()

    assert quote(sender, [("BR", 2), ("DE", 5)], "utility").unpriced == 5
    assert quote(sender, [("BR", 2)], "auth") is None


def test_a_list_holds_from_its_day_and_keeps_what_it_does_not_name(sender):
    enter()
    next_month = TODAY + dt.timedelta(days=31)
    enter("BR;marketing;0.07", next_month)
    later = dt.datetime.combine(next_month, dt.time(12), dt.UTC)

    assert quote(sender, [("BR", 1)]).micros == 62_500
    assert quote(sender, [("BR", 1), ("IN", 1)], at=later).micros == 79_900


def test_the_same_day_again_replaces_the_list(sender):
    enter()
    enter("BR;marketing;0.05")

    assert quote(sender, [("BR", 1), ("IN", 1)]) == prices.Quote("USD", 50_000, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BR;marketing", "Line 1: it needs a country, a category and a price."),
        ("\nXX;marketing;1", "Line 2: “XX” is no country."),
        ("BR;gossip;1", "Line 1: “gossip” is no category."),
        ("BR;marketing;cheap", "Line 1: “cheap” is no price."),
        ("BR;marketing;-1", "Line 1: “-1” is no price."),
        ("BR;marketing;NaN", "Line 1: “NaN” is no price."),
        ("BR;marketing;0.00000001", "Line 1: a price has six decimals at most."),
        ("BR;marketing;1\nbr;marketing;2", "Line 2: this price is there twice."),
        ("", "Enter between 1 and 2000 prices, one a line."),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_nothing_is_kept(sender, text, said):
    enter()
    with pytest.raises(Invalid) as refused:
        enter(text)

    assert refused.value.text == said
    assert quote(sender, [("BR", 1)]).micros == 62_500


def test_one_currency_for_all_lists_of_a_provider(sender):
    enter()

    for wrong, code in (("EURO", "currency_invalid"), ("EUR", "currency_other")):
        with pytest.raises(Invalid) as refused:
            enter(day=TODAY + dt.timedelta(days=1), currency=wrong)
        assert refused.value.code == code


def test_customers_cannot_enter_prices(sender):
    with pytest.raises(Forbidden), db.transaction():
        prices.enter("whatsapp_cloud", TODAY, "USD", LIST)
