"""Plan when a campaign leaves; see when its people get it, and what is planned when."""

import calendar
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, or_, select

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.messaging import hours, judging, timing, windows
from clarion.messaging.models import Campaign
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_campaigns.models import Draft
from clarion_campaigns.service.drafts import (
    DraftView,
    about,
    changed,
    get,
    open_draft,
    view,
)
from clarion_campaigns.service.schedule import LATE_CHOICES
from clarion_contacts import contract as contacts

MOST = 200  # campaigns of one month that are shown


@dataclass(frozen=True, slots=True)
class Wave:
    """People behind one calendar, and when the first of them get it.

    Attributes:
        zone: of the country's zones, or of one place.
        country: two letters, when the calendar is a country with several zones.
        people: how many.
        opens: the first instant; None: never, for `reason`.
        shown_in: a zone to show the instant in.
        reason: why not, in the ledger's words.
        waits: it is later than the campaign begins.
    """

    zone: str
    country: str
    people: int
    opens: dt.datetime | None
    shown_in: str
    reason: str
    waits: bool


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the calendar of sends."""

    date: dt.date
    silent: str | None
    planned: list[DraftView]
    began: list[DraftView]


def choose_time(
    draft_id: UUID,
    *,
    local: dt.datetime | None,
    zone: str,
    own_time: bool = False,
    finish: dt.datetime | None = None,
    spread: dt.datetime | None = None,
    late_minutes: int = LATE_CHOICES[3],
) -> DraftView:
    """Choose when a campaign begins and ends; see `Schedule` for what each means.

    Raises:
        Invalid: no such zone, or an end that comes before the beginning.
    """
    access.require("campaigns.edit")
    row = open_draft(draft_id)
    if not windows.known(zone):
        said = _("Choose a time zone of the list.")
        raise Invalid("timezone_unknown", said, field="zone")
    if late_minutes not in LATE_CHOICES:
        raise Invalid("late_minutes", _("Choose one of the delays."), field="late")
    if own_time and local is None:
        said = _("Choose the time that is meant on everybody's clock.")
        raise Invalid("start_missing", said, field="start")
    if finish and local and finish <= local:
        said = _("The end comes before the beginning.")
        raise Invalid("finish_before_start", said, field="finish")
    if spread and ((local and spread <= local) or (finish and spread > finish)):
        said = _("Spread until a time between the beginning and the end.")
        raise Invalid("spread_outside", said, field="spread")
    row.starts_local, row.zone, row.own_time = local, zone, own_time
    row.finish_local, row.spread_local, row.late_minutes = finish, spread, late_minutes
    return changed(row)


def first_instant(draft: DraftView, purpose: str) -> dt.datetime | None:
    """Say at which instant a draft begins; None: at once."""
    schedule = draft.schedule
    if schedule.local is None or not schedule.own_time:
        return schedule.starts_at()
    otherwise = hours.rules().zone
    places = contacts.places(
        draft.segment, draft.fillings, purpose, about=about(draft), listed=draft.listed
    )
    return schedule.starts_at({windows.key_of(z, c, otherwise) for z, c, _n in places})


def waves(draft_id: UUID, purpose: str, *, these: Select[Any] | None = None) -> list[Wave]:
    """Say when the people of a draft would get it, calendar by calendar, most people first.

    With the list of a dry run it is its people.
    """
    draft = get(draft_id)
    rules, now = hours.rules(), timing.now()
    people: dict[str, int] = {}
    among = draft.listed if these is None else these
    places = contacts.places(
        draft.segment, draft.fillings, purpose, about=about(draft), listed=among
    )
    for zone, country, number in places:
        key = windows.key_of(zone, country, rules.zone)
        people[key] = people.get(key, 0) + number
    begins = first_instant(draft, purpose) or now
    order = order_of(draft, purpose)
    found = []
    for key, number in sorted(people.items(), key=lambda pair: (-pair[1], pair[0])):
        first = timing.first_slot(order, key, rules, now)
        opens = None if first["refused"] else dt.datetime.fromisoformat(first["opens"])
        planned = windows.start_for(key, order.local_start) if order.local_start else begins
        found.append(
            Wave(
                zone=key.removeprefix(windows.COUNTRY),
                country=key.removeprefix(windows.COUNTRY) if "country/" in key else "",
                people=number,
                opens=opens,
                shown_in=draft.schedule.zone if windows.COUNTRY in key else key,
                reason=first["refused"],
                waits=opens is not None and opens > max(planned, now),
            )
        )
    return found


def had_enough(draft: DraftView, purpose: str) -> int:
    """Count the people of a draft who would get it later, because they had enough."""
    order = order_of(draft, purpose)
    order.spread_until = None  # as early as each of them may
    audience = contacts.audience(
        draft.segment, draft.fillings, purpose, about=about(draft), listed=draft.listed
    )
    enough = judging.capped(order, judging.judged(order, audience))
    if enough is None:
        return 0
    query = select(func.count()).select_from(enough.subquery())
    return db.session().scalar(query) or 0


def order_of(draft: DraftView, purpose: str) -> Campaign:
    """Write down what a draft would become, to see when its people get it."""
    return Campaign(
        id=draft.id,
        purpose=purpose,
        sender_id=draft.sender_id,
        starts_at=None if draft.schedule.own_time else draft.schedule.starts_at(),
        local_start=draft.schedule.local if draft.schedule.own_time else None,
        finish_by=draft.schedule.finish_by,
        spread_until=draft.schedule.spread_until,
    )


def month(year: int, number: int) -> list[Day]:
    """Show a month: what is planned, what began, and the days without sending."""
    access.require("campaigns.view")
    zone = ZoneInfo(hours.rules().zone)
    _first, length = calendar.monthrange(year, number)
    days = [dt.date(year, number, n + 1) for n in range(length)]
    begin = windows.midnight(zone, days[0])
    end = windows.midnight(zone, days[-1] + windows.DAY)
    at = func.coalesce(Draft.starts_at, Draft.launched_at)
    query = (
        select(Draft)
        .where(
            Draft.account_id == current_account(),
            Draft.state.in_(("submitted", "scheduled", "starting", "launched")),
            or_(Draft.starts_at.isnot(None), Draft.launched_at.isnot(None)),
            at >= begin,
            at < end,
        )
        .order_by(at)
        .limit(MOST)
    )
    silent = dict(hours.silent_days(days[0]))
    rows = [view(row) for row in db.session().scalars(query)]
    by_day: Mapping[dt.date, list[DraftView]] = _by_day(rows, zone)
    return [
        Day(
            day,
            silent.get(day),
            [one for one in by_day.get(day, ()) if one.state != "launched"],
            [one for one in by_day.get(day, ()) if one.state == "launched"],
        )
        for day in days
    ]


def _by_day(rows: list[DraftView], zone: ZoneInfo) -> dict[dt.date, list[DraftView]]:
    found: dict[dt.date, list[DraftView]] = {}
    for row in rows:
        at = row.starts_at or row.launched_at
        if at is not None:
            found.setdefault(at.astimezone(zone).date(), []).append(row)
    return found
