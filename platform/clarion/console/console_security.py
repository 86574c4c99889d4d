"""One's own security, and from where the console opens."""

from typing import Any
from uuid import UUID

from flask import flash, make_response, redirect, request, url_for
from flask_babel import lazy_gettext
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from clarion.base.words import _
from clarion.console import staffing
from clarion.tenancy import networks
from clarion.tenancy.access import allowed
from clarion.web import login, security, staff, steps
from clarion.web.pages import Form
from clarion.web.screens import Panel, expose, fresh, member, needs, settle


class OwnPassword(Form):
    """The present password, and the next one."""

    old = PasswordField(
        lazy_gettext("Present password"), [InputRequired(), Length(max=1024)]
    )
    new = PasswordField(lazy_gettext("New password"), [InputRequired(), Length(max=1024)])


class NewNetwork(Form):
    """A network from which the console opens."""

    network = StringField(lazy_gettext("Network"), [InputRequired(), Length(max=45)])
    note = StringField(lazy_gettext("What it is"), [Length(max=120)])


class ConsoleSecurityPanel(Panel):
    """How a staff member signs in, and where they are signed in."""

    route_base = "/security"
    title = lazy_gettext("Security")

    @expose("/")
    @member
    def index(self) -> Any:
        """Show second factors and devices."""
        return security.page(self._desk())

    @expose("/app/new", methods=["POST"])
    @member
    @fresh
    def begin_app(self) -> Any:
        """Begin to connect an authenticator app."""
        return security.begin_app(self._desk())

    @expose("/app", methods=["GET", "POST"])
    @member
    @fresh
    def app(self) -> Any:
        """Connect an authenticator app."""
        return security.app(self._desk())

    @expose("/passkey", methods=["GET", "POST"])
    @member
    @fresh
    def passkey(self) -> Any:
        """Make a passkey."""
        return security.new_passkey(self._desk())

    @expose("/factors/<uuid:factor_id>/name", methods=["POST"])
    @member
    @fresh
    def rename(self, factor_id: UUID) -> Any:
        """Call a passkey something else."""
        return security.rename(self._desk(), factor_id)

    @expose("/factors/<uuid:factor_id>/remove", methods=["POST"])
    @member
    @fresh
    def remove(self, factor_id: UUID) -> Any:
        """Remove a passkey or the app, but never the last of both."""
        return security.remove(self._desk(), factor_id)

    @expose("/codes", methods=["POST"])
    @member
    @fresh
    def codes(self) -> Any:
        """Make new recovery codes."""
        return security.new_codes(self._desk())

    @expose("/password", methods=["GET", "POST"])
    @member
    @fresh
    def password(self) -> Any:
        """Change one's password; every other device is signed out."""
        form = OwnPassword()
        if form.validate_on_submit():
            with form.attempt():
                staffing.change_password(form.old.data, form.new.data)
                who, shown = login.current(), login.proofs()
                login.sign_in(staff.find(str(who.id)), who.id, *{**shown, "password": 0})
                steps.tell(who, "factor_changed", what="password", link=self.url("index"))
                flash(
                    _("Your password is changed. Other devices are signed out."), "success"
                )
                return make_response(redirect(self.url("index"), 303))
        page = self.render("console/password.html", form=form)
        return page, 422 if form.errors else 200

    @expose("/devices/<uuid:session_id>/end", methods=["POST"])
    @member
    def end(self, session_id: UUID) -> Any:
        """Sign one device out."""
        return security.end(self._desk(), session_id)

    @expose("/devices/end-others", methods=["POST"])
    @member
    def end_others(self) -> Any:
        """Sign every other device out."""
        return security.end_others(self._desk())

    def _desk(self) -> security.Desk:
        return security.Desk(
            who=login.current(),
            subject=steps.subject(),
            url=self.url,
            extends="ui/console.html",
            must=True,
            password=self.url("password"),
            address=url_for("ConsoleAddressPanel.index"),
        )


class ConsoleNetworkPanel(Panel):
    """From where the console opens."""

    route_base = "/networks"
    title = lazy_gettext("Networks")

    @expose("/", methods=["GET"])
    @needs("console.networks")
    def index(self) -> Any:
        """List the networks."""
        return self._page(NewNetwork(formdata=None))

    @expose("/add", methods=["POST"])
    @needs("console.networks_edit")
    def add(self) -> Any:
        """Let a network in."""
        form = NewNetwork()
        if form.validate_on_submit():
            with form.attempt():
                networks.add(form.network.data, form.note.data or "", own=_own())
                flash(_("The list is changed; it holds at once."), "success")
                return make_response(redirect(self.url("index"), 303))
        return self._page(form), 422

    @expose("/<uuid:network_id>/remove", methods=["POST"])
    @needs("console.networks_edit")
    def remove(self, network_id: UUID) -> Any:
        """Shut a network out."""
        done = _("The list is changed; it holds at once.")
        return settle(
            lambda: networks.remove(network_id, own=_own()), done, self.url("index")
        )

    def _page(self, form: NewNetwork) -> str:
        return self.render(
            "console/networks.html",
            rows=networks.listing(),
            form=form,
            own=_own(),
            may=allowed("console.networks_edit"),
        )


def _own() -> str:
    return request.remote_addr or ""


VIEWS: tuple[type, ...] = (ConsoleSecurityPanel, ConsoleNetworkPanel)
