"""Circuit breakers: what stops a template, campaign, number, connection or business.

A breaker is opened once, by whoever notices first; it pauses what the gate reads anyway,
so that sending pays nothing for it. It half-opens at a stated end or by the provider's
word: then one message is tried, and what comes of it closes or opens it again. All others
are closed by a person, at half rate. `gauges` decides when one opens.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.telemetry import counter, logger
from clarion.base.words import speaking
from clarion.messaging import (
    businesses,
    channels,
    contract,
    grades,
    orders,
    outcomes,
    pacing,
)
from clarion.messaging.contract import Halted
from clarion.messaging.events import BreakerOpened
from clarion.messaging.models import Breaker, Campaign, Channel, Sender
from clarion.tenancy import audit
from clarion.tenancy.models import Account, Membership, Person
from clarion.tenancy.scope import current_account
from clarion.work import mails, outbox

audit.label("messaging.breaker.opened", "Sending was stopped to prevent harm")
audit.label("messaging.breaker.closed", "What had stopped sending is over")
audit.label("messaging.breaker.resumed", "Let stopped sending go on, at half speed")

log = logger(__name__)
Kind = Literal["template", "campaign", "sender", "channel", "portfolio"]
TRIAL = dt.timedelta(seconds=60)
"""How long the one message of a half-open breaker may take; then another may try."""
IN_A_ROW = dt.timedelta(minutes=30)
"""An opening so soon after the last one waits longer than it."""
WAITS: dict[str, tuple[int, ...]] = {
    "provider_down": (60, 300, 300, 600),
    "template_syncing": (600, 600, 1_800),
}
"""Reasons with a stated end: seconds until one message is tried, the first time and later."""
opened = counter("breakers_opened_total", "Circuit breakers opened", ("kind", "reason"))


@dataclass(frozen=True, slots=True)
class Stop:
    """An open or half-open breaker, as pages show it."""

    id: UUID
    kind: str
    subject: str
    state: str
    reason: str
    opened_at: dt.datetime
    until: dt.datetime | None


def of_template(channel_id: UUID, name: str, language: str) -> str:
    """Name a template as a breaker's subject; `en-US` and `en_US` are one language."""
    return f"{channel_id}:{name}:{language.replace('-', '_')}"[:600]


def open_(
    kind: Kind, subject: str, reason: str, *, until: dt.datetime | None = None
) -> bool:
    """Stop something, and tell its owner; say whether that is news.

    Safe to call from everywhere at once: the row is the guard, one caller gets True.

    Args:
        kind: what is stopped.
        subject: which: an id, or `of_template`.
        reason: a cause that `outcomes` has words for.
        until: when the provider says that it ends.
    """
    row = insert(db.table_of(Breaker)).values(
        id=db.new_id(),
        kind=kind,
        subject=subject,
        reason=reason[:60],
        until=until if until is not None else _end(reason, 1),
    )
    soon = Breaker.closed_at > func.clarion_now() - IN_A_ROW
    in_a_row = or_(Breaker.state == "half_open", soon)
    times = case((in_a_row, func.least(Breaker.times + 1, 99)), else_=1)
    row = row.on_conflict_do_update(
        index_elements=["account_id", "kind", "subject"],
        set_={
            "state": "open",
            "reason": reason[:60],
            "times": times,
            "opened_at": func.clarion_now(),
            "until": until if until is not None else _later_end(reason, times),
            "trial_until": None,
            "closed_at": None,
        },
        where=Breaker.state != "open",
    )
    found = db.session().execute(row.returning(Breaker.id, Breaker.times)).first()
    if found is None:
        return False
    _enforce(kind, subject, reason)
    opened.labels(kind, reason).inc()
    log.warning("breaker.opened", kind=kind, reason=reason, times=found.times)
    audit.record("messaging.breaker.opened", None, kind=kind, why=reason)
    outbox.publish(BreakerOpened(kind=kind, subject=subject, reason=reason))
    if found.times == 1 or reason not in WAITS:  # a trial that fails is no news
        _tell_owners(reason)
    if kind == "portfolio":
        businesses.stop.later(UUID(subject), reason, until.isoformat() if until else "")
    elif kind == "sender" and reason in businesses.OF_ITS_NUMBERS:
        business = businesses.of_sender(UUID(subject))
        if business and businesses.troubled(business, but=UUID(subject)):
            open_("portfolio", str(business), reason)
    return True


def open_channel(channel_id: UUID, reason: str, until: dt.datetime | None = None) -> bool:
    """Stop a connection; or its whole business, if that is what the provider means."""
    business = businesses.of_channel(channel_id)
    if business is not None and reason in businesses.ALL_OF_IT:
        return open_("portfolio", str(business), reason, until=until)
    return open_("channel", str(channel_id), reason, until=until)


def halted(channel_id: UUID, sender_id: UUID, campaign_id: UUID, halt: Halted) -> None:
    """Stop what a provider's answer or failed status says is wrong; the order waits."""
    if halt.scope == "template":
        order = db.session().scalar(select(Campaign).where(Campaign.id == campaign_id))
        if order is not None:
            open_("template", _template_of(order, channel_id), halt.reason)
    elif halt.scope == "sender":
        open_("sender", str(sender_id), halt.reason)
    else:
        open_channel(channel_id, halt.reason)
    orders.halt(campaign_id, halt.reason)


# --- how it opens again


def tick() -> int:
    """Half-open what has reached its stated end; return how many."""
    due = select(Breaker).where(
        Breaker.account_id == current_account(),
        Breaker.state == "open",
        Breaker.until <= func.clarion_now(),
    )
    rows = list(db.session().scalars(due.with_for_update(skip_locked=True)))
    for row in rows:
        _half_open(row)
    return len(rows)


def heard(channel_id: UUID, said: contract.Health) -> None:
    """Do what the provider's own word about a template, number or account asks for."""
    subjects = [str(channel_id)]
    if said.scope == "template":
        subjects = [of_template(channel_id, said.subject, said.language)]
    elif said.scope == "sender":
        subjects = _numbers(channel_id, said)
    for subject in subjects:
        if said.stops and said.scope == "channel":
            open_channel(channel_id, said.stops, said.until)
        elif said.stops:
            open_(said.scope, subject, said.stops, until=said.until)
        elif said.ends:
            cleared(said.scope, subject, said.ends)
    business = businesses.of_channel(channel_id) if said.scope == "channel" else None
    if business is not None and said.ends:
        cleared("portfolio", str(business), said.ends)


def cleared(kind: Kind, subject: str, reasons: frozenset[str]) -> bool:
    """Half-open what the provider says is all right again; say whether it was open.

    Only what was stopped for one of these reasons: a number that is well again does not
    make people want what they did not want.
    """
    row = db.session().scalar(_one(kind, subject).with_for_update())
    if row is None or row.state != "open" or row.reason not in reasons:
        return False
    _half_open(row)
    if kind == "portfolio":
        businesses.end.later(UUID(subject), sorted(reasons))
    return True


def way(campaign: Campaign, sender: Sender) -> tuple[UUID, ...] | None:
    """Say whether an order may send now, at the beginning of a slice.

    Returns:
        an empty tuple: freely; ids of half-open breakers: one message, as a trial that
        `judge` has to be told about; `None`: not now.
    """
    in_the_way = and_(
        Breaker.account_id == current_account(),
        Breaker.state != "closed",
        _about(campaign, sender.channel_id),
    )
    rows = list(
        db.session().scalars(
            select(Breaker).where(in_the_way).order_by(Breaker.id).with_for_update()
        )
    )
    shut = [row for row in rows if row.state == "open"]
    if shut:
        orders.halt(campaign.id, shut[0].reason)  # it was started in between
        return None
    now = db.session().scalar(select(func.clarion_now()))
    if any(row.trial_until and now and row.trial_until > now for row in rows):
        return None
    for row in rows:
        row.trial_until = func.clarion_now() + TRIAL
    db.session().flush()
    return tuple(row.id for row in rows)


def judge(trials: Sequence[UUID], states: Iterable[str]) -> None:
    """Close or open again what was half-open, by what came of the one message.

    Args:
        trials: ids that `way` gave.
        states: the states it led to: none when there was nothing to send.
    """
    came_of = set(states)
    query = select(Breaker).where(
        Breaker.account_id == current_account(), Breaker.id.in_(trials)
    )
    for row in db.session().scalars(query.with_for_update()):
        if row.state != "half_open":
            continue  # the answer itself has opened it again
        if came_of & {"accepted", "failed"}:
            _close(row)
        elif came_of & {"unknown", "held"}:
            open_(_kind(row), row.subject, row.reason)
        else:
            row.trial_until = None
    db.session().flush()


def resume(campaign_id: UUID) -> int:
    """Let a person end every stop in an order's way, at half rate; return how many.

    The caller may it and is named in the log; the order itself is resumed by `orders`.
    """
    found = db.session().execute(_order(campaign_id)).one_or_none()
    if found is None:
        return 0
    campaign, sender = found
    query = select(Breaker).where(
        Breaker.account_id == current_account(),
        Breaker.state != "closed",
        _about(campaign, sender.channel_id),
    )
    rows = list(db.session().scalars(query.with_for_update()))
    for row in rows:
        audit.record("messaging.breaker.resumed", None, kind=row.kind, why=row.reason)
        _lift(row)
        row.state, row.closed_at, row.trial_until = "closed", func.clarion_now(), None
    if rows:
        _slow_down(sender.channel_id, sender.id)
    db.session().flush()
    return len(rows)


def resumed(kind: Kind, subject: str) -> None:
    """Close a breaker because a person resumed the thing itself, on its own page."""
    row = db.session().scalar(_one(kind, subject).with_for_update())
    if row is None or row.state == "closed":
        return
    audit.record("messaging.breaker.resumed", None, kind=row.kind, why=row.reason)
    if kind == "portfolio":
        _lift(row)  # its other connections too
    row.state, row.closed_at, row.trial_until = "closed", func.clarion_now(), None
    db.session().flush()
    senders = (
        select(Sender.channel_id, Sender.id)
        .join(Channel, _its_channel())
        .where(Sender.account_id == current_account(), _of(kind, UUID(subject)))
    )
    for channel_id, sender_id in db.session().execute(senders).tuples().all():
        _slow_down(channel_id, sender_id)


def standing() -> list[Stop]:
    """List what is stopped in this account, the newest first."""
    query = (
        select(Breaker)
        .where(Breaker.account_id == current_account(), Breaker.state != "closed")
        .order_by(Breaker.opened_at.desc())
        .limit(20)
    )
    return [
        Stop(b.id, b.kind, b.subject, b.state, b.reason, b.opened_at, b.until)
        for b in db.session().scalars(query)
    ]


def of_order(campaign_id: UUID) -> list[Stop]:
    """List what stands in one order's way."""
    found = db.session().execute(_order(campaign_id)).one_or_none()
    if found is None:
        return []
    keys = set(_keys(*found))
    return [stop for stop in standing() if (stop.kind, stop.subject) in keys]


# --- private


def _tell_owners(reason: str) -> None:
    """Write a mail to each owner, in their own words; it leaves when this commits."""
    owners = (
        select(Person.email, Person.name, Person.language, Account.name)
        .join(Membership, Membership.person_id == Person.id)
        .join(Account, Account.id == Membership.account_id)
        .where(Membership.account_id == current_account(), Membership.role == "owner")
    )
    for email, name, language, account in db.session().execute(owners).tuples().all():
        with speaking(language or None):
            words = outcomes.explain("paused", reason)
        mails.post(
            "stopped",
            email,
            name=name,
            language=language,
            link="/",
            account=account,
            what=words.title,
            why=words.why,
            todo=words.todo,
        )


def _numbers(channel_id: UUID, said: contract.Health) -> list[str]:
    """Find the numbers a notice is about, and keep the grade it gives them."""
    digits = "".join(c for c in said.subject if c.isdigit())
    rows = db.session().scalars(
        select(Sender).where(
            Sender.account_id == current_account(), Sender.channel_id == channel_id
        )
    )
    found = [
        row for row in rows if said.subject == row.provider_id or row.number[1:] == digits
    ]
    for row in found:
        grades.note(row, said.quality)
    db.session().flush()
    return [str(row.id) for row in found]


def _end(reason: str, times: int) -> ColumnElement[dt.datetime] | None:
    waits = WAITS.get(reason)
    if waits is None:
        return None
    wait = waits[min(times, len(waits)) - 1]
    return func.clarion_now() + dt.timedelta(seconds=wait)


def _later_end(reason: str, times: ColumnElement[int]) -> ColumnElement[dt.datetime] | None:
    waits = WAITS.get(reason)
    if waits is None:
        return None
    whens = [(times <= n, seconds) for n, seconds in enumerate(waits, start=1)]
    seconds = case(*whens, else_=waits[-1])
    return func.clarion_now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _half_open(row: Breaker) -> None:
    row.state, row.until, row.trial_until = "half_open", None, None
    db.session().flush()
    _lift(row)


def _close(row: Breaker) -> None:
    row.state, row.closed_at, row.trial_until = "closed", func.clarion_now(), None
    db.session().flush()
    audit.record("messaging.breaker.closed", None, kind=row.kind, why=row.reason)
    for campaign_id in _orders(_kind(row), row.subject, ("running",)):
        orders.ring(campaign_id)


def _enforce(kind: Kind, subject: str, reason: str) -> None:
    if kind in ("template", "campaign"):
        for campaign_id in _orders(kind, subject, ("running",)):
            orders.halt(campaign_id, reason)
    elif kind == "sender":
        sender = db.session().scalar(select(Sender).where(Sender.id == UUID(subject)))
        if sender is not None:
            channels.halt(sender.channel_id, sender.id, "sender", reason)
    elif kind == "channel":
        channels.halt(UUID(subject), UUID(subject), "channel", reason)
    else:
        mine = select(Channel.id).where(
            Channel.account_id == current_account(), Channel.portfolio_id == UUID(subject)
        )
        for channel_id in list(db.session().scalars(mine.order_by(Channel.id))):
            channels.halt(channel_id, channel_id, "channel", reason)


def _lift(row: Breaker) -> None:
    """Take back what the breaker itself has paused, and nothing that a person has."""
    kind = _kind(row)
    if kind in ("sender", "channel", "portfolio"):
        model = Sender if kind == "sender" else Channel
        key = Channel.portfolio_id if kind == "portfolio" else model.id
        db.session().execute(
            update(model)
            .where(
                model.account_id == current_account(),
                key == UUID(row.subject),
                model.state == "paused",
                model.state_reason == row.reason,
            )
            .values(state="active", state_reason="")
            .execution_options(synchronize_session=False)
        )
    stopped = _orders(kind, row.subject, ("paused", "pausing"), row.reason)
    for campaign_id in stopped:
        orders.go_on(campaign_id)
    for campaign_id in _orders(kind, row.subject, ("running",)):
        if campaign_id not in stopped:
            orders.ring(campaign_id)


def _orders(
    kind: Kind, subject: str, states: tuple[str, ...], reason: str | None = None
) -> list[UUID]:
    """Find the orders a breaker is about, in some states, paused for one reason."""
    query = (
        select(Campaign.id)
        .join(
            Sender,
            and_(Sender.account_id == Campaign.account_id, Sender.id == Campaign.sender_id),
        )
        .join(Channel, _its_channel())
        .where(Campaign.account_id == current_account(), Campaign.state.in_(states))
        .order_by(Campaign.id)
    )
    if reason is not None:
        query = query.where(Campaign.state_reason == reason)
    if kind == "campaign":
        query = query.where(Campaign.id == UUID(subject))
    elif kind != "template":
        query = query.where(_of(kind, UUID(subject)))
    else:
        channel_id, _, rest = subject.partition(":")
        name, _, language = rest.rpartition(":")
        query = query.where(
            Sender.channel_id == UUID(channel_id),
            Campaign.template["name"].astext == name,
            func.replace(Campaign.template["language"].astext, "-", "_") == language,
        )
    return list(db.session().scalars(query))


def _its_channel() -> ColumnElement[bool]:
    return and_(Channel.account_id == Sender.account_id, Channel.id == Sender.channel_id)


def _of(kind: Kind, subject: UUID) -> ColumnElement[bool]:
    """Say which numbers a breaker stops, joined with their connections."""
    if kind == "sender":
        return Sender.id == subject
    return (Channel.portfolio_id if kind == "portfolio" else Channel.id) == subject


def _order(campaign_id: UUID) -> Select[tuple[Campaign, Sender]]:
    return (
        select(Campaign, Sender)
        .join(
            Sender,
            and_(Sender.account_id == Campaign.account_id, Sender.id == Campaign.sender_id),
        )
        .where(Campaign.account_id == current_account(), Campaign.id == campaign_id)
    )


def _one(kind: str, subject: str) -> Select[tuple[Breaker]]:
    return select(Breaker).where(
        Breaker.account_id == current_account(),
        Breaker.kind == kind,
        Breaker.subject == subject,
    )


def _template_of(campaign: Campaign, channel_id: UUID) -> str:
    template = campaign.template
    return of_template(channel_id, template["name"], template.get("language", ""))


def _keys(campaign: Campaign, sender: Sender) -> list[tuple[str, str]]:
    return [
        ("campaign", str(campaign.id)),
        ("template", _template_of(campaign, sender.channel_id)),
        ("sender", str(campaign.sender_id)),
        ("channel", str(sender.channel_id)),
        ("portfolio", str(businesses.of_channel(sender.channel_id))),
    ]


def _about(campaign: Campaign, channel_id: UUID) -> ColumnElement[bool]:
    business = select(cast(Channel.portfolio_id, Text)).where(
        Channel.account_id == current_account(), Channel.id == channel_id
    )
    return or_(
        and_(Breaker.kind == "portfolio", Breaker.subject == business.scalar_subquery()),
        and_(Breaker.kind == "campaign", Breaker.subject == str(campaign.id)),
        and_(
            Breaker.kind == "template",
            Breaker.subject == _template_of(campaign, channel_id),
        ),
        and_(Breaker.kind == "sender", Breaker.subject == str(campaign.sender_id)),
        and_(Breaker.kind == "channel", Breaker.subject == str(channel_id)),
    )


def _kind(row: Breaker) -> Kind:
    return row.kind  # type: ignore[return-value] # a check of the table


def _slow_down(channel_id: UUID, sender_id: UUID) -> None:
    """Begin again at half rate; it recovers as after a throttle."""
    said = contract.Busy("sender", 0.0, "resumed", throttles=True)
    pacing.busy(channel_id, sender_id, said)
