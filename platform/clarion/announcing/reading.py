"""Announcements as a customer reads them: the banners of now, the list of all, put away."""

from typing import Final
from uuid import UUID

from sqlalchemy import Select, case, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from clarion.announcing.drafts import FIRST
from clarion.announcing.models import AnnouncementDismissal, AnnouncementNotice
from clarion.base import db
from clarion.base.errors import Conflict, NotFound
from clarion.base.words import _
from clarion.tenancy import access
from clarion.tenancy.scope import current_account, current_actor

PAGE: Final = 20
MOST_BANNERS: Final = 3


def banners(person_id: UUID, language: str) -> list[AnnouncementNotice]:
    """Read what stands over this person's pages now, the most urgent first.

    What somebody put away stays away; what is critical cannot be.
    """
    m, d, now = AnnouncementNotice, AnnouncementDismissal, func.clarion_now()
    away = exists().where(
        d.account_id == m.account_id,
        d.announcement_id == m.announcement_id,
        d.person_id == person_id,
    )
    query = (
        _mine(language)
        .where(m.banner, m.withdrawn_at.is_(None), m.starts_at <= now, m.ends_at > now)
        .where(or_(m.severity == "critical", ~away))
    )
    found = list(db.session().scalars(query))
    urgent = ("critical", "warning", "info")
    found.sort(key=lambda one: (urgent.index(one.severity), -one.starts_at.timestamp()))
    return found[:MOST_BANNERS]


def past(language: str, before: UUID | None = None) -> list[AnnouncementNotice]:
    """List everything this account was told, newest first, by key."""
    access.require("portal.announcements")
    m = AnnouncementNotice
    told = _mine(language).subquery()
    mine = select(m).where(m.account_id == current_account(), m.id.in_(select(told.c.id)))
    if before:
        mine = mine.where(m.announcement_id < before)
    query = mine.order_by(m.announcement_id.desc()).limit(PAGE)
    return list(db.session().scalars(query))


def one(announcement_id: UUID, language: str) -> AnnouncementNotice:
    """Read one; raises `NotFound` for what this account was not told."""
    access.require("portal.announcements")
    query = _mine(language).where(AnnouncementNotice.announcement_id == announcement_id)
    found = db.session().scalar(query)
    if found is None:
        raise NotFound("announcement_unknown", _("There is no such announcement."))
    return found


def dismiss(announcement_id: UUID) -> None:
    """Put a banner away, for the present person, on all their devices."""
    person_id = UUID(current_actor().id)
    m = AnnouncementNotice
    query = select(m.severity).where(
        m.account_id == current_account(), m.announcement_id == announcement_id
    )
    severity = db.session().scalar(query.limit(1))
    if severity is None:
        raise NotFound("announcement_unknown", _("There is no such announcement."))
    if severity == "critical":
        raise Conflict("announcement_critical", _("This stays until it is over."))
    row = insert(AnnouncementDismissal).values(
        id=db.new_id(), announcement_id=announcement_id, person_id=person_id
    )
    # inline: nothing but the row itself is asked for
    db.session().execute(row.on_conflict_do_nothing())


def _mine(language: str) -> Select[tuple[AnnouncementNotice]]:
    """Select one copy of each: in this language, else English."""
    m = AnnouncementNotice
    best = case((m.language == language, 0), (m.language == FIRST, 1), else_=2)
    return (
        select(m)
        .distinct(m.announcement_id)
        .where(m.account_id == current_account())
        .order_by(m.announcement_id.desc(), best, m.language)
    )
