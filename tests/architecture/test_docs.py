"""What is written about the code is true: hooks, decisions, the reference."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from clarion.plugging import hookspecs

TOP = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location(
    "dev_reference", TOP / "dev" / "reference.py"
)
reference = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

HOOKS = reference.hooks()
IMPLEMENTERS = {
    "portal": TOP / "platform/clarion/portal/plugin.py",
    "console": TOP / "platform/clarion/console/plugin.py",
    "the example plugin": TOP / "tests/example_plugin/clarion_reminders/plugin.py",
    **{p.parent.name: p for p in (TOP / "plugins").glob("clarion_*/plugin.py")},
}
DECISIONS = sorted((TOP / "docs" / "decisions").glob("*.md"))


def test_at_most_fifteen_hooks():
    assert 0 < len(HOOKS) <= 15


def test_every_hook_has_a_kind():
    assert [h for h in HOOKS if h.partition("_")[0] not in reference.KINDS] == []


@pytest.mark.parametrize("name", HOOKS)
def test_hook_says_its_five_things(name):
    signature, sentence, said = HOOKS[name]

    assert sentence.endswith(".")
    assert tuple(said) == reference.HEADINGS
    assert all(said.values())
    assert signature


@pytest.mark.parametrize("name", HOOKS)
def test_hook_names_who_uses_it(name):
    said = HOOKS[name][2]["Used by"]
    there = {
        who for who, path in IMPLEMENTERS.items() if f"def {name}(" in path.read_text()
    }

    named = {who for who in IMPLEMENTERS if re.search(rf"(^|, ){who}(,|$)", said)}

    assert named == there


def test_heading_that_is_missing_is_found(monkeypatch):
    def before_lunch():
        """Veto lunch.

        When    at noon
        """

    before_lunch.clarion_spec = {}
    monkeypatch.setattr(hookspecs, "before_lunch", before_lunch, raising=False)

    with pytest.raises(ValueError, match="before_lunch"):
        reference.hooks()


@pytest.mark.parametrize("path", reference.PAGES)
def test_reference_is_current(path):
    """`python dev/reference.py` writes it."""
    assert (TOP / path).read_text() == reference.PAGES[path]()


def test_slots_of_pages_are_in_the_reference():
    said = HOOKS["render_slot"][2]["When"]
    drawn = {
        place
        for root in ("platform/clarion", "plugins")
        for path in (TOP / root).rglob("*.html")
        if "node_modules" not in path.parts
        for place in re.findall(r"\bslot\('(\w+)'", path.read_text())
    }

    assert drawn
    assert [place for place in drawn if f"`{place}`" not in said] == []


def test_decisions_are_numbered_and_titled():
    numbers = [int(path.name[:4]) for path in DECISIONS]

    assert numbers == list(range(1, len(numbers) + 1))
    for path in DECISIONS:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
        assert path.read_text().startswith("# ")
        assert "Decision" in path.read_text()


def links():
    pages = [
        *TOP.glob("*.md"),
        *(TOP / "docs").rglob("*.md"),
        *(TOP / "plugins").glob("*/*.md"),
    ]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not re.match(r"[a-z]+:", target):
                yield pytest.param(page, target, id=f"{page.name}-{target}")


@pytest.mark.parametrize(("source", "target"), links())
def test_links_lead_somewhere(source, target):
    assert (source.parent / target).exists()
