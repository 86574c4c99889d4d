"""Make the environment: exactly what requirements.lock says, and Clarion itself, editable.

    python dev/environment.py .venv [--again]

Runs on a bare Python 3.11 or newer. What is already there for this lock file, these entry
points and this Python is left alone; `--again` only registers entry points anew.
"""

import hashlib
import importlib.util
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LOCK = TOP / "requirements.lock"


def main() -> int:
    """Install what is missing; answers the exit code."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    folder = Path(words[0] if words else ".venv").absolute()
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    packages, program = _digests(python)
    known = stamp.read_text().split() if stamp.is_file() and python.exists() else []
    if known[:1] != [packages]:
        print("Making the environment from requirements.lock …", flush=True)
        if not python.exists():
            venv.create(folder, with_pip=_has_ensurepip(), clear=folder.exists())
        _pip(python, "--require-hashes", "--no-deps", "-r", str(LOCK))
    if known != [packages, program] or "--again" in sys.argv:
        _pip(python, "--no-deps", "--no-build-isolation", "-e", str(TOP))
    packages, program = _digests(python)
    stamp.write_text(f"{packages}\n{program}\n")
    return 0


def _digests(python: Path) -> tuple[str, str]:
    """What decides whether packages, and whether Clarion's entry points, are up to date."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    points = {key: project.get(key) for key in ("scripts", "entry-points", "version")}
    real = str(python.resolve()) if python.exists() else ""
    return _hash(LOCK.read_bytes() + real.encode()), _hash(
        repr((points, str(TOP))).encode()
    )


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _has_ensurepip() -> bool:
    """Debian keeps it in python3-venv; without it the pip that is there does the work."""
    return importlib.util.find_spec("ensurepip") is not None


def _pip(python: Path, *words: str) -> None:
    if (python.parent / "pip").exists():
        pip = [str(python), "-m", "pip"]
    elif importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
    else:
        raise SystemExit(
            "This Python has neither venv with pip nor pip. On Debian: apt install python3-venv"
        )
    options = ["install", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([*pip, *options, *words], cwd=TOP, check=False)
    if done.returncode:
        raise SystemExit(
            f"The environment is not complete: pip stopped with {done.returncode}."
        )


if __name__ == "__main__":
    raise SystemExit(main())
