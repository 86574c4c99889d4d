"""Which plugins may stop an act, kept so that one that breaks later keeps its gate shut."""

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.plugging.manager import plugins
from clarion.tenancy.plugins import PluginGuard

SYSTEM = db.Entry("clarion_system", None, "guards")


def read() -> dict[str, list[str]]:
    """Return the `before_…` hooks of each plugin, as the last release step kept them."""
    with db.apart(SYSTEM) as orm:
        return {row.plugin: row.hooks for row in orm.scalars(select(PluginGuard))}


def keep() -> dict[str, list[str]]:
    """Store the guards there are now; returns them.

    A plugin that is there but does not load keeps what it had. One that was switched off
    for the deployment, or is not installed any more, guards nothing.
    """
    found = plugins()
    now = found.guards()
    failed = [one.name for one in found.found.values() if one.state == "failed"]
    with db.apart(SYSTEM) as orm:
        gone = PluginGuard.plugin.not_in([*now, *failed])
        orm.execute(delete(PluginGuard).where(gone))
        for name, hooks in now.items():
            row, new = insert(PluginGuard), {"hooks": hooks}
            row = row.values(plugin=name, **new)
            orm.execute(row.on_conflict_do_update(index_elements=["plugin"], set_=new))
    return now
