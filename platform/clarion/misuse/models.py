"""What is counted about sending and lists, what was noticed, and what was said about it."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
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

OPEN, DECISIONS = "open", ("allowed", "limited", "suspended")


class MisuseCount(AccountBase):
    """What became of one order's messages, as numbers; counted anew from the ledger."""

    __tablename__ = "misuse_count"
    __table_args__ = (
        UniqueConstraint("account_id", "campaign_id"),
        Index("ix_misuse_count_started", "started_at"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT", "UPDATE"),
        staff=("SELECT",),
        watch=("SELECT",),
    )
    trail = NoTrail("counted anew from the ledger")

    campaign_id: Mapped[UUID] = column(Uuid, pd=None)
    purpose: Mapped[str] = column(String(12), pd=None)
    started_at: Mapped[dt.datetime] = column(Time, pd=None)
    people: Mapped[int] = column(pd=None, server_default="0")
    left: Mapped[int] = column(pd=None, server_default="0")
    delivered: Mapped[int] = column(pd=None, server_default="0")
    failed: Mapped[int] = column(pd=None, server_default="0")
    stopped: Mapped[int] = column(pd=None, server_default="0")
    blocked: Mapped[int] = column(pd=None, server_default="0")
    counted_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class MisuseList(AccountBase):
    """What an uploaded list is like, without anybody on it.

    `likeness` is a keyed hash of all its numbers together: equal for the same list in any
    order, and of no use without a key that lies outside the database (decision 0030).
    """

    __tablename__ = "misuse_list"
    __table_args__ = (
        UniqueConstraint("account_id", "import_id"),
        Index(
            "ix_misuse_list_likeness",
            "likeness",
            postgresql_where=text("likeness IS NOT NULL"),
        ),
        Index("ix_misuse_list_recent", "account_id", "created_at"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT", "UPDATE"),
        staff=("SELECT (id, account_id, import_id, rows, invalid, created_at)",),
        watch=("SELECT",),
    )
    trail = NoTrail("measured when a list is uploaded")

    import_id: Mapped[UUID] = column(Uuid, pd=None)
    rows: Mapped[int] = column(pd=None)
    invalid: Mapped[int] = column(pd=None)
    in_row: Mapped[int] = column(SmallInteger, pd=None)  # numbers in sequence, in 1/1000
    countries: Mapped[int] = column(SmallInteger, pd=None)
    attested: Mapped[bool] = column(pd=None)
    likeness: Mapped[bytes | None] = column(LargeBinary, pd=None)


class MisuseLink(AccountBase):
    """How many links of a template are odd, and how; not the links."""

    __tablename__ = "misuse_link"
    __table_args__ = (UniqueConstraint("account_id", "template_id"),)
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT", "UPDATE"),
        staff=("SELECT",),
        watch=("SELECT",),
    )
    trail = NoTrail("measured when a template is saved")

    template_id: Mapped[UUID] = column(Uuid, pd=None)
    links: Mapped[int] = column(SmallInteger, pd=None)
    odd: Mapped[int] = column(SmallInteger, pd=None)
    kinds: Mapped[list[str]] = column(JSONB, pd=None, server_default=text("'[]'"))
    seen_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class MisuseStanding(AccountBase):
    """How an account stands now: what it uses, and its score with the parts of it."""

    __tablename__ = "misuse_standing"
    __table_args__ = (
        UniqueConstraint("account_id"),
        Index("ix_misuse_standing_score", "score"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT", "UPDATE (people, messages, counted_at)"),
        staff=("SELECT",),
        watch=("SELECT", "INSERT", "UPDATE (score, parts, rules, judged_at)"),
    )
    trail = NoTrail("counted and judged anew by a job")

    people: Mapped[int] = column(pd=None, server_default="0")
    messages: Mapped[int] = column(pd=None, server_default="0")  # of the last 30 days
    counted_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    score: Mapped[int] = column(SmallInteger, pd=None, server_default="0")
    parts: Mapped[list[Any]] = column(JSONB, pd=None, server_default=text("'[]'"))
    rules: Mapped[str] = column(String(20), pd=None, server_default="")
    judged_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class MisuseFlag(AccountBase):
    """One case: what was noticed about an account, with its parts, and what came of it.

    `shown_at` is since when its owners can read it: when it is held or decided, at the
    latest fourteen days after it was opened. `asked_by` and `decided_by` are staff; for a
    suspension they are two.
    """

    __tablename__ = "misuse_flag"
    __table_args__ = (
        CheckConstraint(
            "state IN ('open', 'allowed', 'limited', 'suspended')", name="state"
        ),
        CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
        CheckConstraint(
            "state <> 'suspended' OR (asked_by <> '' AND decided_by <> asked_by)",
            name="two_for_a_suspension",
        ),
        CheckConstraint("state = 'open' OR shown_at IS NOT NULL", name="shown"),
        Index(
            "uq_misuse_flag_open",
            "account_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_misuse_flag_queue", "state", "score", "id"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT",),
        staff=(
            "SELECT",
            "UPDATE (state, asked_by, decided_by, decided_name, decided_at, said, shown_at)",
        ),
        watch=(
            (
                "SELECT (id, account_id, score, parts, rules, state, opened_at, held_at,"
                " shown_at, decided_at)"
            ),
            "INSERT (id, account_id, score, parts, rules)",
            "UPDATE (score, parts, rules, held_at, shown_at)",
        ),
    )
    trail = Trail(lazy("Case of misuse"), skip=("score", "parts", "rules"))

    score: Mapped[int] = column(SmallInteger, pd=None)
    parts: Mapped[list[Any]] = column(JSONB, pd=None)
    rules: Mapped[str] = column(String(20), pd=None)
    state: Mapped[str] = column(String(12), pd=None, server_default=OPEN)
    opened_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    held_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    shown_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    asked_by: Mapped[str] = column(String(80), pd=None, server_default="")
    decided_by: Mapped[str] = column(String(80), pd=None, server_default="")
    decided_name: Mapped[str] = column(
        String(120), pd="person.name", retention="account", log="mask", server_default=""
    )
    decided_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    said: Mapped[str] = column(String(1_000), pd="account.note", server_default="")


class MisuseAppeal(AccountBase):
    """A customer asks for another look; somebody decides who has not decided before."""

    __tablename__ = "misuse_flag_appeal"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'granted', 'refused')", name="state"),
        CheckConstraint(
            "decided_by IS NULL OR (decided_by <> against AND decided_by <> against_too)",
            name="somebody_else",
        ),
        CheckConstraint("(state = 'open') = (decided_by IS NULL)", name="decided"),
        Index(
            "uq_misuse_flag_appeal_open",
            "account_id",
            "flag_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_misuse_flag_appeal_queue", "state", "created_at"),
    )
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT (id, account_id, flag_id, against, against_too)"),
        staff=("SELECT", "UPDATE (state, decided_by, decided_name, decided_at)"),
    )
    trail = Trail(lazy("Appeal"))

    flag_id: Mapped[UUID] = column(Uuid, pd=None, to="misuse_flag")
    against: Mapped[str] = column(String(80), pd=None)
    against_too: Mapped[str] = column(String(80), pd=None, server_default="")
    state: Mapped[str] = column(String(8), pd=None, server_default=OPEN)
    decided_by: Mapped[str | None] = column(String(80), pd=None)
    decided_name: Mapped[str] = column(
        String(120), pd="person.name", retention="account", log="mask", server_default=""
    )
    decided_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class MisuseWord(AccountBase):
    """What a customer or one of staff wrote about a case, to each other; never changed."""

    __tablename__ = "misuse_flag_word"
    __table_args__ = (
        CheckConstraint("side IN ('customer', 'staff')", name="side"),
        Index("ix_misuse_flag_word_of", "account_id", "flag_id", "created_at"),
    )
    wall = Wall(kind="operational", app=("SELECT", "INSERT"), staff=("SELECT", "INSERT"))
    trail = Trail(lazy("Words about a case"))

    flag_id: Mapped[UUID] = column(Uuid, pd=None, to="misuse_flag")
    side: Mapped[str] = column(String(8), pd=None)
    text: Mapped[str] = column(String(2_000), pd="account.appeal")
    by: Mapped[str] = column(String(120), pd="person.name", retention="account", log="mask")
