"""The database: engine, sessions, columns, and the statement that enters a role.

The application logs in as a role without rights. Each transaction begins by entering
`clarion_app`, `clarion_staff`, `clarion_system` or `clarion_watch`; without, nothing is allowed.
"""

import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, cast
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import (
    DeclarativeBase,
    MappedColumn,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

from clarion.base import lean
from clarion.base.settings import settings
from clarion.base.trails import NoTrail, Trail

with lean.fab():
    from flask_appbuilder.models.sqla import Model as FabModel

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
FabModel.metadata.naming_convention = NAMES

import flask_appbuilder.security.sqla.models  # noqa: E402, F401 -- ab_user, after the names

WORKER_THREADS = 4  # the job, the relay, and the drain's two for the ledger
Role = Literal["clarion_app", "clarion_staff", "clarion_system", "clarion_watch"]


@dataclass(frozen=True, slots=True)
class Wall:
    """Who may touch a table, and why. Policies and grants are generated from it.

    Attributes:
        kind: `content` (a customer's), `operational` (needed to run the service) or
            `platform` (no account; each with a reason).
        app: privileges of `clarion_app`, always inside its own account; on platform tables,
            which no policy divides, none unless they are named.
        staff: privileges of `clarion_staff`; content they read under a grant, and only so.
        system: privileges of `clarion_system`, possibly by column: `SELECT (id, state)`.
        watch: privileges of `clarion_watch`, which looks for misuse: counters and outcomes,
            never texts, names or addresses.
        why: for platform tables, the reason why the table has no account.
        told: a moment's column, before which the account does not see the row yet.
    """

    kind: Literal["content", "operational", "platform"]
    app: tuple[str, ...] = ("all",)
    staff: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    why: str = ""
    told: str = ""

    def __post_init__(self) -> None:
        """Fill in what was left out: everything in an account's tables, nothing in others."""
        if self.app == ("all",):
            full = (
                () if self.kind == "platform" else ("SELECT", "INSERT", "UPDATE", "DELETE")
            )
            object.__setattr__(self, "app", full)


class Base(DeclarativeBase):
    """Our tables share FAB's metadata, so that foreign keys to ab_user resolve."""

    metadata = FabModel.metadata
    wall: ClassVar[Wall]
    trail: ClassVar[Trail | NoTrail]


def column(
    *args: Any,
    pd: str | None,
    export: bool | None = None,
    erase: str | None = None,
    retention: str | None = None,
    log: Literal["ok", "mask", "never"] | None = None,
    to: str | None = None,
    **kwargs: Any,
) -> MappedColumn[Any]:
    """Map a column and say what personal data it holds, or `pd=None` for none.

    Args:
        args: what `mapped_column` takes: a type, constraints.
        pd: class of personal data (`contact.phone`), from `privacy.md` section 3.
        export: whether it is part of an export.
        erase: `delete`, `shred` or `keep:<ground>`.
        retention: key of the retention table.
        log: whether logs may show it.
        to: table this points at inside the same account; the foreign key is composite.
        kwargs: further arguments of `mapped_column`.
    """
    info = {
        "pd": pd,
        "export": (pd is not None) if export is None else export,
        "erase": erase or ("delete" if pd else None),
        "retention": retention or ("account" if pd else None),
        "log": log or ("never" if pd else "ok"),
        "to": to,
    }
    return mapped_column(*args, info=info, **kwargs)


def new_id() -> UUID:
    """Make a UUID version 7: unique, and near its neighbours in time in every index."""
    ms = time.time_ns() // 1_000_000
    rand = secrets.randbits(74)
    value = (ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (rand >> 62) << 64
    return UUID(int=value | 0b10 << 62 | rand & ((1 << 62) - 1))


# --- entering


@dataclass(frozen=True, slots=True)
class Entry:
    """What a transaction enters with: database role, account, who is acting.

    Attributes:
        role: which of the three.
        account_id: whose rows; None for none, or for all a role may find.
        actor_id: who, as the log labels them.
        grant_id: the grant by which staff act as this person, if they do.
        access_id: the entry of the access log that was committed for this very reading.
        read_only: whether nothing may be written.
    """

    role: Role
    account_id: UUID | None = None
    actor_id: str = ""
    grant_id: UUID | None = None
    access_id: UUID | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Scope:
    entry: Entry


_scope: ContextVar[_Scope | None] = ContextVar("db_scope", default=None)
ENTER = text(
    "SELECT set_config('role', :role, true),"
    " set_config('app.account_id', :account, true),"
    " set_config('app.actor_id', :actor, true)"
)
UNDER = text(
    "SELECT set_config('app.grant_id', :grant, true),"
    " set_config('app.access_entry', :access, true)"
)


def current_entry() -> Entry | None:
    """Say what the next transaction of this context enters with."""
    scope = _scope.get()
    return scope.entry if scope else None


def push_entry(entry: Entry) -> Token[_Scope | None]:
    """Enter from here on, with an ORM session of its own. Use `tenancy.scope` instead."""
    return _scope.set(_Scope(entry))


def pop_entry(token: Token[_Scope | None]) -> None:
    """Leave again; what was not committed is rolled back."""
    session.remove()
    _scope.reset(token)


@cache
def engine() -> Engine:
    """Connect as the login role; one pool per process."""
    conf = settings()
    return create_engine(
        conf.database_url,
        pool_size=conf.database_pool,
        max_overflow=_most() - conf.database_pool,
        pool_pre_ping=False,
        pool_recycle=900,
        hide_parameters=True,  # an error message shows no name and no number
        connect_args={"application_name": "clarion"},
    )


def _most() -> int:
    """How many connections a process may hold at once: enough for nobody to wait for ever.

    A thread holds at most two: that of its request or job, and one `apart` inside it. If
    all threads hold their first, one more connection lets them finish one after another;
    two let the health probe in as well.
    """
    conf = settings()
    return max(2 * conf.database_pool, max(conf.web_threads, WORKER_THREADS) + 2)


def reset_engine() -> None:
    """Forget the pool: the database URL has changed (tests, embedded servers)."""
    if engine.cache_info().currsize:
        engine().dispose()
    engine.cache_clear()


class _Session(Session):
    """A session that finds the engine late, so that importing needs no database."""

    def get_bind(self, *_args: Any, **_kwargs: Any) -> Engine:
        return engine()


sessions: sessionmaker[Session] = sessionmaker(class_=_Session, expire_on_commit=False)
session: scoped_session[Session] = scoped_session(sessions, scopefunc=_scope.get)
os.register_at_fork(
    after_in_child=lambda: (
        engine().dispose(close=False) if engine.cache_info().currsize else None
    )
)


@event.listens_for(Session, "after_begin")
def _enter(orm: Session, _transaction: Any, connection: Connection) -> None:
    entry = orm.info.get("entry") or current_entry()
    if entry is None or not isinstance(orm, _Session):
        return  # the login role has no rights: every table refuses
    account = str(entry.account_id) if entry.account_id else ""
    given = {"role": entry.role, "account": account, "actor": entry.actor_id}
    _tell(connection, _ENTER, given)
    if entry.grant_id or entry.access_id:
        grant, access = str(entry.grant_id or ""), str(entry.access_id or "")
        _tell(connection, _UNDER, {"grant": grant, "access": access})
    if entry.read_only:
        _tell(connection, _READ_ONLY, {})


def table_of(model: type[Base]) -> Table:
    """Return a model's table, for statements that must not go through the ORM."""
    return cast(Table, model.__table__)


class Direct:
    """A statement of a hot path: the driver gets it, in the present transaction.

    SQLAlchemy takes four times as long about one as the driver does (measured), which is
    most of what a small statement costs this process. For SQL text only, and only where
    thousands of messages a second pass; errors are SQLAlchemy's, as everywhere.

        FIND = Direct("SELECT id, name FROM thing WHERE account_id = :account")
        for row in FIND(account=current_account()): row.name
    """

    def __init__(self, sql: str) -> None:
        self._sql = _driver_style(sql)

    def __call__(self, **given: Any) -> list[Any]:
        """Run it with its values, whatever the driver adapts; returns its rows, named."""
        cursor = _tell(session().connection(), self._sql, given)
        cursor.row_factory = namedtuple_row
        return cursor.fetchall() if cursor.description else []


def _tell(connection: Connection, sql: str, given: Mapping[str, Any]) -> Any:  # a cursor
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    try:
        return driver.execute(sql, given)
    except psycopg.Error as error:
        if driver.closed:
            # let SQLAlchemy find out, so that its pool forgets the others too
            connection.exec_driver_sql("SELECT 1")
        raise DBAPIError.instance(
            sql, None, error, psycopg.Error, hide_parameters=True
        ) from error


def _driver_style(sql: str) -> str:
    """Write `:name` as the driver does."""
    return re.sub(r"(?<![:\w]):([a-z_]+)\b", r"%(\1)s", sql.replace("%", "%%"))


_ENTER = _driver_style(ENTER.text)
_UNDER = _driver_style(UNDER.text)
_READ_ONLY = "SET LOCAL transaction_read_only = on"


@contextmanager
def transaction() -> Iterator[Session]:
    """Run a block in one transaction of the present scope; inner blocks join the outer.

    Commits when the outermost block ends, rolls back when it raises. The only place
    besides `apart` that commits.
    """
    orm = session()
    depth = orm.info.get("depth", 0)
    if depth:
        yield orm
        return
    orm.info["depth"] = 1
    try:
        yield orm
        orm.commit()
    except BaseException:
        orm.rollback()
        raise
    finally:
        orm.info["depth"] = 0


def let_go() -> None:
    """Hold no connection from here on; the next statement begins a transaction anew.

    For long work on the way of a request that reads before it changes anything, like
    looking at a file. What was written before would be kept whatever comes, so nothing
    may have been: raises `RuntimeError` when something waits to be written.
    """
    orm = session()
    if orm.new or orm.dirty or orm.deleted:
        raise RuntimeError("something was changed already: it must not be kept halfway")
    orm.commit()


@contextmanager
def apart(entry: Entry) -> Iterator[Session]:
    """Run a block in a session and transaction of its own, entered as told.

    For what must not ride in the caller's transaction: sessions, limits, finding an
    account before it is known. Commits at the end.
    """
    orm = sessions(info={"entry": entry})
    try:
        yield orm
        orm.commit()
    except BaseException:
        orm.rollback()
        raise
    finally:
        orm.close()
