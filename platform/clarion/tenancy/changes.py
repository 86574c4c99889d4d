"""Two changes of a log-in that take time: lost second factors, and a new e-mail address.

A subject is `p:<person id>` or `s:<staff id>`, as in sessions.
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, SmallInteger, String, Uuid, text
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column, new_id
from clarion.base.trails import Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, Time

DECIDED = (
    "state, first_by, first_name, first_how, first_at, second_by, second_name,"
    " second_how, second_at, due_at, ended_at"
)


class Recovery(Base):
    """Somebody has lost every second factor and asks that they be removed.

    Two staff agree, neither of them who asks; 72 hours after the second it happens. That
    it is two and 72 hours, the table says itself.
    """

    __tablename__ = "recovery"
    __table_args__ = (
        CheckConstraint(
            "state IN ('asked', 'approved', 'done', 'stopped', 'refused', 'lapsed')",
            name="state",
        ),
        CheckConstraint("first_by <> second_by", name="two"),
        CheckConstraint(
            "replace(first_by, 'staff:', 's:') <> subject"
            " AND replace(second_by, 'staff:', 's:') <> subject",
            name="another",
        ),
        CheckConstraint("due_at >= second_at + interval '72 hours'", name="delay"),
        CheckConstraint(
            "state NOT IN ('approved', 'done') OR (first_by IS NOT NULL"
            " AND second_by IS NOT NULL AND second_at IS NOT NULL AND due_at IS NOT NULL)",
            name="decided",
        ),
        CheckConstraint(
            "(state IN ('asked', 'approved')) = (ended_at IS NULL)", name="open"
        ),
        CheckConstraint("state <> 'done' OR ended_at >= due_at", name="waited"),
        Index(
            "uq_recovery_open",
            "subject",
            unique=True,
            postgresql_where=text("state IN ('asked', 'approved')"),
        ),
        Index("ix_recovery_created_at", "created_at", "id"),
    )
    wall = Wall(
        kind="platform",
        staff=("SELECT", f"UPDATE ({DECIDED})"),
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="about a log-in, which no account owns; asked before anybody is signed in",
    )
    trail = Trail(
        lazy("Plea of somebody who lost the second factor"), skip=("told", "warned_at")
    )

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    subject: Mapped[str] = column(String(60), pd="person.credential", retention="session")
    email: Mapped[str] = column(
        String(254), pd="person.email", retention="session", log="mask"
    )
    name: Mapped[str] = column(
        String(130), pd="person.name", retention="session", log="mask"
    )
    language: Mapped[str] = column(String(10), pd=None, server_default="")
    words: Mapped[str] = column(String(300), pd="person.credential", retention="session")
    device: Mapped[str] = column(
        String(60), pd="person.device", retention="session", server_default=""
    )
    address: Mapped[str] = column(
        String(45), pd="person.address", retention="session", server_default=""
    )
    state: Mapped[str] = column(String(8), pd=None, server_default="asked")
    first_by: Mapped[str | None] = column(String(80), pd=None)
    first_name: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", log="mask", server_default=""
    )
    first_how: Mapped[str] = column(
        String(300), pd="person.credential", export=False, server_default=""
    )
    first_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    second_by: Mapped[str | None] = column(String(80), pd=None)
    second_name: Mapped[str] = column(
        String(120), pd="person.name", retention="audit", log="mask", server_default=""
    )
    second_how: Mapped[str] = column(
        String(300), pd="person.credential", export=False, server_default=""
    )
    second_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    due_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    told: Mapped[int] = column(SmallInteger, pd=None, server_default="0")
    warned_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    ended_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class MailChange(Base):
    """A log-in gets another e-mail address: asked for, done by a link at the new one.

    For some days the old one can take it back.
    """

    __tablename__ = "mail_change"
    __table_args__ = (
        CheckConstraint("state IN ('asked', 'done', 'undone', 'over')", name="state"),
        CheckConstraint("state <> 'done' OR done_at IS NOT NULL", name="done"),
        Index(
            "uq_mail_change_open",
            "subject",
            unique=True,
            postgresql_where=text("state = 'asked'"),
        ),
        Index("ix_mail_change_subject", "subject", "created_at"),
    )
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="about a log-in, which no account owns",
    )
    trail = Trail(lazy("Change of an e-mail address"))

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    subject: Mapped[str] = column(String(60), pd="person.credential", retention="session")
    old: Mapped[str] = column(
        String(254), pd="person.email", retention="session", log="mask"
    )
    new: Mapped[str] = column(
        String(254), pd="person.email", retention="session", log="mask"
    )
    state: Mapped[str] = column(String(8), pd=None, server_default="asked")
    done_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
