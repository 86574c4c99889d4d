"""Status updates and replies: stored events become ledger moves, STOPs and messages."""

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import crypto, db
from clarion.base.telemetry import counter, logger
from clarion.messaging import (
    breakers,
    channels,
    gauges,
    identifiers,
    ledger,
    references,
    stopwords,
    suppression,
)
from clarion.messaging.contract import (
    Busy,
    Halted,
    Inbound,
    Notice,
    Preference,
    Rejected,
    StatusUpdate,
    Update,
)
from clarion.messaging.events import MessageReceived, ProviderNotice
from clarion.messaging.ledger import Advance
from clarion.messaging.models import (
    Attempt,
    Channel,
    InboundMessage,
    Message,
    Orphan,
    Sender,
)
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion.work.webhooks import Stored

log = logger(__name__)
DOUBT = dt.timedelta(hours=24)
STOP_PAYLOADS = frozenset({"STOP", "CLARION_STOP"})
updates = counter(
    "provider_updates_total", "Updates read from webhooks", ("kind", "result")
)


def apply(events: Sequence[Stored]) -> None:
    """Apply a page of one account's events, in one transaction; order does not matter.

    Registered as the handler `messaging` of `work.webhooks`. Repeating a page changes
    nothing: statuses move by rank, replies are unique by the provider's id.
    """
    by_channel: dict[UUID, list[Stored]] = {}
    for event in events:
        by_channel.setdefault(event.endpoint_id, []).append(event)
    for channel_id, mine in by_channel.items():
        channel = db.session().scalar(select(Channel).where(Channel.id == channel_id))
        if channel is None:
            continue  # the connection was removed; nothing personal is made of it
        transport = channels.transports()[channel.transport]
        read = [u for event in mine for u in transport.parse(event.payload, event.kind)]
        _replies(channel, [u for u in read if isinstance(u, Inbound)])
        _statuses(channel, [u for u in read if isinstance(u, StatusUpdate)])
        _rest(channel, read)


def _statuses(channel: Channel, read: Sequence[StatusUpdate]) -> None:
    """Move the ledger by rank; what matches nothing is kept aside, never guessed."""
    if not read:
        return
    rows, by = [], references.instance()
    for update in read:
        ours = references.read_reference(update.reference, by=by)
        reason = (
            update.verdict.reason if isinstance(update.verdict, Rejected | Halted) else ""
        )
        rows.append(
            Advance(
                provider_id=update.provider_id,
                status=update.status,
                at=update.at,
                message_id=ours[0] if ours else None,
                number=ours[1] if ours else None,
                reason=reason or _reason_of(update),
                code=update.code,
            )
        )
    done = ledger.advance(rows)
    _orphans([row for i, row in enumerate(rows) if i not in done.known])
    updates.labels("status", "matched").inc(len(done.known))
    updates.labels("status", "orphan").inc(len(rows) - len(done.known))
    _verdicts(channel, [(r, u) for r, u in zip(rows, read, strict=True) if u.verdict])
    gauges.reported(channel.transport, [row for row in rows if row.status == "failed"])
    log.info("statuses.applied", events=len(rows), moved=len(done.moved))


def _reason_of(update: StatusUpdate) -> str:
    """Name a failure whose verdict has no reason of its own: it was dropped under load."""
    if update.status != "failed":
        return ""
    return "busy" if isinstance(update.verdict, Busy) else "provider_code"


def _orphans(rows: Sequence[Advance]) -> None:
    if not rows:
        return
    values = [
        {
            "id": db.new_id(),
            "provider_id": row.provider_id,
            "status": row.status,
            "at": row.at,
            "reason": row.reason,
            "code": row.code,
        }
        for row in rows
    ]
    db.session().execute(insert(Orphan).values(values).on_conflict_do_nothing())
    log.warning("statuses.orphaned", events=len(rows))


def adopt_orphans() -> int:
    """Try again the statuses that came before their message's answer was written."""
    matched = exists().where(
        Attempt.account_id == Orphan.account_id, Attempt.provider_id == Orphan.provider_id
    )
    query = delete(Orphan).where(Orphan.account_id == current_account(), matched)
    found = list(
        db.session().scalars(
            query.returning(Orphan).execution_options(synchronize_session=False)
        )
    )
    ledger.advance(
        [
            Advance(o.provider_id, o.status, o.at, reason=o.reason, code=o.code)
            for o in found
        ]
    )
    return len(found)


def _verdicts(channel: Channel, failed: Iterable[tuple[Advance, StatusUpdate]]) -> None:
    """Do what a failure's code asks for beyond its row: silence a person, pause a scope."""
    for row, update in failed:
        verdict = update.verdict
        if isinstance(verdict, Rejected) and verdict.suppress:
            contact_id, address = _whose(row)
            addresses = [*identifiers.usable(update.recipients), *address]
            suppression.suppress(
                addresses,
                scope=verdict.suppress,
                reason="provider_stop",
                contact_id=contact_id,
            )
        elif isinstance(verdict, Halted):
            _pause(channel, row, verdict)


def _whose(row: Advance) -> tuple[UUID | None, list[tuple[str, str]]]:
    message = _message_of(row)
    if message is None:
        return None, []
    return message.contact_id, [(message.address_kind, message.address)]


def _message_of(row: Advance) -> Message | None:
    query = select(Message).where(Message.account_id == current_account())
    if row.message_id is not None:
        return db.session().scalar(query.where(Message.id == row.message_id))
    tried = select(Attempt.message_id).where(
        Attempt.account_id == current_account(), Attempt.provider_id == row.provider_id
    )
    return db.session().scalar(query.where(Message.id.in_(tried)))


def _pause(channel: Channel, row: Advance, verdict: Halted) -> None:
    message = _message_of(row)
    if message is None:
        return
    if message.campaign_id is not None:
        breakers.halted(channel.id, message.sender_id, message.campaign_id, verdict)


# --- what people write


def _replies(channel: Channel, read: Sequence[Inbound]) -> None:
    if not read:
        return
    numbers = dict(
        db.session()
        .execute(
            select(Sender.provider_id, Sender.id).where(Sender.channel_id == channel.id)
        )
        .tuples()
        .all()
    )
    for reply in read:
        _reply(reply, numbers.get(reply.sender))


def _reply(reply: Inbound, sender_id: UUID | None) -> None:
    """Honour STOP before anything else, then keep the message."""
    named = identifiers.usable(reply.identifiers)
    if not named:
        return
    meaning = _meaning(reply)
    if meaning == "stop":
        suppression.suppress(named, scope="marketing", reason="stop")
    elif meaning == "maybe":
        until = reply.at + DOUBT
        suppression.suppress(named, reason="maybe", until=until)
    elif meaning == "start":
        suppression.resume(named, lifts=("stop", "maybe"))
    owner = _owner(named)
    new_id = db.new_id()
    row = insert(InboundMessage).values(
        id=new_id,
        provider_id=reply.provider_id,
        sender_id=sender_id,
        contact_id=owner,
        address_idx=identifiers.index(*named[0]),
        kind=reply.kind[:20],
        body=crypto.seal(
            reply.text or reply.payload,
            place=f"inbound_message.body:{new_id}",
            account_id=current_account(),
        ),
        meaning=meaning or "",
        sent_at=reply.at,
    )
    stored = db.session().scalar(row.on_conflict_do_nothing().returning(InboundMessage.id))
    if stored:
        outbox.publish(MessageReceived(inbound_id=new_id))
    updates.labels("inbound", meaning or "message").inc()


def _meaning(reply: Inbound) -> str | None:
    if reply.payload.upper() in STOP_PAYLOADS:
        return "stop"
    return stopwords.read(reply.text or reply.payload)


def _owner(named: Sequence[tuple[str, str]]) -> UUID | None:
    """Find whose reply it is, and learn the further identifiers the event names."""
    idxs = [identifiers.index(kind, value) for kind, value in named]
    owners = set(identifiers.find_many(idxs).values())
    if len(owners) != 1:
        return None  # nobody we know, or two people: never guessed
    owner = owners.pop()
    known = [(k, v) for k, v in named if k != "username"]
    identifiers.attach(owner, known, "inbound")
    return owner


def _rest(channel: Channel, read: Sequence[Update]) -> None:
    for update in read:
        if isinstance(update, Preference):
            named = identifiers.usable(update.identifiers)
            if update.wants == "stop":
                suppression.suppress(named, reason="provider_stop")
            else:
                suppression.resume(named, lifts=("provider_stop",))
        elif isinstance(update, Notice):
            _notice(channel, update)


def _notice(channel: Channel, notice: Notice) -> None:
    outbox.publish(
        ProviderNotice(
            channel_id=channel.id,
            field=notice.field,
            subject=notice.subject,
            event=notice.event,
            detail=str(notice.detail.get("reason") or ""),
        )
    )
    if notice.field == "phone_number_quality_update":
        log.info("sender.quality", field=notice.field, event_name=notice.event)


def replies_since(since: dt.datetime) -> int:
    """Count the messages people wrote to this account since a moment."""
    query = select(func.count()).where(
        InboundMessage.account_id == current_account(), InboundMessage.created_at >= since
    )
    return int(db.session().scalar(query) or 0)
