"""Staff see what each business may send in a day, and can lower it."""

from sqlalchemy import select

from clarion.base import db
from clarion.messaging import limits, portfolio
from clarion.messaging.contract import Limits
from clarion.messaging.models import Channel, Sender
from clarion.testing.factories import make_sender


def test_a_business_can_be_held_lower_and_freed_again(desk, account):
    sender = make_sender(account)
    name = f"business:{db.new_id().hex}"
    with db.transaction() as orm:
        channel = orm.scalar(select(Sender.channel_id).where(Sender.id == sender))
        limits.belong(channel, Limits("5550147", business=name))
        limits.learn(channel, Limits("5550147", people_per_day=10_000))
    with db.transaction() as orm:
        made = orm.scalar(select(Channel.portfolio_id).where(Channel.id == channel))

    page = desk.get("/console/limits/").text
    assert name in page
    assert "10,000" in page
    desk.post("/console/limits/set", "/console/limits/", business=str(made), per_day="500")
    assert portfolio.usage([made])[made].per_day == 500
    desk.post("/console/limits/set", "/console/limits/", business=str(made), per_day="")
    assert portfolio.usage([made])[made].per_day == 10_000
    assert (
        desk.post(
            "/console/limits/set", "/console/limits/", business=str(made), per_day="-5"
        ).status_code
        == 422
    )
    assert (
        desk.post(
            "/console/limits/set", "/console/limits/", business="no id", per_day="5"
        ).status_code
        == 404
    )
