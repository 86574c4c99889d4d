"""What the database says about itself: is it durable, who may what, where walls are missing."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from clarion.base import clock as local

ROLES = ("clarion_app", "clarion_staff", "clarion_system", "clarion_watch")
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
SAFE = {"on", "remote_apply", "remote_write", "local"}
OLDEST_SERVER = 150000
FURTHEST_CLOCK = 60  # seconds


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason not to start.

    Attributes:
        what: is wrong, as one sentence.
        todo: how to put it right.
        grave: whether it keeps Clarion from starting on any machine; what is not is
            refused in production only, and said in development.
    """

    what: str
    todo: str
    grave: bool = True


def durability(connection: Connection) -> list[Finding]:
    """Find what lets the database lose what it said it stored, and a server too old.

    What holds for this very connection is asked, wherever it was set: for the server, the
    database, the role, or in the address. `synchronous_commit = off` alone made 27
    duplicates under 6 kills of the database, measured.
    """
    query = text("SELECT name, setting, source FROM pg_settings WHERE name = ANY(:names)")
    out = []
    for name, value, source in connection.execute(query, {"names": list(DURABLE)}):
        if value not in SAFE:
            what = f"The database may lose what it said it stored: {name} is {value}."
            out.append(Finding(what, _cure(connection, name, source)))
    version = connection.scalar(text("SELECT current_setting('server_version_num')::int"))
    if version < OLDEST_SERVER:
        what = f"PostgreSQL {version // 10000} is too old."
        out.append(Finding(what, "Use PostgreSQL 15 or newer."))
    return out


def _cure(connection: Connection, name: str, source: str) -> str:
    """Say where a setting was set, as what to do about it."""
    row = connection.execute(text("SELECT session_user, current_database()")).one()
    who, database = row
    return {
        "user": f"Run: ALTER ROLE {who} RESET {name};",
        "database user": f"Run: ALTER ROLE {who} IN DATABASE {database} RESET {name};",
        "database": f"Run: ALTER DATABASE {database} RESET {name};",
        "client": f"Take {name} out of CLARION_DATABASE_URL, or of PGOPTIONS.",
        "command line": f"Start the server without that option: {name} = on.",
    }.get(source, f"Set `{name} = on` in postgresql.conf.")


def clock(connection: Connection) -> list[Finding]:
    """Find a clock that is a minute or more away from the database's."""
    before = local.now()
    there = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    here = before + (local.now() - before) / 2
    away = round((there - here).total_seconds())
    if abs(away) <= FURTHEST_CLOCK:
        return []
    how = "behind" if away > 0 else "ahead of"
    what = f"This machine's clock is {abs(away)} seconds {how} the database's."
    return [Finding(what, "Let both machines follow a time server, as chrony does.")]


def standbys(connection: Connection) -> list[Finding]:
    """Find a server that promises synchronous standbys to nobody."""
    named = connection.scalar(text("SELECT current_setting('synchronous_standby_names')"))
    if named:
        return []
    what = "CLARION_FAILOVER is synchronous, but the database waits for no standby."
    todo = "Set synchronous_standby_names in postgresql.conf, or unset CLARION_FAILOVER."
    return [Finding(what, todo)]


def data_directory(connection: Connection) -> Path | None:
    """Say where the server keeps its data; None where that is not for this role to know."""
    with connection.begin_nested() as trial:
        try:
            told = connection.scalar(text("SELECT current_setting('data_directory')"))
        except ProgrammingError:
            trial.rollback()
            return None
    return Path(told) if told else None


def login(connection: Connection) -> list[Finding]:
    """Find what the role that signs in may do by itself: no wall would stand in its way."""
    row = connection.execute(
        text(
            "SELECT rolname, rolsuper, rolbypassrls, rolinherit, rolcreaterole,"
            " EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            "         WHERE c.relowner = r.oid AND n.nspname = 'public') AS owns"
            " FROM pg_roles r WHERE rolname = session_user"
        )
    ).one()
    wrong = (
        (row.rolsuper, "is a superuser", "NOSUPERUSER"),
        (row.rolbypassrls, "passes row level security", "NOBYPASSRLS"),
        (row.rolcreaterole, "may make roles", "NOCREATEROLE"),
        (row.rolinherit, "inherits the rights of its roles at all times", "NOINHERIT"),
    )
    out = [
        Finding(
            f"The login role {row.rolname} {how}.", f"Run: ALTER ROLE {row.rolname} {word};"
        )
        for is_so, how, word in wrong
        if is_so
    ]
    if row.owns:
        what = (
            f"The login role {row.rolname} owns the tables, so their walls do not bind it."
        )
        todo = "Sign in as another role; the owner's address is CLARION_DATABASE_OWNER_URL."
        out.append(Finding(what, todo))
    return out


def roles(connection: Connection) -> list[Finding]:
    """Find roles that are missing, may too much, or may not be entered."""
    have = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    missing = [role for role in ROLES if role not in have]
    if missing:
        todo = "Run `clarion db upgrade` as the owner; it makes them, or says how."
        return [Finding(f"Roles are missing: {', '.join(missing)}.", todo)]
    strong = text(
        "SELECT rolname FROM pg_roles"
        " WHERE rolname = ANY(:names) AND (rolsuper OR rolbypassrls OR rolcanlogin)"
    )
    out = [
        Finding(
            f"The role {name} has more rights than it needs.",
            f"Run: ALTER ROLE {name} NOLOGIN NOSUPERUSER NOBYPASSRLS;",
        )
        for name in connection.scalars(strong, {"names": list(ROLES)})
    ]
    who = connection.scalar(text("SELECT session_user"))
    may = text("SELECT pg_has_role(session_user, :role, 'MEMBER')")
    for role in ROLES:
        if not connection.scalar(may, {"role": role}):
            what = f"The login role may not enter {role}."
            out.append(Finding(what, f"Run: GRANT {role} TO {who};"))
    return out


def enter_system(connection: Connection) -> None:
    """Look as `clarion_system` until the transaction ends; the login role sees nothing."""
    connection.execute(text("SELECT set_config('role', 'clarion_system', true)"))


def bare_tables(
    connection: Connection, ours: Collection[str], free: Collection[str]
) -> list[Finding]:
    """Find tables with rows of accounts where row level security is not forced.

    Args:
        connection: as any role.
        ours: tables that must have it.
        free: tables that need none, though they may name an account.
    """
    query = text(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        " AND c.relname <> ALL(:free) AND (c.relname = ANY(:ours) OR EXISTS ("
        "   SELECT FROM pg_attribute a WHERE a.attrelid = c.oid"
        "   AND a.attname = 'account_id' AND NOT a.attisdropped))"
        " ORDER BY 1"
    )
    return [
        Finding(
            f"The table {name} has no wall between accounts.",
            f"Run as the owner: ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL"
            " SECURITY; and find out who switched it off.",
        )
        for name in connection.scalars(query, {"free": list(free), "ours": list(ours)})
    ]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which running database this is.

    Attributes:
        server: PostgreSQL's system identifier, new with each initdb.
        database: oid of the database, new with each CREATE DATABASE.
        timeline: new with each promotion and each recovery to a point in time.
    """

    server: str
    database: int
    timeline: int


def identity(connection: Connection) -> Identity:
    """Ask the database which one it is; any role may. It must not be a standby.

    The timeline is that of the log being written: the control file's is as old as the
    last checkpoint, so it misses a promotion of a moment ago.
    """
    row = connection.execute(
        text(
            "SELECT (SELECT system_identifier::text FROM pg_control_system()) AS server,"
            " (SELECT oid::bigint FROM pg_database WHERE datname = current_database())"
            " AS database, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))"
            "::bit(32)::bigint AS timeline"
        )
    ).one()
    return Identity(row.server, row.database, row.timeline)
