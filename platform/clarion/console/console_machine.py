"""Panels about the machine: today, limits, prices, backups."""

import datetime as dt
from typing import Any
from uuid import UUID

from flask import flash, redirect, request, url_for
from flask_babel import lazy_gettext

from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _, country
from clarion.console import backups, machine
from clarion.messaging import channels, limits, portfolio, prices
from clarion.plugging.manager import plugins
from clarion.tenancy.access import allowed
from clarion.web.pages import fragment, is_fragment
from clarion.web.screens import Panel, expose, member, needs


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
)


def _first_page() -> str:
    for plugin, item in plugins().nav("console"):
        wanted = item.needs if "." in item.needs else f"{plugin}.{item.needs}"
        if allowed(wanted) and plugins().running(plugin):
            return url_for(item.to)
    return url_for("ConsoleSecurityPanel.index")
