"""The customers' application: cookie → session → Actor, scope, one transaction a request.

Verbs never commit. What a view wrote is committed when the view has answered, before the
answer is sent; an error, or an answer with status 400 and above, takes it back.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    flash,
    redirect,
    request,
    session,
    url_for,
)
from flask_babel import Babel, gettext

from clarion.base import db, limits, words
from clarion.base.errors import Forbidden, NotFound
from clarion.base.settings import settings
from clarion.base.telemetry import logger
from clarion.base.words import _
from clarion.boot import plugin_folders, translations
from clarion.plugging.manager import plugins
from clarion.support.grants import NAMES
from clarion.tenancy import access, audit, hooktimes, people, preferences
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import account_scope, anonymous_scope, current_actor
from clarion.web import behind, guard, login, traces
from clarion.web.announced import announced
from clarion.web.errors import init_errors
from clarion.web.explained import code_url
from clarion.web.pages import WITHOUT_SESSION, Pages, guard_of, is_fragment
from clarion.web.restored import restored
from clarion.web.steps import SECOND
from clarion.web.themes import init_themes
from clarion.web.ui import add_static, init_ui

log = logger(__name__)
ACCOUNT = "account"  # in the session: the account the person chose
SIGN_IN, AGAIN, SECURITY = "auth.sign_in", "security.again", "security.index"
# what the busiest person does not reach; doors and mails have budgets of their own
WRITES = limits.Limit("portal.writes", 1_000, 300)


class Portal(Flask):
    """A Flask application whose every request runs inside its scope and transaction."""

    def full_dispatch_request(self) -> Response:
        """Enter the visitor's scope, answer, leave it."""
        with ExitStack() as stack:
            try:
                stack.enter_context(_entered())
            except Exception as error:  # the database is away: an error page, not a trace
                return self.finalize_request(self.handle_user_exception(error))
            response = super().full_dispatch_request()
        hooktimes.keep()
        return response

    def dispatch_request(self) -> Response:
        """Run the view in one transaction; count it, if it may change something."""
        by_link = (
            guard_of(request.endpoint) == WITHOUT_SESSION
        )  # they have their own limits
        if request.method not in guard.SAFE and not by_link:
            who = current_actor()
            limits.hit(WRITES, who.label if who.id else who.address)
        behind.refuse()
        before = audit.written()
        try:
            with db.transaction() as orm:
                response = behind.stays(self.make_response(super().dispatch_request()))
                if response.status_code >= 400:
                    orm.rollback()
                else:
                    traces.done(orm, before)
                return response
        except Forbidden:
            behind.refused()
            raise


def create_portal() -> Flask:
    """Make the portal with the pages of every loaded plugin. Call `boot` before."""
    app = Portal("clarion.portal", static_folder=None, template_folder=None)
    app.session_interface = login.portal_sessions()
    guard.init_guard(app)
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = ";".join(map(str, translations()))
    Babel(app, locale_selector=_language, timezone_selector=_timezone)
    login.Logins("p", people.find, lambda who: who.epoch).init_app(app)
    init_ui(app, slots=_slots)
    init_themes(app, settings().theme, plugin_templates=plugin_folders("templates"))
    init_errors(app, sign_in=SIGN_IN, again=AGAIN)
    for folder in plugin_folders("static"):
        add_static(app, _plugin_of(folder), folder)
    for plugin, blueprints in plugins().register("portal"):
        for pages in blueprints:
            _add(app, plugin, pages)
    for plugin, item in plugins().nav("portal"):
        if item.to not in app.view_functions:
            log.error("menu.page_missing", plugin=plugin, endpoint=item.to)
    app.before_request(_second_factor)
    app.jinja_env.globals.update(
        current_actor=_shown_actor,
        nav_items=_nav_items,
        account_choices=_account_choices,
        user_menu=_user_menu,
        sign_out_url=lambda: url_for("auth.sign_out"),
        allowed=access.allowed,
        url_to=url_to,
        code_url=code_url,
        restored=restored,
        stopped_seat=_stopped_seat,
        announced=announced,
        support_access=behind.now,
        purpose_name=lambda name: NAMES.get(name, name),
    )
    return app


def _add(app: Flask, plugin: str, pages: Blueprint) -> None:
    """Register a plugin's pages; they exist for accounts that have the plugin on."""
    if not isinstance(pages, Pages):
        raise TypeError(
            f"{plugin}: register_portal returns Pages, not {type(pages).__name__}"
        )

    def only_where_on() -> None:
        if request.blueprint != pages.name:
            return
        if not plugins().running(plugin):
            raise NotFound("plugin_off", _("This is switched off."))
        if current_actor().account_id and not preferences.switched_on(plugin):
            raise NotFound("plugin_off", _("This is switched off in your account."))

    app.before_request(only_where_on)  # a second application may take the same pages
    app.register_blueprint(pages)


def _plugin_of(folder: Path) -> str:
    for one in plugins().loaded():
        if (
            one.module
            and one.module.__file__
            and Path(one.module.__file__).parent == folder.parent
        ):
            return one.name
    raise LookupError(folder)


# --- who is it


@contextmanager
def _entered() -> Iterator[Actor]:
    """Enter the scope of the person in the session, or of nobody."""
    acting = behind.standing()
    who: people.SignedIn | None = login.current()
    origin: dict[str, Any] = {  # texts
        "address": login.truncated(request.remote_addr),
        "request_id": guard.request_id(),
    }
    if who is None:
        with anonymous_scope(Actor("nobody", **origin)) as actor:
            yield actor
        return
    seat = who.seat(session.get(ACCOUNT))
    if acting and seat and seat.account_id != acting.account_id:
        seat = None  # they left that account; no other one opens instead
    actor = Actor(
        "person",
        id=str(who.id),
        name=who.name,
        email=who.email,
        account_name=seat.account_name if seat else "",
        role=seat.role if seat else "",
        **origin,
    )
    if acting and seat:
        actor = behind.actor(actor, acting)
    scope = account_scope(seat.account_id, actor) if seat else anonymous_scope(actor)
    with scope as entered:
        yield entered


def _seat() -> people.Seat | None:
    who: people.SignedIn | None = login.current()
    return who.seat(session.get(ACCOUNT)) if who else None


def _second_factor() -> Response | None:
    """Open nothing of an account that asks a second factor to a person without one.

    What is their own stays open: there they set one up.
    """
    seat = _seat()
    if seat is None or not seat.wants_second_factor or session.get("behind"):
        return None
    own = guard_of(request.endpoint) in ("public", "person", "")
    if own or SECOND & login.proofs().keys():
        return None
    text = _("Your team asks for a second factor. Set one up here, then go on.")
    if request.method not in guard.SAFE or is_fragment():
        raise Forbidden("second_factor_wanted", text)
    flash(text, "info")
    return current_app.make_response(redirect(url_for(SECURITY)))


def _language() -> str | None:
    """Choose the person's language, else the account's, else the browser's."""
    who: people.SignedIn | None = login.current()
    seat = _seat()
    chosen = (who.language if who else "") or (seat.language if seat else "")
    known = words.languages()
    return chosen if chosen in known else request.accept_languages.best_match(known, "en")


def _timezone() -> str | None:
    seat = _seat()
    return seat.timezone if seat else None


# --- what every page shows


def url_to(endpoint: str, **values: Any) -> str:  # Any: what an address holds
    """Return the address of another plugin's page; "" while there is no such page here."""
    plugin = endpoint.partition(".")[0]
    there = endpoint in current_app.view_functions and preferences.switched_on(plugin)
    return url_for(endpoint, **values) if there else ""


def _slots(place: str, context: dict[str, Any]) -> Iterable[str]:
    drawn = plugins().render(place, preferences.switched_on, context)
    return (markup for _plugin, markup in drawn)


def _shown_actor() -> Any:
    """Answer who the menu names: nobody while nobody is signed in."""
    who = current_actor()
    return who if who.kind == "person" else None


def _stopped_seat() -> people.Seat | None:
    """Answer the account of this person if it may not send; every page says so then."""
    seat = _seat()
    return seat if seat is not None and seat.state != "active" else None


def _nav_items() -> list[SimpleNamespace]:
    """List the menu of this person: plugins that are on, entries their role may open."""
    if current_actor().account_id is None:
        return []
    entries = []
    for plugin, item in plugins().nav("portal"):
        needs = (
            item.needs if "." in item.needs or not item.needs else f"{plugin}.{item.needs}"
        )
        if item.to not in current_app.view_functions:
            continue  # a plugin names a page it does not have; said at start
        if not preferences.switched_on(plugin) or (needs and not access.allowed(needs)):
            continue
        entries.append(
            SimpleNamespace(
                title=gettext(item.title),
                icon=item.icon,
                url=url_for(item.to),
                keys=item.keys,
                section=gettext(item.section) if item.section else "",
                current=False,
                count=None,
            )
        )
    above = [e for e in entries if e.url == request.path or _inside(request.path, e.url)]
    if above:
        max(above, key=lambda entry: len(entry.url)).current = True
    return entries


def _inside(path: str, url: str) -> bool:
    return url != "/" and path.startswith(f"{url.rstrip('/')}/")


def _account_choices() -> list[SimpleNamespace]:
    who: people.SignedIn | None = login.current()
    here = current_actor().account_id
    return [
        SimpleNamespace(
            name=seat.account_name,
            url=url_for("portal.enter", account_id=seat.account_id),
            current=seat.account_id == here,
        )
        for seat in (who.seats if who else ())
    ]


def _user_menu() -> list[SimpleNamespace]:
    entries = [
        (gettext("Your profile"), "user", "portal.profile"),
        (gettext("Security"), "shield-lock", "security.index"),
    ]
    return [
        SimpleNamespace(title=title, icon=icon, url=url_for(to))
        for title, icon, to in entries
    ]
