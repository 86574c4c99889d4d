"""How the ground is doing right now, as figures: database and disks.

What is wrong with it for good is found by `catalogue` and `ground`.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Standby:
    """A server that follows this one; how far behind it is, in seconds, if it says so."""

    name: str
    state: str
    behind_seconds: float | None


@dataclass(frozen=True, slots=True)
class Database:
    """What the database says about itself.

    Attributes:
        version: of the server.
        bytes: size of this database.
        connections: that are open, and `most` that may be.
        longest_seconds: age of the oldest transaction of ours.
        waiting: connections that wait for a lock.
        standbys: servers that follow.
    """

    version: str
    bytes: int
    connections: int
    most: int
    longest_seconds: float
    waiting: int
    standbys: tuple[Standby, ...]


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that something of ours lies on, by its folder."""

    folder: Path
    free: int
    total: int


def database(connection: Connection) -> Database:
    """Ask for all figures, over a connection of the role that signs in."""
    row = connection.execute(
        text(
            "SELECT current_setting('server_version') AS version,"
            " pg_database_size(current_database()) AS bytes,"
            " current_setting('max_connections')::int AS most,"
            " (SELECT count(*) FROM pg_stat_activity"
            "   WHERE backend_type = 'client backend') AS connections,"
            " (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)"
            "   FROM pg_stat_activity WHERE datname = current_database()"
            "   AND pid <> pg_backend_pid()) AS longest,"
            " (SELECT count(*) FROM pg_stat_activity"
            "   WHERE wait_event_type = 'Lock') AS waiting"
        )
    ).one()
    followers = connection.execute(
        text(
            "SELECT coalesce(application_name, '') AS name, coalesce(state, '') AS state,"
            " extract(epoch FROM replay_lag) AS behind FROM pg_stat_replication ORDER BY 1"
        )
    )
    return Database(
        version=row.version.split(" ")[0],
        bytes=row.bytes,
        connections=row.connections,
        most=row.most,
        longest_seconds=float(row.longest),
        waiting=row.waiting,
        standbys=tuple(
            Standby(one.name, one.state, None if one.behind is None else float(one.behind))
            for one in followers
        ),
    )


def disks(folders: Iterable[Path]) -> list[Disk]:
    """Say how full the disks are that these folders lie on; each disk once."""
    found: dict[int, Disk] = {}
    for folder in folders:
        there = next((one for one in (folder, *folder.parents) if one.exists()), None)
        if there is None:
            continue
        try:
            use = shutil.disk_usage(there)
            found.setdefault(there.stat().st_dev, Disk(folder, use.free, use.total))
        except OSError:
            continue  # what cannot be looked at is no news here: `doctor` says so
    return list(found.values())
