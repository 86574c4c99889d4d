"""What an account allows: windows for support, and yes or no to one request."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.support import entries, settling
from clarion.support.grants import is_open, state
from clarion.support.models import HOURS, SCOPES, AccessGrant, SupportWindow
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account, current_actor

audit.label("support.window.opened", "Let support in")
audit.label("support.window.closed", "Closed the door to support")
audit.label("support.grant.allowed", "Allowed a request of support")
audit.label("support.grant.refused", "Refused a request of support")
audit.label("support.grant.revoked", "Ended an access of support")


@dataclass(frozen=True, slots=True)
class Door:
    """What the support page shows."""

    windows: list[SupportWindow]
    asked: list[AccessGrant]
    live: list[AccessGrant]


def door() -> Door:
    """Read what is open, what is asked, and who is inside right now."""
    access.require("portal.access_log")
    orm, g = db.session(), AccessGrant
    windows = orm.scalars(
        select(SupportWindow).where(*is_open()).order_by(SupportWindow.ends_at)
    ).all()
    young = g.created_at > clock.now() - settling.WAITS
    pending = select(g).where(g.kind == "request", g.revoked_at.is_(None), young)
    asked = orm.scalars(pending.where(g.starts_at.is_(None)).order_by(g.created_at)).all()
    now = func.clarion_now()
    inside = select(g).where(g.revoked_at.is_(None), g.ends_at > now)
    live = orm.scalars(inside.order_by(g.ends_at)).all()
    return Door(list(windows), list(asked), list(live))


def knocking() -> int:
    """Count the requests that wait for somebody who may let support in."""
    g = AccessGrant
    young = g.created_at > clock.now() - settling.WAITS
    waits = g.kind == "request", g.revoked_at.is_(None), g.starts_at.is_(None), young
    query = select(func.count(g.id)).where(g.account_id == current_account(), *waits)
    return db.session().scalar(query) or 0


def open_window(hours: int, scope: str) -> SupportWindow:
    """Let support in for an hour, a day or a week."""
    access.require("portal.support")
    if hours not in HOURS:
        raise Invalid("hours_unknown", _("Choose for how long."), field="hours")
    if scope not in SCOPES:
        raise Invalid("scope_unknown", _("Choose what they may do."), field="scope")
    now = db.session().scalars(select(func.clarion_now())).one()
    window = SupportWindow(
        scope=scope,
        hours=hours,
        given_by=current_actor().name[:120],
        starts_at=now,
        ends_at=now + dt.timedelta(hours=hours),
    )
    db.session().add(window)
    audit.record("support.window.opened", window, hours=hours, scope=scope)
    return window


def close_window(window_id: UUID) -> None:
    """Close a window at once; who came in by it is out at their next request."""
    access.require("portal.support")
    query = select(SupportWindow).where(SupportWindow.id == window_id)
    window = db.session().scalar(query.with_for_update())
    if window is None:
        raise NotFound("window_unknown", _("There is no such window."))
    if window.revoked_at or window.ends_at <= clock.now():
        raise Conflict("window_closed", _("This is closed already."))
    window.revoked_at, window.revoked_by = clock.now(), current_actor().name[:120]
    audit.record("support.window.closed", window)
    inside = select(AccessGrant).where(
        AccessGrant.window_id == window.id, AccessGrant.revoked_at.is_(None)
    )
    for grant in db.session().scalars(inside.with_for_update()):
        if state(grant) == "live":
            _end(grant)


def allow(grant_id: UUID) -> None:
    """Let one request in; its minutes begin now."""
    access.require("portal.support")
    grant = _locked(grant_id)
    if grant.kind != "request" or state(grant) != "waiting":
        raise Conflict("grant_not_waiting", _("This is not asked any more."))
    now = db.session().scalars(select(func.clarion_now())).one()
    grant.allowed_by = current_actor().name[:120] or "?"
    grant.starts_at = now
    grant.ends_at = now + dt.timedelta(minutes=grant.minutes)
    entries.write(grant, "started", grant.allowed_by)
    audit.record("support.grant.allowed", grant)
    settling.settle.later()


def refuse(grant_id: UUID) -> None:
    """Say no to one request."""
    access.require("portal.support")
    grant = _locked(grant_id)
    if grant.kind != "request" or state(grant) != "waiting":
        raise Conflict("grant_not_waiting", _("This is not asked any more."))
    grant.revoked_at, grant.revoked_by = clock.now(), current_actor().name[:120]
    entries.write(grant, "refused", grant.revoked_by)
    audit.record("support.grant.refused", grant)


def revoke(grant_id: UUID) -> None:
    """End an access that is going on: nothing is shown from this moment."""
    access.require("portal.support")
    grant = _locked(grant_id)
    if state(grant) != "live":
        raise Conflict("grant_over", _("This access has ended already."))
    _end(grant)


def _end(grant: AccessGrant) -> None:
    grant.revoked_at, grant.revoked_by = clock.now(), current_actor().name[:120]
    entries.write(grant, "ended", grant.revoked_by)
    audit.record("support.grant.revoked", grant)


def _locked(grant_id: UUID) -> AccessGrant:
    query = select(AccessGrant).where(
        AccessGrant.id == grant_id, AccessGrant.account_id == current_account()
    )
    grant = db.session().scalar(query.with_for_update())
    if grant is None:
        raise NotFound("grant_unknown", _("There is no such access."))
    return grant
