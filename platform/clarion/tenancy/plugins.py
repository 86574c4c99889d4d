"""What the installation keeps about its plugins: guards, switches, settings, time spent."""

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, LargeBinary, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, Time


class PluginGuard(Base):
    """The `before_…` hooks a plugin had at its last good start; keeps its gate shut."""

    __tablename__ = "plugin_guard"
    wall = Wall(
        kind="platform",
        app=("SELECT",),
        staff=("SELECT",),
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="about the deployment, not about an account",
    )
    trail = NoTrail("written at the start from what plugins bring")

    plugin: Mapped[str] = column(String(40), pd=None, primary_key=True)
    hooks: Mapped[list[str]] = column(JSONB, pd=None)
    seq: Mapped[int] = column(BigInteger, Identity(), pd=None)


class PluginSwitch(Base):
    """A plugin switched off for the whole installation, and who wanted it.

    Whoever guards something is switched off by two: one asks, another decides.
    """

    __tablename__ = "plugin_switch"
    __table_args__ = (CheckConstraint("asked_by <> decided_by", name="two"),)
    wall = Wall(
        kind="platform",
        app=("SELECT",),
        staff=("SELECT", "INSERT", "UPDATE"),
        system=("SELECT",),
        why="about the deployment, not about an account",
    )
    trail = Trail(lazy("Switch of a plugin"))

    plugin: Mapped[str] = column(String(40), pd=None, primary_key=True)
    state: Mapped[str] = column(
        String(8),
        CheckConstraint("state IN ('on', 'asked', 'off')", name="state"),
        pd=None,
    )
    reason: Mapped[str] = column(String(300), pd=None, server_default="")
    asked_by: Mapped[str | None] = column(String(80), pd=None)
    decided_by: Mapped[str | None] = column(String(80), pd=None)
    changed_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class PluginSetting(Base):
    """A plugin's setting for the whole installation; a secret is sealed."""

    __tablename__ = "plugin_setting"
    wall = Wall(
        kind="platform",
        app=("SELECT",),
        staff=("SELECT", "INSERT", "UPDATE"),
        system=("SELECT",),
        why="about the deployment, not about an account",
    )
    trail = Trail(lazy("Setting of a plugin"))

    plugin: Mapped[str] = column(String(40), pd=None, primary_key=True)
    name: Mapped[str] = column(String(60), pd=None, primary_key=True)
    value: Mapped[Any] = column(JSONB, pd=None, nullable=True)
    sealed: Mapped[bytes | None] = column(LargeBinary, pd=None)
    changed_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class HookTime(Base):
    """How often a plugin's hook was called in an hour, how long it took, how it failed."""

    __tablename__ = "hook_time"
    wall = Wall(
        kind="platform",
        staff=("SELECT",),
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="about the deployment, not about an account",
    )
    trail = NoTrail("measured by the machine")

    plugin: Mapped[str] = column(String(40), pd=None, primary_key=True)
    hook: Mapped[str] = column(String(60), pd=None, primary_key=True)
    hour: Mapped[dt.datetime] = column(Time, pd=None, primary_key=True)
    calls: Mapped[int] = column(BigInteger, pd=None)
    failures: Mapped[int] = column(BigInteger, pd=None)
    micros: Mapped[int] = column(BigInteger, pd=None)
    slowest: Mapped[int] = column(BigInteger, pd=None)
