"""An account with people to be reminded of."""

import datetime as dt

import pytest

from clarion.base import clock, db


@pytest.fixture
def today():
    return clock.now().date()


@pytest.fixture
def in_days(today):
    return lambda number: today + dt.timedelta(days=number)


@pytest.fixture
def make_contact(account):
    """Add somebody who has agreed to be written to."""
    from clarion_contacts import contract as contacts

    def make(name="Asha", number=1):
        details = contacts.Details(name=name, phone=f"+5511 9{30_000_000 + number:08d}")
        with db.transaction():
            one = contacts.add(details)
            contacts.opt_in(one.id, method="shop", source="till", wording="Yes, please")
        return one.id

    return make


@pytest.fixture
def contact(make_contact):
    return make_contact()
