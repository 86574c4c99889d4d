"""Rows for tests: accounts with people, channels with senders."""

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from clarion.base import db
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.models import Account, Membership, Person
from clarion.tenancy.scope import account_scope, system_scope

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account and its owner, as a test holds them."""

    id: UUID
    name: str
    person_id: UUID
    email: str

    @property
    def actor(self) -> Actor:
        """The owner, acting in the account."""
        return self.member("owner")

    def member(self, role: str) -> Actor:
        """Act as the same person with another role."""
        return Actor(
            "person",
            id=str(self.person_id),
            name="Marina Lopes",
            email=self.email,
            account_id=self.id,
            account_name=self.name,
            role=role,
        )


def make_account(name: str = "Casa Verde", **more: Any) -> Tenant:
    """Make an account with a confirmed owner who has a unique address and `PASSWORD`."""
    tenant = Tenant(db.new_id(), name, db.new_id(), f"owner-{db.new_id().hex}@example.org")
    with system_scope(COMMAND), db.transaction() as orm:
        orm.add(Account(id=tenant.id, name=name, **more))
        orm.add(
            Person(
                id=tenant.person_id,
                email=tenant.email,
                name="Marina Lopes",
                password_hash=_hash(),
                confirmed_at=_now(),
            )
        )
        orm.flush()
        orm.add(Membership(account_id=tenant.id, person_id=tenant.person_id, role="owner"))
    return tenant


def make_sender(tenant: Tenant, base_url: str = "", rate_per_s: int = 100_000) -> UUID:
    """Connect a WhatsApp number in an account; returns the sender's id."""
    from clarion.messaging import channels

    with account_scope(tenant.id, COMMAND), db.transaction():
        channel = channels.connect(
            "whatsapp_cloud",
            "WhatsApp",
            {"waba_id": "9900", **({"base_url": base_url} if base_url else {})},
            {"access_token": "test-token", "app_secret": "test-secret"},
            [channels.SenderIn("5550147", "+5511955500147", "Casa Verde", rate_per_s)],
        )
        return next(s.id for s in channels.senders() if s.channel_id == channel.id)


@cache
def _hash() -> str:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(PASSWORD)


def _now() -> Any:
    from clarion.base import clock

    return clock.now()
