"""How a number's quality went: a row for each grade its provider gave, from then on."""

import datetime as dt
from uuid import UUID

from sqlalchemy import Index, String, Uuid, select
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Wall, column
from clarion.base.trails import NoTrail
from clarion.messaging.models import Sender
from clarion.tenancy.models import AccountBase

SHOWN = 30


class SenderGrade(AccountBase):
    """That a number had a grade from a moment on."""

    __tablename__ = "sender_grade"
    __table_args__ = (Index("ix_sender_grade_of", "account_id", "sender_id", "created_at"),)
    wall = Wall(kind="operational", app=("SELECT", "INSERT"), staff=("SELECT",))
    trail = NoTrail("a log itself: grades are added and never changed")

    sender_id: Mapped[UUID] = column(Uuid, pd=None, to="sender")
    grade: Mapped[str] = column(String(12), pd=None)


def note(sender: Sender, grade: str) -> None:
    """Keep the grade a provider gives; a new one goes into the history, nothing does not."""
    if not grade or grade == sender.quality:
        return
    sender.quality = grade
    db.session().add(SenderGrade(sender_id=sender.id, grade=grade))


def history(account_id: UUID, sender_id: UUID) -> list[tuple[str, dt.datetime]]:
    """List a number's grades, the newest first, each with since when."""
    query = (
        select(SenderGrade.grade, SenderGrade.created_at)
        .where(SenderGrade.account_id == account_id, SenderGrade.sender_id == sender_id)
        .order_by(SenderGrade.created_at.desc(), SenderGrade.id.desc())
        .limit(SHOWN)
    )
    return list(db.session().execute(query).tuples())
