"""The only way out: HTTP to declared hosts, knowing whether a request left at all.

What a failure means decides whether a person is written to twice, so there are two
kinds. `NotSent` is certain: no byte of the request reached the network. Everything
else that escapes (time-out, reset, unreadable answer) means that nobody can know.
"""

import ipaddress
import json as jsonlib
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from clarion.base import crash
from clarion.base.errors import NotSent

__all__ = ["Client", "NotAllowed", "NotSent", "Reply", "TooLarge", "is_global"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")

WAYS = 256  # addresses a client remembers

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotAllowed(NotSent):
    """The address is not a declared one, or leads into a private network."""


class TooLarge(Exception):
    """The answer is longer than the client accepts; the request did arrive."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, headers (lower-case names) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """A pool of connections to declared hosts, opened inside the running loop.

        async with Client(hosts=("graph.facebook.com",)) as http:
            reply = await http.post(url, json=body, headers=...)

    Args:
        hosts: names that may be called, over https on port 443 or as `name:port`.
        allow: `host:port` that may also be called over plain http and may lie in a
            private network; for the simulator. Production refuses this setting.
        connect_timeout: seconds for a free connection, DNS, TCP and TLS together.
        total_timeout: seconds for everything; must be longer than `connect_timeout`,
            else a slow connect could not be told from a slow answer.
        limit: connections at most.
        max_body: bytes of an answer at most.
    """

    def __init__(
        self,
        hosts: Collection[str],
        allow: Collection[str] = (),
        *,
        connect_timeout: float = 5.0,
        total_timeout: float = 20.0,
        limit: int = 512,
        max_body: int = 1 << 20,
    ) -> None:
        if connect_timeout >= total_timeout:
            raise ValueError("connect_timeout must be shorter than total_timeout")
        self._declared = frozenset(_host_and_port(entry, 443) for entry in hosts)
        self._allowed = frozenset(_host_and_port(entry, 80) for entry in allow)
        self._timeout = aiohttp.ClientTimeout(total=total_timeout, connect=connect_timeout)
        self._limit = limit
        self._max_body = max_body
        self._stack = AsyncExitStack()
        self._guarded: aiohttp.ClientSession | None = None
        self._unguarded: aiohttp.ClientSession | None = None
        self._ways: dict[str, tuple[URL, aiohttp.ClientSession]] = {}

    async def __aenter__(self) -> Self:
        self._guarded = await self._open(_Connector(_global_socket, self._limit))
        if self._allowed:
            self._unguarded = await self._open(_Connector(None, self._limit))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._guarded = self._unguarded = None
        self._ways.clear()
        await self._stack.aclose()

    async def post(
        self,
        url: str,
        *,
        json: Any = None,  # whatever JSON can say; bytes are taken as JSON already
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """POST once, never again by itself. Raises `NotSent` or anything else (unknown)."""
        sent = dict(headers or {})
        if json is not None:
            sent["Content-Type"] = "application/json"
            data = json if isinstance(json, bytes) else _compact(json)
        return await self._request("POST", url, data, sent)

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """GET once more at most, on a connection that had been kept open too long."""
        return await self._request("GET", url, None, dict(headers or {}))

    async def _open(self, connector: "_Connector") -> aiohttp.ClientSession:
        return await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                # No compression: a small answer must not become a large one here.
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "Clarion"},
                trust_env=False,
            )
        )

    async def _request(
        self,
        method: str,
        url: str,
        data: bytes | Mapping[str, str] | None,
        headers: dict[str, str],
    ) -> Reply:
        address, session = self._way(url)
        async with session.request(
            method, address, data=data, headers=headers, allow_redirects=False
        ) as answer:
            return Reply(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=await self._body(answer),
            )

    def _way(self, url: str) -> tuple[URL, aiohttp.ClientSession]:
        """Read an address and pick its pool; remembered, since sending asks it each time."""
        way = self._ways.get(url)
        if way is None:
            address = URL(url)
            way = address, self._session(address)
            if len(self._ways) >= WAYS:
                self._ways.clear()
            self._ways[url] = way
        return way

    def _session(self, url: URL) -> aiohttp.ClientSession:
        """Pick the pool for a URL, or refuse it."""
        where = ((url.host or "").lower(), url.port)
        plain = url.scheme == "http" and where in self._allowed
        secure = url.scheme == "https" and where in self._declared | self._allowed
        if url.user or not (plain or secure):
            raise NotAllowed(f"{url.scheme}://{url.host}:{url.port} is not declared")
        session = self._unguarded if where in self._allowed else self._guarded
        if session is None or session.closed:
            raise NotSent("the client is closed")
        return session

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        room = self._max_body
        if answer.content_length is not None and answer.content_length <= room:
            return await answer.read()
        async for part in answer.content.iter_any():
            room -= len(part)
            if room < 0:
                answer.close()
                raise TooLarge(f"more than {self._max_body} bytes")
            parts.append(part)
        return b"".join(parts)


class _Connector(aiohttp.TCPConnector):
    """Says `NotSent` for whatever goes wrong until a connection is handed over.

    The request's first byte is written after `connect` returned, so this is the line
    between "certainly not sent" and "unknown".
    """

    def __init__(
        self, socket_factory: aiohttp.SocketFactoryType | None, limit: int
    ) -> None:
        super().__init__(
            limit=limit,
            limit_per_host=limit,
            ttl_dns_cache=30,
            # Shorter than what servers keep open: a request on a connection that the
            # other side is just closing is lost, and nobody knows how far it came.
            keepalive_timeout=10,
            socket_factory=socket_factory,
        )

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],  # aiohttp's Trace is not public
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- aiohttp's signature
    ) -> Any:  # aiohttp's Connection is not public
        try:
            connection = await super().connect(req, traces, timeout)
        except Exception as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error
        crash.here("after_connect")
        return connection


def _global_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """Make the socket for one resolved address, unless it is not on the public internet.

    Asked with the very address that is connected to next: a name that changes its
    answer between a check and the connection has no gap to slip through.
    """
    family, kind, protocol, _, peer = info
    if not is_global(str(peer[0])):
        raise PermissionError(f"{peer[0]} is not a public address")
    return socket.socket(family=family, type=kind, proto=protocol)


def is_global(address: str) -> bool:
    """Tell whether an IP address, and every one wrapped inside it, is on the internet."""
    try:
        outer = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(
        each.is_global and not (each.is_multicast or each.is_reserved)
        for each in _unwrapped(outer)
    )


def _unwrapped(address: _Address) -> Iterator[_Address]:
    """Yield the address that is reached: IPv6 can carry an IPv4 address in five ways."""
    if address.version == 4:
        yield address
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
        return
    if address in _NAT64 or address in _NAT64_LOCAL:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return
    yield address
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo


_write = jsonlib.JSONEncoder(separators=(",", ":")).encode  # one, instead of one per call


def _compact(value: Any) -> bytes:
    return _write(value).encode()


def _host_and_port(entry: str, default: int) -> tuple[str, int]:
    """Read `name`, `name:port` or `[v6]:port`."""
    url = URL(f"//{entry.strip().lower()}")
    if not url.host:
        raise ValueError(f"not a host: {entry!r}")
    return url.host, url.explicit_port or default
