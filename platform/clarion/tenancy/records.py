"""What staff have decided about an account: plan, quotas, notes, measures that take two."""

import datetime as dt
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column, new_id
from clarion.base.trails import Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, AccountBase, Time

QUOTAS = ("people", "messages", "senders")
MEASURES = ("suspend", "close")


class AccountNote(AccountBase):
    """What staff wrote down about an account, for each other; never changed."""

    __tablename__ = "account_note"
    __table_args__ = (Index("ix_account_note_of", "account_id", "created_at"),)
    wall = Wall(kind="operational", app=(), staff=("SELECT", "INSERT"))
    trail = Trail(lazy("Note about an account"))

    text: Mapped[str] = column(String(2_000), pd="account.note", export=False)
    by: Mapped[str] = column(String(120), pd="person.name", retention="account", log="mask")


class Plan(Base):
    """A name for how much an account may have or do; staff write plans and choose them."""

    __tablename__ = "plan"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("name <> ''", name="named"),
    )
    wall = Wall(
        kind="platform",
        app=("SELECT",),
        staff=(
            "SELECT",
            "INSERT",
            "UPDATE (name, about, place, retired_at, changed_at)",
        ),
        system=("SELECT",),
        why="the same for every account that has it; it names no customer",
    )
    trail = Trail(lazy("Plan"))

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    name: Mapped[str] = column(String(40), pd=None)
    about: Mapped[str] = column(String(200), pd=None, server_default="")
    place: Mapped[int] = column(pd=None, server_default="0")
    retired_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    changed_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class PlanLimit(Base):
    """One thing a plan limits. What a plan has no row for, it does not limit."""

    __tablename__ = "plan_limit"
    __table_args__ = (
        CheckConstraint("kind IN ('people', 'messages', 'senders')", name="kind"),
        CheckConstraint("at_most >= 0", name="most"),
    )
    wall = Wall(
        kind="platform",
        app=("SELECT",),
        staff=("SELECT", "INSERT", "UPDATE (at_most)", "DELETE"),
        system=("SELECT",),
        why="part of a plan, which is the same for every account that has it",
    )
    trail = Trail(lazy("Limit of a plan"))

    plan_id: Mapped[UUID] = column(Uuid, ForeignKey("plan.id"), pd=None, primary_key=True)
    kind: Mapped[str] = column(String(12), pd=None, primary_key=True)
    at_most: Mapped[int] = column(pd=None)


class AccountPlan(AccountBase):
    """The plan an account has, and since when; without a row it has none."""

    __tablename__ = "account_plan"
    __table_args__ = (
        UniqueConstraint("account_id"),
        Index("ix_account_plan_of", "plan_id", "account_id"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT",),
        staff=("SELECT", "INSERT", "UPDATE (plan_id, since, by)", "DELETE"),
        system=("SELECT",),
    )
    trail = Trail(lazy("Plan of an account"))

    plan_id: Mapped[UUID] = column(Uuid, ForeignKey("plan.id"), pd=None)
    since: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    by: Mapped[str] = column(String(120), pd="person.name", retention="account", log="mask")


class AccountQuota(AccountBase):
    """The most an account may have or do: of its plan, or set by staff with a reason.

    What staff set stands above the plan; `of_plan` rows follow it by themselves.
    `used` counts the messages of `used_on`, a day of the account's calendar; the gate
    counts them in the transaction of the intents, so that no worker takes one too many.
    """

    __tablename__ = "account_quota"
    __table_args__ = (
        UniqueConstraint("account_id", "kind"),
        CheckConstraint("kind IN ('people', 'messages', 'senders')", name="kind"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "UPDATE (used, used_on)"),
        staff=(
            "SELECT",
            "INSERT",
            "UPDATE (at_most, reason, by, set_at, of_plan)",
            "DELETE",
        ),
        system=("SELECT", "INSERT", "UPDATE (at_most, set_at)", "DELETE"),
    )
    trail = Trail(lazy("Quota"), skip=("used", "used_on"))

    kind: Mapped[str] = column(String(12), pd=None)
    at_most: Mapped[int] = column(CheckConstraint("at_most >= 0", name="most"), pd=None)
    reason: Mapped[str] = column(String(300), pd="account.note", export=False)
    by: Mapped[str] = column(String(120), pd="person.name", retention="account", log="mask")
    set_at: Mapped[dt.datetime] = column(
        Time, pd=None, server_default=text("clarion_now()")
    )
    of_plan: Mapped[bool] = column(pd=None, server_default="false")
    used: Mapped[int] = column(pd=None, server_default="0")
    used_on: Mapped[dt.date | None] = column(Date, pd=None)


class AccountMeasure(AccountBase):
    """A suspension or closing that one staff member asks for and another one decides.

    Who asked is `created_by`, which the database writes itself.
    """

    __tablename__ = "account_measure"
    __table_args__ = (
        CheckConstraint("kind IN ('suspend', 'close')", name="kind"),
        CheckConstraint("state IN ('asked', 'done', 'refused')", name="state"),
        CheckConstraint("state <> 'done' OR decided_by <> created_by", name="another_one"),
        CheckConstraint("(state = 'asked') = (decided_by IS NULL)", name="decided"),
        Index(
            "uq_account_measure_open",
            "account_id",
            unique=True,
            postgresql_where=text("state = 'asked'"),
        ),
    )
    wall = Wall(
        kind="operational",
        app=(),
        staff=(
            "SELECT",
            "INSERT (id, account_id, kind, reason, by, flag_id)",
            "UPDATE (state, decided_by, decided_name, decided_at)",
        ),
    )
    trail = Trail(lazy("Measure against an account"))

    kind: Mapped[str] = column(String(8), pd=None)
    reason: Mapped[str] = column(String(300), pd="account.note", export=False)
    by: Mapped[str] = column(String(120), pd="person.name", retention="account", log="mask")
    flag_id: Mapped[UUID | None] = column(Uuid, pd=None)
    state: Mapped[str] = column(String(8), pd=None, server_default="asked")
    decided_by: Mapped[str | None] = column(String(80), pd=None)
    decided_name: Mapped[str] = column(
        String(120), pd="person.name", retention="account", log="mask", server_default=""
    )
    decided_at: Mapped[dt.datetime | None] = column(Time, pd=None)
