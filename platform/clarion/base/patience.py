"""Questions that may take long: a page gives up on them after a while, and says so."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from psycopg.errors import QueryCanceled
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from clarion.base import db

PATIENCE_MS = 2_000
"""How long a page waits for a number before it says that counting takes too long."""
ROOM = "64MB"
"""Memory for each hash of ids, when a question needs ids of people on hand in one piece."""
NO_PLAN: Mapping[str, str] = {}
Answer = TypeVar("Answer")


def planned_anew(orm: Session | None = None) -> None:
    """Let each further question of this transaction be planned for its own values.

    The plan that PostgreSQL keeps for a list with a word in it read everybody (800 ms) where
    its own needs the newest few thousand.
    """
    setting = func.set_config("plan_cache_mode", "force_custom_plan", True)
    (orm or db.session()).execute(select(setting))


def patiently(
    work: Callable[[], Answer],
    patience_ms: int = PATIENCE_MS,
    plan: Mapping[str, str] = NO_PLAN,
) -> Answer | None:
    """Ask something that may take long, and give up after a while; `work` changes nothing.

    Each question is planned for its own values: the plan PostgreSQL keeps for a statement
    it has seen often took twenty times as long for some. The settings hold for this
    question only: whatever it was, its savepoint is undone. `plan` has more settings of the
    planner for it.
    """
    orm = db.session()
    undo = orm.begin_nested()
    try:
        orm.execute(
            select(
                func.set_config("statement_timeout", str(patience_ms), True),
                func.set_config("work_mem", ROOM, True),
                func.set_config("plan_cache_mode", "force_custom_plan", True),
                *(func.set_config(name, value, True) for name, value in plan.items()),
            )
        )
        return work()
    except DBAPIError as error:
        if isinstance(error.orig, QueryCanceled):
            return None
        raise
    finally:
        undo.rollback()
