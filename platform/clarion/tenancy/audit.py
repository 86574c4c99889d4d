"""The log of deeds: signed when written, never changed. `chain` seals it seconds later."""

import datetime as dt
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    CTE,
    BindParameter,
    ClauseElement,
    Connection,
    Engine,
    False_,
    LargeBinary,
    Null,
    Result,
    RowMapping,
    Table,
    True_,
    event,
    insert,
    inspect,
    select,
    tuple_,
)
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.sql import visitors

from clarion.base import clock, crypto, db, walls
from clarion.base.errors import ClarionError
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import gettext
from clarion.tenancy import verifier
from clarion.tenancy.models import Account, AuditEntry
from clarion.tenancy.scope import current_actor

ALWAYS = ("id", "account_id", "created_at", "created_by")  # which no entry repeats
BULK = 5_000
COMPUTED = "…"  # what a statement for many rows had the database work out
_others: dict[type, Trail] = {}  # of tables that are not ours
_tables: dict[str, tuple[type, Trail] | None] = {}
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


def counted(verb: Literal["added", "changed", "removed"], model: type, rows: int) -> None:
    """Log what a statement written as SQL text did to a watched table; nobody else sees it."""
    if rows:
        _write(db.session(), [_counted(verb, model, rows, None, {})])


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


def watch(model: type, trail: Trail) -> None:
    """Log every change of a model that is not ours, and so declares no trail."""
    _others[model] = trail
    _tables.clear()


def noun(table: str) -> str:
    """Say what a row of a table is to a person, translated; empty when nobody has said."""
    found = _trail_of(table)
    return str(found[1].noun) if found else ""


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
            trail = _trail(type(row))
            if trail and (verb != "changed" or orm.is_modified(row)):
                before = _changes(orm, row, trail, verb) if verb != "added" else {}
                pending.append((verb, row, trail, before))


@event.listens_for(Session, "after_flush")
def _store(orm: Session, *_: Any) -> None:
    entries = []
    for verb, row, trail, before in orm.info.pop("audit", []):
        # defaults and keys of new rows exist only now
        changes = _changes(orm, row, trail, verb) if verb == "added" else before
        if changes or verb != "changed":
            hidden, owner = _hidden(type(row)), _account_of(row)
            name = f"row.{verb}"
            entries.append(_entry(name, _ident(row), owner, changes, hidden=hidden))
    _write(orm, entries)


@event.listens_for(Session, "do_orm_execute")
def _each(state: ORMExecuteState) -> Result[Any] | None:
    """Log what a statement does to watched rows past the unit of work, or refuse it.

    Up to `BULK` rows are read before and after; more leave one entry with their number,
    as does an INSERT that is no object, or are refused, as the model's trail says. A verb
    that has said itself what it does marks its statement:
    `.execution_options(audited=True)`.
    """
    statement: Any = state.statement  # whatever has a table
    may_hide = state.is_update or state.is_delete or state.is_insert
    if not may_hide or state.execution_options.get("audited"):
        return None
    name = getattr(statement.table, "name", "")  # the ORM's is a copy with notes on it
    found = _trail_of(name)
    if found is None:
        return None
    entry = _entered(state.session)
    if entry and entry.role == "clarion_watch":
        return None  # it measures, and may not write the log; who acts on it does
    model, trail = found
    given = _given(state)
    if state.is_update and given and set(given) <= {*trail.skip, *ALWAYS}:
        return None
    if state.is_insert or isinstance(state.parameters, list):
        return _unread(state, model, trail, given)
    return _many(state, model, trail, given)


def _entered(orm: Session) -> db.Entry | None:
    """Say what a session's transaction entered with; one that is `apart` has its own."""
    return orm.info.get("entry") or db.current_entry()


def _trail(model: type) -> Trail | None:
    found = _others.get(model) or getattr(model, "trail", None)
    if isinstance(found, Trail):
        return found
    ours = issubclass(model, db.Base) and not isinstance(found, NoTrail)
    return Trail() if ours else None  # whoever says nothing is watched


def _trail_of(table: str) -> tuple[type, Trail] | None:
    if table not in _tables:  # of a plugin that was loaded since, or nobody's
        models: dict[str, type] = dict(walls.models())
        models |= {inspect(one).local_table.name: one for one in _others}
        _tables[table] = None
        for name, model in models.items():
            trail = _trail(model)
            _tables[name] = (model, trail) if trail else None
    return _tables[table]


def _given(state: ORMExecuteState) -> dict[str, Any]:
    """Say what a statement sets, by column; with `COMPUTED` for what is no plain value."""
    statement: Any = state.statement
    values = getattr(statement, "_values", None) or {}
    values = dict(values or getattr(statement, "_ordered_values", None) or ())
    apart: Any = state.parameters
    if isinstance(apart, list):
        return dict.fromkeys([key for one in apart[:1] for key in one], COMPUTED)
    named = apart or {}
    if not (values or state.is_delete):
        values = dict(named)
    return {
        getattr(column, "key", str(column)): _literal(value, named)
        for column, value in values.items()
    }


def _literal(value: Any, named: Mapping[str, Any]) -> Any:
    if isinstance(value, BindParameter):
        return named.get(value.key, value.effective_value)
    if isinstance(value, Null):
        return None
    if isinstance(value, True_ | False_):
        return isinstance(value, True_)
    return (
        COMPUTED
        if hasattr(value, "__clause_element__") or isinstance(value, ClauseElement)
        else value
    )


def _many(
    state: ORMExecuteState, model: type, trail: Trail, given: dict[str, Any]
) -> Result[Any]:
    """Run one statement for many rows; each leaves its entry, or all of them one."""
    connection, statement = state.session.connection(), state.statement
    table: Table = inspect(model).local_table
    keys = [column.name for column in table.primary_key]
    columns = _readable(state.session, model, given if state.is_update else {})
    where: Any = getattr(statement, "_where_criteria", ())
    known = {column.name for column in columns}
    if _writes(where) or {*keys} - known:  # reading it would do it, or may not be done
        return _by_number(state, model, trail, given)
    unread = {name for name in given if name in table.c} - {*known, *trail.skip, *ALWAYS}
    query = select(*columns).select_from(table).where(*where).limit(BULK + 1)
    if "UPDATE" in _rights(state.session, model):
        # with the lock that the statement is about to take
        query = query.with_for_update(of=table, key_share=state.is_update)
    named = state.parameters if isinstance(state.parameters, dict) else {}
    before = connection.execute(query, named).mappings().all()
    if len(before) > BULK:
        return _by_number(state, model, trail, given)
    result = state.invoke_statement(execution_options=_COUNTING)
    after: dict[Any, RowMapping] = {}
    if before and (state.is_update or _rows(result) != len(before)):
        chosen = tuple_(*table.primary_key).in_([[r[k] for k in keys] for r in before])
        found = connection.execute(select(*columns).where(chosen)).mappings()
        after = {tuple(row[key] for key in keys): row for row in found}
    entries = []
    for old in before:
        new = after.get(tuple(old[key] for key in keys))
        if state.is_delete and new is not None:
            continue  # it was left out after all, by what the session adds to statements
        changes = _differing(table, trail, old, new)
        for name in unread:
            changes[name] = _shown(table.c[name], trail.mask, None, given[name])
        if changes or state.is_delete:
            verb = "removed" if state.is_delete else "changed"
            entries.append(_row_entry(verb, model, old, changes))
    _write(state.session, entries)
    return result


def _writes(where: Iterable[Any]) -> bool:
    """Say whether a condition speaks of what another statement inside it changes."""
    for part in where:
        for one in visitors.iterate(part):
            for source in (one, *getattr(one, "_from_objects", ())):
                if isinstance(source, CTE) and getattr(source.element, "is_dml", False):
                    return True
    return False


def _unread(
    state: ORMExecuteState, model: type, trail: Trail, given: dict[str, Any]
) -> Result[Any]:
    """Run an INSERT that is no object, or one statement with a list of rows by key."""
    table: Table = inspect(model).local_table
    entry = _entered(state.session)
    if entry and entry.account_id and "account_id" in table.c:  # which is its default
        given = {"account_id": entry.account_id, **given}
    keys = _known_by(state, table, given) if state.is_insert else []
    columns = _readable(state.session, model, {})
    if trail.many == "refused" or not keys or {*keys} - {c.name for c in columns}:
        return _by_number(state, model, trail, given)
    connection = state.session.connection()
    query = select(*columns).where(*(table.c[key] == given[key] for key in keys)).limit(2)
    put = getattr(state.statement, "_post_values_clause", None) is not None
    before = connection.execute(query).mappings().all() if put else []
    result = state.invoke_statement(execution_options=_COUNTING)
    after = connection.execute(query).mappings().all()
    if len(before) > 1 or len(after) != 1:  # somebody else's are among them
        _write(state.session, _number(state, model, trail, given, _rows(result)))
        return result
    verb = "changed" if before else "added"
    changes = _differing(table, trail, before[0] if before else None, after[0])
    if changes or not before:
        _write(state.session, [_row_entry(verb, model, after[0], changes)])
    return result


def _known_by(state: ORMExecuteState, table: Table, given: dict[str, Any]) -> list[str]:
    """Name the columns by which the row of an INSERT of one row is found again."""
    statement: Any = state.statement
    if statement._multi_values or statement.select is not None or not given:
        return []
    if isinstance(state.parameters, list):
        return []
    clause = getattr(statement, "_post_values_clause", None)
    target: Any = getattr(clause, "inferred_target_elements", None)
    by_name = getattr(clause, "constraint_target", None)
    if by_name:
        named: Any = (one for one in table.constraints if one.name == by_name)
        target = next((one.columns for one in named), None)
    names = [str(getattr(one, "name", one)) for one in target or table.primary_key]
    plain = all(given.get(name, COMPUTED) is not COMPUTED for name in names)
    return names if plain else []


def _by_number(
    state: ORMExecuteState, model: type, trail: Trail, given: dict[str, Any]
) -> Result[Any]:
    """Run a statement whose rows nobody reads; one entry says how many they were."""
    if trail.many == "refused":
        table: Any = inspect(model).local_table
        reason = f"This would change {table.name} without a trace: more than {BULK} rows,"
        raise Unaudited("audit_bypassed", f"{reason} or rows that are no objects.")
    result = state.invoke_statement(execution_options=_COUNTING)
    count = _rows(result)
    if count is None and isinstance(state.parameters, list):
        count = len(state.parameters)
    _write(state.session, _number(state, model, trail, given, count))
    return result


_COUNTING = {"preserve_rowcount": True}


def _rows(result: Any) -> int | None:
    count = getattr(result, "rowcount", None)
    if count is None:  # the ORM's results keep the cursor's behind them
        count = getattr(getattr(result, "raw", None), "rowcount", None)
    return count if isinstance(count, int) and count >= 0 else None


def _number(
    state: ORMExecuteState,
    model: type,
    trail: Trail,
    given: dict[str, Any],
    count: int | None,
) -> list[dict[str, Any]]:
    if count == 0:
        return []
    table: Table = inspect(model).local_table
    verb = "added" if state.is_insert else "removed" if state.is_delete else "changed"
    changes = {
        name: _shown(table.c[name], trail.mask, None, value)
        for name, value in given.items()
        if name in table.c and name not in (*trail.skip, *ALWAYS) and not state.is_insert
    }
    owner = given.get("account_id")
    return [
        _counted(verb, model, count, owner if isinstance(owner, UUID) else None, changes)
    ]


def _counted(
    verb: str, model: type, rows: int | None, owner: UUID | None, changes: dict[str, Any]
) -> dict[str, Any]:
    table: Table = inspect(model).local_table
    name = f"row.{verb}" if rows == 1 else f"row.{verb}_many"
    changes = {**changes, "rows": [None, rows]}
    return _entry(name, table.name, owner, changes, hidden=_hidden(model))


def _row_entry(
    verb: str, model: type, row: RowMapping, changes: dict[str, Any]
) -> dict[str, Any]:
    table: Table = inspect(model).local_table
    ident = f"{table.name}:{'/'.join(str(row[c.name]) for c in table.primary_key)}"
    owner = row["id"] if table.name == "account" else row.get("account_id")
    return _entry(f"row.{verb}", ident, owner, changes, hidden=_hidden(model))


def _hidden(model: type) -> bool:
    """Say whether an account may not see its own rows of this table: notes of staff."""
    wall = getattr(model, "wall", None)
    return wall is not None and wall.kind != "platform" and not wall.app


def _differing(
    table: Table, trail: Trail, old: RowMapping | None, new: RowMapping | None
) -> dict[str, list[Any]]:
    out = {}
    for name in (old or new or {}).keys() - {*trail.skip, *ALWAYS}:
        was, now = old and old[name], new and new[name]
        if was != now:
            out[name] = _shown(table.c[name], trail.mask, was, now)
    return out


def _rights(orm: Session, model: type) -> str:
    """Say what the present role may do with a table, as its wall has it."""
    wall, entry = getattr(model, "wall", None), _entered(orm)
    if wall is None or entry is None:
        return "SELECT, UPDATE"  # FAB's tables are wholly open to staff
    if entry.role == "clarion_staff" and wall.kind == "content":
        return "SELECT"
    return ", ".join(getattr(wall, entry.role.removeprefix("clarion_")))


def _readable(orm: Session, model: type, given: Mapping[str, Any]) -> list[Any]:
    """Choose the columns an entry needs, of those that the present role may read."""
    table: Table = inspect(model).local_table
    may = re.search(r"SELECT(?: \(([^)]*)\))?", _rights(orm, model))
    names = set(re.split(r"[\s,]+", may[1])) if may and may[1] else None
    always = {"account_id", *(c.name for c in table.primary_key)}
    return [
        c
        for c in table.columns
        if (not given or c.name in given or c.name in always)
        and (names is None or c.name in names)
    ]


@event.listens_for(Engine, "before_execute")
def _guard(_conn: Connection, statement: Any, *_: Any) -> None:
    """Refuse any change of the log, whoever asks."""
    if not getattr(statement, "is_dml", False):
        return
    name = getattr(statement.table, "name", "")
    if name in LOG and not (statement.is_insert and _writing.get()):
        raise Unaudited("audit_append_only", "The log is append-only.")


def _changes(orm: Session, row: Any, trail: Trail, verb: str) -> dict[str, list[Any]]:
    state, out, stored = inspect(row), {}, None
    for attr in state.mapper.column_attrs:
        key, history = attr.key, state.attrs[attr.key].history
        if key in trail.skip or key in ALWAYS:
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
        if isinstance(new, ClauseElement):
            new = COMPUTED
        if old != new:
            out[key] = _shown(attr.columns[0], trail.mask, old, new)
    return out


def _shown(column: Any, mask: Iterable[str], *values: Any) -> list[Any]:
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
    name: str,
    row: str | None,
    account_id: UUID | None,
    changes: dict[str, Any],
    *,
    hidden: bool = False,
) -> dict[str, Any]:
    who = current_actor()
    entry: dict[str, Any] = {
        "id": db.new_id(),
        "account_id": None if hidden else who.account_id or account_id,
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
