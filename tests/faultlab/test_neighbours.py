"""What is wrong with one number slows nobody else down."""

import deeds
import pytest
from sqlalchemy import func, select

from clarion.base import db
from clarion.messaging import channels, counts
from clarion.messaging.models import Attempt, Message, Sender, SenderBucket

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
THROTTLED = {
    "match": {"sender": "5550147", "share": 0.9},
    "fate": {"answer": "refuse", "code": 130429},
}


@pytest.fixture
def neighbour(lab):
    """A number of another connection of the same account."""
    with db.transaction():
        channel = channels.connect(
            "whatsapp_cloud",
            "WhatsApp of the neighbour",
            {"waba_id": "9901", "base_url": lab.simulator.url},
            {"access_token": "test-token", "app_secret": "test-secret"},
            [channels.SenderIn("5550148", "+5511955500148", "Casa Azul", 100_000)],
        )
        return next(s.id for s in channels.senders() if s.channel_id == channel.id)


def test_a_storm_of_429_slows_its_number_only_and_drops_nobody(lab, neighbour):
    lab.simulator.post("rules", rules=[THROTTLED])
    busy = lab.order(300)
    lab.start()
    lab.until(lambda: factor(lab.sender_id) < 1, what="the first refusals")
    calm = deeds.order(neighbour, 10_000, 300)

    lab.until(lambda: tally(calm) == {"accepted": 300}, what="the neighbour")

    assert set(tally(busy)) <= {"queued", "claimed", "dispatching", "accepted"}
    assert tally(busy)["queued"] > 0  # it was first, and others still passed it
    assert attempts(calm) == 300
    assert (factor(neighbour), slow_until(neighbour)) == (1, None)
    lab.simulator.post("rules", rules=[], replace=True)
    lab.until(lambda: tally(busy) == {"accepted": 300}, what="the throttled")
    lab.people = 600
    assert lab.judge() == {"accepted": 600}


def tally(order):
    with db.transaction():
        return counts.tally(order)


def factor(sender_id):
    with db.transaction() as orm:
        query = select(SenderBucket.factor).where(SenderBucket.sender_id == sender_id)
        return orm.scalars(query).one()


def slow_until(sender_id):
    with db.transaction() as orm:
        return orm.scalars(select(Sender.slow_until).where(Sender.id == sender_id)).one()


def attempts(order):
    with db.transaction() as orm:
        query = (
            select(func.count())
            .select_from(Attempt)
            .join(Message, Message.id == Attempt.message_id)
        )
        return orm.scalar(query.where(Message.campaign_id == order))
