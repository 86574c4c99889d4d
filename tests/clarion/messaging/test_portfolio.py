"""The daily budget of a business: shared, exact, by priority, carried over."""

import threading

import pytest
from sqlalchemy import func, select, update

from clarion.base import db
from clarion.messaging import counts, dispatch, identifiers, orders, portfolio
from clarion.messaging.models import (
    Campaign,
    Channel,
    InboundMessage,
    Portfolio,
    PortfolioRecipient,
)
from clarion.tenancy import preferences
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_sender


@pytest.fixture
def business(account):
    """A portfolio of its own, limited to so many people."""

    def make(per_day, *accounts):
        with db.apart(portfolio.SYSTEM) as orm:
            row = Portfolio(
                transport="whatsapp_cloud",
                provider_id=db.new_id().hex,
                people_per_day=per_day,
            )
            orm.add(row)
            orm.flush()
            made = row.id
        for one in accounts:
            with account_scope(one.id, one.actor), db.transaction() as orm:
                orm.execute(update(Channel).values(portfolio_id=made))
        return made

    return make


def in_account(tenant, work):
    with account_scope(tenant.id, tenant.actor):
        return work()


def tally(tenant, order):
    def read():
        with db.transaction():
            return counts.tally(order)

    return in_account(tenant, read)


def test_exactly_as_many_as_allowed_by_all_workers_and_accounts(
    account, other_account, make_order, simulator, business, later
):
    """SND-18: limit 250, 4 workers, 2 accounts, 400 recipients."""
    theirs = type(make_order)(None)

    def begin():
        with db.transaction():
            for name in ("campaigns", "contacts"):
                preferences.switch(name, to=False)
        theirs.sender_id = make_sender(other_account, simulator.url)
        return theirs.start(200, first=50_000_000)[0]

    mine = make_order.start(200)[0]
    other = in_account(other_account, begin)
    made = business(250, account, other_account)
    jobs = [(account, mine), (other_account, other)] * 2

    def everybody():
        for _ in range(3):  # whoever was told to try again in a moment does
            at_once()
            later.forward(seconds=35)

    def at_once():
        threads = [
            threading.Thread(
                target=lambda t=t, o=o: in_account(t, lambda: dispatch.drain(o))
            )
            for t, o in jobs
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    everybody()
    sent = [tally(account, mine), tally(other_account, other)]
    assert sum(one.get("accepted", 0) for one in sent) == 250 == len(simulator.receipts())
    assert sum(one.get("queued", 0) for one in sent) == 150
    with db.apart(portfolio.SYSTEM) as orm:
        rows = select(func.count()).select_from(PortfolioRecipient)
        assert orm.scalar(rows.where(PortfolioRecipient.portfolio_id == made)) == 250
    assert portfolio.usage([made])[made].left == 0

    later.forward(hours=23, minutes=50)
    everybody()
    assert len(simulator.receipts()) == 250
    later.forward(minutes=10)
    everybody()
    assert len(simulator.receipts()) == 400
    assert tally(account, mine) == tally(other_account, other) == {"accepted": 200}
    assert portfolio.usage([made])[made].used == 150


def test_who_has_been_written_to_today_needs_no_second_slot(
    account, make_order, simulator, business
):
    made = business(10, account)
    first, people = make_order.start(10, purpose="utility")
    dispatch.drain(first)
    again, _ = make_order.start(
        [*people, (db.new_id(), "+5511940777777", "")], attach=False, purpose="utility"
    )
    dispatch.drain(again)

    assert tally(account, again) == {"accepted": 10, "queued": 1}
    assert portfolio.usage([made])[made].used == 10


def test_who_wrote_to_us_does_not_count(account, make_order, simulator, business):
    business(1, account)
    order, people = make_order.start(3)
    with db.transaction() as orm:
        for contact, number, _ in people[:2]:
            orm.add(
                InboundMessage(
                    provider_id=f"wamid.{contact.hex}",
                    sender_id=make_order.sender_id,
                    contact_id=contact,
                    address_idx=identifiers.index("phone", number),
                    kind="text",
                    body=b"",
                    sent_at=func.clarion_now(),
                )
            )
    dispatch.drain(order)

    assert tally(account, order) == {"accepted": 3}


def test_what_is_more_important_goes_first_when_slots_come_free(
    account, make_order, simulator, business, later
):
    business(5, account)
    low, _ = make_order.start(5, first=60_000_000)
    dispatch.drain(low)
    high, _ = make_order.start(4, first=61_000_000)
    low, _ = make_order.start(4, first=62_000_000)
    with db.transaction() as orm:
        for order, priority in ((high, 1), (low, 3)):
            orm.execute(
                update(Campaign).where(Campaign.id == order).values(priority=priority)
            )
    for order in (high, low):
        dispatch.drain(order)
    later.forward(hours=24, seconds=30)
    for order in (low, high):
        dispatch.drain(order)

    assert tally(account, low) == {"accepted": 1, "queued": 3}
    assert tally(account, high) == {"accepted": 4}


def test_an_order_that_waits_says_until_when_and_is_not_rung(
    account, make_order, simulator, business
):
    import datetime as dt

    business(0, account)
    order, _ = make_order.start(3)
    dispatch.drain(order)
    with db.transaction() as orm:
        row = orm.execute(
            select(Campaign.waits_for, Campaign.waits_until - func.clarion_now()).where(
                Campaign.id == order
            )
        ).one()
        assert row[0] == "daily_limit"
        assert row[1] > dt.timedelta(minutes=50)
        assert counts.standing(dt.timedelta()) == []
        assert orders.progress(order).state == "running"
        assert counts.reasons(order, "queued") == {("daily_limit", ""): 3}
