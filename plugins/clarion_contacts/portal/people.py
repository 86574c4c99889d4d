"""Pages about people and their tags."""

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

from clarion.tenancy import access
from clarion.web.pages import needs
from clarion_contacts import service
from clarion_contacts.portal.forms import (
    ACTIONS,
    KINDS,
    METHODS,
    ConsentForm,
    ContactForm,
    IdentifierForm,
    TagForm,
    pages,
)


@pages.get("/")
@needs("contacts.view")
def index() -> str:
    """List people, by words, tag and consent."""
    words, tag = request.args.get("q", "").strip(), _id(request.args.get("tag"))
    consent = request.args.get("consent", "")
    page = service.find(
        words,
        tag=tag,
        consent=consent,
        after=_id(request.args.get("after")),
        before=_id(request.args.get("before")),
    )
    return render_template(
        "contacts/index.html",
        page=page,
        tags=service.tag_names(),
        words=words,
        tag=tag,
        consent=consent,
        filtered=bool(words or tag or consent),
    )


@pages.post("/bulk")
@needs("contacts.edit")
def bulk() -> Any:
    """Do something with the ticked people: delete, or ask which tag."""
    ids = [one for one in map(_id, request.form.getlist("rowid")) if one]
    action = request.form.get("action", "")
    if action == "delete":
        gone = service.delete(ids)
        flash(
            ngettext(
                "%(num)s contact was deleted.", "%(num)s contacts were deleted.", gone
            ),
            "success",
        )
        return redirect(url_for(".index"))
    if action in ("tag", "untag") and ids:
        form = TagForm(formdata=None)
        return _bulk_tag(form, action, ids)
    return redirect(url_for(".index"))


@pages.post("/bulk/tag")
@needs("contacts.edit")
def bulk_tag() -> Any:
    """Put a tag on the ticked people, or take it off."""
    ids = [one for one in map(_id, request.form.getlist("rowid")) if one]
    action = "untag" if request.form.get("action") == "untag" else "tag"
    form = TagForm()
    if form.validate_on_submit():
        with form.attempt():
            if action == "tag":
                service.tag(ids, [form.name.data])
                flash(_("Tagged as “%(name)s”.", name=form.name.data), "success")
            else:
                known = {one.name.casefold(): one.id for one in service.tags()}
                found = known.get(form.name.data.casefold())
                service.untag(ids, [found] if found else [])
                flash(
                    _("The tag “%(name)s” was taken off.", name=form.name.data), "success"
                )
            return redirect(url_for(".index"))
    return make_response(_bulk_tag(form, action, ids), 422)


@pages.route("/new", methods=["GET", "POST"])
@needs("contacts.edit")
def new() -> Any:
    """Add one person."""
    form = ContactForm()
    if form.validate_on_submit():
        with form.attempt():
            contact = service.add(_details(form))
            flash(_("%(name)s was added.", name=contact.name or contact.phone), "success")
            return redirect(url_for(".show", contact_id=contact.id))
    return _form(form, _("Add a contact"), url_for(".index"))


@pages.route("/<uuid:contact_id>/edit", methods=["GET", "POST"])
@needs("contacts.edit")
def edit(contact_id: UUID) -> Any:
    """Change what is known of one person."""
    contact = service.get(contact_id)
    own = "\n".join(f"{key}: {value}" for key, value in contact.attributes.items())
    form = ContactForm(obj=contact, own=own)
    if form.validate_on_submit():
        with form.attempt():
            service.edit(contact_id, _details(form))
            flash(_("Saved."), "success")
            return redirect(url_for(".show", contact_id=contact_id))
    title = _("Change %(name)s", name=contact.name or contact.phone or contact.email)
    return _form(form, title, url_for(".show", contact_id=contact_id))


@pages.get("/<uuid:contact_id>")
@needs("contacts.view")
def show(contact_id: UUID) -> str:
    """Show everything about one person."""
    return _shown(contact_id, ConsentForm(formdata=None), IdentifierForm(formdata=None))


@pages.post("/<uuid:contact_id>/consent")
@needs("contacts.edit")
def opt_in(contact_id: UUID) -> Any:
    """Record that somebody agreed."""
    form = ConsentForm()
    if form.validate_on_submit():
        with form.attempt():
            service.opt_in(
                contact_id,
                method=form.method.data,
                source=form.source.data,
                wording=form.wording.data,
                agreed_on=form.agreed_on.data,
            )
            flash(_("Consent is on record."), "success")
            return redirect(url_for(".show", contact_id=contact_id))
    return make_response(_shown(contact_id, form, IdentifierForm(formdata=None)), 422)


@pages.post("/<uuid:contact_id>/opt-out")
@needs("contacts.edit")
def opt_out(contact_id: UUID) -> Response:
    """Record that somebody wants no marketing."""
    service.opt_out(contact_id)
    flash(_("This person gets no marketing any more."), "success")
    return make_response(redirect(url_for(".show", contact_id=contact_id)))


@pages.post("/<uuid:contact_id>/identifiers")
@needs("contacts.edit")
def identify(contact_id: UUID) -> Any:
    """Add one more address to a person."""
    form = IdentifierForm()
    if form.validate_on_submit():
        with form.attempt():
            service.add_identifier(contact_id, form.kind.data, form.value.data)
            flash(_("The address was added."), "success")
            return redirect(url_for(".show", contact_id=contact_id))
    return make_response(_shown(contact_id, ConsentForm(formdata=None), form), 422)


@pages.post("/<uuid:contact_id>/tags")
@needs("contacts.edit")
def put_tag(contact_id: UUID) -> Response:
    """Put a tag on one person."""
    service.get(contact_id)
    name = request.form.get("name", "")
    if name.strip():
        service.tag([contact_id], [name])
    return make_response(redirect(url_for(".show", contact_id=contact_id)))


@pages.post("/<uuid:contact_id>/tags/<uuid:tag_id>/remove")
@needs("contacts.edit")
def take_tag(contact_id: UUID, tag_id: UUID) -> Response:
    """Take a tag off one person."""
    service.get(contact_id)
    service.untag([contact_id], [tag_id])
    return make_response(redirect(url_for(".show", contact_id=contact_id)))


@pages.post("/<uuid:contact_id>/delete")
@needs("contacts.delete")
def delete(contact_id: UUID) -> Response:
    """Erase one person."""
    service.get(contact_id)
    service.delete([contact_id])
    flash(_("The contact was deleted."), "success")
    return make_response(redirect(url_for(".index")))


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


# --- what several views need


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _details(form: ContactForm) -> service.Details:
    own = (line.partition(":") for line in (form.own.data or "").splitlines())
    return service.Details(
        name=form.name.data or "",
        first_name=form.first_name.data or "",
        last_name=form.last_name.data or "",
        phone=form.phone.data or "",
        email=form.email.data or "",
        language=form.language.data or "",
        country=form.country.data or "",
        timezone=form.timezone.data or "",
        attributes={
            key.strip(): value.strip() for key, _colon, value in own if key.strip()
        },
    )


def _form(form: ContactForm, title: str, back: str) -> Response:
    page = render_template("contacts/form.html", form=form, page_title=title, back=back)
    return make_response(page, 422 if form.errors else 200)


def _bulk_tag(form: TagForm, action: str, ids: list[UUID]) -> str:
    return render_template(
        "contacts/bulk_tag.html",
        form=form,
        action=action,
        ids=ids,
        tags=service.tag_names(),
    )


def _shown(contact_id: UUID, consent: ConsentForm, identifier: IdentifierForm) -> str:
    return render_template(
        "contacts/show.html",
        view=service.show(contact_id),
        all_tags=service.tag_names(),
        consent_form=consent,
        identifier_form=identifier,
        methods=METHODS,
        actions=ACTIONS,
        kinds=KINDS,
        may_edit=access.allowed("contacts.edit"),
    )


def ready() -> dict[str, Any]:
    """Return this plugin's step on the way to the first campaign."""
    return {
        "title": _("Bring your contacts"),
        "text": _("Import a list of people who agreed to hear from you."),
        "done": service.find(limit=1).total > 0,
        "url": url_for("contacts.imports"),
        "minutes": 10,
    }
