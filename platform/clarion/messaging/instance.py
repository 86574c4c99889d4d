"""Which database this is, its backups, and what people decide after it was restored."""

import datetime as dt
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, String, Uuid, func
from sqlalchemy import column as plain
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column, new_id
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, AccountBase, Time


class InstanceEpoch(Base):
    """Which database this is and how far it has counted; one row. See `messaging.epoch`.

    `restored_at` is when it was last found to be an older one, or a copy; until
    `released_at` nothing is dispatched. `held_at`: its rows are held, the journal is
    replayed. `people_asked_at`: what nobody heard of became questions for people.
    """

    __tablename__ = "instance_epoch"
    __table_args__ = (
        CheckConstraint("name = 'this'", name="one"),
        CheckConstraint(
            "(released_by IS NULL AND released_at IS NULL) OR (asked_by IS NOT NULL"
            " AND released_by IS NOT NULL AND released_by <> asked_by)",
            name="two_people",
        ),
    )
    wall = Wall(
        kind="platform",
        app=("SELECT",),
        staff=("SELECT", "UPDATE"),
        system=("SELECT", "INSERT", "UPDATE"),
        why="about the whole database: all accounts were restored, or none",
    )
    trail = NoTrail("counted at each start; what people decide about a restore is a deed")

    name: Mapped[str] = column(String(8), pd=None, primary_key=True, default="this")
    instance: Mapped[UUID] = column(Uuid, pd=None, server_default=func.gen_random_uuid())
    epoch: Mapped[int] = column(BigInteger, pd=None, server_default="0")
    raised_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    server: Mapped[str] = column(String(20), pd=None, server_default="")
    database: Mapped[int] = column(BigInteger, pd=None, server_default="0")
    timeline: Mapped[int] = column(BigInteger, pd=None, server_default="0")
    restored_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    restored_why: Mapped[str] = column(String(20), pd=None, server_default="")
    held_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    replayed: Mapped[int] = column(pd=None, server_default="0")
    people_asked_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    asked_by: Mapped[str | None] = column(String(80), pd=None)
    asked_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    released_by: Mapped[str | None] = column(String(80), pd=None)
    released_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class BackupRun(Base):
    """That a backup was written, or read through to its end: when, and how large it is.

    `made_at` is when the file that was read had been made, as it says itself.
    """

    __tablename__ = "backup_run"
    __table_args__ = (CheckConstraint("kind IN ('dump', 'check')", name="kind"),)
    wall = Wall(
        kind="platform",
        staff=("SELECT",),
        system=("SELECT", "INSERT"),
        why="about the whole database: every account is in a backup",
    )
    trail = NoTrail("a log itself: each backup adds its row")

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    kind: Mapped[str] = column(String(8), pd=None)
    bytes: Mapped[int] = column(BigInteger, pd=None)
    made_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class RestoreRelease(AccountBase):
    """What two people decide about an order's messages that a restore left in doubt."""

    __tablename__ = "restore_release"
    __table_args__ = (
        CheckConstraint("choice IN ('resend', 'leave')", name="choice"),
        CheckConstraint("decided_by <> asked_by", name="two_people"),
        Index(
            "uq_restore_release_open",
            "account_id",
            "campaign_id",
            unique=True,
            postgresql_where=plain("decided_at").is_(None)
            & plain("withdrawn_at").is_(None),
        ),
    )
    wall = Wall(kind="operational", app=("SELECT", "INSERT", "UPDATE"), staff=("SELECT",))
    trail = Trail(lazy("Release after a restore"))

    campaign_id: Mapped[UUID] = column(Uuid, pd=None, to="campaign")
    choice: Mapped[str] = column(String(8), pd=None)
    asked_by: Mapped[str] = column(String(80), pd=None)
    decided_by: Mapped[str | None] = column(String(80), pd=None)
    decided_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    withdrawn_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    people: Mapped[int | None] = column(pd=None)
