"""Templates on screen: the list with their states, and the editor with its phone."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response
from wtforms import (
    FieldList,
    FormField,
    HiddenField,
    IntegerField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms import Form as PlainForm
from wtforms.validators import DataRequired, Length
from wtforms.validators import Optional as Maybe

from clarion.tenancy import access
from clarion.tenancy.scope import current_actor
from clarion.web.pages import Form, Pages, fragment, needs
from clarion_templates import rendering, service
from clarion_templates.models import STATES
from clarion_templates.rendering import BUTTONS, Button, Content
from clarion_templates.service import View

pages = Pages("templates", __name__)
Answer = Response | str | tuple[str, int]
BLANK_BUTTONS, SAMPLE = 3, "sample-"
COMMON = (
    "en_US",
    "en_GB",
    "en",
    "pt_BR",
    "es",
    "es_MX",
    "fr",
    "de",
    "it",
    "hi",
    "id",
    "ar",
)


class ButtonForm(PlainForm):
    """One button: a kind, its words, and the address of a link."""

    kind = SelectField(
        lazy_gettext("Kind"),
        choices=[
            ("", lazy_gettext("No button")),
            ("quick_reply", lazy_gettext("Quick reply")),
            ("url", lazy_gettext("Link")),
        ],
        default="",
        validate_choice=False,
    )
    text = StringField(lazy_gettext("Words"), validators=[Length(max=100)])
    url = StringField(lazy_gettext("Address"), validators=[Length(max=2000)])


class TemplateForm(Form):
    """Everything about a template. What a provider would refuse is said by the checks."""

    name = StringField(
        lazy_gettext("Name"),
        description=lazy_gettext("Small letters, digits and underscores: early_access"),
        validators=[
            DataRequired(lazy_gettext("Give the template a name.")),
            Length(max=512),
        ],
    )
    language = SelectField(lazy_gettext("Language"), validate_choice=False, default="en_US")
    category = RadioField(
        lazy_gettext("Category"),
        choices=[
            ("marketing", lazy_gettext("Marketing")),
            ("utility", lazy_gettext("Utility")),
        ],
        default="marketing",
        validate_choice=False,
    )
    header = StringField(lazy_gettext("Header"), validators=[Length(max=400)])
    body = TextAreaField(lazy_gettext("Message"), validators=[Length(max=4000)])
    footer = StringField(lazy_gettext("Footer"), validators=[Length(max=400)])
    buttons = FieldList(
        FormField(ButtonForm), lazy_gettext("Buttons"), min_entries=1, max_entries=BUTTONS
    )
    channel = SelectField(
        lazy_gettext("Submit through"), validators=[Maybe()], validate_choice=False
    )
    revision = IntegerField(widget=HiddenField.widget, default=1, validators=[Maybe()])

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: what FlaskForm takes
        super().__init__(*args, **kwargs)
        self.language.choices = languages()
        self.channel.choices = [(str(p.id), p.name) for p in service.places()]
        wanted = min(BUTTONS, max(BLANK_BUTTONS, len(filled(self)) + 1))
        while len(self.buttons.entries) < wanted:
            self.buttons.append_entry()


@pages.get("/")
@needs("templates.view")
def index() -> str:
    """List templates with their states."""
    state, search = request.args.get("state", ""), request.args.get("q", "")[:100]
    rows = service.listing(
        state=state if state in STATES else "",
        search=search,
        after=_uuid(request.args.get("after")),
        limit=service.PAGE + 1,
    )
    more = rows[service.PAGE - 1].id if len(rows) > service.PAGE else None
    return render_template(
        "templates/list.html",
        rows=rows[: service.PAGE],
        counts=service.counts(),
        states=STATES,
        state=state,
        search=search,
        more=more,
        language_name=language_name,
    )


@pages.get("/new")
@needs("templates.edit")
def new() -> str:
    """Show an empty editor."""
    return _editor(TemplateForm(), None)


@pages.post("/new")
@needs("templates.edit")
def create() -> Answer:
    """Keep a new draft."""
    form = TemplateForm()
    if form.validate():
        with form.attempt():
            view = service.create(_content(form))
            flash(_("The draft “%(name)s” is saved.", name=view.name), "success")
            return redirect(url_for(".show", template_id=view.id))
    return _editor(form, None), 422


@pages.post("/preview")
@needs("templates.edit")
def preview() -> str:
    """Draw the phone and the checks for what is being typed; keeps nothing."""
    return render_template(
        "templates/_side.html", editing=True, **_side(_content(TemplateForm()))
    )


@pages.get("/<uuid:template_id>")
@needs("templates.view")
def show(template_id: UUID) -> str:
    """Show a draft in the editor, and what was submitted as it is."""
    view = service.get(template_id)
    if view.state == "draft" and access.allowed("templates.edit"):
        return _editor(TemplateForm(formdata=None, data=_data(view)), view)
    return render_template(
        "templates/show.html",
        view=view,
        versions=service.versions(view),
        language_name=language_name,
        **_side(view.content),
    )


@pages.get("/<uuid:template_id>/live")
@needs("templates.view")
def live(template_id: UUID) -> Response:
    """Answer how the review stands; 304 while it does not change."""
    view = service.get(template_id)
    drawn = render_template("templates/_state.html", view=view, language_name=language_name)
    return fragment(drawn, done=view.state != "in_review")


@pages.post("/<uuid:template_id>")
@needs("templates.edit")
def save(template_id: UUID) -> Answer:
    """Save a draft, and submit it when the person pressed that button."""
    form = TemplateForm()
    if form.validate():
        with form.attempt():
            view = service.edit(template_id, _content(form), form.revision.data or 0)
            if request.form.get("then") == "submit":
                service.submit(template_id, _uuid(form.channel.data))
                flash(_("“%(name)s” is being reviewed.", name=view.name), "success")
            else:
                flash(_("The draft is saved."), "success")
            return redirect(url_for(".show", template_id=template_id))
    return _editor(form, service.get(template_id)), 422


@pages.post("/<uuid:template_id>/duplicate")
@needs("templates.edit")
def duplicate(template_id: UUID) -> Response:
    """Begin the next version."""
    view = service.duplicate(template_id)
    flash(_("Version %(number)s is a draft: change it.", number=view.version), "success")
    return redirect(url_for(".show", template_id=view.id))


@pages.post("/<uuid:template_id>/delete")
@needs("templates.edit")
def delete(template_id: UUID) -> Response:
    """Delete a draft."""
    service.delete(template_id)
    flash(_("The draft is deleted."), "success")
    return redirect(url_for(".index"))


# --- forms and what they mean


def filled(form: TemplateForm) -> list[Button]:
    """List the buttons a person chose a kind for."""
    rows: list[Mapping[str, Any]] = [entry.data for entry in form.buttons.entries]
    return [
        Button(
            row["kind"],
            row["text"] or "",
            (row["url"] or "") if row["kind"] == "url" else "",
        )
        for row in rows
        if row["kind"] in ("quick_reply", "url")
    ]


def languages() -> list[tuple[str, str]]:
    """List the languages of templates by name, the common ones first."""
    rest = sorted(set(rendering.LANGUAGES) - set(COMMON), key=language_name)
    return [(code, language_name(code)) for code in (*COMMON, *rest)]


def language_name(code: str) -> str:
    """Name a language in its own words; its code when nobody knows it."""
    from babel import Locale, UnknownLocaleError

    try:
        name = Locale.parse(code).get_display_name()
    except (UnknownLocaleError, ValueError):
        name = None
    return f"{name[:1].upper()}{name[1:]} ({code})" if name else code


def _content(form: TemplateForm) -> Content:
    given: MultiDict[str, str] = request.form
    samples = {
        name.removeprefix(SAMPLE): value.strip()
        for name, value in given.items()
        if name.startswith(SAMPLE)
    }
    return Content(
        name=(form.name.data or "").strip(),
        language=form.language.data or "",
        category=form.category.data or "",
        header=form.header.data or "",
        body=form.body.data or "",
        footer=form.footer.data or "",
        buttons=tuple(filled(form)),
        samples=samples,
    )


def _data(view: View) -> dict[str, Any]:
    content = view.content
    return {
        "name": view.name,
        "language": view.language,
        "category": view.asked_category,
        "header": content.header,
        "body": content.body,
        "footer": content.footer,
        "buttons": [
            {"kind": b.kind, "text": b.text, "url": b.url} for b in content.buttons
        ],
        "channel": str(view.channel_id or ""),
        "revision": view.revision,
    }


def _side(content: Content) -> dict[str, Any]:
    """Put together what stands beside the editor: phone, checks, samples."""
    samples = content.samples
    return {
        "header": rendering.preview(content.header, samples),
        "body": rendering.preview(content.body, samples),
        "footer": content.footer,
        "buttons": [
            {"text": b.text, "kind": "url" if b.kind == "url" else "reply"}
            for b in content.buttons
        ],
        "business": current_actor().account_name,
        "checks": rendering.checks(content),
        "samples": [(name, samples.get(name, "")) for name in rendering.variables(content)],
        "sample_prefix": SAMPLE,
    }


def _editor(form: TemplateForm, view: View | None) -> str:
    typed = request.method == "POST" or view is None
    content = _content(form) if typed else view.content  # type: ignore[union-attr]
    return render_template(
        "templates/edit.html",
        form=form,
        view=view,
        limits=rendering,
        places=service.places(),
        editing=True,
        **_side(content),
    )


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


def ready() -> dict[str, Any]:
    """Return this plugin's step on the way to the first campaign."""
    return {
        "title": _("Get a template approved"),
        "text": _("The first message to somebody needs wording the provider has approved."),
        "done": bool(service.counts().get("approved")),
        "url": url_for("templates.index"),
        "minutes": 10,
    }
