"""The account's log: who did what, filtered, as a file, and with a proof of its own."""

import datetime as dt
from pathlib import Path
from typing import Any

from flask import Response, render_template, request

from clarion.base.errors import Invalid
from clarion.base.words import _, gettext
from clarion.plugging.manager import plugins
from clarion.portal import service
from clarion.tenancy import access, deeds, verifier
from clarion.tenancy.scope import current_account
from clarion.web.pages import Pages, download, needs

pages = Pages("activity", __name__)


@pages.get("")
@needs("portal.activity")
def index() -> Any:
    """Show who did what, newest first."""
    everything = request.args.get("all") == "1"
    asked = _asked(request.args, everything=everything)
    rows, after = deeds.page(asked)
    head = service.signed_log()
    return render_template(
        "portal/activity.html",
        rows=rows,
        after=after,
        asked=asked,
        everything=everything,
        areas=_areas(),
        head=head,
        signed_at=dt.datetime.fromisoformat(head.at) if head else None,
        may_take=access.allowed("portal.log"),
    )


@pages.post("/export")
@needs("portal.log")
def export() -> Response:
    """Download what the filter shows."""
    form = request.form.get("form", "")
    if form not in deeds.KINDS:
        raise Invalid("form_unknown", _("There is no such kind of file."), field="form")
    asked = _asked(request.form, everything=request.form.get("all") == "1")
    lines = service.export_log(asked, "csv" if form == "csv" else "json")
    return download(lines, f"clarion-activity.{deeds.ENDINGS[form]}", deeds.KINDS[form])


@pages.post("/chain")
@needs("portal.log")
def chain() -> Response:
    """Download the whole log with its chain."""
    lines = service.download_log()
    return download(lines, f"clarion-log-{current_account()}.jsonl", deeds.KINDS["json"])


@pages.get("/clarion_verify.py")
@needs("portal.activity")
def program() -> Response:
    """Download the program that verifies it without Clarion."""
    body = Path(verifier.__file__).read_text("utf-8")
    return download(iter([body]), "clarion_verify.py", "text/x-python")


def _areas() -> dict[str, str]:
    """Name what can be looked for: each plugin's deeds, by the beginning of their names."""
    named = {
        f"{one.name}.": gettext(one.plugin.title)
        for one in plugins().loaded()
        if one.plugin
    }
    own = {
        "messaging.": _("Sending"),
        "console.": _("By our staff"),
        "row.": _("Changed rows"),
    }
    return {"": _("Everything"), **named, **own}


def _asked(given: Any, *, everything: bool) -> deeds.Asked:  # Any: fields of a request
    area = given.get("name", "")
    narrow = not everything and not area.startswith("row.")
    return deeds.asked_for(given, account=current_account(), deeds_only=narrow)
