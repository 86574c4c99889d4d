"""A stranger's bytes are read by a child that can harm nobody, whatever becomes of it."""

import json
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clarion.base import words
from clarion.base.errors import Invalid
from clarion_contacts.importing import confined
from clarion_contacts.tests import deeds

SMALL = confined.Limits(memory_mb=256, cpu_seconds=2, silence_seconds=30)


def refusal(deed, order=(), limits=SMALL):
    with pytest.raises(Invalid) as refused:
        list(confined.frames(deed, b"", dict(order), limits))
    return refused.value.code


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid, seconds=30):
    end = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_frames_come_in_order_whatever_is_in_them():
    raw = bytes(range(256)) * 5000

    found = list(confined.frames(deeds.echo, raw, {"parts": ["a", "", "ü"]}))

    assert found == [b"a" + raw, raw, "ü".encode() + raw]
    assert confined.only(deeds.echo, b"!", {"parts": ["one"]}) == b"one!"
    assert list(confined.frames(deeds.echo, b"", {"parts": []})) == []


def test_a_child_starts_without_database_and_web():
    """They would cost each file a second of computing."""
    names = json.loads(confined.only(deeds.loaded, b"", {}))

    assert {"clarion", "clarion_contacts", "json"} <= set(names)
    assert not {"sqlalchemy", "psycopg", "flask", "flask_appbuilder", "aiohttp"} & set(
        names
    )


def test_a_refusal_is_the_same_here_as_there_and_in_our_language():
    words.add_folder(Path(__file__).parents[1] / "translations")
    with words.speaking("de"):
        found = confined.frames(deeds.refuse, b"", {})
        first = next(found)
        with pytest.raises(Invalid) as refused:
            next(found)

    assert first == b"before"
    assert refused.value.code == "file_empty"
    assert refused.value.text == "Diese Datei ist leer."


def test_a_bug_in_reading_names_its_place_and_no_cell(capfd):
    with pytest.raises(Invalid) as refused:
        list(confined.frames(deeds.stumble, b"+5511987654321", {}))

    assert refused.value.code == "file_unreadable"
    out, err = capfd.readouterr()
    assert "+5511987654321" not in out + err + refused.value.text


@pytest.mark.parametrize("at_once", [1 << 20, 1 << 34])
def test_memory_ends(at_once):
    assert refusal(deeds.eat_memory, {"at_once": at_once}) == "file_too_costly"


def test_computing_ends():
    assert refusal(deeds.spin) == "file_too_costly"


def test_waiting_ends():
    limits = confined.Limits(silence_seconds=3)

    assert refusal(deeds.sleep, limits=limits) == "file_too_costly"


def test_a_crash_is_a_refusal():
    assert refusal(deeds.crash) == "file_too_costly"


def test_it_has_limits_and_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("CLARION_SECRET_KEY", "not for you")

    seen = json.loads(confined.only(deeds.look_around, b"", {}, SMALL))

    assert seen["limits"] == {
        "AS": 256 << 20,
        "CPU": 3,
        "FSIZE": 0,
        "CORE": 0,
        "NOFILE": SMALL.files,
    }
    assert not {name for name in seen["environment"] if name.startswith("CLARION")}
    assert (seen["modules"], seen["wrote"], seen["group"]) == ([], False, True)
    assert seen["open"] <= 6  # the three, the pipe, and the folder being listed


def test_who_stops_listening_ends_it():
    found = confined.frames(deeds.endless, b"", {})
    pid = int(next(found))
    assert is_running(pid)

    found.close()

    assert gone(pid)


def test_a_killed_parent_takes_it_along():
    program = (
        "from clarion_contacts.importing import confined\n"
        "from clarion_contacts.tests import deeds\n"
        "for frame in confined.frames(deeds.sleep, b'', {}): print(int(frame), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as one:
        pid = int(one.stdout.readline())
        assert is_running(pid)
        one.send_signal(signal.SIGKILL)

    assert gone(pid)


def test_the_parent_stays_small_however_much_comes():
    """A child sends 200 MB; the parent's peak grows by no more than a few frames."""
    found = confined.frames(deeds.endless, b"", {})
    next(found)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _number in range(2000):
        next(found)
    found.close()

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


def test_threads_may_read_at_the_same_time():
    found = {}

    def read(number):
        found[number] = confined.only(deeds.echo, b"", {"parts": [str(number)]})

    threads = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert found == {0: b"0", 1: b"1", 2: b"2"}
