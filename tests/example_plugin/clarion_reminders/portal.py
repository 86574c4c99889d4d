"""Reminders on screen: the list, a new one, and what is due on the overview."""

from typing import Any
from uuid import UUID

from flask import Response, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import BooleanField, DateField, SelectField, StringField
from wtforms.validators import DataRequired, Length

from clarion.tenancy import access
from clarion.web.pages import Form, Pages, needs
from clarion_contacts import contract as contacts
from clarion_reminders import service
from clarion_reminders.models import LONGEST

pages = Pages("reminders", __name__)


class ReminderForm(Form):
    """A new reminder."""

    contact = SelectField(lazy_gettext("Contact"), coerce=UUID)
    note = StringField(
        lazy_gettext("What to remember"), [DataRequired(), Length(max=LONGEST)]
    )
    due_on = DateField(lazy_gettext("On"), [DataRequired()])
    call_first = BooleanField(
        lazy_gettext("Call first"),
        description=lazy_gettext("No campaign reaches this person until you tick it off."),
    )


@pages.get("/")
@needs("reminders.view")
def index() -> Response:
    """List what is open."""
    return _page(_form(), 200)


@pages.post("/")
@needs("reminders.edit")
def add() -> Response:
    """Add a reminder."""
    form = _form()
    if form.validate_on_submit():
        with form.attempt():
            service.add(
                form.contact.data,
                form.note.data or "",
                form.due_on.data,
                call_first=form.call_first.data,
            )
            flash(_("You will be reminded."), "success")
            return make_response(redirect(url_for(".index")))
    return _page(form, 422)


@pages.post("/<uuid:reminder_id>/done")
@needs("reminders.edit")
def done(reminder_id: UUID) -> Response:
    """Tick one off."""
    service.done(reminder_id)
    flash(_("Ticked off."), "success")
    return make_response(redirect(url_for(".index")))


def due_today() -> str | None:
    """Draw what is due, for the overview; nothing when nothing is."""
    if not access.allowed("reminders.view"):
        return None
    rows = service.listing(only_due=True)
    return render_template("reminders/due.html", rows=rows) if rows else None


def _form() -> ReminderForm:
    form = ReminderForm()
    people = contacts.find(limit=100).rows if access.allowed("contacts.view") else []
    form.contact.choices = [(str(one.id), one.name or one.phone) for one in people]
    return form


def _page(form: Any, status: int) -> Response:
    rows = service.listing()
    names = dict(form.contact.choices)
    page = render_template("reminders/list.html", rows=rows, form=form, names=names)
    return make_response(page, status)
