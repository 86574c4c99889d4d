"""What happens by itself: owners are told, delayed notices publish themselves, ends are noted."""

import datetime as dt
from typing import Final
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from clarion.base import db
from clarion.base.words import _
from clarion.support import entries
from clarion.support.models import AccessGrant
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope, current_actor, system_scope
from clarion.work.jobs import job
from clarion.work.notices import Notice, tell

WAITS: Final = dt.timedelta(days=1)
"""For so long something that was asked waits for an answer."""

AT_ONCE = 200


@job(queue="default", idempotent=True, alone=True, system=True)
def settle() -> None:
    """Tell owners of what has begun and is theirs to know, and note what has ended."""
    for grant_id, account_id in _untold():
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            _tell(grant_id)
    while _close():
        pass


@job(queue="default", idempotent=True, alone=True, system=True)
def ask(account_id: UUID, grant_id: UUID) -> None:
    """Tell owners that support asks to be let in."""
    with account_scope(account_id, SYSTEM_JOB), db.transaction() as orm:
        grant = orm.get(AccessGrant, grant_id)
        if grant is None or grant.starts_at or grant.revoked_at:
            return
        tell(
            lambda account: _asks(grant, account), needs="portal.support", link="/support/"
        )


@job(queue="default", idempotent=True, alone=True, system=True)
def answered(account_id: UUID, grant_id: UUID) -> None:
    """Tell those who may read the log that a question about it is answered."""
    with account_scope(account_id, SYSTEM_JOB), db.transaction():
        link = f"/support/log/{grant_id}"
        tell(_answered, needs="portal.support", link=link)


def ask_owners(grant: AccessGrant) -> None:
    """Let the owners decide about a request; an emergency is no question to them."""
    if grant.kind == "request":
        ask.later(grant.account_id, grant.id)


def _untold() -> list[tuple[UUID, UUID]]:
    m = AccessGrant
    query = (
        select(m.id, m.account_id)
        .where(m.noticed_at.is_(None), m.starts_at.is_not(None))
        .where(m.told_at <= func.clarion_now())
        .order_by(m.told_at)
        .limit(AT_ONCE)
    )
    with system_scope(current_actor()), db.transaction() as orm:
        return [(row.id, row.account_id) for row in orm.execute(query)]


def _tell(grant_id: UUID) -> None:
    query = select(AccessGrant).where(
        AccessGrant.id == grant_id, AccessGrant.noticed_at.is_(None)
    )
    grant = db.session().scalar(query.with_for_update())
    if grant is None:
        return  # somebody else did
    grant.noticed_at = func.clarion_now()
    link = f"/support/log/{grant.id}"
    tell(lambda account: _began(grant, account), needs="portal.support", link=link)


def _close() -> int:
    """Note the end of accesses that ran out; answers how many."""
    m = AccessGrant
    over = or_(
        m.ends_at <= func.clarion_now(),
        m.revoked_at.is_not(None),
        and_(m.starts_at.is_(None), m.created_at <= func.clarion_now() - WAITS),
    )
    query = select(m).where(m.closed_at.is_(None), over).order_by(m.id).limit(AT_ONCE)
    with system_scope(current_actor()), db.transaction() as orm:
        found = orm.scalars(query.with_for_update(skip_locked=True)).all()
        for grant in found:
            grant.closed_at = func.clarion_now()
            if grant.revoked_at is None and grant.starts_at:
                entries.write(grant, "ended", f"{grant.minutes} min")
    return len(found)


def _began(grant: AccessGrant, account: str) -> Notice:
    who = _("%(who)s of our team", who=grant.staff_name)
    return Notice(
        _("%(account)s: our support may look at your account", account=account),
        (
            _(
                "%(who)s got access to the content of %(account)s for %(minutes)s minutes.",
                who=who,
                account=account,
                minutes=grant.minutes,
            ),
            _(
                "Why: %(reason)s (ticket %(ticket)s)",
                reason=grant.reason,
                ticket=grant.ticket,
            ),
            _("You see each page that was opened, end the access, and ask about it here:"),
        ),
    )


def _asks(grant: AccessGrant, account: str) -> Notice:
    return Notice(
        _("%(account)s: our support asks for access", account=account),
        (
            _(
                "%(who)s of our team asks to look at the content of %(account)s for"
                " %(minutes)s minutes.",
                who=grant.staff_name,
                account=account,
                minutes=grant.minutes,
            ),
            _(
                "Why: %(reason)s (ticket %(ticket)s)",
                reason=grant.reason,
                ticket=grant.ticket,
            ),
            _("Nothing is shown unless you allow it. Decide here:"),
        ),
    )


def _answered(account: str) -> Notice:
    return Notice(
        _("%(account)s: we answered your question", account=account),
        (_("You asked about an access of our support. Read the answer here:"),),
    )
