"""Two buttons for what stays unknown: once each, whoever presses, however often."""

import threading

import pytest
from sqlalchemy import select, update

from clarion.base import db
from clarion.base.errors import Conflict, Invalid
from clarion.messaging import counts, decisions, orders
from clarion.messaging.advance import Advance, advance
from clarion.messaging.models import Attempt, Campaign, Decision, Message
from clarion.tenancy.actor import Actor
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import account_scope


def tally(order):
    with db.transaction():
        return counts.tally(order)


@pytest.fixture
def asked(make_order, simulator, run_jobs):
    """An order with four people about whom somebody is asked: (order, message ids)."""
    rule = {"match": {}, "fate": {"answer": "reset"}, "times": 4}
    simulator.post("rules", rules=[rule], replace=True)
    order, _ = make_order.start(4)
    run_jobs()
    with db.transaction() as orm:
        orm.execute(
            update(Message)
            .where(Message.state == "unknown")
            .values(state="needs_decision", state_since=Message.state_since)
        )
        ids = list(orm.scalars(select(Message.id).order_by(Message.id)))
    assert tally(order) == {"needs_decision": 4}
    return order, ids


def test_who_is_sent_to_again_gets_it(asked, simulator, run_jobs):
    order, ids = asked
    with db.transaction():
        done = decisions.decide(order, "resend", messages=ids[:3])
    assert (done.resend, done.leave, done.withdrawn) == (3, 0, 0)
    run_jobs()

    assert tally(order) == {"accepted": 3, "needs_decision": 1}
    assert len(simulator.receipts()) == 3
    with db.transaction() as orm:
        assert orm.scalar(select(Message.attempt).where(Message.id == ids[0])) == 2
        assert orders.progress(order).state == "finished"


def test_who_is_left_stays_left(asked, simulator, run_jobs):
    order, ids = asked
    with db.transaction():
        done = decisions.decide(order, "leave", messages=ids)
    run_jobs()

    assert (done.resend, done.leave) == (0, 4)
    assert tally(order) == {"failed": 4}
    assert simulator.receipts() == []
    with db.transaction() as orm:
        assert set(orm.scalars(select(Message.reason))) == {"outcome_unknown"}


def test_several_people_at_once_cause_one_attempt_and_hear_the_same(
    asked, account, simulator, run_jobs
):
    """SND-13: parallel requests by several people → one attempt, equal answers."""
    order, ids = asked
    names = ["Marina Lopes", "Rui Costa", "Ana Dias", "Zoe Berg"]
    answers, gate = [], threading.Barrier(len(names), timeout=30)

    def press(name):
        who = Actor("person", id=name, name=name, account_id=account.id, role="owner")
        with account_scope(account.id, who):
            gate.wait()
            with db.transaction():
                answers.append(decisions.decide(order, "resend", messages=ids))

    threads = [threading.Thread(target=press, args=(name,)) for name in names]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    run_jobs()

    assert len(answers) == 4
    assert len(set(answers)) == 1
    assert answers[0].resend == 4
    assert len(answers[0].by) == 1
    assert len(simulator.receipts()) == 4
    with db.transaction() as orm:
        assert set(orm.scalars(select(Message.attempt))) == {2}
        log = orm.execute(
            select(AuditEntry.actor_name, AuditEntry.changes).where(
                AuditEntry.name == "messaging.message.sent_again"
            )
        ).all()
    assert sorted(name for name, _ in log) == sorted(names)
    assert sorted(changes["people"][1] for _, changes in log) == [0, 0, 0, 4]


def test_the_second_choice_finds_the_first(asked):
    order, ids = asked
    with db.transaction():
        first = decisions.decide(order, "leave", messages=ids)
    with db.transaction():
        second = decisions.decide(order, "resend", messages=ids)

    assert first == second
    assert tally(order) == {"failed": 4}


def test_all_means_all_that_were_open_when_the_page_was_drawn(asked, simulator, run_jobs):
    order, ids = asked
    with db.transaction():
        drawn = decisions.asked_at()
    with db.transaction():
        one = decisions.decide(order, "leave", messages=ids[:1])
    with db.transaction():
        rest = decisions.decide(order, "resend", asked_at=drawn)
    with db.transaction():
        again = decisions.decide(order, "resend", asked_at=drawn)
    run_jobs()

    assert one.leave == 1
    assert (rest.resend, rest.leave) == (3, 1)
    assert again == rest
    assert len(simulator.receipts()) == 3


def late(message_id, status):
    with db.transaction() as orm:
        attempt = orm.scalars(
            select(Attempt).where(Attempt.message_id == message_id, Attempt.number == 1)
        ).one()
        advance([Advance("wamid.late", status, attempt.intent_at, message_id, 1)])


def test_a_late_event_withdraws_the_question(asked, simulator, run_jobs):
    order, ids = asked
    late(ids[0], "delivered")

    with db.transaction():
        done = decisions.decide(order, "resend", messages=ids)
    run_jobs()

    assert (done.resend, done.withdrawn) == (3, 1)
    assert tally(order) == {"delivered": 1, "accepted": 3}
    assert len(simulator.receipts()) == 3


def test_a_late_event_overtakes_a_resend_that_waits(asked, simulator, run_jobs):
    order, ids = asked
    with db.transaction():
        db.session().execute(update(Campaign).values(state="paused"))
        decisions.decide(order, "resend", messages=ids)
    late(ids[0], "read")
    with db.transaction():
        orders.resume(order)
    run_jobs()

    assert tally(order) == {"read": 1, "accepted": 3}
    assert len(simulator.receipts()) == 3


def test_what_a_restore_left_in_doubt_takes_two_people(asked):
    order, ids = asked
    with db.transaction():
        drawn = decisions.asked_at()
        db.session().execute(update(Message).values(reason="restored"))
    with db.transaction():
        one = decisions.decide(order, "resend", messages=ids)
        every = decisions.decide(order, "resend", asked_at=drawn)

    assert (one.resend, every.resend) == (0, 0)
    assert tally(order) == {"needs_decision": 4}


def test_nothing_of_a_stopped_campaign_is_sent_again(asked):
    order, ids = asked
    with db.transaction():
        db.session().execute(update(Campaign).values(state="cancelled"))
    with pytest.raises(Conflict) as refused, db.transaction():
        decisions.decide(order, "resend", messages=ids)
    assert refused.value.code == "campaign_over"
    with db.transaction():
        assert decisions.decide(order, "leave", messages=ids).leave == 4


def test_nothing_is_sent_again_after_the_end(asked, later):
    order, ids = asked
    with db.transaction():
        db.session().execute(update(Campaign).values(finish_by=decisions.asked_at()))
    later.forward(minutes=1)

    with pytest.raises(Conflict) as refused, db.transaction():
        decisions.decide(order, "resend", messages=ids)
    assert refused.value.code == "campaign_end_passed"


def test_a_question_that_comes_back_can_be_answered_again(asked, simulator, run_jobs):
    order, ids = asked
    for attempt in (1, 2):
        rule = {"match": {}, "fate": {"answer": "reset"}}
        simulator.post("rules", rules=[rule], replace=True)
        with db.transaction():
            assert decisions.decide(order, "resend", messages=ids[:1]).resend == 1
        run_jobs()
        with db.transaction() as orm:
            orm.execute(
                update(Message)
                .where(Message.id == ids[0], Message.state == "unknown")
                .values(state="needs_decision")
            )
            rows = orm.scalars(select(Decision.attempt).order_by(Decision.attempt)).all()
        assert rows == list(range(1, attempt + 1))


def test_somebody_elses_message_is_nobodys(asked, make_order):
    order, _ = asked
    other, _ = make_order.start(1, first=70_000_000)
    with db.transaction() as orm:
        strange = orm.scalar(select(Message.id).where(Message.campaign_id == other))
        done = decisions.decide(order, "resend", messages=[strange, db.new_id()])

    assert (done.resend, done.leave, done.withdrawn) == (0, 0, 0)


@pytest.mark.parametrize(("choice", "messages"), [("later", [1]), ("leave", [])])
def test_nonsense_is_refused(asked, choice, messages):
    order, ids = asked
    with pytest.raises(Invalid), db.transaction():
        decisions.decide(order, choice, messages=ids[: len(messages)])
