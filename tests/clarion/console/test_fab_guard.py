"""Notices when an upgrade of Flask-AppBuilder changes a template whose name we use.

After reading what moved: python tests/clarion/console/test_fab_guard.py writes new sums.
"""

import hashlib
import json
from pathlib import Path

import flask_appbuilder
from jinja2 import TemplateNotFound

import clarion.console

HERE = Path(__file__).parent
STOCK = Path(flask_appbuilder.__file__).parent / "templates"
OURS = Path(clarion.console.__file__).parent / "templates"
KNOWN = HERE / "fab_templates.json"


COUNTERPARTS = (
    "appbuilder/general/security/login_db.html",  # console/sign_in.html
    "appbuilder/general/security/activation.html",
    "appbuilder/general/model/add.html",
    "appbuilder/general/model/edit.html",
    "appbuilder/general/model/show_cascade.html",
    "appbuilder/general/lib.html",
    "appbuilder/general/widgets/list.html",
    "appbuilder/general/widgets/search.html",
    "appbuilder/general/widgets/show.html",
    "appbuilder/general/charts/chart.html",
    "appbuilder/base.html",
    "appbuilder/init.html",
    "appbuilder/navbar.html",
    "appbuilder/index.html",
)
"""Stock templates whose part pages of ours under other names play, or that are shut out."""


def current():
    own = [p.relative_to(OURS).as_posix() for p in OURS.glob("appbuilder/**/*.html")]
    names = sorted({*own, *COUNTERPARTS})
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
    assert {n.as_posix() for n in names} | set(COUNTERPARTS) == set(current())


def test_what_fab_would_draw_is_ours_or_not_there(console):
    """From the door to charts: no stock template can be loaded under any name."""
    ours = {p.relative_to(OURS).as_posix() for p in OURS.glob("appbuilder/**/*.html")}
    stock = [p.relative_to(STOCK).as_posix() for p in STOCK.rglob("*.html")]
    reached = []
    for name in stock:
        try:
            found = console.jinja_env.get_template(name)
        except TemplateNotFound:
            continue
        reached.append(name)
        assert Path(found.filename).is_relative_to(OURS), name
    assert set(reached) == ours
    assert len(stock) > 40


def test_the_version_is_the_one_that_was_read():
    assert flask_appbuilder.__version__.startswith("5.3.")


if __name__ == "__main__":
    KNOWN.write_text(json.dumps(current(), indent=1) + "\n")
