"""Screens for customers' accounts and people; the list of everything the console shows."""

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from flask import flash, redirect, request
from flask_babel import lazy_gettext
from wtforms import EmailField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from clarion.base.errors import NotFound
from clarion.base.words import _, country
from clarion.console import (
    accounts,
    console_accounts,
    console_announcements,
    console_lost,
    console_machine,
    console_misuse,
    console_operations,
    console_plans,
    console_plugins,
    console_queues,
    console_roles,
    console_security,
    console_senders,
    console_staff,
    console_support,
    console_webhooks,
    log,
    service,
)
from clarion.misuse import measures
from clarion.tenancy.access import allowed
from clarion.tenancy.models import Account, Person
from clarion.web.pages import Form
from clarion.web.screens import Screen, expose, needs, settle
from clarion.web.ui import pill

TABS = ("people", "senders", "campaigns", "log")


@cache
def zones() -> list[str]:
    """List the time zones; read from disk when first asked, not at start."""
    return sorted(available_timezones())


class NewAccount(Form):
    """A new customer, and who may decide for them."""

    name = StringField(
        lazy_gettext("Name of the company"), [InputRequired(), Length(max=120)]
    )
    email = EmailField(
        lazy_gettext("E-mail of the first owner"), [InputRequired(), Length(max=254)]
    )
    country = StringField(lazy_gettext("Country"), [Optional(), Length(min=2, max=2)])
    timezone = SelectField(lazy_gettext("Time zone"), default="UTC")

    def __init__(self) -> None:
        super().__init__()
        self.timezone.choices = zones()


class Rename(Form):
    """What an account is called."""

    name = StringField(lazy_gettext("Name"), [InputRequired(), Length(max=120)])


class Reason(Form):
    """Why something is done to a customer."""

    reason = TextAreaField(lazy_gettext("Reason"), [InputRequired(), Length(max=300)])


class Invite(Form):
    """Who becomes an owner."""

    email = EmailField(lazy_gettext("E-mail"), [InputRequired(), Length(max=254)])


class ConsoleAccountScreen(Screen):
    """Customers' accounts: who, how many, in which state; never what they write."""

    model = Account
    permission = "console.accounts"
    route_base = "/accounts"
    title = lazy_gettext("Accounts")
    list_template = "console/accounts.html"
    list_columns = [
        "name",
        "state",
        "people",
        "senders",
        "running",
        "country",
        "created_at",
    ]
    search_columns = ["name", "country", "state"]
    unoffered = ("name",)  # the box over the list finds it
    order_columns = ["name", "created_at"]
    base_order = ("created_at", "desc")
    choices = {"state": ("active", "suspended", "closed")}
    formatters_columns = {"state": pill, "country": country}
    numbers = ("people", "senders", "running")
    label_columns = {
        "name": lazy_gettext("Name"),
        "state": lazy_gettext("State"),
        "people": lazy_gettext("People"),
        "senders": lazy_gettext("Senders"),
        "running": lazy_gettext("Campaigns running"),
        "country": lazy_gettext("Country"),
        "created_at": lazy_gettext("Since"),
    }

    @expose("/")
    @needs("console.accounts")
    def list(self) -> Any:
        """List accounts; asked for a name, an owner's e-mail or an id, by key."""
        if "q" in request.args or "risky" in request.args:
            return console_accounts.searched(self)
        return super().list()

    def complete(self, rows: Sequence[Any]) -> None:
        """Count people, senders and running campaigns of the page's accounts."""
        counts = service.counts([row.id for row in rows])
        for row in rows:
            found = counts.get(row.id, service.AccountCounts())
            row.people, row.senders, row.running = (
                found.people,
                found.senders,
                found.running,
            )

    @expose("/<uuid:pk>")
    @needs("console.accounts")
    def show(self, pk: UUID) -> Any:
        """Show one account; a tab says which side of it."""
        tab = request.args.get("tab", TABS[0])
        if tab not in TABS or (tab == "log" and not allowed("console.audit")):
            raise NotFound("tab_unknown", _("There is no such page."))
        return self._page(pk, tab)

    @expose("/new", methods=["GET", "POST"])
    @needs("console.accounts_edit")
    def new(self) -> Any:
        """Open an account and invite its first owner."""
        form = NewAccount()
        if form.validate_on_submit():
            with form.attempt():
                account_id = service.open_account(
                    form.name.data,
                    form.email.data,
                    form.country.data or "",
                    form.timezone.data,
                )
                flash(_("The account is open. Its owner has mail."), "success")
                return redirect(self.url("show", pk=account_id))
        return self.render("console/account_new.html", form=form), _status(form)

    @expose("/<uuid:pk>/name", methods=["POST"])
    @needs("console.accounts_edit")
    def rename(self, pk: UUID) -> Any:
        """Call the account differently."""
        form = Rename()
        return self._answer(
            pk, form, lambda: service.rename_account(pk, form.name.data), _("Renamed.")
        )

    @expose("/<uuid:pk>/owner", methods=["POST"])
    @needs("console.accounts_edit")
    def invite(self, pk: UUID) -> Any:
        """Invite one more owner by e-mail."""
        form = Invite()
        return self._answer(
            pk,
            form,
            lambda: service.invite_owner(pk, form.email.data),
            _("The invitation is on its way."),
        )

    @expose("/<uuid:pk>/suspend", methods=["POST"])
    @needs("console.accounts_suspend")
    def suspend(self, pk: UUID) -> Any:
        """Want everything stopped that the account sends; somebody else confirms."""
        form = Reason()
        return self._answer(
            pk,
            form,
            lambda: measures.ask(pk, "suspend", form.reason.data),
            _("Noted. Another staff member has to confirm it here."),
        )

    @expose("/<uuid:pk>/reopen", methods=["POST"])
    @needs("console.accounts_suspend")
    def reopen(self, pk: UUID) -> Any:
        """Let the account send again."""
        form = Reason()
        return self._answer(
            pk,
            form,
            lambda: measures.reopen(pk, form.reason.data),
            _("The account may send again."),
        )

    def _answer(self, pk: UUID, form: Form, act: Any, done: str) -> Any:
        """Do it and go back to the page, or show the page with what is wrong."""
        if form.validate_on_submit():
            with form.attempt():
                act()
                flash(done, "success")
                return redirect(self.url("show", pk=pk))
        return self._page(pk, TABS[0], form), 422

    def _page(self, pk: UUID, tab: str, sent: Form | None = None) -> str:
        account = service.account(pk)
        blank = {
            "rename": Rename(None, name=account.name),
            "invite": Invite(None),
            "reason": Reason(None),
        }
        for name, form in blank.items():
            if sent is not None and type(form) is type(sent):
                blank[name] = sent
        return self.render(
            "console/account.html",
            account=account,
            head=accounts.head(pk),
            tab=tab,
            counts=service.counts([pk]).get(pk),
            people=service.places(account_id=pk) if tab == "people" else [],
            invited=service.invitations(pk) if tab == "people" else [],
            senders=service.senders(pk) if tab == "senders" else [],
            campaigns=service.campaigns(pk) if tab == "campaigns" else [],
            deeds=log.latest(account_id=pk) if tab == "log" else [],
            wish=measures.open_for(pk),
            forms=blank,
        )


class ConsolePersonScreen(Screen):
    """People of all accounts, without what proves who they are."""

    model = Person
    permission = "console.people"
    route_base = "/people"
    title = lazy_gettext("People")
    loads = ("id", "name", "email", "state", "confirmed_at", "last_seen_at", "created_at")
    list_columns = ["name", "email", "accounts", "state", "last_seen_at"]
    search_columns = ["name", "email", "state"]
    order_columns = ["name", "email", "created_at"]
    base_order = ("created_at", "desc")
    choices = {"state": ("active", "disabled")}
    formatters_columns = {"state": pill}
    label_columns = {
        "name": lazy_gettext("Name"),
        "email": lazy_gettext("E-mail"),
        "accounts": lazy_gettext("Accounts"),
        "state": lazy_gettext("State"),
        "last_seen_at": lazy_gettext("Last seen"),
        "created_at": lazy_gettext("Since"),
    }

    def complete(self, rows: Sequence[Any]) -> None:
        """Name the accounts of the page's people."""
        names = service.memberships([row.id for row in rows])
        for row in rows:
            row.accounts = ", ".join(names.get(row.id, []))

    @expose("/<uuid:pk>")
    @needs("console.people")
    def show(self, pk: UUID) -> Any:
        """Show one person and their places."""
        return self.render(
            "console/person.html",
            person=service.person(pk),
            places=service.places(person_id=pk),
            deeds=log.latest(row=f"person:{pk}") if allowed("console.audit") else [],
        )

    @expose("/<uuid:pk>/disable", methods=["POST"])
    @needs("console.people_edit")
    def disable(self, pk: UUID) -> Any:
        """Shut the person out; their sessions end."""
        back = self.url("show", pk=pk)
        done = _("This person is signed out everywhere and cannot sign in.")
        return settle(lambda: service.disable_person(pk), done, back)

    @expose("/<uuid:pk>/enable", methods=["POST"])
    @needs("console.people_edit")
    def enable(self, pk: UUID) -> Any:
        """Let the person in again."""
        back = self.url("show", pk=pk)
        return settle(
            lambda: service.enable_person(pk), _("This person can sign in again."), back
        )


def _status(form: Form) -> int:
    return 422 if form.errors else 200


VIEWS: tuple[type, ...] = (
    *console_machine.VIEWS,
    *console_operations.VIEWS,
    *console_senders.VIEWS,
    console_queues.ConsoleQueuePanel,
    console_webhooks.ConsoleWebhookPanel,
    *console_plugins.VIEWS,
    ConsoleAccountScreen,
    ConsolePersonScreen,
    *console_accounts.VIEWS,
    *console_plans.VIEWS,
    *console_announcements.VIEWS,
    *console_misuse.VIEWS,
    *console_staff.VIEWS,
    *console_roles.VIEWS,
    *console_security.VIEWS,
    *console_lost.VIEWS,
    console_support.ConsoleSupportPanel,
)
