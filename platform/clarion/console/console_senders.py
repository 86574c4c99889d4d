"""Numbers of all accounts, masked: a list, and a page for each."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import request
from flask_babel import lazy_gettext

from clarion.base.words import _
from clarion.console import machine, senders, service
from clarion.messaging import outcomes
from clarion.messaging.models import Sender
from clarion.web import naming
from clarion.web.screens import STOCK, Field, Screen, expose, needs
from clarion.web.ui import pill


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
    exclude_route_methods = STOCK
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

    def narrowed(self) -> Sequence[Any]:
        """Narrow the list to an account, or to what cannot be reached."""
        asked = request.args
        return senders.narrowed(asked.get("account", ""), asked.get("reach", ""))

    def more_fields(self) -> list[Field]:
        """Offer the account and the reach."""
        words = {"unreachable": _("Out of reach"), "slow": _("Told to wait")}
        reaches = [(one, words[one]) for one in senders.REACHES]
        return [
            Field("account", _("Account"), (), request.args.get("account", "")),
            Field("reach", _("Reach"), reaches, request.args.get("reach", "")),
        ]

    def complete(self, rows: Sequence[Any]) -> None:
        """Name accounts and connections of the page's numbers, in two statements."""
        names = machine.account_names([row.account_id for row in rows])
        channels = service.channels([row.channel_id for row in rows])
        for row in rows:
            channel = channels.get(row.channel_id)
            shut = channel is not None and channel.state != "active"
            row.account = names.get(row.account_id, "")
            row.masked = service.masked(row.number)
            row.transport = naming.way(channel.transport) if channel else ""
            row.health = channel.state if channel and shut else row.state
            why = channel.state_reason if channel and shut else row.state_reason
            row.why = outcomes.stands_for(why)[0]

    @expose("/<uuid:pk>")
    @needs("console.senders")
    def show(self, pk: UUID) -> Any:
        """Show one number: quality, limits, pace, stops, answers, what waits."""
        return self.render("console/sender.html", one=senders.read(pk))


VIEWS: tuple[type, ...] = (ConsoleSenderScreen,)
