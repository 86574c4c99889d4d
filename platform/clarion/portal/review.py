"""What the watch noticed about this account, what was decided, and an appeal against it."""

from typing import Any
from uuid import UUID

from flask import flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length

from clarion.base.errors import NotFound
from clarion.misuse import appeals, wording
from clarion.web.pages import Form, Pages, needs

pages = Pages("review", __name__, prefix="/review")


class WordForm(Form):
    """What somebody writes to us."""

    text = TextAreaField(
        lazy("Your answer"), [InputRequired(lazy("This is needed.")), Length(max=2_000)]
    )


@pages.get("/")
@needs("portal.review")
def index() -> Any:
    """Show how the account stands, and the cases that can be read."""
    try:
        before = UUID(request.args["before"]) if "before" in request.args else None
    except ValueError as error:
        raise NotFound("page_unknown", _("There is no such page.")) from error
    found = appeals.review(before)
    more = found.cases[-1].id if len(found.cases) == appeals.PAGE else None
    return render_template("portal/review.html", review=found, more=more, of=wording.of)


@pages.get("/<uuid:flag_id>")
@needs("portal.review")
def show(flag_id: UUID) -> Any:
    """Show one case: what was measured, what was decided, what was written."""
    return _page(flag_id, WordForm(formdata=None))


@pages.post("/<uuid:flag_id>/answer")
@needs("portal.review")
def answer(flag_id: UUID) -> Any:
    """Write to whoever looks at it."""
    form = WordForm()
    if form.validate():
        with form.attempt():
            appeals.write(flag_id, form.text.data or "")
            flash(_("We have your answer."), "success")
            return redirect(url_for(".show", flag_id=flag_id))
    return _page(flag_id, form)


@pages.post("/<uuid:flag_id>/appeal")
@needs("portal.review")
def appeal(flag_id: UUID) -> Any:
    """Ask for another look, by somebody who has not decided."""
    form = WordForm()
    if form.validate():
        with form.attempt():
            appeals.appeal(flag_id, form.text.data or "")
            flash(_("Somebody else looks at it again. You get mail."), "success")
            return redirect(url_for(".show", flag_id=flag_id))
    return _page(flag_id, form)


def _page(flag_id: UUID, form: WordForm) -> Any:
    case, words = appeals.case(flag_id)
    page = render_template(
        "portal/review_case.html",
        case=case,
        words=words,
        parts=[wording.of(one) for one in case.parts],
        form=form,
    )
    return make_response(page, 422 if form.errors else 200)
