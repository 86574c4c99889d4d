"""Orders with people in them, and the simulator they are sent to."""

import json
from types import SimpleNamespace
from uuid import UUID

import pytest
from sqlalchemy import LargeBinary, String, Uuid, cast, column, literal, select, values
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PGUUID

from clarion.base import db
from clarion.messaging import identifiers, orders
from clarion.tenancy import preferences
from clarion.testing.factories import make_sender

TEMPLATE = {
    "name": "early_access",
    "language": "en",
    "parameter_format": "named",
    "parts": [{"kind": "body", "variables": ["first_name"]}],
    "text": {"header": "", "body": "Hi {{first_name}}!", "footer": "", "buttons": []},
}


def audience(people):
    """A SELECT of (contact id, number, reason) rows, as a segment would make it."""
    rows = [
        (i, n, identifiers.index("phone", n), json.dumps({"first_name": "Ana"}), why)
        for i, n, why in people
    ]
    table = values(
        column("c", Uuid),
        column("n", String),
        column("x", LargeBinary),
        column("v", String),
        column("w", String),
        name="people",
    ).data(rows)
    return select(
        cast(table.c.c, PGUUID).label("contact_id"),
        literal("phone").label("address_kind"),
        table.c.n.label("address"),
        table.c.x.label("address_idx"),
        cast(table.c.v, JSONB).label("variables"),
        cast(literal(None), PGUUID).label("consent_id"),
        table.c.w.label("reason"),
    )


def number(i: int) -> str:
    return f"+55119{i:08d}"


class Orders:
    """Makes and starts orders for one account."""

    def __init__(self, sender_id: UUID):
        self.sender_id = sender_id

    def start(self, people=3, *, attach=True, purpose="marketing", first=40_000_000):
        if isinstance(people, int):
            people = [(db.new_id(), number(first + i), "") for i in range(people)]
        with db.transaction():
            if attach:
                identifiers.attach_many([(c, "phone", n) for c, n, _ in people], "test")
            order = orders.create("Early access", purpose, self.sender_id, TEMPLATE)
            orders.start(order.id, audience(people))
        return order.id, people


@pytest.fixture
def make_order(account, simulator):
    """Orders of the engine alone: the plugin that asks for consent is off here."""
    with db.transaction():
        for name in ("campaigns", "contacts"):
            preferences.switch(name, to=False)
    return Orders(make_sender(account, f"{simulator.url}"))


@pytest.fixture
def make_audience():
    """The template and the audience of these tests, for orders made elsewhere."""
    return SimpleNamespace(TEMPLATE=TEMPLATE, audience=audience)
