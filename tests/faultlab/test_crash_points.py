"""A worker dies at a named point, another takes over: the table of sending.md, section 12."""

import psycopg
import pytest
from sqlalchemy import func, select

from clarion.base import db, epochs
from clarion.messaging import epoch, reconcile
from clarion.messaging.models import Campaign
from clarion.work import outbox
from clarion.work.models import WebhookInbox

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
DIED = 137
FIRST = 5511950000000
ODD = (  # all there are besides an acceptance and a refusal, one person each
    "held", "no_id", "error", "error_accepted", "hang", "hang_accepted", "reset",
    "reset_accepted",
)  # fmt: skip
FATES = [
    {"match": {}, "fate": {"answer": "accept"}},
    {"match": {"suffix": "9"}, "fate": {"answer": "refuse", "code": 131026}},
    *(
        {"match": {"to": [f"+{FIRST + 10 + n}"]}, "fate": {"answer": answer}}
        for n, answer in enumerate(ODD)
    ),
]
# where nothing can have left yet, what the crash interrupted is simply sent later
BEFORE = ("after_bell", "after_outbox_commit", "after_claim", "after_gate_locks",
          "after_intent_flush")  # fmt: skip
# an intent was durable: whoever was not recorded is unknown, and stays so
AFTER = ("after_intent_commit", "after_connect", "after_response", "after_result_flush")


@pytest.mark.parametrize("point", [*BEFORE, *AFTER, "after_result_commit"])
def test_a_worker_dies_and_another_takes_over(lab, point):
    lab.simulator.post("rules", rules=FATES)
    lab.order(40)

    assert lab.ended(lab.start(crash_at=point)) == DIED
    intended = lab.ids("dispatching")
    look_again(lab)
    lab.start()
    lab.until(only_hanging(lab), what="all others")
    look_again(lab)
    lab.until(lab.settled, what="the end")

    states, received = lab.judge(), lab.receipts()
    if point in BEFORE:
        assert not intended
        assert states == {"accepted": 28, "held": 1, "unknown": 7, "failed": 4}
        assert len(received) == 28 + 1 + 4
    if point in AFTER:
        assert intended
        assert intended <= lab.ids("unknown")
    if point == "after_intent_commit":
        assert not {one.hex for one in intended} & set(received)


def test_the_worker_dies_while_the_provider_answers(lab):
    """Between sending and hearing: the truth comes with the status event, if at all."""
    fate = {"answer": "accept", "answer_delay_ms": 30_000}
    lab.simulator.post("rules", rules=[{"match": {}, "fate": fate}])
    lab.order(5)
    worker = lab.start()
    lab.until(lambda: len(lab.receipts()) == 5, what="the messages")

    lab.kill(worker)
    look_again(lab)
    lab.start()
    lab.until(lab.settled, what="the end")

    assert lab.judge() == {"unknown": 5}
    assert sum(lab.receipts().values()) == 5


def only_hanging(lab):
    """Say whether nothing is left but calls that nobody answers."""

    def found():
        left = lab.tally()
        return not left["queued"] + left["claimed"] and left["dispatching"] <= 2

    return found


def look_again(lab):
    """Let the leases run out, then ring the reconciler as the clock would."""
    lab.until(lab.leases_over, what="the end of the leases")
    with db.transaction():
        reconcile.look.later()


# --- before a campaign runs, and when the provider calls back


def test_half_a_snapshot_is_no_campaign(lab):
    code = lab.elsewhere("order", str(lab.sender_id), 0, 20, crash_at="after_snapshot_half")

    assert code == DIED
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Campaign)) == 0
    assert lab.rows() == []
    assert outbox.waiting()[0] == 0


def test_who_dies_right_after_the_start_has_started_it(lab):
    """The bell was written with the rows: the relay of anybody else rings it."""
    assert lab.elsewhere("order_then_die", str(lab.sender_id), 0, 20) == DIED
    lab.people = 20

    lab.start()
    lab.until(lab.settled, what="the end")

    assert lab.judge() == {"accepted": 20}


def test_the_relay_dies_between_count_and_copies(lab, database):
    """The database has counted further than its copies know: that is no restore."""
    overdue(database)
    before = standing()
    lab.order(40)

    assert lab.ended(lab.start(crash_at="after_epoch_commit")) == DIED
    after = standing()
    assert after.epoch == before.epoch + 1
    assert (
        max(one.epoch for one in epochs.read(str(after.instance)).values()) == before.epoch
    )
    look_again(lab)
    lab.start()
    lab.until(lab.settled, what="the end")

    assert not standing().shut
    states, received = lab.judge(), lab.receipts()
    assert states["accepted"] + states["unknown"] == 40
    assert sum(received.values()) >= states["accepted"]


def overdue(database):
    """Let the last count be so long ago that the next one is due."""
    epoch.check()
    url = database.superuser_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE instance_epoch SET raised_at = now() - interval '1 h'")


def standing():
    with db.transaction():
        return epoch.standing()


@pytest.mark.parametrize("point", ["after_inbox_insert", "after_inbox_commit"])
def test_the_intake_dies(lab, point):
    """Not durable: the provider was not answered and comes again. Durable: it is applied."""
    lab.order(1)
    worker = lab.start()
    lab.until(lab.settled)

    assert lab.elsewhere("status", "sent", crash_at=point) == DIED
    stored = count(WebhookInbox)
    assert stored == (point == "after_inbox_commit")
    assert lab.elsewhere("status", "sent") == 0

    lab.until(lambda: lab.tally()["sent"] == 1, what="the status")
    assert count(WebhookInbox) == 1
    lab.kill(worker)


def test_a_worker_dies_applying_a_status(lab):
    lab.order(1)
    worker = lab.start()
    lab.until(lab.settled)
    lab.kill(worker)
    assert lab.elsewhere("status", "delivered") == 0

    assert lab.ended(lab.start(crash_at="after_status_apply")) == DIED
    assert lab.tally()["accepted"] == 1
    lab.start()

    lab.until(lambda: lab.tally()["delivered"] == 1, what="the status", seconds=20)


def count(model):
    with db.transaction() as orm:
        return orm.scalar(select(func.count()).select_from(model))
