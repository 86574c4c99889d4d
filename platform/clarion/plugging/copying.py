"""A new plugin: a copy of the example, which every build installs and tests, renamed."""

import re
import shutil
import tomllib
from pathlib import Path

from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.settings import checkout
from clarion.plugging.manager import GROUP, plugins

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST = 30
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*.pyc", "*.egg-info", "build", "dist", ".*_cache", ".venv"
)


def copy(name: str, folder: Path) -> Path:
    """Copy the example plugin into a new folder and rename it in files and in their names.

    Raises:
        Invalid: not a name for a plugin; Conflict: there is a plugin or folder of that
            name; NotFound: this is no checkout, so there is no example.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        sentence = "Call it by lower-case letters, digits and _, as in `birthday_cards`."
        raise Invalid("plugin_name", sentence)
    if name in plugins().found:
        raise Conflict("plugin_known", f"There is a plugin called {name} already.")
    if folder.exists():
        raise Conflict("folder_there", f"{folder} is there already.")
    example, old = _example()
    shutil.copytree(example, folder, ignore=LEFT_OUT)
    for path in sorted(folder.rglob("*"), reverse=True):  # files before their folders
        if path.is_file():
            _rewrite(path, old, name)
        if old in path.name:
            path.rename(path.with_name(path.name.replace(old, name)))
    return folder


def _example() -> tuple[Path, str]:
    """Find the example and its name."""
    top = checkout()
    project = top / "tests" / "example_plugin" / "pyproject.toml" if top else None
    if project is None or not project.is_file():
        sentence = (
            "The example plugin is not here: run this in a checkout of Clarion's source."
        )
        raise NotFound("example_missing", sentence)
    points = tomllib.loads(project.read_text())["project"]["entry-points"][GROUP]
    return project.parent, next(iter(points))


def _rewrite(path: Path, old: str, name: str) -> None:
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return  # a picture
    camel = "".join(part.title() for part in name.split("_"))
    forms = {old: name, old.title(): camel, old.upper(): name.upper()}
    path.write_text(re.sub("|".join(forms), lambda found: forms[found[0]], text))
