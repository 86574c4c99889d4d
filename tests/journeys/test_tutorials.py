"""The tutorials, word by word: commands are run, files are written, excerpts are true.

```sh run             each line is run and must succeed
```sh fails           the last line must fail
```x from=FILE        the lines stand in FILE, as they are here
```x append=FILE      the lines are added to the end of FILE
```x after=FILE       what follows --- is put after the line in FILE that ends so
"""

import os
import re
import site
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"^```(\w+)(?: +(run|fails|(?:from|append|after|file)=(\S+)))?\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TUTORIALS = [
    p
    for p in (TOP / "docs" / "tutorial").glob("*.md")
    if re.search(r"^```sh run", p.read_text(), re.MULTILINE)
]


@pytest.fixture
def environment(tmp_path):
    """What `make demo` leaves behind, in which a reader may install something."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
    ours = [p for p in site.getsitepackages() if p.endswith("site-packages")]
    [own] = (venv / "lib").glob("python*/site-packages")
    lines = [f"import site; site.addsitedir({place!r})" for place in ours]
    (own / "clarion_of_this_checkout.pth").write_text("\n".join(lines) + "\n")
    command = venv / "bin" / "clarion"
    command.write_text(f'#!/bin/sh\nexec {venv}/bin/python -m clarion.cli "$@"\n')
    command.chmod(0o755)
    home = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("CLARION_", "PYTEST_", "PYTHONPATH"))
    }
    return home | {
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
        "CLARION_HOME": str(tmp_path / "home"),
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_works(tutorial, tmp_path, environment):
    place = tmp_path / "work"
    place.mkdir()
    done = 0
    for block in BLOCK.finditer(tutorial.read_text()):
        _language, what, file, text = block.groups()
        if what is None:
            continue
        line = tutorial.read_text().count("\n", 0, block.start()) + 1
        where = f"{tutorial.name}:{line}"
        if what in ("run", "fails"):
            follow(text, place, environment, where, good=what == "run")
        else:
            write(what.partition("=")[0], place / file, text, where)
        done += 1

    assert done > 5


def follow(text, place, environment, where, *, good):
    for command in text.strip().splitlines():
        told = subprocess.run(
            command,
            shell=True,
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (told.returncode == 0) is good, (
            f"{where}: {command}\n{told.stdout[-4_000:]}{told.stderr[-2_000:]}"
        )


def write(how, path, text, where):
    if how == "file":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return
    there = path.read_text()
    if how == "from":
        assert text in there, f"{where}: not in {path.name}"
    elif how == "append":
        path.write_text(there + text)
    else:
        mark, _, new = text.partition("---\n")
        assert there.count(mark.strip()) == 1, f"{where}: {path.name} has no such place"
        path.write_text(there.replace(mark.strip(), mark.strip() + new.strip()))


def test_there_is_something_to_follow():
    assert "first-plugin" in {path.stem for path in TUTORIALS}
