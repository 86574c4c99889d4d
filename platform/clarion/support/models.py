"""Windows an account opens, grants of staff inside them, every look, and questions about it."""

import datetime as dt
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped

from clarion.base.db import Wall, column
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, AccountBase, Time

PURPOSES = ("support", "troubleshooting", "stability", "updates", "misuse_investigation")
SCOPES = ("view", "act")
KINDS = ("request", "window", "emergency")
MINUTES = (15, 30, 60)
EMERGENCY_MINUTES = (15, 30, 60, 120, 240)
HOURS = (1, 24, 168)
DEEDS = (
    "screen", "reveal", "change", "denied", "asked", "approved", "refused", "started", "ended",
)  # fmt: skip


def _one_of(name: str, words: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{name} IN ({listed})", name=name)


class SupportWindow(AccountBase):
    """A time for which an account lets support in."""

    __tablename__ = "support_window"
    __table_args__ = (
        _one_of("scope", SCOPES),
        CheckConstraint("hours IN (1, 24, 168)", name="hours"),
        CheckConstraint("ends_at <= starts_at + hours * interval '1 hour'", name="length"),
        Index("ix_support_window_ends", "account_id", "ends_at"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT", "UPDATE (revoked_at, revoked_by)"),
        staff=("SELECT",),
    )
    trail = Trail(lazy("Time for support"))

    scope: Mapped[str] = column(String(4), pd=None)
    hours: Mapped[int] = column(pd=None, server_default="1")
    given_by: Mapped[str] = column(String(120), pd="person.name", retention="audit")
    starts_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    ends_at: Mapped[dt.datetime] = column(Time, pd=None)
    revoked_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    revoked_by: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )


_ASKED = (
    "id, account_id, staff_id, staff_name, staff_role, kind, purpose, scope, reason, ticket,"
    " minutes, window_id, starts_at, ends_at, told_at"
)


class AccessGrant(AccountBase):
    """One staff member's access to one account: asked for, and from `starts_at` on given.

    `told_at` is when the account may see it: at once, except for investigations of misuse.
    """

    __tablename__ = "access_grant"
    __table_args__ = (
        _one_of("purpose", PURPOSES),
        _one_of("scope", SCOPES),
        _one_of("kind", KINDS),
        CheckConstraint(
            "minutes IN (15, 30, 60)"
            " OR kind = 'emergency' AND scope = 'view' AND minutes IN (120, 240)",
            name="minutes",
        ),
        CheckConstraint(
            "(starts_at IS NULL) = (ends_at IS NULL)"
            " AND ends_at <= starts_at + minutes * interval '1 minute'",
            name="length",
        ),
        CheckConstraint("(kind = 'window') = (window_id IS NOT NULL)", name="window"),
        CheckConstraint("approved_by <> staff_id", name="two_people"),
        CheckConstraint(
            "starts_at IS NULL OR kind = 'window'"
            " OR kind = 'emergency' AND approved_by IS NOT NULL"
            " OR kind = 'request' AND allowed_by <> ''",
            name="allowed",
        ),
        CheckConstraint(
            "told_at <= created_at + interval '1 second'"
            " OR kind = 'emergency' AND purpose = 'misuse_investigation'"
            " AND told_at <= created_at + interval '14 days'",
            name="told",
        ),
        CheckConstraint("reason <> '' AND ticket <> ''", name="why"),
        Index("ix_access_grant_told", "account_id", "told_at", "id"),
        Index("ix_access_grant_staff", "staff_id", "ends_at"),
        Index(
            "ix_access_grant_unsettled",
            "told_at",
            postgresql_where=text("noticed_at IS NULL OR closed_at IS NULL"),
        ),
    )
    wall = Wall(
        kind="operational",
        app=(
            "SELECT",
            "UPDATE (allowed_by, starts_at, ends_at, revoked_at, revoked_by, noticed_at)",
        ),
        staff=(
            "SELECT",
            f"INSERT ({_ASKED})",
            "UPDATE (approved_by, approved_name, starts_at, ends_at, revoked_at, revoked_by)",
        ),
        system=(
            "SELECT",
            "UPDATE (noticed_at, closed_at, revoked_at, revoked_by)",
        ),
        told="told_at",
    )
    trail = NoTrail("the access log; each step is a deed, told when the account may know")

    staff_id: Mapped[int] = column(ForeignKey("ab_user.id"), pd=None)
    staff_name: Mapped[str] = column(String(120), pd="person.name", retention="audit")
    staff_role: Mapped[str] = column(String(120), pd=None, server_default="")
    kind: Mapped[str] = column(String(10), pd=None)
    purpose: Mapped[str] = column(String(24), pd=None)
    scope: Mapped[str] = column(String(4), pd=None)
    reason: Mapped[str] = column(String(300), pd=None)
    ticket: Mapped[str] = column(String(40), pd=None)
    minutes: Mapped[int] = column(pd=None, server_default="30")
    window_id: Mapped[UUID | None] = column(Uuid, pd=None, to="support_window")
    approved_by: Mapped[int | None] = column(ForeignKey("ab_user.id"), pd=None)
    approved_name: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )
    allowed_by: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )
    starts_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    ends_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    revoked_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    revoked_by: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )
    told_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    noticed_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    closed_at: Mapped[dt.datetime | None] = column(Time, pd=None)


_WRITTEN = "id, account_id, grant_id, staff_id, deed, what, row, request_id, told_at"


class AccessEntry(AccountBase):
    """One look, change or refusal under a grant, committed before anything is read.

    `written_in` is the transaction that wrote it: one that is still open opens nothing.
    """

    __tablename__ = "access_entry"
    __table_args__ = (
        _one_of("deed", DEEDS),
        Index("ix_access_entry_grant", "account_id", "grant_id", "created_at", "id"),
        Index("ix_access_entry_told", "account_id", "told_at", "id"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", f"INSERT ({_WRITTEN})"),
        staff=("SELECT", f"INSERT ({_WRITTEN})"),
        system=(f"INSERT ({_WRITTEN})",),
        told="told_at",
    )
    trail = NoTrail("a log itself, whose digests stand in the log of deeds")

    grant_id: Mapped[UUID] = column(Uuid, pd=None, to="access_grant")
    staff_id: Mapped[int] = column(pd=None)
    deed: Mapped[str] = column(String(10), pd=None)
    what: Mapped[str] = column(String(200), pd="person.activity", retention="audit")
    row: Mapped[str] = column(String(120), pd=None, server_default="")
    request_id: Mapped[str] = column(String(40), pd=None, server_default="")
    written_in: Mapped[int] = column(
        BigInteger, pd=None, server_default=text("(pg_current_xact_id()::text)::bigint")
    )
    told_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class AccessQuestion(AccountBase):
    """What a customer wants to know about an access, and what staff answered."""

    __tablename__ = "access_question"
    __table_args__ = (
        Index("ix_access_question_grant", "account_id", "grant_id"),
        Index("ix_access_question_open", "answered_at", "created_at"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT"),
        staff=("SELECT", "UPDATE (answer, answered_by, answered_at)"),
    )
    trail = Trail(lazy("Question about an access"))

    grant_id: Mapped[UUID] = column(Uuid, pd=None, to="access_grant")
    text: Mapped[str] = column(String(1000), pd="person.activity", retention="audit")
    asked_by: Mapped[str] = column(String(120), pd="person.name", retention="audit")
    answer: Mapped[str] = column(String(1000), pd=None, server_default="")
    answered_by: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )
    answered_at: Mapped[dt.datetime | None] = column(Time, pd=None)
