"""A sender's pace in the database: slices, throttling, waiting, headroom, pairs."""

import threading

import pytest
from sqlalchemy import func, select, update

from clarion.base import db
from clarion.messaging import counts, dispatch, orders, pacing
from clarion.messaging.contract import Busy
from clarion.messaging.models import Campaign, Channel, Message, PairNext, Sender
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_sender


@pytest.fixture
def sender(account):
    return make_sender(account, rate_per_s=80)


def take(sender, want=100, **more):
    with db.transaction():
        return pacing.take(sender, want, **more)


def say(sender, *busy, **more):
    with db.transaction() as orm:
        channel = orm.scalar(select(Sender.channel_id).where(Sender.id == sender))
        pacing.busy(channel, sender, Busy(*busy, **more))


def test_several_threads_share_a_slice(account, sender):
    """SND-16: whoever asks, a slice is given once."""
    found, start = [], threading.Barrier(4)

    def ask():
        with account_scope(account.id, account.actor):
            start.wait()
            found.append(take(sender).count)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert max(found) == 8
    assert sum(found) <= 16  # a slow machine may have come to the next one


def test_a_throttled_sender_goes_on_at_half_and_regains(sender, later):
    say(sender, "sender", 3.0, "130429", throttles=True)
    say(sender, "sender", 3.0, "130429", throttles=True)  # of the same storm
    later.forward(seconds=2)
    assert take(sender).count == 4

    later.forward(seconds=60)
    assert take(sender).count == 6  # 50 % and six times 5 %: 64 a second
    later.forward(seconds=60)
    assert take(sender).count == 8


def test_a_second_storm_halves_again(sender, later):
    say(sender, "sender", 3.0, "130429", throttles=True)
    later.forward(seconds=3)
    say(sender, "sender", 3.0, "130429", throttles=True)
    later.forward(seconds=3)
    assert take(sender).count == 2


def test_a_busy_sender_waits_and_says_why(sender, later):
    say(sender, "sender", 90.0, "131057")

    grant = take(sender)
    assert (grant.count, grant.why) == (0, "131057")
    assert 80 < grant.wait_seconds <= 90
    later.forward(seconds=91)
    assert take(sender).count == 8


def test_a_busy_token_slows_every_number_of_its_connection(sender, later):
    say(sender, "token", 300.0, "4")

    assert take(sender).why == "4"
    later.forward(seconds=301)
    assert take(sender).count == 8


def test_the_operators_lower_rate_holds(sender):
    with db.transaction() as orm:
        orm.execute(update(Sender).values(own_rate_per_s=20).where(Sender.id == sender))
    assert take(sender).count == 2


def test_bulk_has_it_all_until_something_urgent_comes(sender, later):
    assert take(sender, lane=4).count == 8
    later.forward(seconds=2)
    assert take(sender, 1, lane=2).count == 1
    later.forward(seconds=2)
    assert take(sender, lane=4).count == 6
    later.forward(seconds=pacing.URGENT_SECONDS + 1)
    assert take(sender, lane=4).count == 8


def test_a_dead_provider_ends_the_slice_and_rests(make_order, later):
    """What is not there must not hold a worker: the order waits, longer each time."""
    order, _ = make_order.start(300)
    with db.transaction() as orm:
        orm.execute(
            update(Channel).values(
                config={"waba_id": "9900", "base_url": "http://127.0.0.1:9"}
            )
        )
    dispatch.drain(order)

    grant = take(make_order.sender_id)
    assert (grant.count, grant.why) == (0, "unreachable")
    assert grant.misses == 1
    with db.transaction():
        assert counts.tally(order) == {"queued": 300}
        assert orders.progress(order).state == "running"
    later.forward(seconds=3)
    dispatch.drain(order)
    assert 2 < take(make_order.sender_id).wait_seconds <= 4


def test_a_person_is_left_alone_for_longer_each_time(make_order, simulator, later):
    """131056: this pair waits 6 s × 4ⁿ; the others go on."""
    order, people = make_order.start(3)
    rule = {"match": {"to": [people[0][1]]}, "fate": {"answer": "refuse", "code": 131056}}
    simulator.post("rules", rules=[rule])
    waits = []
    for _ in range(3):
        dispatch.drain(order)
        with db.transaction() as orm:
            waits.append(orm.scalar(select(PairNext.next_at - func.clarion_now())))
        later.forward(seconds=waits[-1].total_seconds() + 7)

    assert [round(w.total_seconds() / 6) for w in waits] == [1, 4, 16]
    with db.transaction():
        assert counts.tally(order) == {"accepted": 2, "queued": 1}


def test_replies_to_one_person_are_45_at_once_and_then_one_in_six_seconds(
    make_order, simulator, later
):
    order, _ = make_order.start(1, purpose="service")
    with db.transaction() as orm:
        message = orm.scalar(select(Message.id).where(Message.campaign_id == order))
        for _ in range(44):
            pacing.note_pairs([message])
        assert not pacing.take(make_order.sender_id, 1, lane=2).pairs
        pacing.note_pairs([message])
    dispatch.drain(order)
    assert simulator.receipts() == []

    later.forward(seconds=7)
    dispatch.drain(order)
    assert len(simulator.receipts()) == 1


def test_an_orders_purpose_is_its_lane(make_order):
    lanes = {}
    for purpose in ("auth", "service", "utility", "marketing"):
        order, _ = make_order.start(1, attach=False, purpose=purpose)
        with db.transaction() as orm:
            lanes[purpose] = orm.scalar(select(Campaign.lane).where(Campaign.id == order))
    assert lanes == {"auth": 1, "service": 2, "utility": 3, "marketing": 4}
