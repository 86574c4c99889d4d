"""Lost second factors, decided by two; doors and address of staff themselves."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, request, url_for
from flask_babel import lazy_gettext
from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length

from clarion.base.errors import Conflict
from clarion.base.words import _
from clarion.console import recoveries, staff_address
from clarion.tenancy import recovery
from clarion.tenancy.access import allowed
from clarion.web import address, login, lost, security, staff, steps
from clarion.web.pages import Form
from clarion.web.screens import Panel, expose, fresh, member, needs, public, settle


class How(Form):
    """How somebody made sure who is asking."""

    how = TextAreaField(
        lazy_gettext("How did you make sure that it is them?"),
        [InputRequired(), Length(max=recovery.LONGEST)],
    )


class ConsoleLostPanel(Panel):
    """What staff say who have lost every second factor, at their door."""

    route_base = "/sign"

    @expose("/lost", methods=["GET", "POST"])
    @public
    def ask(self) -> Any:
        """Let who has given the password say that every second factor is lost."""
        try:
            one = steps.half()
        except Conflict as error:
            flash(error.text, "info")
            return redirect(url_for("SignIn.login"))
        if steps.next_step(one) != "second":
            return redirect(url_for("SignIn.second"))
        return lost.ask(one, self.url("ask"), url_for("SignIn.second"))

    @expose("/lost/stop", methods=["GET", "POST"])
    @public
    def stop(self) -> Any:
        """Stop that second factors are removed. Looking stops nothing."""
        token = request.args.get("token", "")
        return lost.stop(token, self.url("stop", token=token), url_for("SignIn.login"))

    @expose("/address/undo", methods=["GET", "POST"])
    @public
    def undo(self) -> Any:
        """Give the old address back, by the link that went there."""
        token = request.args.get("token", "")
        return address.undo(
            token,
            staff_address.move,
            action=self.url("undo", token=token),
            door=url_for("SignIn.login"),
            forgot=url_for("SignIn.login"),
        )


class ConsoleAddressPanel(Panel):
    """Another e-mail address for a staff member."""

    route_base = "/security/address"
    title = lazy_gettext("Change the address")

    @expose("/", methods=["GET", "POST"])
    @member
    @fresh
    def index(self) -> Any:
        """Ask for another address."""
        return address.page(self._desk(), staff_address.request)

    @expose("/confirm", methods=["GET", "POST"])
    @member
    def confirm(self) -> Any:
        """Confirm it by the link at the new address."""
        token = request.args.get("token", "")
        return address.confirm(self._desk(), token, staff_address.move, _enter_anew)

    def _desk(self) -> security.Desk:
        return security.Desk(
            who=login.current(),
            subject=steps.subject(),
            url=lambda name, **more: url_for(f"ConsoleSecurityPanel.{name}", **more),
            extends="ui/console.html",
            must=True,
            password=url_for("ConsoleSecurityPanel.password"),
            address=self.url("index"),
        )


class ConsoleRecoveryPanel(Panel):
    """Who has lost every second factor, and what two of us decided."""

    route_base = "/recoveries"
    title = lazy_gettext("Lost factors")

    @expose("/")
    @needs("console.recoveries")
    def index(self) -> Any:
        """List what waits for us, and what was decided."""
        return self._page(How(formdata=None))

    @expose("/<uuid:recovery_id>/agree", methods=["POST"])
    @needs("console.recoveries_decide")
    def agree(self, recovery_id: UUID) -> Any:
        """Agree that the second factors be removed."""
        form = How()
        if form.validate_on_submit():
            with form.attempt():
                row = recoveries.agree(recovery_id, form.how.data or "")
                done = (
                    _("Agreed. In 72 hours it happens, unless somebody stops it.")
                    if row.state == "approved"
                    else _("Agreed. A second colleague has to, too.")
                )
                flash(done, "success")
                return redirect(self.url("index"), 303)
        return self._page(form, recovery_id), 422

    @expose("/<uuid:recovery_id>/refuse", methods=["POST"])
    @needs("console.recoveries_decide")
    def refuse(self, recovery_id: UUID) -> Any:
        """Decide against it."""
        done = _("Refused. They are told by mail.")
        return settle(lambda: recoveries.refuse(recovery_id), done, self.url("index"))

    def _page(self, form: How, sent: UUID | None = None) -> str:
        rows = recoveries.listing()
        return self.render(
            "console/recoveries.html",
            waiting=[one for one in rows if one.open],
            over=[one for one in rows if not one.open],
            form=form,
            blank=How(formdata=None),
            sent=sent,
            may=allowed("console.recoveries_decide"),
        )


def _enter_anew() -> None:
    who, shown = login.current(), login.proofs()
    login.sign_in(staff.find(str(who.id)), who.id, *shown)


VIEWS: tuple[type, ...] = (ConsoleLostPanel, ConsoleAddressPanel, ConsoleRecoveryPanel)
