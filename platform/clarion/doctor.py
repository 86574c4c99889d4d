"""What keeps Clarion from starting, and what to do about each; and is the log whole.

`clarion doctor` shows the list; in production `web`, `worker` and `relay` refuse to start
while it is not empty.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, create_engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from clarion import release
from clarion.base import broker, db, services, walls
from clarion.base.errors import ClarionError, Misconfigured
from clarion.base.migrate import ROLES
from clarion.base.settings import Settings, refusals, settings
from clarion.boot import boot
from clarion.plugging.manager import plugins
from clarion.tenancy import audit
from clarion.tenancy.models import AuditLink

SYSTEM = db.Entry("clarion_system", None, "command:audit.verify")
BUILT = Path(__file__).parent / "web" / "static" / "dist" / "manifest.json"
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
SAFE = {"on", "remote_apply", "remote_write", "local"}
OLDEST_SERVER = 150000


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason not to start.

    Attributes:
        what: is wrong, as one sentence.
        todo: how to put it right.
    """

    what: str
    todo: str


def require() -> None:
    """Refuse to start while there is a finding; raises `Misconfigured` with all of them."""
    found = examine()
    if found:
        lines = "\n".join(f"- {one.what} {one.todo}" for one in found)
        raise Misconfigured("doctor_refused", f"Clarion cannot start like this:\n{lines}")


def examine() -> list[Finding]:
    """Look at settings, files, plugins, database and broker; list what is wrong."""
    found = _settings()
    if found:
        return found  # nothing else can be asked
    try:
        services.ensure()
    except ClarionError as error:
        return [
            Finding(error.text, "See the message; the servers' logs are in home/servers.")
        ]
    boot()
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _files,
        _plugins,
        _database,
        _broker,
    )
    return [finding for check in checks for finding in check()]


def chains(only: UUID | None = None) -> Iterator[tuple[UUID, int, str | None]]:
    """Seal what is loose, then walk each chain of the log.

    Yields the chain (an account's id; zeros for the platform's), its length, and the
    first place that is not as it was written, or None.
    """
    audit.seal(window=None)
    lengths = select(AuditLink.chain, func.count()).group_by(AuditLink.chain)
    if only is not None:
        lengths = lengths.where(AuditLink.chain == only)
    with db.apart(SYSTEM) as orm:
        for chain, length in orm.execute(lengths.order_by(AuditLink.chain)).all():
            yield chain, length, audit.broken(orm, chain)


# --- this machine


def _settings() -> list[Finding]:
    todo = "See docs/reference/settings.md."
    try:
        conf = Settings()
    except ValidationError as error:
        return [
            Finding(f"CLARION_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}.", todo)
            for e in error.errors(include_input=False)
        ]
    if not conf.production:
        return []
    return [
        Finding("Production cannot run like this:", f"{one}.") for one in refusals(conf)
    ]


def _files() -> list[Finding]:
    conf, out = settings(), []
    for what, folder in (("home folder", conf.home), ("key store", conf.key_store)):
        folder.mkdir(parents=True, exist_ok=True) if not folder.exists() else None
        if not os.access(folder, os.W_OK):
            todo = f"Give this user the right to write in {folder}."
            out.append(Finding(f"The {what} cannot be written.", todo))
    if not BUILT.is_file():
        out.append(Finding("The front end is not built.", "Run `make frontend`."))
    return out


def _plugins() -> list[Finding]:
    return [
        Finding(
            f"The plugin {one.name} does not load: {one.error}.",
            f"Repair it, or leave it out: CLARION_PLUGINS_OFF={one.name}.",
        )
        for one in plugins().found.values()
        if one.state == "failed"
    ]


# --- the broker


def _broker() -> list[Finding]:
    try:
        known = broker.redis().info("memory")
    except (RedisError, OSError, Misconfigured) as error:
        todo = "Start it, or correct CLARION_REDIS_URL."
        return [Finding(f"The broker does not answer: {type(error).__name__}.", todo)]
    policy = str(known.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return []
    what = f"The broker may throw jobs away: its eviction policy is {policy}."
    return [Finding(what, "Set `maxmemory-policy noeviction` in its configuration.")]


# --- the database


def _database() -> list[Finding]:
    engine = create_engine(settings().database_url, pool_size=1)
    try:
        return _asked(engine)
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", error)).strip().splitlines()
        what = (
            f"The database does not answer: {cause[0] if cause else type(error).__name__}."
        )
        return [Finding(what, "Start it, or correct CLARION_DATABASE_URL.")]
    finally:
        engine.dispose()


def _asked(engine: Engine) -> list[Finding]:
    with engine.connect() as connection:
        out = [*_durability(connection), *_login(connection)]
        missing = [role for role in ROLES if role not in _roles(connection)]
        if missing:
            todo = "Run `clarion db upgrade` as the owner; it makes them, or says how."
            return [*out, Finding(f"Roles are missing: {', '.join(missing)}.", todo)]
        out += _powers(connection)
        out += _grants(connection)
        if any(one.what.startswith("The login role may not enter") for one in out):
            return out
        return [*out, *_tables(connection), *_walls(connection)]


def _durability(connection: Connection) -> list[Finding]:
    out = []
    for name in DURABLE:
        value = connection.scalar(text("SELECT current_setting(:name)"), {"name": name})
        if value not in SAFE:
            what = f"The database may lose what it said it stored: {name} is {value}."
            out.append(Finding(what, f"Set `{name} = on` in postgresql.conf."))
    version = connection.scalar(text("SELECT current_setting('server_version_num')::int"))
    if version < OLDEST_SERVER:
        what = f"PostgreSQL {version // 10000} is too old."
        out.append(Finding(what, "Use PostgreSQL 15 or newer."))
    return out


def _roles(connection: Connection) -> set[str]:
    return set(connection.scalars(text("SELECT rolname FROM pg_roles")))


def _login(connection: Connection) -> list[Finding]:
    """The role that signs in may do nothing by itself: no wall would stand in its way."""
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


def _powers(connection: Connection) -> list[Finding]:
    query = text(
        "SELECT rolname FROM pg_roles"
        " WHERE rolname = ANY(:names) AND (rolsuper OR rolbypassrls OR rolcanlogin)"
    )
    return [
        Finding(
            f"The role {name} has more rights than it needs.",
            f"Run: ALTER ROLE {name} NOLOGIN NOSUPERUSER NOBYPASSRLS;",
        )
        for name in connection.scalars(query, {"names": list(ROLES)})
    ]


def _grants(connection: Connection) -> list[Finding]:
    out = []
    for role in ROLES:
        query = text("SELECT pg_has_role(session_user, :role, 'MEMBER')")
        if not connection.scalar(query, {"role": role}):
            who = connection.scalar(text("SELECT session_user"))
            what = f"The login role may not enter {role}."
            out.append(Finding(what, f"Run: GRANT {role} TO {who};"))
    return out


def _tables(connection: Connection) -> list[Finding]:
    """Ask as `clarion_system`, which may see the version tables; the login role sees none."""
    connection.execute(text("SELECT set_config('role', 'clarion_system', true)"))
    try:
        behind = release.pending(connection)
    except SQLAlchemyError:
        behind = ["clarion"]
    connection.rollback()
    if not behind:
        return []
    what = f"The tables are not of this release: {', '.join(behind)}."
    return [Finding(what, "Run `clarion db upgrade`.")]


def _walls(connection: Connection) -> list[Finding]:
    """Every table with rows of accounts has row level security, forced on its owner too."""
    ours = walls.models()
    free = [name for name, m in ours.items() if m.wall.kind == "platform"]
    query = text(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        " AND c.relname <> ALL(:free) AND (c.relname = ANY(:ours) OR EXISTS ("
        "   SELECT FROM pg_attribute a WHERE a.attrelid = c.oid"
        "   AND a.attname = 'account_id' AND NOT a.attisdropped))"
        " ORDER BY 1"
    )
    free = [name for name in free if name != "account"]
    return [
        Finding(
            f"The table {name} has no wall between accounts.",
            f"Run as the owner: ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL"
            " SECURITY; and find out who switched it off.",
        )
        for name in connection.scalars(query, {"free": free, "ours": list(ours)})
    ]
