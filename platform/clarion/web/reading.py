"""Requests are read whole by one loop before a thread gets them: slow clients wait alone.

Gunicorn's threads read what they answer, so as many slow clients as there are threads
would stop everybody. Here a thread is given a request whose last byte is there. What comes
too slowly is cut off. Only a body larger than strangers may send is read by its thread: the
application refuses it unread, or somebody signed in is bringing a file.
"""

import re
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from selectors import EVENT_READ
from typing import IO, Any, Final

from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

SECONDS = 30.0
"""For a request as such; a large one has longer, as long as it keeps up the pace."""
SLOWEST: Final = 32 * 1024  # bytes in a second
CROWDED_SECONDS: Final = 5.0  # for a request, while no more connections can be taken
LONGEST_HEAD: Final = 64 * 1024
LARGEST: Final = 27 << 20  # bytes of a request that is read here: what strangers may send
IN_MEMORY: Final = 256 * 1024  # more of a request waits in a file
MOST_HELD: Final = 2 << 30  # bytes of all unfinished requests of a process
PIECE: Final = 64 * 1024
SEND_BUFFER: Final = 512 * 1024  # a page fits: who does not read it holds no thread
LATE: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_SIZE = re.compile(rb"[0-9a-fA-F]{1,12}")


class Chunks:
    """Finds the end of a body in chunks, as it comes."""

    def __init__(self) -> None:
        self._line, self._left, self._trailer = bytearray(), 0, False

    def end(self, data: bytes) -> int:
        """Say how many of these bytes belong to the body if its end is among them, or -1."""
        at = 0
        while at < len(data):
            if self._left:
                took = min(self._left, len(data) - at)
                self._left, at = self._left - took, at + took
                continue
            self._line.append(data[at])
            at += 1
            if self._line.endswith(b"\n") and self._over(bytes(self._line).strip()):
                return at
            if len(self._line) > LONGEST_HEAD:
                return at  # no chunk of anybody's: the parser says what is wrong with it
        return -1

    def _over(self, line: bytes) -> bool:
        self._line.clear()
        if self._trailer:
            return not line
        size = _SIZE.match(line)
        if size is None:
            return True  # nonsense, as above
        self._left = int(size[0], 16)
        self._trailer = self._left == 0
        if self._left:
            self._left += 2  # the line's end behind it
        return False


class Counted:
    """Finds the end of a body whose length was said."""

    def __init__(self, length: int) -> None:
        self._left = length

    def end(self, data: bytes) -> int:
        """Say how many of these bytes belong to the body if its end is among them, or -1."""
        if len(data) >= self._left:
            return self._left
        self._left -= len(data)
        return -1


def _file() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(IN_MEMORY)


@dataclass(eq=False)
class Held:
    """A request as far as it has come; the parser reads from it as from a socket.

    Where this finds another end than the parser, the parser finds the request cut off:
    nothing that came behind it is ever read as part of it.

    Attributes:
        sock: the rest is read from here, when there is more than is held.
        rest: what came behind the request.
    """

    sock: socket.socket
    kept: IO[bytes] = field(default_factory=_file)
    head: bytearray = field(default_factory=bytearray)
    rest: bytes = b""
    size: int = 0
    whole: bool = False
    too_large: bool = False
    expects: bool = False
    began: float = 0.0
    _end: Callable[[bytes], int] | None = None

    def take(self, data: bytes) -> None:
        """Add what has come; sets `whole` with the last byte, and keeps what is behind it."""
        self.began = self.began or time.monotonic()
        if self._end is None:
            data = self._beginning(data)
        if self._end is None or self.whole:
            return
        end = self._end(data)
        if end >= 0:
            self.whole, data, self.rest = True, data[:end], data[end:]
        self._keep(data)
        if self.size > LARGEST:
            self.whole = self.too_large = True

    def recv(self, size: int) -> bytes:
        """Read for the parser; nothing once the request is over."""
        found = self.kept.read(size)
        return found if found or not self.too_large else self.sock.recv(size)

    def seconds(self) -> float:
        """Say for how long it has been coming, less what its size allows."""
        spent = time.monotonic() - self.began if self.began else 0.0
        return spent - self.size / SLOWEST

    def _keep(self, data: bytes) -> None:
        self.kept.write(data)
        self.size += len(data)

    def _beginning(self, data: bytes) -> bytes:
        """Collect the head; returns what of the data is behind it."""
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            if len(self.head) > LONGEST_HEAD:
                self._keep(bytes(self.head))
                self.whole = True  # the parser refuses it
            return b""
        head, behind = bytes(self.head[: end + 4]), bytes(self.head[end + 4 :])
        self._keep(head)
        length = int(found[1]) if (found := _LENGTH.search(head)) else 0
        self._end = Chunks().end if _CHUNKED.search(head) else Counted(length).end
        self.expects = _EXPECTS.search(head) is not None
        if length > LARGEST:
            self._keep(behind)
            self.whole = self.too_large = True
        return behind


class Reader(ThreadWorker):  # type: ignore[misc,unused-ignore] # gunicorn has no types
    """Gunicorn's worker with threads, which get whole requests only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: gunicorn has no types
        super().__init__(*args, **kwargs)
        self.coming: set[Any] = set()
        self._looked = 0.0

    def accept(self, listener: Any) -> None:
        """Take a connection, and wait for what it says."""
        try:
            client, address = listener.accept()
        except OSError:
            return  # gone again, or another process has it
        self.nr_conns += 1
        patience = struct.pack("ll", int(SECONDS), 0)
        for name, value in (
            (socket.SO_SNDBUF, SEND_BUFFER),
            (socket.SO_SNDTIMEO, patience),
            (socket.SO_RCVTIMEO, patience),
        ):
            client.setsockopt(socket.SOL_SOCKET, name, value)
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.data_ready = True
        conn.held = Held(client, began=time.monotonic())  # silence counts, too
        conn.parser = get_parser(self.cfg, conn.held, address)
        self._wait(conn)

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """Begin the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._wait(conn)

    def on_more(self, conn: Any, _sock: Any) -> None:
        """Take what has come on a connection."""
        try:
            data = conn.sock.recv(PIECE)
            if data:
                self._take(conn, data)
            else:
                self._drop(conn)
        except BlockingIOError:
            return
        except OSError:
            self._drop(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Go on with what came behind the request, or as usual."""
        held, conn.held = conn.held, Held(conn.sock)
        held.kept.close()
        conn.parser.unreader.sock = conn.held
        kept = not fs.cancelled() and fs.exception() is None and fs.result() is True
        if not (kept and held.rest) or conn.parser.unreader.buf.getvalue():
            super().finish_request(conn, fs)
            return
        self._wait(conn)
        try:
            self._take(conn, held.rest)
        except OSError:
            self._drop(conn)

    def murder_pending(self) -> None:
        """Cut off what comes too slowly; who has said nothing yet is not waited for at the end."""
        now = time.monotonic()
        if now - self._looked < 1 and self.alive:
            return
        self._looked = now
        crowded = self.nr_conns >= self.worker_connections
        longest = CROWDED_SECONDS if crowded else SECONDS
        for conn in list(self.coming):
            said = conn.held.size or conn.held.head
            if conn.held.seconds() > longest or not (self.alive or said):
                self._drop(conn, LATE if said else b"")

    def _wait(self, conn: Any) -> None:
        conn.sock.setblocking(False)
        self.coming.add(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_more, conn))

    def _take(self, conn: Any, data: bytes) -> None:
        held = conn.held
        held.take(data)
        if held.whole:
            self.coming.discard(conn)
            self.poller.unregister(conn.sock)
            held.kept.seek(0)
            done = self.tpool.submit(self.handle, conn)
            done.add_done_callback(partial(self._done, conn))
        elif held.expects:
            held.expects = False
            conn.sock.send(GO_ON)
        elif held.size > IN_MEMORY and self._full():
            self._drop(conn, FULL)

    def _done(self, conn: Any, answered: Any) -> None:
        self.method_queue.defer(self.finish_request, conn, answered)

    def _full(self) -> bool:
        return sum(one.held.size for one in self.coming) > MOST_HELD

    def _drop(self, conn: Any, saying: bytes = b"") -> None:
        self.coming.discard(conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.held.kept.close()
        try:
            if saying:
                conn.sock.send(saying)
        except OSError:
            pass
        conn.close()
