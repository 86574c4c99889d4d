"""Pages of the people an account writes to: sign up, confirm, choose, stop, ask.

No account, no cookie, no token of a form: the signed address is all there is. A wrong one
answers like one that never was.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Response, make_response, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from wtforms import BooleanField, EmailField, RadioField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from clarion.base import db, limits
from clarion.base.errors import Conflict
from clarion.tenancy.actor import CONTACT
from clarion.tenancy.scope import account_scope, current_actor
from clarion.web.pages import Form, public_without_session
from clarion_contacts import service
from clarion_contacts.portal.consent import KINDS
from clarion_contacts.portal.forms import ACTIONS, METHODS, pages

# a person pressing buttons stays far below; stops are never counted
PER_LINK = limits.Limit("contacts.link", 60, 600)
ONE_CLICK = ("List-Unsubscribe", "One-Click")


class JoinForm(Form):
    """Somebody who wants messages."""

    email = EmailField(
        lazy("Your e-mail"), [InputRequired(lazy("This is needed.")), Length(max=254)]
    )
    name = StringField(lazy("Your name"), [Length(max=200)])
    agree = BooleanField(
        lazy("Yes"), [InputRequired(lazy("Tick this if you want it; else close the page."))]
    )


class AskForm(Form):
    """What a person asks of the account."""

    kind = RadioField(lazy("What do you want?"), choices=lambda: list(KINDS.items()))
    note = TextAreaField(lazy("What should be known for it?"), [Length(max=2_000)])


@contextmanager
def _holding(kind: service.LinkKind, token: str) -> Iterator[UUID]:
    """Act as who holds a link, inside its account, in a transaction of its own."""
    opened, who = service.read_link(kind, token), current_actor()
    contact = replace(CONTACT, address=who.address, request_id=who.request_id)
    with account_scope(opened.account_id, contact), db.transaction():
        yield opened.row_id


# --- sign up


@pages.route("/join/<token>", methods=["GET", "POST"])
@public_without_session
def join(token: str) -> Any:
    """Show a form's words; take an address that wants them, and say to look for the mail."""
    form = JoinForm()
    with _holding("form", token) as signup_id:
        shown = service.shown(signup_id)
        if shown.by_mail and form.validate_on_submit():
            with form.attempt():
                service.join_by_mail(
                    signup_id, form.email.data or "", form.name.data or "", _language()
                )
                return redirect(url_for(".joining", token=token))
        page = render_template("contacts/public/join.html", form=form, shown=shown)
        return make_response(page, 422 if form.errors else 200)


@pages.get("/join/<token>/sent")
@public_without_session
def joining(token: str) -> str:
    """Say that a mail is on its way, whoever was typed."""
    with _holding("form", token) as signup_id:
        return render_template("contacts/public/sent.html", shown=service.shown(signup_id))


@pages.route("/join/confirm/<token>", methods=["GET", "POST"])
@public_without_session
def confirm(token: str) -> Any:
    """Take the second yes. Looking changes nothing: mail scanners open links too."""
    with _holding("confirm", token) as joining_id:
        shown = service.asked(joining_id)
        if shown is None:
            return _over()
        if request.method == "POST":
            page = service.confirm_by_mail(joining_id, _language())
            return redirect(url_for(".you", token=page, joined=1))
        return render_template("contacts/public/confirm.html", shown=shown)


# --- stop


@pages.route("/stop/<token>", methods=["GET", "POST"])
@public_without_session
def stop(token: str) -> Any:
    """Stop everything: by one press here, or a mail provider's POST (RFC 8058)."""
    with _holding("stop", token) as contact_id:
        own = service.own_page(contact_id)
        if request.method == "POST":
            service.stop_everything(contact_id, method="unsubscribe")
        return _stopped(own.business, done=request.method == "POST")


@pages.route("/decline/<token>", methods=["GET", "POST"])
@public_without_session
def decline(token: str) -> Any:
    """Say that it was somebody else who typed this address."""
    with _holding("decline", token) as joining_id:
        if request.method == "POST":
            service.decline(joining_id)
        return _stopped(service.business_name(), done=request.method == "POST")


# --- a person's own page


@pages.get("/you/<token>")
@public_without_session
def you(token: str) -> Any:
    """Show who writes and why, and what can be changed."""
    with _holding("page", token) as contact_id:
        return _own(contact_id, token, AskForm(formdata=None))


@pages.post("/you/<token>/stop")
@public_without_session
def stop_all(token: str) -> Response:
    """Stop everything, at once."""
    with _holding("page", token) as contact_id:
        service.stop_everything(contact_id)
    return make_response(redirect(url_for(".you", token=token, stopped=1)))


@pages.post("/you/<token>/topics", lists=("topic",))
@public_without_session
def choose(token: str) -> Response:
    """Keep which topics are wanted."""
    with _holding("page", token) as contact_id:
        limits.hit(PER_LINK, str(contact_id))
        wanted = {one for one in map(_uuid, request.form.getlist("topic")) if one}
        service.choose(contact_id, wanted)
    return make_response(redirect(url_for(".you", token=token, saved=1)))


@pages.post("/you/<token>/ask")
@public_without_session
def ask(token: str) -> Any:
    """Ask the account for a copy, a correction or erasure."""
    form = AskForm()
    with _holding("page", token) as contact_id:
        limits.hit(PER_LINK, str(contact_id))
        if form.validate_on_submit():
            with form.attempt():
                service.request(contact_id, form.kind.data or "", form.note.data or "")
                return redirect(url_for(".you", token=token, asked=1))
        return make_response(_own(contact_id, token, form), 422)


def _own(contact_id: UUID, token: str, form: AskForm) -> str:
    return render_template(
        "contacts/public/you.html",
        own=service.own_page(contact_id),
        token=token,
        form=form,
        actions=ACTIONS,
        methods=METHODS,
        kinds=KINDS,
    )


def _stopped(business: str, *, done: bool) -> Any:
    name, value = ONE_CLICK
    if done and request.form.get(name) == value:  # a machine asks; it reads no page
        return make_response("", 200, {"Content-Type": "text/plain"})
    return render_template("contacts/public/stop.html", business=business, done=done)


def _over() -> Response:
    error = Conflict("link_over", _("This link was used already or is too old."))
    return make_response(render_template("contacts/public/over.html", text=error.text), 404)


def _language() -> str:
    return str(get_locale() or "en").partition("_")[0]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
