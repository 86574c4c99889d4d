"""Countries a provider does not let a connection write to: their people wait for nobody.

The first refusal speaks for the whole country (code 130497 of WhatsApp). From then on its
people are left out, with that reason, before anything is asked of the provider; everybody
else of the campaign is sent to as before. A person says when to try again.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    String,
    UniqueConstraint,
    Uuid,
    and_,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Wall, column
from clarion.base.errors import NotFound
from clarion.base.telemetry import logger
from clarion.base.trails import Trail
from clarion.base.words import _, country, lazy
from clarion.messaging import address
from clarion.messaging.models import Campaign, Channel, Message, Sender
from clarion.tenancy import access, audit
from clarion.tenancy.models import NOW, AccountBase, Time
from clarion.tenancy.scope import current_account
from clarion.work import notices
from clarion.work.jobs import job
from clarion.work.notices import Notice

audit.label("messaging.country.stopped", "The provider refuses people of a country")
audit.label("messaging.country.resumed", "Let people of a country be written to again")

log = logger(__name__)
REASON = "country_restricted"
AMERICAN = "us_marketing"
PAGE = 5_000
UNDER_WAY = ("starting", "running", "pausing", "paused")


class CountryStop(AccountBase):
    """A country a provider does not let a connection write to: its people are left out.

    Written when the provider refuses the first of them. `closed_at`: somebody said to try
    again; the next refusal opens it anew.
    """

    __tablename__ = "country_stop"
    __table_args__ = (UniqueConstraint("account_id", "channel_id", "country"),)
    wall = Wall(kind="operational", staff=("SELECT",), system=("SELECT",))
    trail = Trail(lazy("Country that is stopped"))

    channel_id: Mapped[UUID] = column(Uuid, pd=None, to="channel")
    country: Mapped[str] = column(String(2), pd=None)
    opened_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    closed_at: Mapped[dt.datetime | None] = column(Time, pd=None)


@dataclass(frozen=True, slots=True)
class Stop:
    """A country that is left out, and since when."""

    country: str
    since: dt.datetime


def refused(channel_id: UUID, numbers: Iterable[str]) -> int:
    """Leave out the countries of numbers the provider has refused for their country.

    Safe to call for every refusal: the row is the guard. Returns how many are news.
    """
    news = 0
    for found in sorted({address.region_of(number) for number in numbers} - {""}):
        row = insert(CountryStop).values(
            id=db.new_id(), channel_id=channel_id, country=found
        )
        row = row.on_conflict_do_update(
            index_elements=["account_id", "channel_id", "country"],
            set_={"opened_at": func.clarion_now(), "closed_at": None},
            where=CountryStop.closed_at.is_not(None),
        )
        if db.session().execute(row.returning(CountryStop.id)).first() is None:
            continue
        news += 1
        audit.record("messaging.country.stopped", None, country=found)
        log.warning("country.stopped", country=found)
        _tell(channel_id, found)
        leave_out.later(channel_id, found)
    return news


def standing(channel_id: UUID) -> list[Stop]:
    """List the countries that are left out on a connection, by their codes."""
    query = select(CountryStop.country, CountryStop.opened_at).where(_open(channel_id))
    rows = db.session().execute(query.order_by(CountryStop.country))
    return [Stop(found, since) for found, since in rows]


def lift(channel_id: UUID, found: str) -> bool:
    """Write to a country again, from the next campaign on; say whether it was left out."""
    access.require("portal.senders")
    if db.session().scalar(select(Channel.id).where(Channel.id == channel_id)) is None:
        raise NotFound("channel_unknown", _("There is no such connection."))
    lifted = (
        update(CountryStop)
        .where(_open(channel_id), CountryStop.country == found)
        .values(closed_at=func.clarion_now())
        .returning(CountryStop.id)
        .execution_options(synchronize_session=False)
    )
    was = db.session().execute(lifted).first() is not None
    if was:
        audit.record("messaging.country.resumed", None, country=found)
    return was


def among(a: FromClause, sender_id: UUID) -> ColumnElement[bool]:
    """Say who of an audience lives in a country that is left out for a number.

    By how their number begins; where several countries begin alike, by the country that
    is known of them.
    """
    channel_id = db.session().scalar(
        select(Sender.channel_id).where(
            Sender.account_id == current_account(), Sender.id == sender_id
        )
    )
    rules: list[ColumnElement[bool]] = []
    for stop in standing(channel_id) if channel_id else ():
        begin, alone = address.prefix_of(stop.country)
        if not begin:
            continue
        rule = a.c.address.startswith(begin, autoescape=True)
        if alone:
            rules.append(rule)
        elif "country" in a.c:
            rules.append(and_(rule, a.c.country == stop.country))
    return or_(false(), *rules)


def american(a: FromClause) -> ColumnElement[bool]:
    """Say who of an audience has a number of the United States, by its area code.

    WhatsApp delivers no marketing to them at all (Meta, April 2025). +1 is also Canada and
    the Caribbean, where it does; their area codes are known.
    """
    local = func.substr(a.c.address, 3, 3)
    return and_(
        a.c.address_kind == "phone",
        a.c.address.startswith("+1", autoescape=True),
        func.length(a.c.address) == _AMERICAN_LENGTH,
        local.not_in(sorted(_neighbours())),
    )


def after_freeze(order: Campaign) -> None:
    """Have those looked for whom `among` could not tell; nothing to do mostly."""
    channel_id = db.session().scalar(
        select(Sender.channel_id).where(Sender.id == order.sender_id)
    )
    if channel_id is None:
        return
    for stop in standing(channel_id):
        if not address.prefix_of(stop.country)[1]:
            leave_out.later(channel_id, stop.country)


@job(queue="bulk", idempotent=True)
def leave_out(channel_id: UUID, found: str, after: UUID | None = None) -> None:
    """Leave out the people of a country who wait, a page of messages at a time."""
    begin, _alone = address.prefix_of(found)
    waiting = (
        select(Message.id, Message.address)
        .where(
            Message.account_id == current_account(),
            Message.campaign_id.in_(_under_way(channel_id)),
            Message.state == "queued",
            Message.address_kind == "phone",
            Message.address.startswith(begin, autoescape=True),
        )
        .order_by(Message.id)
        .limit(PAGE)
    )
    if after is not None:
        waiting = waiting.where(Message.id > after)
    if not begin or not _still(channel_id, found):
        return
    rows = db.session().execute(waiting).tuples().all()
    theirs = [row for row, number in rows if address.region_of(number) == found]
    _left_out(theirs)
    if len(rows) == PAGE:
        leave_out.later(channel_id, found, rows[-1][0])


# --- private

_AMERICAN_LENGTH = len("+12125550123")


@cache
def _neighbours() -> frozenset[str]:
    """List the area codes behind +1 that are not of the United States."""
    codes = {f"{n}": address.region_of(f"+1{n}2345678") for n in range(200, 1_000)}
    return frozenset(code for code, region in codes.items() if region not in ("US", ""))


def _left_out(ids: list[UUID]) -> None:
    if ids:
        db.session().execute(
            update(Message)
            .where(
                Message.account_id == current_account(),
                Message.id.in_(ids),
                Message.state == "queued",
            )
            .values(state="suppressed", reason=REASON, state_since=func.clarion_now())
            .execution_options(synchronize_session=False)
        )


def _under_way(channel_id: UUID) -> Any:  # Any: SQLAlchemy's Select
    senders = select(Sender.id).where(
        Sender.account_id == current_account(), Sender.channel_id == channel_id
    )
    return select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.state.in_(UNDER_WAY),
        Campaign.sender_id.in_(senders),
    )


def _open(channel_id: UUID) -> ColumnElement[bool]:
    return and_(
        CountryStop.account_id == current_account(),
        CountryStop.channel_id == channel_id,
        CountryStop.closed_at.is_(None),
    )


def _still(channel_id: UUID, found: str) -> bool:
    return any(stop.country == found for stop in standing(channel_id))


def _tell(channel_id: UUID, found: str) -> None:
    def write(account: str) -> Notice:
        where = country(found)
        return Notice(
            _("%(account)s: no messages to %(where)s", account=account, where=where),
            (
                _(
                    "The provider does not let your business write to people in %(where)s.",
                    where=where,
                ),
                _(
                    "They are left out; everybody else is sent to as before. When the"
                    " provider allows it again, say so here:"
                ),
            ),
        )

    notices.tell(write, needs="portal.senders", link=f"/senders/{channel_id}")
