"""HTTP/1.1 with keep-alive as one small asyncio protocol, made to cost next to nothing."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

MAX_HEAD = 64 * 1024
MAX_BODY = 4 * 1024 * 1024
REASONS = {
    200: "OK",
    303: "See Other",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class Request:
    """One request. `head` is raw; headers are looked up in it when somebody asks."""

    __slots__ = ("_low", "body", "head", "method", "path", "query")

    def __init__(self, head: bytes, low: bytes, body: bytes) -> None:
        self.head, self._low, self.body = head, low, body
        line = head[: head.find(b"\r\n")].decode("latin-1")
        method, _, rest = line.partition(" ")
        target = rest.rpartition(" ")[0]
        self.method = method
        self.path, _, self.query = target.partition("?")

    def header(self, name: bytes) -> str:
        """Value of a header, whose name is given in lower case; empty if it is absent."""
        start = self._low.find(b"\r\n" + name + b":")
        if start < 0:
            return ""
        start += len(name) + 3
        end = self.head.find(b"\r\n", start)
        value = self.head[start:] if end < 0 else self.head[start:end]
        return value.decode("latin-1").strip()


Handler = Callable[[Request, "Exchange"], bytes | None]


class Exchange(asyncio.Protocol):
    """One connection. The handler answers at once, or returns `None` and answers later."""

    __slots__ = ("_buffer", "_busy", "_handler", "_open", "transport")

    def __init__(self, handler: Handler, opened: "set[Exchange]") -> None:
        self._handler, self._open = handler, opened
        self._buffer = b""
        self._busy = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:

        self.transport = cast("asyncio.Transport", transport)  # uvloop has its own
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._busy:
            self._work()

    def answer(self, reply: bytes) -> None:
        """Send an answer that was not there at once, and go on with what waits."""
        if self._busy and not self.transport.is_closing():
            self._busy = False
            self.transport.write(reply)
            self._work()

    def reset(self) -> None:
        """Break the connection the hard way: the other side sees a reset."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _work(self) -> None:
        while self._buffer and not self._busy and not self.transport.is_closing():
            request = self._next()
            if request is None:
                return
            self._busy = True
            try:
                reply = self._handler(request, self)
            except Exception as error:
                reply = answer(500, {"simulator": repr(error)})
                self.transport.write(reply)
                self.transport.close()
                raise
            if reply is not None:
                self._busy = False
                self.transport.write(reply)

    def _next(self) -> Request | None:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(buffer) > MAX_HEAD:
                self._refuse(431)
            return None
        head = buffer[:end]
        low = head.lower()
        size = _length(low)
        if size is None:
            self._refuse(411)
            return None
        if size > MAX_BODY:
            self._refuse(413)
            return None
        stop = end + 4 + size
        if len(buffer) < stop:
            if b"\r\nexpect: 100-continue" in low and len(buffer) == end + 4:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        self._buffer = buffer[stop:]
        return Request(head, low, buffer[end + 4 : stop])

    def _refuse(self, status: int) -> None:
        self.transport.write(answer(status, {}))
        self.transport.close()


def _length(low: bytes) -> int | None:
    """Bytes of the body; `None` when only reading it could tell."""
    start = low.find(b"\r\ncontent-length:")
    if start < 0:
        return None if b"\r\ntransfer-encoding:" in low else 0
    end = low.find(b"\r\n", start + 2)
    value = low[start + 17 :] if end < 0 else low[start + 17 : end]
    return int(value) if value.strip().isdigit() else None


def raw(status: int, body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    """Write a whole answer."""
    return (
        f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}\r\n"
        f"Content-Type: {kind}; charset=UTF-8\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    ).encode("latin-1") + body


def answer(status: int, value: Any) -> bytes:
    """Write a JSON answer."""
    return raw(status, json.dumps(value, separators=(",", ":")).encode())
