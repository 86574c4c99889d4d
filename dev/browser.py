"""Find the browser for the browser tests, or install Debian's Chromium when we may.

    python dev/browser.py

Prints its path. Without one it says so loudly; where `CI=true` that is an error, because
tests that nobody runs prove nothing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-liberation")


def find() -> str | None:
    """Return the path of a Chromium: `CLARION_CHROMIUM`, else the first one on the PATH."""
    told = os.environ.get("CLARION_CHROMIUM")
    if told:
        return told if os.access(told, os.X_OK) else None
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """Find or install it; answers the exit code."""
    path = find()
    if path is None and not os.environ.get("CLARION_CHROMIUM") and _may_install():
        _install()
        path = find()
    if path:
        print(path)
        return 0
    _complain()
    return 1 if os.environ.get("CI", "").lower() == "true" else 0


def _may_install() -> bool:
    return (
        os.geteuid() == 0
        and shutil.which("apt-get") is not None
        and Path("/etc/debian_version").exists()
    )


def _install() -> None:
    print("No browser found: installing Debian's chromium …", file=sys.stderr, flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (
        ("update", "-qq"),
        ("install", "-y", "-qq", "--no-install-recommends", *PACKAGES),
    ):
        done = subprocess.run(
            ["apt-get", *words], env=quiet, stdout=sys.stderr, check=False
        )
        if done.returncode:
            return


def _complain() -> None:
    told = os.environ.get("CLARION_CHROMIUM")
    why = (
        f"CLARION_CHROMIUM names {told}, which cannot be run"
        if told
        else "none is installed"
    )
    line = "!" * 78
    print(
        f"{line}\n!! NO BROWSER: {why}.\n!! The browser tests will be skipped. Install"
        f" Chromium (apt install chromium),\n!! or set CLARION_CHROMIUM.\n{line}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    raise SystemExit(main())
