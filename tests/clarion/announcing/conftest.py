"""Staff who announce, staff who approve, and accounts that are told."""

import datetime as dt
from dataclasses import dataclass

import pytest
from tests.clarion.console.conftest import ada, console, desk, web  # noqa: F401 -- fixtures

from clarion.announcing import audience, drafts, sending
from clarion.base import clock, db
from clarion.plugging.manager import plugins
from clarion.tenancy.actor import Actor
from clarion.tenancy.models import Membership, Person
from clarion.tenancy.scope import account_scope, staff_scope, system_scope
from clarion.testing.factories import make_account


@dataclass(frozen=True)
class Clerk:
    """A staff member without a browser, who may everything."""

    name: str
    number: int

    def do(self, act, *given, **named):
        may = frozenset(plugins().permissions("console"))
        who = Actor("staff", str(self.number), self.name, permissions=may)
        with staff_scope(who), db.transaction():
            return act(*given, **named)


ADA, BEN = Clerk("Ada", 9101), Clerk("Ben", 9102)


@pytest.fixture
def tenant(database, clean):
    return make_account("Casa Verde")


@pytest.fixture
def other(database, clean):
    return make_account("Loja Norte")


def written(*tenants, **more):
    """What somebody has filled in about these accounts."""
    given = {
        "kind": "maintenance",
        "texts": {"en": ("Maintenance on Sunday", "From 2 to 3 nothing is sent.")},
        "audience": "accounts" if tenants else "all",
        "named": "\n".join(str(one.id) for one in tenants),
        "ends_at": clock.now() + dt.timedelta(days=1),
        "starts_at": clock.now() - dt.timedelta(minutes=1),
    }
    return drafts.Written(**given | more)


def confirmed(announcement_id, clerk=ADA):
    """Send it, confirming the numbers that the page shows."""

    def act():
        one = drafts.locked(announcement_id)
        return sending.send(announcement_id, *audience.counts(one))

    return clerk.do(act)


def announce(*tenants, **more):
    """Write and send to named accounts; answers the id."""
    made = ADA.do(drafts.write, written(*tenants, **more))
    confirmed(made)
    return made


def join(tenant, role, *, language="", person_id=None):
    """Give an account one more person; answers their address."""
    email = f"{role}-{db.new_id().hex}@example.org"
    with system_scope(tenant.actor), db.transaction() as orm:
        if person_id is None:
            person_id = db.new_id()
            orm.add(
                Person(id=person_id, email=email, name="Rui", language=language,
                       confirmed_at=clock.now())
            )  # fmt: skip
            orm.flush()
        orm.add(Membership(account_id=tenant.id, person_id=person_id, role=role))
    return email


def within(tenant, act, *given, **named):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        return act(*given, **named)
