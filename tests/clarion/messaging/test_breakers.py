"""What stops sending before it does harm, and how it goes on: rules of a real simulator."""

import pytest
from sqlalchemy import func, select, update
from tests.clarion.messaging.test_incoming import deliver, status

from clarion.base import db
from clarion.messaging import (
    breakers,
    channels,
    counts,
    orders,
    reconcile,
    suppression,
)
from clarion.messaging.models import Attempt, Message, Sender, SenderBucket
from clarion.tenancy.models import AuditEntry


def tally(order):
    with db.transaction():
        return counts.tally(order)


def rule(simulator, fate, **match):
    simulator.post("rules", rules=[{"match": match, "fate": fate}], replace=True)


def calm(simulator):
    simulator.post("rules", rules=[], replace=True)


def state(order):
    with db.transaction() as orm:
        orm.expire_all()  # jobs have sessions of their own
        found = orders.progress(order)
    return found.state, found.state_reason


def stops():
    with db.transaction():
        return {(s.kind, s.state, s.reason) for s in breakers.standing()}


# --- F18: a provider that does not answer


def test_a_storm_of_5xx_costs_five_outcomes_and_goes_on_alone(
    make_order, simulator, run_jobs, later
):
    rule(simulator, {"answer": "error", "http": 503})
    order, _ = make_order.start(300)
    run_jobs()

    lost = tally(order)["unknown"]
    assert 5 <= lost <= 10  # five, and what was on the wire when the fifth was heard
    assert tally(order) == {"unknown": lost, "queued": 300 - lost}
    assert stops() == {("sender", "open", "provider_down")}
    reconcile.mend()
    run_jobs()
    assert tally(order) == {"unknown": lost, "queued": 300 - lost}  # not before its time

    later.forward(seconds=61)
    reconcile.mend()
    run_jobs()
    lost += 1  # one message was tried
    assert tally(order) == {"unknown": lost, "queued": 300 - lost}
    assert stops() == {("sender", "open", "provider_down")}
    later.forward(seconds=120)
    reconcile.mend()
    run_jobs()
    assert tally(order)["unknown"] == lost  # it waits longer now

    calm(simulator)
    later.forward(seconds=200)
    reconcile.mend()
    run_jobs()
    assert tally(order) == {"unknown": lost, "accepted": 300 - lost}
    assert stops() == set()


def test_an_answer_in_between_is_no_silence(make_order, simulator, run_jobs):
    simulator.post(
        "rules",
        rules=[{"match": {"suffix": "0"}, "fate": {"answer": "error", "http": 503}}],
        replace=True,
    )
    order, _ = make_order.start(60)
    run_jobs()

    assert tally(order) == {"unknown": 6, "accepted": 54}
    assert stops() == set()


# --- F19, SND-09: refusals that pause, one of each class


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (132015, "template", "template_paused"),
        (132001, "template", "template_missing"),
        (131048, "sender", "spam_restricted"),
        (133010, "sender", "number_not_registered"),
        (190, "channel", "token_invalid"),
        (131042, "channel", "payment_problem"),
        (368, "channel", "policy_restriction"),
    ],
)
def test_a_refusal_that_pauses_costs_nobody_their_message(
    make_order, simulator, run_jobs, code, kind, reason
):
    simulator.post(
        "rules",
        rules=[{"match": {}, "fate": {"answer": "refuse", "code": code}}],
        replace=True,
    )
    order, _ = make_order.start(8)
    run_jobs()

    assert tally(order) == {"queued": 8}
    assert state(order) == ("paused", reason)
    assert stops() == {(kind, "open", reason)}
    calm(simulator)
    reconcile.mend()
    run_jobs()
    assert simulator.receipts() == []  # nothing goes on by itself

    with db.transaction():
        assert breakers.resume(order) == 1
        if orders.progress(order).state == "paused":
            orders.resume(order)
    run_jobs()
    assert tally(order) == {"accepted": 8}
    assert stops() == set()
    with db.transaction() as orm:
        assert orm.scalar(select(SenderBucket.factor)) == 0.5  # at half rate
        who = orm.scalars(
            select(AuditEntry.actor_name).where(
                AuditEntry.name == "messaging.breaker.resumed"
            )
        ).all()
        assert who == ["Marina Lopes"]


def test_resuming_the_number_itself_is_at_half_rate_too(make_order, run_jobs):
    with db.transaction() as orm:
        sender = orm.scalar(select(Sender.id))
        breakers.open_("sender", str(sender), "spam_restricted")
        assert orm.scalar(select(SenderBucket.factor)) == 1
        channels.resume_sender(sender)
        orm.expire_all()

        assert orm.scalar(select(SenderBucket.factor)) == 0.5
        assert orm.scalar(select(Sender.state)) == "active"
        assert breakers.standing() == []


def test_after_message_ten_no_later_attempt_leaves(make_order, simulator, run_jobs):
    """F19: the token is revoked in the middle of a campaign."""
    simulator.post(
        "rules",
        rules=[
            {"match": {}, "fate": {"answer": "refuse", "code": 190}},
            {"match": {}, "fate": {"answer": "accept"}, "times": 10},
        ],
        replace=True,
    )
    with db.transaction() as orm:
        orm.execute(update(Sender).values(rate_per_s=20))
    order, _ = make_order.start(40)
    run_jobs()

    assert tally(order) == {"accepted": 10, "queued": 30}
    assert len(simulator.receipts()) == 10


def test_a_template_that_is_stopped_stops_its_other_campaigns_too(
    make_order, simulator, run_jobs
):
    one, _ = make_order.start(3)
    other, _ = make_order.start(3, first=50_000_000)
    with db.transaction() as orm:
        channel = orm.scalar(select(Sender.channel_id))
        key = breakers.of_template(channel, "early_access", "en")
        assert breakers.open_("template", key, "template_quality_red")
        assert not breakers.open_("template", key, "template_quality_red")
    run_jobs()

    for order in (one, other):
        assert state(order) == ("paused", "template_quality_red")
    late, _ = make_order.start(2, first=60_000_000)
    run_jobs()
    assert state(late) == ("paused", "template_quality_red")
    assert simulator.receipts() == []

    with db.transaction():
        assert not breakers.cleared("template", key, frozenset({"template_paused"}))
        assert breakers.cleared("template", key, frozenset({"template_quality_red"}))
    assert stops() == {("template", "half_open", "template_quality_red")}
    run_jobs()
    reconcile.mend()
    run_jobs()
    assert stops() == set()
    assert len(simulator.receipts()) == 8


def test_what_a_person_has_paused_stays_paused(make_order, simulator, run_jobs):
    order, _ = make_order.start(3)
    with db.transaction() as orm:
        orders.pause(order)
        sender = orm.scalar(select(Sender.id))
        breakers.open_("sender", str(sender), "number_quality_red")
        breakers.cleared("sender", str(sender), frozenset({"number_quality_red"}))
    run_jobs()

    assert state(order) == ("paused", "paused_by_person")
    assert simulator.receipts() == []


# --- failures and content


def test_the_first_twenty_refused_for_their_content_stop_the_campaign(
    make_order, simulator, run_jobs
):
    rule(simulator, {"answer": "refuse", "code": 132000})
    with db.transaction() as orm:
        orm.execute(update(Sender).values(rate_per_s=200))
    order, _ = make_order.start(400)
    run_jobs()

    assert state(order) == ("paused", "bad_content_rate")
    found = tally(order)
    assert 20 <= found["failed"] < 150
    assert found["queued"] == 400 - found["failed"]


def test_one_in_ten_refused_for_its_content_stops_it_too(make_order, simulator, run_jobs):
    rule(simulator, {"answer": "refuse", "code": 132012}, suffix="7")
    with db.transaction() as orm:
        orm.execute(update(Sender).values(rate_per_s=400))
    order, _ = make_order.start(600)
    run_jobs()

    assert state(order) == ("paused", "bad_content_rate")
    assert tally(order)["queued"] > 100


@pytest.mark.parametrize("code", [131026, 130497])
def test_people_who_cannot_be_reached_stop_nobody_else(
    make_order, simulator, run_jobs, code
):
    rule(simulator, {"answer": "refuse", "code": code})
    order, _ = make_order.start(250)
    run_jobs()

    assert tally(order) == {"failed": 250}
    assert state(order)[0] == "finished"
    assert stops() == set()


def delivered(order, count):
    """Let so many of an order's people get it."""
    with db.transaction() as orm:
        some = select(Message.id).where(
            Message.campaign_id == order, Message.state == "accepted"
        )
        orm.execute(
            update(Message)
            .where(Message.id.in_(some.limit(count)))
            .values(state="delivered", state_since=func.clarion_now())
        )


def stop(order, count):
    """Let so many of those who got it write STOP."""
    with db.transaction() as orm:
        query = select(Message.contact_id).where(
            Message.campaign_id == order, Message.state == "delivered"
        )
        for contact_id in list(orm.scalars(query.order_by(Message.id).limit(count))):
            suppression.suppress([], reason="stop", contact_id=contact_id)


@pytest.fixture
def half(make_order, simulator, run_jobs):
    """An order of which 250 people have it, and which is not finished."""
    rule(simulator, {"answer": "refuse", "code": 131056}, suffix="9")  # these wait
    order, _ = make_order.start(280)
    run_jobs()
    delivered(order, 250)
    return order


@pytest.mark.parametrize(("stops_", "opens"), [(4, False), (5, True)])
def test_too_many_who_say_stop_stop_the_template(half, run_jobs, stops_, opens):
    """Two in a hundred, and five at least."""
    stop(half, stops_)
    reconcile.mend()

    assert state(half)[0] == ("paused" if opens else "running")
    assert stops() == ({("template", "open", "opt_out_rate")} if opens else set())


def test_stops_of_long_ago_do_not_count_for_the_last_thousand(
    make_order, simulator, run_jobs, later
):
    rule(simulator, {"answer": "refuse", "code": 131056}, suffix="9")
    order, _ = make_order.start(1_400)
    run_jobs()
    delivered(order, 200)
    stop(order, 20)
    later.forward(minutes=5)
    delivered(order, 1_010)
    reconcile.mend()

    assert stops() == set()


def test_what_is_lost_after_it_was_accepted_stops_the_campaign(
    account, make_order, simulator, run_jobs
):
    rule(simulator, {"answer": "refuse", "code": 131056}, suffix="9")
    order, _ = make_order.start(220)
    run_jobs()
    with db.transaction() as orm:
        query = select(Attempt.provider_id).where(Attempt.provider_id.is_not(None))
        sent = list(orm.scalars(query.order_by(Attempt.id)))
    for lost, reason in ((sent[:39], ""), (sent[39:41], "failure_rate")):
        errors = [{"code": 131000, "title": "(131000)"}]
        deliver(account, *(status(one, "failed", errors=errors) for one in lost))
        assert state(order)[1] == reason


def test_an_unknown_code_is_for_staff_and_not_for_the_owner(
    make_order, simulator, run_jobs
):
    from clarion.messaging.models import ProviderCode
    from clarion.work.outbox import SYSTEM

    simulator.post(
        "rules",
        rules=[
            {"match": {}, "fate": {"answer": "accept"}},
            {"match": {}, "fate": {"answer": "refuse", "code": 139999}, "times": 2},
        ],
        replace=True,
    )
    order, _ = make_order.start(6)
    run_jobs()

    assert tally(order) == {"accepted": 4, "failed": 2}
    with db.apart(SYSTEM) as orm:
        row = orm.execute(
            select(ProviderCode.transport, ProviderCode.times).where(
                ProviderCode.code == "139999"
            )
        ).one()
    assert tuple(row) == ("whatsapp_cloud", 2)
    assert stops() == set()
