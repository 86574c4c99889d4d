"""Campaigns on screen: the list, the wizard with its rail, and the page that watches."""

from collections.abc import Iterable
from decimal import ROUND_UP, Decimal
from typing import Any
from uuid import UUID, uuid4

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import format_currency, format_time, lazy_gettext, ngettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response
from wtforms import HiddenField, StringField
from wtforms.validators import DataRequired, Length

from clarion.base import db
from clarion.base.errors import ClarionError
from clarion.messaging import channels
from clarion.messaging.decisions import Decided
from clarion.messaging.models import STATES
from clarion.messaging.prices import Quote
from clarion.tenancy import access
from clarion.tenancy.scope import current_actor
from clarion.web.pages import Form, fragment, is_fragment, needs
from clarion_campaigns import service
from clarion_campaigns.portal import plans
from clarion_campaigns.portal import who as dry_runs
from clarion_campaigns.portal.pages import pages
from clarion_contacts import contract as contacts
from clarion_templates import service as templates

Answer = Response | str | tuple[str, int]
RISK = lazy_gettext(
    "Some of them may have the message already and would get it twice. That can cost trust,"
    " and money. Your name is kept with this decision."
)
LEAVE = lazy_gettext(
    "Nothing is sent to them. Whoever did not get the message will not get it from this"
    " campaign. Your name is kept with this decision."
)
TEMPLATES = 200  # that the wizard offers


class NameForm(Form):
    """The beginning of a campaign. `key` makes two clicks one campaign."""

    name = StringField(
        lazy_gettext("Name"),
        description=lazy_gettext("Only your team sees it."),
        validators=[
            DataRequired(lazy_gettext("Give the campaign a name.")),
            Length(max=service.NAME_MAX),
        ],
    )
    key = HiddenField()


# --- the list


@pages.get("/")
@needs("campaigns.view")
def index() -> str:
    """List campaigns with how far they are."""
    rows = service.listing(after=_uuid(request.args.get("after")), limit=51)
    more = rows[49].draft.id if len(rows) > 50 else None
    return render_template("campaigns/list.html", rows=rows[:50], more=more)


@pages.get("/new")
@needs("campaigns.edit")
def new() -> str:
    """Ask for a name."""
    form = NameForm(formdata=None, data={"key": str(uuid4())})
    return render_template("campaigns/new.html", form=form)


@pages.post("/new")
@needs("campaigns.edit")
def create() -> Answer:
    """Begin a campaign."""
    form = NameForm()
    if form.validate():
        with form.attempt():
            draft = service.create(form.name.data or "", form.key.data or "")
            return redirect(url_for(".step", draft_id=draft.id, name="message"))
    return render_template("campaigns/new.html", form=form), 422


# --- the wizard


@pages.get("/<uuid:draft_id>/step/<name>")
@needs("campaigns.view")
def step(draft_id: UUID, name: str) -> Answer:
    """Show one step of the wizard."""
    if name not in service.STEPS:
        abort(404)
    draft = service.get(draft_id)
    if not draft.editable:
        return redirect(url_for(".show", draft_id=draft_id))
    return _step(draft_id, name)


@pages.post("/<uuid:draft_id>/step/<name>", lists=("include", "exclude"))
@needs("campaigns.edit")
def save(draft_id: UUID, name: str) -> Answer:
    """Save one step: on every change for a fragment, else on the way to another step."""
    if name not in service.STEPS:
        abort(404)
    to = request.form.get("to", "")
    target = to if to in service.STEPS else _next(name)
    try:
        with db.session().begin_nested():
            _save(draft_id, name)
            if target == "review" and not is_fragment():
                service.look_at_everybody(draft_id)
    except ClarionError as error:
        if is_fragment() or error.status in (401, 403, 404, 409):
            raise
        return _step(draft_id, name, error=error), 422
    if is_fragment():
        at = _number(request.form.get("at"))
        shown = _rail(draft_id, at, name)
        return render_template("campaigns/_rail.html", **shown, saved=True)
    return redirect(url_for(".step", draft_id=draft_id, name=target))


@pages.get("/<uuid:draft_id>/rail")
@needs("campaigns.view")
def rail(draft_id: UUID) -> str:
    """Show the message to another person of the audience."""
    at = _number(request.args.get("at"))
    return render_template("campaigns/_rail.html", **_rail(draft_id, at), saved=False)


@pages.post("/<uuid:draft_id>/launch")
@needs("campaigns.launch")
def launch(draft_id: UUID) -> Answer:
    """Send it."""
    given = request.form
    people = given.get("people", "")
    try:
        with db.session().begin_nested():
            draft = service.launch(
                draft_id,
                given.get("key", ""),
                people=int(people) if people.isdecimal() else None,
                typed=given.get("typed", ""),
                soft="soft" in given,
                check_id=_uuid(given.get("check")),
            )
    except ClarionError as error:
        if error.status in (401, 403, 404) or error.code == "campaign_already_launched":
            raise
        return _step(draft_id, "review", error=error), error.status
    flash(_launched(draft), "success")
    return redirect(url_for(".show", draft_id=draft.id))


@pages.post("/<uuid:draft_id>/delete")
@needs("campaigns.edit")
def delete(draft_id: UUID) -> Response:
    """Delete a draft."""
    service.delete(draft_id)
    flash(_("The draft is deleted."), "success")
    return redirect(url_for(".index"))


@pages.post("/<uuid:draft_id>/duplicate")
@needs("campaigns.edit")
def duplicate(draft_id: UUID) -> Response:
    """Begin a campaign like this one."""
    draft = service.duplicate(draft_id, request.form.get("key", ""))
    flash(_("This is a copy. Nothing of it was sent."), "success")
    return redirect(url_for(".step", draft_id=draft.id, name="message"))


# --- what became of it


@pages.get("/<uuid:draft_id>")
@needs("campaigns.view")
def show(draft_id: UUID) -> Answer:
    """Show how far a campaign is; a draft opens in the wizard."""
    found = service.results(draft_id)
    if found.draft.editable:
        first = "review" if found.draft.segment.get("op") == "outcome" else "message"
        return redirect(url_for(".step", draft_id=draft_id, name=first))
    return render_template(
        "campaigns/show.html",
        key=str(uuid4()),
        rail=service.rail(draft_id),
        compared=service.compared(draft_id),
        deeds=service.activity(found.draft),
        ends=plans.ends(found.draft),
        business=_business(found.sender),
        **_live(found),
    )


@pages.get("/order/<uuid:campaign_id>")
@needs("campaigns.view")
def order(campaign_id: UUID) -> Response:
    """Lead from a send order, as the overview names it, to its campaign."""
    return redirect(url_for(".show", draft_id=service.draft_of(campaign_id)))


@pages.get("/<uuid:draft_id>/live")
@needs("campaigns.view")
def live(draft_id: UUID) -> Response:
    """Answer the part of the page that changes; 304 while it does not."""
    found = service.results(draft_id)
    return fragment(
        render_template("campaigns/_live.html", **_live(found)), done=found.done
    )


@pages.get("/<uuid:draft_id>/people")
@needs("campaigns.view")
def people(draft_id: UUID) -> str:
    """List who got it, who did not, and why."""
    state, reason = request.args.get("state", ""), request.args.get("reason", "")[:60]
    draft = service.get(draft_id)
    rows = service.people(
        draft_id,
        state=state if state in STATES else "",
        reason=reason,
        after=_uuid(request.args.get("after")),
        limit=51,
    )
    return render_template(
        "campaigns/people.html",
        draft=draft,
        rows=rows[:50],
        more=rows[49].message_id if len(rows) > 50 else None,
        states=STATES,
        state=state,
        reason=reason,
        reasons=service.reasons(draft_id, state if state in STATES else ""),
        bulk=_bulk() if state == "needs_decision" else [],
    )


@pages.get("/message/<uuid:message_id>")
@needs("campaigns.view")
def person(message_id: UUID) -> str:
    """Answer why one person did, or did not, get it."""
    found = service.story(message_id)
    return render_template("campaigns/person.html", s=found, leaves=plans.leaves(found))


@pages.post("/<uuid:draft_id>/decide")
@needs("campaigns.stop")
def decide(draft_id: UUID) -> Response:
    """Send what stays unknown again, or leave it: some, one, or all that were open."""
    given = request.form
    done = service.decide(
        draft_id,
        given.get("action", ""),
        _uuids(given.getlist("rowid")),
        given.get("asked_at", ""),
    )
    flash(_decided(done), "success")
    if given.get("rowid"):
        return redirect(url_for(".people", draft_id=draft_id, state="needs_decision"))
    return redirect(url_for(".show", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/restored")
@needs("campaigns.launch")
def restored(draft_id: UUID) -> Response:
    """Propose, confirm or take back what becomes of messages held after a restore."""
    action, choice = request.form.get("action"), request.form.get("choice", "")
    if action == "propose":
        service.propose(draft_id, choice)
        flash(_("Proposed. Another person of this account has to confirm it."), "success")
    elif action == "confirm":
        count = service.confirm(draft_id, choice)
        said = ngettext("Decided for %(num)s person.", "Decided for %(num)s people.", count)
        flash(said, "success")
    else:
        service.withdraw(draft_id)
        flash(_("Taken back. The messages stay held."), "success")
    return redirect(url_for(".show", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/vouch")
@needs("campaigns.launch")
def vouch(draft_id: UUID) -> Response:
    """Say that a draft older than a restore was not sent yet."""
    service.vouch(draft_id)
    return redirect(url_for(".step", draft_id=draft_id, name="review"))


@pages.post("/<uuid:draft_id>/priority")
@needs("campaigns.launch")
def prioritise(draft_id: UUID) -> Response:
    """Say who goes first when places of the daily limit come free."""
    level = request.form.get("priority", "")
    service.prioritise(draft_id, int(level) if level in {"1", "2", "3"} else 0)
    flash(_("Noted for the next places that come free."), "success")
    return redirect(url_for(".show", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/pause")
@needs("campaigns.stop")
def pause(draft_id: UUID) -> Response:
    """Stop sending for now."""
    service.pause(draft_id)
    flash(_("Paused. Nothing more leaves; messages on the way still arrive."), "success")
    return redirect(url_for(".show", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/resume")
@needs("campaigns.launch")
def resume(draft_id: UUID) -> Response:
    """Go on sending."""
    service.resume(draft_id)
    flash(_("Sending goes on."), "success")
    return redirect(url_for(".show", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/follow-up")
@needs("campaigns.edit")
def follow_up(draft_id: UUID) -> Response:
    """Prepare the follow-up for people whom WhatsApp did not let through."""
    draft = service.follow_up(draft_id)
    service.look_at_everybody(draft.id)
    return redirect(url_for(".show", draft_id=draft.id))


@pages.post("/<uuid:draft_id>/follow-up/decline")
@needs("campaigns.edit")
def decline(draft_id: UUID) -> Response:
    """Want no follow-up."""
    service.decline_follow_up(draft_id)
    flash(_("Noted. No follow-up of it is proposed any more."), "success")
    return redirect(url_for(".show", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/release")
@needs("campaigns.launch")
def release(draft_id: UUID) -> Response:
    """Send to the next wave of a soft launch now."""
    count = service.release(draft_id)
    said = ngettext(
        "%(num)s more person gets it now.", "%(num)s more people get it now.", count
    )
    flash(said, "success")
    return redirect(url_for(".show", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/cancel")
@needs("campaigns.stop")
def cancel(draft_id: UUID) -> Response:
    """Stop for good."""
    count = service.cancel(draft_id)
    said = ngettext(
        "Stopped. %(num)s person will not be messaged.",
        "Stopped. %(num)s people will not be messaged.",
        count,
    )
    flash(said, "success")
    return redirect(url_for(".show", draft_id=draft_id))


# --- what the pages show


def _launched(draft: service.DraftView) -> str:
    if draft.state == "submitted":
        return _("%(name)s waits for a second person's approval.", name=draft.name)
    if draft.state == "scheduled":
        return _("%(name)s is planned. Nothing leaves before its time.", name=draft.name)
    return _("%(name)s is on its way.", name=draft.name)


def _bulk() -> list[dict[str, str]]:
    """Offer both answers to a question, to those who may give them."""
    offered = []
    if access.allowed("campaigns.launch"):
        offered.append(
            {
                "action": "resend",
                "label": _("Send again at my own risk…"),
                "icon": "refresh",
                "confirm": RISK,
            }
        )
    if access.allowed("campaigns.stop"):
        offered.append(
            {"action": "leave", "label": _("Leave them…"), "icon": "x", "confirm": LEAVE}
        )
    return offered


def _decided(done: Decided) -> str:
    """Say what holds now: the same sentence for everybody who was asked."""
    said = []
    if done.resend:
        said.append(
            ngettext(
                "%(num)s message is sent again.",
                "%(num)s messages are sent again.",
                done.resend,
            )
        )
    if done.leave:
        said.append(
            ngettext(
                "%(num)s message is left as it is.",
                "%(num)s messages are left as they are.",
                done.leave,
            )
        )
    if done.withdrawn:
        said.append(
            ngettext(
                "%(num)s had settled itself meanwhile.",
                "%(num)s had settled themselves meanwhile.",
                done.withdrawn,
            )
        )
    if done.by:
        said.append(_("Decided by %(names)s.", names=", ".join(done.by)))
    return " ".join(said) or _("There was nothing left to decide.")


def _save(draft_id: UUID, name: str) -> None:
    given = request.form
    if name == "message":
        if "name" in given:
            service.rename(draft_id, given["name"])
        template, sender = _uuid(given.get("template")), _uuid(given.get("sender"))
        service.choose_message(draft_id, template, sender)
    elif name == "audience":
        include, exclude = given.getlist("include"), given.getlist("exclude")
        service.choose_people(draft_id, include, exclude, given.get("base", ""))
    elif name == "variables":
        names = [key.removeprefix("source-") for key in given if key.startswith("source-")]
        filled = {
            one: {
                "source": given.get(f"source-{one}", ""),
                "fallback": given.get(f"fallback-{one}", ""),
            }
            for one in names
        }
        service.fill_variables(draft_id, filled)
    elif name == "when":
        plans.save(draft_id, given)


def _step(draft_id: UUID, name: str, error: ClarionError | None = None) -> str:
    shown = _rail(draft_id, _number(request.args.get("person")), name)
    found: service.Rail = shown["rail"]
    problems = service.problems(found)
    return render_template(
        f"campaigns/step_{name}.html",
        step=name,
        steps=_titles(draft_id),
        problems=problems,
        blocked=any(p.level == "bad" for p in problems),
        error=error,
        saved=False,
        whys=service.WHYS,
        may_edit=access.allowed("campaigns.edit"),
        **shown,
        **_choices(found, name),
    )


def _choices(found: service.Rail, name: str) -> dict[str, Any]:
    """Offer what one step lets people choose from."""
    if name == "message":
        offered = templates.listing(limit=TEMPLATES)
        offered.sort(key=lambda t: t.state != "approved")  # stable: the newest first
        return {"templates": offered, "senders": channels.senders()}
    if name == "audience":
        tags, lists, segments, snapshots = contacts.offered()
        return {
            "pick": contacts.pick_in(found.draft.segment),
            "tags": tags,
            "lists": lists,
            "segments": segments,
            "snapshots": snapshots,
        }
    if name == "variables":
        return {"placeholders": contacts.placeholders(), "fixed": service.FIXED}
    if name == "when":
        return plans.choices()
    return {
        **dry_runs.choices(found.draft),
        "key": str(uuid4()),
        "type_above": service.TYPE_ABOVE,
        "second": service.needs_approval(found.reached, _price(found)),
        "soft": service.advised(found),
    }


def _rail(draft_id: UUID, at: int, name: str = "") -> dict[str, Any]:
    seen = service.look(draft_id) if name == "review" else None
    found = service.rail(draft_id, at, seen if seen and seen.fresh else None)
    purpose = found.template.category if found.template else "marketing"
    timed = plans.shown(found, purpose) if name in ("when", "review") else {}
    if name == "review":
        timed |= {"price": _price(found), "money": money, "seen": seen}
    return {
        "rail": found,
        "draft": found.draft,
        "business": _business(found.sender),
        **timed,
    }


def _price(found: service.Rail) -> Quote | None:
    purpose = found.template.category if found.template else "marketing"
    return service.price_of(found.draft, purpose, these=found.listed)


def money(price: Quote) -> str:
    """Write an amount of money in the reader's way: at most, so never rounded down."""
    cents = price.amount.quantize(Decimal("0.01"), rounding=ROUND_UP)
    return str(format_currency(cents, price.currency))


def _live(found: service.Results) -> dict[str, Any]:
    labels = [format_time(m.at, "short") for m in found.minutes]
    series = [
        {"name": _("Sent"), "tone": "info", "values": [m.sent for m in found.minutes]},
        {
            "name": _("Delivered"),
            "tone": "ok",
            "values": [m.delivered for m in found.minutes],
        },
        {"name": _("Failed"), "tone": "bad", "values": [m.failed for m in found.minutes]},
    ]
    return {
        "r": found,
        "draft": found.draft,
        "begins": plans.begins(found.draft),
        "pieces": service.PIECES,
        "money": money,
        "asked": service.asked(found.draft.id) if found.state == "submitted" else None,
        "p": found.progress,
        "risk": RISK,
        "leave": LEAVE,
        "labels": labels,
        "series": series,
    }


def _business(sender: channels.SenderView | None) -> str:
    return sender.name if sender and sender.name else current_actor().account_name


def _titles(draft_id: UUID) -> list[tuple[str, str]]:
    titles = {
        "message": _("Message"),
        "audience": _("Audience"),
        "variables": _("Variables"),
        "when": _("When"),
        "review": _("Review"),
    }
    return [
        (titles[name], url_for(".step", draft_id=draft_id, name=name))
        for name in service.STEPS
    ]


def _next(name: str) -> str:
    names: list[str] = list(service.STEPS)
    return names[min(names.index(name) + 1, len(names) - 1)]


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _uuids(texts: Iterable[str]) -> list[UUID]:
    return [one for one in map(_uuid, texts) if one]


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 4 else 0
