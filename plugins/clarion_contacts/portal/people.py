"""Pages about one person: everything known, and changing it."""

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

from clarion.base.errors import NotFound
from clarion.tenancy import access
from clarion.web.pages import is_fragment, needs
from clarion_contacts import service
from clarion_contacts.portal import identity
from clarion_contacts.portal.forms import (
    ACTIONS,
    METHODS,
    ConsentForm,
    ContactForm,
    IdentifierForm,
    NewContactForm,
    pages,
)
from clarion_contacts.portal.owned import OwnInput, as_id, owned


@pages.route("/new", methods=["GET", "POST"])
@needs("contacts.edit")
def new() -> Any:
    """Add one person, with the proof of their consent when they agreed."""
    form, own = NewContactForm(), owned(service.all_fields(), {})
    if form.validate_on_submit():
        with form.attempt():
            details = _details(form, own)
            if form.agreed:
                contact = service.add_agreed(details, **form.agreed)
            else:
                contact = service.add(details)
            flash(_("%(name)s was added.", name=contact.name or contact.phone), "success")
            return redirect(url_for(".show", contact_id=contact.id))
    return _form(form, own, _("Add a contact"), url_for(".index"))


@pages.route("/<uuid:contact_id>/edit", methods=["GET", "POST"])
@needs("contacts.edit")
def edit(contact_id: UUID) -> Any:
    """Change what is known of one person."""
    contact = service.get(contact_id)
    form, own = ContactForm(obj=contact), owned(service.all_fields(), contact.attributes)
    if form.validate_on_submit():
        with form.attempt():
            service.edit(contact_id, _details(form, own))
            flash(_("Saved."), "success")
            return redirect(url_for(".show", contact_id=contact_id))
    title = _("Change %(name)s", name=contact.name or contact.phone or contact.email)
    return _form(form, own, title, url_for(".show", contact_id=contact_id))


@pages.get("/<uuid:contact_id>")
@needs("contacts.view")
def show(contact_id: UUID) -> Any:
    """Show everything about one person; who became part of another is there."""
    try:
        return _shown(contact_id, ConsentForm(formdata=None), IdentifierForm(formdata=None))
    except NotFound:
        stays = service.survivors([contact_id]).get(contact_id, contact_id)
        if stays == contact_id:
            raise
    return redirect(url_for(".show", contact_id=stays))


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
                evidence=form.evidence.data or "",
            )
            flash(_("Consent is on record."), "success")
            for lacking in service.lint(form.wording.data):
                flash(lacking, "warning")
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
def put_tag(contact_id: UUID) -> Any:
    """Put a tag on one person."""
    service.get(contact_id)
    name = request.form.get("name", "")
    if name.strip():
        service.tag([contact_id], [name])
    return _sorted_anew(contact_id, again=True)


@pages.post("/<uuid:contact_id>/tags/<uuid:tag_id>/remove")
@needs("contacts.edit")
def take_tag(contact_id: UUID, tag_id: UUID) -> Any:
    """Take a tag off one person."""
    service.get(contact_id)
    service.untag([contact_id], [tag_id])
    return _sorted_anew(contact_id)


@pages.post("/<uuid:contact_id>/lists")
@needs("contacts.edit")
def put_on_list(contact_id: UUID) -> Any:
    """Put one person on a list."""
    service.get(contact_id)
    if (list_id := as_id(request.form.get("list"))) is not None:
        service.enlist([contact_id], list_id)
    return _sorted_anew(contact_id)


@pages.post("/<uuid:contact_id>/lists/<uuid:list_id>/remove")
@needs("contacts.edit")
def take_off_list(contact_id: UUID, list_id: UUID) -> Any:
    """Take one person off a list."""
    service.get(contact_id)
    service.delist([contact_id], list_id)
    return _sorted_anew(contact_id)


def _sorted_anew(contact_id: UUID, *, again: bool = False) -> Any:
    """Answer the tags and lists as they are now; the whole page without JavaScript.

    `again`: the next tag can be typed at once.
    """
    if not is_fragment():
        return redirect(url_for(".show", contact_id=contact_id))
    view = service.show(contact_id)
    return render_template(
        "contacts/_sorting.html",
        view=view,
        c=view.contact,
        all_tags=service.tag_names(),
        all_lists=service.list_names(),
        may_edit=True,
        again=again,
    )


@pages.post("/<uuid:contact_id>/delete")
@needs("contacts.delete")
def delete(contact_id: UUID) -> Response:
    """Erase one person."""
    service.get(contact_id)
    service.delete([contact_id])
    flash(_("The contact was deleted."), "success")
    return make_response(redirect(url_for(".index")))


# --- what several views need


def _details(form: ContactForm, own: list[OwnInput]) -> service.Details:
    return service.Details(
        name=form.name.data or "",
        first_name=form.first_name.data or "",
        last_name=form.last_name.data or "",
        phone=form.phone.data or "",
        email=form.email.data or "",
        language=form.language.data or "",
        country=form.country.data or "",
        timezone=form.timezone.data or "",
        attributes={one.key: one.said for one in own},
    )


def _form(form: ContactForm, own: list[OwnInput], title: str, back: str) -> Response:
    page = render_template(
        "contacts/form.html",
        form=form,
        own=own,
        page_title=title,
        back=back,
    )
    return make_response(page, 422 if form.errors else 200)


def _shown(contact_id: UUID, consent: ConsentForm, identifier: IdentifierForm) -> str:
    view = service.show(contact_id)
    return render_template(
        "contacts/show.html",
        view=view,
        timeline=service.timeline(contact_id, request.args.get("before", "")),
        **identity.about(view.contact),
        all_tags=service.tag_names(),
        all_lists=service.list_names(),
        consent_form=consent,
        identifier_form=identifier,
        methods=METHODS,
        actions=ACTIONS,
        may_edit=access.allowed("contacts.edit"),
    )


def ready() -> dict[str, Any]:
    """Return this plugin's step on the way to the first campaign."""
    return {
        "title": _("Bring your contacts"),
        "text": _("Import a list of people who agreed to hear from you."),
        "done": bool(service.find(limit=1).rows),
        "url": url_for("contacts.imports"),
        "minutes": 10,
    }
