"""Support access as customers see it: let in, end, read the log, ask, download; and view-as."""

import datetime as dt
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from flask import (
    Response,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from wtforms import RadioField, TextAreaField
from wtforms.validators import InputRequired, Length

from clarion.base import clock
from clarion.base.settings import settings
from clarion.base.words import gettext
from clarion.plugging.manager import plugins
from clarion.support import acting, grants, history, windows
from clarion.tenancy import people
from clarion.web import behind, login
from clarion.web.pages import Form, Pages, fragment, needs, public, signed_in
from clarion.web.ui import url_with

pages = Pages("support", __name__)
WORD: Final = "view_as"  # in the session of whoever shows a ticket: what this browser knows


class WindowForm(Form):
    """For how long support may come in, and what it may do."""

    hours = RadioField(
        lazy("For how long"),
        choices=[("1", lazy("1 hour")), ("24", lazy("1 day")), ("168", lazy("7 days"))],
        default="1",
    )
    scope = RadioField(
        lazy("What they may do"),
        choices=[("view", lazy("Look only")), ("act", lazy("Look and change"))],
        default="view",
    )


class QuestionForm(Form):
    """A question about one access."""

    text = TextAreaField(
        lazy("Your question"), [InputRequired(lazy("This is needed.")), Length(max=1000)]
    )


@pages.get("/")
@needs("portal.access_log")
def index() -> Response:
    """Show what is open, what is asked, who is inside, and the log."""
    return _index(WindowForm())


@pages.post("/windows")
@needs("portal.support")
def open_window() -> Any:
    """Let support in for a while."""
    form = WindowForm()
    if form.validate_on_submit():
        with form.attempt():
            windows.open_window(int(form.hours.data), form.scope.data)
            flash(_("Support can come in now. Close it whenever you like."), "success")
            return redirect(url_for(".index"))
    return _index(form)


@pages.post("/windows/<uuid:window_id>/close")
@needs("portal.support", fresh=False)
def close_window(window_id: UUID) -> Response:
    """Close a window at once."""
    windows.close_window(window_id)
    flash(_("Closed. Whoever was inside is out."), "success")
    return make_response(redirect(url_for(".index")))


@pages.post("/requests/<uuid:grant_id>/allow")
@needs("portal.support")
def allow(grant_id: UUID) -> Response:
    """Let one request in."""
    windows.allow(grant_id)
    flash(_("Allowed. You can end it at any time."), "success")
    return make_response(redirect(url_for(".index")))


@pages.post("/requests/<uuid:grant_id>/refuse")
@needs("portal.support", fresh=False)
def refuse(grant_id: UUID) -> Response:
    """Say no to one request."""
    windows.refuse(grant_id)
    flash(_("Refused. Nothing was shown."), "success")
    return make_response(redirect(url_for(".index")))


@pages.post("/accesses/<uuid:grant_id>/end")
@needs("portal.support", fresh=False)
def revoke(grant_id: UUID) -> Response:
    """End an access that is going on."""
    windows.revoke(grant_id)
    flash(_("Ended. Nothing is shown to them any more."), "success")
    return make_response(redirect(url_for(".index")))


# --- the log


@pages.get("/live")
@needs("portal.access_log")
def live() -> Response:
    """Answer the newest accesses alone, as they are now."""
    rows, _after = history.visits()
    return fragment(render_template("portal/support_visits.html", rows=rows, **_words()))


@pages.get("/log/<uuid:grant_id>")
@needs("portal.access_log")
def log(grant_id: UUID) -> Response:
    """Show one access: each page, record, change and refusal."""
    return _log(grant_id, QuestionForm())


@pages.post("/log/<uuid:grant_id>/question")
@needs("portal.access_log")
def question(grant_id: UUID) -> Any:
    """Ask about one access."""
    form = QuestionForm()
    if form.validate_on_submit():
        with form.attempt():
            history.question(grant_id, form.text.data)
            flash(_("Asked. You get a mail when we have answered."), "success")
            return redirect(url_for(".log", grant_id=grant_id, _anchor="questions"))
    return _log(grant_id, form)


@pages.post("/log/download")
@needs("portal.access_log")
def download() -> Response:
    """Answer the log as a file, with a program that verifies it."""
    response = make_response(history.download())
    response.mimetype = "application/zip"
    name = f"access-log-{clock.now():%Y-%m-%d}.zip"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


# --- as one of its people


@pages.route("/enter/<token>", methods=["GET", "POST"])
@public
def enter(token: str) -> Any:
    """Ask support once more, then open a session of its own for them; only POST uses it up.

    The console has to vouch first that this is the browser that asked for the ticket.
    """
    if behind.now() is not None or not acting.known(token):
        return _no_ticket()
    proof = request.values.get("proof", "")
    if request.method == "GET":
        if not proof:
            word = session.setdefault(WORD, secrets.token_urlsafe(16))
            asked = f"{quote(token, safe='')}/{quote(word, safe='')}"
            return redirect(f"{settings().console_url}/console/access/vouch/{asked}", 303)
        if not acting.vouched(token, session.get(WORD, ""), proof):
            return _no_ticket()
        page = render_template("portal/support_enter.html", good=True, proof=proof)
        return make_response(page)
    person_id, found = acting.enter(token, session.get(WORD, ""), proof)
    who = people.find(str(person_id))
    if who is None or who.seat(found.account_id) is None:
        return _no_ticket()
    login.sign_in(who, who.id)
    behind.begin(found)
    return redirect(url_for("portal.home"), 303)


@pages.post("/end")
@signed_in
def end() -> Response:
    """Leave: the access ends, and this session with it."""
    if found := behind.now():
        acting.leave(found.grant_id, found.account_id)
        login.sign_out()
    return make_response(redirect(url_for(".ended"), 303))


@pages.get("/ended")
@public
def ended() -> str:
    """Say that the access has ended."""
    return render_template("portal/support_ended.html")


# --- drawing


def _no_ticket() -> Response:
    page = render_template("portal/support_enter.html", good=False, proof="")
    return make_response(page, 404)


def _index(form: WindowForm) -> Response:
    rows, after = history.visits(request.args.get("after", ""))
    page = render_template(
        "portal/support.html",
        door=windows.door(),
        rows=rows,
        older=url_with(after=after) if after else "",
        first="after" not in request.args,
        form=form,
        **_words(),
    )
    return make_response(page, 422 if form.errors else 200)


def _log(grant_id: UUID, form: QuestionForm) -> Response:
    visit = history.visit(grant_id)
    rows, after = history.seen(grant_id, request.args.get("after", ""))
    page = render_template(
        "portal/support_log.html",
        visit=visit,
        rows=rows,
        page=_page(),
        record=_record,
        older=url_with(after=after) if after else "",
        questions=history.questions(grant_id),
        form=form,
        **_words(),
    )
    return make_response(page, 422 if form.errors else 200)


def _page() -> Callable[[str], str]:
    """Answer what names the page of an address: the entry of the menu it stands under."""
    titles = {
        url_for(item.to).rstrip("/"): gettext(item.title)
        for _plugin, item in plugins().nav("portal")
        if item.to in current_app.view_functions
    }

    def named(what: str) -> str:
        place = what.removeprefix("/console").rstrip("/")
        under = [one for one in titles if one and f"{place}/".startswith(f"{one}/")]
        title = titles[max(under, key=len)] if under else ""
        if what == "/":
            title = titles.get("", "")
        if title and what.startswith("/console/"):
            return _("%(page)s, in our console", page=title)
        return title

    return named


def _record(row: str) -> str:
    """Say of which thing a page was, shortly: `contact_id:0190…` is "Contact 0190…"."""
    parts = (one.partition(":") for one in row.split())
    found = (
        f"{name.removesuffix('_id').replace('_', ' ')} {value[:8]}"
        for name, _c, value in parts
    )
    return ", ".join(found)


def _words() -> dict[str, Any]:
    deeds = {
        "screen": _("opened"),
        "reveal": _("revealed"),
        "change": _("changed"),
        "denied": _("was refused"),
        "asked": _("asked"),
        "approved": _("approved by"),
        "refused": _("refused by"),
        "started": _("began"),
        "ended": _("ended"),
    }
    return {
        "purposes": grants.NAMES,
        "deeds": deeds,
        "state": grants.state,
        "minutes": _minutes,
    }


def _minutes(grant: Any) -> int:
    """Say how many minutes an access lasted, or lasts until now."""
    if grant.starts_at is None:
        return 0
    over = min(one for one in (grant.revoked_at, grant.ends_at, clock.now()) if one)
    return max(0, round((over - grant.starts_at) / dt.timedelta(minutes=1)))
