"""A thread that talks to the database while an asyncio loop talks to the network."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from clarion.tenancy.scope import account_scope, current_account, current_actor

P = ParamSpec("P")
R = TypeVar("R")


class LedgerThread:
    """A thread with a scope of its own: one ORM session, one connection at a time.

    It acts in the account and as the actor of whoever makes it.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._context = contextvars.copy_context()
        self._account, self._actor = current_account(), current_actor()

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in the thread; calls follow one another."""

        def entered() -> R:
            with account_scope(self._account, self._actor):
                return work(*args, **kwargs)

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: self._context.run(entered))

    def close(self) -> None:
        """End the thread, after what it is doing."""
        self._pool.shutdown(wait=True)
