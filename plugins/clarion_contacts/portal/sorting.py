"""Pages about lists, tags and fields of one's own."""

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
from flask_babel import ngettext

from clarion.base.errors import Conflict
from clarion.web.pages import needs
from clarion_contacts import service
from clarion_contacts.portal.forms import FieldForm, ListForm, TagForm, pages


@pages.route("/lists", methods=["GET", "POST"])
@needs("contacts.view")
def lists() -> Any:
    """List the lists; make one."""
    form = ListForm()
    if form.validate_on_submit():
        with form.attempt():
            made = service.add_list(
                form.name.data, purpose=form.purpose.data, about=form.about.data or ""
            )
            flash(_("“%(name)s” is there.", name=made.name), "success")
            return redirect(url_for(".lists"))
    status = 422 if form.errors else 200
    page = render_template("contacts/lists.html", lists=service.all_lists(), form=form)
    return make_response(page, status)


@pages.route("/lists/<uuid:list_id>", methods=["GET", "POST"])
@needs("contacts.edit")
def change_list(list_id: UUID) -> Any:
    """Rename a list, describe it, or say what it is for."""
    made = service.get_list(list_id)
    form = ListForm(obj=made)
    if form.validate_on_submit():
        with form.attempt():
            service.change_list(
                list_id,
                form.name.data,
                purpose=form.purpose.data,
                about=form.about.data or "",
            )
            flash(_("Saved."), "success")
            return redirect(url_for(".lists"))
    status = 422 if form.errors else 200
    return make_response(
        render_template("contacts/list.html", list=made, form=form), status
    )


@pages.post("/lists/<uuid:list_id>/delete")
@needs("contacts.edit")
def remove_list(list_id: UUID) -> Response:
    """Remove a list; its people stay."""
    service.remove_list(list_id)
    flash(_("The list was removed. The people stay."), "success")
    return make_response(redirect(url_for(".lists")))


# --- fields


@pages.route("/fields", methods=["GET", "POST"])
@needs("contacts.view")
def fields() -> Any:
    """List the fields; add one."""
    form = FieldForm()
    if form.validate_on_submit():
        with form.attempt():
            made = service.add_field(form.title.data, form.kind.data, _choices(form))
            flash(_("“%(name)s” is there.", name=made.title), "success")
            return redirect(url_for(".fields"))
    page = render_template(
        "contacts/fields.html",
        fields=service.all_fields(),
        unknown=service.unknown_keys(),
        form=form,
    )
    return make_response(page, 422 if form.errors else 200)


@pages.post("/fields/adopt")
@needs("contacts.edit")
def adopt() -> Response:
    """Make a field of a key that people have already."""
    made = service.adopt(request.form.get("key", ""))
    flash(
        _("“%(name)s” is a field now. Choose what kind it is.", name=made.title), "success"
    )
    return make_response(redirect(url_for(".change_field", field_id=made.id)))


@pages.route("/fields/<uuid:field_id>", methods=["GET", "POST"])
@needs("contacts.edit")
def change_field(field_id: UUID) -> Any:
    """Rename a field, change its kind or its choices."""
    field = service.get_field(field_id)
    form = FieldForm(obj=field, choices="\n".join(field.choices))
    loss = None
    if form.validate_on_submit():
        with form.attempt():
            bulk = service.change_field(
                field_id,
                form.title.data,
                form.kind.data,
                _choices(form),
                aside=form.aside.data,
            )
            if bulk is not None:
                return redirect(url_for(".show_bulk", bulk_id=bulk.id))
            flash(_("Saved."), "success")
            return redirect(url_for(".fields"))
        if _misfits(form):
            loss = service.loss(field_id, form.kind.data, _choices(form))
    page = render_template("contacts/field.html", field=field, form=form, loss=loss)
    return make_response(page, 422 if form.errors else 200)


def _misfits(form: FieldForm) -> bool:
    return form.refused_by == "field_misfits"


@pages.post("/fields/<uuid:field_id>/move")
@needs("contacts.edit")
def move_field(field_id: UUID) -> Response:
    """Move a field up or down."""
    service.move_field(field_id, -1 if request.form.get("to") == "up" else 1)
    return make_response(redirect(url_for(".fields")))


@pages.route("/fields/<uuid:field_id>/remove", methods=["GET", "POST"])
@needs("contacts.edit")
def remove_field(field_id: UUID) -> Any:
    """Say how many people have a value, and remove the field when that is wanted."""
    field = service.get_field(field_id)
    people = service.people_with(field.key)
    if request.method == "POST":
        if request.form.get("people") != str(people):
            raise Conflict(
                "field_people", _("The number of people has changed. Look again, please.")
            )
        gone = service.remove_field(field_id)
        flash(
            ngettext(
                "The field was removed, and %(num)s value with it.",
                "The field was removed, and %(num)s values with it.",
                gone,
            ),
            "success",
        )
        return redirect(url_for(".fields"))
    return render_template("contacts/field_remove.html", field=field, people=people)


def _choices(form: FieldForm) -> list[str]:
    return (form.choices.data or "").splitlines()


# --- tags


@pages.route("/tags", methods=["GET", "POST"])
@needs("contacts.view")
def tags() -> Any:
    """List the tags; add one."""
    form = TagForm()
    if form.validate_on_submit():
        with form.attempt():
            service.add_tag(form.name.data)
            flash(_("The tag is there."), "success")
            return redirect(url_for(".tags"))
    status = 422 if form.errors else 200
    page = render_template("contacts/tags.html", tags=service.tags(), form=form)
    return make_response(page, status)


@pages.route("/tags/<uuid:tag_id>", methods=["GET", "POST"])
@needs("contacts.edit")
def rename_tag(tag_id: UUID) -> Any:
    """Rename a tag."""
    tag = service.get_tag(tag_id)
    form = TagForm(name=tag.name)
    if form.validate_on_submit():
        with form.attempt():
            service.rename_tag(tag_id, form.name.data)
            flash(_("Saved."), "success")
            return redirect(url_for(".tags"))
    status = 422 if form.errors else 200
    return make_response(render_template("contacts/tag.html", tag=tag, form=form), status)


@pages.post("/tags/<uuid:tag_id>/delete")
@needs("contacts.edit")
def remove_tag(tag_id: UUID) -> Response:
    """Remove a tag from everybody."""
    service.remove_tag(tag_id)
    flash(_("The tag was removed. The people stay."), "success")
    return make_response(redirect(url_for(".tags")))
