"""Settings of the account: its name and place, its plugins, and what they let it choose."""

import datetime as dt
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from flask import (
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from wtforms import BooleanField, DateField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional

from clarion.base import clock
from clarion.plugging.manager import plugins
from clarion.plugging.manifest import Plugin, about
from clarion.portal import places, service
from clarion.tenancy import people, preferences, team
from clarion.web.pages import Form, Pages, needs
from clarion.web.settings_form import form_of

pages = Pages("settings", __name__)
NEEDED = InputRequired(lazy("This is needed."))


class AccountForm(Form):
    """How the account is called, and where it is."""

    name = StringField(lazy("Name of the account"), [NEEDED, Length(max=120)])
    country = SelectField(lazy("Country"), choices=places.countries)
    timezone = SelectField(lazy("Time zone"), choices=places.zones)
    language = SelectField(lazy("Language"), choices=places.languages)


@pages.route("/", methods=["GET", "POST"])
@needs("portal.settings")
def index() -> Any:
    """Show and change the account."""
    account = service.account()
    form = AccountForm(obj=account)
    if form.validate_on_submit():
        with form.attempt():
            people.change_account(
                name=form.name.data,
                country=form.country.data,
                timezone=form.timezone.data,
                language=form.language.data,
            )
            flash(_("Saved."), "success")
            return redirect(url_for(".index"))
    status = 422 if form.errors else 200
    page = render_template(
        "portal/settings.html", form=form, account=account, rows=_plugins(), tab="account"
    )
    return make_response(page, status)


class SecurityForm(Form):
    """Whether everybody needs a second factor, and from when."""

    required = BooleanField(lazy("Everybody in the team needs a second factor"))
    since = DateField(lazy("From"), [Optional()])

    def moment(self, timezone: str) -> dt.datetime | None:
        """Answer from when, as the account's own day begins; None when nobody needs one."""
        if not self.required.data:
            return None
        zone = ZoneInfo(timezone)
        day = self.since.data or clock.now().astimezone(zone).date()
        return dt.datetime.combine(day, dt.time(), zone)


@pages.route("/security", methods=["GET", "POST"])
@needs("portal.team")
def security() -> Any:
    """Show and change what the team must have to come in."""
    account = service.account()
    since = account.second_factor_from
    day = since.astimezone(ZoneInfo(account.timezone)).date() if since else None
    form = SecurityForm(data={"required": since is not None, "since": day})
    if form.validate_on_submit():
        with form.attempt():
            service.require_second_factor(form.moment(account.timezone))
            flash(_("Saved."), "success")
            return redirect(url_for(".security"))
    members, _invited = team.listing()
    page = render_template(
        "portal/settings_security.html",
        form=form,
        without=[one for one in members if not one.factors],
        tab="security",
    )
    return make_response(page, 422 if form.errors else 200)


@pages.get("/plugins")
@needs("portal.settings")
def plugin_list() -> str:
    """List the plugins, which of them are on, and what they may do."""
    return render_template("portal/plugins.html", rows=_plugins(), tab="plugins")


@pages.route("/plugins/<name>", methods=["GET", "POST"])
@needs("portal.settings", fresh=True)
def plugin(name: str) -> Any:
    """Show and change what a plugin lets an account choose: a form made of its manifest."""
    manifest = preferences.manifest(name)
    mine = tuple(one for one in manifest.settings if one.scope == "account")
    manifest = replace(manifest, settings=mine)
    form = form_of(name, mine)(data=preferences.values(name))
    if form.validate_on_submit():
        with form.attempt():
            given = {s.name: form[s.name].data for s in mine}
            preferences.store(name, given)
            flash(_("Saved."), "success")
            return redirect(url_for(".plugin", name=name))
    page = render_template(
        "portal/plugin.html", form=form, plugin=manifest, about=_about(name), tab="plugins"
    )
    return make_response(page, 422 if form.errors else 200)


@pages.post("/plugins/<name>/switch")
@needs("portal.settings", fresh=True)
def switch(name: str) -> Response:
    """Switch a plugin on or off for the account."""
    to = request.form.get("to") == "on"
    preferences.switch(name, to=to)
    title = preferences.manifest(name).title
    words = _("%(name)s is on.", name=title) if to else _("%(name)s is off.", name=title)
    flash(words, "success")
    return make_response(redirect(url_for(".plugin_list")))


def _plugins() -> list[tuple[Plugin, str, bool, str]]:
    """List the plugins an account can choose about: what it is, whether on, or why not."""
    return [
        (
            one.plugin,
            _about(one.name),
            preferences.switched_on(one.name),
            preferences.barred(one.name),
        )
        for one in plugins().loaded()
        if one.plugin and not one.plugin.always and plugins().running(one.name)
    ]


def _about(name: str) -> str:
    said = about(plugins().found[name].about)
    return _(said) if said else ""  # of nothing, gettext says the catalogue's own header
