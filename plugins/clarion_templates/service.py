"""Write, submit and look up templates. Approved is only what the provider approved."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _, lazy
from clarion.messaging import channels
from clarion.messaging.contract import (
    TemplateButton,
    TemplateCatalogue,
    TemplateText,
    TemplateVerdict,
)
from clarion.misuse import facts
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_templates import rendering
from clarion_templates.events import TemplateJudged, TemplateSubmitted
from clarion_templates.models import Template
from clarion_templates.rendering import Button, Check, Content

audit.label("templates.template.created", "Wrote a template")
audit.label("templates.template.edited", "Changed a template's draft")
audit.label("templates.template.deleted", "Deleted a template's draft")
audit.label("templates.template.submitted", "Submitted a template for review")
audit.label("templates.template.judged", "A template was judged by the provider")

PAGE = 50


@dataclass(frozen=True, slots=True)
class View:
    """A template as pages and other plugins see it; nothing lazy.

    `category` is the provider's once it has spoken; `asked_category` is what was asked
    for. `reason` is a sentence.
    """

    id: UUID
    name: str
    language: str
    version: int
    provider_name: str
    category: str
    asked_category: str
    state: str
    reason: str
    channel_id: UUID | None
    revision: int
    submitted_at: dt.datetime | None
    judged_at: dt.datetime | None
    updated_at: dt.datetime
    content: Content

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables of all parts, in order of appearance."""
        return rendering.variables(self.content)

    @property
    def title(self) -> str:
        """Name, language and version, for lists and choices."""
        tail = f" · v{self.version}" if self.version > 1 else ""
        return f"{self.name} · {self.language}{tail}"


@dataclass(frozen=True, slots=True)
class Handover:
    """What a job hands to the provider: the words, and through which connection."""

    channel_id: UUID
    text: TemplateText
    provider_id: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A connection whose provider judges templates."""

    id: UUID
    name: str


# --- reading


def listing(
    *, state: str = "", search: str = "", after: UUID | None = None, limit: int = PAGE
) -> list[View]:
    """List templates, newest first, in one query."""
    access.require("templates.view")
    query = _mine().order_by(Template.id.desc()).limit(limit)
    if state:
        query = query.where(Template.state == state)
    if search:
        query = query.where(Template.name.contains(search.lower(), autoescape=True))
    if after:
        query = query.where(Template.id < after)
    return [_view(row) for row in db.session().scalars(query)]


def counts() -> dict[str, int]:
    """Count templates by state."""
    query = select(Template.state, func.count()).where(
        Template.account_id == current_account()
    )
    return {s: n for s, n in db.session().execute(query.group_by(Template.state))}  # noqa: C416 -- rows are not pairs


def get(template_id: UUID) -> View:
    """Look one template up."""
    access.require("templates.view")
    return _view(_found(template_id))


def note_fields(context: Mapping[str, Any]) -> None:
    """Say which of some fields templates have a variable of: such are filled by them."""
    if keys := context["keys"]:
        for row in db.session().scalars(_mine()):
            context["used"].update(keys & set(_view(row).variables))


def versions(view: View) -> list[View]:
    """List all versions of a template's name and language, newest first."""
    query = _mine().where(Template.name == view.name, Template.language == view.language)
    rows = db.session().scalars(query.order_by(Template.version.desc()).limit(PAGE))
    return [_view(row) for row in rows]


def snapshot(template_id: UUID) -> dict[str, Any]:
    """Return an approved template as a send order keeps it.

    Raises:
        Conflict: it is not approved (any more).
    """
    row = _found(template_id)
    if row.state != "approved":
        raise Conflict("template_not_approved", _("This template is not approved."))
    content = _content(row)
    return {
        "name": row.provider_name,
        "language": row.language,
        "parameter_format": row.parameter_format,
        "parts": rendering.parts(content),
        "text": {
            "header": row.header,
            "body": row.body,
            "footer": row.footer,
            "buttons": list(row.buttons),
        },
    }


def places() -> list[Place]:
    """List the connections a template can be submitted through."""
    known = channels.transports()
    return [
        Place(c.id, c.name)
        for c in channels.listing()
        if isinstance(known.get(c.transport), TemplateCatalogue)
    ]


# --- writing


def create(content: Content) -> View:
    """Write a new draft.

    Raises:
        Invalid: no usable name, language or category; a draft may lack the rest.
        Conflict: the name exists in this language.
    """
    access.require("templates.edit")
    content = _tidy(content)
    _refuse_unusable(content)
    row = Template(
        id=db.new_id(),
        name=content.name,
        language=content.language,
        version=1,
        provider_name=content.name,
        category=content.category,
    )
    _write(row, content)
    _add(row)
    audit.record("templates.template.created", row, version=1)
    return _view(row)


def edit(template_id: UUID, content: Content, revision: int) -> View:
    """Change a draft.

    Args:
        template_id: which one.
        content: all of it; the name and language of a later version stay as they are.
        revision: the one the person was looking at.

    Raises:
        Conflict: submitted already, or somebody else changed it meanwhile.
    """
    access.require("templates.edit")
    row = _locked(template_id)
    _require_draft(row)
    if row.revision != revision:
        raise Conflict(
            "template_changed",
            _("Somebody changed this draft meanwhile. Look at it again before you save."),
        )
    content = _tidy(content)
    _refuse_unusable(content)
    if row.version == 1:
        row.name = row.provider_name = content.name
        row.language = content.language
    row.category = content.category
    _write(row, content)
    row.revision += 1
    row.updated_at = func.clarion_now()
    _flush_named()
    db.session().refresh(row)
    audit.record("templates.template.edited", row, revision=row.revision)
    return _view(row)


def delete(template_id: UUID) -> None:
    """Delete a draft; what was submitted stays, because messages were sent with it."""
    access.require("templates.edit")
    row = _locked(template_id)
    _require_draft(row)
    audit.record("templates.template.deleted", row, version=row.version)
    db.session().delete(row)


def duplicate(template_id: UUID) -> View:
    """Begin the next version of a submitted template; a second click finds the first's.

    Raises:
        Conflict: it is a draft itself.
    """
    access.require("templates.edit")
    row = _locked(template_id)
    if row.state == "draft":
        raise Conflict("template_is_draft", _("This is a draft already: just change it."))
    newest = (
        db.session()
        .scalars(
            _mine()
            .where(Template.name == row.name, Template.language == row.language)
            .order_by(Template.version.desc())
            .limit(1)
        )
        .one()
    )
    if newest.state == "draft":
        return _view(newest)
    version = newest.version + 1
    new = Template(
        id=db.new_id(),
        name=row.name,
        language=row.language,
        version=version,
        provider_name=f"{row.name}_v{version}",
        category=row.category,
    )
    _write(new, _content(row))
    _add(new)
    audit.record("templates.template.created", new, version=version)
    return _view(new)


def submit(template_id: UUID, channel_id: UUID | None = None) -> View:
    """Hand a draft over for review. From here on its words never change.

    Args:
        template_id: which draft.
        channel_id: the connection to submit through; may be left out when there is one.

    Raises:
        Invalid: something the provider would refuse; the first problem, with its field.
        Conflict: submitted already, or no connection to submit through.
    """
    access.require("templates.submit")
    row = _locked(template_id)
    _require_draft(row)
    blocking = [c for c in rendering.problems(_content(row)) if c.level == "bad"]
    if blocking:
        raise Invalid("template_invalid", blocking[0].text, field=blocking[0].field)
    place = _place(channel_id)

    row.state, row.reason, row.channel_id = "in_review", "", place.id
    row.submitted_at = row.updated_at = func.clarion_now()
    db.session().flush()
    db.session().refresh(row)
    audit.record("templates.template.submitted", row, version=row.version)
    content = _content(row)
    facts.linked(row.id, [content.body, content.footer, *(b.url for b in content.buttons)])
    outbox.publish(TemplateSubmitted(template_id=row.id))
    return _view(row)


# --- what the provider says; called by jobs


def handover(template_id: UUID) -> Handover | None:
    """Return what to hand in or ask about. `None`: nothing is under way."""
    row = db.session().scalar(_mine().where(Template.id == template_id))
    if row is None or row.state == "draft" or row.channel_id is None:
        return None
    content = _content(row)
    text = TemplateText(
        name=row.provider_name,
        language=row.language,
        category="utility" if row.category == "utility" else "marketing",
        header=content.header,
        body=content.body,
        footer=content.footer,
        buttons=tuple(TemplateButton(b.kind, b.text, b.url) for b in content.buttons),
        samples=content.samples,
    )
    return Handover(row.channel_id, text, row.provider_id)


def judge(template_id: UUID, verdict: TemplateVerdict) -> str:
    """Write down what the provider says; return the state that follows.

    Harmless when repeated. Words that are not ours under our name are a refusal: the
    name was taken at the provider before us.
    """
    row = _locked(template_id)
    if row.state == "draft":
        return row.state
    state, reason = verdict.status, verdict.reason
    if verdict.body and verdict.body.strip() != row.body.strip():
        state, reason = "rejected", "name_taken"
    row.provider_id = verdict.provider_id[:60]
    row.judged_category = verdict.category[:20]
    _move(row, state, reason if state != "approved" else "")
    return row.state


def refuse(template_id: UUID, reason: str) -> None:
    """Write down that the provider would not even take it."""
    row = _locked(template_id)
    if row.state == "in_review" and row.provider_id is None:
        _move(row, "rejected", reason)


def take_back(template_id: UUID, reason: str) -> None:
    """Make it a draft again: the connection is at fault, the template was not judged."""
    row = _locked(template_id)
    if row.state == "in_review" and row.provider_id is None:
        row.submitted_at = None
        _move(row, "draft", reason)


def of_provider(provider_id: str) -> list[UUID]:
    """Find templates by the provider's id."""
    query = _mine().with_only_columns(Template.id)
    return list(db.session().scalars(query.where(Template.provider_id == provider_id)))


# --- private


def _move(row: Template, state: str, reason: str) -> None:
    if (row.state, row.reason) == (state, reason[:400]):
        return
    row.state, row.reason = state, reason[:400]
    row.judged_at = row.updated_at = func.clarion_now()
    db.session().flush()
    audit.record("templates.template.judged", row, state=state)
    outbox.publish(TemplateJudged(template_id=row.id, state=state))


def _tidy(content: Content) -> Content:
    def clean(text: str) -> str:
        return rendering.canonical(text.replace("\r\n", "\n").strip())

    kept = rendering.variables(content)
    return Content(
        name=content.name.strip().lower(),
        language=content.language,
        category=content.category,
        header=clean(content.header),
        body=clean(content.body),
        footer=clean(content.footer),
        buttons=tuple(
            Button(b.kind, b.text.strip(), clean(b.url)) for b in content.buttons
        ),
        samples={n: content.samples[n].strip() for n in kept if content.samples.get(n)},
    )


def _refuse_unusable(content: Content) -> None:
    """Refuse what cannot even be kept as a draft."""
    for one in rendering.problems(content):
        if one.level == "bad" and one.field in ("name", "language", "category"):
            raise Invalid(f"template_{one.field}_invalid", one.text, field=one.field)
    for field, limit in (("header", 400), ("body", 4000), ("footer", 400)):
        if len(getattr(content, field)) > limit:
            said = _("This text is far too long to be kept.")
            raise Invalid("template_too_long", said, field=field)


def _write(row: Template, content: Content) -> None:
    row.header, row.body, row.footer = content.header, content.body, content.footer
    row.buttons = [{"kind": b.kind, "text": b.text, "url": b.url} for b in content.buttons]
    row.samples = dict(content.samples)


def _add(row: Template) -> None:
    db.session().add(row)
    _flush_named()
    db.session().refresh(row)


def _flush_named() -> None:
    """Write now, so that a name that is taken is told in words."""
    try:
        db.session().flush()
    except IntegrityError as error:
        said = _("There is a template with this name in this language already.")
        raise Conflict("template_name_taken", said, field="name") from error


def _require_draft(row: Template) -> None:
    if row.state != "draft":
        raise Conflict(
            "template_not_draft",
            _("This version was submitted and cannot be changed. Make a new version."),
        )


def _place(channel_id: UUID | None) -> Place:
    found = places()
    if not found:
        said = _("Connect a number first: templates are judged by its provider.")
        raise Conflict("template_no_channel", said)
    if channel_id is None:
        if len(found) > 1:
            said = _("Choose the connection to submit through.")
            raise Invalid("template_channel_missing", said, field="channel")
        return found[0]
    for place in found:
        if place.id == channel_id:
            return place
    raise NotFound("channel_unknown", _("There is no such connection."))


def _mine() -> Select[tuple[Template]]:
    return select(Template).where(Template.account_id == current_account())


def _found(template_id: UUID) -> Template:
    row = db.session().scalar(_mine().where(Template.id == template_id))
    if row is None:
        raise NotFound("template_unknown", _("There is no such template."))
    return row


def _locked(template_id: UUID) -> Template:
    query = _mine().where(Template.id == template_id).with_for_update()
    row = db.session().scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise NotFound("template_unknown", _("There is no such template."))
    return row


def _content(row: Template) -> Content:
    return Content(
        name=row.name,
        language=row.language,
        category=row.category,
        header=row.header,
        body=row.body,
        footer=row.footer,
        buttons=tuple(_button(b) for b in row.buttons),
        samples=row.samples,
    )


def _button(stored: Mapping[str, str]) -> Button:
    kind = "url" if stored.get("kind") == "url" else "quick_reply"
    return Button(kind, stored.get("text", ""), stored.get("url", ""))  # type: ignore[arg-type]


def _view(row: Template) -> View:
    return View(
        id=row.id,
        name=row.name,
        language=row.language,
        version=row.version,
        provider_name=row.provider_name,
        category=row.judged_category or row.category,
        asked_category=row.category,
        state=row.state,
        reason=_sentence(row.reason),
        channel_id=row.channel_id,
        revision=row.revision,
        submitted_at=row.submitted_at,
        judged_at=row.judged_at,
        updated_at=row.updated_at,
        content=_content(row),
    )


def _sentence(reason: str) -> str:
    """Say a provider's reason in words; its own sentence where it gave one."""
    return str(REASONS.get(reason, reason))


REASONS: Mapping[str, Any] = {
    "INVALID_FORMAT": lazy(
        "A variable or another part is written in a way WhatsApp refuses."
    ),
    "TAG_CONTENT_MISMATCH": lazy("The words do not fit the category or the language."),
    "ABUSIVE_CONTENT": lazy("WhatsApp finds the words abusive."),
    "PROMOTIONAL": lazy("It promotes something, which this category does not allow."),
    "INCORRECT_CATEGORY": lazy("It belongs to another category."),
    "SCAM": lazy("WhatsApp takes it for a fraud."),
    "NONE": "",
    "name_taken": lazy(
        "The provider has other words under this name and language. Choose another name."
    ),
    "connection": lazy(
        "It was not submitted: the connection was refused. Look at Senders, then try again."
    ),
}


__all__ = [
    "Check",
    "Content",
    "Handover",
    "Place",
    "View",
    "counts",
    "create",
    "delete",
    "duplicate",
    "edit",
    "get",
    "handover",
    "judge",
    "listing",
    "of_provider",
    "places",
    "refuse",
    "snapshot",
    "submit",
    "take_back",
    "versions",
]
