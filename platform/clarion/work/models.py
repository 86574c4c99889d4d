"""Rows that make things happen later: outbox, raw webhooks, schedule slots, dead jobs."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column, new_id
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, AccountBase, Time


class Outbox(Base):
    """A job to ring, written in the transaction that made it true."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_due", "not_before", "seq"),)
    wall = Wall(
        kind="platform",
        app=("INSERT",),
        staff=("INSERT",),
        # FOR UPDATE, by which two relays share the rows, needs UPDATE of one column
        system=("SELECT", "INSERT", "DELETE", "UPDATE (not_before)"),
        why="ids only; written by every role, read by the relay alone",
    )
    trail = NoTrail("a queue; what it rings says itself what it did")

    seq: Mapped[int] = column(BigInteger, Identity(), pd=None, primary_key=True)
    queue: Mapped[str] = column(String(20), pd=None)
    job: Mapped[str] = column(String(120), pd=None)
    unique_key: Mapped[str | None] = column(String(120), pd=None)
    payload: Mapped[dict[str, Any]] = column(JSONB, pd=None)
    not_before: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class DeadJob(Base):
    """A job that failed for good: what it was, and why, with nobody's words in it.

    `error` and `trace` are masked when they are written (`work/masking.py`).
    """

    __tablename__ = "dead_job"
    __table_args__ = (
        Index("ix_dead_job_at", "at", "id"),
        Index("ix_dead_job_left", "job", "id", postgresql_where=text("retried_at IS NULL")),
    )
    wall = Wall(
        kind="platform",
        staff=("SELECT", "UPDATE (retried_at, retried_by)"),
        system=("SELECT", "INSERT", "DELETE"),
        why="about the machinery; ids only",
    )
    trail = NoTrail("what failed; that somebody tried it again is a deed")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    job: Mapped[str] = column(String(120), pd=None)
    account_id: Mapped[UUID | None] = column(Uuid, pd=None)
    error: Mapped[str] = column(String(500), pd=None)
    at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    queue: Mapped[str] = column(String(20), pd=None, server_default="")
    payload: Mapped[dict[str, Any] | None] = column(JSONB, pd=None)
    tries: Mapped[int] = column(pd=None, server_default="0")
    trace: Mapped[str] = column(Text, pd=None, server_default="")
    retried_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    retried_by: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )


class LaneStop(Base):
    """A lane that staff have stopped: paused, or worked off and then left alone.

    The row is the truth; workers look every second. That what people write can never
    wait is a constraint, not a habit.
    """

    __tablename__ = "lane_stop"
    __table_args__ = (
        CheckConstraint("state IN ('paused', 'draining')", name="state"),
        CheckConstraint("lane <> 'inbound'", name="stop_words"),
        CheckConstraint("reason <> ''", name="why"),
    )
    wall = Wall(
        kind="platform",
        staff=("SELECT", "INSERT", "UPDATE", "DELETE"),
        system=("SELECT",),
        why="about the machinery",
    )
    trail = Trail(lazy("Stop of a lane"))

    lane: Mapped[str] = column(String(20), pd=None, primary_key=True)
    state: Mapped[str] = column(String(8), pd=None)
    reason: Mapped[str] = column(String(300), pd=None)
    stopped_by: Mapped[str] = column(String(120), pd="person.name", retention="audit")
    since: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class ScheduleSlot(Base):
    """One run of a periodic job; the key makes two schedulers one."""

    __tablename__ = "schedule_slot"
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "DELETE"),
        why="about the machinery",
    )
    trail = NoTrail("which run was whose, between schedulers")

    name: Mapped[str] = column(String(120), pd=None, primary_key=True)
    slot: Mapped[dt.datetime] = column(Time, pd=None, primary_key=True)


class WebhookInbox(AccountBase):
    """What one webhook said of one kind, sealed as it came, until it is applied.

    All statuses of a webhook are one row, each reply is one: see `work/webhooks.py`.
    """

    __tablename__ = "webhook_inbox"
    __table_args__ = (
        UniqueConstraint("account_id", "endpoint_id", "key"),
        Index(
            "ix_webhook_inbox_todo",
            "account_id",
            "kind",
            "seq",
            postgresql_where=text("applied_at IS NULL"),
        ),
        Index(  # lists by kind; nearly all are of the other kind
            "ix_webhook_inbox_rare",
            "kind",
            "id",
            postgresql_where=text("kind <> 'status'"),
        ),
        Index(
            "ix_webhook_inbox_done",
            "applied_at",
            postgresql_where=text("applied_at IS NOT NULL"),
        ),
    )
    wall = Wall(
        kind="content",
        app=("SELECT", "UPDATE", "DELETE"),
        system=(
            (
                "SELECT (id, account_id, endpoint_id, key, kind, events, seq, tries,"
                " result, applied_at, created_at)"
            ),
            "INSERT",
            "DELETE",
        ),
    )
    trail = NoTrail("what providers sent, until it is applied")

    seq: Mapped[int] = column(BigInteger, Identity(), pd=None)
    endpoint_id: Mapped[UUID] = column(Uuid, pd=None)
    handler: Mapped[str] = column(String(40), pd=None)
    key: Mapped[str] = column(String(200), pd=None)
    kind: Mapped[str] = column(String(10), pd=None)
    events: Mapped[int] = column(pd=None, server_default="1")
    payload: Mapped[bytes] = column(
        LargeBinary, pd="message.event", export=False, erase="shred", retention="raw_event"
    )
    applied_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    tries: Mapped[int] = column(pd=None, server_default="0")
    result: Mapped[str] = column(String(200), pd=None, server_default="")
