"""Workers die at any moment: nobody is written to twice, nobody is forgotten."""

import time
from collections import Counter

import pytest

from clarion.base import broker, db
from clarion.messaging import leases, reconcile

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
MESSAGES, KILLS, WORKERS, ORDERS, RATE = 3_000, 60, 3, 6, 150
REFUSED = {"match": {"suffix": "7"}, "fate": {"answer": "refuse", "code": 131026}}
HELD = {"hold": True, "only": ["sent", "delivered"]}


def test_sixty_kills_and_a_flushed_broker(lab, intake):
    taken = {"answer": "accept", "delay_ms": 10, "answer_delay_ms": 40, "statuses": HELD}
    lab.simulator.post("rules", rules=[{"match": {}, "fate": taken}, REFUSED])
    lab.pace(RATE)
    for _ in range(WORKERS):
        lab.start()
    for _ in range(ORDERS):
        lab.order(MESSAGES // ORDERS)

    began, in_flight = time.monotonic(), set()
    for kill in range(KILLS):
        share = (kill + lab.chance.random()) / (KILLS + 1)
        lab.until(lambda s=share: waiting(lab) <= MESSAGES * (1 - s), what=f"kill {kill}")
        lab.kill(lab.chance.choice(lab.workers))
        lab.start()
        in_flight |= lab.ids("dispatching")
        if kill == KILLS // 2:
            broker.redis().flushall()
    killed = time.monotonic() - began
    lab.until(lab.settled, what="the end")

    states, rows = lab.judge(), lab.rows()
    print(f"{KILLS} kills in {killed:.0f} s, {time.monotonic() - began:.0f} s: {states}")
    assert lab.ids("unknown") <= in_flight
    assert states["accepted"] > MESSAGES / 10  # work went on; how much, the machine decides
    assert Counter(r.reason for r in rows if r.state == "failed").total() >= 200

    # what the provider says late settles what can be known, and nothing else
    received = lab.receipts()
    assert lab.simulator.post("release")["released"] == 2 * sum(received.values())
    lab.until(lambda: lab.tally()["delivered"] == len(received), what="what came of it")
    settled = lab.judge()
    assert settled["unknown"] == sum(
        row.state == "unknown" and not received[row.id.hex] for row in rows
    )
    assert set(settled) <= {"delivered", "failed", "unknown"}
    lab.stop()


def waiting(lab):
    tally = lab.tally()
    return tally["queued"] + tally["claimed"]


def test_a_row_that_kills_workers_is_given_up_alone(lab):
    """Four workers die of it, the last two with nothing else in hand; the others flow."""
    lab.order(100)
    poison = f"composing:@+55119{50_000_007}"
    worker, with_it = lab.start(crash_at=poison), []

    while not lab.settled():
        if lab.ended(worker, 0.2) is not None:
            with_it.append(lab.ids("dispatching"))
            assert len(with_it) <= leases.MAX_CLAIMS
            lab.until(lab.leases_over, what="the end of the leases")
            with db.transaction():
                reconcile.look.later()
            worker = lab.start(crash_at=poison)

    assert len(with_it) == leases.MAX_CLAIMS
    assert with_it[-leases.LOST_ALONE :] == [set()] * leases.LOST_ALONE
    states = lab.judge()
    assert lab.ids("unknown") <= set().union(*with_it)
    assert (states["failed"], states.total()) == (1, 100)
    assert Counter(row.reason for row in lab.rows())["quarantined"] == 1
    assert states["accepted"] > 50
