"""When marketing may leave, how often one person gets some, and who approves: settings."""

import datetime as dt
from decimal import Decimal
from typing import Any

from babel.dates import get_day_names
from flask import flash, make_response, redirect, render_template, request, url_for
from flask_babel import format_date, get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from werkzeug.wrappers import Response
from wtforms import (
    DateField,
    DecimalField,
    IntegerField,
    SelectField,
    SelectMultipleField,
    StringField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from clarion.base import clock
from clarion.messaging import hours, prices
from clarion.web.pages import Form, Pages, needs

pages = Pages("sending", __name__, prefix="/settings/sending")
NEEDED = InputRequired(lazy("This is needed."))
HALF_HOUR = 30


def _minutes() -> list[tuple[int, str]]:
    first, last = hours.legal()
    inside = range(-(-first // HALF_HOUR) * HALF_HOUR, last + 1, HALF_HOUR)
    return [(m, hours.clock_text(m)) for m in sorted({first, last, *inside})]


def _days() -> list[tuple[int, str]]:
    names = get_day_names(locale=get_locale() or "en")
    return [(n, names[n]) for n in range(7)]


class RulesForm(Form):
    """The account's rules, as they stand."""

    opens = SelectField(lazy("From"), choices=_minutes, coerce=int)
    closes = SelectField(lazy("Until"), choices=_minutes, coerce=int)
    weekdays = SelectMultipleField(
        lazy("On these days"),
        choices=_days,
        coerce=int,
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    per_day = IntegerField(lazy("A day"), [NEEDED, NumberRange(1, hours.MOST)])
    per_week = IntegerField(lazy("A week"), [NEEDED, NumberRange(1, hours.MOST)])
    approve_above = IntegerField(
        lazy("Ask a second person above so many people"), [Optional(), NumberRange(0)]
    )
    price = DecimalField(
        lazy("Ask a second person above so much money"),
        [Optional(), NumberRange(0, 10**12)],
        places=None,
    )


class DayForm(Form):
    """A day without sending."""

    day = DateField(lazy("Day"), [NEEDED])
    name = StringField(lazy("Why"), [Length(max=hours.NAME_MAX)])


@pages.route("/", methods=["GET", "POST"], lists=("weekdays",))
@needs("portal.settings")
def index() -> Any:
    """Show and change the rules."""
    rules = hours.rules()
    form = RulesForm(obj=rules)
    if not form.is_submitted():
        form.weekdays.data = sorted(rules.weekdays)
        form.price.data = _money(rules)
    if form.validate_on_submit():
        with form.attempt():
            hours.change(
                opens=form.opens.data,
                closes=form.closes.data,
                weekdays=form.weekdays.data or (),
                per_day=form.per_day.data or 0,
                per_week=form.per_week.data or 0,
                approve_above=form.approve_above.data,
                approve_above_price=None
                if form.price.data is None
                else int(form.price.data * prices.MILLION),
            )
            flash(_("Saved."), "success")
            return redirect(url_for(".index"))
    return _page(form, DayForm(formdata=None))


@pages.post("/days")
@needs("portal.settings")
def add_day() -> Any:
    """Add a day without sending."""
    form = DayForm()
    if form.validate():
        with form.attempt():
            assert form.day.data is not None  # noqa: S101 -- it is needed
            hours.add_silent_day(form.day.data, form.name.data or "")
            flash(
                _("Nothing is sent on %(day)s.", day=format_date(form.day.data)), "success"
            )
            return redirect(url_for(".index"))
    rules = RulesForm(formdata=None, obj=hours.rules())
    rules.weekdays.data = sorted(hours.rules().weekdays)
    rules.price.data = _money(hours.rules())
    return _page(rules, form)


@pages.post("/days/remove")
@needs("portal.settings")
def remove_day() -> Response:
    """Send on a day again."""
    try:
        day = dt.date.fromisoformat(request.form.get("day", ""))
    except ValueError:
        day = dt.date.min
    hours.remove_silent_day(day)
    flash(_("The day is off the list."), "success")
    return redirect(url_for(".index"))


def _money(rules: hours.Rules) -> Decimal | None:
    limit = rules.approve_above_price
    return None if limit is None else (Decimal(limit) / prices.MILLION).normalize()


def _page(form: RulesForm, day: DayForm) -> Any:
    first, last = hours.legal()
    page = render_template(
        "portal/sending.html",
        form=form,
        adding=day,
        days=hours.silent_days(clock.now().date() - dt.timedelta(days=1)),
        first=hours.clock_text(first),
        last=hours.clock_text(last),
        zone=hours.rules().zone,
        currency=prices.currency(),
        tab="sending",
    )
    return make_response(page, 422 if form.errors or day.errors else 200)
