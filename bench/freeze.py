"""How long it takes to freeze an audience of a million real contacts, ready to be sent to.

`BENCH_FREEZE` makes it smaller; the size is among the figures. The people are contacts
with consent, a name that fills a variable, numbers of three countries; one in a hundred
said STOP. `freeze_1m_s` is `orders.start` and its commit: who is left out is judged, and
every person's row is in the ledger with its window. `postgres_cpu_s` is what the database
computed for it: on a machine that others use too, the clock on the wall says less.
"""

import os
import time
from uuid import UUID

import ground
import people
from sqlalchemy import text

from clarion.base import db
from clarion.testing.factories import Tenant

TARGETS = {"freeze_1m_s": ("max", 30.0)}
RECIPIENTS = int(os.environ.get("BENCH_FREEZE", "1000000"))


def measure() -> dict[str, float]:
    """Make the people, freeze them, and look what was written."""
    from clarion.tenancy.actor import COMMAND
    from clarion.tenancy.scope import account_scope

    with ground.prepared() as land:
        from clarion.boot import boot
        from clarion.testing.factories import make_account, make_sender

        boot()
        account = make_account()
        sender_id = make_sender(account)
        with account_scope(account.id, COMMAND), db.transaction():
            crowd(RECIPIENTS)
        spent, began = ground.cpu_seconds(land.postgres), time.perf_counter()
        order = frozen(account, sender_id)
        took = time.perf_counter() - began
        spent = ground.cpu_seconds(land.postgres) - spent
        states = people.states(account, order)
        stopped = -(-RECIPIENTS // 100)
        assert states == {"queued": RECIPIENTS - stopped, "suppressed": stopped}
    return {
        "freeze_1m_s": took,
        "rows_per_s": RECIPIENTS / took,
        "postgres_cpu_s": spent,
        "recipients": float(RECIPIENTS),
    }


def frozen(account: Tenant, sender_id: UUID) -> UUID:
    """Start an order to everybody, as a launched campaign does; returns it."""
    from clarion.messaging import orders
    from clarion.tenancy.actor import COMMAND
    from clarion.tenancy.scope import account_scope
    from clarion_contacts import service as contacts

    filled = {"first_name": {"source": "first_name", "fallback": "you"}}
    with account_scope(account.id, COMMAND), db.transaction():
        audience = contacts.audience(contacts.everyone(), filled, "marketing")
        made = orders.create("Bench", "marketing", sender_id, people.TEMPLATE)
        orders.start(made.id, audience)
        return made.id


def crowd(size: int) -> None:
    """Make contacts with consent in the present account; every hundredth said STOP."""
    orm = db.session()
    orm.execute(_PEOPLE, {"size": size})
    orm.execute(_GRANTS)
    orm.execute(_STOPS, {"size": size})


_PEOPLE = text(
    """
    INSERT INTO contacts_contact (id, name, first_name, phone, phone_idx, country,
      timezone, attributes, consent, consent_id, consent_at)
    SELECT clarion_new_id(), 'Ana Lima ' || n, 'Ana', p.phone,
      sha256(convert_to(p.phone, 'UTF8')), (ARRAY['BR', 'DE', 'IN'])[1 + n % 3],
      '', jsonb_build_object('city', 'Rio', 'points', n % 1000),
      'opted_in', clarion_new_id(), clarion_now()
    FROM generate_series(0, :size - 1) AS n, LATERAL (SELECT CASE n % 3
      WHEN 0 THEN '+55119' || 40000000 + n WHEN 1 THEN '+4915' || 100000000 + n
      ELSE '+919' || 800000000 + n END AS phone) p
    """
)
_GRANTS = text(
    """
    INSERT INTO contacts_consent (id, contact_id, action, purpose, method, source)
    SELECT consent_id, id, 'grant', 'marketing', 'shop', 'till' FROM contacts_contact
    """
)
_STOPS = text(
    """
    INSERT INTO suppression (id, contact_id, kind, idx, scope, reason)
    SELECT clarion_new_id(), id, 'phone', phone_idx, 'marketing', 'stop'
    FROM contacts_contact WHERE substring(name FROM '[0-9]+$')::int % 100 = 0
    """
)
