"""`clarion demo`: up with people in it, alive after a death, gone without a trace."""

import json
import os
import signal
import time
import urllib.request
from pathlib import Path

import pytest

from clarion.demo.visitor import Visitor
from clarion.testing.demo import Demo

pytestmark = pytest.mark.timeout(900)
PATIENCE = 400  # seconds; a busy machine is slow, not broken


def of_home(home):
    """List the processes that belong to a home: by environment, or by command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(home) in command + environment and int(folder.name) != os.getpid():
            found[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return found


def answers(url):
    with urllib.request.urlopen(url, timeout=30) as reply:
        return reply.status


def signs_in(demo):
    """Come in by both doors as the printed words say; the console asks for a code."""
    (marina, words), (ada, hers) = (demo.people()[door] for door in ("portal", "console"))
    portal = demo.address("Portal").rstrip("/")
    customer, staff = Visitor(portal), Visitor(portal)
    page = customer.get("/sign-in")
    page = customer.send(
        page.form("email", "password"), {"email": marina, "password": words}
    )
    assert "Casa Verde" in page.words()
    page = staff.get("/console/")
    page = staff.send(page.form("name", "password"), {"name": ada, "password": hers})
    page = staff.send(page.form("code"), {"code": demo.code()})
    return page.path == "/console/" and "Today" in page.body


def test_a_demo_from_its_first_start_to_its_last_trace(home):
    demo = Demo.started(home)
    people = json.loads((home / "demo.json").read_text())["people"]
    assert people["portal"].startswith("marina@example.org · ")
    assert people["console"].startswith("ada@example.org · ")
    assert answers(demo.address("Portal")) == 200
    assert answers(demo.address("Console")) == 200
    assert answers(demo.address("WhatsApp")) == 200
    assert signs_in(demo)

    worker = next(pid for pid, said in of_home(home).items() if " worker --relay" in said)
    os.kill(worker, signal.SIGKILL)
    assert "ended by signal 9 and is started again" in demo.until("worker ended")

    assert demo.end(signal.SIGINT) == 0
    assert demo.said[-1] == "Everything is stopped."
    assert of_home(home) == {}

    begun = time.monotonic()
    again = Demo.started(home)
    seconds = time.monotonic() - begun
    assert not any("importing" in line for line in again.said)  # the data is kept
    assert again.address("WhatsApp") == demo.address("WhatsApp")
    assert seconds < 60

    assert again.end(signal.SIGTERM) == 0
    assert of_home(home) == {}


def test_two_demos_on_one_home_are_refused(home):
    first = Demo(home)
    try:
        first.until("Starting")
        second = Demo(home)
        second.until("already")
        assert second.process.wait(timeout=60) == 1
    finally:
        assert first.end(signal.SIGINT) == 0
    assert of_home(home) == {}
