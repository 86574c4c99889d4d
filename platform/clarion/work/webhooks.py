"""Incoming webhooks: stored raw and durable before anybody says 200, applied later.

The rows are the queue. Two threads of each worker apply them, one for what people write
and one for the rest, so that no backlog of statuses delays a STOP; a bell of the broker
wakes them, and without a broker they look by themselves.
"""

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Integer,
    LargeBinary,
    Row,
    String,
    Uuid,
    any_,
    bindparam,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import OperationalError

from clarion.base import broker, crash, crypto, db
from clarion.base.telemetry import counter, logger
from clarion.tenancy.actor import WEBHOOK
from clarion.tenancy.scope import account_scope, current_account
from clarion.work import masking, outbox, presence, stops
from clarion.work.models import WebhookInbox

log = logger(__name__)
received = counter("webhook_events_total", "Events stored", ("handler", "result"))
LANES: Final[Mapping[str, tuple[str, ...]]] = {
    "inbound": ("inbound",),
    "status": ("status", "other"),
}
LARGEST = 1_000  # events of one row
PAGE = 3_000  # events of one transaction: under load, the steps of a message fall together
AT_ONCE = 100  # rows looked at for a page
LONGEST_KEY = 160
TRIES = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """One event, opened for its handler."""

    endpoint_id: UUID
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Letter:
    """What becomes one row: events of one kind."""

    key: str
    kind: str
    payloads: list[Any]  # what the pieces hold, ready for JSON


Handler = Callable[[Sequence[Stored]], None]
_handlers: dict[str, Handler] = {}


def handle(name: str, handler: Handler) -> None:
    """Register the room that applies events of one name (`messaging`)."""
    _handlers[name] = handler


# --- storing


def receive(
    handler: str, account_id: UUID, endpoint_id: UUID, pieces: Iterable[Any]
) -> int:
    """Store a webhook's events and ring their processing; durable when this returns.

    Statuses become one row, because applying one twice changes nothing; what people
    write becomes a row each, unique by its key.

    Args:
        handler: who applies them.
        account_id: whose endpoint it is.
        endpoint_id: id of the endpoint; part of the unique key.
        pieces: objects with `key`, `kind` and JSON-ready `payload`.

    Returns:
        how many were new; a repeated webhook is known by the keys of its events.
    """
    letters = list(_letters(pieces))
    if not letters:
        return 0
    new = _store(handler, account_id, endpoint_id, letters)
    crash.here("after_inbox_commit")
    count = sum(events for _kind, events in new)
    received.labels(handler, "new").inc(count)
    every = sum(len(letter.payloads) for letter in letters)
    received.labels(handler, "repeated").inc(every - count)
    kinds = {kind for kind, _events in new}
    for lane, listed in LANES.items():
        if kinds.intersection(listed):
            broker.ring(lane)
    return count


def _letters(pieces: Iterable[Any]) -> Iterator[_Letter]:
    statuses: dict[str, Any] = {}
    for piece in pieces:
        if piece.kind == "status":
            statuses[piece.key] = piece.payload
        else:
            yield _Letter(_short(piece.key), piece.kind, [piece.payload])
    keys = list(statuses)
    for start in range(0, len(keys), LARGEST):
        some = keys[start : start + LARGEST]
        key = _short(some[0] if len(some) == 1 else "\n".join(some))
        yield _Letter(key, "status", [statuses[one] for one in some])


def _short(key: str) -> str:
    """Keep a key that is short and printable, else name it by its digest."""
    if len(key) <= LONGEST_KEY and key.isprintable():
        return key
    return "=" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _store(
    handler: str, account_id: UUID, endpoint_id: UUID, letters: Sequence[_Letter]
) -> list[tuple[str, int]]:
    """Write rows in one statement; returns kind and number of events of the new ones."""
    values = {
        "account": account_id,
        "endpoint": endpoint_id,
        "handler": handler,
        "ids": [db.new_id() for _ in letters],
        "keys": [letter.key for letter in letters],
        "kinds": [letter.kind for letter in letters],
        "events": [len(letter.payloads) for letter in letters],
        "payloads": [_sealed(letter, account_id) for letter in letters],
    }
    with db.apart(db.Entry("clarion_system", account_id, WEBHOOK.label)) as orm:
        new = orm.execute(_STORE, values).tuples().all()
        crash.here("after_inbox_insert")
    return [(kind, events) for kind, events in new]


def _sealed(letter: _Letter, account_id: UUID) -> bytes:
    text = json.dumps(letter.payloads, separators=(",", ":"))
    # statuses of one webhook resemble each other: a tenth is left
    return crypto.seal(
        zlib.compress(text.encode(), 1),
        place=f"webhook_inbox:{letter.key}",
        account_id=account_id,
    )


def _insert() -> Any:
    """Write the INSERT of a webhook's rows: one statement of always the same text."""
    given = func.unnest(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("keys", type_=ARRAY(String)),
        bindparam("kinds", type_=ARRAY(String)),
        bindparam("events", type_=ARRAY(Integer)),
        bindparam("payloads", type_=ARRAY(LargeBinary)),
    )
    names = ("id", "key", "kind", "events", "payload")
    rows = given.table_valued(*names).render_derived(name="letter")
    chosen = select(
        bindparam("account", type_=Uuid),
        bindparam("endpoint", type_=Uuid),
        bindparam("handler", type_=String),
        *rows.c,
    )
    table = db.table_of(WebhookInbox)
    columns = [table.c[name] for name in ("account_id", "endpoint_id", "handler", *names)]
    query = insert(table).from_select(columns, chosen, include_defaults=False)
    return query.on_conflict_do_nothing().returning(table.c.kind, table.c.events)


_STORE = _insert()


# --- applying


def work(lane: str, seconds: float = 1.0) -> bool:
    """Apply what waits in one lane, a page of each account in turn, for about so long.

    Rows are locked, so that any number of workers share them. Says whether there was
    any: ask again at once. A lane that staff have paused is left alone.
    """
    if stops.paused(lane):
        return False
    waiting, end = pending(lane), time.monotonic() + seconds
    busy = False
    while waiting and time.monotonic() < end:
        waiting = [account_id for account_id in waiting if _page(account_id, lane)]
        busy = busy or bool(waiting)
    return busy


def pending(lane: str | None = None) -> list[UUID]:
    """List the accounts with events nobody has applied yet, in a lane or in any."""
    kinds = LANES[lane] if lane else [kind for each in LANES.values() for kind in each]
    query = select(WebhookInbox.account_id).where(
        WebhookInbox.applied_at.is_(None),
        WebhookInbox.tries < TRIES,
        WebhookInbox.kind.in_(kinds),
    )
    with db.apart(outbox.SYSTEM) as orm:
        return list(orm.scalars(query.distinct()))


def apply_now(account_id: UUID) -> None:
    """Apply an account's stored events in this process; for tests and the command line."""
    for lane in LANES:
        while _page(account_id, lane):
            pass


def _page(account_id: UUID, lane: str) -> bool:
    """Apply one page in one transaction; say if there was any.

    A page that fails is retried row by row, so that one bad event cannot hold up the
    others. A database that is not well is nobody's fault: that error goes up.
    """
    with account_scope(account_id, WEBHOOK), presence.doing(lane, "webhook", account_id):
        try:
            with db.transaction():
                rows = _claim(LANES[lane])
                events = _apply(rows)
            presence.count(lane, events)
            return bool(rows)
        except OperationalError:
            raise
        except Exception:
            log.exception("webhook.page_failed")
        return _one_by_one(LANES[lane])


def _claim(kinds: Sequence[str]) -> list[Row[Any]]:
    """Lock the oldest rows of the first kind that has any, up to a page of events."""
    for kind in kinds:
        query = (
            select(WebhookInbox.id, WebhookInbox.events)
            .where(
                WebhookInbox.account_id == current_account(),
                WebhookInbox.applied_at.is_(None),
                WebhookInbox.tries < TRIES,
                WebhookInbox.kind == kind,
            )
            .order_by(WebhookInbox.seq)
            .limit(AT_ONCE)
        )
        found = db.session().execute(query.with_for_update(skip_locked=True)).all()
        if found:
            return _opening(_first_page(found))
    return []


def _first_page(found: Sequence[Row[Any]]) -> list[UUID]:
    ids, events = list[UUID](), 0
    for row in found:
        if ids and events + row.events > PAGE:
            break
        ids.append(row.id)
        events += row.events
    return ids


def _opening(ids: Sequence[UUID]) -> list[Row[Any]]:
    inbox = WebhookInbox
    query = select(
        inbox.id, inbox.endpoint_id, inbox.handler, inbox.key, inbox.kind, inbox.payload
    ).where(inbox.account_id == current_account(), inbox.id == _any(ids))
    return list(db.session().execute(query.order_by(inbox.seq)).all())


def _apply(rows: Sequence[Row[Any]]) -> int:
    by_handler: dict[str, list[Stored]] = {}
    for row in rows:
        events = by_handler.setdefault(row.handler, [])
        events += [Stored(row.endpoint_id, row.kind, one) for one in _opened(row)]
    for name, events in by_handler.items():
        _handlers[name](events)
    crash.here("after_status_apply")
    _mark([row.id for row in rows], "applied")
    return sum(len(events) for events in by_handler.values())


def _opened(row: Row[Any]) -> list[Any]:
    plain = crypto.unseal(
        row.payload, place=f"webhook_inbox:{row.key}", account_id=current_account()
    )
    found: list[Any] = json.loads(zlib.decompress(plain))
    return found


def _mark(ids: Sequence[UUID], result: str) -> None:
    if ids:
        db.session().execute(
            update(WebhookInbox)
            .where(
                WebhookInbox.account_id == current_account(), WebhookInbox.id == _any(ids)
            )
            .values(applied_at=func.clarion_now(), result=result)
            .execution_options(synchronize_session=False)
        )


def _any(ids: Sequence[UUID]) -> Any:
    return any_(literal(list(ids), ARRAY(Uuid)))


# --- when something in a page cannot be applied


def _one_by_one(kinds: Sequence[str]) -> bool:
    with db.transaction():
        ids = [row.id for row in _claim(kinds)]
    for row_id in ids:
        try:
            with db.transaction():
                _apply(_again(row_id))
        except OperationalError:
            raise
        except Exception as error:
            log.exception("webhook.event_failed", event_id=str(row_id))
            _failed(row_id, masking.error(error))
    return bool(ids)


def _readable(row: Row[Any]) -> list[Any]:
    """Open a row that failed; one that cannot be opened must not hold up the lane."""
    try:
        return _opened(row)
    except Exception as error:
        log.warning("webhook.unreadable", event_id=str(row.id), error=type(error).__name__)
        return []


def _again(row_id: UUID) -> list[Row[Any]]:
    query = select(WebhookInbox.id).where(
        WebhookInbox.account_id == current_account(),
        WebhookInbox.id == row_id,
        WebhookInbox.applied_at.is_(None),
    )
    found = db.session().scalars(query.with_for_update(skip_locked=True)).all()
    return _opening(found) if found else []


def _failed(row_id: UUID, why: str) -> None:
    """Count a failure; statuses that came together are taken apart, to find the bad one."""
    with db.transaction():
        rows = _opening([row_id])
    for row in rows:
        payloads = _readable(row)
        if len(payloads) > 1:
            some = [
                _Letter(_short(f"{row.key}:{n}"), row.kind, [payload])
                for n, payload in enumerate(payloads)
            ]
            _store(row.handler, current_account(), row.endpoint_id, some)
            with db.transaction():
                _mark([row_id], "taken apart")
            return
    with db.transaction():
        db.session().execute(
            update(WebhookInbox)
            .where(WebhookInbox.account_id == current_account(), WebhookInbox.id == row_id)
            .values(tries=WebhookInbox.tries + 1, result=why[:200])
            .execution_options(synchronize_session=False)
        )
