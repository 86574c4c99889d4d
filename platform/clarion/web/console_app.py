"""The console application: staff's pages under /console, behind one gate."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flask import (
    Flask,
    Response,
    current_app,
    make_response,
    redirect,
    request,
    url_for,
)

from clarion.base import db, limits, words
from clarion.base.errors import Forbidden, Invalid, NotFound, NotSignedIn
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.boot import boot, plugin_folders, translations
from clarion.plugging.manager import plugins
from clarion.tenancy import audit, factors, networks
from clarion.tenancy.access import allowed
from clarion.tenancy.scope import current_actor, staff_scope
from clarion.web import door, login, naming, staff, steps, traces
from clarion.web.errors import init_errors
from clarion.web.explained import code_url
from clarion.web.guard import SAFE, init_guard
from clarion.web.pages import guard_of
from clarion.web.restored import restored
from clarion.web.themes import init_themes
from clarion.web.ui import add_static, init_ui

# what the busiest colleague does not reach; the door and its mails have budgets of their own
WRITES = limits.Limit("console.writes", 1_000, 300)
SETTING_UP = ("ConsoleSecurityPanel.", "SignIn.")


class ConsoleApp(Flask):
    """A Flask application whose requests run as staff, each in one transaction."""

    def full_dispatch_request(self) -> Response:
        """Enter the staff member's scope, answer, leave it; nothing outlives the request."""
        with ExitStack() as stack:
            try:
                if (who := login.current()) is not None:
                    stack.enter_context(staff_scope(who.actor()))
            except Exception as error:  # the database is away: an error page, not a trace
                return self.finalize_request(self.handle_user_exception(error))
            return super().full_dispatch_request()

    def dispatch_request(self) -> Response:
        """Run the view in one transaction, committed before anybody hears of it."""
        if request.method not in SAFE:
            who = current_actor()
            limits.hit(
                WRITES, who.label if who.id else login.truncated(request.remote_addr)
            )
        if current_actor().kind != "staff":
            return self.make_response(super().dispatch_request())
        before = audit.written()
        with db.transaction() as orm:
            response = self.make_response(super().dispatch_request())
            if response.status_code >= 400:
                orm.rollback()
            else:
                traces.done(orm, before)
            return response


def create_console() -> Flask:
    """Make the console with the screens of every loaded plugin; touches no database."""
    found = boot()
    logging.getLogger("flask_appbuilder").setLevel(logging.ERROR)
    app = ConsoleApp("clarion.console", static_folder=None, template_folder=None)
    app.config.from_mapping(
        APP_NAME="Clarion",
        BABEL_TRANSLATION_DIRECTORIES=";".join(str(folder) for folder in translations()),
        FAB_CREATE_DB=False,  # else create_all of every mapped table
        FAB_UPDATE_PERMS=False,  # `clarion db upgrade` writes them
        FAB_ROLES={staff.ADMIN: [[".*", ".*"]]},  # no rows
        FAB_ADD_SECURITY_API=False,
        FAB_ADD_OPENAPI_VIEWS=False,
        FAB_ADD_MENU_API=False,
        FAB_API_KEY_ENABLED=False,
        FAB_SECURITY_SIGNALS_ENABLED=False,
    )
    app.session_interface = login.console_sessions()
    init_ui(app, brand="Clarion")
    init_themes(app, settings().theme, plugin_templates=plugin_folders("templates"))
    for one in found.loaded():
        folder = Path(one.module.__file__ or "").parent / "static" if one.module else None
        if folder and folder.is_dir():
            add_static(app, one.name, folder)
    init_guard(app)
    init_errors(app, sign_in="SignIn.login", again="SignIn.again")
    app.before_request(gate)
    with app.app_context():
        console = staff.Console(security_manager_class=door.Doorman)
        console.init_app(app, db.session)
        screens = app.extensions["clarion-screens"] = {}
        for plugin, views in found.register("console"):
            for view in views:
                console.add(plugin, view)
                screens[view.__name__] = plugin
    app.extensions["babel"].locale_selector = _language
    app.jinja_env.globals.update(naming.GLOBALS, **GLOBALS, code_url=code_url)
    return app


def gate() -> Response | None:
    """Let staff in and send everybody else to the door; `needs` says it again behind.

    Nobody gets as far as the door from a network that is not on the list, if there is one.
    Who has no second factor can only set one up. No text with a NUL in it gets any
    further: PostgreSQL knows no such text.
    """
    if not networks.inside(request.remote_addr or ""):
        text = _("The console does not open from this network.")
        raise Forbidden("network_outside", text)
    if any("\0" in text for texts in request.values.listvalues() for text in texts):
        raise Invalid("text_unusable", _("This text has a sign in it that cannot be kept."))
    screen = (request.endpoint or "").partition(".")[0]
    whose = current_app.extensions["clarion-screens"].get(screen)
    if whose is not None and not plugins().running(whose):
        raise NotFound("plugin_off", _("This plugin is switched off."))
    known = request.endpoint is not None and guard_of(request.endpoint) != "public"
    if known and current_actor().kind != "staff":
        raise NotSignedIn("not_signed_in", _("Please sign in."))
    return _without_second_factor() if known else None


def _without_second_factor() -> Response | None:
    """Lead who has shown no second factor to where one is set up, and nowhere else."""
    if steps.SECOND & login.proofs().keys():
        return None
    if factors.of(steps.subject()).any:  # set up elsewhere: to be shown here as well
        login.sign_out()
        raise NotSignedIn("not_signed_in", _("Please sign in."))
    if (request.endpoint or "").startswith(SETTING_UP):
        return None
    if request.method not in SAFE:
        text = _("Set up a second factor first.")
        raise Forbidden("second_factor_wanted", text)
    return make_response(redirect(url_for("ConsoleSecurityPanel.index")))


# --- what every page shows


def nav_items() -> list[dict[str, Any]]:
    """List the menu of this staff member, from the manifests; as many queries as none."""
    page = getattr(current_app.view_functions.get(request.endpoint or ""), "__self__", None)
    here = getattr(page, "within", "") or (request.endpoint or "").partition(".")[0]
    out = []
    for plugin, item in plugins().nav("console"):
        if not plugins().running(plugin):
            continue
        wanted = item.needs if "." in item.needs else f"{plugin}.{item.needs}"
        if item.needs and not allowed(wanted):
            continue
        out.append(
            {
                "title": _(str(item.title)),
                "icon": item.icon,
                "url": url_for(item.to),
                "keys": item.keys,
                "section": _(str(item.section)) if item.section else "",
                "current": item.to.partition(".")[0] == here,
            }
        )
    return out


def palette_items() -> list[dict[str, str]]:
    """List where the keyboard palette can go: the menu."""
    return [
        {"t": one["title"], "h": one["url"], "k": one["keys"], "g": _("Go to")}
        for one in nav_items()
    ]


def user_menu() -> list[dict[str, str]]:
    """List what is one's own."""
    address = url_for("ConsoleSecurityPanel.index")
    return [{"title": _("Security"), "icon": "shield-lock", "url": address}]


def environment() -> str:
    """What the stripe over the page says; nothing in production."""
    return "" if settings().production else _("Development installation: not for customers")


def _language() -> str | None:
    """Speak what the browser asks for, if somebody translated it."""
    return request.accept_languages.best_match(words.languages(), "en")


GLOBALS = {
    "nav_items": nav_items,
    "palette_items": palette_items,
    "environment": environment,
    "user_menu": user_menu,
    "current_actor": lambda: who if (who := current_actor()).kind == "staff" else None,
    "sign_out_url": lambda: url_for("SignIn.logout"),
    "home_url": lambda: staff.HOME,
    "allowed": allowed,
    "restored": restored,
}
