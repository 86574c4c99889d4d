"""What a release does to the database: migrations, permissions, plugins' guards."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from clarion.base import migrate
from clarion.plugging.manager import histories, plugins
from clarion.tenancy import guards
from clarion.web import staff


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What `upgrade` changed.

    Attributes:
        moved: owners (the core, plugins) whose tables changed.
        permissions: counts by the console's permissions, as `staff.sync` answers.
        guards: plugins that may stop an act, and their hooks.
    """

    moved: list[str]
    permissions: dict[str, int] = field(default_factory=dict)
    guards: dict[str, list[str]] = field(default_factory=dict)


def upgrade() -> Upgraded:
    """Bring the database to this release; safe to run again, and at the same time.

    Raises `Misconfigured` when the owner may not make the roles.
    """
    known = migrate.Histories(histories())
    engine = migrate.owner_engine()
    try:
        moved = known.upgrade(engine)
    finally:
        engine.dispose()
    return Upgraded(moved, staff.sync(), guards.keep())


def pending(connection: Connection) -> list[str]:
    """List the owners whose tables are not of this release; any role of ours may ask."""
    return list(migrate.Histories(histories()).pending(connection))


def revision(owner: str, message: str) -> None:
    """Write the next migration of the core (`clarion`) or of a plugin."""
    known = _with_new(owner)
    engine = migrate.owner_engine()
    try:
        known.revision(engine, owner, message)
    finally:
        engine.dispose()


def owners() -> list[str]:
    """List who has, or may have, migrations."""
    return ["clarion", *(one.name for one in plugins().loaded())]


def _with_new(owner: str) -> migrate.Histories:
    """Find all histories; a plugin's first migration makes its folder."""
    for one in plugins().loaded():
        if one.name == owner and one.module is not None and one.module.__file__:
            (Path(one.module.__file__).parent / "migrations").mkdir(exist_ok=True)
    return migrate.Histories(histories())
