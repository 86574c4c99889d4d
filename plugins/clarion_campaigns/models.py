"""Campaigns while they are written; what is sent lives in the core's send order."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Wall, column
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, AccountBase, Time

STATES = ("draft", "submitted", "scheduled", "starting", "launched", "cancelled")
FOLLOW_UPS = ("", "proposed", "declined")
OUTCOMES = ("started", "missed", "refused")


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
        Index("ix_campaigns_draft_due", "state", "starts_at"),
        CheckConstraint(f"state IN {STATES!r}", name="state"),
        CheckConstraint("purpose IN ('', 'marketing', 'utility')", name="purpose"),
        CheckConstraint(f"follow_up IN {FOLLOW_UPS!r}", name="follow_up"),
        CheckConstraint("control_percent BETWEEN 0 AND 50", name="control_percent"),
        CheckConstraint("budget_micros > 0", name="budget_micros"),
        CheckConstraint(
            "(state = 'launched') = (campaign_id IS NOT NULL)", name="campaign_id"
        ),
    )
    wall = Wall(
        kind="content",
        system=(
            (
                "SELECT (id, account_id, state, purpose, starts_at, launched_at, follow_up,"
                " updated_at)"
            ),
        ),
    )
    trail = Trail(
        lazy("Campaign"),
        skip=(
            "people",
            "follow_up_people",
            "follow_up_at",
            "check_id",
            "vouched_at",
            "revision",
            "updated_at",
        ),
    )

    name: Mapped[str] = column(String(120), pd="account.content", log="ok")
    template_id: Mapped[UUID | None] = column(Uuid, pd=None)
    sender_id: Mapped[UUID | None] = column(Uuid, pd=None, to="sender")
    segment: Mapped[dict[str, Any]] = column(JSONB, pd=None, server_default=text("'{}'"))
    variables: Mapped[dict[str, dict[str, str]]] = column(
        JSONB, pd="account.content", server_default=text("'{}'")
    )
    purpose: Mapped[str] = column(String(12), pd=None, server_default="")
    # the beginning, the end and the spread as chosen, on the clock of `zone`
    starts_local: Mapped[dt.datetime | None] = column(DateTime, pd=None)
    zone: Mapped[str] = column(String(60), pd=None, server_default="UTC")
    own_time: Mapped[bool] = column(pd=None, server_default=text("false"))
    finish_local: Mapped[dt.datetime | None] = column(DateTime, pd=None)
    spread_local: Mapped[dt.datetime | None] = column(DateTime, pd=None)
    late_minutes: Mapped[int] = column(SmallInteger, pd=None, server_default="120")
    starts_at: Mapped[dt.datetime | None] = column(Time, pd=None)  # the clock's copy
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
    # the most it may cost, as it was launched; None: no price was known
    ceiling_micros: Mapped[int | None] = column(BigInteger, pd=None)
    currency: Mapped[str] = column(String(3), pd=None, server_default="")
    # whether a follow-up was proposed to the team, to how many people, and not wanted
    follow_up: Mapped[str] = column(String(10), pd=None, server_default="")
    follow_up_people: Mapped[int] = column(pd=None, server_default="0")
    follow_up_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    # so many of a hundred get nothing, to compare with; the most it may spend, if bounded
    control_percent: Mapped[int] = column(SmallInteger, pd=None, server_default="0")
    budget_micros: Mapped[int | None] = column(BigInteger, pd=None)
    # the dry run whose list it was launched with: these people and nobody else
    check_id: Mapped[UUID | None] = column(Uuid, pd=None)
    vouched_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    finished_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    revision: Mapped[int] = column(pd=None, server_default="1")
    updated_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


def _of_draft() -> ForeignKeyConstraint:
    """Go with the draft: a deleted draft was never sent."""
    return ForeignKeyConstraint(
        ["account_id", "draft_id"],
        ["campaigns_draft.account_id", "campaigns_draft.id"],
        ondelete="CASCADE",
    )


class Approval(AccountBase):
    """What a second person was asked to approve, and whether they did.

    `pieces` holds a digest for each thing it is bound to, `fingerprint` one of them all.
    A change ends it; a draft has at most one that stands.
    """

    __tablename__ = "campaigns_approval"
    __table_args__ = (
        Index(
            "uq_campaigns_approval_open",
            "account_id",
            "draft_id",
            unique=True,
            postgresql_where=text("voided_at IS NULL"),
        ),
        CheckConstraint("approved_by <> submitted_by", name="four_eyes"),
        CheckConstraint(
            "(approved_by IS NULL) = (approved_at IS NULL)", name="approved_at"
        ),
        _of_draft(),
    )
    wall = Wall(kind="content")
    trail = Trail(lazy("Approval of a campaign"))
    owner_unique = False

    draft_id: Mapped[UUID] = column(Uuid, pd=None)
    pieces: Mapped[dict[str, str]] = column(JSONB, pd=None)
    fingerprint: Mapped[bytes] = column(LargeBinary, pd=None)
    submitted_by: Mapped[str] = column(String(80), pd="person.id", retention="account")
    submitted_name: Mapped[str] = column(
        String(120), pd="person.name", retention="account", log="mask"
    )
    approved_by: Mapped[str | None] = column(
        String(80), pd="person.id", retention="account"
    )
    approved_name: Mapped[str] = column(
        String(120), pd="person.name", retention="account", server_default="", log="mask"
    )
    approved_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    voided_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    void_reason: Mapped[str] = column(String(60), pd=None, server_default="")


class Occurrence(AccountBase):
    """One planned beginning of a campaign, and what came of it: each at most once."""

    __tablename__ = "campaigns_occurrence"
    __table_args__ = (
        UniqueConstraint("account_id", "draft_id", "planned_at"),
        CheckConstraint(f"outcome IN {OUTCOMES!r}", name="outcome"),
        _of_draft(),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "UPDATE (outcome)"))
    trail = Trail(lazy("Planned beginning of a campaign"))
    owner_unique = False

    draft_id: Mapped[UUID] = column(Uuid, pd=None)
    planned_at: Mapped[dt.datetime] = column(Time, pd=None)
    outcome: Mapped[str] = column(String(12), pd=None)


class Check(AccountBase):
    """A dry run: the list of a draft's people at one moment, each with what becomes of them.

    `revision` is the draft's it was made of. `counts` has a group for each reason and note:
    how many people, and from when to when they get it.
    """

    __tablename__ = "campaigns_check"
    __table_args__ = (
        Index("ix_campaigns_check_draft", "account_id", "draft_id", "id"),
        CheckConstraint("state IN ('counting', 'ready', 'gone')", name="state"),
        _of_draft(),
    )
    wall = Wall(kind="content", system=("SELECT (id, account_id, state, created_at)",))
    trail = NoTrail("a dry run, which is made anew")
    owner_unique = False

    draft_id: Mapped[UUID] = column(Uuid, pd=None)
    revision: Mapped[int] = column(pd=None)
    state: Mapped[str] = column(String(12), pd=None, server_default="counting")
    people: Mapped[int] = column(pd=None, server_default="0")
    reached: Mapped[int] = column(pd=None, server_default="0")
    counts: Mapped[list[dict[str, Any]]] = column(
        JSONB, pd=None, server_default=text("'[]'")
    )
    made_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class Listed(AccountBase):
    """One person of a dry run: in it (no reason) or left out, and from when they get it.

    Written by one statement for a million people, so nothing is referenced; forgotten with
    the dry run it belongs to.
    """

    __tablename__ = "campaigns_listed"
    __table_args__ = (
        UniqueConstraint("account_id", "contact_id", "check_id"),
        Index(
            "ix_campaigns_listed_group",
            "account_id",
            "check_id",
            "reason",
            "note",
            "contact_id",
        ),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "DELETE"))
    trail = NoTrail("the people of a dry run; who was taken off is a deed")
    owner_unique = False
    account_key = False

    check_id: Mapped[UUID] = column(Uuid, pd=None)
    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    reason: Mapped[str] = column(String(60), pd=None, server_default="")
    note: Mapped[str] = column(String(60), pd=None, server_default="")
    leaves_at: Mapped[dt.datetime | None] = column(Time, pd=None)
