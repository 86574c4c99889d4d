"""What staff see of refusals: codes without a word, and what was stopped, in no one's name."""

import re

from sqlalchemy import select

from clarion.base import db
from clarion.messaging import breakers, gauges
from clarion.messaging.models import Channel
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender


def on_duty(desk):
    """How many strange codes today's page speaks of: other tests may have left some."""
    found = re.search(r"uses (\d+) codes? we do not know", desk.get("/console/").text)
    return int(found[1]) if found else 0


def test_a_code_is_listed_settled_and_back_when_it_is_met_again(desk, clean):
    tenant, before = make_account("Kopi Mama"), on_duty(desk)
    with account_scope(tenant.id, COMMAND), db.transaction():
        gauges.strange("whatsapp_cloud", {"139998": 3})
    page = desk.get("/console/webhooks/").text
    row = re.search(r"<b>139998</b>.*?</tr>", page, re.DOTALL)[0]
    assert ">3<" in row
    assert "Kopi Mama" not in page
    assert on_duty(desk) == before + 1

    fields = {"transport": "whatsapp_cloud", "code": "139998"}
    assert desk.post("/console/webhooks/code", **fields).status_code == 302
    assert "139998" not in desk.get("/console/webhooks/").text
    assert on_duty(desk) == before
    with account_scope(tenant.id, COMMAND), db.transaction():
        gauges.strange("whatsapp_cloud", {"139998": 1})
    assert "139998" in desk.get("/console/webhooks/").text
    desk.post("/console/webhooks/code", **fields)
    assert (
        desk.post("/console/webhooks/code", **(fields | {"code": "1"})).status_code == 404
    )


def test_what_is_stopped_is_listed_with_its_account(desk, clean):
    tenant = make_account("Kopi Mama")
    make_sender(tenant)
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        channel = str(orm.scalar(select(Channel.id)))
        breakers.open_("channel", channel, "token_invalid")
    page = desk.get("/console/webhooks/").text

    assert "Stopped to prevent harm" in page
    assert "Kopi Mama" in page
    assert "Access revoked" in page
