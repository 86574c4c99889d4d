"""Notices when an upgrade of Flask-AppBuilder changes a template whose name we use.

After reading what moved: python tests/clarion/console/test_fab_guard.py writes new sums.
"""

import hashlib
import json
from pathlib import Path

import flask_appbuilder

import clarion.console

HERE = Path(__file__).parent
STOCK = Path(flask_appbuilder.__file__).parent / "templates"
OURS = Path(clarion.console.__file__).parent / "templates"
KNOWN = HERE / "fab_templates.json"


def current():
    names = sorted(
        p.relative_to(OURS).as_posix() for p in OURS.glob("appbuilder/**/*.html")
    )
    return {
        name: hashlib.sha256((STOCK / name).read_bytes()).hexdigest()[:16]
        for name in names
        if (STOCK / name).exists()
    }


def test_templates_we_replace_are_unchanged_upstream():
    assert current() == json.loads(KNOWN.read_text())


def test_every_replacement_has_a_counterpart():
    names = [p.relative_to(OURS) for p in OURS.glob("appbuilder/**/*.html")]

    assert [n.as_posix() for n in names if not (STOCK / n).exists()] == []
    assert len(names) == len(json.loads(KNOWN.read_text()))


def test_the_version_is_the_one_that_was_read():
    assert flask_appbuilder.__version__.startswith("5.3.")


if __name__ == "__main__":
    KNOWN.write_text(json.dumps(current(), indent=1) + "\n")
