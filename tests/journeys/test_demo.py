"""`clarion demo`: up with people in it, alive after a death, gone without a trace."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)
PATIENCE = 400  # seconds; a busy machine is slow, not broken


class Demo:
    """A demo as a person started it in a terminal."""

    def __init__(self, home):
        self.home = home
        env = {k: v for k, v in os.environ.items() if not k.startswith("CLARION_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clarion.cli", "demo"],
            env={**env, "CLARION_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = []

    def until(self, words):
        """Read on until a line has these words."""
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if words in line:
                return line
        raise AssertionError("\n".join(self.said))

    def end(self, how):
        """End it as told; returns the exit code."""
        self.process.send_signal(how)
        self.said += self.process.stdout.read().splitlines()
        return self.process.wait(timeout=60)

    def address(self, name):
        """Return the address that it printed beside a name."""
        found = re.search(rf"^  {name}\s+(\S+)", "\n".join(self.said), re.MULTILINE)
        return found[1]


def start(home):
    demo = Demo(home)
    try:
        demo.until("Ctrl-C stops everything")
    except BaseException:
        demo.end(signal.SIGKILL)
        raise
    return demo


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


@pytest.fixture
def home():
    # not pytest's own folder: every pytest run beside this one takes it away from others,
    # and the servers' user must reach it
    with tempfile.TemporaryDirectory(prefix="clarion-demo-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder / "home"
        from clarion.base import services

        services.remove(folder / "home")


def test_a_demo_from_its_first_start_to_its_last_trace(home):
    demo = start(home)
    people = json.loads((home / "demo.json").read_text())["people"]
    assert people["portal"].startswith("marina@example.org · ")
    assert people["console"].startswith("ada@example.org · ")
    assert answers(demo.address("Portal")) == 200
    assert answers(demo.address("Console")) == 200
    assert answers(demo.address("WhatsApp")) == 200

    worker = next(pid for pid, said in of_home(home).items() if " worker --relay" in said)
    os.kill(worker, signal.SIGKILL)
    assert "ended by signal 9 and is started again" in demo.until("worker ended")

    assert demo.end(signal.SIGINT) == 0
    assert demo.said[-1] == "Everything is stopped."
    assert of_home(home) == {}

    begun = time.monotonic()
    again = start(home)
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
