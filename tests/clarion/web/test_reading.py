"""Slow, large and broken requests at the server itself: LIM-06, by real sockets."""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from clarion.demo.stage import free_port
from clarion.web import guard
from clarion.web.reading import IN_MEMORY, LARGEST, LONGEST_HEAD, Chunks, Counted

SECONDS = 3.0
PROGRAM = Path(__file__).with_name("slow_web.py")


@pytest.fixture(scope="module")
def port():
    """A server with two threads, which gives a request three seconds."""
    at = free_port()
    line = [sys.executable, str(PROGRAM), str(at), str(SECONDS)]
    with subprocess.Popen(line, env={**os.environ, "CLARION_ENV": "test"}) as process:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", at), 1).close()
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)
        yield at
        process.terminate()


@contextmanager
def said(port, *pieces):
    """A connection on which this was said, and nothing more so far."""
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        for piece in pieces:
            one.sendall(piece)
        yield one


def answer(one):
    """Read one answer, and nothing of the next: its status and its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = one.recv(1)
        if not more:
            return 0, head.decode()
        head += more
    length, text = int(re.search(rb"(?i)content-length: (\d+)", head)[1]), b""
    while len(text) < length:
        text += one.recv(length - len(text))
    return int(head.split()[1]), text.decode()


def asked(port, *pieces):
    with said(port, *pieces) as one:
        return answer(one)


def post(path, length, more=b""):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + more


GET = b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = {
    "silent": b"",
    "half a line": b"GET /he",
    "half a head": b"GET /here HTTP/1.1\r\nHost: x\r\nX-A: ",
    "no body": post("/slow", 1000),
    "half a body": post("/slow", 1000, b"x" * 500),
    "half a chunk": b"POST /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx",
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_clients_do_not_hold_others_up(port, kind):
    """Twenty of them, where two threads answer."""
    with ExitStack() as stack:
        for _n in range(20):
            stack.enter_context(said(port, SLOW[kind]))
        began = time.monotonic()

        answers = [asked(port, GET) for _n in range(5)]

        assert time.monotonic() - began < 1
    assert {status for status, _text in answers} == {200}


def test_who_is_too_slow_is_cut_off(port):
    """Also who sends a little now and then."""
    with said(port, SLOW["half a head"]) as silent, said(port, SLOW["no body"]) as drip:
        began = time.monotonic()
        while time.monotonic() - began < SECONDS + 3:
            try:
                drip.sendall(b"x")
            except OSError:
                break
            time.sleep(0.1)

        assert answer(silent)[0] == 408
        assert SECONDS <= time.monotonic() - began < SECONDS + 3


def test_bodies_that_wait_take_no_memory(port):
    """Six of 20 MB each, all but their last byte."""
    pid = int(asked(port, GET)[1].split()[2])
    before, piece = memory(pid), b"x" * (1 << 20)
    with ExitStack() as stack:
        for _n in range(6):
            one = stack.enter_context(said(port, post("/large", 20 << 20)))
            for _m in range(19):
                one.sendall(piece)
            one.sendall(piece[1:])
        assert asked(port, GET)[0] == 200
        grown = memory(pid) - before
        one.sendall(b"x")
        assert answer(one) == (200, f"/large {20 << 20} {pid}")

    assert grown < 20 << 20


def memory(pid):
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_more_than_anybody_may_send_is_answered_unread(port):
    """The application sees its length at once."""
    began = time.monotonic()
    status, text = asked(port, post("/unread", 40 << 30))

    assert (status, text.split()[:2]) == (200, ["/unread", "0"])
    assert time.monotonic() - began < 1
    assert LARGEST > guard.LONGEST + 2 * LONGEST_HEAD


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 60_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: a\r\n" * 5_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 70_000,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
    ids=["line", "field", "fields", "endless", "size", "chunk"],
)
def test_large_and_broken_heads_are_refused(port, head):
    began = time.monotonic()
    try:
        status, _text = asked(port, head)
    except ConnectionError:
        status = 0  # closed before all of it was sent

    assert status == 0 or 400 <= status < 600
    assert time.monotonic() - began < 1
    assert asked(port, GET)[0] == 200


def test_requests_behind_each_other_are_each_answered(port):
    """On one connection: kept, all at once, byte by byte, in chunks, and with a question."""
    with said(port, GET) as one:
        assert answer(one)[1].startswith("/here 0 ")
        one.sendall(post("/second", 5, b"12345"))
        assert answer(one)[1].startswith("/second 5 ")
        for byte in post("/third", 3, b"abc"):
            one.sendall(bytes([byte]))
        assert answer(one)[1].startswith("/third 3 ")
        head = b"POST /fourth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        one.sendall(head + b"5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\nA: b\r\n\r\n" + GET)
        assert answer(one)[1].startswith("/fourth 8 ")
        assert answer(one)[1].startswith("/here 0 ")
        asking = post("/fifth", 4).replace(b"Host: x", b"Host: x\r\nExpect: 100-continue")
        one.sendall(asking)
        assert one.recv(65536).startswith(b"HTTP/1.1 100 ")
        one.sendall(b"good")
        data = b""
        while b"/fifth 4 " not in data:
            data += one.recv(65536)


def test_nothing_behind_a_body_is_read_as_part_of_it():
    counted, chunks = Counted(5), Chunks()

    assert (counted.end(b"abc"), counted.end(b"deGET /")) == (-1, 2)
    assert (chunks.end(b"3\r\nab"), chunks.end(b"c\r\n0\r\n")) == (-1, -1)
    assert chunks.end(b"\r\nGET /") == 2
    assert IN_MEMORY < LARGEST
