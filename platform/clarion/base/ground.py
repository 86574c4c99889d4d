"""What everything stands on: is the database durable, the clock right, the copies elsewhere.

Quick to ask, with one connection: what development warns of at each start. The whole list
is `clarion doctor`.
"""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError

from clarion.base import catalogue
from clarion.base.catalogue import Finding
from clarion.base.services import Running
from clarion.base.settings import settings
from clarion.base.telemetry import logger

log = logger(__name__)


def warn(running: Running | None) -> None:
    """Say what would be refused in production; refuse nothing."""
    data = folder(running)
    for one in look(lambda connection: under(connection, data)):
        log.warning("doctor.found", what=one.what, todo=one.todo)


def folder(running: Running | None) -> Path | None:
    """Say where the data of our own server lies, if it is our own."""
    return running.folder / "postgres" if running and running.database_url else None


def look(ask: Callable[[Connection], list[Finding]]) -> list[Finding]:
    """Ask the database over a connection like those that messages are sent over."""
    engine = create_engine(settings().database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            return ask(connection)
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", error)).strip().splitlines()
        said = cause[0] if cause else type(error).__name__
        what = f"The database does not answer: {said}."
        return [Finding(what, "Start it, or correct CLARION_DATABASE_URL.")]
    finally:
        engine.dispose()


def under(connection: Connection, data: Path | None) -> list[Finding]:
    """Find what loses messages or opt-outs when a machine or a disk is lost."""
    out = [
        *catalogue.durability(connection),
        *catalogue.login(connection),
        *catalogue.clock(connection),
        *_volumes(data or catalogue.data_directory(connection)),
    ]
    if settings().failover == "synchronous":
        out += catalogue.standbys(connection)
    return out


def _volumes(data: Path | None) -> list[Finding]:
    """Find copies that would be lost, or restored, together with the data itself.

    Where the database is on another machine its disk is another, too.
    """
    if data is None or (disk := _disk(data)) is None:
        return []
    conf, out = settings(), []
    for what, setting, paths in (
        ("epoch", "CLARION_EPOCH_PATHS", conf.epoch_paths),
        ("journal of opt-outs", "CLARION_JOURNAL_PATHS", conf.journal_paths),
    ):
        if all(_disk(path) == disk for path in paths):
            said = f"The {what} is kept on the same disk as the database only."
            todo = f"Add a path on another disk to {setting}; it tells a restored backup."
            out.append(Finding(said, todo, grave=False))
    return out


def _disk(path: Path) -> int | None:
    """Return the device a path is on, or will be; None where it cannot be looked at."""
    for one in (path, *path.parents):
        try:
            return one.stat().st_dev
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
