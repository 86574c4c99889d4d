"""The daily budget: how many people a business may write to in 24 hours, by all its numbers.

A slot is one person, by a keyed hash; it is taken under the portfolio's row lock, before
the intent, and comes free 24 hours after the last message. Who answers does not count:
a conversation is open. Shared by accounts, so it is read and written as `clarion_system`.
"""

import datetime as dt
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from clarion.base import crypto, db
from clarion.messaging.models import (
    Campaign,
    Channel,
    InboundMessage,
    Message,
)
from clarion.messaging.shared import Portfolio, PortfolioRecipient, PortfolioWait
from clarion.tenancy.scope import current_account

DAY = dt.timedelta(hours=24)
SYSTEM = db.Entry("clarion_system", None, "job:portfolio")
NOBODY_FREE = dt.timedelta(hours=1)
"""When to look again at a portfolio that may write to nobody at all."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A portfolio's budget now. `per_day` None: unlimited, or not known yet."""

    portfolio_id: UUID
    name: str
    per_day: int | None
    provider_per_day: int | None
    own_per_day: int | None
    limit_at: dt.datetime
    used: int
    frees_at: dt.datetime | None

    @property
    def left(self) -> int | None:
        """How many more people may be written to now."""
        return None if self.per_day is None else max(0, self.per_day - self.used)


@dataclass(frozen=True, slots=True)
class Ask:
    """An order that wants slots: how important it is, 1 most, and for whom."""

    campaign_id: UUID
    priority: int
    people: Mapping[UUID, bytes]  # message id → hash of its person


@dataclass(frozen=True, slots=True)
class Answer:
    """Which messages have no slot, each with the moment when one may come free."""

    refused: dict[UUID, dt.datetime] = field(default_factory=dict)


def limited(portfolio_id: UUID | None) -> bool:
    """Say whether a portfolio has a daily limit at all."""
    if portfolio_id is None:
        return False
    query = select(_limit()).where(Portfolio.id == portfolio_id)
    with db.apart(SYSTEM) as orm:
        return orm.scalar(query) is not None


def listing() -> list[tuple[Usage, int]]:
    """List every business with its budget and how many connections it has."""
    query = select(Channel.portfolio_id, func.count()).group_by(Channel.portfolio_id)
    with db.apart(SYSTEM) as orm:
        counts = [(one, count) for one, count in orm.execute(query) if one is not None]
    found = usage([one for one, _count in counts])
    listed = [(found[one], count) for one, count in counts if one in found]
    return sorted(listed, key=lambda pair: pair[0].name)


def usage(portfolio_ids: Sequence[UUID]) -> dict[UUID, Usage]:
    """Say how much of each portfolio's budget is used, and when slots come free."""
    valid = PortfolioRecipient.until > func.clarion_now()
    query = (
        select(
            Portfolio,
            _limit(),
            func.count(PortfolioRecipient.until),
            func.min(PortfolioRecipient.until),
        )
        .outerjoin(
            PortfolioRecipient, (PortfolioRecipient.portfolio_id == Portfolio.id) & valid
        )
        .where(Portfolio.id.in_(portfolio_ids))
        .group_by(Portfolio.id)
    )
    with db.apart(SYSTEM) as orm:
        return {
            one.id: Usage(
                portfolio_id=one.id,
                name=one.name or one.provider_id,
                per_day=per_day,
                provider_per_day=one.people_per_day,
                own_per_day=one.own_people_per_day,
                limit_at=one.limit_at,
                used=used,
                frees_at=frees_at,
            )
            for one, per_day, used, frees_at in orm.execute(query)
        }


def people(portfolio_id: UUID, ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """Hash the people of messages that begin a conversation; by message id.

    Who wrote to the same number in the last 24 hours is left out.
    """
    open_ = exists().where(
        InboundMessage.account_id == Message.account_id,
        InboundMessage.contact_id == Message.contact_id,
        InboundMessage.sender_id == Message.sender_id,
        InboundMessage.sent_at > func.clarion_now() - DAY,
    )
    query = select(Message.id, Message.address_kind, Message.address).where(
        Message.account_id == current_account(), Message.id.in_(ids), ~open_
    )
    key = crypto.signing_key("portfolio")
    return {
        row: hmac.digest(key, f"{portfolio_id}:{kind}:{address}".encode(), "sha256")[:16]
        for row, kind, address in db.session().execute(query)
    }


def reserve(portfolio_id: UUID, ask: Ask) -> Answer:
    """Take a slot for each person who has none, as far as there are any.

    Commits by itself: a slot taken for what is not sent after all is the smaller fault.
    """
    with db.apart(SYSTEM) as orm:
        per_day = _locked(orm, portfolio_id)
        if per_day is None or not ask.people:
            return Answer()
        _expire(orm, portfolio_id)
        known = _known(orm, portfolio_id, ask.people.values())
        wanted = list(dict.fromkeys(one for one in ask.people.values() if one not in known))
        free = _free(orm, portfolio_id, per_day, ask)
        taken = set(wanted[: max(0, free)])
        _take(orm, portfolio_id, known, taken)
        refused = [row for row, one in ask.people.items() if one not in known | taken]
        moments = _moments(orm, portfolio_id, len(refused))
        return Answer(dict(zip(refused, moments, strict=True)))


def waits(portfolio_id: UUID, campaign_id: UUID, priority: int, count: int) -> None:
    """Note that an order waits with so many people: less important ones leave slots to it."""
    row = insert(PortfolioWait).values(
        portfolio_id=portfolio_id, campaign_id=campaign_id, priority=priority, people=count
    )
    row = row.on_conflict_do_update(
        index_elements=["portfolio_id", "campaign_id"],
        set_={"priority": priority, "people": count, "seen_at": func.clarion_now()},
    )
    with db.apart(SYSTEM) as orm:
        orm.execute(row)


def waits_no_more(campaign_id: UUID) -> None:
    """Forget that an order waits: it goes on, or it is over."""
    with db.apart(SYSTEM) as orm:
        orm.execute(delete(PortfolioWait).where(PortfolioWait.campaign_id == campaign_id))


def forget_waits() -> None:
    """Drop the waits of orders that are over or stopped."""
    running = select(Campaign.id).where(Campaign.state == "running")
    gone = delete(PortfolioWait).where(PortfolioWait.campaign_id.not_in(running))
    with db.apart(SYSTEM) as orm:
        orm.execute(gone.execution_options(synchronize_session=False))


def _limit() -> ColumnElement[int | None]:
    return func.least(Portfolio.people_per_day, Portfolio.own_people_per_day)


def _locked(orm: Session, portfolio_id: UUID) -> int | None:
    query = select(_limit()).where(Portfolio.id == portfolio_id).with_for_update()
    return orm.scalar(query)


def _expire(orm: Session, portfolio_id: UUID) -> None:
    """Free the slots whose day is over; the count follows under the same lock."""
    gone = orm.execute(
        delete(PortfolioRecipient)
        .where(PortfolioRecipient.portfolio_id == portfolio_id)
        .where(PortfolioRecipient.until <= func.clarion_now())
        .returning(PortfolioRecipient.idx)
        .execution_options(synchronize_session=False)
    ).all()
    _count(orm, portfolio_id, -len(gone))


def _known(orm: Session, portfolio_id: UUID, asked: Iterable[bytes]) -> set[bytes]:
    query = select(PortfolioRecipient.idx).where(
        PortfolioRecipient.portfolio_id == portfolio_id,
        PortfolioRecipient.idx.in_(list(asked)),
    )
    return {bytes(one) for one in orm.scalars(query)}


def _free(orm: Session, portfolio_id: UUID, per_day: int, ask: Ask) -> int:
    """Count the slots that are free, without those that more important orders wait for."""
    used = orm.scalar(select(Portfolio.used).where(Portfolio.id == portfolio_id)) or 0
    before = (
        select(func.coalesce(func.sum(PortfolioWait.people), 0))
        .join(Campaign, Campaign.id == PortfolioWait.campaign_id)
        .where(
            PortfolioWait.portfolio_id == portfolio_id,
            PortfolioWait.campaign_id != ask.campaign_id,
            PortfolioWait.priority < ask.priority,
            Campaign.state == "running",
        )
    )
    return per_day - used - int(orm.scalar(before) or 0)


def _take(orm: Session, portfolio_id: UUID, known: set[bytes], taken: set[bytes]) -> None:
    """Write down who has a slot; their day begins now."""
    until = func.clarion_now() + DAY
    if known:
        orm.execute(
            update(PortfolioRecipient)
            .where(
                PortfolioRecipient.portfolio_id == portfolio_id,
                PortfolioRecipient.idx.in_(known),
            )
            .values(until=until)
            .execution_options(synchronize_session=False)
        )
    if taken:
        rows = [{"portfolio_id": portfolio_id, "idx": one, "until": until} for one in taken]
        orm.execute(insert(PortfolioRecipient).values(rows))
        _count(orm, portfolio_id, len(taken))


def _count(orm: Session, portfolio_id: UUID, more: int) -> None:
    if more:
        orm.execute(
            update(Portfolio)
            .where(Portfolio.id == portfolio_id)
            .values(used=Portfolio.used + more)
        )


def _moments(orm: Session, portfolio_id: UUID, count: int) -> list[dt.datetime]:
    """Say when the next so many slots come free, soonest first."""
    if not count:
        return []
    query = (
        select(PortfolioRecipient.until)
        .where(PortfolioRecipient.portfolio_id == portfolio_id)
        .order_by(PortfolioRecipient.until)
        .limit(count)
    )
    found = list(orm.scalars(query))
    if not found:
        found = [orm.execute(select(func.clarion_now() + NOBODY_FREE)).scalar_one()]
    return found + [found[-1]] * (count - len(found))
