"""From a frozen audience to receipts: the ledger and the simulator must agree."""

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.messaging import counts, dispatch, orders, suppression, window
from clarion.messaging.models import SenderBucket
from clarion.messaging.preparing import Preparer
from clarion.work import outbox


def tally(order):
    with db.transaction():
        return counts.tally(order)


def test_everybody_gets_it_once(make_order, simulator, run_jobs):
    order, people = make_order.start(120)

    run_jobs()

    assert tally(order) == {"accepted": 120}
    assert sorted(r["to"] for r in simulator.receipts()) == sorted(n for _, n, _ in people)
    with db.transaction():
        assert orders.progress(order).state == "finished"


def test_a_second_drain_sends_nothing_more(make_order, simulator, run_jobs):
    order, _ = make_order.start(10)
    run_jobs()

    for _ in range(3):
        dispatch.drain(order)

    assert len(simulator.receipts()) == 10


def test_who_said_stop_before_the_intent_gets_nothing(make_order, simulator, run_jobs):
    order, people = make_order.start(5)
    with db.transaction():
        suppression.suppress([("phone", people[0][1])], reason="stop")

    run_jobs()

    assert tally(order) == {"accepted": 4, "suppressed": 1}
    assert people[0][1] not in {r["to"] for r in simulator.receipts()}


def test_who_said_stop_by_another_identifier_gets_nothing(make_order, simulator, run_jobs):
    from clarion.messaging import identifiers

    order, people = make_order.start(2)
    with db.transaction():
        identifiers.attach(people[0][0], [("bsuid", "BR.123456789")], "test")
    with db.transaction():
        suppression.suppress([("bsuid", "BR.123456789")], reason="stop")

    run_jobs()

    assert tally(order) == {"accepted": 1, "suppressed": 1}


def test_left_out_people_have_a_row_and_a_reason(make_order, simulator, run_jobs):
    people = [(db.new_id(), f"+5511940000{i:03d}", "") for i in range(3)]
    people.append((db.new_id(), "+5511940000999", "no_consent"))
    order, _ = make_order.start(people)

    run_jobs()

    with db.transaction():
        assert orders.left_out(order) == {"no_consent": 1}
    assert len(simulator.receipts()) == 3


def test_an_answer_that_never_comes_is_unknown(make_order, simulator, run_jobs):
    simulator.post(
        "rules",
        rules=[{"match": {"to": ["+5511940000000"]}, "fate": {"answer": "reset_accepted"}}],
    )
    order, _ = make_order.start(2)

    run_jobs()

    assert tally(order) == {"accepted": 1, "unknown": 1}
    assert len(simulator.receipts()) == 2


def test_a_refused_number_fails_with_its_code(make_order, simulator, run_jobs):
    simulator.post(
        "rules",
        rules=[
            {
                "match": {"to": ["+5511940000000"]},
                "fate": {"answer": "refuse", "code": 131026},
            }
        ],
    )
    order, _ = make_order.start(2)

    run_jobs()

    with db.transaction():
        failed = orders.failures(order)
    assert [(f.code, f.count) for f in failed] == [("131026", 1)]
    assert failed[0].title


def test_a_revoked_token_pauses_and_burns_nobody(make_order, simulator, run_jobs):
    simulator.post(
        "rules", rules=[{"match": {}, "fate": {"answer": "refuse", "code": 190}}]
    )
    order, _ = make_order.start(5)

    run_jobs()

    assert tally(order) == {"queued": 5}
    with db.transaction():
        assert orders.progress(order).state in ("paused", "pausing")
    assert simulator.receipts() == []


def test_pause_then_resume(make_order, simulator, run_jobs):
    order, _ = make_order.start(5)
    with db.transaction():
        assert orders.pause(order) == "paused"
    run_jobs()
    assert simulator.receipts() == []

    with db.transaction():
        orders.resume(order)
    run_jobs()

    assert len(simulator.receipts()) == 5


def test_cancel_leaves_the_rest_unsent(make_order, simulator, run_jobs):
    order, _ = make_order.start(5)
    with db.transaction():
        assert orders.cancel(order) == 5

    run_jobs()

    assert tally(order) == {"cancelled": 5}
    with pytest.raises(Conflict), db.transaction():
        orders.cancel(order)


def test_a_veto_that_cannot_be_asked_lets_nobody_through(
    make_order, simulator, monkeypatch
):
    from clarion.plugging.manager import plugins

    order, _ = make_order.start(3)
    monkeypatch.setattr(plugins(), "_shut", {"whatsapp_cloud": ["before_send"]})

    dispatch.drain(order)

    assert simulator.receipts() == []
    assert tally(order) == {"queued": 3}
    assert outbox.waiting()[0] >= 0


def test_a_call_that_cannot_begin_soon_after_its_intent_is_not_made(
    make_order, simulator, monkeypatch
):
    order, _ = make_order.start(3)
    monkeypatch.setattr(dispatch, "BEGIN_SECONDS", -1.0)
    monkeypatch.setattr(dispatch, "SLICE_SECONDS", 0.2)

    dispatch.drain(order)

    assert simulator.receipts() == []
    assert tally(order) == {"queued": 3}
    with db.transaction():
        (again,) = counts.reasons(order, "queued")
    assert again[0] == "not_begun"


def test_a_fast_number_prepares_two_batches_at_once(make_order, simulator, monkeypatch):
    hands = []
    one = dispatch._Hand
    monkeypatch.setattr(
        dispatch, "_Hand", lambda plan: hands.append(one(plan)) or hands[-1]
    )
    monkeypatch.setattr(window, "FIRST", window.MOST)
    order, people = make_order.start(1_500)

    dispatch.drain(order)

    assert len(hands) == 2
    assert tally(order) == {"accepted": 1_500}
    assert sorted(r["to"] for r in simulator.receipts()) == sorted(n for _, n, _ in people)


def test_an_order_with_nobody_left_takes_no_share_of_the_rate(make_order):
    order, _ = make_order.start(3)
    with db.transaction():
        prepare = Preparer(dispatch._plan(order))

    def taken():
        with db.transaction() as orm:
            columns = SenderBucket.slice_at, SenderBucket.slot, SenderBucket.used
            return orm.execute(select(*columns)).one()

    unused = taken()
    assert prepare(100).claimed == 3
    before = taken()
    assert before != unused

    found = [prepare(100), prepare(1, suspect=True)]

    assert [one.claimed for one in found] == [0, 0]
    assert taken() == before
