"""Status updates and replies: stored events become ledger moves, STOPs and messages."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import crypto, db
from clarion.base.settings import settings
from clarion.base.telemetry import counter, logger
from clarion.messaging import (
    breakers,
    channels,
    countries,
    farewell,
    gauges,
    heard,
    identifiers,
    identity,
    ledger,
    limits,
    pacing,
    references,
    stopwords,
    suppression,
    wishes,
)
from clarion.messaging.advance import Advance, advance
from clarion.messaging.contract import (
    Busy,
    Halted,
    Health,
    IdentityChange,
    Inbound,
    Notice,
    Preference,
    Rejected,
    StatusUpdate,
    Update,
)
from clarion.messaging.events import MessageReceived, ProviderNotice
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
        _replies(channel, read)
        _statuses(channel, [u for u in read if isinstance(u, StatusUpdate)])
        _rest(channel, read)


def _statuses(channel: Channel, read: Sequence[StatusUpdate]) -> None:
    """Move the ledger by rank; what matches nothing is kept aside, never guessed."""
    if not read:
        return
    by = references.instance()
    rows = [_advance(update, by) for update in read]
    done = advance(rows)
    # with our token and without its message: that is purged, and nothing is made of it
    stray = [n for n in done.unknown if rows[n].message_id is None]
    _orphans([rows[n] for n in stray])
    updates.labels("status", "matched").inc(len(rows) - len(done.unknown))
    updates.labels("status", "orphan").inc(len(stray))
    updates.labels("status", "purged").inc(len(done.unknown) - len(stray))
    if done.restored:
        updates.labels("status", "restored").inc(len(done.restored))
        log.error("statuses.without_intent", events=len(done.restored))
    told = [(rows[n], read[n]) for n in sorted(done.failed | done.unknown)]
    _silence([(row, update) for row, update in told if _silences(update)])
    _pause(channel, [(row, update) for row, update in told if _halts(update)])
    _bar(channel, [row for row, _update in told if row.reason == countries.REASON])
    failed = [row for row, update in told if update.status == "failed"]
    gauges.reported(channel.transport, failed)
    log.info("statuses.applied", events=len(rows), moved=done.moved)


def _advance(update: StatusUpdate, by: str) -> Advance:
    message_id, number = references.read_reference(update.reference, by=by) or (None, None)
    said = update.verdict
    reason = said.reason if isinstance(said, Rejected | Halted) else _reason_of(update)
    return Advance(
        update.provider_id,
        update.status,
        update.at,
        message_id,
        number,
        reason,
        update.code,
    )


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
            "provider_id": row.provider_id[:160],
            "status": row.status,
            "at": row.at,
            "reason": row.reason[:60],
            "code": row.code[:20],
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
    advance(
        [
            Advance(o.provider_id, o.status, o.at, reason=o.reason, code=o.code)
            for o in found
        ]
    )
    return len(found)


def forget_orphans() -> int:
    """Drop statuses nobody could match for as long as raw webhooks are kept; count them."""
    age = dt.timedelta(days=settings().raw_event_days)
    old = delete(Orphan).where(
        Orphan.account_id == current_account(),
        Orphan.created_at < func.clarion_now() - age,
    )
    gone = old.returning(Orphan.id).execution_options(synchronize_session=False)
    return len(db.session().execute(gone).all())


# --- what a failure asks for beyond its row


def _silences(update: StatusUpdate) -> bool:
    return isinstance(update.verdict, Rejected) and update.verdict.suppress is not None


def _halts(update: StatusUpdate) -> bool:
    return isinstance(update.verdict, Halted)


def _silence(told: Sequence[tuple[Advance, StatusUpdate]]) -> None:
    """Stop writing to the people who told the provider so."""
    messages = _messages([row for row, _update in told])
    people: list[tuple[UUID | None, list[tuple[str, str]], bool, dt.datetime]] = []
    for row, update in told:
        addresses = identifiers.usable(update.recipients)
        message = messages.get(row)
        if message is not None:
            addresses.append((message.address_kind, message.address))
        scope = update.verdict.suppress if isinstance(update.verdict, Rejected) else None
        contact_id = message.contact_id if message else None
        people.append((contact_id, addresses, scope == "all", update.at))
    _lock([address for _contact, addresses, *_more in people for address in addresses])
    for contact_id, addresses, everything, at in people:
        if everything:
            suppression.suppress(
                addresses, scope="all", reason="block", contact_id=contact_id
            )
        else:
            wishes.stop(addresses, at=at, contact_id=contact_id)


def _bar(channel: Channel, told: Sequence[Advance]) -> None:
    """Leave out the countries of those the provider does not let us write to."""
    messages = _messages(told).values()
    numbers = {one.address for one in messages if one.address_kind == "phone"}
    if numbers:
        countries.refused(channel.id, numbers)


def _pause(channel: Channel, told: Sequence[tuple[Advance, StatusUpdate]]) -> None:
    """Pause what the provider says is wrong, each once however many messages say so."""
    messages = _messages([row for row, _update in told])
    wrong: dict[tuple[UUID, UUID, str, str], Halted] = {}
    for row, update in told:
        halt, message = update.verdict, messages.get(row)
        if isinstance(halt, Halted) and message is not None and message.campaign_id:
            key = (message.sender_id, message.campaign_id, halt.scope, halt.reason)
            wrong.setdefault(key, halt)
    for (sender_id, campaign_id, _scope, _reason), halt in wrong.items():
        breakers.halted(channel.id, sender_id, campaign_id, halt)


def _messages(rows: Sequence[Advance]) -> dict[Advance, Message]:
    """Find the messages of events, in one statement."""
    if not rows:
        return {}
    ids = {row.message_id for row in rows if row.message_id}
    named = {row.provider_id for row in rows if not row.message_id}
    query = (
        select(Message, Attempt.provider_id)
        .join(
            Attempt,
            (Attempt.account_id == Message.account_id) & (Attempt.message_id == Message.id),
        )
        .where(
            Message.account_id == current_account(),
            or_(Attempt.message_id.in_(ids), Attempt.provider_id.in_(named)),
        )
    )
    by_id: dict[UUID, Message] = {}
    by_name: dict[str, Message] = {}
    for message, provider_id in db.session().execute(query):
        by_id[message.id] = message
        by_name[provider_id] = message
    found = {
        row: by_id.get(row.message_id) if row.message_id else by_name.get(row.provider_id)
        for row in rows
    }
    return {row: message for row, message in found.items() if message is not None}


# --- what people write


def _replies(channel: Channel, read: Sequence[Update]) -> None:
    """Apply who people are now, then what they wrote."""
    replies = [one for one in read if isinstance(one, Inbound)]
    changes = [one for one in read if isinstance(one, IdentityChange)]
    said = [named for one in changes for named in (*one.before, *one.after)]
    for reply in replies:
        said += reply.identifiers if _meaning(reply) else ()
    _lock(identifiers.usable(said))
    for one in changes:
        identity.change(one.before, one.after, source="provider", what=one.what)
        updates.labels("identity", one.what).inc()
    if not replies:
        return
    numbers = dict(
        db.session()
        .execute(
            select(Sender.provider_id, Sender.id).where(Sender.channel_id == channel.id)
        )
        .tuples()
        .all()
    )
    for reply in replies:
        _reply(reply, numbers.get(reply.sender))


def _reply(reply: Inbound, sender_id: UUID | None) -> None:
    """Keep the message, once; honour STOP and START in the order they were written."""
    named = identifiers.usable(reply.identifiers)
    if not named:
        updates.labels("inbound", "unreadable").inc()
        return
    if sender_id:
        pacing.heard(sender_id)
    meaning = _meaning(reply) or ""
    new_id, owner = db.new_id(), identity.owner(named, "inbound")
    row = insert(InboundMessage).values(
        id=new_id,
        provider_id=reply.provider_id[:160],
        sender_id=sender_id,
        contact_id=owner,
        address_idx=identifiers.index(*named[0]),
        kind=reply.kind[:20],
        body=crypto.seal(
            reply.text or reply.payload,
            place=f"inbound_message.body:{new_id}",
            account_id=current_account(),
        ),
        named=heard.seal_names(new_id, named),
        meaning=meaning,
        sent_at=reply.at,
    )
    if not db.session().scalar(row.on_conflict_do_nothing().returning(InboundMessage.id)):
        updates.labels("inbound", "repeated").inc()
        return
    if meaning and not _withdrawn(meaning, named, owner, reply.at):
        fresh = meaning == "stop" and not suppression.for_good(named)
        _honour(meaning, named, reply.at)
        if fresh and owner is not None and sender_id is not None:
            said = reply.text or reply.payload
            farewell.say(sender_id, owner, named, said, reply.at)
    outbox.publish(MessageReceived(inbound_id=new_id))
    updates.labels("inbound", meaning or "message").inc()


def _honour(meaning: str, named: Sequence[tuple[str, str]], at: dt.datetime) -> None:
    if meaning == "stop":
        suppression.suppress(named, scope="marketing", reason="stop")
    elif meaning == "maybe":
        suppression.suppress(named, reason="maybe", until=at + DOUBT)
    else:
        # a user name may be somebody else's by now: it silences, and never speaks for anybody
        certain = identifiers.certain(named)
        suppression.resume(certain, lifts=("stop", "maybe"))
        wishes.uphold(certain)


def _withdrawn(
    meaning: str, named: Sequence[tuple[str, str]], owner: UUID | None, at: dt.datetime
) -> bool:
    """Say whether the person has written the opposite since: events come in any order.

    In the same second, STOP is taken for the later one.
    """
    inbound = InboundMessage
    since = (
        inbound.meaning.in_(("stop", "maybe")) & (inbound.sent_at >= at)
        if meaning == "start"
        else (inbound.meaning == "start") & (inbound.sent_at > at)
    )
    theirs = or_(
        inbound.address_idx.in_([identifiers.index(kind, value) for kind, value in named]),
        inbound.contact_id == owner,  # of nobody: never true
    )
    query = select(inbound.id).where(inbound.account_id == current_account(), since, theirs)
    return db.session().scalar(query.limit(1)) is not None


def _lock(addresses: Sequence[tuple[str, str]]) -> None:
    """Lock everybody a page is about at once, in order: two pages never wait in a ring."""
    idxs = {identifiers.index(kind, value) for kind, value in addresses}
    if idxs:
        ledger.lock_contacts(set(identifiers.find_many(idxs).values()), idxs)


def _meaning(reply: Inbound) -> str | None:
    if reply.payload.upper() in STOP_PAYLOADS:
        return "stop"
    return stopwords.read(reply.text or reply.payload)


def _rest(channel: Channel, read: Sequence[Update]) -> None:
    for update in read:
        if isinstance(update, Preference):
            named = identifiers.usable(update.identifiers)
            if update.wants == "stop":
                wishes.stop(named, at=update.at)
            else:
                wishes.resume(named, at=update.at)
        elif isinstance(update, Notice):
            _notice(channel, update)
        elif isinstance(update, Health):
            breakers.heard(channel.id, update)


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
    if notice.limits:
        limits.learn(channel.id, notice.limits)
    if notice.field == "phone_number_quality_update":
        log.info("sender.quality", field=notice.field, event_name=notice.event)


def replies_since(since: dt.datetime) -> int:
    """Count the messages people wrote to this account since a moment."""
    query = select(func.count()).where(
        InboundMessage.account_id == current_account(), InboundMessage.created_at >= since
    )
    return int(db.session().scalar(query) or 0)
