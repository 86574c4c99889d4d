"""The tables of who may come in, and of old advisories, name proofs that exist."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "reference" / "sign-in.md").read_text()
ROWS = re.findall(r"^\| ([A-Z]+-\d\d) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
OLD = (TOP / "docs" / "reference" / "advisories.md").read_text()
ADVISORIES = re.findall(
    r"^\| ((?:CVE|FAB) ?[\d.-]+)\*? \| (.+?) \| (.+) \|$", OLD, re.MULTILINE
)
TESTS = {
    name
    for path in (TOP / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
}


def test_every_requirement_has_a_row():
    wanted = [f"AUTH-{n:02}" for n in range(1, 17)]

    assert [number for number, _must, _proof in ROWS][:16] == wanted


def test_every_advisory_has_a_row():
    assert len({number for number, _what, _proof in ADVISORIES}) == 19
    assert len(ADVISORIES) == OLD.count("\n| CVE") + OLD.count("\n| FAB") == 19


@pytest.mark.parametrize(
    ("number", "proof"), [(row[0], row[2]) for row in (*ROWS, *ADVISORIES)]
)
def test_what_a_row_names_is_there(number, proof):
    named = re.findall(r"`(test_\w+)`", proof)

    assert named, number
    assert set(named) - TESTS == set()
