"""What the overview shows of campaigns: the first steps, and what waits for somebody."""

from typing import Any

from flask import render_template, url_for
from flask_babel import gettext as _

from clarion.tenancy import access
from clarion_campaigns import service


def ready() -> dict[str, Any]:
    """Return this plugin's step on the way to the first campaign."""
    sent = any(line.state != "draft" for line in service.listing(limit=10))
    return {
        "title": _("Send your first campaign"),
        "text": _("Choose who gets it, look at the review, and send."),
        "done": sent,
        "url": url_for("campaigns.index"),
        "minutes": 5,
    }


def waiting() -> str | None:
    """Draw what waits for somebody: approvals, what did not begin, proposed follow-ups."""
    if not access.allowed("campaigns.view"):
        return None
    found = {
        "approvals": service.waiting_for_approval(),
        "not_begun": service.not_begun(),
        "proposals": service.open_proposals(),
    }
    if not any(found.values()):
        return None
    return render_template("campaigns/_waiting.html", whys=service.WHYS, **found)
