"""One connection that speaks HTTP/1.1: a request is written, its answer is read.

Nothing but aiohttp's own parser is between us and the bytes: a call through its session
costs more CPU than all the rest of sending a message (measured; decision 0012).
"""

import asyncio
from collections.abc import Mapping

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser, RawResponseMessage

MAX_HEAD = 64 * 1024
MAX_LINE = 8190
BUFFER = 64 * 1024


class TooLarge(Exception):
    """The answer is longer than the client accepts; the request did arrive."""


class Lost(ConnectionError):
    """The connection ended before the whole answer was there; nobody knows how far it came."""


class Reply:
    """An answer: status, headers (lower-case names) and the whole body."""

    __slots__ = ("_message", "body")

    def __init__(self, message: RawResponseMessage, body: bytes) -> None:
        self._message, self.body = message, body

    @property
    def status(self) -> int:
        """The status code."""
        return self._message.code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; written out when somebody asks, which is seldom."""
        return {name.lower(): value for name, value in self._message.headers.items()}


class Exchange(BaseProtocol):
    """A connection that is open, for one request at a time; never sends anything twice.

    Attributes:
        open: whether another request may be written. False from the moment that the
            other side closes it or says something nobody asked for.
    """

    __slots__ = (
        "_answer",
        "_message",
        "_parts",
        "_payload",
        "_read",
        "_reader",
        "_room",
        "idle_since",
        "open",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, max_body: int) -> None:
        super().__init__(loop)
        self.open, self.idle_since = True, 0.0
        self._room = max_body
        self._answer: asyncio.Future[Reply] | None = None
        self._message: RawResponseMessage | None = None
        self._payload: StreamReader | None = None
        self._parts: list[bytes] = []
        self._read = 0
        self._reader = HttpResponseParser(
            self,
            loop,
            BUFFER,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            read_until_eof=True,
            auto_decompress=False,  # a small answer must not become a large one here
        )

    def take_over(self, transport: asyncio.Transport) -> None:
        """Speak on a connection that somebody else opened."""
        transport.set_protocol(self)
        self.connection_made(transport)
        self.open = not transport.is_closing()

    async def ask(self, request: bytes, seconds: float) -> Reply:
        """Write a request and wait for its answer, so many seconds at most.

        Whatever this raises, the request may have arrived; then the connection is closed.
        """
        if not self.open or self.transport is None:
            raise Lost("closed by the other side")
        self._answer = answer = self._loop.create_future()
        late = self._loop.call_later(seconds, self._fail, TimeoutError("no whole answer"))
        self.transport.write(request)  # type: ignore[attr-defined,unused-ignore]
        try:
            return await answer
        finally:
            late.cancel()
            if self._answer is not None:  # nobody waits any more: what comes is not ours
                self.close()

    def close(self) -> None:
        """Close it; an answer that is still to come is not awaited."""
        self.open, self._answer = False, None
        if self.transport is not None:
            self.transport.abort()

    # --- what asyncio calls

    def data_received(self, data: bytes) -> None:
        """Read on; an answer nobody asked for, or none at all, ends the connection."""
        if self._answer is None:
            self.close()
            return
        try:
            messages, upgraded, _ = self._reader.feed_data(data)
        except Exception as error:
            self._fail(error)
            return
        for message, payload in messages:
            if self._message is not None or upgraded:
                self.open = False  # there is more than was asked for
            elif message.code >= 200:  # a provisional one is not the answer
                self._message, self._payload = message, payload
        self._take(len(data))

    def eof_received(self) -> None:
        """End what ends with the connection: an answer that did not say its length."""
        self.open = False
        if self._answer is None:
            return
        try:
            self._reader.feed_eof()
        except Exception as error:
            self._fail(error)
        else:
            self._take(0)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Say so to whoever waits."""
        if exc is None:
            self.eof_received()
        super().connection_lost(exc)
        self._fail(exc or Lost("closed by the other side"))

    def pause_reading(self) -> None:
        """Never: what comes is taken at once, and no more than the limit."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Never paused, see above."""

    # --- inside

    def _take(self, got: int) -> None:
        """Take what came of the body; hand the answer over when it is whole."""
        self._read += got
        message, payload = self._message, self._payload
        if message is None or payload is None:
            if self._read > MAX_HEAD:
                self._fail(TooLarge(f"a head of more than {MAX_HEAD} bytes"))
            return
        try:
            part = payload.read_nowait()
        except Exception as error:
            self._fail(error)
            return
        if part:
            self._parts.append(part)
        if (
            sum(map(len, self._parts)) > self._room
            or self._read > 2 * self._room + MAX_HEAD
        ):
            self._fail(TooLarge(f"more than {self._room} bytes"))
        elif payload.is_eof():
            self._finish(message)

    def _finish(self, message: RawResponseMessage) -> None:
        reply = Reply(message, b"".join(self._parts))
        answer, self._answer = self._answer, None
        self.open = self.open and not message.should_close
        self._message, self._payload, self._parts, self._read = None, None, [], 0
        if answer is not None and not answer.done():
            answer.set_result(reply)
        if not self.open:
            self.close()

    def _fail(self, error: BaseException) -> None:
        answer = self._answer
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(error)
