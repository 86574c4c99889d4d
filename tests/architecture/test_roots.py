"""The two source roots stay roots: nothing in them hides what belongs to Python."""

import subprocess
import sys
import sysconfig
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_roots_are_no_packages():
    for root in ("platform", "plugins"):
        assert (TOP / root).is_dir()
        assert not (TOP / root / "__init__.py").exists()


def test_platform_is_pythons_own():
    """Also from the top of the checkout, where our folder lies beside the program."""
    code = "import platform, clarion; print(platform.__file__); print(clarion.__file__)"

    told = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True
    )

    python, ours = told.stdout.splitlines()
    assert Path(python).parent == Path(sysconfig.get_path("stdlib"))
    assert Path(ours) == TOP / "platform" / "clarion" / "__init__.py"


def test_no_folder_of_tests_is_called_platform():
    found = [p for p in (TOP / "tests").rglob("platform") if p.is_dir()]

    assert found == []


def test_wsgi_is_the_only_program_at_the_top():
    """A `build.py` there would take the place of the build tool."""
    assert [p.name for p in TOP.glob("*.py")] == ["wsgi.py"]
