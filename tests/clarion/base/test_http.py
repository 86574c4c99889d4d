"""The outbound client: what left, what did not, and where it may go."""

import asyncio
import datetime as dt
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clarion.base.http import Client, NotAllowed, NotSent, TooLarge, is_global

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: Yes\r\n\r\nok"


class Server:
    """A raw server: each connection is handed to `act`, each request head is kept."""

    def __init__(self, act: Callable[["Server", "Wire"], Awaitable[None]]) -> None:
        self.act = act
        self.connections = 0
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.connections += 1
        try:
            await self.act(self, Wire(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Wire:
    def __init__(self, server, reader, writer) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        body = await self.reader.readexactly(size)
        self.server.requests.append(head + body)
        return body

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def serving(act, tls=None):
    server = Server(act)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{server.port}/v23.0/1/messages"
    try:
        yield server
    finally:
        listener.close()


def to(server: Server, **options) -> Client:
    return Client(hosts=(), allow=(f"127.0.0.1:{server.port}",), **options)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Run a test in either loop: workers use uvloop, the console asks with asyncio."""
    runner = uvloop.run if request.param == "uvloop" else asyncio.run
    return lambda main: runner(asyncio.wait_for(main(), 30))


async def answering(server: Server, wire: Wire) -> None:
    while True:
        await wire.request()
        await wire.say(ANSWER)


def test_a_post_arrives_once_as_compact_json_and_connections_are_reused(run):
    async def main():
        async with serving(answering) as server, to(server) as http:
            first = await http.post(server.url, json={"a": [1, "é"]}, headers={"X-A": "1"})
            await http.post(server.url, json=b'{"ready":true}')
            await http.get(server.url)

        assert (first.status, first.body) == (200, b"ok")
        assert first.headers["x-seen"] == "Yes"
        assert server.connections == 1
        assert server.requests[0].endswith(b'\r\n\r\n{"a":[1,"\\u00e9"]}')
        assert b"Content-Type: application/json\r\n" in server.requests[0]
        assert b"X-A: 1\r\n" in server.requests[0]
        assert server.requests[1].endswith(b'\r\n\r\n{"ready":true}')

    run(main)


def test_a_form_can_be_posted(run):
    async def main():
        async with serving(answering) as server, to(server) as http:
            await http.post(server.url, data={"To": "+1 555"})

        assert server.requests[0].endswith(b"\r\n\r\nTo=%2B1+555")

    run(main)


# --- certainly not sent


def test_a_refused_connection_was_not_sent(run):
    async def main():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        async with Client((), allow=(f"127.0.0.1:{port}",)) as http:
            with pytest.raises(NotSent):
                await http.post(f"http://127.0.0.1:{port}/", json={})

    run(main)


def test_a_name_without_an_address_was_not_sent(run):
    async def main():
        async with Client(hosts=("name.invalid",)) as http:
            with pytest.raises(NotSent):
                await http.post("https://name.invalid/", json={})

    run(main)


def test_a_certificate_nobody_vouches_for_was_not_sent(tmp_path, run):
    async def main():
        async with serving(answering, tls=_own_certificate(tmp_path)) as server:
            async with to(server) as http:
                with pytest.raises(NotSent):
                    await http.post(server.url, json={})

            assert server.requests == []

    run(main)


def test_a_handshake_that_never_ends_was_not_sent(run):
    async def silent(server, wire):
        await wire.reader.read()

    async def main():
        async with (
            serving(silent) as server,
            to(server, connect_timeout=0.2, total_timeout=5) as http,
        ):
            with pytest.raises(NotSent):
                await http.post(server.url.replace("http:", "https:"), json={})

    run(main)


def test_waiting_in_vain_for_a_free_connection_was_not_sent(run):
    busy = asyncio.Event()

    async def hanging(server, wire):
        await wire.request()
        busy.set()
        await wire.reader.read()

    async def main():
        async with serving(hanging) as server:
            async with to(server, limit=1, connect_timeout=0.2, total_timeout=2) as http:
                first = asyncio.create_task(http.post(server.url, json={}))
                await busy.wait()
                with pytest.raises(NotSent):
                    await http.post(server.url, json={})
                first.cancel()

            assert len(server.requests) == 1

    run(main)


def test_a_closed_client_sends_nothing(run):
    async def main():
        async with serving(answering) as server:
            async with to(server) as http:
                pass
            with pytest.raises(NotSent):
                await http.post(server.url, json={})

            assert server.connections == 0

    run(main)


# --- unknown: the request had begun


async def _unknown(http: Client, url: str) -> BaseException:
    with pytest.raises(Exception) as caught:
        await http.post(url, json={"once": True})
    assert not isinstance(caught.value, NotSent)
    return caught.value


@pytest.mark.parametrize("read_first", [True, False])
@pytest.mark.parametrize("with_reset", [True, False])
def test_a_lost_connection_after_the_request_is_unknown(read_first, with_reset, run):
    async def losing(server, wire):
        if read_first:
            await wire.request()
        else:
            await wire.reader.readexactly(1)
        if with_reset:
            wire.reset()

    async def main():
        async with serving(losing) as server, to(server) as http:
            await _unknown(http, server.url)
            await asyncio.sleep(0.1)

            assert server.connections == 1

    run(main)


@pytest.mark.parametrize("with_reset", [True, False])
def test_a_kept_connection_that_is_lost_is_never_used_to_send_again(with_reset, run):
    async def losing_the_second(server, wire):
        await wire.request()
        await wire.say(ANSWER)
        await wire.request()
        if with_reset:
            wire.reset()

    async def main():
        async with serving(losing_the_second) as server, to(server) as http:
            await http.post(server.url, json={})
            await _unknown(http, server.url)
            await asyncio.sleep(0.1)

            assert server.connections == 1
            assert len(server.requests) == 2

    run(main)


def test_a_kept_connection_closed_before_it_could_read_is_not_retried(run):
    """The server answers and is gone in the same moment as the next request is written."""

    async def answering_once(server, wire):
        await wire.request()
        await wire.say(ANSWER)
        wire.reset()

    async def main():
        async with serving(answering_once) as server, to(server) as http:
            outcomes = []
            for _ in range(200):
                before = server.connections
                try:
                    await http.post(server.url, json={})
                except NotSent:
                    outcomes.append("not sent")
                except Exception:
                    outcomes.append("unknown")
                else:
                    outcomes.append("answered")
                assert server.connections <= before + 1
            await asyncio.sleep(0.1)

            answered = outcomes.count("answered")
            assert "not sent" not in outcomes
            assert answered <= len(server.requests) <= 200

    run(main)


@pytest.mark.parametrize(
    "begin",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"],
)
def test_an_answer_that_does_not_end_in_time_is_unknown(begin, run):
    async def hanging(server, wire):
        await wire.request()
        await wire.say(ANSWER)  # the connection stands: what ends in time is the answer
        await wire.request()
        await wire.say(begin)
        await wire.reader.read()

    async def main():
        async with serving(hanging) as server:
            async with to(server, total_timeout=5.1) as http:
                await http.post(server.url, json={})
                http._total = 0.3
                assert isinstance(await _unknown(http, server.url), TimeoutError)

            assert len(server.requests) == 2

    run(main)


def test_an_endless_answer_is_cut(run):
    async def endless(server, wire):
        await wire.request()
        await wire.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await wire.say(b"x" * 65536)

    async def main():
        async with serving(endless) as server, to(server, max_body=300_000) as http:
            assert isinstance(await _unknown(http, server.url), TooLarge)

    run(main)


def test_a_large_answer_with_a_length_is_cut_and_its_connection_dropped(run):
    async def large(server, wire):
        while True:
            await wire.request()
            await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")
            await wire.say(b"x" * 500_000)

    async def main():
        async with serving(large) as server, to(server, max_body=1000) as http:
            for _ in range(2):
                assert isinstance(await _unknown(http, server.url), TooLarge)

            assert server.connections == 2

    run(main)


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_an_answer_that_is_not_http_is_unknown(answer, run):
    async def babbling(server, wire):
        await wire.request()
        await wire.say(answer)

    async def main():
        async with serving(babbling) as server, to(server) as http:
            await _unknown(http, server.url)

            assert len(server.requests) == 1

    run(main)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_an_answer_in_chunks_is_put_together_however_it_arrives(run):
    pieces = [
        CHUNKED[:20],
        CHUNKED[20:] + b'3\r\n{"a',
        b'\r\n4;x=y\r\n":1',
        b"}\r\n0\r\n\r\n",
    ]

    async def act(server, wire):
        while True:
            await wire.request()
            for piece in pieces:
                await wire.say(piece)
                await asyncio.sleep(0)  # so that they are not one piece on the other side

    async def main():
        async with serving(act) as server, to(server) as http:
            replies = [await http.post(server.url, json={"n": n}) for n in range(2)]

        assert [(one.status, one.body) for one in replies] == [(200, b'{"a":1}')] * 2
        assert server.connections == 1

    run(main)


def test_chunks_without_an_end_are_cut_and_what_is_left_of_them_is_unknown(run):
    async def endless(server, wire):
        await wire.request()
        await wire.say(CHUNKED)
        while True:
            await wire.say(b"400\r\n" + b"x" * 1024 + b"\r\n")

    async def broken(server, wire):
        await wire.request()
        await wire.say(CHUNKED + b"5\r\nab")

    async def main():
        async with serving(endless) as server, to(server, max_body=4096) as http:
            with pytest.raises(TooLarge):
                await http.post(server.url, json={})
        async with serving(broken) as server, to(server) as http:
            with pytest.raises(Exception) as lost:
                await http.post(server.url, json={})
            assert not isinstance(lost.value, NotSent)

    run(main)


@pytest.mark.parametrize(
    "provisional",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\nX-Wait: 1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_provisional_answer_is_not_the_answer(provisional, apart, run):
    async def act(server, wire):
        while True:
            await wire.request()
            if apart:
                await wire.say(provisional)
                await asyncio.sleep(0.01)  # so that it arrives by itself
                await wire.say(ANSWER)
            else:
                await wire.say(provisional + ANSWER)

    async def main():
        async with serving(act) as server, to(server) as http:
            replies = [await http.post(server.url, json={"n": n}) for n in range(3)]

        assert [(one.status, one.body) for one in replies] == [(200, b"ok")] * 3
        assert len(server.requests) == 3

    run(main)


def test_a_provisional_answer_alone_is_unknown(run):
    async def act(server, wire):
        await wire.request()
        await wire.say(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def main():
        async with serving(act) as server, to(server) as http:
            with pytest.raises(Exception) as lost:
                await http.post(server.url, json={})
            assert not isinstance(lost.value, NotSent)

    run(main)


def test_a_compressed_answer_is_not_unpacked(run):
    async def squeezing(server, wire):
        await wire.request()
        await wire.say(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
        )

    async def main():
        async with serving(squeezing) as server, to(server) as http:
            assert (await http.post(server.url, json={})).body == b"abc"
        assert b"Accept-Encoding: identity\r\n" in server.requests[0]

    run(main)


# --- where it may go


def test_a_redirect_is_an_answer_and_not_followed(run):
    async def main():
        async with serving(answering) as target:

            async def pointing(server, wire):
                await wire.request()
                await wire.say(
                    b"HTTP/1.1 307 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
                    % target.url.encode()
                )

            async with (
                serving(pointing) as server,
                Client(
                    (), allow=(f"127.0.0.1:{server.port}", f"127.0.0.1:{target.port}")
                ) as http,
            ):
                reply = await http.post(server.url, json={})

            assert reply.status == 307
            assert target.connections == 0

    run(main)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "http://graph.facebook.com/",
        "https://graph.facebook.com:8443/",
        "https://graph.facebook.com.evil.example/",
        "https://graph.facebook.com@evil.example/",
        "https://someone@graph.facebook.com/",
        "ftp://graph.facebook.com/",
        "//graph.facebook.com/",
        "/v23.0/1/messages",
    ],
)
def test_only_declared_hosts_are_called(url, run):
    async def main():
        async with Client(hosts=("graph.facebook.com",)) as http:
            with pytest.raises(NotAllowed):
                await http.post(url, json={})

    run(main)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "2130706433", "0x7f.1"])
def test_a_declared_host_inside_the_own_network_is_not_reached(name, run):
    async def main():
        async with serving(answering) as server:
            async with Client(hosts=(f"{name}:{server.port}",)) as http:
                with pytest.raises(NotSent):
                    await http.post(f"https://{name}:{server.port}/", json={})

            assert server.connections == 0

            async with to(server) as http:  # it could have been
                await http.post(server.url, json={})
            assert server.connections == 1

    run(main)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:7f00:1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b:1::10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
        ("not an address", False),
    ],
)
def test_addresses_outside_the_internet_are_told_apart(address, expected):
    assert is_global(address) is expected


def test_a_connect_timeout_longer_than_the_whole_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        Client((), connect_timeout=5, total_timeout=5)


def test_an_entry_without_a_host_is_refused():
    with pytest.raises(ValueError, match="not a host"):
        Client(hosts=("",))


def _own_certificate(folder) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin - dt.timedelta(days=1))
        .not_valid_after(begin + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "pair.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    return context
