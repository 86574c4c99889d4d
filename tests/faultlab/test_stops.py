"""Workers that are asked to stop, that sleep too long, that meet; and a lost database."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.messaging import dispatch, orders
from clarion.work import outbox

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


def test_sigterm_leaves_nothing_unknown_and_nothing_claimed(lab):
    fate = {"answer": "accept", "delay_ms": 200, "answer_delay_ms": 300}
    lab.simulator.post("rules", rules=[{"match": {}, "fate": fate}])
    lab.order(1_500)
    worker = lab.start()
    lab.until(lambda: len(lab.receipts()) > 50, what="the first messages")

    lab.stop(worker)

    states = lab.judge()
    assert set(states) <= {"accepted", "queued"}
    assert states["accepted"] == len(lab.receipts())
    lab.simulator.post("rules", rules=[], replace=True)
    lab.start()
    lab.until(lab.settled, what="the rest")
    assert lab.judge() == {"accepted": 1_500}


def test_a_worker_that_slept_past_its_lease_cannot_send_what_it_claimed(lab):
    lab.order(50)
    sleeper = lab.start(crash_at="after_claim:1:stop")
    lab.until(lambda: stopped(sleeper), what="the sleep")
    held = lab.ids("claimed")
    assert held

    lab.start()
    lab.until(lab.settled, what="the other worker")
    os.kill(sleeper, signal.SIGCONT)
    lab.stop(sleeper)

    assert lab.judge() == {"accepted": 50}
    assert {row.attempts for row in lab.rows()} == {1}


def test_a_worker_that_slept_after_its_intent_does_not_send(lab):
    lab.order(50)
    sleeper = lab.start(crash_at="after_intent_commit:1:stop")
    lab.until(lambda: stopped(sleeper), what="the sleep")
    held = lab.ids("dispatching")
    assert held

    lab.start()
    lab.until(lab.settled, what="the lease's end")
    os.kill(sleeper, signal.SIGCONT)
    lab.stop(sleeper)

    assert lab.judge() == {"unknown": len(held), "accepted": 50 - len(held)}
    assert lab.ids("unknown") == held
    assert not {one.hex for one in held} & set(lab.receipts())


def test_two_workers_share_one_campaign(lab):
    fate = {"answer": "accept", "answer_delay_ms": 30}
    lab.simulator.post("rules", rules=[{"match": {}, "fate": fate}])
    order = lab.order(3_000)
    with db.transaction():
        dispatch.drain.later(order)

    lab.start()
    lab.start()
    lab.until(lab.settled, what="the end")

    assert lab.judge() == {"accepted": 3_000}
    assert sum(lab.receipts().values()) == 3_000


def test_nothing_leaves_once_it_is_paused(lab):
    """Asked at random moments while three workers send; "paused" is the truth each time."""
    fate = {"answer": "accept", "answer_delay_ms": 100}
    lab.simulator.post("rules", rules=[{"match": {}, "fate": fate}])
    order = lab.order(1_000)
    for _ in range(3):
        lab.start()
    stops = 0

    while not lab.settled():
        gone = len(lab.receipts())
        lab.until(lambda n=gone: len(lab.receipts()) > n or lab.settled(), what="some more")
        time.sleep(lab.chance.random() / 10)
        with suppress(Conflict), db.transaction():  # it may have finished meanwhile
            orders.pause(order)
        state = lab.until(lambda: stands(order), what="the end of the calls")
        if state == "finished":
            break
        before = lab.receipts()
        with db.transaction():
            dispatch.drain.later(order)
        lab.until(lambda: outbox.waiting()[0] == 0, what="the bell")
        assert lab.receipts() == before
        stops += 1
        with suppress(Conflict), db.transaction():  # its last answer may have ended it
            orders.resume(order)

    assert stops >= 3
    assert lab.judge() == {"accepted": 1_000}


def stands(order):
    """Say how an order stands, once nothing of it is on the wire."""
    with db.transaction():
        state = orders.settle(order)
    return state if state in ("paused", "finished") else ""


@pytest.mark.parametrize("hours", [1, -1])
def test_a_worker_with_a_wrong_clock_sends_nothing_twice(lab, hours):
    """Leases, windows and waits are the database's; the worker's own clock decides nothing."""
    fates = [{"match": {}, "fate": {"answer": "accept", "answer_delay_ms": 20}}]
    fates.append({"match": {"share": 0.1}, "fate": {"answer": "refuse", "code": 130429}})
    lab.simulator.post("rules", rules=fates)
    lab.order(400)
    lab.start()
    lab.start(deed=["worker_whose_clock_is_wrong", "", str(hours)])

    lab.until(lab.settled, what="the end")

    assert lab.judge() == {"accepted": 400}


def test_an_answer_is_not_lost_with_the_connection(lab, database):
    fate = {"answer": "accept", "answer_delay_ms": 700}
    lab.simulator.post("rules", rules=[{"match": {}, "fate": fate}])
    lab.order(200)
    lab.start(lease_seconds=60)
    lab.until(lambda: len(lab.receipts()) == 200, what="the messages")

    cut_off(database, seconds=1.5)

    lab.until(lab.settled, what="the answers", seconds=30)
    assert lab.judge() == {"accepted": 200}


def cut_off(database, seconds):
    """End every connection of the application, again and again for a while."""
    engine = create_engine(database.superuser_url, isolation_level="AUTOCOMMIT")
    end = time.monotonic() + seconds
    with engine.connect() as connection:
        while time.monotonic() < end:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'clarion'"
                )
            )
            time.sleep(0.05)
    engine.dispose()
    db.engine().dispose()


def stopped(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return words[0] == "T"


def test_messages_leave_while_the_broker_is_away(lab):
    """Nobody can ring: the worker looks for itself."""
    lab.order(200)
    worker = lab.start(redis_url=f"unix://{lab.folder}/nowhere.sock")

    lab.until(lab.settled, what="the messages")

    lab.stop(worker)
    assert lab.judge() == {"accepted": 200}
