"""A stranger's plugin: built, installed beside Clarion, and its own tests run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
EXAMPLE = TOP / "tests" / "example_plugin"
OFFLINE = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")


def run(*words, cwd, **env):
    """Run Python; what it says is shown when it fails."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("CLARION_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env=own | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The example as a wheel, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("example")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    run("pip", "wheel", *OFFLINE, "--no-build-isolation", "-w", ".", "./source", cwd=folder)
    [wheel] = folder.glob("*.whl")
    run("pip", "install", *OFFLINE, "--target", "target", str(wheel), cwd=folder)
    return folder


def test_wheel_holds_the_plugin_and_nothing_else(installed):
    names = {p.name for p in (installed / "target").iterdir()}

    assert names == {"clarion_reminders", "clarion_reminders-0.1.0.dist-info"}
    package = installed / "target" / "clarion_reminders"
    assert (package / "migrations" / "0001_reminders.py").is_file()
    assert (package / "templates" / "reminders" / "list.html").is_file()
    assert (package / "README.md").is_file()


def test_it_is_found_by_its_entry_point(installed):
    said = run(
        "clarion.cli", "plugin", "list", cwd=installed, PYTHONPATH=str(installed / "target"),
        CLARION_HOME=str(installed / "home"),
    )  # fmt: skip

    [line] = [line for line in said.splitlines() if line.startswith("reminders")]
    assert line.split()[:3] == ["reminders", "loaded", "clarion-reminders"]


@pytest.mark.timeout(600)
def test_its_own_tests_pass(installed):
    """With servers and a database of their own; `import` finds the installed plugin."""
    tests = installed / "tests"
    shutil.copytree(EXAMPLE / "tests", tests, ignore=shutil.ignore_patterns("__pycache__"))
    said = run(
        "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider",
        "--rootdir", str(tests), "-c", os.devnull, str(tests),
        cwd=installed, PYTHONPATH=str(installed / "target"),
    )  # fmt: skip

    assert " passed" in said
    assert "skipped" not in said
