"""What a start costs: the web process with every plugin, and the first word of help."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import ground

TARGETS = {"web_cpu_s": ("max", 1.5), "help_s": ("max", 0.3)}
TIMES = 5
WEB = """
import json, time
from clarion.web.serve import unhurried
with unhurried():  # as `clarion web` does
    from clarion.web.app import create_app
    create_app()
print(json.dumps(time.process_time()))
"""


def measure() -> dict[str, float]:
    """Return medians of several starts: CPU seconds of the web, seconds of `--help`."""
    with ground.prepared() as land:
        # compiled modules are kept, as wherever Clarion is installed; the first run keeps them
        env = {k: v for k, v in land.env.items() if k != "PYTHONDONTWRITEBYTECODE"}
        _web(env)
        webs = [_web(env) for _ in range(TIMES)]
    return {"web_cpu_s": statistics.median(webs), "help_s": statistics.median(_helps())}


def _web(env: dict[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", WEB], env=env, capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _helps() -> list[float]:
    command = [str(Path(sys.executable).with_name("clarion")), "--help"]
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        subprocess.run(command, env=dict(os.environ), capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    return seconds
