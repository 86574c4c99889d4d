"""What messages cost at most: the provider's price list, as the operator has entered it.

Providers publish their prices as tables and change them some times a year, so a list has
a day from which it holds. No price is in the code, and none is invented: for whom the
list has no line, the price is not known, and that is said.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    String,
    UniqueConstraint,
    Uuid,
    and_,
    cast,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Base, Wall, column, new_id
from clarion.base.errors import Invalid, NotFound
from clarion.base.trails import Trail
from clarion.base.words import _, lazy
from clarion.messaging import address, channels
from clarion.messaging.models import Channel, Sender
from clarion.tenancy import access, audit
from clarion.tenancy.models import NOW, Time
from clarion.tenancy.scope import current_account, current_actor

audit.label("messaging.prices.set", "Entered a price list")
audit.label("messaging.prices.removed", "Removed a price list")

CATEGORIES = ("marketing", "utility", "auth")
ELSEWHERE = "*"
MILLION = 1_000_000
MOST_LINES, DEAREST = 2_000, 10_000
_CURRENCY = re.compile(r"[A-Z]{3}")


class Price(Base):
    """What a provider takes for one message, from a day on; given by the operator.

    `market` is a country, or `*` for all that have no line of their own; `micros` are
    millionths of one unit of the currency.
    """

    __tablename__ = "price"
    __table_args__ = (
        UniqueConstraint("transport", "category", "market", "valid_from"),
        CheckConstraint("micros >= 0", name="micros"),
        CheckConstraint(f"category IN {CATEGORIES!r}", name="category"),
    )
    wall = Wall(
        kind="platform",
        app=("SELECT",),
        staff=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="the provider's price list is the same for every account",
    )
    trail = Trail(lazy("Price"))

    id: Mapped[UUID] = column(Uuid, pd=None, primary_key=True, default=new_id)
    transport: Mapped[str] = column(String(40), pd=None)
    category: Mapped[str] = column(String(12), pd=None)
    market: Mapped[str] = column(String(2), pd=None)
    valid_from: Mapped[dt.date] = column(Date, pd=None)
    currency: Mapped[str] = column(String(3), pd=None)
    micros: Mapped[int] = column(BigInteger, pd=None)
    created_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    created_by: Mapped[str] = column(String(80), pd=None, server_default="")


@dataclass(frozen=True, slots=True)
class Quote:
    """What messages to some people cost at most: if every one of them is delivered.

    Attributes:
        currency: three letters.
        micros: millionths of one unit of it.
        unpriced: people for whose country the list has no line; they are not in the sum.
    """

    currency: str
    micros: int
    unpriced: int = 0

    @property
    def amount(self) -> Decimal:
        """The same in units of the currency."""
        return Decimal(self.micros) / MILLION


@dataclass(frozen=True, slots=True)
class Line:
    """One price of a list."""

    category: str
    market: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PriceList:
    """What a provider takes from a day on."""

    transport: str
    valid_from: dt.date
    currency: str
    by: str
    lines: tuple[Line, ...]


def quote(
    sender_id: UUID,
    category: str,
    people: Iterable[tuple[str, int]],
    at: dt.datetime | None = None,
) -> Quote | None:
    """Say what messages from a number cost at most; None while there is no price list.

    Args:
        sender_id: the number they leave from; its provider's list is taken.
        category: marketing, utility or auth.
        people: how many live in which country, two letters; empty when it is not known.
        at: when they leave, for a list that holds from a later day; now when left out.
    """
    lines = _holding(sender_id, category, at)
    if not lines:
        return None
    micros = unpriced = 0
    for market, count in people:
        found = lines.get(market) or lines.get(ELSEWHERE)
        if found is None:
            unpriced += count
        else:
            micros += found.micros * count
    currency = next(iter(lines.values())).currency
    return Quote(currency, micros, unpriced)


def table(sender_id: UUID, category: str, at: dt.datetime | None = None) -> dict[str, int]:
    """List what a message from a number costs by country, in millionths; `*`: elsewhere."""
    lines = _holding(sender_id, category, at)
    return {market: line.micros for market, line in lines.items()}


def known(sender_id: UUID, category: str) -> bool:
    """Say whether there is a price list that holds now: without one nobody is counted."""
    return bool(_holding(sender_id, category, None))


def currency() -> str:
    """Name the currency of this account's prices; empty while there are none."""
    mine = select(Channel.transport).where(Channel.account_id == current_account())
    query = select(Price.currency).where(Price.transport.in_(mine))
    return db.session().scalar(query.limit(1)) or ""


# --- for staff


def lists() -> list[PriceList]:
    """Show every price list, the newest first."""
    access.require("console.prices")
    query = select(Price).order_by(
        Price.transport, Price.valid_from.desc(), Price.category, Price.market
    )
    found: dict[tuple[str, dt.date], list[Price]] = {}
    for row in db.session().scalars(query):
        found.setdefault((row.transport, row.valid_from), []).append(row)
    return [
        PriceList(
            transport,
            valid_from,
            rows[0].currency,
            rows[0].created_by,
            tuple(Line(r.category, r.market, Decimal(r.micros) / MILLION) for r in rows),
        )
        for (transport, valid_from), rows in found.items()
    ]


def enter(transport: str, valid_from: dt.date, given_currency: str, text: str) -> int:
    """Enter a price list, in place of one from the same day; return how many lines.

    Args:
        transport: whose prices.
        valid_from: the day from which they hold.
        given_currency: three letters; one for all lists of a provider.
        text: a line for each price: country (or `*` for all others), category, price.

    Raises:
        Invalid: a line that cannot be read, by its number; or another currency.
    """
    access.require("console.prices_edit")
    if transport not in channels.transports():
        raise Invalid(
            "transport_unknown", _("There is no such provider."), field="transport"
        )
    code = given_currency.strip().upper()
    if not _CURRENCY.fullmatch(code):
        said = _("A currency has three letters, like EUR.")
        raise Invalid("currency_invalid", said, field="currency")
    lines = list(_read(text))
    if not 0 < len(lines) <= MOST_LINES:
        said = _("Enter between 1 and %(most)s prices, one a line.", most=MOST_LINES)
        raise Invalid("prices_missing", said, field="lines")
    other = select(Price.currency).where(
        Price.transport == transport, Price.valid_from != valid_from, Price.currency != code
    )
    if (there := db.session().scalar(other.limit(1))) is not None:
        said = _("The other lists of this provider are in %(code)s.", code=there)
        raise Invalid("currency_other", said, field="currency")
    old = delete(Price).where(_one_list(transport, valid_from))
    db.session().execute(old.execution_options(audited=True))  # said below
    rows = [
        {
            "id": db.new_id(),
            "transport": transport,
            "category": line.category,
            "market": line.market,
            "valid_from": valid_from,
            "currency": code,
            "micros": int(line.amount * MILLION),
            "created_by": current_actor().label[:80],
        }
        for line in lines
    ]
    db.session().execute(insert(Price).values(rows).execution_options(audited=True))
    audit.record(
        "messaging.prices.set",
        None,
        transport=transport,
        valid_from=valid_from.isoformat(),
        lines=len(rows),
    )
    return len(rows)


def remove(transport: str, valid_from: dt.date) -> None:
    """Remove a price list; the one before it holds again."""
    access.require("console.prices_edit")
    gone = delete(Price).where(_one_list(transport, valid_from)).returning(Price.id)
    gone = gone.execution_options(audited=True)  # said below
    if not db.session().execute(gone).all():
        raise NotFound("prices_unknown", _("There is no such price list."))
    audit.record(
        "messaging.prices.removed",
        None,
        transport=transport,
        valid_from=valid_from.isoformat(),
    )


# --- private


def _one_list(transport: str, valid_from: dt.date) -> Any:
    return and_(Price.transport == transport, Price.valid_from == valid_from)


def _holding(sender_id: UUID, category: str, at: dt.datetime | None) -> Mapping[str, Price]:
    """Find the newest line of each market that holds at a moment."""
    transport = (
        select(Channel.transport)
        .join(
            Sender,
            and_(Sender.account_id == Channel.account_id, Sender.channel_id == Channel.id),
        )
        .where(Sender.account_id == current_account(), Sender.id == sender_id)
    )
    day = func.clarion_now() if at is None else at
    query = (
        select(Price)
        .where(
            Price.transport == transport.scalar_subquery(),
            Price.category == category,
            Price.valid_from <= cast(day, Date),
        )
        .order_by(Price.valid_from)
    )
    return {row.market: row for row in db.session().scalars(query)}


def _read(text: str) -> Iterator[Line]:
    seen = set[tuple[str, str]]()
    for number, raw in enumerate(text.splitlines(), start=1):
        if not raw.strip():
            continue
        parts = [part.strip() for part in re.split(r"[;\t]", raw)]
        if len(parts) == 1:
            parts = [part.strip() for part in raw.split(",", 2)]
        if len(parts) != 3:
            raise _wrong(number, _("it needs a country, a category and a price"))
        market, category = parts[0].upper(), parts[1].lower()
        if market != ELSEWHERE and market not in address.regions():
            raise _wrong(number, _("“%(text)s” is no country", text=parts[0][:20]))
        if category not in CATEGORIES:
            raise _wrong(number, _("“%(text)s” is no category", text=parts[1][:20]))
        if (market, category) in seen:
            raise _wrong(number, _("this price is there twice"))
        seen.add((market, category))
        yield Line(category, market, _amount(number, parts[2]))


def _amount(number: int, text: str) -> Decimal:
    try:
        found = Decimal(text.replace(",", ".") if "." not in text else text)
    except InvalidOperation:
        raise _wrong(number, _("“%(text)s” is no price", text=text[:20])) from None
    if not found.is_finite() or not 0 <= found < DEAREST:
        raise _wrong(number, _("“%(text)s” is no price", text=text[:20]))
    if found * MILLION % 1:
        raise _wrong(number, _("a price has six decimals at most"))
    return found


def _wrong(number: int, why: str) -> Invalid:
    said = _("Line %(number)s: %(why)s.", number=number, why=why)
    return Invalid("price_line", said, field="lines")
