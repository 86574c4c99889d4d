"""People who agreed, for real: by an attested list and one by one."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select

from clarion.base import db
from clarion.messaging import counts, ledger, orders
from clarion.messaging.models import Message
from clarion.tenancy.models import Preference
from clarion.tenancy.preferences import SWITCH
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import Tenant

WORDING = "I want offers from Casa Verde by WhatsApp."
TEMPLATE = {
    "name": "early_access",
    "language": "en",
    "parameter_format": "named",
    "parts": [{"kind": "body", "variables": ["first_name"]}],
    "text": {"header": "", "body": "Hi {{first_name}}!", "footer": "", "buttons": []},
}
BY_HAND = 500  # at once


def prepare(tenant: Tenant) -> None:
    """Here the plugin that asks for consent is on, as for every account."""
    with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
        orm.execute(
            delete(Preference)
            .where(Preference.plugin == "contacts", Preference.name == SWITCH)
            .execution_options(audited=True)
        )


def by_list(tenant: Tenant, size: int) -> int:
    """Import an attested list of so many people."""
    from clarion_contacts import jobs, service

    lines = "".join(f"+55119{40_000_000 + n};Ana {n}\n" for n in range(size))
    with account_scope(tenant.id, tenant.actor):
        with db.transaction():
            row = service.upload("people.csv", f"phone;name\n{lines}".encode())
            fields = {int(at): said for at, said in row.mapping.items()}
            service.match(row.id, fields, country="BR")
            service.attest(
                row.id,
                source="web_form",
                place="https://casaverde.example/newsletter",
                agreed_on=dt.date(2026, 3, 1),
                wording=WORDING,
                typed_name=tenant.actor.name,
            )
            service.check(row.id)
        jobs._check(row.id)
        with db.transaction():
            service.start(row.id)
        with db.transaction():
            service.apply(row.id)
        return size


def by_hand(tenant: Tenant, size: int) -> None:
    """Record people one by one, as the team does."""
    from clarion_contacts import service

    with account_scope(tenant.id, tenant.actor):
        for first in range(0, size, BY_HAND):
            with db.transaction():
                for n in range(first, min(first + BY_HAND, size)):
                    details = service.Details(
                        name=f"Bo {n}", phone=f"+55119{50_000_000 + n}"
                    )
                    one = service.add(details)
                    service.opt_in(one.id, method="shop", source="Shop", wording=WORDING)


def order(tenant: Tenant, sender_id: UUID) -> UUID:
    """Launch a campaign to everybody who agreed."""
    from clarion_contacts import service

    filled = {"first_name": {"source": "first_name", "fallback": "friend"}}
    with account_scope(tenant.id, tenant.actor), db.transaction():
        made = orders.create("Bench", "marketing", sender_id, TEMPLATE)
        audience = service.audience(service.everyone(), filled, "marketing")
        orders.start(made.id, audience)
        return made.id


def waiting(tenant: Tenant, order_id: UUID) -> int:
    """Count an order's messages whose outcome is not written yet."""
    with account_scope(tenant.id, tenant.actor), db.transaction():
        told = counts.tally(order_id)
    return sum(told.get(state, 0) for state in ledger.OPEN)


def accepted(tenant: Tenant, order_id: UUID) -> list[UUID]:
    """List an order's messages that the provider took."""
    query = select(Message.id).where(
        Message.account_id == tenant.id,
        Message.campaign_id == order_id,
        Message.state == "accepted",
    )
    with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
        return list(orm.scalars(query.order_by(Message.id)))


def seal(tenant: Tenant) -> int:
    """Seal what is loose; returns how many events."""
    from clarion_contacts import service

    with account_scope(tenant.id, tenant.actor), db.transaction():
        return service.seal(window=None)


def verify(tenant: Tenant) -> Any:
    """Walk the chain."""
    from clarion_contacts import service

    with account_scope(tenant.id, tenant.actor), db.transaction():
        return service.verify()


def cards(tenant: Tenant, ids: list[UUID]) -> Any:
    """Write the cards of some messages."""
    from clarion_contacts import service

    with account_scope(tenant.id, tenant.actor), db.transaction():
        return service.cards(ids)
