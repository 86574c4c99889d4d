"""What a start costs: the web process with every plugin, and the first word of help.

The figures are those of an installed product, whose compiled modules are kept: one run
beforehand writes them, and `PYTHONDONTWRITEBYTECODE` is not handed on. Nothing is put off to
the first request: both applications are whole, with every screen and page, when time stops.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import ground

TARGETS = {
    "web_cpu_s": ("max", 1.5),
    "web_mb": ("max", 135),
    "help_s": ("max", 0.3),
}
TIMES = 5
WEB = """
import json, resource, time
from clarion.web.serve import unhurried
with unhurried():  # as `clarion web` does
    from clarion.web.app import create_app
    create_app()
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"web_cpu_s": time.process_time(), "web_mb": most}))
"""


def measure() -> dict[str, float]:
    """Return medians of several starts: CPU seconds and MB of the web, seconds of `--help`."""
    with ground.prepared() as land:
        env = _installed(land.env)
        _web(env)
        webs = [_web(env) for _ in range(TIMES)]
    figures = {name: statistics.median(web[name] for web in webs) for name in webs[0]}
    return figures | {"help_s": statistics.median(_helps())}


def _installed(env: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in env.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _web(env: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", WEB], env=env, capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _helps() -> list[float]:
    command = [str(Path(sys.executable).with_name("clarion")), "--help"]
    env = _installed(dict(os.environ))
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        subprocess.run(command, env=env, capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    return seconds
