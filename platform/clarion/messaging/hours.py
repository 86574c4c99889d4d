"""An account's rules about time: hours, days without sending, how often, who approves."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Date,
    SmallInteger,
    String,
    UniqueConstraint,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Wall, column
from clarion.base.errors import Invalid, NotFound
from clarion.base.settings import settings
from clarion.base.trails import Trail
from clarion.base.words import _, lazy
from clarion.messaging.windows import Hours
from clarion.tenancy import access, audit
from clarion.tenancy.models import NOW, Account, AccountBase, Time
from clarion.tenancy.scope import current_account

PER_DAY, PER_WEEK = 1, 3  # marketing messages one person gets, unless the account says
MOST = 99
EVERY_DAY = frozenset(range(7))
NAME_MAX = 80
MOST_DAYS = 400

audit.label("messaging.rules.changed", "Changed when and how often marketing is sent")
audit.label("messaging.silent_day.added", "Added a day without sending")
audit.label("messaging.silent_day.removed", "Removed a day without sending")


class SendingRules(AccountBase):
    """When an account's marketing may leave, how often one person gets some, who approves.

    One row, once somebody has changed something; `rules` knows what holds before.
    `opens` and `closes` are minutes after midnight, `weekdays` has bit 0 for Monday.
    """

    __tablename__ = "sending_rules"
    __table_args__ = (
        UniqueConstraint("account_id"),
        CheckConstraint("0 <= opens AND opens < closes AND closes <= 1440", name="hours"),
        CheckConstraint("weekdays BETWEEN 1 AND 127", name="weekdays"),
        CheckConstraint("1 <= per_day AND per_day <= per_week", name="caps"),
        CheckConstraint("approve_above >= 0", name="approve_above"),
        CheckConstraint("approve_above_price >= 0", name="approve_above_price"),
    )
    wall = Wall(kind="operational", staff=("SELECT",))
    trail = Trail(lazy("Sending rules"), skip=("updated_at",))

    opens: Mapped[int] = column(SmallInteger, pd=None, server_default="0")
    closes: Mapped[int] = column(SmallInteger, pd=None, server_default="1440")
    weekdays: Mapped[int] = column(SmallInteger, pd=None, server_default="127")
    per_day: Mapped[int] = column(SmallInteger, pd=None, server_default="1")
    per_week: Mapped[int] = column(SmallInteger, pd=None, server_default="3")
    approve_above: Mapped[int | None] = column(pd=None)
    approve_above_price: Mapped[int | None] = column(BigInteger, pd=None)  # millionths
    updated_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class SilentDay(AccountBase):
    """A date on which an account sends no marketing, anywhere in the world."""

    __tablename__ = "silent_day"
    __table_args__ = (UniqueConstraint("account_id", "day"),)
    wall = Wall(kind="operational", staff=("SELECT",))
    trail = Trail(lazy("Silent day"))

    day: Mapped[dt.date] = column(Date, pd=None)
    name: Mapped[str] = column(String(80), pd=None, server_default="")


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for an account's marketing now.

    Attributes:
        opens, closes: minutes after midnight on the person's clock.
        weekdays: days of the week on which it is sent, Monday is 0.
        per_day, per_week: how many messages one person gets, on their own calendar.
        approve_above: with more people than this a second person approves; None: never.
        approve_above_price: above so many millionths of the price list's currency, too.
        zone: the account's own time zone.
        silent: dates without sending.
    """

    opens: int
    closes: int
    weekdays: frozenset[int]
    per_day: int
    per_week: int
    approve_above: int | None
    zone: str
    silent: frozenset[dt.date]
    approve_above_price: int | None = None

    @property
    def hours(self) -> Hours:
        """The same as the windows are cut from."""
        return Hours(self.opens, self.closes, self.weekdays, self.silent)


def legal() -> tuple[int, int]:
    """Say between which minutes of the day marketing may leave on this installation."""
    begin, _dash, end = settings().marketing_hours.partition("-")
    opens, closes = (int(t[:2]) * 60 + int(t[3:]) for t in (begin, end))
    return opens, max(closes, opens + 1)


def rules() -> Rules:
    """Read the account's rules; never wider than the installation's hours."""
    first, last = legal()
    query = (
        select(Account.timezone, SendingRules)
        .outerjoin(SendingRules, SendingRules.account_id == Account.id)
        .where(Account.id == current_account())
    )
    zone, row = db.session().execute(query).one()
    days = frozenset(db.session().scalars(select(SilentDay.day).where(_own(SilentDay))))
    if row is None:
        return Rules(first, last, EVERY_DAY, PER_DAY, PER_WEEK, None, zone, days)
    opens, closes = max(row.opens, first), min(row.closes, last)
    if opens >= closes:  # the installation's hours have moved away from the account's
        opens, closes = first, last
    weekdays = frozenset(n for n in range(7) if row.weekdays >> n & 1)
    return Rules(
        opens,
        closes,
        weekdays,
        row.per_day,
        row.per_week,
        row.approve_above,
        zone,
        days,
        row.approve_above_price,
    )


def change(
    *,
    opens: int,
    closes: int,
    weekdays: Iterable[int],
    per_day: int,
    per_week: int,
    approve_above: int | None,
    approve_above_price: int | None = None,
) -> None:
    """Change the account's rules. What waits takes them up when its window next opens.

    Raises:
        Invalid: hours wider than the installation's, no weekday left, or no sane number.
    """
    access.require("portal.settings")
    days = frozenset(weekdays)
    if approve_above_price is not None and not 0 <= approve_above_price < 2**62:
        said = _("Give an amount of money, or leave it empty.")
        raise Invalid("approve_price_invalid", said, field="price")
    _refuse(
        opens=opens,
        closes=closes,
        days=days,
        per_day=per_day,
        per_week=per_week,
        approve_above=approve_above,
    )
    given = {
        "opens": opens,
        "closes": closes,
        "weekdays": sum(1 << n for n in days),
        "per_day": per_day,
        "per_week": per_week,
        "approve_above": approve_above,
        "approve_above_price": approve_above_price,
        "updated_at": func.clarion_now(),
    }
    row = insert(SendingRules).values(id=db.new_id(), **given)
    row = row.on_conflict_do_update(index_elements=["account_id"], set_=given)
    db.session().execute(row)
    facts = {n: str(v) for n, v in given.items() if n not in ("updated_at", "weekdays")}
    audit.record("messaging.rules.changed", days=str(sorted(days)), **facts)


def silent_days(since: dt.date) -> list[tuple[dt.date, str]]:
    """List the days without sending from a date on, with their names."""
    query = select(SilentDay.day, SilentDay.name).where(
        _own(SilentDay), SilentDay.day >= since
    )
    return [
        (day, name) for day, name in db.session().execute(query.order_by(SilentDay.day))
    ]


def add_silent_day(day: dt.date, name: str = "") -> None:
    """Send no marketing on a date. A day that is there already gets the new name."""
    access.require("portal.settings")
    name = " ".join(name.split())
    if len(name) > NAME_MAX:
        said = _("The name may have %(max)s letters.", max=NAME_MAX)
        raise Invalid("silent_day_name", said, field="name")
    count = select(func.count()).select_from(SilentDay).where(_own(SilentDay))
    if (db.session().scalar(count) or 0) >= MOST_DAYS:
        raise Invalid("silent_days_many", _("These are too many days."), field="day")
    row = insert(SilentDay).values(id=db.new_id(), day=day, name=name)
    row = row.on_conflict_do_update(
        index_elements=["account_id", "day"], set_={"name": name}
    )
    db.session().execute(row)
    audit.record("messaging.silent_day.added", day=day.isoformat())


def remove_silent_day(day: dt.date) -> None:
    """Send on a date again."""
    access.require("portal.settings")
    query = delete(SilentDay).where(_own(SilentDay), SilentDay.day == day)
    if db.session().execute(query.returning(SilentDay.id)).first() is None:
        raise NotFound("silent_day_unknown", _("This day is not on the list."))
    audit.record("messaging.silent_day.removed", day=day.isoformat())


# --- private


def _own(table: type[SendingRules] | type[SilentDay]) -> ColumnElement[bool]:
    return table.account_id == current_account()


def _refuse(
    *,
    opens: int,
    closes: int,
    days: frozenset[int],
    per_day: int,
    per_week: int,
    approve_above: int | None,
) -> None:
    first, last = legal()
    if not first <= opens < closes <= last:
        said = _(
            "Marketing may leave between %(first)s and %(last)s only; choose hours inside.",
            first=clock_text(first),
            last=clock_text(last),
        )
        raise Invalid("hours_invalid", said, field="opens")
    if not days or not days <= EVERY_DAY:
        raise Invalid("weekdays_missing", _("Choose at least one day."), field="weekdays")
    if not 1 <= per_day <= per_week <= MOST:
        said = _("Choose 1 to %(most)s a day, and not less a week.", most=MOST)
        raise Invalid("caps_invalid", said, field="per_day")
    if approve_above is not None and not 0 <= approve_above < 2**31:
        said = _("Give a number of people, or leave it empty.")
        raise Invalid("approve_above_invalid", said, field="approve_above")


def clock_text(minutes: int) -> str:
    """Write minutes after midnight as `09:00`."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
