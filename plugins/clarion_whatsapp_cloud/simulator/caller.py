"""A minimal HTTP client for delivering webhooks: keep-alive, a status, nothing else."""

import asyncio
import ssl
from collections import defaultdict
from urllib.parse import urlsplit

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Caller:
    """Keeps idle connections per server; anything unexpected is an `OSError`."""

    def __init__(self, timeout: float = 20.0) -> None:
        self._timeout = timeout
        self._idle: dict[tuple[str, str, int], list[Pair]] = defaultdict(list)

    async def call(
        self, method: str, url: str, body: bytes = b"", headers: str = ""
    ) -> tuple[int, bytes]:
        """Make one request; return status and body. `headers` end in CRLF each."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._call(method, url, body, headers)
        except (TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        for pairs in self._idle.values():
            for _, writer in pairs:
                writer.close()
        self._idle.clear()

    async def _call(
        self, method: str, url: str, body: bytes, headers: str
    ) -> tuple[int, bytes]:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        key = (parts.scheme, parts.hostname or "", port)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        reader, writer = await self._connection(key)
        try:
            writer.write(
                (
                    f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                    f"User-Agent: facebookexternalua\r\nAccept: */*\r\n{headers}"
                    f"Content-Length: {len(body)}\r\n\r\n"
                ).encode("latin-1")
                + body
            )
            status, answer, keep = await _read(reader)
        except BaseException:
            writer.close()
            raise
        if keep:
            self._idle[key].append((reader, writer))
        else:
            writer.close()
        return status, answer

    async def _connection(self, key: tuple[str, str, int]) -> Pair:
        idle = self._idle[key]
        while idle:
            reader, writer = idle.pop()
            if not (writer.is_closing() or reader.at_eof()):
                return reader, writer
            writer.close()
        scheme, host, port = key
        tls = ssl.create_default_context() if scheme == "https" else None
        return await asyncio.open_connection(host, port, ssl=tls)


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Read an answer: status, body, and whether the connection can be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    line, *lines = head.split("\r\n")
    status = int(line.split(" ")[1])
    headers = dict(each.split(":", 1) for each in lines if ":" in each)
    keep = headers.get("connection", "").strip() != "close" and "http/1.1" in line
    if "content-length" in headers:
        return status, await reader.readexactly(int(headers["content-length"])), keep
    if "chunked" in headers.get("transfer-encoding", ""):
        parts = []
        while size := int((await reader.readline()).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        return status, b"".join(parts), keep
    if status in {204, 304}:
        return status, b"", keep
    return status, await reader.read(), False
