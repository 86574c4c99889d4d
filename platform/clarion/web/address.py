"""Another e-mail address: asked for, confirmed at the new one, taken back at the old one."""

from collections.abc import Callable

from flask import Response, flash, make_response, redirect, render_template, request
from flask_babel import lazy_gettext as lazy
from wtforms import EmailField
from wtforms.validators import InputRequired, Length

from clarion.base.errors import ClarionError, Conflict, NotFound
from clarion.base.words import _
from clarion.tenancy import factors, mail_change
from clarion.tenancy.mail_change import Mover
from clarion.web import security, steps
from clarion.web.pages import Form
from clarion.work import mails


class AddressForm(Form):
    """The next address."""

    email = EmailField(lazy("New e-mail address"), [InputRequired(), Length(max=254)])


def page(desk: security.Desk, begin: Callable[[str], None]) -> Response:
    """Ask for the new address; `begin` sends a link there."""
    form = AddressForm()
    if form.validate_on_submit():
        with form.attempt():
            begin(form.email.data or "")
            flash(
                _("A link is on its way to the new address. Open it in this browser."),
                "success",
            )
            return make_response(redirect(desk.url("index"), 303))
    markup = render_template("ui/address.html", desk=desk, form=form)
    return make_response(markup, 422 if form.errors or form.form_errors else 200)


def confirm(
    desk: security.Desk, token: str, move: Mover, enter: Callable[[], None]
) -> Response:
    """Show what the link does; the POST does it, and `enter` begins the session anew.

    Raises:
        NotFound: the link is over, or somebody else's.
    """
    new = mail_change.waiting(desk.subject, token)
    if new is None and request.method == "POST":  # refused, so it is in the log
        text = _("It was used already, is too old, or belongs to somebody else.")
        raise NotFound("link_over", text)
    if new is None:
        return _over(desk.url("index"), desk.extends)
    if request.method == "POST":
        try:
            _done(desk, token, move)
        except Conflict as error:
            flash(error.text, "error")
        else:
            enter()
            flash(_("Your address is changed. Other devices are signed out."), "success")
        return make_response(redirect(desk.url("index"), 303))
    markup = render_template("ui/address_confirm.html", desk=desk, new=new, token=token)
    return make_response(markup)


def undo(token: str, move: Mover, *, action: str, door: str, forgot: str) -> Response:
    """Ask whether the old address is to come back; only the POST does it.

    `forgot` is where a new password is chosen, or who has the link to one is asked.
    """
    if request.method == "POST":
        try:
            _undone(token, move, forgot)
        except ClarionError as error:
            flash(error.text, "error")
        else:
            flash(_("The old address is back. Now choose a new password."), "success")
            return make_response(redirect(forgot, 303))
    with factors.as_system():
        row = mail_change.undoing(token)
    if row is None:
        return _over(door, "ui/public.html")
    markup = render_template("ui/address_undo.html", row=row, action=action)
    return make_response(markup)


def undo_path(subject: str, token: str) -> str:
    """Answer the path of the link that takes a change back."""
    console = subject.startswith("s:")
    return (
        f"/console/sign/address/undo?token={token}" if console else f"/address/undo/{token}"
    )


def _done(desk: security.Desk, token: str, move: Mover) -> None:
    language = getattr(desk.who, "language", "")
    with factors.as_system():
        row, undo_token = mail_change.confirm(desk.subject, token, move)
        link = undo_path(desk.subject, undo_token)
        told = {"name": desk.who.name, "language": language}
        mails.post("moved", row.old, link=link, now=row.new, **told)
        home = steps.page_of(desk.subject)
        mails.post("factor_changed", row.new, link=home, what="address", **told)


def _undone(token: str, move: Mover, forgot: str) -> None:
    with factors.as_system():
        row = mail_change.undo(token, move)
        mails.post("move_undone", row.old, link=forgot)


def _over(again: str, extends: str) -> Response:
    markup = render_template("ui/address_over.html", again=again, extends=extends)
    return make_response(markup, 404)
