"""A proxy between a program and a server, TCP or socket file, that can be told to misbehave."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from typing import Any

import uvloop

CHUNK = 65_536


class Proxy:
    """Forwards connections; `cut`, `stall` and `drip` are what networks do.

    `listen` and `target` are a port of this machine, or the path of a socket file. Runs in
    a thread of its own; every method may be called from any other.
    """

    def __init__(self, target: int | str, listen: int | str = 0) -> None:
        self.target, self.address = target, listen
        self._loop = uvloop.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._refusing = False
        self._pause = 0.0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._listen(listen))

    # --- what a test tells it

    def cut(self) -> int:
        """Reset every connection there is; return how many."""
        return self._run(self._cut())

    def refuse(self, seconds: float) -> None:
        """Cut, and close new connections at once for a while."""
        self._run(self._for(seconds, "_refusing", value=True))
        self.cut()

    def stall(self, seconds: float) -> None:
        """Let nothing through for a while; connections stay."""
        self._run(self._stalled(seconds))

    def drip(self, seconds: float, pause: float = 0.01) -> None:
        """Let a few bytes through at a time for a while, `pause` seconds apart."""
        self._run(self._for(seconds, "_pause", value=pause))

    def close(self) -> None:
        """Cut everything and stop listening."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    # --- in the loop

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, listen: int | str) -> None:
        self._open.set()
        if isinstance(listen, str):
            self._server = await asyncio.start_unix_server(self._serve, listen)
            return
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", listen)
        self.address = self._server.sockets[0].getsockname()[1]

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._writers.add(back)
        forth = None
        try:
            if self._refusing:
                return
            if isinstance(self.target, str):
                far, forth = await asyncio.open_unix_connection(self.target)
            else:
                far, forth = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(forth)
            await asyncio.gather(self._pump(near, forth), self._pump(far, back))
        except (OSError, RuntimeError, asyncio.CancelledError):  # cut, or closed for good
            pass
        finally:
            for one in (back, forth):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await self._open.wait()
            while self._pause and data:
                size = random.randint(1, 200)
                sink.write(data[:size])
                await sink.drain()
                data = data[size:]
                await asyncio.sleep(self._pause)
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()

    async def _cut(self) -> int:
        found = list(self._writers)
        for one in found:
            one.transport.abort()
        return len(found)

    async def _stalled(self, seconds: float) -> None:
        self._open.clear()
        self._loop.call_later(seconds, self._open.set)

    async def _for(self, seconds: float, name: str, *, value: Any) -> None:
        before = type(value)()
        setattr(self, name, value)
        self._loop.call_later(seconds, setattr, self, name, before)

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        open_ones = asyncio.all_tasks() - {asyncio.current_task()}
        for one in open_ones:
            one.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
