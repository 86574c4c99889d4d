"""The console counts a campaign's people as the campaign's own page does."""

import datetime as dt
import re

from sqlalchemy import select
from tests.clarion.messaging.conftest import TEMPLATE, audience, number

from clarion.base import db
from clarion.messaging import identifiers, orders
from clarion.messaging.models import Message
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender


def test_those_left_out_are_no_part_of_either(desk, quiet_house):
    tenant = make_account("Counted twice")
    sender = make_sender(tenant)
    people = [
        (db.new_id(), number(43_000_000 + i), "no_consent" if i < 4 else "")
        for i in range(10)
    ]
    with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
        identifiers.attach_many([(c, "phone", n) for c, n, _ in people], "test")
        order = orders.create("Counted", "utility", sender, TEMPLATE)
        orders.start(order.id, audience(people))
        some = select(Message).where(Message.state == "queued").limit(2)
        for row, state in zip(orm.scalars(some), ("delivered", "failed"), strict=True):
            row.state = state
        order.created_at = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)  # the newest are shown
        orm.flush()
        own = orders.progress(order.id)

    page = desk.get("/console/").text
    row = page[page.index("Counted twice") :]
    shown = re.search(r"(\d+) of (\d+) handled", row)

    assert (own.audience - own.waiting, own.audience) == (2, 6)
    assert shown.groups() == ("2", "6")
