"""Who gets it, and who does not: the dry run on screen, its download, one person's why."""

import csv
import io
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from flask import (
    current_app,
    flash,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.messaging import prices
from clarion.tenancy import access
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import account_scope, current_account, current_actor
from clarion.web.pages import fragment, needs
from clarion_campaigns import service
from clarion_campaigns.portal import plans
from clarion_campaigns.portal.pages import pages
from clarion_contacts import contract as contacts

MILLION = 1_000_000
DIGITS = 9  # of the number of a draw


@pages.get("/<uuid:draft_id>/who")
@needs("campaigns.view")
def who(draft_id: UUID) -> str:
    """Show what becomes of everybody in the audience, with people to look at."""
    seen = service.look(draft_id)
    return render_template("campaigns/who.html", **_shown(draft_id, seen))


@pages.get("/<uuid:draft_id>/who/live")
@needs("campaigns.view")
def who_live(draft_id: UUID) -> Response:
    """Answer whether a worker has looked at everybody."""
    seen = service.look(draft_id)
    page = render_template("campaigns/_who.html", **_shown(draft_id, seen))
    return fragment(page, done=seen is None or seen.ready)


@pages.get("/<uuid:draft_id>/who/some")
@needs("campaigns.view")
def some(draft_id: UUID) -> str:
    """Show twenty people drawn by chance, each with their message and what becomes of it."""
    asked = request.args.get("draw", "")
    number = int(asked) if asked.isdecimal() and len(asked) < DIGITS else 0
    return render_template(
        "campaigns/who_some.html",
        **_shown(draft_id, service.look(draft_id)),
        drawn=service.draw(draft_id, number),
        number=number,
        stands=service.STANDS,
    )


@pages.post("/<uuid:draft_id>/who")
@needs("campaigns.edit")
def look(draft_id: UUID) -> Response:
    """Look at everybody; for a big audience a worker does."""
    service.look_at_everybody(draft_id)
    if request.form.get("to") == "review":
        return redirect(url_for(".step", draft_id=draft_id, name="review"))
    return redirect(url_for(".who", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/who.csv")
@needs("campaigns.export")
def download(draft_id: UUID) -> Response:
    """Download everybody with what becomes of them, and why."""
    check_id = service.download(draft_id)
    lines = stream_with_context(_lines(check_id, current_account(), current_actor()))
    response = current_app.response_class(lines, mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="who-gets-it.csv"'
    return response


@pages.post("/<uuid:draft_id>/limits")
@needs("campaigns.edit")
def limits(draft_id: UUID) -> Response:
    """Keep a control group, and bound what it may cost."""
    given = request.form
    control = given.get("control", "").strip()
    try:
        with db.session().begin_nested():
            service.limit_people(
                draft_id,
                control=int(control or 0) if control.isdecimal() or not control else -1,
                budget_micros=_micros(given.get("budget", "")),
            )
    except Invalid as error:
        flash(error.text, "danger")
    return redirect(url_for(".step", draft_id=draft_id, name="review"))


@pages.get("/<uuid:draft_id>/why/<uuid:contact_id>")
@needs("campaigns.view")
def why(draft_id: UUID, contact_id: UUID) -> Any:
    """Answer why one person did, or did not, get it, even if they were never in it."""
    found = service.why(draft_id, contact_id)
    if found.message_id is not None:
        return redirect(url_for(".person", message_id=found.message_id))
    return render_template("campaigns/why.html", w=found, moment=plans.moment)


# --- what other pages show


def of_contact(contact_id: UUID) -> str | None:
    """Draw on a contact's page which campaigns they got, and why they did not get others."""
    if not access.allowed("campaigns.view"):
        return None
    rows = service.whys_of(contact_id)
    return render_template("campaigns/_of_contact.html", rows=rows) if rows else None


def _shown(draft_id: UUID, seen: service.Seen | None) -> dict[str, Any]:
    draft = service.get(draft_id)
    ready = seen is not None and seen.ready
    return {
        "draft": draft,
        "seen": seen,
        "samples": service.samples(seen.id) if seen and ready else {},
        "moment": plans.moment,
        "zone": draft.schedule.zone,
        "may_edit": draft.editable and access.allowed("campaigns.edit"),
    }


def choices(draft: service.DraftView) -> dict[str, Any]:
    """Offer what the review lets people choose about who gets it."""
    budget = draft.budget_micros
    return {
        "currency": prices.currency(),
        "budget": "" if budget is None else f"{Decimal(budget) / MILLION:f}",
        "most_control": service.MOST_CONTROL,
    }


def _micros(text: str) -> int | None:
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        found = Decimal(text) * MILLION
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found != int(found):
        said = _("Give an amount of money, or leave it empty.")
        raise Invalid("budget_invalid", said, field="budget")
    return int(found)


def _lines(check_id: UUID, account: UUID, actor: Actor) -> Iterator[str]:
    """Write the table, a page of people at a time, each read in a transaction of its own.

    The request's own scope is over by the time the first line is asked for.
    """
    yield "\ufeff" + _csv([[str(one) for one in service.HEAD]])
    after = None
    while True:
        with account_scope(account, actor), db.transaction():
            rows, after = service.lines(check_id, after)
        yield _csv(rows)
        if after is None:
            return


def _csv(rows: list[list[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([contacts.harmless(cell) for cell in row] for row in rows)
    return out.getvalue()
