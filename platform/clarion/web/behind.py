"""Support in the portal as one of its people: what each request leaves, and what is refused."""

from dataclasses import replace
from typing import Final
from uuid import UUID

from flask import Response, current_app, flash, request, session

from clarion.base.errors import Forbidden
from clarion.base.words import _
from clarion.support import entries
from clarion.support.acting import Acting, resume
from clarion.tenancy import access
from clarion.tenancy.actor import Actor
from clarion.web import login
from clarion.web.guard import SAFE
from clarion.web.pages import WITHOUT_SESSION, guard_of, is_fragment

GRANT: Final = "grant"  # in the session: the grant under which it stands
OWN: Final = frozenset({"support.end", "auth.sign_out"})
_NOW: Final = "clarion.behind"
_REFUSED: Final = "clarion.refused"


def begin(acting: Acting) -> None:
    """Write into a new session who stands behind it, and until when."""
    session[GRANT] = str(acting.grant_id)
    session["account"] = str(acting.account_id)
    session["behind"], session["reason"] = acting.behind, acting.reason
    session["until"] = int(acting.ends_at.timestamp())


def standing() -> Acting | None:
    """Answer the grant of the present request's session; ends the session when it is over."""
    if GRANT not in session:
        return None
    try:
        found = resume(UUID(session[GRANT]), UUID(session["account"]))
    except (KeyError, ValueError):
        found = None
    if found is None:
        login.sign_out()
        if request.method in SAFE and not is_fragment():
            flash(_("The support access has ended."), "info")
    request.environ[_NOW] = found
    return found


def now() -> Acting | None:
    """Answer the grant under which this page is shown, for the bar on top of it."""
    found: Acting | None = request.environ.get(_NOW)
    return found


def actor(who: Actor, acting: Acting) -> Actor:
    """Stand behind a person; what the request is about to show is written down first.

    What is refused gets its entry as well, and nothing by which content would open.
    """
    who = replace(
        who,
        behind=acting.behind,
        reason=f"{acting.ticket}: {acting.reason}"[:300],
        grant_id=acting.grant_id,
        read_only=acting.read_only,
    )
    guard = guard_of(request.endpoint)
    if not guard or guard == WITHOUT_SESSION or request.endpoint in OWN:
        return who
    why = request.environ[_REFUSED] = refusal()
    safe = request.method in SAFE
    deed = "denied" if why else "screen" if safe else "change"
    reuse = safe and is_fragment() and not why
    entry = entries.note(
        acting.held, deed, request.path, row=_records(), reuse=reuse, who=who
    )
    return who if why else replace(who, access_id=entry)


def refuse() -> None:
    """Stop a request that support may not make; its entry is written already."""
    if why := request.environ.get(_REFUSED):
        raise Forbidden("not_as_support", why)


def stays(response: Response) -> Response:
    """Refuse a file to take away: it would outlast the access, and be in no log of looks."""
    taken = response.headers.get("Content-Disposition", "").startswith("attachment")
    if taken and now():
        raise Forbidden(
            "not_as_support", _("Support may not do this in a customer's name.")
        )
    return response


def refused() -> None:
    """Write down that a page refused what support tried, unless that is done."""
    acting = now()
    if acting and not request.environ.get(_REFUSED):
        entries.note(acting.held, "denied", request.path, row=_records())


def _records() -> str:
    return " ".join(f"{name}:{value}" for name, value in (request.view_args or {}).items())


def refusal() -> str:
    """Say why support may not do what is asked, in the customer's name; "" if it may."""
    view = current_app.view_functions.get(request.endpoint or "")
    guard = getattr(view, "guard", "")
    if request.endpoint in OWN or guard == WITHOUT_SESSION:
        return ""
    if guard == "person":
        return _("This is the person's own: support may not open it.")
    if access.sensitive(guard) or getattr(view, "fresh", False):
        return _("Support may not do this in a customer's name.")
    if request.method in SAFE:
        return ""
    if guard.startswith("public"):
        return _("Support may not do this in a customer's name.")
    acting = now()
    return _("This access is for looking only.") if acting and acting.read_only else ""
