"""STOP against the intent: whoever commits first decides, two hundred times."""

import threading
from collections import Counter

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.messaging import identifiers, leases, ledger, suppression
from clarion.messaging.models import Attempt, Message, Suppression
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import account_scope

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
ROUNDS = 200


@pytest.mark.parametrize("known", [True, False], ids=["contact", "address_only"])
def test_the_order_of_commits_decides(lab, known):
    """Both stamps are taken under the person's lock: the earlier one committed first."""
    order = lab.order(ROUNDS)
    with db.transaction() as orm:
        people = orm.execute(
            select(Message.id, Message.address, Message.contact_id, Message.address_idx)
        ).all()
        if not known:  # the number went to somebody else after the snapshot
            identifiers.forget([p.contact_id for p in people])
    people = {person.id: person for person in people}
    seen = Counter()

    for _ in range(ROUNDS):
        with db.transaction():
            token, rows = leases.claim(order, 1)
        assert rows, (lab.tally(), seen)
        person = people[rows[0].id]
        race(lab, order, person, token, pause=lab.chance.random() * 0.004)
        seen[judge(person)] += 1

    print(seen)
    assert seen["sent, then stopped"] > 0
    assert seen["stopped in time"] > 0
    assert seen.total() == ROUNDS


def race(lab, order, person, token, pause):
    """Commit a STOP and an intent at about the same time."""
    start, ids = threading.Barrier(2), [person.id]

    def stop():
        with account_scope(lab.account.id, COMMAND):
            start.wait()
            with db.transaction():
                suppression.suppress([("phone", person.address)], reason="stop")

    def send():
        with account_scope(lab.account.id, COMMAND):
            start.wait()
            threading.Event().wait(pause)
            with db.transaction():
                ledger.lock_for_intent(order, ids)
                gone = ledger.intend(token, ids)
                ledger.refuse(token, [] if gone else ids)

    both = [threading.Thread(target=stop), threading.Thread(target=send)]
    for one in both:
        one.start()
    for one in both:
        one.join()


def judge(person):
    with db.transaction() as orm:
        state = orm.scalar(select(Message.state).where(Message.id == person.id))
        intent = orm.scalar(
            select(Attempt.intent_at).where(Attempt.message_id == person.id)
        )
        stop = orm.scalar(
            select(Suppression.created_at).where(Suppression.idx == person.address_idx)
        )
    if state == "dispatching":
        assert intent < stop, "an intent was committed after a STOP"
        return "sent, then stopped"
    assert (state, intent) == ("suppressed", None)
    return "stopped in time"
