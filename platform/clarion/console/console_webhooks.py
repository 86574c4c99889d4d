"""Panels about what providers told us: the list, one webhook, applied again."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, request, url_for
from flask_babel import lazy_gettext

from clarion.base import keyset
from clarion.base.words import _, ngettext
from clarion.console import machine, webhooks
from clarion.support.entries import GrantNeeded
from clarion.tenancy.access import allowed
from clarion.web.screens import Panel, expose, needs, settle
from clarion.web.ui import url_with


class ConsoleWebhookPanel(Panel):
    """What providers told us and what has not been applied."""

    route_base = "/webhooks"
    title = lazy_gettext("Webhooks")

    @expose("/")
    @needs("console.webhooks")
    def index(self) -> Any:
        """Show the counters, what is stopped, and codes nobody has a word for."""
        return self.render("console/webhooks.html", hooks=machine.webhooks())

    @expose("/code", methods=["POST"])
    @needs("console.webhooks")
    def settle(self) -> Any:
        """Take a code off the list until it is met again."""
        given = request.form
        machine.settle_code(given.get("transport", ""), given.get("code", ""))
        flash(_("The code is off the list until it is met again."), "success")
        return redirect(url_for(".index"))

    @expose("/received")
    @needs("console.webhooks")
    def received(self) -> Any:
        """List what came in, the latest first."""
        given = {name: request.args.get(name, "") for name in ("state", "kind", "way")}
        account = request.args.get("account", "").strip()
        asked = webhooks.Asked(
            state=given["state"],
            kind=given["kind"],
            transport=given["way"][:40],
            account_id=_key(account) or (_NOBODY if account else None),
            after=_key(request.args.get("after", "")),
            before=_key(request.args.get("before", "")),
        )
        leaf = webhooks.page(asked)
        return self.render(
            "console/webhooks_received.html",
            leaf=leaf,
            asked=given,
            account=account,
            filtered=any(given.values()) or bool(account),
            capped=leaf.count > keyset.CAP,
            ways=webhooks.ways_there_are(),
            states=state_words(),
            kinds=kind_words(),
            failed=webhooks.failed(),
            may=allowed("console.webhooks_replay"),
            next=url_with(after=leaf.after, before=None) if leaf.after else "",
            prev=url_with(before=leaf.before, after=None) if leaf.before else "",
        )

    @expose("/received/<uuid:webhook_id>")
    @needs("console.webhooks")
    def show(self, webhook_id: UUID) -> Any:
        """Show one: its facts, and its shape to whom the account lets in."""
        letter = webhooks.one(webhook_id)
        try:
            granted = webhooks.granted(letter)
            body = webhooks.shape(letter) if granted else None
        except GrantNeeded:  # it ended just now
            granted, body = False, None
        return self._one(letter, body, lost=granted and body is None)

    @expose("/received/<uuid:webhook_id>/reveal", methods=["POST"])
    @needs("console.webhooks_reveal")
    def reveal(self, webhook_id: UUID) -> Any:
        """Show one in the clear, once; the customer reads that it was."""
        letter = webhooks.one(webhook_id)
        try:
            body = webhooks.reveal(letter)
        except GrantNeeded:
            return redirect(
                url_for("ConsoleSupportPanel.account", account_id=letter.account_id)
            )
        return self._one(letter, body, lost=body is None)

    @expose("/received/<uuid:webhook_id>/replay", methods=["POST"])
    @needs("console.webhooks_replay")
    def replay(self, webhook_id: UUID) -> Any:
        """Have it applied again."""
        back = url_for(".show", webhook_id=webhook_id)
        done = _("It is applied again within seconds.")
        return settle(lambda: webhooks.replay(webhook_id), done, back)

    @expose("/received/replay", methods=["POST"])
    @needs("console.webhooks_replay")
    def replay_failed(self) -> Any:
        """Have all of a kind that were given up applied."""
        kind, told = request.form.get("kind", ""), list[str]()

        def act() -> None:
            count = webhooks.replay_failed(kind)
            told.append(
                ngettext(
                    "%(num)s webhook is applied within minutes.",
                    "%(num)s webhooks are applied within minutes.",
                    count,
                )
            )

        return settle(act, lambda: told[0], url_for(".received", state="failed"))

    def _one(
        self, letter: webhooks.Letter, body: webhooks.Body | None, *, lost: bool
    ) -> str:
        return self.render(
            "console/webhook.html",
            one=letter,
            body=body,
            lost=lost,
            states=state_words(),
            kinds=kind_words(),
            may=allowed("console.webhooks_replay"),
            may_reveal=allowed("console.webhooks_reveal"),
        )


_NOBODY = UUID(int=0)


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def state_words() -> dict[str, tuple[str, str]]:
    """Name each state, and say which tone it has."""
    return {
        "waiting": (_("To apply"), "info"),
        "failing": (_("Tried, comes again"), "warn"),
        "failed": (_("Given up"), "bad"),
        "applied": (_("Applied"), "ok"),
    }


def kind_words() -> dict[str, str]:
    """Name each kind."""
    return {
        "inbound": _("What people write"),
        "status": _("Delivery reports"),
        "other": _("Other news"),
    }
