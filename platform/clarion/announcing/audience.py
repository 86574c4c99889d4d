"""Whom an announcement is for: the accounts, and the people who are written to; as questions.

Staff ask them to count, the worker to spread: the same statements, so that what is counted
is what is reached.
"""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, String, cast, func, or_, select

from clarion.announcing.models import (
    Announcement,
    AnnouncementLetter,
    AnnouncementNotice,
    AnnouncementTarget,
)
from clarion.base import db
from clarion.messaging import channels
from clarion.messaging.models import Channel
from clarion.plugging.manager import plugins
from clarion.tenancy import access, preferences
from clarion.tenancy.models import Account, Membership, Person, Preference

MAILED: Final = "portal.service_mails"
"""The permission of those who get service mails: owners, and whoever has it besides."""


def accounts(one: Announcement) -> Select[tuple[UUID]]:
    """Select the accounts an announcement is for; closed ones are never among them."""
    query = select(Account.id).where(Account.state != "closed")
    if one.audience == "accounts":
        mine = AnnouncementTarget.announcement_id == one.id
        return query.where(
            Account.id.in_(select(AnnouncementTarget.account_id).where(mine))
        )
    if one.audience == "plugin":
        return query.where(Account.id.not_in(_without(one.value)))
    if one.audience == "transport":
        using = select(Channel.account_id).where(Channel.transport == one.value)
        return query.where(Account.id.in_(using))
    if one.audience == "reached":
        got = AnnouncementNotice.announcement_id == one.corrects_id
        return query.where(Account.id.in_(select(AnnouncementNotice.account_id).where(got)))
    return query


def people(one: Announcement, among: Select[tuple[UUID]] | Iterable[UUID]) -> Select[Any]:
    """Select who is written to in these accounts: person, account, role.

    A correction goes to who got the mail it corrects, if that was a mail.
    """
    query = (
        select(
            Person.id,
            Person.email,
            Person.name,
            Person.language,
            Account.name.label("account"),
            Membership.role,
        )
        .join(Membership, Membership.person_id == Person.id)
        .join(Account, Account.id == Membership.account_id)
        .where(
            Membership.account_id.in_(among if isinstance(among, Select) else list(among)),
            Membership.role.in_(access.roles(MAILED)),
            Person.state == "active",
            Person.confirmed_at.is_not(None),
        )
    )
    if one.corrects_id is None:
        return query
    letter = AnnouncementLetter
    written = select(letter.person_id).where(letter.announcement_id == one.corrects_id)
    return query.where(or_(Person.id.in_(written), ~written.exists()))


def counts(one: Announcement) -> tuple[int, int]:
    """Count the accounts an announcement reaches, and the mails it makes."""
    orm, mine = db.session(), accounts(one)
    reached = orm.scalar(select(func.count()).select_from(mine.subquery())) or 0
    if not one.mail:
        return reached, 0
    written = people(one, mine).subquery()
    return reached, orm.scalar(select(func.count(written.c.id.distinct()))) or 0


def offered() -> dict[str, dict[str, str]]:
    """Name what an audience may be chosen by: plugins, and kinds of connections in use."""
    found = plugins().loaded()
    titles = {
        one.name: one.plugin.title for one in found if one.plugin and not one.plugin.always
    }
    used = db.session().scalars(select(Channel.transport).distinct())
    ways = {name: str(one.title) for name, one in channels.transports().items()}
    return {
        "plugin": titles,
        "transport": {one: ways.get(one, one) for one in sorted(used)},
    }


def _without(plugin: str) -> Select[tuple[UUID]]:
    """Select the accounts that have a plugin off: by their own choice, or by ours."""
    m = Preference
    off = (m.name == preferences.SWITCH) & (cast(m.value, String) == "false")
    return select(m.account_id).where(
        m.plugin == plugin, or_(off, m.name == preferences.BARRED)
    )
