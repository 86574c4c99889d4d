"""What keeps Clarion from starting, and what to do about each; and is the log whole.

`clarion doctor` shows the list; in production `web`, `worker` and `relay` refuse to start
while it is not empty; in development they warn of what `base.ground` finds.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from clarion import release
from clarion.base import broker, catalogue, db, ground, services, walls
from clarion.base.catalogue import Finding
from clarion.base.errors import ClarionError, Misconfigured
from clarion.base.settings import Settings, refusals, settings
from clarion.boot import boot
from clarion.plugging.manager import plugins
from clarion.tenancy import chain
from clarion.tenancy.models import AuditHead, AuditLink
from clarion.tenancy.verifier import Head

SYSTEM = db.Entry("clarion_system", None, "command:audit.verify")
BUILT = Path(__file__).parent / "web" / "static" / "dist" / "manifest.json"


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
        running = services.ensure()
    except ClarionError as error:
        return [
            Finding(error.text, "See the message; the servers' logs are in home/servers.")
        ]
    boot()
    return [*_files(), *_plugins(), *_database(ground.folder(running)), *_broker()]


def chains(
    only: UUID | None = None, given: Sequence[Head] = ()
) -> Iterator[tuple[UUID, chain.Report]]:
    """Seal what is loose, then walk each chain of the log.

    Args:
        only: one chain: an account's id, or zeros for the platform's; all when left out.
        given: heads kept elsewhere; a chain of theirs is walked even if nothing is left.
    """
    chain.seal(window=None)
    with db.apart(SYSTEM) as orm:
        there = {*orm.scalars(select(AuditLink.chain).distinct())}
        there |= {*orm.scalars(select(AuditHead.chain).distinct())}
        for one in sorted(there | {head.chain for head in given}):
            if only in (None, one):
                yield one, chain.verify(orm, one, given)


def heads(only: UUID) -> list[Head]:
    """List the signed heads of a chain, newest first."""
    with db.apart(SYSTEM) as orm:
        return chain.heads(orm, only)


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
        known = broker.facts()
    except (RedisError, OSError, Misconfigured) as error:
        todo = "Start it, or correct CLARION_REDIS_URL."
        return [Finding(f"The broker does not answer: {type(error).__name__}.", todo)]
    if known.keeps:
        return []
    what = f"The broker may throw jobs away: its eviction policy is {known.policy}."
    return [Finding(what, "Set `maxmemory-policy noeviction` in its configuration.")]


# --- the database


def _database(data: Path | None) -> list[Finding]:
    return ground.look(lambda connection: _asked(connection, data))


def _asked(connection: Connection, data: Path | None) -> list[Finding]:
    out = ground.under(connection, data)
    wrong = catalogue.roles(connection)
    if wrong:
        return [*out, *wrong]  # nobody there to ask the rest as
    ours = walls.models()
    free = [n for n, m in ours.items() if m.wall.kind == "platform" and n != "account"]
    behind = _behind(connection)
    bare = [] if behind else catalogue.bare_tables(connection, list(ours), free)
    return [*out, *behind, *bare]


def _behind(connection: Connection) -> list[Finding]:
    catalogue.enter_system(connection)
    try:
        owners = release.pending(connection)
    except SQLAlchemyError:  # no table of versions that it may read
        owners = ["clarion"]
    connection.rollback()
    if not owners:
        return []
    what = f"The tables are not of this release: {', '.join(owners)}."
    return [Finding(what, "Run `clarion db upgrade`.")]
