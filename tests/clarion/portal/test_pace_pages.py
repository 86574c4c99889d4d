"""What the portal says about pace and daily limits, and what can be set there."""

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.messaging import limits, pacing
from clarion.messaging.contract import Busy, Limits
from clarion.messaging.models import Sender
from clarion.testing.factories import make_sender


@pytest.fixture
def sender(account):
    return make_sender(account, rate_per_s=80)


@pytest.fixture
def channel(sender):
    with db.transaction() as orm:
        return orm.scalar(select(Sender.channel_id).where(Sender.id == sender))


def test_a_number_shows_its_pace_and_why_it_waits(owner, sender, channel):
    assert "80 per second" in owner.get(f"/senders/{channel}").text
    with db.transaction():
        pacing.busy(channel, sender, Busy("sender", 3, "130429", throttles=True))
    page = owner.get(f"/senders/{channel}").text
    assert "40 per second" in page
    assert "It goes on at half its pace" in page
    with db.transaction():
        pacing.busy(channel, sender, Busy("token", 300, "4"))
    assert "too many calls to the provider" in owner.get(f"/senders/{channel}").text


def test_a_lower_pace_is_set_and_a_higher_one_refused(owner, sender, channel):
    owner.get(f"/senders/{channel}")
    assert owner.post(f"/senders/number/{sender}/rate", rate_per_s="20").status_code == 302
    assert "20 per second" in owner.get(f"/senders/{channel}").text
    refused = owner.post(f"/senders/number/{sender}/rate", rate_per_s="81")
    assert refused.status_code == 422
    assert "what the provider allows" in refused.text
    owner.post(f"/senders/number/{sender}/rate", rate_per_s="")
    assert "80 per second" in owner.get(f"/senders/{channel}").text


def test_the_days_budget_is_shown(owner, sender, channel):
    assert "is not known yet" in owner.get(f"/senders/{channel}").text
    with db.transaction():
        limits.belong(channel, Limits("5550147", business=f"business:{db.new_id().hex}"))
        limits.learn(channel, Limits("5550147", people_per_day=2_000))
    assert "0 of 2,000. 2,000 left." in owner.get(f"/senders/{channel}").text
