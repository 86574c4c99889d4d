"""What happens in the lab, in this process or in one that dies of it."""

import json
import os
from uuid import UUID

from sqlalchemy import LargeBinary, String, Uuid, cast, column, literal, select, values
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PGUUID

from clarion.base import db
from clarion.messaging import identifiers, orders, references
from clarion.messaging.models import Attempt, Channel
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import account_scope, current_account
from clarion.work import webhooks

TEMPLATE = {
    "name": "early_access",
    "language": "en",
    "parameter_format": "named",
    "parts": [{"kind": "body", "variables": ["first_name"]}],
    "text": {"header": "", "body": "Hi {{first_name}}!", "footer": "", "buttons": []},
}


def in_account(deed, account_id, *words):
    """Do one of these as an account's own; what the nursery calls in a child."""
    if not account_id:
        globals()[deed](*words)
        return
    with account_scope(UUID(account_id), COMMAND):
        globals()[deed](*words)


def web(port):
    """Serve the webhook intake as `clarion web` does, in a process group of its own."""
    from clarion.web.intake import intake
    from clarion.web.serve import Served

    class Intake(Served):
        def load(self):
            return intake

    os.setsid()
    Intake("127.0.0.1", int(port), 1).run()


def worker_whose_clock_is_wrong(hours):
    """Work with a clock that is so many hours ahead: what this process reads, all of it."""
    import datetime as dt
    import time

    from clarion import worker
    from clarion.base import clock

    ahead, right = int(hours) * 3600, (time.time, time.time_ns)
    time.time = lambda: right[0]() + ahead
    time.time_ns = lambda: right[1]() + ahead * 10**9
    clock.now = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ahead)
    worker.run(relay=True)


def order(sender_id, first, size):
    """Start an order for so many new people; returns its id."""
    people = [(db.new_id(), f"+55119{50_000_000 + first + i}") for i in range(size)]
    with db.transaction():
        identifiers.attach_many([(c, "phone", n) for c, n in people], "test")
        made = orders.create("Kills", "marketing", UUID(str(sender_id)), TEMPLATE)
        orders.start(made.id, audience(people))
    return made.id


def order_then_die(sender_id, first, size):
    """Start an order and die once it is committed, before anybody is told of it."""
    order(sender_id, first, size)
    os._exit(137)


def status(word):
    """Have the provider call back about the one message there is."""
    with db.transaction() as orm:
        channel_id = orm.scalar(select(Channel.id))
        attempt = orm.scalars(select(Attempt)).one()
        said = {
            "id": attempt.provider_id,
            "status": word,
            "timestamp": str(int(attempt.intent_at.timestamp())),
            "biz_opaque_callback_data": references.reference(
                attempt.message_id, attempt.number
            ),
        }
    body = {"entry": [{"changes": [{"field": "messages", "value": {"statuses": [said]}}]}]}
    webhooks.receive("messaging", current_account(), channel_id, pieces(body))


def pieces(body):
    """Find the events of a webhook as the intake does."""
    from clarion.messaging import channels
    from clarion.messaging.contract import RawWebhook

    raw = RawWebhook(json.dumps(body).encode(), {})
    return list(channels.transports()["whatsapp_cloud"].split(raw))


def audience(people):
    """A SELECT of people, as a segment would make it."""
    rows = [
        (i, n, identifiers.index("phone", n), json.dumps({"first_name": "Ana"}))
        for i, n in people
    ]
    table = values(
        column("c", Uuid),
        column("n", String),
        column("x", LargeBinary),
        column("v", String),
        name="people",
    ).data(rows)
    return select(
        cast(table.c.c, PGUUID).label("contact_id"),
        literal("phone").label("address_kind"),
        table.c.n.label("address"),
        table.c.x.label("address_idx"),
        cast(table.c.v, JSONB).label("variables"),
        cast(literal(None), PGUUID).label("consent_id"),
        literal("").label("reason"),
    )
