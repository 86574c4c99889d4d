"""What we announced to this account: the list, one of them, and a banner put away."""

from uuid import UUID

from flask import Response, make_response, redirect, render_template, request, url_for

from clarion.announcing import reading, wording
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.web.pages import Pages, local, needs, person
from clarion.web.ui import ui_lang

pages = Pages("announcements", __name__)


@pages.get("/")
@needs("portal.announcements")
def index() -> str:
    """List what was announced, newest first."""
    try:
        before = UUID(request.args["before"]) if "before" in request.args else None
    except ValueError as error:
        raise NotFound("page_unknown", _("There is no such page.")) from error
    rows = reading.past(ui_lang(), before)
    more = rows[-1].announcement_id if len(rows) == reading.PAGE else None
    return render_template(
        "portal/announcements.html", rows=rows, more=more, kinds=wording.KIND_NAMES
    )


@pages.get("/<uuid:announcement_id>")
@needs("portal.announcements")
def show(announcement_id: UUID) -> str:
    """Show one, in full."""
    return render_template(
        "portal/announcement.html",
        one=reading.one(announcement_id, ui_lang()),
        kinds=wording.KIND_NAMES,
    )


@pages.post("/<uuid:announcement_id>/dismiss")
@person
def dismiss(announcement_id: UUID) -> Response:
    """Put a banner away, for whoever is signed in, on all their devices."""
    reading.dismiss(announcement_id)
    back = local(request.form.get("back"), url_for(".index"))
    return make_response(redirect(back, 303))
