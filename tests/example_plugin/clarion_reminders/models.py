"""What is kept about a reminder."""

import datetime as dt
from uuid import UUID

from sqlalchemy import Date, Index, String, Uuid, text
from sqlalchemy.orm import Mapped

from clarion.base.db import Wall, column
from clarion.base.trails import Trail
from clarion.base.words import lazy
from clarion.tenancy.models import AccountBase, Time

LONGEST = 200


class Reminder(AccountBase):
    """Something to think of on a day. `call_first` keeps marketing away until it is done.

    There is no foreign key to the contact: it is another plugin's row. When the contact is
    erased an event says so, and the reminder goes too. When it becomes part of another the
    reminder follows; `written_for` is then the contact it goes back to if they part again.
    """

    __tablename__ = "reminders_reminder"
    __table_args__ = (
        Index("ix_reminders_reminder_contact", "account_id", "contact_id"),
        Index(
            "ix_reminders_reminder_open",
            "account_id",
            "due_on",
            postgresql_where=text("done_at IS NULL"),
        ),
    )
    wall = Wall(
        kind="content",
        system=("SELECT (id, account_id, due_on, done_at, told_at)",),
    )
    trail = Trail(lazy("Reminder"), skip=("told_at",))

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    written_for: Mapped[UUID | None] = column(Uuid, pd="contact.id")
    note: Mapped[str] = column(String(LONGEST), pd="contact.note", retention="contact")
    due_on: Mapped[dt.date] = column(Date, pd=None)
    call_first: Mapped[bool] = column(pd=None, server_default=text("false"))
    told_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    done_at: Mapped[dt.datetime | None] = column(Time, pd=None)
