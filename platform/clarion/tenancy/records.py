"""What staff have decided about an account: notes, quotas, and measures that take two."""

import datetime as dt
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, Index, String, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped

from clarion.base.db import Wall, column
from clarion.base.trails import Trail
from clarion.base.words import lazy
from clarion.tenancy.models import AccountBase, Time

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


class AccountQuota(AccountBase):
    """The most an account may have or do, set by staff with a reason.

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
        staff=("SELECT", "INSERT", "UPDATE (at_most, reason, by, set_at)", "DELETE"),
    )
    trail = Trail(lazy("Quota"), skip=("used", "used_on"))

    kind: Mapped[str] = column(String(12), pd=None)
    at_most: Mapped[int] = column(CheckConstraint("at_most >= 0", name="most"), pd=None)
    reason: Mapped[str] = column(String(300), pd="account.note", export=False)
    by: Mapped[str] = column(String(120), pd="person.name", retention="account", log="mask")
    set_at: Mapped[dt.datetime] = column(
        Time, pd=None, server_default=text("clarion_now()")
    )
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
