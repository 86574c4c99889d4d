"""A short storm; `make faultlab` lets a long one rage."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
STORM = Path(__file__).with_name("storm.py")


def test_a_short_storm():
    words = ["--messages", "300", "--kills", "12"]
    if seed := os.environ.get("FAULTLAB_SEED"):
        words += ["--seed", seed]

    done = subprocess.run(
        [sys.executable, str(STORM), *words], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-6_000:] + done.stdout
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["duplicates"], found["lost"], found["against_a_stop"]) == (0, 0, 0)
    assert (found["counters_wrong"], found["quarantined"]) == (0, 0)
    assert found["messages"] == 300
    assert sum(found["kills"].values()) == 12
    restore = found["restore"]
    assert restore["held"] == restore["settled_late"] + restore["left"] + restore["resent"]
    assert restore["held"] > 0
    assert restore["resent"] > 0
    assert found["counters_read"] > 0
