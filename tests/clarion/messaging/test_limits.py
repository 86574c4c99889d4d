"""Limits are data: learned from the provider, lowered by people, felt at once."""

import pytest
from sqlalchemy import select, update
from tests.clarion.messaging.test_launches import notice

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.messaging import channels, counts, dispatch, limits, pacing, portfolio
from clarion.messaging.contract import UNLIMITED, Limits
from clarion.messaging.models import Channel, Portfolio, Sender
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_sender


def channel_of(sender_id):
    with db.transaction() as orm:
        return orm.scalar(select(Sender.channel_id).where(Sender.id == sender_id))


@pytest.fixture(autouse=True)
def business():
    """A business of its own for each test: what one learns holds for all its numbers."""
    BUSINESS["now"] = f"business:{db.new_id().hex}"
    return BUSINESS["now"]


BUSINESS = {}


def learn(sender_id, *args, **kwargs):
    channel = channel_of(sender_id)
    with db.transaction():
        limits.belong(channel, Limits("5550147", business=BUSINESS["now"]))
        limits.learn(channel, Limits(*args, **kwargs))
    return channel


def rate(sender_id):
    with db.transaction():
        return next(s.rate for s in channels.senders() if s.id == sender_id)


def test_a_faster_number_is_learned_by_its_number_or_its_id(account):
    sender = make_sender(account, rate_per_s=80)
    learn(sender, "5511955500147", rate_per_s=1000)
    assert rate(sender) == 1000
    learn(sender, "5550147", rate_per_s=20)
    assert rate(sender) == 20
    learn(sender, "4930111111", rate_per_s=1000)
    assert rate(sender) == 20


def test_a_number_may_be_slower_than_the_provider_allows_and_never_faster(account):
    sender = make_sender(account, rate_per_s=80)
    with db.transaction():
        limits.set_own_rate(sender, 20)
    assert rate(sender) == 20
    with db.transaction():
        assert pacing.take(sender, 100).count == 2
    with pytest.raises(Invalid), db.transaction():
        limits.set_own_rate(sender, 81)
    with db.transaction():
        limits.set_own_rate(sender, None)
    assert rate(sender) == 80


def test_what_is_connected_slower_stays_slower(account):
    sender = make_sender(account, rate_per_s=20)
    learn(sender, "5550147", rate_per_s=1000)
    assert rate(sender) == 20


def test_accounts_of_one_business_share_its_limit_and_others_do_not(
    account, other_account, business
):
    mine = make_sender(account)
    found = learn(mine, people_per_day=2_000)
    with account_scope(other_account.id, other_account.actor):
        theirs = channel_of(make_sender(other_account))
        with db.transaction() as orm:
            limits.belong(theirs, Limits("5550147", business=business))
            orm.flush()
            shared = orm.scalar(select(Channel.portfolio_id).where(Channel.id == theirs))
            limits.belong(theirs, Limits("5550147"))  # no longer proved
            orm.flush()
            own = orm.scalar(select(Channel.portfolio_id).where(Channel.id == theirs))
    with db.transaction() as orm:
        portfolio_id = orm.scalar(select(Channel.portfolio_id).where(Channel.id == found))
    assert shared == portfolio_id != own
    assert portfolio.usage([shared])[shared].per_day == 2_000


def test_a_lower_limit_of_the_operators_holds_until_it_is_lifted(account):
    channel = learn(make_sender(account), people_per_day=UNLIMITED)
    with db.transaction() as orm:
        made = orm.scalar(select(Channel.portfolio_id).where(Channel.id == channel))
    assert not portfolio.limited(made)
    with db.apart(portfolio.SYSTEM) as orm:
        orm.execute(
            update(Portfolio).where(Portfolio.id == made).values(own_people_per_day=5)
        )
    assert portfolio.usage([made])[made].left == 5


def test_a_raised_limit_lets_those_go_on_who_wait(make_order, simulator, run_jobs):
    learn(make_order.sender_id, people_per_day=4)
    order, _ = make_order.start(10)
    dispatch.drain(order)
    with db.transaction():
        assert counts.tally(order) == {"accepted": 4, "queued": 6}

    learn(make_order.sender_id, people_per_day=2_000)
    run_jobs()

    with db.transaction():
        assert counts.tally(order) == {"accepted": 10}


def test_a_check_learns_the_limits(account, simulator, run_jobs):
    sender = make_sender(account, simulator.url, rate_per_s=80)
    simulator.post(
        "phones",
        id="5550147",
        waba="9900",
        fields={"whatsapp_business_manager_messaging_limit": "TIER_10K"},
    )
    with db.transaction():
        channels.check_channel.later(channel_of(sender))
    run_jobs()

    assert rate(sender) == 1000
    with db.transaction() as orm:
        made = orm.scalar(select(Channel.portfolio_id))
    found = portfolio.usage([made])[made]
    assert (found.per_day, found.name) == (10_000, "business:88009900")


@pytest.mark.parametrize(
    ("said", "per_day"),
    [("TIER_2K", 2_000), (100_000, 100_000), (-1, None), ("TIER_NEW", 250)],
)
def test_a_webhook_changes_the_daily_limit_of_the_business(account, said, per_day):
    channel = learn(make_sender(account), people_per_day=250)

    notice(account, "business_capability_update", max_daily_conversations_per_business=said)

    with db.transaction() as orm:
        made = orm.scalar(select(Channel.portfolio_id).where(Channel.id == channel))
    assert portfolio.usage([made])[made].per_day == per_day


def test_a_webhook_changes_the_rate_of_its_number_only(account):
    sender = make_sender(account, rate_per_s=80)
    about = {"event": "THROUGHPUT_UPGRADE"}

    notice(account, "phone_number_quality_update", display_phone_number="1555", **about)
    assert rate(sender) == 80
    notice(
        account,
        "phone_number_quality_update",
        display_phone_number="5511955500147",
        **about,
    )
    assert rate(sender) == 1000


def test_what_comes_late_does_not_undo_what_was_said_since(account):
    sender = make_sender(account, rate_per_s=80)
    channel = learn(sender, people_per_day=250)
    tell = {
        "rate": lambda ago: notice(
            account,
            "phone_number_quality_update",
            ago=ago,
            display_phone_number="5511955500147",
            event="THROUGHPUT_UPGRADE",
            max_daily_conversations_per_business="TIER_2K",
        ),
        "day": lambda ago: notice(
            account,
            "business_capability_update",
            ago=ago,
            max_daily_conversations_per_business="TIER_10K",
        ),
    }

    tell["rate"](3_600)  # from before it was connected: what was asked then is newer
    tell["day"](3_600)

    with db.transaction() as orm:
        made = orm.scalar(select(Channel.portfolio_id).where(Channel.id == channel))
    assert rate(sender) == 80
    assert portfolio.usage([made])[made].per_day == 250
    tell["day"](-10)
    tell["rate"](-5)  # said before, come after
    assert rate(sender) == 1000
    assert portfolio.usage([made])[made].per_day == 10_000
