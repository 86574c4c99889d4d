"""When campaigns leave, on screen: the step of the wizard, approval, the calendar."""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, get_day_names, get_month_names
from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from clarion.base.errors import Invalid
from clarion.base.patience import patiently
from clarion.messaging import hours, outcomes, timing, windows
from clarion.web.pages import needs
from clarion_campaigns import service
from clarion_campaigns.portal.pages import pages
from clarion_campaigns.service.drafts import DraftView

FIRST_YEAR, LAST_YEAR = 2000, 2200


# --- approval


@pages.post("/<uuid:draft_id>/approve")
@needs("campaigns.approve")
def approve(draft_id: UUID) -> Response:
    """Let a campaign go that somebody else submitted."""
    draft = service.approve(draft_id)
    flash(_("Approved. %(name)s leaves as planned.", name=draft.name), "success")
    return redirect(url_for(".show", draft_id=draft_id))


@pages.post("/<uuid:draft_id>/take-back")
@needs("campaigns.stop")
def take_back(draft_id: UUID) -> Response:
    """Make a campaign that waits for its beginning a draft again."""
    service.take_back(draft_id)
    flash(_("It is a draft again. Nothing of it was sent."), "success")
    return redirect(url_for(".step", draft_id=draft_id, name="review"))


# --- the calendar


@pages.get("/calendar")
@needs("campaigns.view")
def calendar() -> str:
    """Show a month: what is planned, what began, and days without sending."""
    zone = ZoneInfo(hours.rules().zone)
    today = timing.now().astimezone(zone).date()
    shown = _month(request.args.get("month", ""), today)
    before = (shown - windows.DAY).replace(day=1)
    after = (shown + 31 * windows.DAY).replace(day=1)
    locale = get_locale() or "en"
    return render_template(
        "campaigns/calendar.html",
        days=service.month(shown.year, shown.month),
        blank=range(shown.weekday()),
        rest=range(-(after - windows.DAY).weekday() + 6),
        title=f"{get_month_names(locale=locale)[shown.month]} {shown.year}",
        weekdays=[get_day_names("abbreviated", locale=locale)[n] for n in range(7)],
        today=today,
        before=f"{before:%Y-%m}" if before.year >= FIRST_YEAR else "",
        after=f"{after:%Y-%m}" if after.year <= LAST_YEAR else "",
        zone=zone.key,
        clock=lambda at: format_datetime(at, "HH:mm", tzinfo=zone, locale=locale),
    )


def _month(text: str, today: dt.date) -> dt.date:
    try:
        found = dt.datetime.strptime(text, "%Y-%m").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return today.replace(day=1)
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else today.replace(day=1)


# --- what other pages show


def save(draft_id: UUID, given: Mapping[str, str]) -> None:
    """Keep what the step about times was filled in with."""
    how = given.get("when", "now")
    service.choose_time(
        draft_id,
        local=_moment(given, "start") if how in ("at", "own") else None,
        zone=given.get("zone", ""),
        own_time=how == "own",
        finish=_moment(given, "finish"),
        spread=_moment(given, "spread"),
        late_minutes=int(given.get("late", "") or 0)
        if given.get("late", "").isdecimal()
        else 0,
    )


def choices() -> dict[str, Any]:
    """Offer what the step lets people choose from."""
    rules = hours.rules()
    late = [
        (
            m,
            ngettext("%(num)s hour", "%(num)s hours", m // 60)
            if m >= 60
            else ngettext("%(num)s minute", "%(num)s minutes", m),
        )
        for m in service.LATE_CHOICES
    ]
    return {
        "zones": windows.choices(),
        "late": late,
        "opens": hours.clock_text(rules.opens),
        "closes": hours.clock_text(rules.closes),
        "rules": rules,
    }


def shown(found: service.Rail, purpose: str) -> dict[str, Any]:
    """Say in words and instants when a draft's people get it."""
    draft = found.draft
    return {
        "waves": patiently(lambda: service.waves(draft.id, purpose, these=found.listed)),
        "had_enough": patiently(lambda: service.had_enough(draft, purpose)),
        "moment": moment,
        "begins": begins(draft),
        "country": lambda code: Locale.parse(str(get_locale() or "en")).territories.get(
            code, code
        ),
        "explain": lambda reason: outcomes.explain("suppressed", reason).title,
    }


def begins(draft: DraftView) -> str:
    """Say when a draft begins, with the zone that is meant."""
    plan = draft.schedule
    if plan.local is None:
        return _("As soon as it is launched")
    if plan.own_time:
        at = _written(plan.local, ZoneInfo("UTC"))
        return _("%(when)s on each person's own clock", when=at)
    at_instant = plan.starts_at()
    return moment(at_instant, plan.zone) if at_instant else ""


def ends(draft: DraftView) -> list[tuple[str, str]]:
    """Say what else was chosen about a draft's time, for a list of details."""
    plan, found = draft.schedule, []
    if plan.spread_until:
        found.append((_("Spread until"), moment(plan.spread_until, plan.zone)))
    if plan.finish_by:
        found.append((_("Ends"), moment(plan.finish_by, plan.zone)))
    return found


def leaves(found: service.Story) -> str:
    """Say from when a waiting message may leave, in the zone that was used."""
    if found.leaves_at is None or found.leaves_at <= timing.now():
        return ""
    several = not windows.known(found.zone)  # all zones of a country, or none was needed
    return moment(found.leaves_at, hours.rules().zone if several else found.zone)


def moment(at: dt.datetime, zone: str) -> str:
    """Write an instant as it is shown in a zone, with the zone's name."""
    here = ZoneInfo(zone if windows.known(zone) else "UTC")
    return f"{_written(at, here)} ({here.key.replace('_', ' ')})"


def _written(at: dt.datetime, zone: ZoneInfo) -> str:
    locale = get_locale() or "en"
    local = at.astimezone(zone) if at.tzinfo else at
    time = format_datetime(local, "HH:mm", tzinfo=zone, locale=locale)
    return f"{format_date(local, 'medium', locale=locale)}, {time}"


def _moment(given: Mapping[str, str], name: str) -> dt.datetime | None:
    text = given.get(name, "").strip()
    if not text:
        if name == "start":
            raise Invalid("start_missing", _("Choose a day and a time."), field="start")
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Invalid("moment_invalid", _("This is no day and time."), field=name)
    return found.replace(second=0, microsecond=0)
