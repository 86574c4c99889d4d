"""The table of faults is complete, and every proof it names exists."""

import re
from pathlib import Path

import pytest

from clarion.base import crash

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "reference" / "faults.md").read_text()
ROWS = re.findall(r"^\| ((?:F|SND-)\d\d) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
WANTED = [f"F{n:02}" for n in range(1, 45)] + [f"SND-{n:02}" for n in range(1, 28)]
FOLDERS = [TOP / "tests", *(TOP / "plugins").glob("clarion_*/tests")]
TESTS = {
    name
    for folder in FOLDERS
    for path in folder.rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
}
STORM = "".join(
    (TOP / "tests" / "faultlab" / f"{name}.py").read_text() for name in ("storm", "rescue")
)


def test_every_fault_and_requirement_has_a_row():
    assert [number for number, _fault, _proof in ROWS] == WANTED


@pytest.mark.parametrize(("number", "proof"), [(row[0], row[2]) for row in ROWS])
def test_what_a_row_names_is_there(number, proof):
    tests = re.findall(r"`(test_\w+)`", proof)
    strikes = re.findall(r"storm `(\w+)`", proof)
    figures = re.findall(r"bench `(\w+)`", proof)

    assert set(tests) <= TESTS, number
    assert [one for one in strikes if f"def {one}(" not in STORM] == []
    assert [one for one in figures if not (TOP / "bench" / f"{one}.py").exists()] == []
    assert tests or strikes or re.search(r"\*(open|later)\*", proof), number


def test_every_point_at_which_a_process_may_die_is_there():
    table = PAGE.partition("## Where a process may die")[2]
    points = set(re.findall(r"\b(?:after_\w+|composing)\b", table))

    assert points == crash.POINTS
    assert set(re.findall(r"`(test_\w+)`", table)) <= TESTS
