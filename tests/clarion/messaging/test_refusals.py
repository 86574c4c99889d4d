"""SND-10: one table for answers and failed statuses, judged by what the ledger does."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.clarion.messaging.test_incoming import deliver, status

import clarion_whatsapp_cloud
from clarion.base import db
from clarion.messaging import breakers, outcomes, reconcile
from clarion.messaging.contract import Busy, Halted, Rejected
from clarion.messaging.models import Attempt, Message, Suppression
from clarion_whatsapp_cloud import answers

RECORDED = Path(clarion_whatsapp_cloud.__file__).parent / "tests/data/error-codes"
CODES = {
    int(each["code"])
    for each in json.loads((RECORDED / "errors.json").read_bytes())["errors"]
} | set(answers.CODES)
CLEAR = sorted(CODES - answers.UNCLEAR)
REJECTED = [c for c in CLEAR if isinstance(answers.failed(c), Rejected)]
HALTED = [c for c in CLEAR if c and isinstance(answers.failed(c), Halted)]
"""All but 0, which the simulator cannot be told to answer."""
BUSY = [c for c in CLEAR if isinstance(answers.failed(c), Busy)]


def rules(simulator, fates):
    """A fate for each of some numbers, by their order."""
    given = [
        {"match": {"to": [f"+5511940{i:06d}"]}, "fate": fate}
        for i, fate in enumerate(fates)
    ]
    simulator.post("rules", rules=given, replace=True)


def outcome(order):
    with db.transaction() as orm:
        query = select(Message.address, Message.state, Message.reason)
        rows = orm.execute(query.where(Message.campaign_id == order)).all()
    return {int(row.address[-6:]): (row.state, row.reason) for row in rows}


def people(count):
    return [(db.new_id(), f"+5511940{i:06d}", "") for i in range(count)]


def silenced():
    with db.transaction() as orm:
        return orm.scalars(select(Suppression.scope).order_by(Suppression.scope)).all()


def stopped():
    with db.transaction():
        return {(s.kind, s.reason) for s in breakers.standing()}


def test_every_class_of_the_table_is_here():
    assert (len(REJECTED), len(HALTED), len(BUSY)) >= (24, 28, 9)


def test_what_one_person_is_refused_for_is_the_same_at_once_and_later(
    account, make_order, simulator, run_jobs
):
    """All refusals of the table, each to its own person, then each as a failed status."""
    rules(simulator, [{"answer": "refuse", "code": code} for code in REJECTED])
    order, _ = make_order.start(people(len(REJECTED)))
    run_jobs()
    at_once, asked_for_silence = outcome(order), silenced()

    for code, found in zip(
        REJECTED, (at_once[i] for i in range(len(REJECTED))), strict=True
    ):
        verdict = answers.failed(code)
        assert found == ("failed", verdict.reason), code
        assert outcomes.declared("failed", verdict.reason), code
    assert asked_for_silence == ["all", "marketing"]  # 130403, 131050


def test_what_is_told_later_has_the_same_reason(account, make_order, simulator, run_jobs):
    """The same codes once more, as `failed` statuses in one webhook."""
    codes = REJECTED + BUSY
    order, _ = make_order.start(people(len(codes)))
    run_jobs()
    failed_later(account, order, codes)

    found = outcome(order)
    for i, code in enumerate(codes):
        verdict = answers.failed(code)
        assert found[i] == ("failed", getattr(verdict, "reason", "busy")), code
    assert silenced() == ["all", "marketing"]


@pytest.mark.parametrize("code", [*HALTED, 0])
def test_what_stops_more_than_one_message_stops_it_later_too(
    account, make_order, simulator, run_jobs, code
):
    order, _ = make_order.start(people(1))
    run_jobs()
    failed_later(account, order, [code])

    verdict = answers.failed(code)
    assert outcome(order) == {0: ("failed", verdict.reason)}  # it was accepted once
    assert stopped() == {(verdict.scope, verdict.reason)}


def failed_later(account, order, codes):
    """Have the provider say of an order's people, one by one, that they are lost."""
    with db.transaction() as orm:
        query = select(Message.address, Attempt.provider_id).join(
            Attempt, Attempt.message_id == Message.id
        )
        sent = {
            int(row.address[-6:]): row.provider_id
            for row in orm.execute(query.where(Message.campaign_id == order))
        }
    said = [
        status(sent[i], "failed", errors=[{"code": code, "title": f"({code})"}])
        for i, code in enumerate(codes)
    ]
    deliver(account, *said)


@pytest.mark.parametrize("code", HALTED)
def test_what_stops_more_than_one_message_keeps_all_of_them(
    make_order, simulator, run_jobs, code
):
    """SND-09: the row returns to queued; whatever the code, it never costs a recipient."""
    rules(simulator, [{"answer": "refuse", "code": code}] * 2)
    order, _ = make_order.start(people(2))
    run_jobs()

    verdict = answers.refused(code)
    assert set(outcome(order).values()) == {("queued", "")}
    assert stopped() == {(verdict.scope, verdict.reason)}
    assert simulator.receipts() == []


def test_a_busy_provider_costs_nobody_their_message(make_order, simulator, run_jobs, later):
    for code in BUSY:
        rules(simulator, [{"answer": "refuse", "code": code}])
        order, _ = make_order.start(people(1), attach=code == BUSY[0])
        run_jobs()
        assert set(outcome(order).values()) == {("queued", "")}
        assert stopped() == set()
        rules(simulator, [])
        later.forward(hours=2)
        reconcile.mend()
        run_jobs()
        assert set(outcome(order).values()) == {("accepted", "")}, code


@pytest.mark.parametrize("code", sorted(answers.UNCLEAR))
def test_what_the_provider_does_not_say_is_unknown(make_order, simulator, run_jobs, code):
    rules(simulator, [{"answer": "refuse", "code": code}])
    order, _ = make_order.start(people(1))
    run_jobs()

    assert set(outcome(order).values()) == {("unknown", "no_answer")}
