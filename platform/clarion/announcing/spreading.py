"""Giving each account its copy and each person their mail: page by page, once, whatever dies.

A page is one transaction: copies of accounts, a row for each person who is written to, and
their mails in the outbox. A worker that is killed leaves all of a page or nothing of it.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert

from clarion.announcing import audience
from clarion.announcing.drafts import FIRST, Texts, texts_of
from clarion.announcing.models import (
    Announcement,
    AnnouncementLetter,
    AnnouncementNotice,
)
from clarion.base import db
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_actor, system_scope
from clarion.work import mails
from clarion.work.jobs import job

AT_ONCE: Final = 200  # accounts in one transaction
RULES: Final = ("all", "plugin", "transport")
"""Audiences that somebody may join later: they get the banner while it stands, and no mail."""


@job(queue="bulk", idempotent=True, alone=True, system=True)
def spread(announcement_id: UUID) -> None:
    """Reach the next accounts of an announcement, and ring for those after them."""
    with system_scope(current_actor()), db.transaction():
        if _page(announcement_id):
            spread.later(announcement_id)


@job(queue="default", idempotent=True, alone=True, system=True)
def catch_up() -> None:
    """Reach accounts that came since a banner was put up, and what a lost job left."""
    m, now = Announcement, func.clarion_now()
    standing = (m.audience.in_(RULES)) & m.banner & (m.ends_at > now)
    query = select(m.id).where(m.state == "sent", or_(m.spread_at.is_(None), standing))
    with system_scope(current_actor()), db.transaction() as orm:
        found = list(orm.scalars(query.order_by(m.id)))
    for announcement_id in found:
        spread(announcement_id)


def _page(announcement_id: UUID) -> bool:
    """Reach up to `AT_ONCE` accounts; says whether there may be more.

    Holds the announcement's row: pages take turns, and one that is taken back meanwhile
    reaches nobody any more.
    """
    m, orm = Announcement, db.session()
    one = orm.scalar(select(m).where(m.id == announcement_id).with_for_update())
    if one is None or one.state != "sent":
        return False
    copy = AnnouncementNotice
    mine = copy.announcement_id == one.id, copy.account_id == Account.id
    has = select(copy.id).where(*mine).exists()
    query = audience.accounts(one).where(~has).order_by(Account.id)
    found = list(orm.scalars(query.limit(AT_ONCE)))
    texts = texts_of(one.id)
    if found:
        _copy(one, texts, found)
        if one.mail and one.spread_at is None:
            _write(one, texts, found)
    more = len(found) == AT_ONCE
    if not more and one.spread_at is None:
        one.spread_at = func.clarion_now()
    return more


def _copy(one: Announcement, texts: Texts, accounts: Sequence[UUID]) -> None:
    rows = [
        {
            "id": db.new_id(),
            "account_id": account_id,
            "announcement_id": one.id,
            "language": language,
            "kind": one.kind,
            "severity": one.severity,
            "title": title,
            "text": text,
            "banner": one.banner,
            "starts_at": one.starts_at,
            "ends_at": one.ends_at,
            "corrects_id": one.corrects_id,
        }
        for account_id in accounts
        for language, (title, text) in texts.items()
    ]
    db.session().execute(insert(AnnouncementNotice).on_conflict_do_nothing(), rows)


def _write(one: Announcement, texts: Texts, accounts: Sequence[UUID]) -> None:
    """Write to each person of these accounts who was not written to before."""
    orm = db.session()
    found = {row.id: row for row in orm.execute(audience.people(one, accounts))}
    if not found:
        return
    letter = AnnouncementLetter
    rows = [{"announcement_id": one.id, "person_id": key} for key in sorted(found)]
    new = insert(letter).values(rows).on_conflict_do_nothing().returning(letter.person_id)
    for person_id in orm.scalars(new).all():
        who = found[person_id]
        title, text = texts.get(who.language) or texts[FIRST]
        mails.post(
            "service",
            who.email,
            name=who.name,
            language=who.language,
            link=f"/announcements/{one.id}",
            sort=one.kind,
            title=title,
            text=text,
            account=who.account,
            role=who.role,
            corrects="1" if one.corrects_id else "",
        )
