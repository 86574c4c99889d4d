"""What time does to messages, by a clock that is moved: doubts, ends, undelivered."""

import pytest
from sqlalchemy import select, update

from clarion.base import db
from clarion.messaging import counts, orders, outcomes, reconcile
from clarion.messaging.models import Campaign, Message, MessageEvent
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import system_scope


def tally(order):
    with db.transaction():
        return counts.tally(order)


def reasons(order):
    with db.transaction() as orm:
        return set(
            orm.execute(
                select(Message.state, Message.reason).where(Message.campaign_id == order)
            ).tuples()
        )


def answers(simulator, answer, **more):
    rule = {"match": {}, "fate": {"answer": answer, **more}}
    simulator.post("rules", rules=[rule], replace=True)


def look():
    """The reconciler's own look across accounts, as the relay rings it."""
    with system_scope(SYSTEM_JOB):
        reconcile.look.function()
        reconcile.close_books.function()


def test_after_three_days_an_unknown_outcome_is_a_question(
    make_order, simulator, run_jobs, later
):
    answers(simulator, "reset_accepted")
    order, _ = make_order.start(2)
    run_jobs()
    later.forward(hours=71)
    look()
    assert tally(order) == {"unknown": 2}

    later.forward(hours=2)
    look()

    assert reasons(order) == {("needs_decision", "no_answer")}
    assert len(simulator.receipts()) == 2  # nobody got anything meanwhile


def test_for_a_code_a_quarter_of_an_hour_is_enough(make_order, simulator, run_jobs, later):
    answers(simulator, "reset_accepted")
    order, _ = make_order.start(1, purpose="auth")
    run_jobs()

    later.forward(minutes=16)
    look()

    assert tally(order) == {"needs_decision": 1}


def test_what_the_provider_holds_and_forgets_is_a_question_too(
    make_order, simulator, run_jobs, later
):
    answers(simulator, "held")
    order, _ = make_order.start(1)
    run_jobs()
    assert reasons(order) == {("held", "provider_quality")}

    later.forward(hours=73)
    look()

    assert reasons(order) == {("needs_decision", "provider_quality")}


@pytest.mark.parametrize("purpose", ["utility", "auth"])
def test_at_least_once_tries_twice_more_and_then_asks(
    make_order, simulator, run_jobs, later, purpose
):
    answers(simulator, "reset")
    with db.transaction() as orm:
        order, _ = make_order.start(1, purpose=purpose)
        orm.execute(update(Campaign).values(delivery_mode="at_least_once"))
    run_jobs()
    assert tally(order) == {"unknown": 1}
    look()
    assert tally(order) == {"unknown": 1}  # a minute has to pass

    for attempt in (2, 3):
        later.forward(minutes=2)
        look()
        run_jobs()
        with db.transaction() as orm:
            row = orm.execute(select(Message.state, Message.attempt)).one()
        assert tuple(row) == ("unknown", attempt)

    later.forward(minutes=2)
    look()
    run_jobs()
    assert tally(order) == {"unknown": 1}
    later.forward(hours=73)
    look()
    assert tally(order) == {"needs_decision": 1}


def test_at_least_once_gets_through_in_the_end(make_order, simulator, run_jobs, later):
    answers(simulator, "reset")
    with db.transaction() as orm:
        order, _ = make_order.start(3, purpose="utility")
        orm.execute(update(Campaign).values(delivery_mode="at_least_once"))
    run_jobs()
    with db.transaction():
        assert orders.progress(order).state == "finished"

    simulator.post("rules", rules=[], replace=True)
    later.forward(minutes=2)
    look()
    run_jobs()

    assert tally(order) == {"accepted": 3}
    with db.transaction():
        assert orders.progress(order).state == "finished"


def test_what_waits_at_the_end_of_a_campaign_is_not_sent(
    make_order, simulator, run_jobs, later
):
    order, people = make_order.start(2, first=99_000_000)
    with db.transaction() as orm:
        orders.pause(order)
        end = orm.scalar(select(Campaign.started_at))
        orm.execute(update(Campaign).values(finish_by=end))
        orm.execute(update(Message).values(expires_at=end))
    later.forward(hours=4)

    look()
    run_jobs()

    assert reasons(order) == {("expired", "not_started")}
    with db.transaction():
        assert orders.progress(order).state == "finished"
    reached = {receipt["to"] for receipt in simulator.receipts()}
    assert reached.isdisjoint(number for _, number, _ in people)  # others may go on


@pytest.mark.parametrize(("purpose", "life_hours"), [("marketing", 720), ("auth", 1 / 6)])
def test_what_is_not_delivered_in_its_life_and_an_hour_expires_once(
    make_order, simulator, run_jobs, later, purpose, life_hours
):
    order, _ = make_order.start(2, purpose=purpose)
    run_jobs()
    later.forward(hours=life_hours + 0.9)
    look()
    assert tally(order) == {"accepted": 2}

    later.forward(hours=0.2)
    look()

    assert reasons(order) == {("expired", "undelivered")}
    with db.transaction() as orm:
        assert orm.scalar(select(Campaign.closed_at)) is not None
        assert (
            orm.scalar(
                select(MessageEvent.reason)
                .where(MessageEvent.to_state == "expired")
                .limit(1)
            )
            == "undelivered"
        )


def test_a_template_may_have_a_life_of_its_own(make_order, simulator, run_jobs, later):
    order, _ = make_order.start(1)
    run_jobs()
    with db.transaction() as orm:
        template = orm.scalar(select(Campaign.template))
        orm.execute(update(Campaign).values(template={**template, "ttl_seconds": 43_200}))

    later.forward(hours=13.1)
    look()

    assert tally(order) == {"expired": 1}


def test_a_campaign_with_open_questions_is_not_closed(
    make_order, simulator, run_jobs, later
):
    answers(simulator, "reset")
    order, _ = make_order.start(1)
    run_jobs()

    later.forward(days=40)
    look()

    assert tally(order) == {"needs_decision": 1}
    with db.transaction() as orm:
        assert orm.scalar(select(Campaign.closed_at)) is None


def test_each_end_that_time_brings_has_words():
    for state, reason in (
        ("expired", "undelivered"),
        ("expired", "not_started"),
        ("needs_decision", "no_answer"),
        ("needs_decision", "provider_quality"),
        ("held", "provider_quality"),
        ("unknown", "no_answer"),
    ):
        assert outcomes.declared(state, reason)
