"""Every plugin has one shape: its file names, its README, one name in ten places."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from clarion.plugging import Plugin

TOP = Path(__file__).resolve().parents[2]
PLUGINS = sorted(p for p in (TOP / "plugins").glob("clarion_*") if p.is_dir())
POINTS = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["entry-points"]

PYTHON = set(
    re.findall(
        r"\w+",
        "__init__ plugin contract portal console api jobs simulator service transport provider onboarding"
        " privacy importing segments rendering blocks detectors signing answers wire models"
        " records events",
    )
)
FOLDERS = {"migrations", "templates", "static", "translations", "tests", "__pycache__"}
HEADINGS = [
    "What it does",
    "Switching it on",
    "Settings",
    "Permissions",
    "What it stores about people",
    "What it listens to and says",
]


def has(folder, module):
    return (folder / f"{module}.py").is_file() or (
        folder / module / "__init__.py"
    ).is_file()


def among(folders):
    return pytest.mark.parametrize("folder", list(folders), ids=lambda folder: folder.name)


def having(module):
    return among(p for p in PLUGINS if has(p, module))


def name_of(folder):
    return folder.name.removeprefix("clarion_")


def manifest(folder):
    return importlib.import_module(f"{folder.name}.plugin").plugin


every = among(PLUGINS)


def test_there_are_plugins():
    assert PLUGINS


@every
def test_file_names_come_from_the_list(folder):
    allowed = {f"{name}.py" for name in PYTHON} | PYTHON | FOLDERS | {"README.md"}

    assert {p.name for p in folder.iterdir()} - allowed == set()


@every
def test_what_every_plugin_has_is_there(folder):
    assert (folder / "plugin.py").is_file()
    assert list((folder / "tests").rglob("test_*.py"))
    assert importlib.import_module(folder.name).__doc__


@every
def test_readme_has_the_six_headings(folder):
    text = (folder / "README.md").read_text()

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


@every
def test_readme_names_every_permission_setting_and_host(folder):
    text, plugin = (folder / "README.md").read_text(), manifest(folder)
    wanted = [f"{plugin.name}.{one.name}" for one in plugin.permissions]
    wanted += [one.name for one in (*plugin.settings, *plugin.cookies, *plugin.hosts)]

    assert [name for name in wanted if f"`{name}`" not in text] == []


@every
def test_entry_point_and_manifest_carry_the_name(folder):
    name = name_of(folder)

    assert POINTS["clarion.plugins"][name] == f"{folder.name}.plugin"
    assert isinstance(manifest(folder), Plugin)
    assert manifest(folder).name == name


@every
def test_plugin_speaks_for_itself(folder):
    """The docstring is what the console's plugin page shows."""
    module = importlib.import_module(f"{folder.name}.plugin")

    assert re.match(r"[A-Z][^:.]+: .+\.", module.__doc__ or "")


@having("models")
def test_tables_carry_the_name(folder):
    from clarion.base import walls

    importlib.import_module(f"{folder.name}.models")
    own = [
        t for t, model in walls.models().items() if model.__module__.startswith(folder.name)
    ]

    assert own
    assert [table for table in own if not table.startswith(f"{name_of(folder)}_")] == []


@every
def test_tables_have_a_history(folder):
    versions = list((folder / "migrations").glob("*.py"))

    assert bool(versions) == has(folder, "models")


@having("portal")
def test_pages_carry_the_name(folder):
    pages = importlib.import_module(f"{folder.name}.portal").pages

    assert pages.name == name_of(folder)
    assert pages.url_prefix == f"/{name_of(folder)}"


@every
@pytest.mark.parametrize("kind", ["templates", "static"])
def test_files_lie_in_a_folder_of_the_name(folder, kind):
    top = folder / kind
    found = [p.name for p in top.iterdir()] if top.exists() else [name_of(folder)]

    assert found == [name_of(folder)]


@having("events")
def test_events_carry_the_name(folder):
    from clarion.work.events import Event, check

    module = importlib.import_module(f"{folder.name}.events")
    own = [
        one
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, Event)
        and one.__module__ == module.__name__
    ]

    assert own
    for event in own:
        check(event)
        assert event.name.split(".")[0] == name_of(folder)


@every
def test_navigation_leads_to_own_pages(folder):
    for item in manifest(folder).nav:
        assert item.to.split(".")[0] == name_of(folder)


@every
def test_audit_names_carry_the_name(folder):
    """`audit.record("contacts.contact.added", …)`: a plugin writes under its own name only."""
    pattern = re.compile(r"audit\.(?:record|label)\(\s*[\"']([a-z_.]+)[\"']")
    written = [
        name
        for path in folder.rglob("*.py")
        if "tests" not in path.parts
        for name in pattern.findall(path.read_text())
    ]

    assert [name for name in written if name.split(".")[0] != name_of(folder)] == []
