"""One business, several accounts and connections: what stops it stops all of them."""

import json

import pytest
from sqlalchemy import select, update

from clarion.base import db
from clarion.messaging import (
    breakers,
    channels,
    counts,
    identifiers,
    limits,
    orders,
    reconcile,
)
from clarion.messaging.contract import Halted, Limits, RawWebhook
from clarion.messaging.models import Breaker, Channel, Sender
from clarion.tenancy import preferences
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_sender
from clarion.testing.visitor import Visitor
from clarion.work import webhooks


class Seat:
    """An account that writes for a business, from a number of its own."""

    def __init__(self, tenant, simulator, business):
        self.tenant, self.sender_id = tenant, make_sender(tenant, simulator.url)
        with self.inside(), db.transaction() as orm:
            for name in ("campaigns", "contacts"):
                preferences.switch(name, to=False)
            self.channel_id = orm.scalars(select(Channel.id)).one()
            limits.belong(self.channel_id, Limits("5550147", business=business))

    def inside(self):
        return account_scope(self.tenant.id, self.tenant.actor)

    def stops(self):
        with self.inside(), db.transaction() as orm:
            orm.expire_all()
            return {(s.kind, s.state, s.reason) for s in breakers.standing()}

    def channel(self):
        with self.inside(), db.transaction() as orm:
            return orm.execute(select(Channel.state, Channel.state_reason)).one()

    def order(self, make_audience, people=3):
        found = [(db.new_id(), f"+55119{41_000_000 + n:08d}", "") for n in range(people)]
        with self.inside(), db.transaction():
            identifiers.attach_many([(c, "phone", n) for c, n, _ in found], "test")
            order = orders.create(
                "Sale", "marketing", self.sender_id, make_audience.TEMPLATE
            )
            orders.start(order.id, make_audience.audience(found))
            return order.id

    def tally(self, order):
        with self.inside(), db.transaction():
            return counts.tally(order)

    def hears(self, **value):
        change = {"field": "account_update", "value": value}
        entry = [{"id": "9900", "time": 1_790_000_000, "changes": [change]}]
        body = {"object": "whatsapp_business_account", "entry": entry}
        raw = RawWebhook(json.dumps(body).encode(), {})
        pieces = list(channels.transports()["whatsapp_cloud"].split(raw))
        webhooks.receive("messaging", self.tenant.id, self.channel_id, pieces)
        webhooks.apply_now(self.tenant.id)


@pytest.fixture
def seats(quiet_house, account, other_account, simulator):
    name = f"business:{db.new_id().hex}"
    return [Seat(one, simulator, name) for one in (account, other_account)]


def test_a_restricted_business_stops_every_account_of_it(
    seats, simulator, make_audience, run_jobs
):
    one, other = seats
    fate = {"answer": "refuse", "code": 368}
    simulator.post("rules", rules=[{"match": {}, "fate": fate}], replace=True)
    order = one.order(make_audience)
    run_jobs()

    stopped = {("portfolio", "open", "policy_restriction")}
    assert (one.stops(), other.stops()) == (stopped, stopped)
    assert other.channel() == ("paused", "policy_restriction")
    assert one.tally(order) == {"queued": 3}  # nobody paid for it
    simulator.post("rules", rules=[], replace=True)
    waiting = other.order(make_audience)
    run_jobs()
    assert other.tally(waiting) == {"queued": 3}
    page = Visitor(other.tenant).get("/").text
    assert "Your business was stopped" in page


def test_the_providers_word_to_one_lets_all_try(seats, simulator, make_audience, run_jobs):
    one, other = seats
    one.hears(event="DISABLED_UPDATE", ban_info={"waba_ban_state": "DISABLE"})
    run_jobs()
    orders_ = [seat.order(make_audience) for seat in seats]
    run_jobs()
    assert other.stops() == {("portfolio", "open", "account_locked")}
    assert simulator.receipts() == []

    one.hears(event="DISABLED_UPDATE", ban_info={"waba_ban_state": "REINSTATE"})
    for _ in range(3):
        run_jobs()
        reconcile.look()
    run_jobs()
    assert [seat.stops() for seat in seats] == [set(), set()]
    assert [seat.tally(o) for seat, o in zip(seats, orders_, strict=True)] == [
        {"accepted": 3},
        {"accepted": 3},
    ]


def test_each_account_decides_by_itself_to_go_on(seats, run_jobs):
    one, other = seats
    with one.inside(), db.transaction():
        assert breakers.open_channel(one.channel_id, "template_misuse_limit")
        assert not breakers.open_channel(one.channel_id, "template_misuse_limit")
    run_jobs()

    with one.inside(), db.transaction():
        channels.resume_sender(one.sender_id)
    run_jobs()

    assert one.stops() == set()
    assert one.channel()[0] == "active"
    assert other.stops() == {("portfolio", "open", "template_misuse_limit")}


def test_a_token_is_of_one_connection_only(seats, run_jobs):
    one, other = seats
    with one.inside(), db.transaction():
        order = db.new_id()
        halt = Halted("channel", "token_invalid", "190")
        breakers.halted(one.channel_id, one.sender_id, order, halt)
    run_jobs()

    assert one.stops() == {("channel", "open", "token_invalid")}
    assert other.stops() == set()


def test_two_numbers_people_do_not_like_are_the_business(seats, run_jobs):
    one, other = seats
    with one.inside(), db.transaction():
        breakers.open_("sender", str(one.sender_id), "number_quality_red")
    run_jobs()
    assert other.stops() == set()  # one number may be the number's own fault

    with other.inside(), db.transaction():
        breakers.open_("sender", str(other.sender_id), "opt_out_rate")
    run_jobs()

    both = [dict.fromkeys(kind for kind, _s, _r in seat.stops()) for seat in seats]
    assert all("portfolio" in kinds for kinds in both)


def test_a_connection_whose_business_is_unknown_stops_alone(seats, run_jobs):
    one, other = seats
    with one.inside(), db.transaction() as orm:
        orm.execute(update(Channel).values(portfolio_id=None))
        breakers.open_channel(one.channel_id, "account_locked")
    run_jobs()

    assert one.stops() == {("channel", "open", "account_locked")}
    assert other.stops() == set()
    with one.inside(), db.transaction() as orm:
        assert orm.scalar(select(Breaker.kind)) == "channel"
        assert orm.scalar(select(Sender.state)) == "active"
