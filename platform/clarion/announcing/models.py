"""Announcements, their words, whom they name, what each account got, and who put it away."""

import datetime as dt
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column, new_id
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, AccountBase, Time

KINDS = ("maintenance", "incident", "security", "terms", "service")
SEVERITIES = ("info", "warning", "critical")
AUDIENCES = ("all", "accounts", "plugin", "transport", "reached")
STATES = ("draft", "waiting", "sent", "withdrawn")


def _one_of(name: str, words: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{name} IN ({listed})", name=name)


class Announcement(Base):
    """One announcement: what sort, to whom, how, and how far it is.

    `purpose` can be nothing but `service`: there is no announcement that advertises.
    """

    __tablename__ = "announcement"
    __table_args__ = (
        _one_of("kind", KINDS),
        _one_of("severity", SEVERITIES),
        _one_of("audience", AUDIENCES),
        _one_of("state", STATES),
        CheckConstraint("purpose = 'service'", name="purpose"),
        CheckConstraint("ends_at > starts_at", name="length"),
        CheckConstraint("banner OR mail", name="way"),
        CheckConstraint("NOT banner OR ends_at IS NOT NULL", name="banner_ends"),
        CheckConstraint(
            "(audience = 'reached') = (corrects_id IS NOT NULL)", name="corrects"
        ),
        CheckConstraint(
            "(sent_at IS NOT NULL) = (state <> 'draft' AND state <> 'waiting')", name="sent"
        ),
        CheckConstraint(
            "sent_at IS NULL OR NOT two_people"
            " OR (approved_by IS NOT NULL AND asked_by <> '' AND approved_by <> asked_by)",
            name="two_people",
        ),
        CheckConstraint(
            "sent_at IS NULL OR NOT mail OR two_people"
            " OR audience = 'accounts' OR audience = 'reached'",
            name="mail_to_many",
        ),
        Index("ix_announcement_newest", "created_at", "id"),
    )
    wall = Wall(
        kind="platform",
        staff=("SELECT", "INSERT", "UPDATE", "DELETE"),
        # FOR UPDATE, by which two workers take turns, needs UPDATE of one column
        system=("SELECT", "UPDATE (spread_at)"),
        why="written by staff for many accounts; each account gets a copy of its own",
    )
    trail = Trail(lazy("Announcement"), skip=("accounts", "mails", "spread_at"))

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    purpose: Mapped[str] = column(String(8), pd=None, server_default="service")
    kind: Mapped[str] = column(String(12), pd=None)
    severity: Mapped[str] = column(String(8), pd=None, server_default="info")
    audience: Mapped[str] = column(String(10), pd=None, server_default="all")
    value: Mapped[str] = column(String(40), pd=None, server_default="")
    banner: Mapped[bool] = column(pd=None, server_default="false")
    mail: Mapped[bool] = column(pd=None, server_default="true")
    starts_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    ends_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    corrects_id: Mapped[UUID | None] = column(Uuid, ForeignKey("announcement.id"), pd=None)
    state: Mapped[str] = column(String(10), pd=None, server_default="draft")
    two_people: Mapped[bool] = column(pd=None, server_default="false")
    accounts: Mapped[int] = column(pd=None, server_default="0")
    mails: Mapped[int] = column(pd=None, server_default="0")
    written_by: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )
    asked_by: Mapped[str] = column(String(80), pd=None, server_default="")
    asked_name: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )
    approved_by: Mapped[str | None] = column(String(80), pd=None)
    approved_name: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )
    sent_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    spread_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    withdrawn_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    withdrawn_name: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", server_default=""
    )
    withdrawn_reason: Mapped[str] = column(String(300), pd=None, server_default="")
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)

    def __repr__(self) -> str:
        return f"{self.kind} {self.state}"


class AnnouncementText(Base):
    """What an announcement says in one language."""

    __tablename__ = "announcement_text"
    wall = Wall(
        kind="platform",
        staff=("SELECT", "INSERT", "UPDATE", "DELETE"),
        system=("SELECT",),
        why="our own words; accounts read the copy that is theirs, never this",
    )
    trail = Trail(lazy("Text of an announcement"))

    announcement_id: Mapped[UUID] = column(
        Uuid, ForeignKey("announcement.id"), pd=None, primary_key=True
    )
    language: Mapped[str] = column(String(10), pd=None, primary_key=True)
    title: Mapped[str] = column(String(120), pd=None)
    text: Mapped[str] = column(String(4_000), pd=None)


class AnnouncementTarget(AccountBase):
    """An account that an announcement names."""

    __tablename__ = "announcement_target"
    __table_args__ = (UniqueConstraint("account_id", "announcement_id"),)
    wall = Wall(
        kind="operational",
        app=(),
        staff=("SELECT", "INSERT", "DELETE"),
        system=("SELECT",),
    )
    trail = Trail(lazy("Account that an announcement names"))

    announcement_id: Mapped[UUID] = column(
        Uuid, ForeignKey("announcement.id"), pd=None, index=True
    )


class AnnouncementNotice(AccountBase):
    """An announcement as one account got it, in one language: what its people read."""

    __tablename__ = "announcement_notice"
    __table_args__ = (
        UniqueConstraint("account_id", "announcement_id", "language"),
        _one_of("kind", KINDS),
        _one_of("severity", SEVERITIES),
        Index("ix_announcement_notice_ends", "account_id", "ends_at"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT",),
        staff=("SELECT", "UPDATE (withdrawn_at, withdrawn_reason)"),
        system=("SELECT", "INSERT"),
    )
    trail = NoTrail("a copy of the announcement, put into each account by a job")

    announcement_id: Mapped[UUID] = column(
        Uuid, ForeignKey("announcement.id"), pd=None, index=True
    )
    language: Mapped[str] = column(String(10), pd=None)
    kind: Mapped[str] = column(String(12), pd=None)
    severity: Mapped[str] = column(String(8), pd=None)
    title: Mapped[str] = column(String(120), pd=None)
    text: Mapped[str] = column(String(4_000), pd=None)
    banner: Mapped[bool] = column(pd=None)
    starts_at: Mapped[dt.datetime] = column(Time, pd=None)
    ends_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    corrects_id: Mapped[UUID | None] = column(Uuid, pd=None)
    withdrawn_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    withdrawn_reason: Mapped[str] = column(String(300), pd=None, server_default="")


class AnnouncementLetter(Base):
    """That a person was written to about an announcement: once, in whatever accounts they are."""

    __tablename__ = "announcement_letter"
    wall = Wall(
        kind="platform",
        staff=("SELECT",),
        system=("SELECT", "INSERT"),
        why="a person of several accounts gets one mail, so that no account owns the row",
    )
    trail = NoTrail("who was written to; the announcement has the number")

    announcement_id: Mapped[UUID] = column(
        Uuid, ForeignKey("announcement.id"), pd=None, primary_key=True
    )
    person_id: Mapped[UUID] = column(
        Uuid, ForeignKey("person.id"), pd=None, primary_key=True
    )
    at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class AnnouncementDismissal(AccountBase):
    """That a person has put an announcement's banner away, in one account."""

    __tablename__ = "announcement_dismissal"
    __table_args__ = (UniqueConstraint("account_id", "announcement_id", "person_id"),)
    wall = Wall(kind="operational", app=("SELECT", "INSERT"), staff=("SELECT",))
    trail = NoTrail("that somebody has put a banner away")

    announcement_id: Mapped[UUID] = column(
        Uuid, ForeignKey("announcement.id"), pd=None, index=True
    )
    person_id: Mapped[UUID] = column(Uuid, ForeignKey("person.id"), pd=None)
