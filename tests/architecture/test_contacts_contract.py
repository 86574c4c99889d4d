"""Other plugins use contacts by their contract, which changes with its version only."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from clarion_contacts import contract

TOP = Path(__file__).resolve().parents[2]
OPEN = {"clarion_contacts.contract", "clarion_contacts.events"}
SHAPES = TOP / "tests/architecture/contracts"
_spec = importlib.util.spec_from_file_location(
    "dev_reference_shape", TOP / "dev" / "reference.py"
)
reference = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


def outsiders():
    """Everything that uses contacts and is not contacts: plugins, example, seed."""
    roots = [p for p in (TOP / "plugins").glob("clarion_*") if p.name != "clarion_contacts"]
    files = [
        *(p for root in roots for p in root.rglob("*.py") if "tests" not in p.parts),
        *(TOP / "tests/example_plugin/clarion_reminders").rglob("*.py"),
        TOP / "dev/seed.py",
    ]
    return sorted(p for p in files if "clarion_contacts" in p.read_text())


def imported(text):
    """Name the modules of contacts that a source imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("clarion_contacts"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "clarion_contacts"
        ):
            if node.module == "clarion_contacts":
                yield from (f"clarion_contacts.{a.name}" for a in node.names)
            else:
                yield node.module


def test_somebody_uses_contacts():
    assert len(outsiders()) > 5


@pytest.mark.parametrize("path", outsiders(), ids=lambda p: p.relative_to(TOP).as_posix())
def test_others_import_the_contract_and_events_only(path):
    assert [name for name in imported(path.read_text()) if name not in OPEN] == []


@pytest.mark.parametrize(
    "line",
    [
        "from clarion_contacts import service",
        "from clarion_contacts.service import find",
        "import clarion_contacts.models",
        "from clarion_contacts.service.people import get",
    ],
)
def test_deeper_imports_are_found(line):
    assert [name for name in imported(line) if name not in OPEN]


def test_the_shape_is_that_of_its_version():
    """A changed line breaks who uses it: raise `VERSION` and write the shape down anew.

    `python dev/reference.py` writes it for a version that has none yet; a line that was
    only added may be added to the file by hand.
    """
    path = SHAPES / f"contacts-{contract.VERSION}.txt"

    assert path.read_text().splitlines() == reference.contract_shape(contract).splitlines()
