"""`clarion demo --check`: from a CSV to read receipts, and the ledger agrees."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)
TOP = Path(__file__).resolve().parents[2]
KEYS = {
    "rows_read",
    "contacts",
    "refused_rows",
    "audience",
    "left_out",
    "accepted",
    "delivered",
    "read",
    "failed",
    "unknown",
    "suppressed",
    "receipts",
    "duplicates",
    "lost",
    "messages_per_s",
    "seconds",
}


def check(*words):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CLARION_")}
    return subprocess.run(
        [sys.executable, "-m", "clarion.cli", "demo", "--check", *words],
        env={**env, "CLARION_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/not_this"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_bundled_list_comes_to_what_its_maker_says():
    expected = json.loads((TOP / "dev" / "demo_contacts.expected.json").read_text())

    done = check()

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() >= KEYS
    same = ("rows_read", "contacts", "refused_rows")
    assert {k: found[k] for k in same} == {k: expected[k] for k in same}
    assert found["duplicate_rows"] == expected["duplicates_in_file"]
    assert found["left_out"] == {"opted_out": expected["consent_no"] + 2}  # said no, STOP
    assert found["audience"] == expected["contacts"] - expected["consent_no"] - 2
    assert found["failed"].keys() == {"131026", "131049"}
    assert (
        found["accepted"]
        == found["receipts"]
        == found["audience"] - found["failed"]["131026"]
    )
    assert found["delivered"] == found["accepted"] - found["failed"]["131049"]
    assert 0 < found["read"] < found["delivered"]
    assert (found["duplicates"], found["lost"], found["unknown"]) == (0, 0, 0)
    assert found["sent_after_stop"] == 0
    assert found["stops"] == 5
    assert found["second"]["left_out"]["opted_out"] == expected["consent_no"] + 5
    assert found["second"]["receipts"] == found["second"]["accepted"]


def test_a_list_that_is_none_is_refused_in_its_own_words(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")

    done = check("--csv", str(path))

    assert done.returncode == 1
    assert done.stdout == ""
    assert "empty" in done.stderr.splitlines()[-1]
