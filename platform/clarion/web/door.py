"""The console's door: password, second factor, mailed code; or a passkey alone."""

import datetime as dt
from typing import Any, Final

from flask import Response, flash, make_response, redirect, request, url_for
from sqlalchemy import func, or_, select
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from clarion.base import clock, crypto, db
from clarion.base.errors import ClarionError, Conflict, Invalid
from clarion.base.limits import Limit, clear, hit
from clarion.base.words import _, lazy
from clarion.tenancy import audit, credentials, devices
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import staff_scope
from clarion.web import login, security, staff, steps
from clarion.web.pages import Form, local
from clarion.web.screens import Panel, expose, member, public
from clarion.web.tables import User

SYSTEM = db.Entry("clarion_system", None, "web:console")
PER_NAME = Limit("console sign-in", 10, 900)
PER_NETWORK = Limit("console sign-in network", 50, 900)
EVERYBODY = Limit("console sign-in all", 600, 900)
HOME: Final = staff.HOME


class Door(Form):
    """Name and password."""

    name = StringField(lazy("E-mail or user name"), [InputRequired(), Length(max=254)])
    password = PasswordField(lazy("Password"), [InputRequired(), Length(max=1024)])


class SignIn(Panel):
    """The only way in. FAB asks its `auth_view` for `.login` and `.logout`."""

    route_base = "/sign"
    default_view = "login"

    @expose("/in", methods=["GET", "POST"])
    @public
    def login(self) -> Any:
        """Ask for name and password; every wrong answer looks and lasts the same."""
        onward = _onward()
        if login.current() is not None:
            return redirect(onward)
        form = Door()
        if form.validate_on_submit():
            try:
                who = knock(form.name.data, form.password.data)
            except ClarionError as error:
                form.refuse(error)
                return self._door(form, error.status)
            if who is not None:
                return go_on(steps.begin(who, who.id, "password", onward=onward))
            form.form_errors.append(_("Name or password is wrong."))
        return self._door(form, 422 if form.errors else 200)

    @expose("/in/passkey", methods=["POST"])
    @public
    def passkey(self) -> Any:
        """Let in who shows a passkey: it says itself whose it is."""
        form = Door(formdata=None)
        try:
            subject = steps.check_passkey(request.form.get("credential", ""))
            who = staff.find(subject.partition(":")[2])
            _noted(who.id if who else None, who)
            if who is None:
                raise Invalid("passkey_refused", _("This passkey was not accepted."))
        except ClarionError as error:
            form.refuse(error)
            return self._door(form, error.status)
        return go_on(steps.begin(who, who.id, "passkey", onward=_onward()))

    @expose("/second", methods=["GET", "POST"])
    @public
    def second(self) -> Any:
        """Ask who has given the password for their second factor."""
        one = self._half()
        if one is None:
            return redirect(self.url("login"))
        form = Form()
        if form.is_submitted():
            try:
                proof = steps.check_second(one.subject)
            except ClarionError as error:
                form.refuse(error)
            else:
                return go_on(steps.shown(proof))
        away, lost = self.url("login"), url_for("ConsoleLostPanel.ask")
        return security.ask(form, one.subject, self.url("second"), away, lost)

    @expose("/device", methods=["GET", "POST"])
    @public
    def device(self) -> Any:
        """Ask on a device that is not known for the code that was mailed."""
        one = self._half()
        if one is None or steps.next_step(one) != "device":
            return redirect(self.url("login" if one is None else "second"))
        form = security.CodeForm()
        if form.validate_on_submit():
            try:
                steps.check_mailed(one, form.code.data)
            except ClarionError as error:
                form.refuse(error)
            else:
                return go_on(steps.shown("mail"))
        action, again = self.url("device"), self.url("device_again")
        return security.ask_mailed(form, one, action, again, self.url("login"))

    @expose("/device/again", methods=["POST"])
    @public
    def device_again(self) -> Any:
        """Mail another code."""
        one = self._half()
        if one is None:
            return redirect(self.url("login"))
        steps.mail_code(one, again=True)
        flash(_("Another code is on its way. The first one works no more."), "info")
        return redirect(self.url("device"))

    @expose("/again", methods=["GET", "POST"])
    @member
    def again(self) -> Any:
        """Ask who it is, once more, before something sensitive."""
        onward = _onward()
        action = self.url("again", next=onward)
        return security.prove_again(action, onward, HOME, confirm_password)

    @expose("/out", methods=["POST"])
    @public
    def logout(self) -> Any:
        """End this session."""
        login.sign_out()
        flash(_("You are signed out."), "info")
        return redirect(self.url("login"))

    def _half(self) -> steps.Half | None:
        try:
            return steps.half()
        except Conflict as error:
            flash(error.text, "info")
            return None

    def _door(self, form: Door, status: int) -> Response:
        onward = _onward()
        page = self.render(
            "console/sign_in.html",
            form=form,
            target=onward if onward != HOME else None,
            passkey=steps.asking(),
        )
        return make_response(page, status)


class Doorman(staff.Staff):
    """Staff, with the door they come in by."""

    door = SignIn


def go_on(one: steps.Half) -> Response:
    """Ask what is still to be asked; then start the session.

    Who has no second factor comes as far as the page where one is set up; see
    `console_app.gate`.
    """
    if step := steps.next_step(one):
        if step == "device":
            steps.mail_code(one)
        return make_response(redirect(url_for(f"SignIn.{step}")))
    steps.finish(one)
    if "recovery" in one.proofs:
        security.say_code_used(one.who, one.subject)
    return make_response(redirect(one.onward))


def knock(name: str, password: str) -> staff.Member | None:
    """Answer who has this name and password, or None; work is the same either way.

    Raises:
        TooMany: this name, this network or everybody tried too often.
    """
    typed = name.strip().lower()
    query = select(User.id, User.password).where(
        or_(func.lower(User.email) == typed, func.lower(User.username) == typed)
    )
    with db.apart(SYSTEM) as orm:
        row = orm.execute(query.limit(1)).first()
    user_id, kept = (row.id, row.password or "") if row else (None, "")
    place = login.truncated(request.remote_addr)
    if devices.known(f"s:{user_id or 0}", steps.device_key()):
        place = f"device {crypto.digest(steps.device_key()).hex()[:16]}"
    else:  # a browser they are known in counts for itself: nobody shuts them out there
        hit(EVERYBODY)
        hit(PER_NETWORK, place)
    hit(PER_NAME, typed, place)
    right = credentials.matches(kept, password)
    who = staff.find(str(user_id)) if right else None
    stronger = credentials.hashed(password) if who and credentials.outdated(kept) else ""
    _noted(user_id, who, stronger)
    if who is not None:
        clear(PER_NAME, typed, place)
    return who


def confirm_password(password: str) -> None:
    """Check the password of who is signed in, once more; raises `Invalid`."""
    who: staff.Member = login.current()
    network = login.truncated(request.remote_addr)
    hit(PER_NAME, f"again {who.id}", network)
    with db.apart(SYSTEM) as orm:
        kept = orm.scalar(select(User.password).where(User.id == who.id)) or ""
    if not credentials.matches(kept, password):
        raise Invalid("password_wrong", _("This is not your password."), field="password")
    clear(PER_NAME, f"again {who.id}", network)


def _noted(user_id: int | None, who: staff.Member | None, stronger: str = "") -> None:
    """Write the attempt into the log, whoever it was; keep a stronger hash if there is one."""
    network = login.truncated(request.remote_addr)
    acting = who.actor() if who else Actor("nobody", address=network)
    with staff_scope(acting), db.transaction() as orm:
        user = orm.get(User, user_id or 0)  # also for nobody: the time tells nothing
        if who is None:
            audit.record("console.staff.refused", user)
            return
        if user is not None:
            user.last_login = clock.now().astimezone(dt.UTC).replace(tzinfo=None)
            user.login_count = (user.login_count or 0) + 1
            user.password = stronger or user.password
        audit.record("console.staff.signed_in", user)


def _onward() -> str:
    onward = local(request.args.get("next"), HOME)
    return onward if onward.startswith(HOME) else HOME
