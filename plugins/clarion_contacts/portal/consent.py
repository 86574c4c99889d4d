"""Pages about consent: how it stands, sign-up forms, topics, requests, and proof cards."""

from typing import Any
from uuid import UUID

from flask import (
    Response,
    flash,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import format_datetime
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from wtforms import BooleanField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from clarion.base.settings import settings
from clarion.messaging import channels
from clarion.tenancy import access
from clarion.web import codes
from clarion.web.pages import Form, fragment, needs
from clarion_contacts import service
from clarion_contacts.portal.forms import ACTIONS, METHODS, pages
from clarion_contacts.records import Signup

NEEDED = InputRequired(lazy("This is needed."))
KINDS = {
    "copy": lazy("A copy of what is kept"),
    "correction": lazy("A correction"),
    "erasure": lazy("To be forgotten"),
}
SEALS = {
    "sealed": lazy("Sealed, and as it was written"),
    "waiting": lazy("Will be sealed within a minute"),
    "broken": lazy("Broken: it is not as it was written"),
}


def _numbers() -> list[tuple[str, str]]:
    found = [(str(one.id), f"{one.number} · {one.name}") for one in channels.senders()]
    return found or [("", _("No number is connected yet"))]


class SignupForm(Form):
    """A sign-up form: its words, and how people join."""

    name = StringField(
        lazy("Name"), [NEEDED, Length(max=80)], description=lazy("Only your team sees it.")
    )
    wording = TextAreaField(
        lazy("The words people agree to"),
        [NEEDED, Length(max=4_000)],
        description=lazy(
            "They name your business and say that messages will come, as in “I want offers"
            " from Casa Verde by WhatsApp, about twice a month. I can stop whenever I like.”"
        ),
    )
    by_mail = BooleanField(lazy("By e-mail: they type their address, and open a link"))
    word = StringField(
        lazy("By WhatsApp: they write this word to your number"),
        [Length(max=40)],
        description=lazy(
            "One short word, as in JOIN. Clarion asks back, and YES signs them up. Empty:"
            " not by WhatsApp."
        ),
    )
    sender_id = SelectField(lazy("To which number?"), choices=_numbers)


class TopicForm(Form):
    """A topic people can choose."""

    name = StringField(
        lazy("Name"),
        [NEEDED, Length(max=80)],
        description=lazy("As people understand it: Offers, News, Appointments."),
    )
    about = StringField(
        lazy("In one sentence"),
        [Length(max=300)],
        description=lazy("What comes, and about how often."),
    )
    templates = TextAreaField(
        lazy("Templates that are about it"),
        [Length(max=10_000)],
        description=lazy(
            "Their names, one in each line. Who stopped the topic gets none of them."
        ),
    )


@pages.get("/consent")
@needs("contacts.view")
def standing() -> str:
    """Show how consent stands: numbers, what ends soon, what last night found."""
    ending, soon = service.ageing()
    return render_template(
        "contacts/consent.html",
        numbers=service.numbers(),
        ending=ending,
        soon=soon,
        check=service.last_check(),
        open_requests=service.waiting(),
    )


# --- sign-up forms


@pages.get("/consent/forms")
@needs("contacts.view")
def signups() -> str:
    """List the sign-up forms with their addresses."""
    return render_template(
        "contacts/signups.html", rows=service.signups(), base=settings().public_url
    )


@pages.route("/consent/forms/new", methods=["GET", "POST"])
@needs("contacts.consent")
def new_signup() -> Any:
    """Make a sign-up form."""
    form = SignupForm(by_mail=True)
    return _kept_signup(form, None)


@pages.route("/consent/forms/<uuid:signup_id>", methods=["GET", "POST"])
@needs("contacts.consent")
def edit_signup(signup_id: UUID) -> Any:
    """Change a sign-up form; new words are a new version."""
    row = service.get_signup(signup_id)
    form = SignupForm(
        obj=row, wording=service.wording_text(row), sender_id=str(row.sender_id)
    )
    return _kept_signup(form, signup_id, row)


@pages.get("/consent/forms/<uuid:signup_id>/<way>.svg")
@needs("contacts.view")
def signup_code(signup_id: UUID, way: str) -> Response:
    """Draw the link of a form's page, or of its word, as a QR code; a file when asked."""
    name, link = service.signup_link(signup_id, way)
    answer = make_response(codes.svg(link, name), 200, {"Content-Type": "image/svg+xml"})
    if request.args.get("save"):
        file = f"{name}-{way}.svg"
        answer.headers.set("Content-Disposition", "attachment", filename=file)
    return answer


@pages.post("/consent/forms/<uuid:signup_id>/close")
@needs("contacts.consent")
def close_signup(signup_id: UUID) -> Response:
    """Let nobody join by a form any more."""
    service.close_signup(signup_id)
    flash(_("The form is closed. Who joined by it stays."), "success")
    return make_response(redirect(url_for(".signups")))


@pages.post("/consent/words")
@needs("contacts.view")
def check_words() -> Response:
    """Say what words lack, while they are typed."""
    said = request.form.get("wording", "")
    lacking = service.lint(said) if said.strip() else []
    return fragment(
        render_template("contacts/_words.html", lacking=lacking, typed=bool(said.strip()))
    )


# --- topics


@pages.route("/consent/topics", methods=["GET", "POST"])
@needs("contacts.view")
def topics() -> Any:
    """List the topics; add one."""
    form = TopicForm()
    if form.is_submitted():
        access.require("contacts.consent")
    if form.validate_on_submit():
        with form.attempt():
            service.keep_topic(form.name.data, form.about.data or "", _lines(form))
            flash(_("The topic is there."), "success")
            return redirect(url_for(".topics"))
    page = render_template("contacts/topics.html", rows=service.topics(), form=form)
    return make_response(page, 422 if form.errors else 200)


@pages.route("/consent/topics/<uuid:topic_id>", methods=["GET", "POST"])
@needs("contacts.consent")
def edit_topic(topic_id: UUID) -> Any:
    """Change a topic."""
    row = service.get_topic(topic_id)
    form = TopicForm(name=row.name, about=row.about, templates="\n".join(row.templates))
    if form.validate_on_submit():
        with form.attempt():
            service.keep_topic(
                form.name.data, form.about.data or "", _lines(form), topic_id
            )
            flash(_("Saved."), "success")
            return redirect(url_for(".topics"))
    page = render_template("contacts/topic.html", row=row, form=form)
    return make_response(page, 422 if form.errors else 200)


@pages.post("/consent/topics/<uuid:topic_id>/retire")
@needs("contacts.consent")
def retire_topic(topic_id: UUID) -> Response:
    """Take a topic off people's pages."""
    service.retire_topic(topic_id)
    flash(_("The topic is gone from people's pages."), "success")
    return make_response(redirect(url_for(".topics")))


# --- requests


@pages.get("/consent/requests")
@needs("contacts.view")
def requests() -> str:
    """List what people asked for on their own pages, with the day it is due."""
    done = request.args.get("done") == "1"
    return render_template(
        "contacts/requests.html", rows=service.requests(done=done), done=done, kinds=KINDS
    )


@pages.post("/consent/requests/<uuid:request_id>/done")
@needs("contacts.consent")
def settle_request(request_id: UUID) -> Response:
    """Note that a request was done."""
    service.settle_request(request_id)
    flash(_("The request is settled."), "success")
    return make_response(redirect(url_for(".requests")))


# --- one person, one message


@pages.get("/<uuid:contact_id>/own-page")
@needs("contacts.edit")
def own_page(contact_id: UUID) -> str:
    """Show the link to a person's own page, to be sent to them."""
    contact = service.get(contact_id)
    link = f"{settings().public_url}/contacts/you/{service.page_of(contact_id)}"
    return render_template("contacts/own_page.html", contact=contact, link=link)


@pages.post("/<uuid:contact_id>/complained")
@needs("contacts.edit")
def complained(contact_id: UUID) -> Response:
    """Record that somebody complained: nothing reaches them any more."""
    service.complain(contact_id)
    flash(_("Nothing is sent to this person any more, not even answers."), "success")
    return make_response(redirect(url_for(".show", contact_id=contact_id)))


@pages.get("/proof/<uuid:message_id>")
@needs("contacts.view")
def proof(message_id: UUID) -> str:
    """Show why one message was allowed to leave; made to be printed."""
    return render_template(
        "contacts/proof.html",
        card=service.card(message_id),
        methods=METHODS,
        actions=ACTIONS,
        seals=SEALS,
        lacks=service.MISSING,
        exact=lambda at: format_datetime(at, "yyyy-MM-dd HH:mm:ss zzz"),
    )


@pages.get("/proof/<uuid:message_id>.json")
@needs("contacts.view")
def proof_file(message_id: UUID) -> Response:
    """Hand the same out as a consent receipt for machines."""
    answer = jsonify(service.receipt(service.card(message_id)))
    answer.headers["Content-Disposition"] = (
        f'attachment; filename="proof-{message_id}.json"'
    )
    return answer


def notices() -> str | None:
    """Draw what about consent waits for somebody, on top of the overview."""
    if not access.allowed("contacts.view"):
        return None
    open_, overdue = service.waiting()
    check = service.last_check()
    broken = check.broken if check else ""
    if not (open_ or broken):
        return None
    return render_template(
        "contacts/_notices.html", open=open_, overdue=overdue, broken=broken
    )


def _kept_signup(
    form: SignupForm, signup_id: UUID | None, row: Signup | None = None
) -> Any:
    if form.validate_on_submit():
        with form.attempt():
            service.keep_signup(
                name=form.name.data or "",
                wording=form.wording.data or "",
                by_mail=bool(form.by_mail.data),
                word=form.word.data or "",
                sender_id=_uuid(form.sender_id.data),
                signup_id=signup_id,
            )
            flash(_("The sign-up form is saved."), "success")
            return redirect(url_for(".signups"))
    page = render_template(
        "contacts/signup.html",
        form=form,
        signup_id=signup_id,
        open=row is not None and row.retired_at is None,
        chat=row is not None and row.word and row.sender_id,
    )
    return make_response(page, 422 if form.errors else 200)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _lines(form: TopicForm) -> list[str]:
    return (form.templates.data or "").splitlines()
