"""Incoming webhooks: stored raw and durable before anybody says 200, applied later."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    LargeBinary,
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

from clarion.base import crash, crypto, db
from clarion.base.telemetry import counter, logger
from clarion.tenancy.actor import WEBHOOK
from clarion.tenancy.scope import account_scope, current_account
from clarion.work import outbox
from clarion.work.jobs import job
from clarion.work.models import Outbox, WebhookInbox

log = logger(__name__)
received = counter("webhook_events_total", "Events stored", ("handler", "result"))
ORDER = {"inbound": 0, "status": 1, "other": 2}
PAGE = 1_000
TRIES = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """One event, opened for its handler."""

    id: UUID
    endpoint_id: UUID
    kind: str
    payload: Mapping[str, Any]


Handler = Callable[[Sequence[Stored]], None]
_handlers: dict[str, Handler] = {}


def handle(name: str, handler: Handler) -> None:
    """Register the room that applies events of one name (`messaging`)."""
    _handlers[name] = handler


def receive(
    handler: str, account_id: UUID, endpoint_id: UUID, pieces: Iterable[Any]
) -> int:
    """Store a webhook's events and ring their processing; durable when this returns.

    Args:
        handler: who applies them.
        account_id: whose endpoint it is.
        endpoint_id: id of the endpoint; part of the unique key.
        pieces: objects with `key`, `kind` and JSON-ready `payload`.

    Returns:
        how many were new; repeated events are known by their key and ignored.
    """
    found = list(pieces)
    if not found:
        return 0
    sealed = [
        crypto.seal(
            json.dumps(piece.payload, separators=(",", ":")),
            place=f"webhook_inbox:{piece.key}",
            account_id=account_id,
        )
        for piece in found
    ]
    entry = db.Entry("clarion_system", account_id, WEBHOOK.label)
    with db.apart(entry) as orm:
        new = len(
            orm.execute(
                _STORE,
                {
                    "account": account_id,
                    "endpoint": endpoint_id,
                    "handler": handler,
                    "ids": [db.new_id() for _ in found],
                    "keys": [piece.key for piece in found],
                    "kinds": [piece.kind for piece in found],
                    "payloads": sealed,
                },
            ).all()
        )
        crash.here("after_inbox_insert")
        if new:
            _ring(orm, account_id)
    crash.here("after_inbox_commit")
    received.labels(handler, "new").inc(new)
    received.labels(handler, "repeated").inc(len(found) - new)
    outbox.wake()
    return new


def _store() -> Any:
    """Write the INSERT of a body's events: one statement of always the same text."""
    piece = func.unnest(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("keys", type_=ARRAY(String)),
        bindparam("kinds", type_=ARRAY(String)),
        bindparam("payloads", type_=ARRAY(LargeBinary)),
    )
    rows = piece.table_valued("id", "key", "kind", "payload").render_derived(name="piece")
    chosen = select(
        bindparam("account", type_=Uuid),
        bindparam("endpoint", type_=Uuid),
        bindparam("handler", type_=String),
        *rows.c,
    )
    table: Any = WebhookInbox.__table__
    names = ("account_id", "endpoint_id", "handler", "id", "key", "kind", "payload")
    query = insert(table).from_select([table.c[name] for name in names], chosen)
    return query.on_conflict_do_nothing().returning(table.c.id)


_STORE = _store()


def _ring(orm: Any, account_id: UUID) -> None:
    actor = WEBHOOK.to_json() | {"account_id": str(account_id)}
    orm.execute(
        insert(Outbox).values(
            queue="intake", job=process.path, payload={"actor": actor, "args": {}}
        )
    )


@job(queue="intake", idempotent=True, alone=True)
def process() -> None:
    """Apply this account's stored events: replies first, then statuses, in sets."""
    while page():
        pass


def page() -> bool:
    """Apply one page of one handler's events in one transaction; say if there was any.

    The rows are locked, so two workers never apply the same event at once. A page that
    fails is retried event by event, so that one bad event cannot hold up the others.
    """
    try:
        with db.transaction():
            rows = _claim(PAGE)
            _apply(rows)
            return bool(rows)
    except Exception:
        log.exception("webhook.page_failed")
        return _one_by_one()


def _claim(size: int) -> list[WebhookInbox]:
    account = current_account()
    base = select(WebhookInbox).where(
        WebhookInbox.account_id == account,
        WebhookInbox.applied_at.is_(None),
        WebhookInbox.tries < TRIES,
    )
    for kind in ORDER:
        query = base.where(WebhookInbox.kind == kind).order_by(WebhookInbox.seq).limit(size)
        rows = db.session().scalars(query.with_for_update(skip_locked=True)).all()
        if rows:
            return list(rows)
    return []


def _apply(rows: Sequence[WebhookInbox]) -> None:
    by_handler: dict[str, list[WebhookInbox]] = {}
    for row in rows:
        by_handler.setdefault(row.handler, []).append(row)
    for name, mine in by_handler.items():
        _handlers[name]([_opened(row) for row in mine])
    crash.here("after_status_apply")
    if rows:
        db.session().execute(
            update(WebhookInbox)
            .where(WebhookInbox.id == any_(literal([r.id for r in rows], ARRAY(Uuid))))
            .values(applied_at=func.clarion_now(), result="applied")
            .execution_options(synchronize_session=False)
        )


def _opened(row: WebhookInbox) -> Stored:
    text = crypto.unseal(
        row.payload, place=f"webhook_inbox:{row.key}", account_id=row.account_id
    )
    return Stored(row.id, row.endpoint_id, row.kind, json.loads(text))


def _one_by_one() -> bool:
    with db.transaction():
        ids = [(row.id, row.kind) for row in _claim(PAGE)]
    for event_id, _kind in ids:
        try:
            with db.transaction():
                query = select(WebhookInbox).where(
                    WebhookInbox.id == event_id, WebhookInbox.applied_at.is_(None)
                )
                row = db.session().scalar(query.with_for_update(skip_locked=True))
                if row:
                    _apply([row])
        except Exception as error:
            log.exception("webhook.event_failed", event_id=str(event_id))
            with db.transaction():
                db.session().execute(
                    update(WebhookInbox)
                    .where(WebhookInbox.id == event_id)
                    .values(tries=WebhookInbox.tries + 1, result=str(error)[:200])
                )
    return bool(ids)


def pending() -> list[UUID]:
    """List accounts with events nobody has applied yet; what the reconciler asks."""
    with db.apart(outbox.SYSTEM) as orm:
        query = select(WebhookInbox.account_id).where(WebhookInbox.applied_at.is_(None))
        return list(orm.scalars(query.distinct()))


def replay(account_id: UUID) -> None:
    """Ring the processing of an account's stored events again."""
    with db.apart(outbox.SYSTEM) as orm:
        _ring(orm, account_id)


def apply_now(account_id: UUID) -> None:
    """Apply an account's stored events in this process; for tests and the command line."""
    with account_scope(account_id, WEBHOOK):
        process.function()
