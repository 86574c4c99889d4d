"""Every second factor is lost: the pages on which that is said, and stopped, in both realms."""

from flask import Response, flash, make_response, redirect, render_template, request
from flask_babel import lazy_gettext as lazy
from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length

from clarion.base.words import _
from clarion.tenancy import factors, recovery
from clarion.web import login, steps
from clarion.web.pages import Form
from clarion.work import recovering


class LostForm(Form):
    """What two staff read before they decide."""

    words = TextAreaField(
        lazy("What happened, and how can we reach you?"),
        [InputRequired(), Length(max=recovery.LONGEST)],
    )


def ask(one: steps.Half, action: str, away: str) -> Response:
    """Ask who has given the password what happened; then say what comes next."""
    form = LostForm()
    if form.validate_on_submit():
        with form.attempt():
            recovering.ask(_asker(one), form.words.data or "")
            flash(_("Asked. A mail about it is on its way to you."), "success")
            return make_response(redirect(action, 303))
    with factors.as_system():
        asked = recovery.open_of(one.subject)
    page = render_template("ui/lost.html", form=form, action=action, away=away, asked=asked)
    return make_response(page, 422 if form.errors or form.form_errors else 200)


def stop(token: str, action: str, door: str) -> Response:
    """Ask whether to stop it; only the POST does."""
    if request.method == "POST" and recovering.stop(token):
        flash(_("Stopped: the second factors stay as they are."), "success")
        return make_response(redirect(door, 303))
    with factors.as_system():
        row = recovery.stoppable(token)
    page = render_template("ui/lost_stop.html", row=row, action=action, door=door)
    return make_response(page, 200 if row else 404)


def _asker(one: steps.Half) -> recovery.Asker:
    return recovery.Asker(
        subject=one.subject,
        email=one.who.email,
        name=one.who.name,
        language=getattr(one.who, "language", ""),
        device=login.device_family(request.headers.get("User-Agent")),
        address=steps.current_network(),
    )
