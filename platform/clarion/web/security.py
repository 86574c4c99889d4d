"""How one signs in: passkeys, app, codes on paper, devices; pages that both realms share.

A realm says by a `Desk` whose page it is and where its addresses are; guards stand at the
realm's own routes. Whatever is changed here is told by mail, and ends all other sessions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Response, flash, make_response, redirect, render_template, request
from flask_babel import lazy_gettext as lazy
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from clarion.base.words import _
from clarion.tenancy import devices, factors, passkeys, sessions, totp
from clarion.web import login, steps
from clarion.web.codes import picture
from clarion.web.pages import Form
from clarion.work import recovering

ISSUER = "Clarion"


class CodeForm(Form):
    """Digits, from an app or a mail."""

    code = StringField(lazy("Code"), [InputRequired(), Length(max=40)])


class ProofForm(Form):
    """The password, once more."""

    password = PasswordField(lazy("Password"), [InputRequired(), Length(max=1024)])


class NameForm(Form):
    """What a passkey is called."""

    name = StringField(lazy("Name"), [InputRequired(), Length(max=60)])


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose page it is, and where its addresses are.

    Attributes:
        who: who is signed in, with `email` and `name`.
        subject: as sessions and factors name them.
        url: makes an address of this page: `url("app")`, `url("remove", factor_id=…)`.
        again: the address that asks for a proof once more.
        extends: the frame of the page.
        must: whether they cannot be without a second factor.
        password: the address where the password is changed.
        address: the address where the e-mail address is changed.
    """

    who: Any
    subject: str
    url: Callable[..., str]
    extends: str
    must: bool
    password: str
    address: str


# --- at the door


def ask(form: Form, subject: str, action: str, away: str, lost: str) -> Response:
    """Ask for the second factor: whatever kind they have; `lost` is for who has none left."""
    page = render_template(
        "ui/second.html",
        form=form,
        action=action,
        away=away,
        has=factors.of(subject),
        passkey=steps.asking(subject),
        once_more=False,
        lost=lost,
    )
    return make_response(page, 422 if form.form_errors else 200)


def ask_mailed(form: Form, one: steps.Half, action: str, again: str, away: str) -> Response:
    """Ask for the code that was mailed."""
    page = render_template(
        "ui/device_code.html",
        form=form,
        action=action,
        again=again,
        away=away,
        email=one.who.email,
    )
    return make_response(page, 422 if form.errors else 200)


def prove_again(
    action: str, onward: str, away: str, check_password: Callable[[str], None]
) -> Response:
    """Ask who is signed in to show it once more, then lead them back to their page.

    Who has a second factor shows that; others give their password.
    """
    subject = steps.subject()
    has = factors.of(subject)
    form: Form = Form() if has.any else ProofForm()
    if form.is_submitted() and form.validate():
        with form.attempt():
            if has.any:
                proof = steps.check_second(subject)
            else:
                check_password(form["password"].data)
                proof = "password"
            login.prove(proof)
            if has.any:
                recovering.stop_by_factor(subject)
            if proof == "recovery":
                say_code_used(login.current(), subject)
            return make_response(redirect(onward, 303))
    page = render_template(
        "ui/second.html",
        form=form,
        action=action,
        away=away,
        has=has,
        passkey=steps.asking(subject) if has.any else None,
        once_more=True,
        lost="",
    )
    return make_response(page, 422 if form.errors else 200)


# --- the page


def page(desk: Desk) -> Response:
    """Show everything with which somebody signs in, and where they are signed in."""
    markup = render_template(
        "ui/security.html",
        desk=desk,
        has=factors.of(desk.subject),
        rows=sessions.listing(desk.subject, login.session_id_hash()),
        possible=passkeys.site(factors.realm(desk.subject)) is not None,
    )
    return make_response(markup)


def begin_app(desk: Desk) -> Response:
    """Make a secret for an authenticator app, and go on to the page that shows it."""
    factors.begin_app(desk.subject)
    return make_response(redirect(desk.url("app"), 303))


def app(desk: Desk) -> Response:
    """Show the secret that waits: a picture to scan, and a field for a first code of it."""
    form = CodeForm()
    if form.validate_on_submit():
        with form.attempt():
            factors.confirm_app(desk.subject, form.code.data)
            return _added(desk, "code", "app_added")
    secret = factors.unconfirmed(desk.subject)
    if secret is None:
        return make_response(redirect(desk.url("index"), 303))
    address = totp.address(secret, issuer=ISSUER, name=desk.who.email)
    markup = render_template(
        "ui/security_app.html",
        desk=desk,
        form=form,
        secret=totp.shown(secret),
        picture=picture(address),
    )
    return make_response(markup, 422 if form.errors else 200)


def new_passkey(desk: Desk) -> Response:
    """Make a passkey on this device or a key of theirs."""
    form = NameForm(name=login.device_family(request.headers.get("User-Agent")))
    if form.validate_on_submit():
        with form.attempt():
            answer = request.form.get("credential", "")
            passkeys.add(desk.subject, answer, steps.take(answer), form.name.data)
            return _added(desk, "passkey", "passkey_added")
    options = passkeys.creating(
        desk.subject,
        email=desk.who.email,
        name=desk.who.name,
        challenge=steps.challenge(),
    )
    markup = render_template(
        "ui/security_passkey.html", desk=desk, form=form, passkey=options
    )
    return make_response(markup, 422 if form.errors else 200)


def rename(desk: Desk, factor_id: UUID) -> Response:
    """Call a passkey something else."""
    form = NameForm()
    if form.validate_on_submit():
        passkeys.rename(desk.subject, factor_id, form.name.data)
        flash(_("Saved."), "success")
    return make_response(redirect(desk.url("index"), 303))


def remove(desk: Desk, factor_id: UUID) -> Response:
    """Remove a passkey or the app."""
    gone = factors.remove(desk.subject, factor_id, keep_one=desk.must)
    _changed(desk, "passkey_removed" if gone.kind == "passkey" else "app_removed")
    flash(_("It is removed. Other devices are signed out."), "success")
    return make_response(redirect(desk.url("index"), 303))


def new_codes(desk: Desk) -> Response:
    """Make new recovery codes and show them, once."""
    if not factors.of(desk.subject).any:
        return make_response(redirect(desk.url("index"), 303))
    made = factors.new_codes(desk.subject)
    steps.tell(desk.who, "factor_changed", what="codes_made", link=desk.url("index"))
    return _codes(desk, made)


def end(desk: Desk, session_id: UUID) -> Response:
    """Sign one device out."""
    sessions.end(desk.subject, session_id)
    flash(_("That device is signed out."), "success")
    return make_response(redirect(desk.url("index"), 303))


def end_others(desk: Desk) -> Response:
    """Sign every other device out; they are not known any more either."""
    sessions.end_others(desk.subject, login.session_id_hash())
    devices.forget(desk.subject)
    steps.remember(desk.subject)
    flash(_("Every other device is signed out."), "success")
    return make_response(redirect(desk.url("index"), 303))


def say_code_used(who: Any, subject: str) -> None:
    """Tell somebody that a recovery code of theirs was used, and how many are left."""
    steps.tell(who, "factor_changed", what="code_used", link=steps.page_of(subject))
    left = factors.of(subject).codes_left
    flash(_("You have %(count)s recovery codes left.", count=left), "info")


def _added(desk: Desk, proof: str, what: str) -> Response:
    """Say that there is one more; with the first one come the codes on paper, shown once."""
    login.prove(proof)
    _changed(desk, what)
    if factors.of(desk.subject).codes_left:
        flash(_("It is added. Other devices are signed out."), "success")
        return make_response(redirect(desk.url("index"), 303))
    return _codes(desk, factors.new_codes(desk.subject))


def _codes(desk: Desk, made: list[str]) -> Response:
    markup = render_template("ui/security_codes.html", desk=desk, codes=made)
    return make_response(markup)


def _changed(desk: Desk, what: str) -> None:
    sessions.end_others(desk.subject, login.session_id_hash())
    steps.tell(desk.who, "factor_changed", what=what, link=desk.url("index"))
