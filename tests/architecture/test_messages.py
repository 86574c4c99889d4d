"""Catalogues: every language Clarion speaks has every sentence, and nothing else."""

import ast
import importlib
import importlib.util
import shutil
from pathlib import Path

import pytest

from clarion import boot
from clarion.tenancy import audit

TOP = Path(__file__).resolve().parents[2]


def load():
    """The keeper of catalogues is a script beside the others in dev/."""
    place = TOP / "dev" / "messages.py"
    spec = importlib.util.spec_from_file_location("dev_messages", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


messages = load()
WORDS = ("flask_babel", "clarion.base.words")
LABELLING = [
    *(f"clarion.console.{name}" for name in ("service", "staffing", "roles", "backups")),
    *(f"clarion_{name}.service" for name in ("contacts", "campaigns", "templates")),
    "clarion.portal.service",
]
PAIRS = [(root, path) for root in messages.roots() for path in messages.catalogues(root)]


def language(path):
    return path.parents[1].name


@pytest.mark.parametrize(
    ("root", "path"),
    PAIRS,
    ids=[f"{root.name}-{language(path)}" for root, path in PAIRS],
)
def test_a_catalogue_is_complete(root, path):
    """Run `make messages`, then translate what it lists."""
    assert messages.faults(root, path) == []


def test_a_language_is_spoken_everywhere_or_nowhere():
    spoken = {
        root.name: {language(p) for p in messages.catalogues(root)} for root, _ in PAIRS
    }

    assert {frozenset(some) for some in spoken.values()} == {frozenset({"de"})}
    assert set(spoken) == {root.name for root in messages.roots()}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda c: c.delete("Contacts"), "not in the catalogue: 'Contacts'"),
        (lambda c: c.add("Nobody says this", "x"), "said nowhere: 'Nobody says this'"),
        (lambda c: setattr(c["Contacts"], "string", ""), "not translated: 'Contacts'"),
        (
            lambda c: setattr(c["%(name)s was added."], "string", "%(nam)s ist da."),
            "other places to fill: '%(name)s was added.'",
        ),
    ],
)
def test_faults_are_found(change, fault, tmp_path):
    root = TOP / "plugins/clarion_contacts"
    copy = tmp_path / "de" / "LC_MESSAGES" / "messages.po"
    copy.parent.mkdir(parents=True)
    shutil.copy(messages.catalogue(root, "de"), copy)
    catalog = messages._read(copy)
    change(catalog)
    messages._write(copy, catalog)

    assert messages.faults(root, copy) == [fault]


def test_bringing_up_to_date_changes_nothing_that_is_up_to_date(tmp_path):
    for root in messages.roots():
        copy = tmp_path / root.name / "de" / "LC_MESSAGES" / "messages.po"
        copy.parent.mkdir(parents=True)
        shutil.copy(messages.catalogue(root, "de"), copy)
        messages.update(root, copy)

        assert copy.read_bytes() == messages.catalogue(root, "de").read_bytes()


def test_sentences_of_pages_code_and_manifests_are_all_found():
    contacts = TOP / "plugins/clarion_contacts"
    found = {
        m.id if isinstance(m.id, str) else m.id[0] for m in messages.template(contacts)
    }

    assert "Nobody is here yet" in found  # a page
    assert "The field was removed, and %(num)s value with it." in found  # code, with plural
    assert "Deleted a contact" in found  # a label of the log
    assert "See contacts" in found  # a permission
    assert (
        "The people an account may message, and proof that it may." in found
    )  # what it is


def test_every_label_of_the_log_is_found():
    """A label that is made in a loop is not: write each one out."""
    boot.boot()
    for module in LABELLING:
        importlib.import_module(module)
    found = {m.id for root in messages.roots() for m in messages.template(root)}

    assert len(audit._labels) > 60
    ours = {n: w for n, w in audit._labels.items() if not n.startswith("reminders.")}
    assert {name: words for name, words in ours.items() if words not in found} == {}


def test_no_sentence_is_marked_by_another_name():
    """What is called otherwise would not be found."""
    marks = {"gettext", "ngettext", "lazy_gettext", "lazy", "_"}
    sources = [p for top in ("platform", "plugins") for p in (TOP / top).rglob("*.py")]
    aliases = {
        (str(path), one.asname)
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in WORDS
        for one in node.names
        if one.name in marks and one.asname not in {None, *messages.FUNCTIONS}
    }

    assert len(sources) > 200
    assert aliases == set()
