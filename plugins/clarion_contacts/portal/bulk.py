"""Pages of what is done with many people: what exactly, how far it is, and its file."""

from typing import Any
from uuid import UUID

from flask import (
    Response,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _

from clarion.base.errors import NotFound
from clarion.tenancy import access
from clarion.web.pages import fragment, needs
from clarion_contacts import service
from clarion_contacts.portal.browsing import chosen_of
from clarion_contacts.portal.forms import BulkForm, pages
from clarion_contacts.portal.owned import as_id
from clarion_contacts.records import Bulk
from clarion_contacts.service import Filters

MOVING = ("running", "undoing")
UNASKED = ("export",)  # needs to know nothing more


@pages.post("/bulk")
@needs("contacts.view")
def bulk() -> Any:
    """Freeze the ticked people, or all that match, and ask what exactly to do."""
    action = request.form.get("action", "")
    ids = tuple(one for one in map(as_id, request.form.getlist("rowid")) if one)
    everybody = request.form.get("all") == "1"
    chosen = chosen_of(request.form.get("chosen", "")) if everybody else Filters(ids=ids)
    if not everybody and not ids:
        flash(_("Tick the people you mean."), "warning")
        return redirect(url_for(".index"))
    asked = service.ask(action, chosen)
    if action in UNASKED:
        service.go(asked.id, {})
    return redirect(url_for(".show_bulk", bulk_id=asked.id))


@pages.get("/bulk/<uuid:bulk_id>")
@needs("contacts.view")
def show_bulk(bulk_id: UUID) -> Any:
    """Ask what exactly to do, or show how far it is."""
    row = service.get_bulk(bulk_id)
    return _page(row, BulkForm(formdata=None))


@pages.get("/bulk/<uuid:bulk_id>/live")
@needs("contacts.view")
def bulk_live(bulk_id: UUID) -> Response:
    """Answer how far it is."""
    row = service.get_bulk(bulk_id)
    markup = render_template("contacts/_bulk.html", row=row, **_words())
    return fragment(markup, done=row.state not in MOVING)


@pages.post("/bulk/<uuid:bulk_id>")
@needs("contacts.view")
def go_bulk(bulk_id: UUID) -> Any:
    """Do it."""
    row, form = service.get_bulk(bulk_id), BulkForm()
    given = {
        "name": form.name.data or "",
        "list": form.list.data or "",
        "field": form.field.data or "",
        "value": form.value.data or "",
        "reason": form.reason.data or "",
    }
    if form.validate_on_submit():
        with form.attempt():
            service.go(bulk_id, given, typed=form.typed.data or "")
            return redirect(url_for(".show_bulk", bulk_id=bulk_id))
    return make_response(_page(row, form), 422)


@pages.post("/bulk/<uuid:bulk_id>/undo")
@needs("contacts.view")
def undo_bulk(bulk_id: UUID) -> Any:
    """Take it back."""
    service.undo_bulk(bulk_id)
    return redirect(url_for(".show_bulk", bulk_id=bulk_id))


@pages.post("/bulk/<uuid:bulk_id>/cancel")
@needs("contacts.view")
def cancel_bulk(bulk_id: UUID) -> Any:
    """Leave everything as it is."""
    service.throw_away(bulk_id)
    return redirect(url_for(".index"))


@pages.post("/bulk/<uuid:bulk_id>/contacts.<form>")
@needs("contacts.export")
def take_export(bulk_id: UUID, form: str) -> Response:
    """Hand over an exported file, to nobody but who asked for it; it is in the log."""
    row = service.get_bulk(bulk_id)
    if form not in ("csv", "xlsx"):
        raise NotFound("export_form", _("There is no such file."))
    file = service.download(row, "xlsx" if form == "xlsx" else "csv")
    response = current_app.response_class(file.chunks, mimetype=file.type)
    response.headers.set("Content-Disposition", "attachment", filename=file.name)
    return response


def _page(row: Bulk, form: BulkForm) -> str:
    form.list.choices = [(str(one), name) for one, name in service.list_names()]
    form.field.choices = [(one.key, one.title) for one in service.all_fields()]
    return render_template(
        "contacts/bulk.html",
        row=row,
        form=form,
        tags=service.tag_names() if row.action in ("tag", "untag") else (),
        fields=service.all_fields() if row.action == "field" else (),
        **_words(),
    )


def _words() -> dict[str, Any]:
    return {
        "moving": MOVING,
        "undoable": service.UNDONE_BY,
        "may_export": access.allowed("contacts.export"),
    }
