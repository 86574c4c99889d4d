"""Accounts, people, memberships, sessions, one-time tokens, the audit log and its chain."""

import datetime as dt
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column, new_id
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy

Time = DateTime(timezone=True)
NOW = text("clarion_now()")


class AccountBase(Base):
    """What every row of an account has: id, account, when and by whom it was made.

    Adds `UNIQUE (account_id, id)` and composite foreign keys for `column(to=…)`. A table
    that grows by a million rows in one statement does without `account_key`: nobody may
    delete an account, and row level security lets no row name another (decision 0024).
    """

    __abstract__ = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("__abstract__"):
            return
        table: Any = cls.__table__
        if cls.owner_unique:
            table.append_constraint(UniqueConstraint("account_id", "id"))
        if cls.account_key:
            table.append_constraint(ForeignKeyConstraint(["account_id"], ["account.id"]))
        for col in list(table.columns):
            if target := col.info.get("to"):
                table.append_constraint(
                    ForeignKeyConstraint(
                        ["account_id", col.name],
                        [f"{target}.account_id", f"{target}.id"],
                    )
                )

    owner_unique: ClassVar[bool] = True
    account_key: ClassVar[bool] = True
    id: Mapped[UUID] = column(
        Uuid, pd=None, primary_key=True, default=new_id, sort_order=-9
    )
    account_id: Mapped[UUID] = column(
        Uuid,
        pd=None,
        nullable=False,
        server_default=text("clarion_account()"),
        sort_order=-8,
    )
    created_at: Mapped[dt.datetime] = column(
        Time, pd=None, server_default=NOW, sort_order=90
    )
    created_by: Mapped[str] = column(
        String(80),
        pd=None,
        server_default=text("coalesce(current_setting('app.actor_id', true), '')"),
        sort_order=91,
    )


def words(table: str, column_name: str) -> tuple[Index, Index]:
    """Find a text anywhere inside a column, by three letters each, or at its beginning."""
    name, ops = f"ix_{table}_{column_name}", {column_name: "gin_trgm_ops"}
    small, least = func.lower(literal_column(column_name)), {"small": "varchar_pattern_ops"}
    return (
        Index(f"{name}_words", column_name, postgresql_using="gin", postgresql_ops=ops),
        Index(f"{name}_begins", small.label("small"), postgresql_ops=least),
    )


class Account(Base):
    """A customer organisation: the tenant."""

    __tablename__ = "account"
    __table_args__ = (  # every order and search of the console's list
        Index("ix_account_by_created_at", "created_at", "id"),
        Index("ix_account_by_name", "name", "id", postgresql_include=["state", "country"]),
        Index(
            "ix_account_by_state", "state", "created_at", "id", postgresql_include=["name"]
        ),
        Index(
            "ix_account_by_country",
            "country",
            "created_at",
            "id",
            postgresql_include=["name"],
        ),
        *words("account", "name"),
    )
    wall = Wall(
        kind="platform",
        app=(
            "SELECT",
            "UPDATE (name, country, timezone, language, second_factor_from, updated_at)",
        ),
        staff=("SELECT", "INSERT", "UPDATE"),
        system=("SELECT", "INSERT"),
        watch=("SELECT (id, state, created_at)",),
        why="the tenant itself; its members see their own row by policy",
    )
    trail = Trail(lazy("Account"), skip=("updated_at",), many="refused")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    name: Mapped[str] = column(String(120), pd="account.name", log="ok")
    country: Mapped[str] = column(String(2), pd=None, server_default="")
    timezone: Mapped[str] = column(String(60), pd=None, server_default="UTC")
    language: Mapped[str] = column(String(10), pd=None, server_default="en")
    state: Mapped[str] = column(
        String(12),
        CheckConstraint("state IN ('active', 'suspended', 'closed')", name="state"),
        pd=None,
        server_default="active",
    )
    state_reason: Mapped[str] = column(String(300), pd=None, server_default="")
    second_factor_from: Mapped[dt.datetime | None] = column(Time, pd=None)
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    updated_at: Mapped[dt.datetime | None] = column(Time, pd=None)

    def __repr__(self) -> str:
        return self.name


class Person(Base):
    """Somebody who signs in to the portal; may belong to several accounts."""

    __tablename__ = "person"
    __table_args__ = (  # every order and search of the console's list
        Index("ix_person_by_created_at", "created_at", "id"),
        Index("ix_person_by_name", "name", "id", postgresql_include=["state"]),
        Index(
            "ix_person_by_state", "state", "created_at", "id", postgresql_include=["name"]
        ),
        *words("person", "name"),
        *words("person", "email"),
    )
    wall = Wall(
        kind="platform",
        app=("SELECT (id, name, email, confirmed_at, state, language, created_at)",),
        staff=(
            "SELECT (id, name, email, confirmed_at, state, language, created_at, last_seen_at, session_epoch)",
            "UPDATE (name, state, session_epoch)",
        ),
        system=("SELECT", "INSERT", "UPDATE"),
        why="a person may belong to several accounts, so no account owns the row;"
        " clarion_app never sees password hashes",
    )
    trail = Trail(lazy("Person"), skip=("last_seen_at",), many="refused")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    email: Mapped[str] = column(String(254), pd="person.email", unique=True, log="mask")
    name: Mapped[str] = column(String(120), pd="person.name", log="mask")
    password_hash: Mapped[str] = column(
        String(200), pd="person.credential", export=False, server_default=""
    )
    language: Mapped[str] = column(String(10), pd=None, server_default="")
    confirmed_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    state: Mapped[str] = column(
        String(12),
        CheckConstraint("state IN ('active', 'disabled')", name="state"),
        pd=None,
        server_default="active",
    )
    session_epoch: Mapped[int] = column(pd=None, server_default="0")
    last_seen_at: Mapped[dt.datetime | None] = column(Time, pd="person.activity")
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)

    def __repr__(self) -> str:
        return self.name


class Membership(AccountBase):
    """A person's place and role in one account."""

    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("account_id", "person_id"),)
    wall = Wall(
        kind="operational",
        staff=("SELECT", "INSERT", "UPDATE"),
        system=("SELECT", "INSERT"),
    )
    trail = Trail(lazy("Membership"), many="refused")

    person_id: Mapped[UUID] = column(Uuid, ForeignKey("person.id"), pd=None, index=True)
    role: Mapped[str] = column(
        String(12),
        CheckConstraint("role IN ('owner', 'manager', 'member')", name="role"),
        pd=None,
    )


class Invitation(AccountBase):
    """A place in an account offered to an e-mail address; bound to that address."""

    __tablename__ = "invitation"
    wall = Wall(kind="operational", staff=("SELECT",), system=("SELECT", "UPDATE"))
    trail = Trail(lazy("Invitation"), many="refused")

    email: Mapped[str] = column(String(254), pd="person.email", log="mask")
    role: Mapped[str] = column(
        String(12),
        CheckConstraint("role IN ('owner', 'manager', 'member')", name="role"),
        pd=None,
    )
    token_hash: Mapped[bytes] = column(LargeBinary, pd=None, unique=True)
    expires_at: Mapped[dt.datetime] = column(Time, pd=None)
    accepted_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    withdrawn_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class OneTimeToken(Base):
    """A link sent by e-mail or printed once: confirm, reset, first staff member."""

    __tablename__ = "one_time_token"
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE"),
        why="used before anybody is signed in",
    )
    trail = NoTrail("a link that works once; that it was used is a deed")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    purpose: Mapped[str] = column(String(20), pd=None)
    subject: Mapped[str] = column(String(254), pd="person.email", retention="token")
    token_hash: Mapped[bytes] = column(LargeBinary, pd=None, unique=True)
    expires_at: Mapped[dt.datetime] = column(Time, pd=None)
    used_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class _StoredSession(Base):
    """A server-side session: the cookie holds a random key, the row everything else."""

    __abstract__ = True
    trail = NoTrail("a session: coming in, going out and ending one are deeds")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    id_hash: Mapped[bytes] = column(LargeBinary, pd=None, unique=True)
    subject: Mapped[str | None] = column(String(60), pd="person.session", index=True)
    data: Mapped[dict[str, Any]] = column(
        JSONB, pd="person.session", export=False, retention="session"
    )
    device: Mapped[str] = column(
        String(60), pd="person.device", retention="session", server_default=""
    )
    address: Mapped[str] = column(
        String(45), pd="person.address", retention="session", server_default=""
    )
    seen_at: Mapped[dt.datetime] = column(Time, pd="person.activity", retention="session")
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    revoked_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class PortalSession(_StoredSession):
    """A customer's session. `behind` names the staff member acting as the person."""

    __tablename__ = "portal_session"
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="exists before the account is known",
    )

    behind: Mapped[str | None] = column(String(60), pd=None)
    reason: Mapped[str | None] = column(String(300), pd=None)


class ConsoleSession(_StoredSession):
    """A staff member's session."""

    __tablename__ = "console_session"
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="staff belong to no account",
    )


class StaffProfile(Base):
    """What FAB's user does not have: the session epoch. No profile, no way in."""

    __tablename__ = "staff_profile"
    wall = Wall(
        kind="platform",
        staff=("SELECT", "INSERT", "UPDATE"),
        system=("SELECT", "INSERT", "UPDATE"),
        why="staff belong to no account",
    )
    trail = Trail(lazy("Staff profile"), many="refused")

    user_id: Mapped[int] = column(ForeignKey("ab_user.id"), pd=None, primary_key=True)
    session_epoch: Mapped[int] = column(pd=None, server_default="0")
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class _Factor(Base):
    """Something a person can show besides a password: a passkey, codes of an app, codes on paper."""

    __abstract__ = True
    trail = Trail(lazy("Second factor"), skip=("counter", "used_at"))

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    subject: Mapped[str] = column(String(60), pd="person.credential", index=True)
    kind: Mapped[str] = column(
        String(8),
        CheckConstraint("kind IN ('passkey', 'totp', 'recovery')", name="kind"),
        pd=None,
    )
    name: Mapped[str] = column(String(60), pd="person.credential", server_default="")
    handle: Mapped[bytes | None] = column(
        LargeBinary, pd="person.credential", export=False, unique=True
    )
    secret: Mapped[bytes] = column(LargeBinary, pd="person.credential", export=False)
    counter: Mapped[int] = column(BigInteger, pd=None, server_default="0")
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    confirmed_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    used_at: Mapped[dt.datetime | None] = column(Time, pd="person.activity")


class PersonFactor(_Factor):
    """A customer's second factor."""

    __tablename__ = "person_factor"
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="asked before an account is known; secrets are sealed, codes are hashes",
    )


class StaffFactor(_Factor):
    """A staff member's second factor."""

    __tablename__ = "staff_factor"
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="staff belong to no account; secrets are sealed, codes are hashes",
    )


class _Device(Base):
    """A browser from which somebody has come in before; its cookie holds a random key."""

    __abstract__ = True
    trail = NoTrail("browsers that were seen; forgetting one is a deed")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    subject: Mapped[str] = column(String(60), pd="person.device", retention="session")
    key_hash: Mapped[bytes] = column(
        LargeBinary, pd="person.device", export=False, retention="session"
    )
    device: Mapped[str] = column(
        String(60), pd="person.device", retention="session", server_default=""
    )
    address: Mapped[str] = column(
        String(45), pd="person.address", retention="session", server_default=""
    )
    seen_at: Mapped[dt.datetime] = column(Time, pd="person.activity", retention="session")
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class PersonDevice(_Device):
    """A customer's browser."""

    __tablename__ = "person_device"
    __table_args__ = (UniqueConstraint("subject", "key_hash"),)
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="asked before an account is known",
    )


class StaffDevice(_Device):
    """A staff member's browser."""

    __tablename__ = "staff_device"
    __table_args__ = (UniqueConstraint("subject", "key_hash"),)
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="staff belong to no account",
    )


class ConsoleNetwork(Base):
    """A network from which the console may be opened; without any, from everywhere."""

    __tablename__ = "console_network"
    wall = Wall(
        kind="platform",
        staff=("SELECT", "INSERT", "DELETE"),
        system=("SELECT",),
        why="about the deployment, not about an account",
    )
    trail = Trail(lazy("Network"), many="refused")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    network: Mapped[str] = column(String(45), pd=None, unique=True)
    note: Mapped[str] = column(String(120), pd=None, server_default="")
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    created_by: Mapped[str] = column(
        String(80),
        pd=None,
        server_default=text("coalesce(current_setting('app.actor_id', true), '')"),
    )


class Preference(AccountBase):
    """A plugin's setting, chosen by one account; and whether the plugin is on."""

    __tablename__ = "preference"
    __table_args__ = (UniqueConstraint("account_id", "plugin", "name"),)
    wall = Wall(
        kind="operational",
        staff=("SELECT",),
        system=("SELECT (account_id, plugin, name, value)",),
    )
    trail = Trail(lazy("Setting"), many="refused")

    plugin: Mapped[str] = column(String(40), pd=None)
    name: Mapped[str] = column(String(60), pd=None)
    value: Mapped[Any] = column(JSONB, pd=None)


class AuditEntry(Base):
    """One deed, signed when written, never changed. Both names under impersonation."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index(  # what was done with one thing
            "ix_audit_entry_row",
            "row",
            "at",
            postgresql_where=text("row IS NOT NULL"),
        ),
        # pages of the log, newest first: of an account, by whom, by what was done
        Index("ix_audit_entry_page", "account_id", "at", "id"),
        Index("ix_audit_entry_all", "at", "id"),
        Index("ix_audit_entry_actor", "actor", "at", "id"),
        Index(
            "ix_audit_entry_name",
            "name",
            "at",
            "id",
            postgresql_ops={"name": "varchar_pattern_ops"},
        ),
        words("audit_entry", "actor_name")[0],
        words("audit_entry", "behind")[0],
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT"),
        staff=("SELECT", "INSERT"),
        system=("SELECT", "INSERT"),
    )
    trail = NoTrail("the log itself")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    account_id: Mapped[UUID | None] = column(Uuid, ForeignKey("account.id"), pd=None)
    at: Mapped[dt.datetime] = column(Time, pd=None)
    name: Mapped[str] = column(String(80), pd=None)
    row: Mapped[str | None] = column(String(120), pd=None)
    actor: Mapped[str] = column(String(80), pd="person.activity", retention="audit")
    actor_name: Mapped[str] = column(String(120), pd="person.name", retention="audit")
    behind: Mapped[str | None] = column(String(80), pd=None)
    reason: Mapped[str | None] = column(String(300), pd=None)
    address: Mapped[str] = column(String(45), pd="person.address", retention="audit")
    request_id: Mapped[str] = column(String(40), pd=None)
    changes: Mapped[dict[str, Any]] = column(JSONB, pd="person.activity", retention="audit")
    mac: Mapped[bytes] = column(LargeBinary, pd=None)


class AuditLink(Base):
    """An entry's place in its account's chain; added by the sealer, later."""

    __tablename__ = "audit_link"
    wall = Wall(
        kind="platform",
        staff=("SELECT",),
        system=("SELECT", "INSERT"),
        why="hashes only; the platform's own chain belongs to no account",
    )
    trail = NoTrail("the log itself: its chain")

    chain: Mapped[UUID] = column(Uuid, pd=None, primary_key=True)
    seq: Mapped[int] = column(BigInteger, pd=None, primary_key=True)
    entry_id: Mapped[UUID] = column(
        Uuid, ForeignKey("audit_entry.id"), pd=None, unique=True
    )
    hash: Mapped[bytes] = column(LargeBinary, pd=None)
    sealed_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class AuditHead(Base):
    """Where a chain stood, signed: `digest` is what anybody can compute of the entries."""

    __tablename__ = "audit_head"
    wall = Wall(
        kind="platform",
        staff=("SELECT",),
        system=("SELECT", "INSERT"),
        why="digests only; the platform's own chain belongs to no account",
    )
    trail = NoTrail("the log itself: its heads")

    chain: Mapped[UUID] = column(Uuid, pd=None, primary_key=True)
    seq: Mapped[int] = column(BigInteger, pd=None, primary_key=True)
    digest: Mapped[bytes] = column(LargeBinary, pd=None)
    at: Mapped[dt.datetime] = column(Time, pd=None)
    key: Mapped[bytes] = column(LargeBinary, pd=None)
    signature: Mapped[bytes] = column(LargeBinary, pd=None)
