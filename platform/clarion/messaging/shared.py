"""What accounts share at a provider: a business, whom it wrote to, who waits for it."""

import datetime as dt
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column, new_id
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, Time

_SHARED = "one business may be written from by several accounts, which share its limit"


class Portfolio(Base):
    """A business at the provider: its numbers share one limit of people in 24 hours.

    `people_per_day` is what the provider says (None: unlimited, or it has not said yet);
    `own_people_per_day` is the operator's lower one.
    """

    __tablename__ = "portfolio"
    __table_args__ = (UniqueConstraint("transport", "provider_id"),)
    wall = Wall(
        kind="platform",
        staff=("SELECT", "UPDATE (own_people_per_day, name)"),
        system=("SELECT", "INSERT", "UPDATE"),
        why=_SHARED,
    )
    trail = Trail(lazy("Business at a provider"), skip=("used", "limit_at"))

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    transport: Mapped[str] = column(String(40), pd=None)
    provider_id: Mapped[str] = column(String(80), pd=None)
    name: Mapped[str] = column(String(120), pd=None, server_default="")
    people_per_day: Mapped[int | None] = column(
        CheckConstraint("people_per_day >= 0", name="people"), pd=None
    )
    limit_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    used: Mapped[int] = column(pd=None, server_default="0")  # of its recipients, counted
    own_people_per_day: Mapped[int | None] = column(
        CheckConstraint("own_people_per_day >= 0", name="own_people"), pd=None
    )


class PortfolioRecipient(Base):
    """Somebody a portfolio wrote to in the last 24 hours, by a hash nobody can reverse."""

    __tablename__ = "portfolio_recipient"
    __table_args__ = (Index("ix_portfolio_recipient_until", "portfolio_id", "until"),)
    wall = Wall(
        kind="platform",
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why=_SHARED,
    )
    trail = NoTrail("a count of 24 hours, by hashes")

    portfolio_id: Mapped[UUID] = column(
        Uuid, ForeignKey("portfolio.id"), pd=None, primary_key=True
    )
    idx: Mapped[bytes] = column(LargeBinary, pd=None, primary_key=True)
    until: Mapped[dt.datetime] = column(Time, pd=None)


class PortfolioWait(Base):
    """A send order that waits for a portfolio's slots: how many people, how important."""

    __tablename__ = "portfolio_wait"
    wall = Wall(
        kind="platform",
        staff=("SELECT",),
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why=_SHARED,
    )
    trail = NoTrail("a queue of the engine")

    portfolio_id: Mapped[UUID] = column(
        Uuid, ForeignKey("portfolio.id"), pd=None, primary_key=True
    )
    campaign_id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True)
    priority: Mapped[int] = column(SmallInteger, pd=None)
    people: Mapped[int] = column(pd=None)
    seen_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
