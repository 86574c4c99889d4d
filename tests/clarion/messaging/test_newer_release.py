"""A newer release runs beside this one and has a state that nobody here has heard of."""

from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import select

from clarion.base import clock, db
from clarion.messaging import advance, counts, orders, outcomes, reconcile
from clarion.messaging.models import Message

STRANGE = "parked"


@pytest.fixture
def strange(database, make_order):
    """An order with three people, one of them in that state."""
    order, _people = make_order.start(3)
    with db.transaction() as orm:
        row = orm.scalars(
            select(Message.id).where(Message.campaign_id == order).limit(1)
        ).one()
    with newer(database) as connection:
        connection.execute(
            "UPDATE message SET state = %s, reason = 'elsewhere' WHERE id = %s",
            [STRANGE, row],
        )
        yield order, row
        connection.execute(
            "UPDATE message SET state = 'cancelled', reason = 'stopped' WHERE id = %s",
            [row],
        )


@contextmanager
def newer(database):
    """Have the tables as the newer release has them: it has widened the list of states."""
    url = database.superuser_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        check = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conname = 'ck_message_state'"
        ).fetchone()[0]
        connection.execute("SET session_replication_role = replica")  # its own moves
        connection.execute("ALTER TABLE message DROP CONSTRAINT ck_message_state")
        try:
            yield connection
        finally:
            connection.execute(
                f"ALTER TABLE message ADD CONSTRAINT ck_message_state {check}"
            )


def test_a_state_of_a_newer_release_is_left_alone(strange, simulator, run_jobs):
    order, row = strange

    run_jobs()
    reconcile.look()
    with db.transaction():
        told = advance.Advance(f"wamid.{row}", "delivered", clock.now(), row, 1)
        advance.advance([told])

    assert len(simulator.receipts()) == 2
    with db.transaction():
        assert counts.tally(order) == {"accepted": 2, STRANGE: 1}
        assert orders.progress(order).total == 3
        assert outcomes.explain(STRANGE, "elsewhere").title
