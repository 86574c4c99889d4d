"""The door: sign up, confirm, sign in and out, a new password, invitations."""

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
from wtforms import EmailField, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired, Length

from clarion.base.errors import Conflict
from clarion.portal import places, service
from clarion.tenancy import people, team
from clarion.tenancy.scope import current_actor
from clarion.web import login, security, steps
from clarion.web.pages import Form, Pages, local, person, public
from clarion.web.portal_app import ACCOUNT

pages = Pages("auth", __name__, prefix="")
NEEDED = InputRequired(lazy("This is needed."))
LONG = Length(max=254)
# browsers stop typing at `maxlength`; a password manager must be able to put in more
PASSWORD = Length(max=1024)


class SignInForm(Form):
    """Who, and the proof."""

    email = EmailField(lazy("E-mail"), [NEEDED, LONG])
    password = PasswordField(lazy("Password"), [NEEDED, PASSWORD])


class EmailForm(Form):
    """An address, for sign-up and for a forgotten password."""

    email = EmailField(lazy("E-mail"), [NEEDED, LONG])


class ConfirmForm(Form):
    """What an account needs to begin."""

    name = StringField(lazy("Your name"), [NEEDED, Length(max=120)])
    password = PasswordField(lazy("Password"), [NEEDED, PASSWORD])
    account_name = StringField(lazy("Your business"), [NEEDED, Length(max=120)])
    country = SelectField(lazy("Country"), choices=places.countries)
    timezone = SelectField(lazy("Time zone"), choices=places.zones, default="UTC")


class PasswordForm(Form):
    """A new password."""

    password = PasswordField(lazy("New password"), [NEEDED, PASSWORD])


class JoinForm(Form):
    """Somebody new who was invited."""

    name = StringField(lazy("Your name"), [NEEDED, Length(max=120)])
    password = PasswordField(lazy("Password"), [NEEDED, PASSWORD])


# --- in and out


@pages.route("/sign-in", methods=["GET", "POST"])
@public
def sign_in() -> Any:
    """Show the door, or let in who proves to be somebody."""
    target = local(request.args.get("next"), "/")
    if login.current() and request.method == "GET":
        return redirect(target)
    form = SignInForm()
    if form.validate_on_submit():
        with form.attempt():
            who = service.sign_in(
                form.email.data,
                form.password.data,
                address=_network(),
                device=steps.device_key(),
            )
            return _go_on(steps.begin(who, who.id, "password", onward=target))
    return _door(form, target)


@pages.post("/sign-in/passkey")
@public
def passkey() -> Any:
    """Let in who shows a passkey: it says itself whose it is."""
    target = local(request.args.get("next"), "/")
    form = SignInForm(formdata=None)
    with form.attempt():
        subject = steps.check_passkey(request.form.get("credential", ""))
        who = people.admit(UUID(subject.partition(":")[2]))
        return _go_on(steps.begin(who, who.id, "passkey", onward=target))
    return _door(form, target, 422)


@pages.route("/sign-in/second", methods=["GET", "POST"])
@public
def second() -> Any:
    """Ask who has given the password for their second factor."""
    one = _half()
    if one is None:
        return redirect(url_for(".sign_in"))
    form = Form()
    if form.is_submitted():
        with form.attempt():
            return _go_on(steps.shown(steps.check_second(one.subject)))
    away, lost = url_for(".sign_in"), url_for("lost.ask")
    return security.ask(form, one.subject, url_for(".second"), away, lost)


@pages.route("/sign-in/device", methods=["GET", "POST"])
@public
def device() -> Any:
    """Ask on a device that is not known for the code that was mailed."""
    one = _half()
    if one is None or steps.next_step(one) != "device":
        return redirect(url_for(".sign_in") if one is None else url_for(".second"))
    form = security.CodeForm()
    if form.validate_on_submit():
        with form.attempt():
            steps.check_mailed(one, form.code.data)
            return _go_on(steps.shown("mail"))
    return security.ask_mailed(
        form, one, url_for(".device"), url_for(".device_again"), url_for(".sign_in")
    )


@pages.post("/sign-in/device/again")
@public
def device_again() -> Any:
    """Mail another code."""
    one = _half()
    if one is None:
        return redirect(url_for(".sign_in"))
    steps.mail_code(one, again=True)
    flash(_("Another code is on its way. The first one works no more."), "info")
    return redirect(url_for(".device"))


@pages.post("/sign-out")
@public
def sign_out() -> Response:
    """End this session, wherever its key was copied to."""
    login.sign_out()
    response = make_response(redirect(url_for(".sign_in")))
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


# --- a new account


@pages.route("/sign-up", methods=["GET", "POST"])
@public
def sign_up() -> Any:
    """Ask for an address; everything else comes once it is proven."""
    if login.current() and request.method == "GET":
        return redirect("/")
    form = EmailForm()
    if form.validate_on_submit():
        with form.attempt():
            service.sign_up(form.email.data, _network(), places.spoken())
            return redirect(url_for(".sent", what="sign-up"))
    return _shown("portal/sign_up.html", form)


@pages.get("/check-your-mail")
@public
def sent() -> str:
    """Say that a mail is on its way, if there was a reason to write one."""
    return render_template("portal/sent.html", what=request.args.get("what", ""))


@pages.route("/confirm/<token>", methods=["GET", "POST"])
@public
def confirm(token: str) -> Any:
    """Take the proof of an address and make the account. Looking uses nothing up."""
    email = people.confirming(token)
    if email is None:
        return _over(url_for(".sign_up"))
    form = ConfirmForm()
    if form.validate_on_submit():
        with form.attempt():
            who = people.confirm(
                token,
                name=form.name.data,
                password=form.password.data,
                account_name=form.account_name.data,
                country=form.country.data,
                timezone=form.timezone.data,
                language=places.spoken(),
            )
            answer = _new(who)  # a new session; what is said belongs to it
            flash(_("Welcome to Clarion, %(name)s.", name=who.name), "success")
            return answer
    return _shown("portal/confirm.html", form, email=email)


# --- a forgotten password


@pages.route("/forgot", methods=["GET", "POST"])
@public
def forgot() -> Any:
    """Ask where to send a link for a new password."""
    form = EmailForm()
    if form.validate_on_submit():
        with form.attempt():
            service.request_reset(form.email.data, _network(), places.spoken())
            return redirect(url_for(".sent", what="reset"))
    return _shown("portal/forgot.html", form)


@pages.route("/reset/<token>", methods=["GET", "POST"])
@public
def reset(token: str) -> Any:
    """Take a new password by a mailed link. Looking uses nothing up."""
    if not people.resetting(token):
        return _over(url_for(".forgot"))
    form = PasswordForm()
    if form.validate_on_submit():
        with form.attempt():
            who = service.reset(token, form.password.data)
            login.sign_out()
            steps.remember(f"p:{who.id}")  # only their mailbox had the link
            flash(_("Your password is changed. Sign in with the new one."), "success")
            return redirect(url_for(".sign_in"))
    return _shown("portal/reset.html", form)


# --- invitations


@pages.route("/invitation/<token>", methods=["GET", "POST"])
@public
def invitation(token: str) -> Any:
    """Show what is offered; somebody new joins here, somebody known signs in first."""
    offer = team.offered(token)
    if offer is None:
        return _over("/")
    form = JoinForm()
    if not offer.known and form.validate_on_submit():
        with form.attempt():
            who = team.accept_as_new(
                token,
                name=form.name.data,
                password=form.password.data,
                language=places.spoken(),
            )
            return _new(who)
    return _shown("portal/invitation.html", form, offer=offer, token=token)


@pages.post("/invitation/<token>/accept")
@person
def accept(token: str) -> Any:
    """Take an offered place as who is signed in."""
    who = login.current()
    seat = team.accept(token, who.id)
    session[ACCOUNT] = str(seat.account_id)
    flash(_("You are now part of %(name)s.", name=seat.account_name), "success")
    return redirect("/")


# --- pieces


def _new(who: people.SignedIn) -> Response:
    """Let in somebody whose address was proven by a link in this very browser."""
    return _go_on(steps.begin(who, who.id, "password", vouched=True))


def _go_on(one: steps.Half) -> Response:
    """Ask what is still to be asked; then start the session, and enter an only account."""
    if step := steps.next_step(one):
        if step == "device":
            steps.mail_code(one)
        return make_response(redirect(url_for(f".{step}")))
    who: people.SignedIn = one.who
    steps.finish(one)
    if "recovery" in one.proofs:
        security.say_code_used(who, one.subject)
    seat = who.seat(None)
    if seat:
        session[ACCOUNT] = str(seat.account_id)
        service.enter(who, seat)
    return make_response(redirect(one.onward))


def _half() -> steps.Half | None:
    try:
        return steps.half()
    except Conflict as error:
        flash(error.text, "info")
        return None


def _door(form: Form, target: str, status: int = 0) -> Response:
    status = status or (422 if form.is_submitted() else 200)
    onward = target if target != "/" else None
    page = render_template(
        "portal/sign_in.html", form=form, target=onward, passkey=steps.asking()
    )
    return make_response(page, status)


def _shown(template: str, form: Form, **more: Any) -> Response:
    """Draw a form; with status 422 when it was sent and not taken."""
    status = 422 if form.is_submitted() else 200
    return make_response(render_template(template, form=form, **more), status)


def _over(again: str) -> Response:
    error = Conflict("link_over", _("This link was used already or is too old."))
    page = render_template("portal/link_over.html", text=error.text, again=again)
    return make_response(page, 404)


def _network() -> str:
    return current_actor().address
