"""Orders for many people, made by the database itself."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, literal_column, select, text

from clarion.base import db
from clarion.messaging import counts, ledger, orders, snapshot
from clarion.messaging.models import Message
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import Preference
from clarion.tenancy.preferences import SWITCH
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import Tenant

TEMPLATE = {
    "name": "early_access",
    "language": "en",
    "parameter_format": "named",
    "parts": [{"kind": "body", "variables": ["first_name"]}],
    "text": {"header": "", "body": "Hi {{first_name}}!", "footer": "", "buttons": []},
}
_made = {"people": 0}


def prepare(tenant: Tenant) -> None:
    """The people are numbers, nobody's contacts: nobody asks for their consent."""
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        orm.add(Preference(plugin="contacts", name=SWITCH, value=False))


def order(tenant: Tenant, sender_id: UUID, size: int) -> UUID:
    """Freeze an order of so many people and let the engine have it."""
    with account_scope(tenant.id, COMMAND), db.transaction():
        made = orders.create("Bench", "marketing", sender_id, TEMPLATE)
        orders.start(made.id, _audience(size))
        return made.id


def frozen(tenant: Tenant, sender_id: UUID, size: int) -> tuple[UUID, list[str]]:
    """Freeze an order for somebody else to send; returns it and its messages' ids."""
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        made = orders.create("Bench", "marketing", sender_id, TEMPLATE)
        snapshot.freeze(made.id, _audience(size))
        query = select(Message.id).where(Message.campaign_id == made.id)
        return made.id, [str(one) for one in orm.scalars(query)]


def waiting(tenant: Tenant, order_id: UUID) -> int:
    """Count an order's messages whose outcome is not written yet."""
    query = select(func.count()).where(
        Message.account_id == tenant.id,
        Message.campaign_id == order_id,
        Message.state.in_(ledger.OPEN),
    )
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        return orm.scalar(query) or 0


def states(tenant: Tenant, order_id: UUID) -> dict[str, int]:
    """Count an order's messages by state."""
    with account_scope(tenant.id, COMMAND), db.transaction():
        return counts.tally(order_id)


def _audience(size: int) -> Select[Any]:
    first, _made["people"] = _made["people"], _made["people"] + size
    return select(
        literal_column("gen_random_uuid()").label("contact_id"),
        literal_column("'phone'").label("address_kind"),
        literal_column("'+55119' || (40000000 + n)").label("address"),
        literal_column("sha256(convert_to(n::text, 'UTF8'))").label("address_idx"),
        literal_column("""'{"first_name": "Ana"}'::jsonb""").label("variables"),
        literal_column("NULL::uuid").label("consent_id"),
        literal_column("''").label("reason"),
    ).select_from(text(f"generate_series({first}, {first + size - 1}) AS n"))
