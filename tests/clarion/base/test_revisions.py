"""Each later revision of the schema works on a database that holds data."""

import pytest
from alembic import command
from sqlalchemy import create_engine, text

from clarion.base import migrate, services
from clarion.plugging.manager import histories

NAME = "clarion_revisions"
FIRST = {
    "clarion": "0001_core",
    "contacts": "0001_contacts",
    "templates": "0001_templates",
    "campaigns": "0001_campaigns",
}


@pytest.fixture
def old(database):
    """A database as the first revisions left it, in use: (histories, owner, superuser)."""
    urls = services.fresh_database(database, NAME)
    owner, root = create_engine(urls.owner_url), create_engine(urls.superuser_url)
    found = migrate.Histories(histories())
    with owner.connect() as connection:
        for name in found.places:
            config = found.config(name, connection)
            command.upgrade(config, FIRST.get(name, "head"))
            connection.commit()
    yield found, owner, root
    owner.dispose()
    root.dispose()
    services.drop_database(database, NAME)


def test_a_database_in_use_is_brought_up_to_date(old):
    found, owner, root = old
    with root.begin() as connection:
        connection.execute(
            text(
                """
                WITH a AS (INSERT INTO account (id, name) VALUES
                    (gen_random_uuid(), 'Old') RETURNING id),
                  r AS (INSERT INTO sending_rules (id, account_id, approve_above)
                    SELECT gen_random_uuid(), id, 5 FROM a),
                  b AS (INSERT INTO breaker (id, account_id, kind, subject, reason)
                    SELECT gen_random_uuid(), id, 'channel', 'x', 'token_invalid' FROM a),
                  w AS (INSERT INTO webhook_inbox (id, account_id, endpoint_id, handler,
                      key, kind, payload, applied_at)
                    SELECT gen_random_uuid(), id, gen_random_uuid(), 'messaging', 'k',
                      'status', '', clarion_now() FROM a)
                INSERT INTO campaigns_draft (id, account_id, name, request_key)
                SELECT gen_random_uuid(), id, 'Old sale', 'k' FROM a
                """
            )
        )

    moved = found.upgrade(owner)
    again = found.upgrade(owner)

    assert {"clarion", "contacts", "campaigns"} <= set(moved)
    assert again == []
    with root.connect() as connection:
        one = connection.execute(
            text(
                "SELECT d.follow_up, d.ceiling_micros, r.approve_above,"
                " r.approve_above_price, b.kind, w.applied_at IS NOT NULL AS applied"
                " FROM campaigns_draft d, sending_rules r, breaker b, webhook_inbox w"
            )
        ).one()
    assert tuple(one) == ("", None, 5, None, "channel", True)


def test_and_back_again(old):
    found, owner, root = old
    found.upgrade(owner)
    with root.begin() as connection:
        connection.execute(
            text(
                "WITH a AS (INSERT INTO account (id, name) VALUES (gen_random_uuid(), 'O')"
                " RETURNING id) INSERT INTO breaker (id, account_id, kind, subject, reason)"
                " SELECT gen_random_uuid(), id, 'portfolio', 'x', 'account_locked' FROM a"
            )
        )
    with owner.connect() as connection:
        for name, first in reversed(FIRST.items()):
            command.downgrade(found.config(name, connection), first)
            connection.commit()

    with root.connect() as connection:
        left = connection.execute(text("SELECT count(*) FROM breaker")).scalar_one()
        there = connection.execute(text("SELECT to_regclass('price')")).scalar_one()
    assert (left, there) == (0, None)
