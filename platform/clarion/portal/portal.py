"""First page, choosing an account, and what is one's own: profile, password, devices."""

from typing import Any
from uuid import UUID

from flask import (
    Response,
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
from wtforms import PasswordField, SelectField, StringField
from wtforms.validators import InputRequired, Length

from clarion.base.errors import NotFound
from clarion.portal import places, service
from clarion.support import windows
from clarion.tenancy import access, people
from clarion.tenancy.scope import current_actor
from clarion.web import login
from clarion.web.pages import (
    Form,
    Pages,
    fragment,
    fresh,
    local,
    needs,
    person,
    public_without_forms,
)
from clarion.web.portal_app import ACCOUNT

pages = Pages("portal", __name__, prefix="")
NEEDED = InputRequired(lazy("This is needed."))


class ProfileForm(Form):
    """What a person is called, and what they read."""

    name = StringField(lazy("Your name"), [NEEDED, Length(max=120)])
    language = SelectField(lazy("Language"), choices=places.own_languages)


class PasswordForm(Form):
    """The present password, and the next one."""

    old = PasswordField(lazy("Present password"), [NEEDED, Length(max=1024)])
    new = PasswordField(lazy("New password"), [NEEDED, Length(max=1024)])


@pages.get("/")
@public_without_forms
def home() -> Any:
    """Say what Clarion is to strangers; show the account to its people."""
    who = current_actor()
    if who.kind != "person":
        return render_template("portal/landing.html")
    if who.account_id is None:
        return redirect(url_for(".choose"))
    return render_template(
        "portal/overview.html",
        view=service.overview(),
        steps=service.steps(),
        name=who.name,
        knocking=windows.knocking() if access.allowed("portal.support") else 0,
    )


@pages.get("/overview/live")
@needs("portal.view")
def live() -> Response:
    """Answer the running campaigns alone, as they are now."""
    view = service.overview()
    markup = render_template("portal/running.html", view=view)
    return fragment(markup, done=not view.running)


# --- which account


@pages.get("/accounts")
@person
def choose() -> str:
    """List the accounts of this person."""
    target, who = local(request.args.get("next"), "/"), login.current()
    return render_template(
        "portal/choose.html", seats=who.seats, closed=people.closed(who.id), target=target
    )


@pages.post("/accounts/<uuid:account_id>")
@person
def enter(account_id: UUID) -> Response:
    """Go into one of one's own accounts."""
    who = login.current()
    seat = who.seat(account_id)
    if seat is None or seat.account_id != account_id:
        raise NotFound("account_unknown", _("You have no place in this account."))
    session[ACCOUNT] = str(account_id)
    service.enter(who, seat)
    return make_response(redirect(local(request.form.get("next"), "/")))


# --- one's own


@pages.route("/profile", methods=["GET", "POST"])
@person
def profile() -> Any:
    """Show and change what a person is called."""
    who = login.current()
    form = ProfileForm(name=who.name, language=who.language)
    if form.validate_on_submit():
        with form.attempt():
            people.change_profile(who.id, name=form.name.data, language=form.language.data)
            flash(_("Saved."), "success")
            return redirect(url_for(".profile"))
    return _profile(form, PasswordForm(formdata=None))


@pages.post("/profile/password")
@person
@fresh
def password() -> Any:
    """Change one's password; every other device is signed out."""
    form = PasswordForm()
    if form.validate_on_submit():
        with form.attempt():
            who = service.change_password(form.old.data, form.new.data)
            account, shown = session.get(ACCOUNT), login.proofs()
            login.sign_in(who, who.id, *{**shown, "password": 0})
            if account:
                session[ACCOUNT] = account
            flash(_("Your password is changed. Other devices are signed out."), "success")
            return redirect(url_for(".profile"))
    who = login.current()
    return _profile(ProfileForm(formdata=None, name=who.name, language=who.language), form)


def _profile(form: Form, password_form: Form) -> Response:
    status = 422 if form.errors or password_form.errors else 200
    page = render_template(
        "portal/profile.html", form=form, password_form=password_form, who=login.current()
    )
    return make_response(page, status)


@pages.get("/devices")
@person
def devices() -> Response:
    """Lead on to where devices are listed now; mails of earlier days name this page."""
    return make_response(redirect(url_for("security.index", _anchor="devices")))
