"""Pages about one account's standing: plan, quotas, notes, timeline, what takes two."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, request, url_for
from flask_babel import lazy_gettext
from wtforms import IntegerField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange

from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.console import accounts
from clarion.console.console_plans import ChooseForm, chosen
from clarion.misuse import measures, plans, quotas, wording
from clarion.tenancy.records import QUOTAS
from clarion.web.pages import Form
from clarion.web.screens import Panel, Screen, expose, needs, settle


class Quota(Form):
    """How much an account may have, and why."""

    at_most = IntegerField(lazy_gettext("At most"), [InputRequired(), NumberRange(0)])
    reason = TextAreaField(lazy_gettext("Reason"), [InputRequired(), Length(max=300)])


class Note(Form):
    """What colleagues should know."""

    text = TextAreaField(lazy_gettext("Note"), [InputRequired(), Length(max=2_000)])


class Reason(Form):
    """Why an account is suspended or closed; the customer reads it."""

    reason = TextAreaField(lazy_gettext("Reason"), [InputRequired(), Length(max=300)])


def searched(view: Screen) -> str:
    """Show a page of the accounts that were asked for."""
    asked, risky = request.args.get("q", ""), "risky" in request.args
    rows = accounts.find(asked, risky=risky, after=request.args.get("after", ""))
    last = rows[-1] if len(rows) == accounts.PAGE else None
    key = (f"{last.score}.{last.id}" if risky else str(last.id)) if last else ""
    return view.render(
        "console/accounts_found.html", rows=rows, asked=asked, risky=risky, after=key
    )


class ConsoleStandingPanel(Panel):
    """One account's standing."""

    route_base = "/standing"
    title = lazy_gettext("Standing")
    within = "ConsoleAccountScreen"

    @expose("/<uuid:account_id>")
    @needs("console.accounts")
    def index(self, account_id: UUID) -> Any:
        """Show usage, risk, quotas and notes."""
        return self._page(account_id)

    @expose("/<uuid:account_id>/timeline")
    @needs("console.accounts")
    def timeline(self, account_id: UUID) -> Any:
        """Show what happened to the account, page by page."""
        try:
            before = UUID(request.args["before"]) if "before" in request.args else None
        except ValueError as error:
            raise NotFound("page_unknown", _("There is no such page.")) from error
        rows = accounts.timeline(account_id, before)
        return self.render(
            "console/account_timeline.html",
            standing=(found := accounts.standing(account_id)),
            account=found.account,
            rows=rows,
            more=rows[-1].id if len(rows) == accounts.PAGE else None,
            tab="timeline",
        )

    @expose("/<uuid:account_id>/plan", methods=["POST"])
    @needs("console.plans_edit")
    def choose(self, account_id: UUID) -> Any:
        """Give the account a plan, or none."""
        form = self._choices(account_id)
        return self._answer(
            account_id,
            form,
            lambda: plans.choose(account_id, chosen(form), form.reason.data or ""),
            _("The plan holds from now on."),
        )

    @expose("/<uuid:account_id>/quota/<kind>", methods=["POST"])
    @needs("console.accounts_limit")
    def put(self, account_id: UUID, kind: str) -> Any:
        """Set a quota."""
        form = Quota()
        return self._answer(
            account_id,
            form,
            lambda: quotas.put(
                account_id, kind, form.at_most.data or 0, form.reason.data or ""
            ),
            _("The quota holds from now on."),
        )

    @expose("/<uuid:account_id>/quota/<kind>/lift", methods=["POST"])
    @needs("console.accounts_limit")
    def lift(self, account_id: UUID, kind: str) -> Any:
        """Lift a quota."""
        done = _("The quota is lifted.")
        back = self.url("index", account_id=account_id)
        return settle(lambda: quotas.lift(account_id, kind), done, back)

    @expose("/<uuid:account_id>/note", methods=["POST"])
    @needs("console.accounts_notes")
    def note(self, account_id: UUID) -> Any:
        """Write a note."""
        form = Note()
        return self._answer(
            account_id,
            form,
            lambda: accounts.note(account_id, form.text.data or ""),
            _("The note is kept."),
        )

    @expose("/<uuid:account_id>/close", methods=["POST"])
    @needs("console.accounts_suspend")
    def close(self, account_id: UUID) -> Any:
        """Want the account closed; somebody else confirms."""
        form = Reason()
        return self._answer(
            account_id,
            form,
            lambda: measures.ask(account_id, "close", form.reason.data or ""),
            _("Noted. Another staff member has to confirm it here."),
        )

    @expose("/measure/<uuid:measure_id>/confirm", methods=["POST"])
    @needs("console.accounts_suspend")
    def confirm(self, measure_id: UUID) -> Any:
        """Do what a colleague asked for."""
        return settle(
            lambda: measures.confirm(measure_id),
            _("Done: nothing more leaves from now on."),
            self._back(measure_id),
        )

    @expose("/measure/<uuid:measure_id>/refuse", methods=["POST"])
    @needs("console.accounts_suspend")
    def refuse(self, measure_id: UUID) -> Any:
        """Decide against it, or take it back."""
        return settle(
            lambda: measures.refuse(measure_id),
            _("Noted: it is not done."),
            self._back(measure_id),
        )

    def _back(self, measure_id: UUID) -> str:
        return url_for("ConsoleAccountScreen.show", pk=measures.whose(measure_id))

    def _answer(self, account_id: UUID, form: Form, act: Any, done: str) -> Any:
        if form.validate_on_submit():
            with form.attempt():
                act()
                flash(done, "success")
                return redirect(self.url("index", account_id=account_id))
        return self._page(account_id, form), 422

    def _choices(self, account_id: UUID, *, filled: bool = True) -> ChooseForm:
        form = ChooseForm() if filled else ChooseForm(None)
        now = plans.of(account_id)
        return form.offer(plans.listing(), now.id if now else None)

    def _page(self, account_id: UUID, sent: Form | None = None) -> str:
        blank: dict[str, Form] = {
            "quota": Quota(None),
            "note": Note(None),
            "reason": Reason(None),
        }
        blank["plan"] = self._choices(account_id, filled=False)
        for name, form in blank.items():
            if type(form) is type(sent) and sent is not None:
                blank[name] = sent
        return self.render(
            "console/account_standing.html",
            standing=(found := accounts.standing(account_id)),
            account=found.account,
            kinds=[(kind, *wording.quota(kind)) for kind in QUOTAS],
            lines={one.kind: one for one in found.usage.lines},
            parts=[wording.of(one) for one in (found.risk.parts if found.risk else [])],
            forms=blank,
            sent_kind=(request.view_args or {}).get("kind", ""),
            tab="standing",
        )


VIEWS: tuple[type, ...] = (ConsoleStandingPanel,)
