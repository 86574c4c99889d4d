"""Support access as staff see it: ask, approve, end, view as a customer, answer questions."""

import secrets
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from flask import current_app, flash, redirect, request, session, url_for
from flask_babel import lazy_gettext
from wtforms import BooleanField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from clarion.base.errors import Invalid
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.console import service
from clarion.support import acting, grants, history
from clarion.support.models import EMERGENCY_MINUTES
from clarion.tenancy.access import allowed
from clarion.web.pages import Form
from clarion.web.screens import Panel, expose, needs, settle
from clarion.web.ui import url_with

BROWSER: Final = "view_as"  # in the session: what this browser alone knows


class Ask(Form):
    """What for, why, for how long; nothing of the account is read before it is answered."""

    purpose = SelectField(lazy_gettext("Purpose"), choices=[*grants.NAMES.items()])
    ticket = StringField(lazy_gettext("Ticket"), [InputRequired(), Length(max=40)])
    reason = TextAreaField(lazy_gettext("Reason"), [InputRequired(), Length(max=300)])
    minutes = SelectField(
        lazy_gettext("Minutes"),
        coerce=int,
        default=30,
        choices=[(number, str(number)) for number in EMERGENCY_MINUTES],
    )
    scope = RadioField(
        lazy_gettext("May"),
        choices=[
            ("view", lazy_gettext("Look only")),
            ("act", lazy_gettext("Look and change")),
        ],
        default="view",
    )
    emergency = BooleanField(lazy_gettext("Emergency: a second colleague approves it"))
    delay_days = SelectField(
        lazy_gettext("Tell the account"),
        coerce=int,
        default=0,
        choices=[
            (0, lazy_gettext("at once")),
            (1, lazy_gettext("after 1 day")),
            (3, lazy_gettext("after 3 days")),
            (7, lazy_gettext("after 7 days")),
            (14, lazy_gettext("after 14 days")),
        ],
    )


class Answer(Form):
    """What a customer gets to read."""

    answer = TextAreaField(lazy_gettext("Answer"), [InputRequired(), Length(max=1000)])


class ConsoleSupportPanel(Panel):
    """Who of us may look at which account, until when and why."""

    route_base = "/access"
    title = lazy_gettext("Access")

    @expose("/")
    @needs("console.support")
    def index(self) -> Any:
        """Show what waits for a colleague, open questions, and every access."""
        rows, after = grants.page(request.args.get("after", ""))
        return self.render(
            "console/support.html",
            waiting=grants.waiting(),
            questions=history.to_answer(),
            rows=rows,
            older=url_with(after=after) if after else "",
            purposes=grants.NAMES,
            form=Answer(formdata=None),
        )

    @expose("/accounts/<uuid:account_id>")
    @needs("console.support")
    def account(self, account_id: UUID) -> Any:
        """Show one's access to an account, or the form that asks for it."""
        asked = request.args.get("purpose", "")
        data = {"purpose": asked} if asked in grants.NAMES else None
        return self._account(account_id, Ask(formdata=None, data=data))

    @expose("/accounts/<uuid:account_id>/ask", methods=["POST"])
    @needs("console.support_open")
    def ask(self, account_id: UUID) -> Any:
        """Ask for access."""
        form = Ask()
        if form.validate_on_submit():
            with form.attempt():
                asked = grants.Asked(
                    form.purpose.data,
                    form.ticket.data,
                    form.reason.data,
                    form.minutes.data,
                    form.scope.data,
                    form.emergency.data,
                    form.delay_days.data,
                )
                grant = grants.ask(account_id, asked)
                flash(_begun(grant.starts_at is not None, grant.kind), "success")
                return redirect(self.url("account", account_id=account_id), 303)
        return self._account(account_id, form)

    @expose("/<uuid:grant_id>/approve", methods=["POST"])
    @needs("console.support_approve")
    def approve(self, grant_id: UUID) -> Any:
        """Let a colleague's emergency access begin."""
        done = _("Approved. It has begun.")
        return settle(lambda: grants.approve(grant_id), done, self.url("index"))

    @expose("/<uuid:grant_id>/end", methods=["POST"])
    @needs("console.support")
    def end(self, grant_id: UUID) -> Any:
        """End an access, or take back what was asked for."""
        return settle(lambda: grants.end(grant_id), _("Ended."), self.url("index"))

    @expose("/accounts/<uuid:account_id>/view-as", methods=["POST"])
    @needs("console.support_open")
    def view_as(self, account_id: UUID) -> Any:
        """Make a ticket to the portal, and show where it leads."""
        try:
            person_id = UUID(request.form.get("person_id", ""))
        except ValueError as error:
            raise Invalid("person_unknown", _("Choose a person.")) from error
        browser = session.setdefault(BROWSER, secrets.token_urlsafe(16))
        token = acting.ticket(account_id, person_id, browser)
        address = f"{settings().public_url}/support/enter/{token}"
        return self.render(
            "console/support_ticket.html",
            address=address,
            account=service.account(account_id),
        )

    @expose("/vouch/<ticket>/<word>")
    @needs("console.support_open", fresh=False)
    def vouch(self, ticket: str, word: str) -> Any:
        """Send who shows a ticket back to the portal, if this browser has asked for it."""
        proof = acting.vouch(ticket, word, session.get(BROWSER, ""))
        place = f"{settings().public_url}/support/enter/{quote(ticket, safe='')}"
        return redirect(f"{place}?proof={proof}", 303)

    @expose("/questions/<uuid:question_id>/answer", methods=["POST"])
    @needs("console.support_answer")
    def answer(self, question_id: UUID) -> Any:
        """Answer what a customer asked."""
        text = request.form.get("answer", "")
        done = _("Answered; they get a mail.")
        return settle(lambda: history.answer(question_id, text), done, self.url("index"))

    def _account(self, account_id: UUID, form: Ask) -> Any:
        account = service.account(account_id)
        grant = grants.mine(account_id)
        live = grant is not None and grants.state(grant) == "live"
        rows, after = grants.page(request.args.get("after", ""), account_id=account_id)
        page = self.render(
            "console/support_account.html",
            account=account,
            grant=grant,
            live=live,
            window=grants.window_of(account_id),
            content=_content(account_id) if live else [],
            people=acting.members(account_id)
            if live and allowed("console.support_open")
            else [],
            rows=rows,
            older=url_with(after=after) if after else "",
            purposes=grants.NAMES,
            form=form,
        )
        return page, 422 if form.errors else 200


def _begun(live: bool, kind: str) -> str:
    if live:
        return _("It has begun. Each page you open is written down for the customer.")
    if kind == "emergency":
        return _("Asked. It begins when a colleague approves it.")
    return _("Asked. The owners got a mail; it begins when one of them allows it.")


def _content(account_id: UUID) -> list[tuple[str, str]]:
    """List the pages that show content of an account."""
    views = current_app.appbuilder.baseviews  # type: ignore[attr-defined]  # FAB's
    return [
        (str(view.content), url_for(f"{type(view).__name__}.index", account_id=account_id))
        for view in views
        if getattr(view, "content", "") and allowed(view.permission)
    ]
