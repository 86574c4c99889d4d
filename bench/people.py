"""Orders for many people, made by the database itself."""

import datetime as dt
from typing import Any
from uuid import UUID

from bodies import Sent
from sqlalchemy import Select, func, insert, literal_column, select, text, update

from clarion.base import db
from clarion.messaging import (
    counts,
    identifiers,
    leases,
    ledger,
    orders,
    references,
    snapshot,
)
from clarion.messaging.models import Campaign, Identifier, Message, Sender, Suppression
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import Preference
from clarion.tenancy.preferences import SWITCH
from clarion.tenancy.scope import account_scope, current_account
from clarion.testing.factories import Tenant
from clarion.work.models import WebhookInbox

TEMPLATE = {
    "name": "early_access",
    "language": "en",
    "parameter_format": "named",
    "parts": [{"kind": "body", "variables": ["first_name"]}],
    "text": {"header": "", "body": "Hi {{first_name}}!", "footer": "", "buttons": []},
}
_made: dict[str, Any] = {"people": 0}


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


def sent(tenant: Tenant, sender_id: UUID, size: int) -> list[Sent]:
    """Have an order of so many people accepted, by the ledger's own statements."""
    by, answered = references.instance(), list[Sent]()
    order_id, _ids = frozen(tenant, sender_id, size)
    with account_scope(tenant.id, COMMAND):
        _be(order_id, "running")
        while some := _accepted(order_id, by):
            answered += some
        _be(order_id, "paused")
    assert len(answered) == size
    return answered


def _accepted(order_id: UUID, by: str) -> list[Sent]:
    with db.transaction():
        token, rows = leases.claim(order_id, 1_000)
        ids = [row.id for row in rows]
        ledger.lock_for_intent(order_id, ids)
        assert set(ledger.intend(token, ids)) == set(ids)
        outcomes = [
            ledger.Outcome(
                one.id,
                one.attempt,
                one.token,
                "accepted",
                provider_id=f"wamid.{one.id.hex}",
            )
            for one in rows
        ]
        ledger.record(outcomes)
        ledger.keep_statistics()
    return [
        Sent(f"wamid.{one.id.hex}", references.reference(one.id, one.attempt, by=by))
        for one in rows
    ]


def _be(order_id: UUID, state: str) -> None:
    with db.transaction() as orm:
        orm.execute(
            update(Campaign)
            .where(Campaign.account_id == current_account(), Campaign.id == order_id)
            .values(state=state)
        )


def real(tenant: Tenant, sender_id: UUID, size: int, first: int) -> tuple[UUID, list[str]]:
    """Start an order for people whose numbers are known, so that they can say STOP."""
    numbers = [f"+55119{first + n}" for n in range(size)]
    with account_scope(tenant.id, COMMAND), db.transaction():
        identifiers.attach_many([(db.new_id(), "phone", n) for n in numbers], "bench")
        made = orders.create("Bench", "marketing", sender_id, TEMPLATE)
        audience = select(
            Identifier.contact_id.label("contact_id"),
            literal_column("'phone'").label("address_kind"),
            Identifier.value.label("address"),
            Identifier.idx.label("address_idx"),
            literal_column("""'{"first_name": "Ana"}'::jsonb""").label("variables"),
            literal_column("NULL::uuid").label("consent_id"),
            literal_column("''").label("reason"),
        ).where(Identifier.account_id == tenant.id, Identifier.value.in_(numbers))
        orders.start(made.id, audience)
        return made.id, numbers


def paused_order(tenant: Tenant, sender_id: UUID, size: int) -> UUID:
    """Freeze an order that waits until it is resumed."""
    order_id, _ids = frozen(tenant, sender_id, size)
    with account_scope(tenant.id, COMMAND):
        _be(order_id, "paused")
    return order_id


def silence_strangers(tenant: Tenant, size: int) -> None:
    """Put so many people on the do-not-contact list who are nobody's here."""
    rows = select(
        func.clarion_new_id(),
        literal_column("'phone'"),
        literal_column("sha256(convert_to('stranger ' || n, 'UTF8'))"),
        literal_column("'marketing'"),
        literal_column("'stop'"),
    ).select_from(text(f"generate_series(1, {size}) AS n"))
    _silence(tenant, rows)


def silence_some(tenant: Tenant, order_id: UUID, size: int) -> None:
    """Put some of an order's people on the list, after it was frozen."""
    rows = (
        select(
            func.clarion_new_id(),
            literal_column("'phone'"),
            Message.address_idx,
            literal_column("'marketing'"),
            literal_column("'stop'"),
        )
        .where(Message.account_id == tenant.id, Message.campaign_id == order_id)
        .order_by(Message.id)
        .limit(size)
    )
    _silence(tenant, rows)


def _silence(tenant: Tenant, rows: Select[Any]) -> None:
    names = ["id", "kind", "idx", "scope", "reason"]
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        orm.execute(insert(Suppression).from_select(names, rows, include_defaults=False))


def pace(tenant: Tenant, sender_id: UUID, per_s: int) -> None:
    """Give a number another rate."""
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        orm.execute(
            update(Sender)
            .where(Sender.account_id == tenant.id, Sender.id == sender_id)
            .values(rate_per_s=per_s)
        )


def pause(tenant: Tenant, order_id: UUID) -> None:
    """Pause an order, as its page does."""
    with account_scope(tenant.id, COMMAND), db.transaction():
        orders.pause(order_id)


def resume(tenant: Tenant, order_id: UUID) -> None:
    """Let an order go on."""
    with account_scope(tenant.id, COMMAND), db.transaction():
        orders.resume(order_id)


def cancel(tenant: Tenant, order_id: UUID) -> None:
    """Stop an order for good."""
    with account_scope(tenant.id, COMMAND), db.transaction():
        orders.cancel(order_id)


def all_states(tenant: Tenant) -> dict[str, int]:
    """Count all messages of an account by state."""
    query = select(Message.state, func.count()).where(Message.account_id == tenant.id)
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        return dict(orm.execute(query.group_by(Message.state)).tuples().all())


def unapplied(tenant: Tenant) -> int:
    """Count the stored webhooks nobody has applied yet."""
    query = select(func.count()).where(
        WebhookInbox.account_id == tenant.id, WebhookInbox.applied_at.is_(None)
    )
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        return orm.scalar(query) or 0


def now(tenant: Tenant) -> dt.datetime:
    """The database's clock."""
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        return orm.scalar(select(func.clarion_now()))


def waits(tenant: Tenant, since: dt.datetime) -> list[float]:
    """How long each status waited from being stored to being applied, in seconds."""
    query = select(
        func.extract("epoch", WebhookInbox.applied_at - WebhookInbox.created_at),
        WebhookInbox.events,
    ).where(WebhookInbox.account_id == tenant.id, WebhookInbox.created_at >= since)
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        return [float(w) for w, n in orm.execute(query) for _ in range(n)]


def slowest_stop(tenant: Tenant) -> float:
    """How long the slowest STOP took from being stored to being effective, in seconds."""
    query = select(
        func.max(func.extract("epoch", WebhookInbox.applied_at - WebhookInbox.created_at))
    ).where(WebhookInbox.account_id == tenant.id, WebhookInbox.kind == "inbound")
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        return float(orm.scalar(query))


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
        literal_column("clarion_new_id()").label("contact_id"),  # as imports do
        literal_column("'phone'").label("address_kind"),
        literal_column("'+55119' || (40000000 + n)").label("address"),
        literal_column("sha256(convert_to(n::text, 'UTF8'))").label("address_idx"),
        literal_column("""'{"first_name": "Ana"}'::jsonb""").label("variables"),
        literal_column("NULL::uuid").label("consent_id"),
        literal_column("''").label("reason"),
    ).select_from(text(f"generate_series({first}, {first + size - 1}) AS n"))
