"""Pages about segments: the list, the builder with its count, snapshots."""

import json
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

from clarion.base import db
from clarion.base.errors import ClarionError, Invalid
from clarion.tenancy import access
from clarion.web.pages import fragment, is_fragment, needs
from clarion_contacts import service
from clarion_contacts.portal import catalogue, sketch
from clarion_contacts.portal.forms import pages
from clarion_contacts.portal.sketch import Sketch

PATIENT_MS = 20_000
"""How long the second look counts, when the first one gave up."""


@pages.get("/segments")
@needs("contacts.view")
def segments() -> str:
    """List segments; each row fetches its own number."""
    rows = service.segment_lines()
    uses = service.uses_of([row.id for row in rows])
    return render_template("contacts/segments.html", rows=rows, uses=uses)


@pages.get("/segments/<uuid:segment_id>/count")
@needs("contacts.view")
def count_segment(segment_id: UUID) -> Response:
    """Count one segment, for its row in the list."""
    view = service.get_segment(segment_id)
    people = service.people_in(
        view.rule, PATIENT_MS if "patient" in request.args else 2_000
    )
    tried = "patient" in request.args
    page = render_template(
        "contacts/_segment_number.html", people=people, tried=tried, segment_id=segment_id
    )
    return fragment(page)


@pages.get("/segments/new")
@needs("contacts.edit")
def new_segment() -> str:
    """Begin a segment."""
    return _page(sketch.blank(), "", "")


@pages.post("/segments/new")
@needs("contacts.edit")
def add_segment() -> Any:
    """Save a new segment."""
    return _save(None)


@pages.get("/segments/<uuid:segment_id>")
@needs("contacts.view")
def segment(segment_id: UUID) -> str:
    """Show a segment in the builder, with its snapshots and where it is used."""
    view = service.get_segment(segment_id)
    return _page(sketch.of_rule(view.rule), view.name, view.about, view)


@pages.post("/segments/<uuid:segment_id>")
@needs("contacts.edit")
def change_segment(segment_id: UUID) -> Any:
    """Save a changed segment."""
    return _save(segment_id)


@pages.post("/segments/build")
@needs("contacts.edit")
def build() -> Any:
    """Do what a button of the builder says, and draw it again."""
    drawn, look_at = sketch.act(sketch.read(request.form), request.form.get("act", ""))
    segment_id = _id(request.form.get("segment"))
    if is_fragment():
        shown = _builder(drawn, segment_id)
        page = render_template("contacts/_segment_rules.html", look_at=look_at, **shown)
        answer = make_response(page)
        answer.headers["HX-Trigger"] = json.dumps({"recount": {}})
        return answer
    view = service.get_segment(segment_id) if segment_id else None
    given = request.form
    return _page(
        drawn, given.get("name", ""), given.get("about", ""), view, look_at=look_at
    )


@pages.post("/segments/people")
@needs("contacts.view")
def count_people() -> str:
    """Count who fits what is in the form, and show ten of them."""
    tried = request.form.get("tried") == "1"
    return render_template(
        "contacts/_segment_people.html",
        **_people(sketch.read(request.form), PATIENT_MS if tried else 2_000),
        tried=tried,
    )


@pages.post("/segments/<uuid:segment_id>/copy")
@needs("contacts.edit")
def copy_segment(segment_id: UUID) -> Response:
    """Make a second one with the same rules."""
    made = service.copy_segment(segment_id)
    flash(_("This is a copy. Campaigns still use the first one."), "success")
    return make_response(redirect(url_for(".segment", segment_id=made.id)))


@pages.post("/segments/<uuid:segment_id>/delete")
@needs("contacts.edit")
def delete_segment(segment_id: UUID) -> Any:
    """Delete a segment that nothing uses."""
    try:
        service.delete_segment(segment_id)
    except ClarionError as refused:
        if refused.code != "segment_used":
            raise
        flash(refused.text, "danger")
        return redirect(url_for(".segment", segment_id=segment_id))
    flash(_("The segment was deleted. The people stay."), "success")
    return redirect(url_for(".segments"))


# --- snapshots


@pages.post("/segments/<uuid:segment_id>/freeze")
@needs("contacts.edit")
def freeze(segment_id: UUID) -> Response:
    """Freeze a segment as it is now."""
    service.freeze(segment_id)
    flash(_("Who is in it now is being written down."), "success")
    return make_response(redirect(url_for(".segment", segment_id=segment_id)))


@pages.get("/segments/<uuid:segment_id>/snapshots/live")
@needs("contacts.view")
def live_snapshots(segment_id: UUID) -> Response:
    """Answer the snapshots of a segment, until all are written."""
    rows = service.snapshots_of(segment_id)
    page = render_template("contacts/_snapshots.html", snapshots=rows)
    return fragment(page, done=all(row.people is not None for row in rows))


@pages.get("/segments/snapshots/<uuid:snapshot_id>")
@needs("contacts.view")
def snapshot(snapshot_id: UUID) -> str:
    """Show a snapshot beside its segment as it is now."""
    return render_template(
        "contacts/segment_snapshot.html",
        compared=service.compare(snapshot_id),
        uses=service.uses_of([snapshot_id])[snapshot_id],
    )


@pages.post("/segments/snapshots/<uuid:snapshot_id>/delete")
@needs("contacts.edit")
def delete_snapshot(snapshot_id: UUID) -> Any:
    """Delete a snapshot that nothing uses."""
    try:
        segment_id = service.delete_snapshot(snapshot_id)
    except ClarionError as refused:
        if refused.code != "segment_used":
            raise
        flash(refused.text, "danger")
        return redirect(url_for(".snapshot", snapshot_id=snapshot_id))
    flash(_("The snapshot was deleted."), "success")
    return redirect(url_for(".segment", segment_id=segment_id))


# --- what several views need


def _save(segment_id: UUID | None) -> Any:
    drawn, given = sketch.read(request.form), request.form
    name, about = given.get("name", ""), given.get("about", "")
    try:
        with db.session().begin_nested():
            view = service.save_segment(sketch.to_rule(drawn), name, about, segment_id)
    except ClarionError as refused:
        if refused.status not in (409, 422):
            raise
        old = service.get_segment(segment_id) if segment_id else None
        return make_response(_page(drawn, name, about, old, error=refused), 422)
    flash(_("Saved."), "success")
    return redirect(url_for(".segment", segment_id=view.id))


def _page(
    drawn: Sketch,
    name: str,
    about: str,
    view: service.SegmentView | None = None,
    *,
    error: ClarionError | None = None,
    look_at: str = "",
) -> str:
    shown = _builder(drawn, view.id if view else None, error)
    return render_template(
        "contacts/segment.html",
        view=view,
        name=name,
        about=about,
        error=error,
        look_at=look_at,
        uses=service.uses_of([view.id])[view.id] if view else [],
        snapshots=service.snapshots_of(view.id) if view else [],
        tried=False,
        **shown,
        **_people(drawn, 2_000),
    )


def _builder(
    drawn: Sketch, segment_id: UUID | None, error: ClarionError | None = None
) -> dict[str, Any]:
    shelf = catalogue.catalogue(service.choices(segment_id))
    _settle(drawn, shelf)
    wrong = "" if error is None or error.code != "segment_invalid" else error.field
    return {
        "drawn": drawn,
        "shelf": shelf,
        "groups": catalogue.GROUPS,
        "purposes": catalogue.PURPOSES,
        "wrong": f"0.{wrong}" if wrong else "",
        "full": sketch.size(drawn) >= sketch.MOST,
        "deepest": sketch.DEEPEST,
        "may_edit": access.allowed("contacts.edit"),
        "segment_id": segment_id,
    }


def _people(drawn: Sketch, patience_ms: int) -> dict[str, Any]:
    """Count and look, or say which rule is not finished."""
    rule = sketch.to_rule(drawn)
    try:
        people = service.people_in(rule, patience_ms)
        some = service.some_of(rule, patience_ms) if people else []
    except Invalid as refused:
        return {"people": None, "some": [], "unfinished": refused.text}
    return {"people": people, "some": some or [], "unfinished": ""}


def _settle(drawn: Sketch, shelf: catalogue.Catalogue) -> None:
    """Give a rule that was just chosen what it needs: a first test, its kind, a draw."""
    waiting = [drawn]
    while waiting:
        one = waiting.pop()
        waiting += one.get("of", [])
        what = shelf.of(one.get("what", ""))
        if what is None:
            continue
        tests = [key for key, _title in what.tests]
        if one.get("test") not in tests:
            one["test"] = tests[0]
        if what.own_kind:
            one["kind"] = what.own_kind
        if what.key == "share" and not one.get("seed"):
            one["seed"] = sketch.draw()


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
