"""The only way out: HTTP to declared hosts, knowing whether a request left at all.

What a failure means decides whether a person is written to twice, so there are two
kinds. `NotSent` is certain: no byte of the request reached the network. Everything
else that escapes (time-out, reset, unreadable answer) means that nobody can know.
"""

import ipaddress
import json as jsonlib
import socket
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from clarion.base import crash
from clarion.base.errors import NotSent
from clarion.base.exchange import Reply, TooLarge
from clarion.base.pool import Pool

__all__ = ["Client", "NotAllowed", "NotSent", "Reply", "TooLarge", "is_global"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")

WAYS = 256  # addresses a client remembers

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotAllowed(NotSent):
    """The address is not a declared one, or leads into a private network."""


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
        limit: connections at most, to each host.
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
        self._connect, self._total = connect_timeout, total_timeout
        self._limit, self._max_body = limit, max_body
        self._pools: dict[tuple[str, str, int], Pool] = {}
        self._ways: dict[str, tuple[Pool, str, str]] = {}
        self._heads: dict[tuple[Any, ...], bytes] = {}
        self._opened = False

    async def __aenter__(self) -> Self:
        self._opened = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened = False
        self._ways.clear()
        self._heads.clear()
        for pool in self._pools.values():
            await pool.close()

    async def post(
        self,
        url: str,
        *,
        json: Any = None,  # whatever JSON can say; bytes are taken as JSON already
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """POST once, never again by itself. Raises `NotSent` or anything else (unknown)."""
        kind = ""
        if json is not None:
            kind, data = (
                "application/json",
                json if isinstance(json, bytes) else _compact(json),
            )
        elif isinstance(data, Mapping):
            kind, data = "application/x-www-form-urlencoded", urlencode(data).encode()
        return await self._request("POST", url, data or b"", headers or {}, kind)

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """GET once. Raises `NotSent` or anything else (unknown)."""
        return await self._request("GET", url, None, headers or {}, "")

    async def _request(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        kind: str,
    ) -> Reply:
        pool, host, target = self._way(url)
        head = self._head(method, host, target, headers, kind)
        if body is None:
            request = b"%b\r\n" % head
        else:
            request = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        began = pool.loop.time()
        line = await pool.take()
        try:
            crash.here("after_connect")
            return await line.ask(request, self._total - (pool.loop.time() - began))
        finally:
            pool.give_back(line)

    def _way(self, url: str) -> tuple[Pool, str, str]:
        """Read an address and pick its pool; remembered, since sending asks it each time."""
        way = self._ways.get(url)
        if way is None:
            address = URL(url)
            default = {"http": 80, "https": 443}.get(address.scheme)
            host = f"[{address.host}]" if ":" in (address.host or "") else address.host
            where = f"{host}:{address.port}" if address.port != default else f"{host}"
            way = self._pool(address), where, address.raw_path_qs
            if len(self._ways) >= WAYS:
                self._ways.clear()
            self._ways[url] = way
        return way

    def _pool(self, url: URL) -> Pool:
        """Pick the pool for a URL, or refuse it."""
        where = ((url.host or "").lower(), url.port)
        plain = url.scheme == "http" and where in self._allowed
        secure = url.scheme == "https" and where in self._declared | self._allowed
        if url.user or not (plain or secure):
            raise NotAllowed(f"{url.scheme}://{url.host}:{url.port} is not declared")
        if not self._opened:
            raise NotSent("the client is closed")
        key = (url.scheme, where[0], where[1] or 0)
        if key not in self._pools:
            self._pools[key] = Pool(
                url.origin(),
                None if where in self._allowed else _global_socket,
                connect_timeout=self._connect,
                limit=self._limit,
                max_body=self._max_body,
            )
        return self._pools[key]

    def _head(
        self, method: str, host: str, target: str, headers: Mapping[str, str], kind: str
    ) -> bytes:
        """Write the head of a request up to its length; remembered as well."""
        key = (method, host, target, kind, *headers.items())
        head = self._heads.get(key)
        if head is None:
            lines = {
                "Host": host,
                "Accept": "*/*",
                # No compression: a small answer must not become a large one here.
                "Accept-Encoding": "identity",
                "User-Agent": "Clarion",
                **({"Content-Type": kind} if kind else {}),
                **headers,
            }
            text = "".join(f"{name}: {_line(value)}\r\n" for name, value in lines.items())
            head = f"{method} {target} HTTP/1.1\r\n{text}".encode("latin-1")
            if len(self._heads) >= WAYS:
                self._heads.clear()
            self._heads[key] = head
        return head


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


def _line(value: str) -> str:
    """Refuse a header that would begin another one."""
    if not value.isprintable():
        raise ValueError("a header must be one line of text")
    return value


_write = jsonlib.JSONEncoder(separators=(",", ":")).encode  # one, instead of one per call


def _compact(value: Any) -> bytes:
    return _write(value).encode()


def _host_and_port(entry: str, default: int) -> tuple[str, int]:
    """Read `name`, `name:port` or `[v6]:port`."""
    url = URL(f"//{entry.strip().lower()}")
    if not url.host:
        raise ValueError(f"not a host: {entry!r}")
    return url.host, url.explicit_port or default
