"""The import contracts name every plugin; import-linter itself runs in `make check`."""

import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PLUGINS = {p.name for p in (TOP / "plugins").glob("clarion_*") if p.is_dir()}
CONFIG = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {c["name"].partition(".")[0]: c for c in CONFIG["contracts"]}
FACES = ("models", "records", "portal", "api", "jobs")


def names(layers):
    """The modules that a list of layers speaks of."""
    marks = str.maketrans("|:()", "    ")
    return {name for layer in layers for name in layer.translate(marks).split()}


def exists(module):
    path = TOP / "plugins" / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


BUILT_UPON = names(CONTRACTS["4"]["layers"][1:])
BUILDING = names(CONTRACTS["4"]["layers"][:1])


def test_all_plugins_are_read():
    assert set(CONFIG["root_packages"]) == PLUGINS | {"clarion"}


def test_core_imports_none_of_them():
    assert set(CONTRACTS["2"]["forbidden_modules"]) == PLUGINS


def test_all_have_the_shape():
    assert set(CONTRACTS["3"]["containers"]) == PLUGINS


def test_all_others_stand_alone():
    others = PLUGINS - BUILT_UPON - BUILDING

    assert set(CONTRACTS["6"]["modules"]) == others
    assert set(CONTRACTS["7"]["source_modules"]) == others
    assert set(CONTRACTS["7"]["forbidden_modules"]) == BUILT_UPON | BUILDING


def test_tables_and_faces_are_closed():
    there = {f"{p}.{face}" for p in BUILT_UPON for face in FACES if exists(f"{p}.{face}")}

    assert set(CONTRACTS["8"]["protected_modules"]) == there


def test_simulator_shares_nothing():
    plugin = "clarion_whatsapp_cloud"
    parts = ("wire", "answers", "transport", "onboarding")
    there = {f"{plugin}.{part}" for part in parts if exists(f"{plugin}.{part}")}

    assert set(CONTRACTS["13"]["forbidden_modules"]) == there | {"clarion"}


@pytest.mark.parametrize("number", ["9", "10", "11"])
def test_rooms_named_in_a_contract_exist(number):
    """A contract about a module that is gone would hold for ever."""
    named = [m for m in CONTRACTS[number]["source_modules"] if not m.startswith("*")]

    for module in named:
        path = TOP / "platform" / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or path.is_dir(), module
