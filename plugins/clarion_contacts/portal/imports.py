"""Pages of the import: upload, match columns, consent, check, import."""

from collections.abc import Iterator, Mapping
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
    stream_with_context,
    url_for,
)
from flask_babel import gettext as _

from clarion.base.errors import Conflict
from clarion.tenancy.scope import current_actor
from clarion.web.pages import fragment, needs
from clarion_contacts import service
from clarion_contacts.portal.forms import (
    DELIMITERS,
    ENCODINGS,
    FIELD_KINDS,
    FORMATS,
    KINDS,
    AttestForm,
    CheckForm,
    UploadForm,
    countries,
    pages,
)

STEP_OF = {
    "uploaded": "match",
    "matched": "consent",
    "attested": "check",
    "checking": "check",
    "checked": "check",
    "failed": "check",
}
ACCEPT = ".xlsx,.ods,.vcf,.csv,.tsv,.txt,text/csv,text/vcard"
"""What the browser offers first; what a file is, its content says."""
MOVING = ("checking", "importing", "undoing")


@pages.get("/imports")
@needs("contacts.import")
def imports() -> str:
    """List uploaded lists, newest first; those not finished can be resumed."""
    return render_template("contacts/imports.html", rows=service.listing())


@pages.route("/imports/new", methods=["GET", "POST"], largest=service.MAX_BYTES)
@needs("contacts.import")
def upload() -> Any:
    """Take a file."""
    form = UploadForm()
    if form.validate_on_submit():
        with form.attempt():
            given = form.file.data
            row = service.receive(given.filename or "", service.look(given.stream))
            return redirect(url_for(".match", import_id=row.id))
    page = render_template(
        "contacts/import_upload.html",
        form=form,
        max_bytes=service.most_bytes(),
        accept=ACCEPT,
    )
    return make_response(page, 422 if form.errors else 200)


@pages.get("/imports/<uuid:import_id>")
@needs("contacts.import")
def show_import(import_id: UUID) -> Response:
    """Go on where the list was left."""
    view = service.describe(import_id)
    step = STEP_OF.get(view.row.state, "result")
    return make_response(redirect(url_for(f".{step}", import_id=import_id)))


@pages.route("/imports/<uuid:import_id>/match", methods=["GET", "POST"])
@needs("contacts.import")
def match(import_id: UUID) -> Any:
    """Say what the columns mean."""
    if request.method == "GET":
        return _match(service.describe(import_id))
    fields, chosen = _chosen(request.form)
    view = service.keep(import_id, fields, **chosen)
    if view.problem:
        return make_response(_match(view), 422)
    service.match(import_id, fields, **chosen)
    return redirect(url_for(".consent", import_id=import_id))


@pages.post("/imports/<uuid:import_id>/match/live")
@needs("contacts.import")
def match_live(import_id: UUID) -> Response:
    """Keep a changed column and draw the table as it is now."""
    fields, chosen = _chosen(request.form)
    view = service.keep(import_id, fields, **chosen)
    return fragment(_match(view, "contacts/_match.html"))


@pages.post("/imports/<uuid:import_id>/reread")
@needs("contacts.import")
def reread(import_id: UUID) -> Response:
    """Read the file again: another sheet, encoding, separator, header or country."""
    header = {"1": True, "0": False}.get(request.form.get("header", ""))
    sheet = request.form.get("sheet", "")
    service.reread(
        import_id,
        encoding=request.form.get("encoding", ""),
        delimiter=request.form.get("delimiter", ""),
        header=header,
        sheet=int(sheet) if sheet.isdecimal() and len(sheet) < 4 else None,
        country=request.form.get("country", ""),
        fresh=bool(request.form.get("fresh")),
    )
    flash(_("The file was read again."), "success")
    return make_response(redirect(url_for(".match", import_id=import_id)))


@pages.route("/imports/<uuid:import_id>/consent", methods=["GET", "POST"])
@needs("contacts.import")
def consent(import_id: UUID) -> Any:
    """Ask where these people agreed."""
    view = service.describe(import_id)
    said = service.answers(view.row)
    own = said is view.row
    form = AttestForm(
        source=said.consent_source or None,
        place=said.consent_place,
        agreed_from=said.consent_from if own else None,
        agreed_on=said.consent_on if own else None,
        wording=service.wording_of(said),
    )
    if form.is_submitted():
        form.validate()
        with form.attempt():
            service.attest(
                import_id,
                source=form.source.data or "",
                place=form.place.data or "",
                agreed_from=form.agreed_from.data,
                agreed_on=form.agreed_on.data,
                wording=form.wording.data or "",
                typed_name=form.typed_name.data or "",
            )
            service.check(import_id)
            return redirect(url_for(".check", import_id=import_id))
    page = render_template(
        "contacts/import_consent.html",
        view=view,
        form=form,
        hints={key: hint for key, (_title, hint) in service.SOURCES.items()},
        attestation=service.ATTESTATION,
        name=current_actor().name,
        as_last=None if own else said,
    )
    return make_response(page, 422 if form.errors else 200)


@pages.route("/imports/<uuid:import_id>/check", methods=["GET", "POST"])
@needs("contacts.import")
def check(import_id: UUID) -> Any:
    """Show the dry run; judge again with other choices."""
    if request.method == "GET":
        view = service.describe(import_id)
        return render_template("contacts/import_check.html", **_checked(view))
    form = CheckForm()
    if request.form.get("again"):
        service.check(import_id)
    else:
        tags = (form.tags.data or "").split(",")
        service.recheck(
            import_id,
            overwrite=bool(form.overwrite.data),
            tags=tags,
            lists=(form.lists.data or "").split(","),
        )
    return redirect(url_for(".check", import_id=import_id))


@pages.get("/imports/<uuid:import_id>/live")
@needs("contacts.import")
def import_live(import_id: UUID) -> Response:
    """Answer how far a check, an import or an undo is."""
    view = service.describe(import_id)
    over = view.row.state not in MOVING
    if view.row.state in STEP_OF:
        return fragment(
            render_template("contacts/_check.html", **_checked(view)), done=over
        )
    return fragment(render_template("contacts/_result.html", view=view), done=over)


@pages.get("/imports/<uuid:import_id>/rejected.csv")
@needs("contacts.import")
def rejected(import_id: UUID) -> Response:
    """Download the rows that were refused, with reasons."""
    return _download(service.rejected_rows(import_id), "refused-rows.csv")


@pages.get("/imports/<uuid:import_id>/left-out.csv")
@needs("contacts.import")
def left_out(import_id: UUID) -> Response:
    """Download the rows that are taken without a part, saying which."""
    return _download(service.left_out_rows(import_id), "left-out.csv")


@pages.post("/imports/<uuid:import_id>/start")
@needs("contacts.import")
def start(import_id: UUID) -> Response:
    """Let the checked rows become contacts."""
    try:
        service.start(import_id)
    except Conflict as refused:
        if refused.code != "quota_reached":
            raise
        flash(refused.text, "error")  # nothing was done; the list waits as it is
        return make_response(redirect(url_for(".check", import_id=import_id)))
    return make_response(redirect(url_for(".result", import_id=import_id)))


@pages.get("/imports/<uuid:import_id>/result")
@needs("contacts.import")
def result(import_id: UUID) -> str:
    """Show what became of the list."""
    return render_template("contacts/import_result.html", view=service.describe(import_id))


@pages.post("/imports/<uuid:import_id>/undo")
@needs("contacts.import")
def undo(import_id: UUID) -> Response:
    """Take the import back."""
    service.undo(import_id)
    return make_response(redirect(url_for(".result", import_id=import_id)))


@pages.post("/imports/<uuid:import_id>/cancel")
@needs("contacts.import")
def cancel(import_id: UUID) -> Response:
    """Throw the list away."""
    service.cancel(import_id)
    flash(_("The list was thrown away. Nothing of it is kept."), "success")
    return make_response(redirect(url_for(".imports")))


# --- what several views need


def _download(lines: Iterator[str], name: str) -> Response:
    response = current_app.response_class(stream_with_context(lines), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _chosen(form: Mapping[str, str]) -> tuple[dict[int, str], dict[str, Any]]:
    """Read the choice of columns: `c0`, `c1` …, names and kinds of new fields `c0_new`."""
    fields: dict[int, str] = {}
    kinds: dict[int, str] = {}
    for name, field in form.items():
        place = name.removeprefix("c")
        if not (name.startswith("c") and place.isdecimal()) or len(place) > 4:
            continue
        own = form.get(f"{name}_new", "").strip()[:60]
        fields[int(place)] = f"custom:{own}" if field == "custom" and own else field
        if kind := form.get(f"{name}_kind", ""):
            kinds[int(place)] = kind
    chosen = {
        "kinds": kinds,
        "country": form.get("country", ""),
        "day_first": {"1": True, "0": False}.get(form.get("day_first", "")),
    }
    return fields, chosen


def _match(view: Any, template: str = "contacts/import_match.html") -> str:
    return render_template(
        template,
        view=view,
        groups=_groups(view.own),
        formats=FORMATS,
        kinds=FIELD_KINDS,
        countries=countries(),
        encodings=ENCODINGS,
        delimiters=DELIMITERS,
    )


def _groups(own: list[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (
            _("Person"),
            [
                ("phone", _("Phone number")),
                *((kind, KINDS[kind]) for kind in ("wa_id", "bsuid", "parent_bsuid")),
                ("name", _("Full name")),
                ("first_name", _("First name")),
                ("last_name", _("Last name")),
                ("email", _("E-mail")),
                ("language", _("Language")),
                ("country", _("Country")),
                ("timezone", _("Time zone")),
            ],
        ),
        (
            _("Sorting and consent"),
            [("tags", _("Tags")), ("lists", _("Lists")), ("consent", _("Agreed on"))],
        ),
        (
            _("Your own"),
            [*((f"custom:{one}", one) for one in own), ("custom", _("A new field"))],
        ),
    ]


def _checked(view: Any) -> dict[str, Any]:
    row = view.row
    form = CheckForm(
        formdata=None,
        overwrite=row.overwrite,
        tags=", ".join(row.tags),
        lists=", ".join(row.lists),
    )
    seen = row.state == "checked"
    states = ("new", "changed", "invalid", "duplicate", "suppressed")
    return {
        "view": view,
        "form": form,
        "all_lists": service.list_names(),
        "samples": {s: service.samples(row.id, s) for s in states} if seen else {},
        "left_out": service.left_out(row.id) if seen and row.counts.get("noted") else [],
    }
