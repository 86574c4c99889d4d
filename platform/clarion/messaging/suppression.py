"""The do-not-contact list: stronger than everything, and no plugin can be off around it."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, func, or_, select, text

from clarion.base import db
from clarion.base.telemetry import counter, logger
from clarion.messaging import identifiers, journal, ledger
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
audit.label("messaging.address.replayed", "Opt-outs were put back after a restore")


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
        reason: stop, provider_stop, block, complaint, unsubscribe, erasure, legal, manual,
            maybe.
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
    _write(rows, scope, reason, until)
    if until is None:
        ledger.silence(list(found), scope)
        journal.stopped([(row[1], row[2]) for row in rows], scope, reason)
    stops.labels(reason).inc()
    for one in found:
        audit.record("messaging.address.suppressed", None, contact=one, why=reason)
        outbox.publish(AddressSuppressed(contact_id=one, scope=scope, reason=reason))


def suppress_people(contact_ids: Sequence[UUID], *, reason: str) -> None:
    """Stop marketing to many people for good, by every identifier we know of them.

    The caller holds their locks, and tells whoever must know: this publishes nothing.
    """
    query = (
        select(Identifier.contact_id, Identifier.kind, Identifier.idx)
        .where(
            Identifier.account_id == current_account(),
            Identifier.contact_id.in_(contact_ids),
        )
        .distinct(Identifier.idx)
        .order_by(Identifier.idx, Identifier.valid_to.desc().nulls_first())
    )
    rows = [
        (row.contact_id, row.kind, bytes(row.idx)) for row in db.session().execute(query)
    ]
    if rows:
        _write(rows, "marketing", reason, None)
        journal.stopped([(row[1], row[2]) for row in rows], "marketing", reason)
    ledger.silence(list(contact_ids), "marketing")
    stops.labels(reason).inc(len(contact_ids))
    audit.record_each(
        "messaging.address.suppressed",
        [{"contact": one, "why": reason} for one in contact_ids],
    )


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
    journal.resumed(of_person(given, found), lifts)
    for one in found:
        audit.record("messaging.address.resumed", None, contact=one)
        outbox.publish(AddressResumed(contact_id=one))


def replay(entries: Sequence[journal.Entry]) -> int:
    """Put back what the journal knows and a restored database does not; count the news.

    A lift in the journal cancels what it lifted there, and nothing in the database: who
    said STOP before the backup and START after it is asked again, not written to.
    """
    known = _known(entries)
    lost = [one for one in journal.standing(entries) if one not in known]
    for (scope, reason), some in _by_reason(lost).items():
        given = {one.idx: one.kind for one in some}
        found = identifiers.find_many(given)
        ledger.lock_contacts(found.values(), given)
        rows = [(found.get(idx), kind, idx) for idx, kind in given.items()]
        _write(rows, scope, reason, None)
        ledger.silence(list(found.values()), scope)
    if lost:
        audit.record("messaging.address.replayed", None, count=len(lost))
        log.warning("suppressions.replayed", count=len(lost))
    return len(lost)


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


def for_good(named: Iterable[tuple[str, str]]) -> bool:
    """Say whether one of these identifiers is on the list without an end already."""
    idxs = {identifiers.index(kind, value) for kind, value in named}
    query = select(Suppression.idx).where(
        Suppression.account_id == current_account(),
        Suppression.idx.in_(idxs),
        Suppression.until.is_(None),
    )
    return db.session().scalar(query.limit(1)) is not None


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
              AND i.kind <> 'username' AND s.contact_id IS DISTINCT FROM i.contact_id
              AND NOT EXISTS (SELECT FROM identifier o  -- who has others keeps it
                WHERE o.account_id = :account AND o.contact_id = s.contact_id)
            """
        ),
        {"account": current_account(), "contacts": list(contact_ids)},
    )


def follow(gone: Iterable[bytes], to: Iterable[tuple[str, str]]) -> None:
    """Let what silences some addresses silence others: the same person has those now."""
    rows = [(None, kind, identifiers.index(kind, value)) for kind, value in to]
    silent = _live("marketing").where(Suppression.idx.in_(list(gone)))
    _copy(silent, rows)


def share(contact_id: UUID, other_id: UUID) -> None:
    """Let what silences one contact silence another, on every address they ever had.

    The caller holds both contacts' locks. Of addresses that are the other's, the rows are
    the other's too.
    """
    own = select(Identifier.kind, Identifier.idx).where(
        Identifier.account_id == current_account(), Identifier.contact_id == other_id
    )
    rows = [(other_id, kind, bytes(idx)) for kind, idx in db.session().execute(own)]
    silent = _live("marketing").where(Suppression.contact_id == contact_id)
    found = _copy(silent, rows)
    if found:
        ledger.silence([other_id], "all" if "all" in found else "marketing")
    db.session().execute(
        text(
            """
            UPDATE suppression SET contact_id = :other
            WHERE account_id = :account AND idx = ANY(:idxs)
              AND contact_id IS DISTINCT FROM :other
            """
        ),
        {
            "account": current_account(),
            "other": other_id,
            "idxs": [idx for _contact, _kind, idx in rows],
        },
    )


def _copy(silent: Select[Any], rows: Sequence[tuple[UUID | None, str, bytes]]) -> set[str]:
    """Write what silences some for others too; returns the scopes without an end."""
    query = silent.with_only_columns(
        Suppression.scope, Suppression.reason, Suppression.until
    )
    found = db.session().execute(query.distinct()).all() if rows else []
    for scope, reason, until in found:
        _write(rows, scope, reason, until)
        if until is None:
            journal.stopped([(row[1], row[2]) for row in rows], scope, reason)
    return {scope for scope, _reason, until in found if until is None}


def _write(
    rows: Sequence[tuple[UUID | None, str, bytes]],
    scope: str,
    reason: str,
    until: dt.datetime | None,
) -> None:
    """Write a row for each (contact, kind, index); what is there stays, or gets stronger.

    What somebody said themselves is stronger than what they told the provider, which lifts
    only that.
    """
    db.session().execute(
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


def _known(entries: Sequence[journal.Entry]) -> set[journal.Entry]:
    """Find which stops the database has still, for good."""
    query = select(Suppression.idx, Suppression.scope).where(
        Suppression.account_id == current_account(),
        Suppression.until.is_(None),
        Suppression.idx.in_({one.idx for one in entries}),
    )
    there = {(bytes(idx), scope) for idx, scope in db.session().execute(query)}
    return {one for one in entries if (one.idx, one.scope) in there}


def _by_reason(
    entries: Sequence[journal.Entry],
) -> dict[tuple[str, str], list[journal.Entry]]:
    groups: dict[tuple[str, str], list[journal.Entry]] = {}
    for one in entries:
        groups.setdefault((one.scope, one.reason), []).append(one)
    return groups


def of_person(given: Iterable[bytes], found: Iterable[UUID]) -> set[bytes]:
    """Return all blind indexes of these people, and those they were named by."""
    query = select(Identifier.idx).where(
        Identifier.account_id == current_account(), Identifier.contact_id.in_(list(found))
    )
    return {*given, *map(bytes, db.session().scalars(query))}


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
        reason = CASE WHEN suppression.until IS NULL AND (excluded.until IS NOT NULL
            OR suppression.reason <> 'provider_stop') THEN suppression.reason
          ELSE excluded.reason END
    """
)
