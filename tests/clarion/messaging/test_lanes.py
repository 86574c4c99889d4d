"""Who gets a free slot: lanes, accounts in turn, and a worker that nobody can hold."""

import threading
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.base import db
from clarion.messaging import counts, lanes, orders, reconcile, slots
from clarion.messaging.lanes import Wish
from clarion.tenancy import preferences
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender
from clarion.work import jobs, outbox

ACCOUNTS = [uuid4() for _ in range(5)]
WISHES = st.builds(
    Wish,
    st.uuids(),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(["code", "reply", "utility", "fresh", "dispatch"]),
)


def fill(waiting, running=()):
    """Give slots away until nobody may have one."""
    waiting, running = list(waiting), list(running)
    while one := lanes.choose(waiting, running):
        waiting.remove(one)
        running.append(one)
    return running


def test_the_highest_lane_goes_first():
    account = uuid4()
    wishes = [Wish(uuid4(), account, q) for q in ("dispatch", "utility", "reply", "code")]
    queues = [one.queue for one in fill(wishes)]
    assert queues == ["code", "reply", "utility", "dispatch"]


def test_what_has_just_started_goes_before_what_goes_on():
    on, fresh = (Wish(uuid4(), uuid4(), q) for q in ("dispatch", "fresh"))
    assert lanes.choose([on, fresh], []) == fresh


def test_an_account_with_many_campaigns_gets_no_more_than_its_share():
    many, one, other = uuid4(), Wish(uuid4(), uuid4(), "fresh"), uuid4()
    wishes = [Wish(uuid4(), many, "fresh") for _ in range(100)]
    wishes += [one] + [Wish(uuid4(), other, "dispatch") for _ in range(5)]

    held = fill(wishes)

    assert one in held
    shares = [sum(w.account_id == who for w in held) for who in (many, other)]
    assert abs(shares[0] - shares[1]) <= 1


@given(st.lists(WISHES, max_size=60), st.lists(WISHES, max_size=8))
def test_slots_are_never_too_many_and_never_idle(waiting, running):
    held = fill(waiting, running)
    left = [one for one in waiting if one not in held]
    bulk = sum(one.bulk for one in held)

    assert len(held) <= max(lanes.SLOTS, len(running))
    assert bulk <= lanes.BULK_SLOTS
    if any(one.bulk for one in left):
        assert bulk >= 1
    if left and len(held) < lanes.SLOTS:
        assert bulk == lanes.BULK_SLOTS or len(held) - bulk == lanes.URGENT_SLOTS


def test_an_order_is_not_started_twice_at_a_time():
    one = Wish(uuid4(), uuid4(), "dispatch")
    assert lanes.choose([one], [], [one]) is None
    assert lanes.choose([one], [one]) is None


def test_too_many_hanging_orders_count_as_busy():
    slow = [Wish(uuid4(), uuid4(), "dispatch") for _ in range(lanes.LINGERING + 12)]
    assert lanes.choose([Wish(uuid4(), uuid4(), "code")], [], slow[:-1]) is not None
    assert lanes.choose([Wish(uuid4(), uuid4(), "code")], [], slow) is None


# --- a worker's thread


@pytest.fixture
def serving(clean):
    """Slots at work, and the relay that rings for them."""
    stop = threading.Event()
    thread = slots.serve(stop.is_set)

    def relay():
        while not stop.wait(0.05):
            outbox.relay()

    relaying = threading.Thread(target=relay)
    relaying.start()
    yield thread
    stop.set()
    thread.join(30)
    relaying.join()
    assert not thread.is_alive()


def another(url, people, order_of):
    """Another account with a number at `url` and an order for so many people."""
    tenant = make_account()
    with account_scope(tenant.id, tenant.actor):
        with db.transaction():
            for name in ("campaigns", "contacts"):
                preferences.switch(name, to=False)
        order_of.sender_id = make_sender(tenant, url, rate_per_s=80)
        return tenant, order_of.start(people)[0]


def done(order):
    with db.transaction():
        return orders.progress(order).state == "finished"


def until(true, seconds=30.0):
    turn = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if true():
            return
        turn.wait(0.05)
    pytest.fail("that did not come")


def test_dead_slow_and_large_orders_do_not_hold_up_a_small_one(
    account, make_order, simulator, serving
):
    """SND-17, SND-19: a lone worker, beside twenty accounts that get nowhere."""
    hang = {"match": {"sender": "5550147", "prefix": "+55119400"}, "fate": {}}
    mine, sender_id = type(make_order), make_order.sender_id
    for n in range(20):
        another(f"http://127.0.0.1:{9 + n % 2}", 60, mine(sender_id))
    hang["fate"] = {"answer": "hang"}
    simulator.post("rules", rules=[hang])
    for _ in range(14):
        another(simulator.url, 30, mine(sender_id))
    big, _ = make_order.start(5_000, first=70_000_000)
    small, _ = make_order.start(20, first=60_000_000)

    until(lambda: done(small))

    with db.transaction():
        assert counts.tally(small) == {"accepted": 20}
        assert orders.progress(big).state in ("running", "finished")


def test_an_order_that_nobody_rang_is_found_without_the_broker(make_order, simulator):
    order, _people = make_order.start(3)

    args = {"campaign_id": str(order)}
    (bell,) = [one for one in reconcile.unrung() if one.payload["args"] == args]
    jobs.run(bell.path, bell.payload, raises=True)

    assert len(simulator.receipts()) == 3
    assert str(order) not in str(reconcile.unrung())
