"""One linear history of migrations per owner: the core first, plugins by `requires`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text

from clarion.base.catalogue import ROLES
from clarion.base.errors import Misconfigured
from clarion.base.settings import bundled, settings

RELEASE_LOCK = 7002


def owner_engine() -> Engine:
    """Connect as the owner of the schema; used by the release step only."""
    return create_engine(
        settings().database_owner_url,
        connect_args={
            "options": "-c lock_timeout=3s",
            "application_name": "clarion-release",
        },
    )


class Histories:
    """The histories of a deployment, in dependency order."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self.env = bundled("migrations")
        self.places = {"clarion": self.env / "clarion", **places}

    def upgrade(self, engine: Engine) -> list[str]:
        """Run what is missing; return the owners that moved.

        Two release jobs at once: the second waits, then finds nothing to do.
        """
        with engine.connect() as connection:
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # wait for this one only
            connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": RELEASE_LOCK})
            connection.commit()
            try:
                _require_roles(connection)
                owners = list(self.pending(connection))
                connection.commit()
                for owner in owners:
                    command.upgrade(self.config(owner, connection), "head")
                    connection.commit()
                self._let_see(connection)
                return owners
            finally:
                connection.rollback()
                connection.execute(
                    text("SELECT pg_advisory_unlock(:n)"), {"n": RELEASE_LOCK}
                )
                connection.commit()

    def _let_see(self, connection: Connection) -> None:
        """Let web and worker see how far the tables are, so that they can refuse to start."""
        quote = connection.dialect.identifier_preparer.quote
        for owner in self.places:
            table = quote(f"alembic_version_{owner}")
            connection.execute(text(f"GRANT SELECT ON {table} TO clarion_system"))
        connection.commit()

    def pending(self, connection: Connection) -> Iterator[str]:
        """List owners whose history is not at its end; what a start-up guard asks."""
        for owner in self.places:
            config = self.config(owner, connection)
            heads = set(ScriptDirectory.from_config(config).get_heads())
            context = MigrationContext.configure(
                connection, opts={"version_table": config.attributes["version_table"]}
            )
            if set(context.get_current_heads()) != heads:
                yield owner

    def downgrade(self, engine: Engine, owner: str) -> None:
        """Remove one plugin's tables and its history, while it is still installed."""
        with engine.connect() as connection:
            command.downgrade(self.config(owner, connection), "base")
            connection.commit()

    def revision(self, engine: Engine, owner: str, message: str) -> None:
        """Write the next migration of one owner from the difference to its models."""
        with engine.connect() as connection:
            command.revision(
                self.config(owner, connection),
                message,
                autogenerate=True,
                version_path=str(self.places[owner]),
            )

    def config(self, owner: str, connection: Connection) -> Config:
        """Build Alembic's configuration for one owner."""
        config = Config()
        config.set_main_option("script_location", _escaped(self.env))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", _escaped(self.places[owner]))
        config.attributes.update(
            owner=owner,
            owners=list(self.places),
            connection=connection,
            version_table=f"alembic_version_{owner}",
        )
        return config


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


def _require_roles(connection: Connection) -> None:
    """Make the roles where the owner may; else say which statements to run."""
    have = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    missing = [role for role in ROLES if role not in have]
    if not missing:
        return
    login = connection.scalar(text("SELECT session_user"))
    words: list[Any] = [f"CREATE ROLE {role} NOLOGIN;" for role in missing]
    may = connection.scalar(
        text("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
    )
    if not may:
        words.append(
            f"GRANT {', '.join(ROLES)} TO <the login role of CLARION_DATABASE_URL>;"
        )
        raise Misconfigured(
            "roles_missing",
            f"The database lacks roles and {login} may not make them. Run as a superuser: "
            + " ".join(words),
        )
    for statement in words:
        connection.execute(text(statement))
    connection.execute(text(f"GRANT {', '.join(ROLES)} TO CURRENT_USER"))
    connection.commit()
