"""What staff see of refusals: codes without a word, and what was stopped, in no one's name."""

import re

from sqlalchemy import select

from clarion.base import db
from clarion.messaging import breakers, gauges
from clarion.messaging.models import Channel
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender


def test_a_code_is_listed_settled_and_back_when_it_is_met_again(desk, clean):
    tenant = make_account("Kopi Mama")
    with account_scope(tenant.id, COMMAND), db.transaction():
        gauges.strange("whatsapp_cloud", {"139998": 3})
    page = desk.get("/console/webhooks/").text
    row = re.search(r"<b>139998</b>.*?</tr>", page, re.DOTALL)[0]
    assert ">3<" in row
    assert "Kopi Mama" not in page

    fields = {"transport": "whatsapp_cloud", "code": "139998"}
    assert desk.post("/console/webhooks/code", **fields).status_code == 302
    assert "139998" not in desk.get("/console/webhooks/").text
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
