"""The queue of what the watch noticed, a page for each case, and appeals."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, request
from flask_babel import lazy_gettext
from wtforms import IntegerField, RadioField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.misuse import cases, wording
from clarion.web.pages import Form
from clarion.web.screens import Panel, expose, needs

TABS = ("open", "appeal", "closed")


class Decision(Form):
    """What is decided, and in which words the customer reads it."""

    what = RadioField(
        lazy_gettext("Decision"),
        [InputRequired()],
        choices=[
            ("allow", lazy_gettext("Allow: nothing is wrong enough")),
            ("ask", lazy_gettext("Ask the customer first; what is held stays held")),
            ("limit", lazy_gettext("Limit: so many messages a day")),
            ("suspend", lazy_gettext("Suspend: a second person has to confirm")),
        ],
    )
    per_day = IntegerField(lazy_gettext("Messages a day"), [Optional(), NumberRange(0)])
    reason = TextAreaField(
        lazy_gettext("What the customer reads"), [InputRequired(), Length(max=1_000)]
    )


class Appeal(Form):
    """Whether the first decision stands."""

    what = RadioField(
        lazy_gettext("Decision about the appeal"),
        [InputRequired()],
        choices=[
            ("grant", lazy_gettext("Take it back: the account goes on")),
            ("refuse", lazy_gettext("It stands")),
        ],
    )
    reason = TextAreaField(
        lazy_gettext("What the customer reads"), [InputRequired(), Length(max=1_000)]
    )


class ConsoleMisusePanel(Panel):
    """What was noticed, most serious first."""

    route_base = "/misuse"
    title = lazy_gettext("Misuse")

    @expose("/")
    @needs("console.misuse")
    def index(self) -> Any:
        """List cases: open ones, appeals, or those that are over."""
        tab = request.args.get("tab", TABS[0])
        rows = cases.queue(tab, request.args.get("after", ""))
        last = rows[-1] if len(rows) == cases.PAGE else None
        return self.render(
            "console/misuse.html",
            rows=rows,
            tab=tab,
            after=f"{last.score}.{last.id}" if last else "",
            of=wording.of,
        )

    @expose("/<uuid:flag_id>")
    @needs("console.misuse")
    def show(self, flag_id: UUID) -> Any:
        """Show the evidence of one case."""
        return self._page(flag_id)

    @expose("/<uuid:flag_id>/decide", methods=["POST"])
    @needs("console.misuse_decide")
    def decide(self, flag_id: UUID) -> Any:
        """Decide, or ask the customer."""
        form = Decision()
        if form.validate_on_submit():
            with form.attempt():
                flash(_done(flag_id, form), "success")
                return redirect(self.url("show", flag_id=flag_id))
        return self._page(flag_id, form), 422

    @expose("/appeal/<uuid:appeal_id>", methods=["POST"])
    @needs("console.misuse_decide")
    def appeal(self, appeal_id: UUID) -> Any:
        """Decide about an appeal, as somebody who has not decided before."""
        form, flag_id = Appeal(), cases.of_appeal(appeal_id)
        if form.validate_on_submit():
            with form.attempt():
                grant = form.what.data == "grant"
                cases.decide_appeal(appeal_id, form.reason.data or "", grant=grant)
                flash(_("The appeal is decided."), "success")
                return redirect(self.url("show", flag_id=flag_id))
        return self._page(flag_id, form), 422

    def _page(self, flag_id: UUID, sent: Form | None = None) -> str:
        case = cases.read(flag_id)
        return self.render(
            "console/misuse_case.html",
            case=case,
            parts=[wording.of(one) for one in case.flag.parts],
            decision=sent if isinstance(sent, Decision) else Decision(None),
            judging=sent if isinstance(sent, Appeal) else Appeal(None),
        )


def _done(flag_id: UUID, form: Decision) -> str:
    """Call the verb that was chosen; returns what to say."""
    words, what = form.reason.data or "", form.what.data
    if what == "allow":
        cases.allow(flag_id, words)
        return _("Allowed. What was held goes on.")
    if what == "ask":
        cases.ask(flag_id, words)
        return _("The customer has mail, and answers here.")
    if what == "suspend":
        cases.suspend(flag_id, words)
        return _("Noted. Another staff member has to confirm it here.")
    if form.per_day.data is None:
        raise Invalid("per_day_missing", _("Say how many a day."), field="per_day")
    cases.limit(flag_id, form.per_day.data, words)
    return _("Limited. What was held goes on slower.")


VIEWS: tuple[type, ...] = (ConsoleMisusePanel,)
