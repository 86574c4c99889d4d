"""Campaigns while they are written; what is sent lives in the core's send order."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Wall, column
from clarion.tenancy.models import NOW, AccountBase, Time

STATES = ("draft", "starting", "launched", "cancelled")


class Draft(AccountBase):
    """One message to many people: chosen step by step, then launched once.

    `campaign_id` is the send order it became. `request_key` is the key of the form that
    made it and `launch_key` that of the form that launched it: a second click with the
    same form finds the first one's work.
    """

    __tablename__ = "campaigns_draft"
    __table_args__ = (
        UniqueConstraint("account_id", "campaign_id"),
        UniqueConstraint("account_id", "request_key"),
        Index("ix_campaigns_draft_state", "state", "updated_at"),
        CheckConstraint(f"state IN {STATES!r}", name="state"),
        CheckConstraint("purpose IN ('', 'marketing', 'utility')", name="purpose"),
        CheckConstraint(
            "(state = 'launched') = (campaign_id IS NOT NULL)", name="campaign_id"
        ),
    )
    wall = Wall(
        kind="content",
        system=("SELECT (id, account_id, state, updated_at)",),
    )

    name: Mapped[str] = column(String(120), pd="account.content", log="ok")
    template_id: Mapped[UUID | None] = column(Uuid, pd=None)
    sender_id: Mapped[UUID | None] = column(Uuid, pd=None, to="sender")
    segment: Mapped[dict[str, Any]] = column(JSONB, pd=None, server_default=text("'{}'"))
    variables: Mapped[dict[str, dict[str, str]]] = column(
        JSONB, pd="account.content", server_default=text("'{}'")
    )
    purpose: Mapped[str] = column(String(12), pd=None, server_default="")
    soft: Mapped[bool] = column(pd=None, server_default=text("false"))
    state: Mapped[str] = column(String(12), pd=None, server_default="draft")
    state_reason: Mapped[str] = column(String(60), pd=None, server_default="")
    people: Mapped[int | None] = column(pd=None)
    campaign_id: Mapped[UUID | None] = column(Uuid, pd=None, to="campaign")
    request_key: Mapped[str] = column(String(60), pd=None)
    launch_key: Mapped[str] = column(String(60), pd=None, server_default="")
    launched_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    launched_by: Mapped[str] = column(
        String(120), pd="person.name", retention="account", server_default="", log="mask"
    )
    vouched_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    finished_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    revision: Mapped[int] = column(pd=None, server_default="1")
    updated_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
