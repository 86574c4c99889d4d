"""Runs the benchmarks: one line of JSON each, exit 1 when a target is missed.

`python bench/__main__.py` runs all, `python bench/__main__.py dispatch` one of them.
"""

import importlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = (
    "startup", "dispatch", "webhooks", "pause", "fairness", "rate", "million", "freeze",
    "import", "pages", "segments", "proof", "suppression", "console", "doors",
)  # fmt: skip


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; returns the exit code."""
    sys.path.insert(0, str(HERE))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(NAMES)}.")
        return 2
    missed = 0
    for name in names or NAMES:
        report = run(name)
        print(json.dumps(report), flush=True)
        missed += not report["ok"]
    return 1 if missed else 0


def run(name: str) -> dict[str, Any]:
    """Measure one and hold its figures against its targets."""
    module = importlib.import_module(name)
    figures: dict[str, float] = module.measure()
    targets: dict[str, tuple[str, float]] = module.TARGETS
    return {
        "bench": name,
        "figures": {key: round(value, 3) for key, value in figures.items()},
        "targets": {key: list(target) for key, target in targets.items()},
        "ok": all(
            figures[key] >= limit if least == "min" else figures[key] <= limit
            for key, (least, limit) in targets.items()
        ),
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """Say what this ran on."""
    words = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((w.partition(":")[2].strip() for w in words if "model name" in w), "")
    memory = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": model,
        "cores": sum(word.startswith("processor") for word in words),
        "memory_gb": round(memory / 1e6, 1),
        "python": platform.python_version(),
        "load_before": float(Path("/proc/loadavg").read_text().split()[0]),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
