"""Whose address is it: identifiers of contacts, found by blind index."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import Insert, insert

from clarion.base import crypto, db
from clarion.base.errors import Invalid
from clarion.base.telemetry import logger
from clarion.messaging import address, journal, ledger, parts, twins
from clarion.messaging.models import Identifier
from clarion.tenancy import audit
from clarion.tenancy.scope import current_account

log = logger(__name__)


def index(kind: str, value: str) -> bytes:
    """Return this account's blind index of an identifier; equal for phone and WhatsApp id."""
    return address.index(crypto.index_key(current_account()), kind, value)  # type: ignore[arg-type]


def indexer(kind: address.Kind) -> Callable[[str], str]:
    """Return what gives the index of many identifiers of this account, in hexadecimal.

    For whole lists, whose identifiers are in their one spelling already.
    """
    key = crypto.index_key(current_account())
    return crypto.mac(key, address.family(kind).encode())


def usable(identifiers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keep the identifiers we can read; a provider may name what nobody can."""
    kept = []
    for kind, value in identifiers:
        try:
            index(kind, value)
        except Invalid as unreadable:
            log.warning("identifier.unreadable", kind=kind, code=unreadable.code)
        else:
            kept.append((kind, value))
    return kept


def certain(identifiers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keep those that say who somebody is: a user name can pass to somebody else."""
    return [one for one in usable(identifiers) if one[0] != "username"]


def attach(contact_id: UUID, identifiers: Iterable[tuple[str, str]], source: str) -> None:
    """Say that addresses belong to a contact; one that was another's stays another's.

    A new identifier of a suppressed contact is suppressed in the same transaction.
    """
    attach_many([(contact_id, kind, value) for kind, value in identifiers], source)


def attach_many(rows: Sequence[tuple[UUID, str, str]], source: str) -> None:
    """Attach many (contact, kind, value) at once, set-based; repeated calls are harmless."""
    if not rows:
        return
    values = {
        "ids": [db.new_id() for _ in rows],
        "contacts": [contact for contact, _, _ in rows],
        "kinds": [kind for _, kind, _ in rows],
        "values": [value for _, _, value in rows],
        "idxs": [index(kind, value) for _, kind, value in rows],
        "source": source,
        "account": current_account(),
    }
    theirs = {"contacts": values["contacts"], "account": values["account"]}
    orm = db.session()
    done: Any = orm.execute(_ATTACH, values)
    audit.counted("added", Identifier, done.rowcount)
    orm.execute(_CLAIM, theirs)
    silent: dict[tuple[str, str], list[tuple[str, bytes]]] = {}
    for row in orm.execute(_INHERIT, theirs):
        if row.until is None:
            silent.setdefault((row.scope, row.reason), []).append(
                (row.kind, bytes(row.idx))
            )
    for (scope, reason), rows_ in silent.items():
        journal.stopped(rows_, scope, reason)


def attach_selected(rows: Select[Any], source: str) -> None:
    """Attach what a SELECT of (id, contact_id, kind, value, idx) names: for whole lists.

    The caller has made sure that none of these contacts is suppressed.
    """
    statement = _attaching(rows, source).on_conflict_do_nothing(
        index_elements=["account_id", "idx"], index_where=Identifier.valid_to.is_(None)
    )
    db.session().execute(statement)


def attach_new(rows: Select[Any], source: str) -> None:
    """Attach like `attach_selected` what is known to be nobody's: quicker by a third.

    When it became somebody's in this moment, a unique key ends the transaction.
    """
    db.session().execute(_attaching(rows, source))


def _attaching(rows: Select[Any], source: str) -> Insert:
    given = rows.subquery("given")
    query = select(
        given.c.id,
        func.clarion_account(),
        given.c.contact_id,
        given.c.kind,
        given.c.value,
        given.c.idx,
        literal(source),
    )
    names = ["id", "account_id", "contact_id", "kind", "value", "idx", "source"]
    return insert(Identifier).from_select(names, query, include_defaults=False)


def retire(contact_id: UUID, kind: str, value: str) -> None:
    """End an identifier: the contact has another one now. It stays in the history."""
    end(contact_id, [index(kind, value)])


def end(contact_id: UUID, idxs: Iterable[bytes]) -> int:
    """End identifiers of a contact, whose lock the caller holds; returns how many.

    Nothing that waits is sent to them: they may be a stranger's now.
    """
    ended = db.session().scalars(
        update(Identifier)
        .where(
            Identifier.account_id == current_account(),
            Identifier.contact_id == contact_id,
            Identifier.idx.in_(list(idxs)),
            Identifier.valid_to.is_(None),
        )
        .values(valid_to=func.clarion_now())
        .returning(Identifier.idx)
        .execution_options(synchronize_session=False)
    )
    gone = [bytes(idx) for idx in ended]
    if gone:
        ledger.withhold(contact_id, gone, "number_changed")
    return len(gone)


def call(contact_id: UUID, username: str, source: str) -> None:
    """Note the user name somebody writes under: theirs now, and nobody else's.

    For display. Whoever had it before keeps everything but the name.
    """
    mine = (Identifier.contact_id == contact_id) & (Identifier.kind == "username")
    idx = index("username", username)
    db.session().execute(
        update(Identifier)
        .where(
            Identifier.account_id == current_account(),
            Identifier.valid_to.is_(None),
            or_(
                mine & (Identifier.idx != idx),
                (Identifier.idx == idx) & (Identifier.contact_id != contact_id),
            ),
        )
        .values(valid_to=func.clarion_now())
        .execution_options(synchronize_session=False)
    )
    said = address.normalise("username", username)
    attach(contact_id, [("username", said)], source)


def forget(contact_ids: Iterable[UUID] | Select[Any]) -> None:
    """Erase the identifiers of contacts; what is suppressed stays suppressed."""
    ids = contact_ids if isinstance(contact_ids, Select) else list(contact_ids)
    db.session().execute(
        delete(Identifier)
        .where(Identifier.account_id == current_account(), Identifier.contact_id.in_(ids))
        .execution_options(
            synchronize_session=False, audited=True
        )  # whoever erases says whom
    )
    twins.forget(ids)
    parts.forget(ids)


def find(kind: str, value: str) -> UUID | None:
    """Return the contact an identifier belongs to now, or None."""
    query = select(Identifier.contact_id).where(
        Identifier.account_id == current_account(),
        Identifier.idx == index(kind, value),
        Identifier.valid_to.is_(None),
    )
    return db.session().scalar(query)


def find_many(idxs: Iterable[bytes]) -> dict[bytes, UUID]:
    """Return the contacts of many blind indexes at once."""
    query = select(Identifier.idx, Identifier.contact_id).where(
        Identifier.account_id == current_account(),
        Identifier.idx.in_(list(idxs)),
        Identifier.valid_to.is_(None),
    )
    return {bytes(row.idx): row.contact_id for row in db.session().execute(query)}


def of(contact_id: UUID) -> list[Identifier]:
    """List a contact's present identifiers, oldest first."""
    query = select(Identifier).where(
        Identifier.account_id == current_account(),
        Identifier.contact_id == contact_id,
        Identifier.valid_to.is_(None),
    )
    return list(db.session().scalars(query.order_by(Identifier.created_at, Identifier.id)))


def history(contact_id: UUID) -> list[Identifier]:
    """List a contact's identifiers, present and former, in the order they came."""
    query = select(Identifier).where(
        Identifier.account_id == current_account(), Identifier.contact_id == contact_id
    )
    return list(db.session().scalars(query.order_by(Identifier.created_at, Identifier.id)))


_ATTACH = text(
    """
    INSERT INTO identifier (id, account_id, contact_id, kind, value, idx, source)
    SELECT id, :account, contact, kind, value, idx, :source
    FROM unnest(CAST(:ids AS uuid[]), CAST(:contacts AS uuid[]), CAST(:kinds AS text[]),
      CAST(:values AS text[]), CAST(:idxs AS bytea[])) AS t(id, contact, kind, value, idx)
    ON CONFLICT (account_id, idx) WHERE valid_to IS NULL DO NOTHING
    """
)
# what was told by an address nobody had, or somebody erased had
_CLAIM = text(
    """
    UPDATE suppression s SET contact_id = i.contact_id FROM identifier i
    WHERE s.account_id = :account AND i.account_id = :account AND i.idx = s.idx
      AND i.valid_to IS NULL AND i.kind <> 'username' AND i.contact_id = ANY(:contacts)
      AND s.contact_id IS DISTINCT FROM i.contact_id
      AND NOT EXISTS (SELECT FROM identifier o
        WHERE o.account_id = :account AND o.contact_id = s.contact_id)
    """
)
_INHERIT = text(
    """
    INSERT INTO suppression (id, account_id, contact_id, kind, idx, scope, reason, until)
    SELECT DISTINCT ON (i.idx, s.scope) clarion_new_id(), :account, i.contact_id, i.kind,
      i.idx, s.scope, s.reason, s.until
    FROM identifier i JOIN suppression s
      ON s.account_id = i.account_id AND s.contact_id = i.contact_id
    WHERE i.account_id = :account AND i.contact_id = ANY(:contacts)
      AND i.valid_to IS NULL AND (s.until IS NULL OR s.until > clarion_now())
    ORDER BY i.idx, s.scope, s.until DESC NULLS FIRST
    ON CONFLICT (account_id, idx, scope) DO NOTHING
    RETURNING kind, idx, scope, reason, until
    """
)
