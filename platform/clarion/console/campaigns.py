"""Campaigns that are on their way, of all accounts: how far, why not further, and holds.

Counts, states and codes; never what a campaign says or to whom. Staff hold one at once: when
that commits, nothing new of it leaves. Only staff let it go, and the customer reads why.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import load_only

from clarion.base import clock, db, keyset
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import doubts, holds, ledger, outcomes
from clarion.messaging.holds import CampaignHold, SendingHold
from clarion.messaging.models import Attempt, Breaker, Campaign, Channel, Message, Sender
from clarion.misuse.measures import said
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account, Membership, Person
from clarion.tenancy.scope import current_actor
from clarion.work import mails

SYSTEM = db.Entry("clarion_system", None, "web:console")
PAGE, LONGEST = 25, 200
GOING = ("starting", "running", "pausing", "paused")
WAITING = ("queued", "claimed", "dispatching")
COLUMNS = (
    Campaign.id, Campaign.account_id, Campaign.name, Campaign.purpose, Campaign.state,
    Campaign.state_reason, Campaign.sender_id, Campaign.started_at, Campaign.finished_at,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A campaign as the list shows it.

    Attributes:
        why: the reason it is paused for, in words; empty when it is not.
        reason: the same as its stable name; empty where it has no words of its own.
        per_second: messages that were dealt with a second, on average since it began.
        held: staff hold it.
    """

    id: UUID
    account_id: UUID
    account_name: str
    name: str
    purpose: str
    state: str
    reason: str
    why: str
    sender_id: UUID
    started_at: dt.datetime | None
    audience: int
    handled: int
    failed: int
    per_second: float
    held: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason why messages failed, the provider's code, and how many."""

    transport: str
    reason: str
    code: str
    count: int
    title: str


@dataclass(frozen=True, slots=True)
class One:
    """Everything the page of one campaign shows."""

    line: Line
    tally: dict[str, int]
    transport: str
    failures: list[Failure]
    standing: CampaignHold | None
    review: bool
    restored: bool
    holds: list[CampaignHold] = field(default_factory=list)
    stops: list[tuple[str, str, str, dt.datetime]] = field(default_factory=list)


def listing(
    account: str = "", state: str = "", after: str = "", *, held: bool = False
) -> list[Line]:
    """List what is on its way, the newest first, by key; three statements a page.

    Args:
        account: part of an account's name, or its id.
        state: only in this state.
        after: id of the last one of the page before.
        held: only what staff hold.
    """
    access.require("console.campaigns")
    query = _lines().where(Campaign.state.in_(GOING), Campaign.purpose != "service")
    if account:
        query = query.where(_of_account(account))
    if state:
        if state not in GOING:
            raise Invalid("filter_unknown", _("This list cannot be filtered like that."))
        query = query.where(Campaign.state == state)
    if held:
        query = query.where(_held())
    if after:
        query = query.where(Campaign.id < _uuid(after))
    rows = db.session().execute(query.order_by(Campaign.id.desc()).limit(PAGE)).all()
    tallies = _tally([(row.account_id, row.id) for row in rows])
    return [_line(row, tallies.get(row.id, {})) for row in rows]


def read(campaign_id: UUID) -> One:
    """Read how one campaign goes; as many statements for a large one as for a small one."""
    access.require("console.campaigns")
    orm = db.session()
    row = orm.execute(_lines().where(Campaign.id == campaign_id)).one_or_none()
    if row is None:
        raise _unknown()
    tally = _tally([(row.account_id, row.id)]).get(row.id, {})
    mine = CampaignHold.account_id == row.account_id
    held = select(CampaignHold).where(mine, CampaignHold.campaign_id == campaign_id)
    before = list(orm.scalars(held.order_by(CampaignHold.created_at.desc()).limit(20)))
    review = select(SendingHold.id).where(
        SendingHold.account_id == row.account_id, SendingHold.lifted_at.is_(None)
    )
    transport = orm.scalar(
        select(Channel.transport)
        .join(Sender, _its_channel())
        .where(Sender.account_id == row.account_id, Sender.id == row.sender_id)
    )
    return One(
        line=_line(row, tally),
        tally=tally,
        transport=transport or "",
        failures=_failures(row.account_id, campaign_id, transport or "")
        if tally.get("failed")
        else [],
        standing=next((one for one in before if one.lifted_at is None), None),
        review=orm.scalar(review) is not None,
        restored=row.state_reason == doubts.RESTORED,
        holds=before,
        stops=_stops(row.account_id, campaign_id, row.sender_id),
    )


# --- hold and release


def hold(campaign_id: UUID, reason: str) -> None:
    """Stop a campaign at once; the customer reads why, and cannot let it go on.

    Takes the campaign's lock, which every intent to send holds shared: when this commits,
    nothing that was not on its way already will leave. What waits stays where it is.

    Raises:
        Conflict: it is over, or held already (`campaign_held`).
    """
    access.require("console.campaigns_hold")
    words = said(reason)
    ledger.lock_campaign(campaign_id)
    order = _locked(campaign_id)
    if order.state not in GOING or order.purpose == "service":
        raise Conflict("campaign_over", _("This campaign is over already."))
    paused = order.state in ("pausing", "paused")
    row = insert(CampaignHold).values(
        id=db.new_id(),
        account_id=order.account_id,
        campaign_id=campaign_id,
        words=words,
        by=current_actor().name[:120],
        was=order.state_reason if paused else "",
    )
    new = row.on_conflict_do_nothing().returning(CampaignHold.id)
    if db.session().scalar(new) is None:
        raise Conflict("campaign_held", _("Somebody of us holds it already."))

    # what is to begin finds the hold itself; what a restore left, two people let go
    if order.state != "starting" and order.state_reason != doubts.RESTORED:
        order.state = "paused" if order.state == "paused" else "pausing"
        order.state_reason = holds.BY_STAFF
    db.session().flush()
    audit.record("console.campaign.held", order, why=words)
    holds.settle.later(order.account_id, campaign_id)
    _tell("campaign_held", order, words)


def release(campaign_id: UUID, reason: str) -> None:
    """Let a held campaign go; it goes on by itself unless it was paused before."""
    access.require("console.campaigns_hold")
    words = said(reason)
    ledger.lock_campaign(campaign_id)
    order = _locked(campaign_id)
    query = select(CampaignHold).where(
        CampaignHold.account_id == order.account_id,
        CampaignHold.campaign_id == campaign_id,
        CampaignHold.lifted_at.is_(None),
    )
    row = db.session().scalar(query.with_for_update())
    if row is None:
        raise Conflict("campaign_not_held", _("Nobody of us holds this campaign."))
    row.lifted_at = func.clarion_now()
    row.lifted_by, row.lifted_words = current_actor().name[:80], words
    db.session().flush()
    audit.record("console.campaign.released", order, why=words)
    holds.let_go.later(order.account_id, campaign_id)
    _tell("campaign_released", order, words)


# --- private


def _locked(campaign_id: UUID) -> Campaign:
    """Read and lock an order without what it says: staff may not read that."""
    query = select(Campaign).where(Campaign.id == campaign_id).options(load_only(*COLUMNS))
    row = db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
    if row is None:
        raise _unknown()
    return row


def _tell(kind: str, order: Campaign, words: str) -> None:
    """Write to each owner of the account; the mail leaves when this commits."""
    owners = (
        select(Person.email, Person.name, Person.language, Account.name)
        .join(Membership, Membership.person_id == Person.id)
        .join(Account, Account.id == Membership.account_id)
        .where(Membership.account_id == order.account_id, Membership.role == "owner")
    )
    for email, name, language, account in db.session().execute(owners).tuples().all():
        mails.post(
            kind,
            email,
            name=name,
            language=language,
            link="/",
            account=account,
            campaign=order.name,
            why=words,
        )


def _lines() -> Any:  # Any: a Select of named columns
    return select(*COLUMNS, Account.name.label("account_name"), _held().label("held")).join(
        Account, Account.id == Campaign.account_id
    )


def _held() -> ColumnElement[bool]:
    return exists().where(
        CampaignHold.account_id == Campaign.account_id,
        CampaignHold.campaign_id == Campaign.id,
        CampaignHold.lifted_at.is_(None),
    )


def _line(row: Any, states: dict[str, int]) -> Line:
    audience = sum(states.values()) - states.get("suppressed", 0)
    handled = audience - sum(states.get(one, 0) for one in WAITING)
    end = row.finished_at or clock.now()
    seconds = (end - row.started_at).total_seconds() if row.started_at else 0.0
    paused = row.state in ("paused", "pausing")
    why, reason = outcomes.stands_for(row.state_reason if paused else "")
    return Line(
        id=row.id,
        account_id=row.account_id,
        account_name=row.account_name,
        name=row.name,
        purpose=row.purpose,
        state=row.state,
        reason=reason,
        why=why,
        sender_id=row.sender_id,
        started_at=row.started_at,
        audience=audience,
        handled=handled,
        failed=states.get("failed", 0),
        per_second=handled / max(seconds, 1.0),
        held=row.held,
    )


def _tally(orders: Sequence[tuple[UUID, UUID]]) -> dict[UUID, dict[str, int]]:
    """Count messages by campaign and state; by the index, so the account is named too."""
    if not orders:
        return {}
    query = (
        select(Message.campaign_id, Message.state, func.count())
        .where(tuple_(Message.account_id, Message.campaign_id).in_(orders))
        .group_by(Message.campaign_id, Message.state)
    )
    found: dict[UUID, dict[str, int]] = {}
    with db.apart(SYSTEM) as orm:
        for campaign_id, state, count in orm.execute(query):
            found.setdefault(campaign_id, {})[state] = count
    return found


def _failures(account_id: UUID, campaign_id: UUID, transport: str) -> list[Failure]:
    code = func.coalesce(Attempt.code, "")
    present = and_(
        Attempt.account_id == Message.account_id,
        Attempt.message_id == Message.id,
        Attempt.number == Message.attempt,
    )
    query = (
        select(Message.reason, code, func.count())
        .outerjoin(Attempt, present)
        .where(
            Message.account_id == account_id,
            Message.campaign_id == campaign_id,
            Message.state == "failed",
        )
        .group_by(Message.reason, code)
        .order_by(func.count().desc())
        .limit(50)
    )
    with db.apart(SYSTEM) as orm:
        rows = orm.execute(query).tuples().all()
    return [
        Failure(transport, why, told, n, outcomes.explain("failed", why, told).title)
        for why, told, n in rows
    ]


def _stops(
    account_id: UUID, campaign_id: UUID, sender_id: UUID
) -> list[tuple[str, str, str, dt.datetime]]:
    """List open breakers in its way, as far as staff can see: kind, reason, words, since."""
    channel = select(cast(Sender.channel_id, Text)).where(
        Sender.account_id == account_id, Sender.id == sender_id
    )
    mine = or_(
        and_(Breaker.kind == "campaign", Breaker.subject == str(campaign_id)),
        and_(Breaker.kind == "sender", Breaker.subject == str(sender_id)),
        and_(Breaker.kind == "channel", Breaker.subject == channel.scalar_subquery()),
    )
    query = select(Breaker.kind, Breaker.reason, Breaker.opened_at).where(
        Breaker.account_id == account_id, Breaker.state != "closed", mine
    )
    return [
        (kind, reason, outcomes.explain("paused", reason).title, at)
        for kind, reason, at in db.session().execute(query).tuples().all()
    ]


def _its_channel() -> ColumnElement[bool]:
    return and_(Channel.account_id == Sender.account_id, Channel.id == Sender.channel_id)


def _of_account(asked: str) -> ColumnElement[bool]:
    if len(asked) > LONGEST or "\0" in asked:
        raise Invalid("filter_unknown", _("This is too long to search for."))
    try:
        return Campaign.account_id == UUID(asked)
    except ValueError:
        return keyset.inside(Account.name, asked)


def _unknown() -> NotFound:
    return NotFound("campaign_unknown", _("There is no such campaign."))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("page_unknown", _("There is no such page.")) from None
