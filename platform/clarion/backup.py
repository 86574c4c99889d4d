"""Backup and restore of the database, so that a restored one never sends again.

The epoch is counted up right after the snapshot of a backup: from birth it is older than
its copies, and whoever restores it finds everything held. Key store, journal and epoch
are files of their own; see docs/howto/backups.md.
"""

import datetime as dt
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import URL, Connection, column, create_engine, func, make_url, select, table

from clarion.base import db, places, services
from clarion.base.errors import Conflict, Misconfigured
from clarion.base.settings import settings
from clarion.boot import boot
from clarion.messaging import epoch, restored
from clarion.messaging.instance import BackupRun

ENVIRONMENT = {  # what libpq calls the parts of an address; never on a command line
    "host": "PGHOST",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}
SYSTEM = db.Entry("clarion_system", None, "command:backup")
SESSIONS = table("pg_stat_activity", column("datname"), column("pid"), column("usesysid"))


def dump(path: Path) -> int | None:
    """Write a backup of the whole database to a new file, readable by its owner only.

    Returns the epoch that was counted up to, None where dispatch is shut already.

    Raises:
        Misconfigured: no role that may read everything, or no pg_dump.
        Conflict: the file exists, or pg_dump failed; nothing is left of it then.
    """
    url = _reader()
    if path.exists():
        raise Conflict("backup_exists", f"{path} exists already: choose another name.")
    boot()
    part = path.with_name(f"{path.name}.part")
    engine = create_engine(url, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            snapshot = connection.scalar(select(func.pg_export_snapshot()))
            epoch.check()
            counted = epoch.raise_epoch()
            part.touch(mode=0o600)
            words = ["--format=custom", f"--snapshot={snapshot}", f"--file={part}"]
            _run("pg_dump", words, url)
        _keep(part, path)
        _note("dump", path)
    finally:
        engine.dispose()
        part.unlink(missing_ok=True)
    return counted


def check(path: Path) -> int:
    """Read a backup through to its end, without restoring it; returns its bytes.

    Shows that the file is whole and can be read by the programs that are here. That what
    is in it works, only a restore into another database shows.

    Raises `Conflict` when there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise Conflict("backup_missing", f"There is no file {path}.")
    services.ensure()
    boot()
    url = make_url(settings().database_owner_url)
    _run("pg_restore", [f"--file={os.devnull}", "--exit-on-error", str(path)], url)
    _note("check", path)
    return path.stat().st_size


def load(path: Path) -> epoch.Standing:
    """Replace everything in the database by a backup; then hold what waited in it.

    All or nothing: a backup that cannot be read leaves the database as it is. Returns how
    the restored database stands to its copies.

    Raises `Conflict` while anybody else is connected, or when pg_restore failed.
    """
    if not path.is_file():
        raise Conflict("backup_missing", f"There is no file {path}.")
    url = make_url(settings().database_owner_url)
    db.reset_engine()
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            _refuse_others(connection)
    finally:
        engine.dispose()
    words = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
    _run(
        "pg_restore",
        [*words, "--exit-on-error", f"--dbname={url.database}", str(path)],
        url,
    )
    boot()
    restored.look()
    return epoch.check()


def _reader() -> URL:
    """Find a role that row level security does not bind: a dump with holes is none."""
    running = services.ensure()
    url = settings().backup_url or (running.superuser_url if running else "")
    if not url:
        raise Misconfigured(
            "backup_role_missing",
            "There is no CLARION_BACKUP_URL: name a role that may read everything:"
            " CREATE ROLE clarion_backup LOGIN BYPASSRLS; GRANT pg_read_all_data TO"
            " clarion_backup; GRANT CONNECT ON DATABASE … TO clarion_backup;",
        )
    return make_url(url)


def _refuse_others(connection: Connection) -> None:
    others = (
        select(func.count())
        .select_from(SESSIONS)
        .where(
            SESSIONS.c.datname == func.current_database(),
            SESSIONS.c.pid != func.pg_backend_pid(),
            SESSIONS.c.usesysid.is_not(None),  # nobody: the server's own cleaning
        )
    )
    if count := connection.scalar(others):
        raise Conflict(
            "database_in_use",
            f"{count} others are connected to this database: stop web, worker and relay.",
        )


def _run(program: str, words: Sequence[str], url: URL) -> None:
    found = places.tool(program)
    if found is None:
        told = f"There is no {program}: install PostgreSQL's client programs."
        raise Misconfigured("backup_program_missing", told)
    done = subprocess.run(
        [str(found), *words], env=_environment(url), capture_output=True, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-1500:]
        raise Conflict("backup_failed", f"{program} failed:\n{said}")


def _environment(url: URL) -> Mapping[str, str]:
    given = {key: value for key, value in url.query.items() if isinstance(value, str)}
    if url.host:
        given["host"] = url.host
    if url.port:
        given["port"] = str(url.port)
    out = {
        "PATH": os.defpath,
        "PGUSER": url.username or "",
        "PGDATABASE": url.database or "",
    }
    if url.password:
        out["PGPASSWORD"] = str(url.password)
    return out | {ENVIRONMENT[k]: v for k, v in given.items() if k in ENVIRONMENT}


def _note(kind: str, path: Path) -> None:
    """Keep that it was done; the console's page about health shows when."""
    found = path.stat()
    made = dt.datetime.fromtimestamp(found.st_mtime, dt.UTC)
    with db.apart(SYSTEM) as orm:
        orm.add(BackupRun(kind=kind, bytes=found.st_size, made_at=made))


def _keep(part: Path, path: Path) -> None:
    """Give a whole file its name, durably."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
