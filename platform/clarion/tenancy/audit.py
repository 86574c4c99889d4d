"""The log of deeds: signed when written, never changed. `chain` seals it seconds later."""

import datetime as dt
import hmac
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Engine,
    LargeBinary,
    Result,
    RowMapping,
    Table,
    event,
    insert,
    inspect,
    select,
    tuple_,
)
from sqlalchemy.orm import ORMExecuteState, Session

from clarion.base import clock, crypto, db
from clarion.base.errors import ClarionError
from clarion.base.words import gettext
from clarion.tenancy import verifier
from clarion.tenancy.models import (
    Account,
    AuditEntry,
    Invitation,
    Membership,
    Person,
    Preference,
    StaffProfile,
)
from clarion.tenancy.scope import current_actor

Rule = tuple[frozenset[str], frozenset[str]]
ALWAYS = ("id", "account_id", "created_at", "created_by")  # which no entry repeats
BULK = 5_000
_watched: dict[type, Rule] = {}
_writing: ContextVar[bool] = ContextVar("audit_writing", default=False)
_count: ContextVar[int] = ContextVar("audit_count", default=0)
_labels: dict[str, str] = {}
Row = Mapping[str, Any] | RowMapping
LOG = ("audit_entry", "audit_link", "audit_head")


class Unaudited(ClarionError):
    """Somebody tried to change the log, or a watched row without leaving an entry."""


def record(name: str, row: Any = None, **facts: Any) -> None:
    """Log a deed: `audit.record("campaigns.campaign.launched", draft, estimate=3)`.

    Args:
        name: `plugin.noun.verbed`; `label` gives it words.
        row: the row it happened to; its table and id are kept.
        facts: numbers and ids worth keeping; no names, addresses or texts.
    """
    orm = db.session()
    orm.flush()  # so that the row has its key
    changes = {key: [None, _plain(value)] for key, value in facts.items()}
    _write(orm, [_entry(name, _ident(row), _account_of(row), changes)])


def record_each(name: str, facts: Iterable[Mapping[str, Any]]) -> None:
    """Log one deed for each of many things at once, in one statement; see `record`."""
    orm = db.session()
    orm.flush()
    changes = ({key: [None, _plain(one[key])] for key in one} for one in facts)
    _write(orm, [_entry(name, None, None, one) for one in changes])


def written() -> int:
    """Say how many entries this context has written: whether a request left any."""
    return _count.get()


def label(name: str, words: str) -> None:
    """Give an audit name words a person can read."""
    _labels[name] = words


def words(name: str) -> str:
    """Return the words for an audit name, translated; the name itself when it has none."""
    known = _labels.get(name)
    return gettext(known) if known else name.replace(".", " · ").replace("_", " ")


def watch(model: type, *, skip: Iterable[str] = (), mask: Iterable[str] = ()) -> None:
    """Log every change of this model's rows from now on, before and after.

    Of a column that logs may not show, as its declaration says, and of bytes, which are
    sealed or hashed, an entry says only that they changed. `mask` adds others.

    One statement for many rows is read before and after, up to `BULK` of them. More, and
    an INSERT that is no object, would leave no entry: they are refused from now on. A verb
    that needs one writes `audit.record` for what it did, and says so on the statement:
    `.execution_options(audited=True)`.
    """
    _watched[model] = (frozenset(skip), frozenset(mask))


watch(Account, skip=("updated_at",))
watch(Membership)
watch(Invitation)
watch(Person, skip=("last_seen_at",))
watch(StaffProfile)
watch(Preference)


# --- what a change leaves behind


@event.listens_for(Session, "before_flush")
def _collect(orm: Session, *_: Any) -> None:
    pending = orm.info.setdefault("audit", [])
    for verb, rows in (
        ("changed", orm.dirty),
        ("added", orm.new),
        ("removed", orm.deleted),
    ):
        for row in rows:
            rule = _watched.get(type(row))
            if rule and (verb != "changed" or orm.is_modified(row)):
                before = _changes(orm, row, rule, verb) if verb != "added" else {}
                pending.append((verb, row, rule, before))


@event.listens_for(Session, "after_flush")
def _store(orm: Session, *_: Any) -> None:
    entries = []
    for verb, row, rule, before in orm.info.pop("audit", []):
        # defaults and keys of new rows exist only now
        changes = _changes(orm, row, rule, verb) if verb == "added" else before
        if changes or verb != "changed":
            entries.append(_entry(f"row.{verb}", _ident(row), _account_of(row), changes))
    _write(orm, entries)


@event.listens_for(Session, "do_orm_execute")
def _each(state: ORMExecuteState) -> Result[Any] | None:
    """Log what a statement does to watched rows past the unit of work, or refuse it."""
    statement: Any = state.statement  # whatever has a table
    may_hide = state.is_update or state.is_delete or state.is_insert
    if not may_hide or state.execution_options.get("audited"):
        return None
    name = getattr(statement.table, "name", "")  # the ORM's is a copy with notes on it
    for model, rule in _watched.items():
        table: Any = inspect(model).local_table
        if table.name != name or (state.is_update and _set_by(statement) <= rule[0]):
            continue
        if state.is_insert or isinstance(state.parameters, list):
            raise Unaudited("audit_bypassed", f"This would change {name} without a trace.")
        return _many(state, table, rule)
    return None


def _many(state: ORMExecuteState, table: Table, rule: Rule) -> Result[Any]:
    """Run one statement for many rows; each leaves its entry."""
    connection, statement = state.session.connection(), state.statement
    where: Any = getattr(statement, "_where_criteria", ())
    query = select(table).where(*where).limit(BULK + 1)
    before = connection.execute(query.with_for_update(of=table)).mappings().all()
    if len(before) > BULK:
        raise Unaudited("audit_bypassed", f"More than {BULK} rows of {table.name} at once.")
    result = state.invoke_statement()
    keys = [column.name for column in table.primary_key]
    after: dict[Any, RowMapping] = {}
    if state.is_update and before:
        chosen = tuple_(*table.primary_key).in_([[r[k] for k in keys] for r in before])
        found = connection.execute(select(table).where(chosen)).mappings()
        after = {tuple(row[key] for key in keys): row for row in found}
    entries = []
    for old in before:
        new = after.get(tuple(old[key] for key in keys))
        changes = _differing(table, rule, old, new)
        if changes or state.is_delete:
            ident = f"{table.name}:{'/'.join(str(old[key]) for key in keys)}"
            owner = old["id"] if table.name == "account" else old.get("account_id")
            verb = "removed" if state.is_delete else "changed"
            entries.append(_entry(f"row.{verb}", ident, owner, changes))
    _write(state.session, entries)
    return result


def _differing(
    table: Table, rule: Rule, old: RowMapping, new: RowMapping | None
) -> dict[str, list[Any]]:
    skip, mask = rule
    return {
        column.name: _shown(column, mask, old[column.name], new and new[column.name])
        for column in table.columns
        if column.name not in (*skip, *ALWAYS)
        and old[column.name] != (new and new[column.name])
    }


def _set_by(statement: Any) -> set[str]:
    """Name the columns that an UPDATE sets; with values given apart, all of them."""
    given = statement._values or dict(statement._ordered_values or ())
    return {getattr(column, "key", str(column)) for column in given} or {"*"}


@event.listens_for(Engine, "before_execute")
def _guard(_conn: Connection, statement: Any, *_: Any) -> None:
    """Refuse any change of the log, whoever asks."""
    if not getattr(statement, "is_dml", False):
        return
    name = getattr(statement.table, "name", "")
    if name in LOG and not (statement.is_insert and _writing.get()):
        raise Unaudited("audit_append_only", "The log is append-only.")


def _changes(orm: Session, row: Any, rule: Rule, verb: str) -> dict[str, list[Any]]:
    skip, mask = rule
    state, out, stored = inspect(row), {}, None
    for attr in state.mapper.column_attrs:
        key, history = attr.key, state.attrs[attr.key].history
        if key in skip or key in ALWAYS:
            continue
        if verb == "added":
            old, new = None, state.dict.get(key)
        elif verb == "removed":
            old, new = getattr(row, key), None
        elif not history.has_changes():
            continue
        else:
            new = history.added[0] if history.added else None
            if history.deleted:
                old = history.deleted[0]
            else:  # set while expired: SQLAlchemy never saw the old value
                stored = stored or _stored(orm, state)
                old = stored.get(attr.columns[0].name)
        if old != new:
            out[key] = _shown(attr.columns[0], mask, old, new)
    return out


def _shown(column: Any, mask: frozenset[str], *values: Any) -> list[Any]:
    """Write what a column held and holds; of what nobody may read, only that there is some."""
    secret = column.info.get("log", "ok") != "ok" or isinstance(column.type, LargeBinary)
    hide = secret or column.key in mask
    return [v if v is None else "•••" if hide else _plain(v) for v in values]


def _stored(orm: Session, state: Any) -> Mapping[str, Any]:
    table = state.mapper.local_table
    keys = [c == v for c, v in zip(table.primary_key, state.identity, strict=True)]
    with orm.no_autoflush:
        found = orm.connection().execute(select(table).where(*keys)).mappings().first()
    return dict(found) if found else {}


def _entry(
    name: str, row: str | None, account_id: UUID | None, changes: dict[str, Any]
) -> dict[str, Any]:
    who = current_actor()
    entry: dict[str, Any] = {
        "id": db.new_id(),
        "account_id": who.account_id or account_id,
        "at": clock.now(),
        "name": name,
        "row": row,
        "actor": who.label,
        "actor_name": who.name,
        "behind": who.behind,
        "reason": who.reason,
        "address": who.address,
        "request_id": who.request_id,
        "changes": changes,
    }
    entry["mac"] = mac(entry)
    return entry


def _write(orm: Session, entries: list[dict[str, Any]]) -> None:
    if not entries:
        return
    _count.set(_count.get() + len(entries))
    with writing():
        orm.connection().execute(insert(db.table_of(AuditEntry)), entries)


@contextmanager
def writing() -> Iterator[None]:
    """Let the log be added to; for this module and `chain`."""
    token = _writing.set(True)
    try:
        yield
    finally:
        _writing.reset(token)


def _ident(row: Any) -> str | None:
    if row is None:
        return None
    state = inspect(row)
    key = state.identity or state.mapper.primary_key_from_instance(row)
    return f"{state.mapper.local_table.name}:{'/'.join(map(str, key))}"


def _account_of(row: Any) -> UUID | None:
    if isinstance(row, Account):
        return row.id
    return getattr(row, "account_id", None)


def _plain(value: Any) -> Any:
    """Make a value fit for JSON, always alike."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return str(value)


def mac(entry: Row) -> bytes:
    """Sign an entry's columns in their canonical form."""
    body = verifier.canonical(plain(entry))
    return hmac.digest(crypto.signing_key("audit"), body, "sha256")


def plain(entry: Row) -> dict[str, Any]:
    """Return what is signed of an entry, as JSON has it."""
    return {name: _plain(entry[name]) for name in verifier.FIELDS}
