"""Plugins and themes: what is installed, what it declares, and its switches."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, request
from flask_babel import lazy_gettext

from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.console import plugin_views, service, switching
from clarion.plugging.manager import Found, plugins
from clarion.tenancy import switches
from clarion.tenancy.access import allowed
from clarion.web.pages import Form
from clarion.web.screens import Panel, expose, needs, settle
from clarion.web.settings_form import form_of


class ConsolePluginPanel(Panel):
    """What this deployment is made of."""

    route_base = "/plugins"
    title = lazy_gettext("Plugins and themes")

    @expose("/")
    @needs("console.plugins")
    def index(self) -> Any:
        """List loaded, failed and switched-off plugins, and the themes."""
        return self.render(
            "console/plugins.html",
            plugins=plugin_views.listing(),
            themes=plugin_views.theme_list(),
        )

    @expose("/<name>")
    @needs("console.plugins")
    def show(self, name: str) -> Any:
        """Show what one plugin declares, how it fares, and its switch."""
        return self._page(_found(name))

    @expose("/<name>/off", methods=["POST"])
    @needs("console.plugins_edit")
    def off(self, name: str) -> Any:
        """Switch it off, or ask for it."""
        _found(name)
        reason = request.form.get("reason", "")
        said = _("Noted. In three seconds at most it is so everywhere.")
        return settle(
            lambda: switching.switch_off(name, reason), said, self.url("show", name=name)
        )

    @expose("/<name>/confirm", methods=["POST"])
    @needs("console.plugins_edit")
    def confirm(self, name: str) -> Any:
        """Confirm, as the second person, that it is switched off."""
        _found(name)
        said = _("It is off. In three seconds at most it is so everywhere.")
        return settle(
            lambda: switching.confirm_off(name), said, self.url("show", name=name)
        )

    @expose("/<name>/keep", methods=["POST"])
    @needs("console.plugins_edit")
    def keep(self, name: str) -> Any:
        """Take back that it be switched off."""
        _found(name)
        return settle(
            lambda: switching.keep_on(name), _("It stays on."), self.url("show", name=name)
        )

    @expose("/<name>/on", methods=["POST"])
    @needs("console.plugins_edit")
    def on(self, name: str) -> Any:
        """Switch it on again."""
        _found(name)
        said = _("It is on. In three seconds at most it is so everywhere.")
        return settle(lambda: switching.switch_on(name), said, self.url("show", name=name))

    @expose("/<name>/wake", methods=["POST"])
    @needs("console.plugins_edit")
    def wake(self, name: str) -> Any:
        """Call a hook again that rests."""
        _found(name)
        hook = request.form.get("hook", "")
        said = _("It is called again, in three seconds at most.")
        return settle(lambda: switching.wake(name, hook), said, self.url("show", name=name))

    @expose("/<name>/settings", methods=["POST"])
    @needs("console.plugins_edit")
    def set_up(self, name: str) -> Any:
        """Keep its settings of the installation."""
        one = _found(name)
        form = _form(one)
        if form is None:
            raise NotFound("setting_unknown", _("There is no such setting."))
        if form.validate_on_submit():
            with form.attempt():
                given = {s.name: form[s.name].data for s in switches.of_instance(name)}
                switching.set_up(name, given)
                flash(_("Saved."), "success")
                return redirect(self.url("show", name=name))
        return self._page(one, form), 422

    @expose("/of/<uuid:account_id>")
    @needs("console.plugins")
    def of_account(self, account_id: UUID) -> Any:
        """Show which plugins one account has."""
        return self.render(
            "console/account_plugins.html",
            account=service.account(account_id),
            lines=plugin_views.of_account(account_id),
        )

    @expose("/of/<uuid:account_id>/<name>/bar", methods=["POST"])
    @needs("console.plugins_edit")
    def bar(self, account_id: UUID, name: str) -> Any:
        """Switch it off for one account."""
        _found(name)
        reason = request.form.get("reason", "")
        back = self.url("of_account", account_id=account_id)
        said = _("It is off for this account; its owner can read why.")
        return settle(lambda: switching.bar(account_id, name, reason), said, back)

    @expose("/of/<uuid:account_id>/<name>/unbar", methods=["POST"])
    @needs("console.plugins_edit")
    def unbar(self, account_id: UUID, name: str) -> Any:
        """Leave it to the account again."""
        _found(name)
        back = self.url("of_account", account_id=account_id)
        said = _("The account chooses for itself again.")
        return settle(lambda: switching.unbar(account_id, name), said, back)

    def _page(self, one: Found, sent: Form | None = None) -> str:
        may = allowed("console.plugins_edit")
        form = sent or _form(one)
        return self.render(
            "console/plugin.html",
            one=one,
            shown=plugin_views.view(one),
            form=form if may else None,
            secrets=switches.secrets_set(one.name) if form is not None else set(),
            may=may,
        )


def _found(name: str) -> Found:
    one = plugins().found.get(name)
    if one is None:
        raise NotFound("plugin_unknown", _("There is no such plugin."))
    return one


def _form(one: Found) -> Form | None:
    """Make the form of what a plugin lets the installation choose, if there is anything."""
    if one.plugin is None or not plugins().on(one.name):
        return None
    declared = switches.of_instance(one.name)
    if not declared:
        return None
    return form_of(one.name, declared)(data=switches.chosen(one.name))


VIEWS: tuple[type, ...] = (ConsolePluginPanel,)
