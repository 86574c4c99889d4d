"""Panels of whoever keeps the service running: campaigns, health, what codes mean."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, request, url_for
from flask_babel import lazy_gettext
from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length

from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _
from clarion.console import campaigns, health
from clarion.messaging import meanings
from clarion.tenancy.access import allowed
from clarion.web.pages import Form, fragment, is_fragment
from clarion.web.screens import Panel, expose, member, needs

LONGEST = 200


class Words(Form):
    """Why a campaign is held, or let go; the customer reads it."""

    reason = TextAreaField(
        lazy_gettext("What the customer reads"), [InputRequired(), Length(max=300)]
    )


class ConsoleCampaignPanel(Panel):
    """Campaigns that are on their way, of all accounts, without what they say."""

    route_base = "/campaigns"
    title = lazy_gettext("Campaigns")

    @expose("/")
    @needs("console.campaigns")
    def index(self) -> Any:
        """List them; a live region asks for the inside of the page again."""
        asked = {name: request.args.get(name, "") for name in ("account", "state")}
        held = "held" in request.args
        rows = campaigns.listing(**asked, after=request.args.get("after", ""), held=held)
        page = {
            "rows": rows,
            "asked": asked,
            "held": held,
            "states": campaigns.GOING,
            "after": str(rows[-1].id) if len(rows) == campaigns.PAGE else "",
        }
        if is_fragment():
            return fragment(self.render("console/campaigns_live.html", **page))
        return self.render("console/campaigns.html", **page)

    @expose("/<uuid:campaign_id>")
    @needs("console.campaigns")
    def show(self, campaign_id: UUID) -> Any:
        """Show how one goes."""
        return self._page(campaign_id)

    @expose("/<uuid:campaign_id>/hold", methods=["POST"])
    @needs("console.campaigns_hold")
    def hold(self, campaign_id: UUID) -> Any:
        """Stop it at once."""
        form = Words()
        if form.validate_on_submit():
            with form.attempt():
                campaigns.hold(campaign_id, form.reason.data or "")
                flash(_("Held. Nothing new of it leaves; its owners have mail."), "success")
                return redirect(self.url("show", campaign_id=campaign_id))
        return self._page(campaign_id, form), 422

    @expose("/<uuid:campaign_id>/release", methods=["POST"])
    @needs("console.campaigns_hold")
    def release(self, campaign_id: UUID) -> Any:
        """Let it go on."""
        form = Words()
        if form.validate_on_submit():
            with form.attempt():
                campaigns.release(campaign_id, form.reason.data or "")
                flash(_("Let go. It goes on as it was before."), "success")
                return redirect(self.url("show", campaign_id=campaign_id))
        return self._page(campaign_id, form), 422

    def _page(self, campaign_id: UUID, sent: Words | None = None) -> str:
        one = campaigns.read(campaign_id)
        form = sent or Words(None)
        return self.render("console/campaign.html", one=one, form=form)


class ConsoleHealthPanel(Panel):
    """Is everything all right: each part, its state, and what to do."""

    route_base = "/health"
    title = lazy_gettext("Health")

    @expose("/")
    @needs("console.health")
    def index(self) -> Any:
        """Look at every part; a live region looks again."""
        groups = health.look()
        page = {"groups": groups, "worst": health.worst(groups), "leads": _leads}
        if is_fragment():
            return fragment(self.render("console/health_live.html", **page))
        return self.render("console/health.html", **page)


class ConsoleCodePanel(Panel):
    """What codes of providers and reasons of ours mean."""

    route_base = "/codes"
    title = lazy_gettext("Codes")

    @expose("/")
    @member
    def index(self) -> Any:
        """List them, or those that fit what was asked."""
        asked = request.args.get("q", "")
        if len(asked) > LONGEST:
            raise Invalid("filter_unknown", _("This is too long to search for."))
        rows = meanings.search(asked)
        return self.render("console/codes.html", rows=rows, asked=asked, to=_to)

    @expose("/<where>/<code>")
    @member
    def show(self, where: str, code: str) -> Any:
        """Explain one."""
        found = meanings.find(where, code)
        if found is None:
            raise NotFound("code_unknown", _("There is no such code."))
        return self.render("console/code.html", one=found)


PAGES = {
    "ConsoleQueuePanel.index": "console.queues",
    "ConsoleWebhookPanel.index": "console.webhooks",
    "ConsoleBackupPanel.index": "console.backups",
    "ConsolePluginPanel.index": "console.plugins",
    "ConsoleAuditPanel.index": "console.audit",
}
"""The pages that the lines of health lead to, and who may open them."""


def _leads(endpoint: str) -> str:
    """Answer the address of a page for those who may open it."""
    return url_for(endpoint) if endpoint and allowed(PAGES[endpoint]) else ""


def _to(one: meanings.Meaning) -> str:
    return url_for("ConsoleCodePanel.show", where=one.where, code=one.code)


VIEWS: tuple[type, ...] = (
    ConsoleCampaignPanel,
    ConsoleCodePanel,
    ConsoleHealthPanel,
)
