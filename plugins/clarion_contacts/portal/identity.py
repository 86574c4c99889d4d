"""Pages about who somebody is: addresses, a new number, duplicates, merging."""

from typing import Any
from uuid import UUID

from flask import (
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from wtforms import StringField
from wtforms.validators import Length

from clarion.base.errors import Conflict
from clarion.tenancy import access
from clarion.web.pages import Form, needs
from clarion_contacts import service
from clarion_contacts.portal.forms import KINDS, NEEDED, pages

SOURCES = {
    "team": lazy("by your team"),
    "import": lazy("with a list"),
    "inbound": lazy("from a message they wrote"),
    "provider": lazy("told by WhatsApp"),
    "api": lazy("by the API"),
}
WHY = {
    "number_changed": lazy("One has a new number, and it is the other’s"),
    "id_changed": lazy("WhatsApp gave one the id of the other"),
    "named_both": lazy("A message carried addresses of both"),
    "email": lazy("Same e-mail address"),
    "spelling": lazy("Same number, spelled in two ways"),
    "name_phone": lazy("Same name, and numbers that end alike"),
    "name": lazy("Same name, one has a number and the other an e-mail address"),
}
FIELDS = {
    "name": lazy("Full name"),
    "first_name": lazy("First name"),
    "last_name": lazy("Last name"),
    "phone": lazy("Number that is written to"),
    "email": lazy("E-mail"),
    "language": lazy("Language"),
    "country": lazy("Country"),
    "timezone": lazy("Time zone"),
}


class NumberForm(Form):
    """The new phone number of somebody."""

    number = StringField(
        lazy("New phone number"),
        [NEEDED, Length(max=60)],
        description=lazy("With + and country code, as in +55 11 91234-0147."),
    )


class TwinForm(Form):
    """Where to find the other contact."""

    address = StringField(
        lazy("Number or e-mail of the other contact"), [NEEDED, Length(max=254)]
    )


def about(contact: Any) -> dict[str, Any]:
    """Return what a contact's page needs for its addresses and its likes."""
    return {
        "addresses": service.addresses(contact),
        "sources": SOURCES,
        "kinds": KINDS,
        "twins": service.twins_of(contact.id),
        "merges": service.merges_of(contact.id),
    }


@pages.post("/<uuid:contact_id>/identifiers/<uuid:identifier_id>/write-to")
@needs("contacts.edit")
def write_to(contact_id: UUID, identifier_id: UUID) -> Response:
    """Write to another number of a person from now on."""
    service.write_to(contact_id, identifier_id)
    flash(_("Messages go to this number from now on."), "success")
    return _to(contact_id)


@pages.post("/<uuid:contact_id>/identifiers/<uuid:identifier_id>/retire")
@needs("contacts.edit")
def retire_address(contact_id: UUID, identifier_id: UUID) -> Response:
    """End an address of a person."""
    service.retire_address(contact_id, identifier_id)
    flash(_("The address is not theirs any more. Nothing is sent to it."), "success")
    return _to(contact_id)


@pages.route("/<uuid:contact_id>/number", methods=["GET", "POST"])
@needs("contacts.edit")
def change_number(contact_id: UUID) -> Any:
    """Record that somebody has another number."""
    contact, form = service.get(contact_id), NumberForm()
    if form.validate_on_submit():
        with form.attempt():
            taken_by = service.change_number(contact_id, form.number.data or "")
            if taken_by is None:
                flash(_("The new number is on record."), "success")
                return _to(contact_id)
            flash(
                _(
                    "This number belongs to another contact. Are both one person? Until "
                    "you decide, the stricter of both holds for both."
                ),
                "warning",
            )
            return redirect(url_for(".compare", contact_id=contact_id, other_id=taken_by))
    page = render_template("contacts/number.html", contact=contact, form=form)
    return make_response(page, 422 if form.errors else 200)


@pages.route("/<uuid:contact_id>/same", methods=["GET", "POST"])
@needs("contacts.edit")
def find_twin(contact_id: UUID) -> Any:
    """Find the contact that is the same person, by an address."""
    contact, form = service.get(contact_id), TwinForm()
    if form.validate_on_submit():
        with form.attempt():
            other = service.same_address(contact_id, form.address.data or "")
            return redirect(url_for(".compare", contact_id=contact_id, other_id=other))
    page = render_template("contacts/same.html", contact=contact, form=form)
    return make_response(page, 422 if form.errors else 200)


# --- duplicates


@pages.get("/duplicates")
@needs("contacts.view")
def duplicates() -> str:
    """List the pairs that wait for a decision."""
    return render_template("contacts/duplicates.html", pairs=service.duplicates(), why=WHY)


@pages.post("/duplicates/search")
@needs("contacts.view")
def look_for_duplicates() -> Response:
    """Look again for contacts that are alike."""
    service.look_for_duplicates()
    flash(_("Looking for contacts that are alike. This takes up to a minute."), "info")
    return make_response(redirect(url_for(".duplicates")))


@pages.get("/duplicates/<uuid:contact_id>/<uuid:other_id>")
@needs("contacts.view")
def compare(contact_id: UUID, other_id: UUID) -> str:
    """Show two contacts side by side."""
    return render_template(
        "contacts/compare.html",
        view=service.preview(contact_id, other_id),
        fields=FIELDS,
        kinds=KINDS,
        queue=request.args.get("queue", ""),
        may_edit=access.allowed("contacts.edit"),
    )


@pages.post("/duplicates/<uuid:contact_id>/<uuid:other_id>/merge")
@needs("contacts.edit")
def merge(contact_id: UUID, other_id: UUID) -> Response:
    """Make two contacts one, with the fields that were chosen."""
    take = [
        name.removeprefix("field:")
        for name, value in request.form.items()
        if name.startswith("field:") and value == "other"
    ]
    stays = service.merge(contact_id, other_id, take=take)
    flash(_("They are one contact now. You can take it back for 30 days."), "success")
    return _next() or _to(stays)


@pages.post("/duplicates/<uuid:contact_id>/<uuid:other_id>/apart")
@needs("contacts.edit")
def tell_apart(contact_id: UUID, other_id: UUID) -> Response:
    """Record that two contacts are two people."""
    service.tell_apart(contact_id, other_id)
    flash(_("They stay two contacts. You will not be asked again."), "success")
    return _next() or make_response(redirect(url_for(".duplicates")))


@pages.post("/merges/<uuid:merge_id>/undo")
@needs("contacts.edit")
def undo_merge(merge_id: UUID) -> Response:
    """Make two contacts of one again."""
    try:
        stays, _parted = service.undo_merge(merge_id)
    except Conflict as refused:
        flash(refused.text, "danger")
        return make_response(redirect(url_for(".duplicates")))
    flash(_("They are two contacts again. Who of both was silent, both are."), "success")
    return _to(stays)


def _to(contact_id: UUID) -> Response:
    return make_response(redirect(url_for(".show", contact_id=contact_id)))


def _next() -> Response | None:
    """Go on to the next pair, for somebody who works through them."""
    if not request.form.get("queue"):
        return None
    rows = service.duplicates().rows
    if not rows:
        return make_response(redirect(url_for(".duplicates")))
    at = url_for(
        ".compare", contact_id=rows[0].one_id, other_id=rows[0].other_id, queue="1"
    )
    return make_response(redirect(at))
