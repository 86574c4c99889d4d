"""The wizard counts what the launch will do: countries that are refused, people who had enough."""

import pytest
from sqlalchemy import func, select

from clarion.base import db
from clarion.messaging import channels, countries, hours, orders
from clarion.messaging.models import Message
from clarion.testing.visitor import Visitor
from clarion_campaigns import service
from clarion_contacts import contract as contacts


def caps(per_day=1, per_week=3):
    with db.transaction():
        hours.change(
            opens=0,
            closes=1440,
            weekdays=range(7),
            per_day=per_day,
            per_week=per_week,
            approve_above=None,
        )


def counted(draft):
    with db.transaction():
        return service.had_enough(service.get(draft.id), "marketing")


@pytest.fixture
def regulars(sending_shop, run_jobs):
    """Three people who got a message a moment ago."""
    caps()
    draft = sending_shop.launched(3)
    run_jobs()
    with db.transaction():
        assert orders.progress(service.get(draft.id).campaign_id).sent == 3
    return draft


def test_who_had_enough_today_is_counted_and_waits(sending_shop, regulars, run_jobs, later):
    sending_shop.people(2, first=70_000_000)
    draft = sending_shop.draft("Again")
    page = Visitor(sending_shop.tenant).get(f"/campaigns/{draft.id}/step/review").text

    assert "3 of them have had enough from you for now" in page
    assert counted(draft) == 3
    with db.transaction():
        order = service.launch(draft.id, "key")
    run_jobs()
    with db.transaction() as orm:
        waiting = select(func.count()).where(Message.reason == "frequency_cap")
        assert orm.scalar(waiting) == 3  # exactly those
        assert service.get(order.id).people == 5  # they are not left out


def test_a_new_day_and_a_higher_cap_end_it(sending_shop, regulars, later):
    draft = sending_shop.draft("Again")
    assert counted(draft) == 3

    caps(per_day=2)
    assert counted(draft) == 0
    caps()
    later.forward(hours=25)
    assert counted(draft) == 0


def test_what_failed_for_sure_does_not_count(sending_shop, simulator, run_jobs):
    caps()
    fate = {"answer": "refuse", "code": 131026}
    simulator.post("rules", rules=[{"match": {}, "fate": fate}], replace=True)
    sending_shop.launched(3)
    run_jobs()

    assert counted(sending_shop.draft("Again")) == 0


def test_utility_is_not_capped(sending_shop, regulars):
    draft = sending_shop.draft("Again")
    with db.transaction():
        assert service.had_enough(service.get(draft.id), "utility") == 0


def test_a_refused_country_is_counted_as_it_will_be_left_out(shop, run_jobs):
    shop.people(3)
    with db.transaction():
        one = contacts.add(contacts.Details(name="Yoel", phone="+53 5 1234567"))
        contacts.opt_in(one.id, method="shop", source="till", wording="Yes, please")
        countries.refused(channels.channel_of(shop.sender_id), ["+5351234567"])
    run_jobs()
    draft = shop.draft()

    with db.transaction():
        rail = service.rail(draft.id)

    assert (rail.total, rail.reached) == (4, 3)
    assert [(row.reason, row.count) for row in rail.left_out] == [("country_restricted", 1)]
    with db.transaction():
        launched = service.launch(draft.id, "key")
        service.start(launched.id)
        order = service.get(draft.id).campaign_id
        assert orders.left_out(order) == {"country_restricted": 1}


def test_an_audience_of_nobody_had_enough_of_nothing(shop):
    with db.transaction():
        draft = service.create("Empty", "key")

        assert service.had_enough(draft, "marketing") == 0
