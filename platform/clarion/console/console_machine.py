"""Panels about the machine: today, senders, limits, prices, backups."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import flash, redirect, request, url_for
from flask_babel import lazy_gettext

from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _, country
from clarion.console import backups, machine, service
from clarion.messaging import channels, limits, portfolio, prices
from clarion.messaging.models import Sender
from clarion.plugging.manager import plugins
from clarion.tenancy.access import allowed
from clarion.web.pages import fragment, is_fragment
from clarion.web.screens import STOCK, Panel, Screen, expose, member, needs
from clarion.web.ui import pill


class ConsoleTodayPanel(Panel):
    """What somebody on duty looks at first."""

    route_base = ""
    title = lazy_gettext("Today")

    @expose("/")
    @member
    def index(self) -> Any:
        """Show the day; a live region asks for the inside of it again.

        Who may not see it comes to the first page of their own menu.
        """
        if not allowed("console.overview"):
            return redirect(_first_page())
        today = machine.today()
        if is_fragment():
            return fragment(self.render("console/today_live.html", today=today))
        return self.render("console/today.html", today=today)


class ConsoleSenderScreen(Screen):
    """The health of every number, masked."""

    model = Sender
    permission = "console.senders"
    route_base = "/senders"
    title = lazy_gettext("Senders")
    list_columns = [
        "name", "account", "masked", "transport", "quality", "health", "why", "rate_per_s",
    ]  # fmt: skip
    search_columns = ["name", "state", "quality"]
    order_columns = ["name", "rate_per_s"]
    base_order = ("created_at", "desc")
    choices = {"state": ("active", "paused"), "quality": ("green", "yellow", "red")}
    formatters_columns = {"health": pill, "quality": lambda v: pill(v) if v else "—"}
    exclude_route_methods = STOCK | {"show"}
    label_columns = {
        "name": lazy_gettext("Name"),
        "account": lazy_gettext("Account"),
        "masked": lazy_gettext("Number"),
        "transport": lazy_gettext("Way"),
        "quality": lazy_gettext("Quality"),
        "health": lazy_gettext("State"),
        "state": lazy_gettext("State"),
        "why": lazy_gettext("Reason"),
        "rate_per_s": lazy_gettext("Messages a second"),
    }
    numbers = ("rate_per_s",)

    def complete(self, rows: Sequence[Any]) -> None:
        """Name accounts and connections of the page's numbers, in two statements."""
        names = machine.account_names([row.account_id for row in rows])
        channels = service.channels([row.channel_id for row in rows])
        for row in rows:
            channel = channels.get(row.channel_id)
            shut = channel is not None and channel.state != "active"
            row.account = names.get(row.account_id, "")
            row.masked = service.masked(row.number)
            row.transport = channel.transport if channel else ""
            row.health = channel.state if channel and shut else row.state
            row.why = channel.state_reason if channel and shut else row.state_reason

    def url_for_show(self, row: Any) -> str:
        """Lead to the account's page, where its numbers are together."""
        return url_for("ConsoleAccountScreen.show", pk=row.account_id, tab="senders")


class ConsoleLimitPanel(Panel):
    """How many people each business may write to in a day, by all its accounts."""

    route_base = "/limits"
    title = lazy_gettext("Daily limits")

    @expose("/")
    @needs("console.limits")
    def index(self) -> Any:
        """List the businesses, what they have used, and when places come free."""
        return self.render("console/limits.html", rows=portfolio.listing())

    @expose("/set", methods=["POST"])
    @needs("console.limits_edit")
    def set(self) -> Any:
        """Lower a limit, or leave it to the provider again."""
        given = request.form.get("per_day", "").strip()
        if given and not (given.isascii() and given.isdigit() and len(given) < 10):
            raise Invalid("limit_unreadable", _("A limit is a number of people."))
        try:
            business = UUID(request.form.get("business", ""))
        except ValueError as error:
            raise NotFound("portfolio_unknown", _("There is no such business.")) from error
        limits.set_own_people(business, int(given) if given else None)
        flash(_("The limit holds from now on."), "success")
        return redirect(url_for(".index"))


class ConsolePricePanel(Panel):
    """What providers take for a message, as staff have entered it."""

    route_base = "/prices"
    title = lazy_gettext("Prices")

    @expose("/")
    @needs("console.prices")
    def index(self) -> Any:
        """Show every list, and a form for the next one."""
        titles = {name: one.title for name, one in channels.transports().items()}
        words = {"marketing": _("Marketing"), "utility": _("Utility"), "auth": _("Codes")}
        return self.render(
            "console/prices.html",
            rows=prices.lists(),
            titles=titles,
            words=words,
            country=country,
        )

    @expose("/enter", methods=["POST"])
    @needs("console.prices_edit")
    def enter(self) -> Any:
        """Enter a list, in place of one from the same day."""
        given = request.form
        prices.enter(
            given.get("transport", ""),
            _day(given.get("valid_from", "")),
            given.get("currency", ""),
            given.get("lines", ""),
        )
        flash(_("The prices are entered."), "success")
        return redirect(url_for(".index"))

    @expose("/remove", methods=["POST"])
    @needs("console.prices_edit")
    def remove(self) -> Any:
        """Remove a list; the one before it holds again."""
        given = request.form
        prices.remove(given.get("transport", ""), _day(given.get("valid_from", "")))
        flash(_("The list is removed."), "success")
        return redirect(url_for(".index"))


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        said = _("Choose the day from which it holds.")
        raise Invalid("day_invalid", said, field="valid_from") from None


class ConsoleBackupPanel(Panel):
    """Whether this is the database we left, and the way back after a restore."""

    route_base = "/backups"
    title = lazy_gettext("Backups")

    @expose("/")
    @needs("console.backups")
    def index(self) -> Any:
        """Show epoch, copies and what a restore left."""
        return self.render("console/backups.html", backups=backups.look())

    @expose("/ask", methods=["POST"])
    @needs("console.backups_release")
    def ask(self) -> Any:
        """Want messages to be sent again."""
        backups.ask()
        flash(_("Noted. Another staff member has to confirm it here."), "success")
        return redirect(url_for(".index"))

    @expose("/refuse", methods=["POST"])
    @needs("console.backups_release")
    def refuse(self) -> Any:
        """Leave it shut."""
        backups.refuse()
        flash(_("Nothing is sent for now."), "success")
        return redirect(url_for(".index"))

    @expose("/release", methods=["POST"])
    @needs("console.backups_release")
    def release(self) -> Any:
        """Confirm it, as the second person."""
        backups.release()
        flash(_("Messages are being sent again."), "success")
        return redirect(url_for(".index"))


VIEWS: tuple[type, ...] = (
    ConsoleBackupPanel,
    ConsoleTodayPanel,
    ConsoleLimitPanel,
    ConsolePricePanel,
    ConsoleSenderScreen,
)


def _first_page() -> str:
    for plugin, item in plugins().nav("console"):
        wanted = item.needs if "." in item.needs else f"{plugin}.{item.needs}"
        if allowed(wanted) and plugins().running(plugin):
            return url_for(item.to)
    return url_for("ConsoleSecurityPanel.index")
