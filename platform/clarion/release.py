"""What a release does to the database: migrations, permissions, plugins' guards."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, delete
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db, migrate
from clarion.plugging.manager import histories, plugins
from clarion.tenancy.models import PluginGuard
from clarion.web import staff

SYSTEM = db.Entry("clarion_system", None, "command:db.upgrade")


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
    return Upgraded(moved, staff.sync(), _keep_guards())


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


def _keep_guards() -> dict[str, list[str]]:
    """Store which plugins guard an act; one of them that fails later keeps its gate shut.

    A plugin that is switched off for the deployment guards nothing; one that merely
    fails to load keeps what it had.
    """
    found = plugins()
    now = found.guards()
    with db.apart(SYSTEM) as orm:
        gone = [one.name for one in found.loaded() if one.name not in now]
        gone += sorted(found.off)
        orm.execute(delete(PluginGuard).where(PluginGuard.plugin.in_(gone)))
        for name, hooks in now.items():
            query = insert(PluginGuard).values(plugin=name, hooks=hooks)
            orm.execute(
                query.on_conflict_do_update(
                    index_elements=["plugin"], set_={"hooks": hooks}
                )
            )
    return now
