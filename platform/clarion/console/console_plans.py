"""Plans: what staff may give accounts, and giving one."""

from typing import Any
from uuid import UUID

from flask import flash, redirect
from flask_babel import lazy_gettext
from wtforms import IntegerField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.misuse import plans, wording
from clarion.tenancy.records import QUOTAS
from clarion.web.pages import Form
from clarion.web.screens import Panel, expose, needs, settle

NONE = "none"


class PlanForm(Form):
    """What a plan is called and what it limits; what is left empty has no limit."""

    name = StringField(lazy_gettext("Name"), [InputRequired(), Length(max=40)])
    about = StringField(lazy_gettext("What it is for"), [Optional(), Length(max=200)])
    place = IntegerField(
        lazy_gettext("Place in the list"), [Optional(), NumberRange(0, 1_000)]
    )
    people = IntegerField(lazy_gettext("People"), [Optional(), NumberRange(0)])
    messages = IntegerField(lazy_gettext("Messages a day"), [Optional(), NumberRange(0)])
    senders = IntegerField(lazy_gettext("Numbers"), [Optional(), NumberRange(0)])

    def draft(self) -> plans.Draft:
        """Answer what was written."""
        limits = {kind: self[kind].data for kind in QUOTAS if self[kind].data is not None}
        return plans.Draft(
            self.name.data or "", self.about.data or "", self.place.data or 0, limits
        )


class ChooseForm(Form):
    """Which plan an account has, and why."""

    plan = SelectField(lazy_gettext("Plan"))
    reason = TextAreaField(lazy_gettext("Reason"), [InputRequired(), Length(max=300)])

    def offer(self, lines: list[plans.Line], now: UUID | None) -> "ChooseForm":
        """Offer what may be chosen: the plans on offer but the present one, and none."""
        free = [(str(one.id), one.name) for one in lines if not one.retired]
        none = [(NONE, _("No plan"))] if now else []
        self.plan.choices = [one for one in free if one[0] != str(now)] + none
        return self


class ConsolePlanPanel(Panel):
    """The plans there are."""

    route_base = "/plans"
    title = lazy_gettext("Plans")

    @expose("/")
    @needs("console.accounts")
    def index(self) -> Any:
        """List the plans, what each limits, and how many accounts have it."""
        return self._page()

    @expose("/write", methods=["POST"])
    @needs("console.plans_edit")
    def write(self) -> Any:
        """Write a new plan."""
        form = PlanForm()
        if form.validate_on_submit():
            with form.attempt():
                plans.write(form.draft())
                flash(_("The plan is there. Choose it on an account’s page."), "success")
                return redirect(self.url("index"))
        return self._page(form), 422

    @expose("/<uuid:plan_id>/change", methods=["POST"])
    @needs("console.plans_edit")
    def change(self, plan_id: UUID) -> Any:
        """Change a plan."""
        form = PlanForm(prefix=plan_id.hex)
        if form.validate_on_submit():
            with form.attempt():
                plans.change(plan_id, form.draft())
                flash(
                    _("Changed. The accounts that have it follow by themselves."), "success"
                )
                return redirect(self.url("index"))
        return self._page(form, plan_id), 422

    @expose("/<uuid:plan_id>/retire", methods=["POST"])
    @needs("console.plans_edit")
    def retire(self, plan_id: UUID) -> Any:
        """Offer a plan no more."""
        said = _("Nobody gets it any more. Accounts that have it keep it.")
        return settle(lambda: plans.retire(plan_id), said, self.url("index"))

    @expose("/<uuid:plan_id>/offer", methods=["POST"])
    @needs("console.plans_edit")
    def offer(self, plan_id: UUID) -> Any:
        """Offer a plan again."""
        return settle(
            lambda: plans.offer(plan_id), _("It is on offer again."), self.url("index")
        )

    def _page(self, sent: PlanForm | None = None, plan_id: UUID | None = None) -> str:
        rows = plans.listing()
        # a page of many forms: each has names of its own
        forms = {one.id: PlanForm(None, prefix=one.id.hex, data=_said(one)) for one in rows}
        blank = PlanForm(None)
        if sent is not None and plan_id in forms:
            forms[plan_id] = sent
        elif sent is not None:
            blank = sent
        kinds = [(kind, *wording.quota(kind)) for kind in QUOTAS]
        columns = [{"title": title, "cls": "r"} for _kind, title, _about in kinds]
        return self.render(
            "console/plans.html",
            rows=rows,
            forms=forms,
            blank=blank,
            opened=plan_id if sent is not None else None,
            kinds=kinds,
            columns=columns,
        )


def _said(one: plans.Line) -> dict[str, Any]:
    return {"name": one.name, "about": one.about, "place": one.place, **one.limits}


def chosen(form: ChooseForm) -> UUID | None:
    """Read which plan was chosen; None for no plan."""
    if form.plan.data == NONE:
        return None
    try:
        return UUID(form.plan.data or "")
    except ValueError as error:
        raise Invalid("plan_unknown", _("Choose a plan."), field="plan") from error


VIEWS: tuple[type, ...] = (ConsolePlanPanel,)
