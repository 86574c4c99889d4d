"""Templates: one row per version of a wording in one language."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, SmallInteger, String, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Wall, column
from clarion.base.trails import Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, AccountBase, Time

STATES = ("draft", "in_review", "approved", "rejected", "paused", "disabled")


class Template(AccountBase):
    """A version of a template. Once submitted its words never change."""

    __tablename__ = "templates_template"
    __table_args__ = (
        UniqueConstraint("account_id", "name", "language", "version"),
        UniqueConstraint("account_id", "provider_name", "language"),
        Index("ix_templates_template_provider", "account_id", "provider_id"),
        Index("ix_templates_template_state", "state", "account_id"),
        CheckConstraint(f"state IN {STATES!r}", name="state"),
        CheckConstraint("category IN ('marketing', 'utility')", name="category"),
    )
    wall = Wall(
        kind="content",
        system=("SELECT (id, account_id, state, updated_at)",),
    )
    trail = Trail(lazy("Template"), skip=("revision", "updated_at"))

    name: Mapped[str] = column(String(512), pd=None)
    language: Mapped[str] = column(String(10), pd=None)
    version: Mapped[int] = column(SmallInteger, pd=None, server_default="1")
    provider_name: Mapped[str] = column(String(520), pd=None)
    category: Mapped[str] = column(String(12), pd=None)
    judged_category: Mapped[str] = column(String(20), pd=None, server_default="")
    header: Mapped[str] = column(String(400), pd="account.content", server_default="")
    body: Mapped[str] = column(String(4000), pd="account.content", server_default="")
    footer: Mapped[str] = column(String(400), pd="account.content", server_default="")
    buttons: Mapped[list[dict[str, str]]] = column(JSONB, pd="account.content")
    parameter_format: Mapped[str] = column(
        String(12),
        CheckConstraint("parameter_format = 'named'", name="parameter_format"),
        pd=None,
        server_default="named",
    )
    samples: Mapped[dict[str, Any]] = column(JSONB, pd="account.content")
    state: Mapped[str] = column(String(12), pd=None, server_default="draft")
    reason: Mapped[str] = column(String(400), pd=None, server_default="")
    channel_id: Mapped[UUID | None] = column(Uuid, pd=None, to="channel")
    provider_id: Mapped[str | None] = column(String(60), pd=None)
    revision: Mapped[int] = column(pd=None, server_default="1")
    submitted_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    judged_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    updated_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
