"""Children are kept alive, and nothing of them is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clarion.base.children import Child, Children

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = """
import sys, time
from clarion.base.children import Child, Children
with Children(print) as children:
    one = children.add(Child("one", [sys.executable, "-c", "import time; time.sleep(600)"]))
    print(one.process.pid, flush=True)
    time.sleep(600)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it does not become so"
        time.sleep(0.02)


def test_what_dies_is_started_again_and_said():
    said = []
    with Children(said.append) as children:
        one = children.add(Child("worker", SLEEPS))
        first = one.process.pid
        os.kill(first, signal.SIGKILL)
        until(lambda: children.look() == ["worker"])

        assert one.alive()
        assert one.process.pid != first
    assert said == ["worker ended by signal 9 and is started again"]


def test_one_that_dies_at_once_waits_ever_longer():
    with Children(lambda _text: None) as children:
        one = children.add(Child("hasty", [sys.executable, "-c", "raise SystemExit(3)"]))
        until(lambda: children.look() == ["hasty"])
        until(lambda: children.look() == ["hasty"])

        assert one.wait == 2.0


def test_a_stop_reaches_what_a_child_started(tmp_path):
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, time, pathlib, signal;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"p = subprocess.Popen({SLEEPS!r});"
        f"pathlib.Path({str(note)!r}).write_text(str(p.pid)); raise SystemExit(0)"
    )
    with Children(lambda _text: None) as children:
        children.add(Child("leader", [sys.executable, "-c", code]))
        until(lambda: note.exists() and note.read_text())
        grandchild = int(note.read_text())
        until(lambda: children._all[0].process is None or not children._all[0].alive())

    until(lambda: not alive(grandchild))


def test_its_output_goes_to_its_log(tmp_path):
    log = tmp_path / "logs" / "one.log"
    with Children(lambda _text: None) as children:
        children.add(Child("one", [sys.executable, "-c", "print('hello')"], log=log))
        until(lambda: log.exists() and log.read_text() == "hello\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux does it")
def test_children_end_with_a_parent_that_was_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    assert alive(child)

    parent.kill()
    parent.wait()

    until(lambda: not alive(child))
