"""The do-not-contact list: stronger than everything, and no plugin can be off around it."""

import datetime as dt
import json
import os
from collections.abc import Iterable
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, event, func, or_, select, text
from sqlalchemy.orm import Session

from clarion.base import clock, db
from clarion.base.settings import settings
from clarion.base.telemetry import counter, logger
from clarion.messaging import identifiers, ledger
from clarion.messaging.events import AddressResumed, AddressSuppressed
from clarion.messaging.models import Identifier, Suppression
from clarion.tenancy import audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox

log = logger(__name__)
Scope = Literal["marketing", "all"]
stops = counter("suppressions_total", "Suppressions written", ("reason",))
audit.label("messaging.address.suppressed", "Asked not to be contacted")
audit.label("messaging.address.resumed", "Asked to be contacted again")


def suppress(
    addresses: Iterable[tuple[str, str]],
    *,
    scope: Scope = "marketing",
    reason: str,
    contact_id: UUID | None = None,
    until: dt.datetime | None = None,
) -> None:
    """Stop writing to a person: every identifier given, and every one we know of them.

    Args:
        addresses: (kind, value) pairs an event or a person named.
        scope: `marketing`, or `all`.
        reason: stop, provider_stop, block, complaint, erasure, legal, manual, maybe.
        contact_id: whose they are, when known; found by the addresses otherwise.
        until: when it ends by itself (a doubtful STOP pauses for a day), else never.
    """
    given = {identifiers.index(kind, value): kind for kind, value in addresses}
    found = set(identifiers.find_many(given).values())
    if contact_id is not None:
        found.add(contact_id)
    ledger.lock_contacts(found, given)
    rows = _rows(given, found)
    if not rows:
        return
    orm = db.session()
    orm.execute(
        _SUPPRESS,
        {
            "account": current_account(),
            "ids": [db.new_id() for _ in rows],
            "contacts": [row[0] for row in rows],
            "kinds": [row[1] for row in rows],
            "idxs": [row[2] for row in rows],
            "scope": scope,
            "reason": reason,
            "until": until,
        },
    )
    if until is None:
        ledger.silence(list(found), scope)
        _journal(orm, [row[2] for row in rows], scope, reason)
    stops.labels(reason).inc()
    for one in found:
        audit.record("messaging.address.suppressed", None, contact=one, why=reason)
        outbox.publish(AddressSuppressed(contact_id=one, scope=scope, reason=reason))


def resume(addresses: Iterable[tuple[str, str]], *, lifts: tuple[str, ...]) -> None:
    """Lift suppressions of some reasons because the person asked for it; nobody else may.

    A provider's resume lifts `provider_stop` only; START from the person lifts `stop` too.
    """
    given = {identifiers.index(kind, value): kind for kind, value in addresses}
    found = set(identifiers.find_many(given).values())
    ledger.lock_contacts(found, given)
    db.session().execute(
        text(
            """
            UPDATE suppression SET until = clarion_now()
            WHERE account_id = :account AND reason = ANY(:lifts)
              AND (until IS NULL OR until > clarion_now())
              AND (idx = ANY(:idxs) OR contact_id = ANY(:contacts))
            """
        ),
        {
            "account": current_account(),
            "lifts": list(lifts),
            "idxs": list(given),
            "contacts": list(found),
        },
    )
    for one in found:
        audit.record("messaging.address.resumed", None, contact=one)
        outbox.publish(AddressResumed(contact_id=one))


def is_suppressed(kind: str, value: str, scope: Scope = "marketing") -> bool:
    """Say whether an identifier, or the contact it belongs to, must not be written to."""
    idx = identifiers.index(kind, value)
    owner = select(Identifier.contact_id).where(
        Identifier.account_id == current_account(),
        Identifier.idx == idx,
        Identifier.valid_to.is_(None),
    )
    query = _live(scope).where(
        or_(Suppression.idx == idx, Suppression.contact_id.in_(owner))
    )
    return db.session().scalar(select(query.exists())) or False


def contacts(scope: Scope = "marketing") -> Select[Any]:
    """Return a SELECT of the ids of contacts that are suppressed now."""
    return _live(scope).where(Suppression.contact_id.is_not(None))


def addresses(scope: Scope = "marketing") -> Select[Any]:
    """Return a SELECT of the blind indexes that are suppressed now."""
    return _live(scope).with_only_columns(Suppression.idx)


def adopt(contact_ids: Iterable[UUID]) -> None:
    """Give suppressions that were known by address only to contacts that have it now."""
    db.session().execute(
        text(
            """
            UPDATE suppression s SET contact_id = i.contact_id FROM identifier i
            WHERE s.account_id = :account AND i.account_id = :account AND i.idx = s.idx
              AND i.valid_to IS NULL AND i.contact_id = ANY(:contacts)
              AND s.contact_id IS DISTINCT FROM i.contact_id
            """
        ),
        {"account": current_account(), "contacts": list(contact_ids)},
    )


def count() -> int:
    """Count the people this account must not write to, known by contact or address."""
    query = select(func.count(func.distinct(Suppression.idx))).where(
        Suppression.account_id == current_account(), _not_over()
    )
    return int(db.session().scalar(query) or 0)


def _live(scope: Scope) -> Select[Any]:
    query = select(Suppression.contact_id).where(
        Suppression.account_id == current_account(), _not_over()
    )
    return query if scope == "marketing" else query.where(Suppression.scope == "all")


def _not_over() -> Any:
    return or_(Suppression.until.is_(None), Suppression.until > func.clarion_now())


def _rows(
    given: dict[bytes, str], found: set[UUID]
) -> list[tuple[UUID | None, str, bytes]]:
    owners = identifiers.find_many(given)
    rows: dict[bytes, tuple[UUID | None, str, bytes]] = {
        idx: (owners.get(idx) or next(iter(found), None), kind, idx)
        for idx, kind in given.items()
    }
    if found:
        query = select(Identifier.contact_id, Identifier.kind, Identifier.idx).where(
            Identifier.account_id == current_account(), Identifier.contact_id.in_(found)
        )
        for row in db.session().execute(query):
            rows[bytes(row.idx)] = (row.contact_id, row.kind, bytes(row.idx))
    return list(rows.values())


_SUPPRESS = text(
    """
    INSERT INTO suppression (id, account_id, contact_id, kind, idx, scope, reason, until)
    SELECT id, :account, contact, kind, idx, :scope, :reason, :until
    FROM unnest(CAST(:ids AS uuid[]), CAST(:contacts AS uuid[]), CAST(:kinds AS text[]),
      CAST(:idxs AS bytea[])) AS t(id, contact, kind, idx)
    ON CONFLICT (account_id, idx, scope) DO UPDATE
      SET contact_id = coalesce(suppression.contact_id, excluded.contact_id),
        until = CASE WHEN suppression.until IS NULL OR excluded.until IS NULL THEN NULL
          ELSE greatest(suppression.until, excluded.until) END,
        reason = CASE WHEN suppression.until IS NULL THEN suppression.reason
          ELSE excluded.reason END
    """
)


# --- the side journal: indexes only, outside the database, replayed after a restore


def _journal(orm: Session, idxs: list[bytes], scope: str, reason: str) -> None:
    """Append to the journal files once the transaction has committed."""
    at, account = clock.now().isoformat(), str(current_account())
    lines = [
        json.dumps(
            {"at": at, "account": account, "idx": i.hex(), "scope": scope, "reason": reason}
        )
        for i in idxs
    ]

    def write(_session: Session) -> None:
        for path in settings().journal_paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, ("\n".join(lines) + "\n").encode())
                os.fsync(handle)
            finally:
                os.close(handle)

    event.listen(orm, "after_commit", write, once=True)
