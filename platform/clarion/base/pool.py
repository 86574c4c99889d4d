"""The connections to one host: opened by aiohttp, kept, lent for one request at a time.

aiohttp resolves the name, tries its addresses side by side, looks at each before it
connects, and speaks TLS; what is said on the connection is `exchange`'s.
"""

import asyncio
from collections import deque

import aiohttp
from yarl import URL

from clarion.base.errors import NotSent
from clarion.base.exchange import Exchange

# Shorter than what servers keep open: a request on a connection that the other side is
# just closing is lost, and nobody knows how far it came.
KEEP_SECONDS = 10.0


class Pool:
    """Lends connections to one host; as many as its limit, the last one used first.

    Whatever goes wrong until a connection is lent is `NotSent`: the first byte of a
    request is written after that, so this is the line between "certainly not sent" and
    "unknown".
    """

    def __init__(
        self,
        origin: URL,
        socket_factory: aiohttp.SocketFactoryType | None,
        *,
        connect_timeout: float,
        limit: int,
        max_body: int,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._origin, self._max_body = origin, max_body
        self._timeout, self._free = connect_timeout, limit
        self._connector = aiohttp.TCPConnector(
            limit=0, ttl_dns_cache=30, socket_factory=socket_factory
        )
        self._idle: deque[Exchange] = deque()
        self._connections: dict[Exchange, aiohttp.connector.Connection] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> Exchange:
        """Borrow a connection: a kept one, or a new one. Raises `NotSent`."""
        while self._idle:
            line = self._idle.pop()
            if line.open and self.loop.time() - line.idle_since < KEEP_SECONDS:
                return line
            self._drop(line)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._another()
        except Exception as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error

    def give_back(self, line: Exchange) -> None:
        """Return a connection; one that may not be used again is closed."""
        if line.open:
            line.idle_since = self.loop.time()
            self._idle.append(line)
            if self.loop.time() - self._idle[0].idle_since > KEEP_SECONDS:
                self._drop(self._idle.popleft())
        else:
            self._drop(line)
        self._wake()

    async def close(self) -> None:
        """Close all connections, the lent ones as well."""
        for line in list(self._connections):
            self._drop(line)
        self._idle.clear()
        await self._connector.close()

    async def _another(self) -> Exchange:
        while self._free <= 0:
            turn = self.loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # it was our turn: it is somebody else's now
                raise
            if self._idle and self._idle[-1].open:
                return self._idle.pop()
        self._free -= 1
        try:
            return await self._open()
        except BaseException:
            self._free += 1
            self._wake()
            raise

    async def _open(self) -> Exchange:
        asked = aiohttp.ClientRequest("POST", self._origin, loop=self.loop)
        opened = await self._connector.connect(
            asked, [], aiohttp.ClientTimeout(total=self._timeout)
        )
        if opened.transport is None:
            opened.close()
            raise ConnectionError("closed at once")
        line = Exchange(self.loop, self._max_body)
        line.take_over(opened.transport)
        self._connections[line] = opened
        return line

    def _drop(self, line: Exchange) -> None:
        opened = self._connections.pop(line, None)
        if opened is not None:
            self._free += 1
            line.close()
            opened.close()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
