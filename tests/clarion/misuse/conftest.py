"""What the watch looks at: accounts that send, and staff who decide."""

from dataclasses import dataclass
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, func, insert, text
from tests.clarion.messaging.conftest import (  # noqa: F401 -- fixtures
    make_audience,
    make_order,
)

from clarion.base import db
from clarion.misuse.models import MisuseCount
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.scope import account_scope, staff_scope

MAY = frozenset(
    {
        "console.misuse", "console.misuse_decide", "console.accounts",
        "console.accounts_suspend", "console.accounts_limit", "console.accounts_notes",
        "console.overview",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Clerk:
    """A staff member without a browser."""

    name: str
    number: int

    def do(self, act, *given, **named):
        who = Actor("staff", str(self.number), self.name, permissions=MAY)
        with staff_scope(who), db.transaction():
            return act(*given, **named)


ADA, BEN, CLEO = Clerk("Ada", 9001), Clerk("Ben", 9002), Clerk("Cleo", 9003)


@pytest.fixture
def root(database):
    engine = create_engine(database.superuser_url)
    yield engine
    engine.dispose()


@pytest.fixture
def alone(root, clean):
    """No account but the test's own is known to the watch."""
    with root.begin() as connection:
        for table in (
            "misuse_flag_word", "misuse_flag_appeal", "misuse_flag", "misuse_count", "misuse_list",
            "misuse_link", "misuse_standing", "sending_hold", "account_quota", "breaker",
        ):  # fmt: skip
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("UPDATE sender SET quality = ''"))
        connection.execute(text("UPDATE campaign SET started_at = '2001-01-01'"))


def aged(root, tenant, days):
    with root.begin() as connection:
        connection.execute(
            text("UPDATE account SET created_at = clarion_now() - make_interval(days => :d)"
                 " WHERE id = :a"),
            {"d": days, "a": tenant.id},
        )  # fmt: skip


def counted(tenant, **numbers):
    """Write what counting would have written about an order of another day."""
    with account_scope(tenant.id, COMMAND), db.transaction() as orm:
        orm.execute(
            insert(MisuseCount).values(
                id=db.new_id(), campaign_id=uuid4(), purpose="marketing",
                started_at=func.clarion_now(), **numbers,
            )
        )  # fmt: skip
