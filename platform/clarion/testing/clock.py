"""The database's clock, moved by tests: `clarion_now()` answers a later moment."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, text

from clarion.base import clock


class DatabaseClock:
    """How far ahead the database's clock is; only tests have the rights to move it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ahead = 0.0

    def forward(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Move on, for every connection, from its next statement."""
        self._ahead += ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        self._set(f"clock_timestamp() + interval '{self._ahead} seconds'")

    def set(self, at: dt.datetime) -> None:
        """Make it this moment now; time goes on from there."""
        self._ahead = (at - clock.now()).total_seconds()
        self._set(f"clock_timestamp() + interval '{self._ahead} seconds'")

    def back_to_now(self) -> None:
        """Show the real time again."""
        self._ahead = 0.0
        self._set("clock_timestamp()")

    def _set(self, expression: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE OR REPLACE FUNCTION clarion_now() RETURNS timestamptz"
                    f" LANGUAGE sql VOLATILE PARALLEL SAFE AS $$ SELECT {expression} $$"
                )
            )


@contextmanager
def database_clock(superuser_url: str) -> Iterator[DatabaseClock]:
    """Lend out the database's clock; afterwards it is right again."""
    engine = create_engine(superuser_url)
    moved = DatabaseClock(engine)
    try:
        yield moved
    finally:
        moved.back_to_now()
        engine.dispose()
