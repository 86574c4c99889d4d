"""What was wrong in Flask-AppBuilder and beneath it once, asked of our console.

`docs/reference/advisories.md` says which test answers which advisory; a test sees to it
that each row names one. Here are those that no other test asks.
"""

import sys
from importlib.metadata import version

import pytest
from packaging.version import Version
from sqlalchemy import text

from clarion.base import db
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import system_scope
from clarion.testing.console import Browser
from clarion.web.tables import User

STOCK = (
    "login/", "login/google", "login/github?next=/console/", "logout/", "register/form",
    "register/activation/x", "oauth-authorized/google", "resetmypassword/form",
    "resetpassword/form?pk=1", "users/list/", "users/userinfo/", "userinfoeditview/form",
    "userstatschartview/chart/", "roles/list/", "permissions/list/", "lang/de", "back",
    "api/v1/security/login", "api/v1/security/refresh", "api/v1/security/users/",
    "api/v1/security/roles/", "api/v1/_openapi", "api/v1/menu/", "swagger/v1",
)  # fmt: skip
"""Where stock Flask-AppBuilder lets people in, changes passwords, draws and answers."""


@pytest.mark.parametrize("prefix", ["/", "/console/"])
def test_no_door_or_interface_of_stock_fab_is_there(web, ada, prefix):
    """OAuth, OpenID, REST sign-in, resets of passwords: nothing there to be wrong."""
    stranger, known = Browser(web), Browser(web).sign_in(ada)
    form = {"username": ada.email, "password": "x", "openid": "https://evil.example/"}

    for path in STOCK:
        answers = {
            stranger.get(prefix + path).status_code,
            known.get(prefix + path).status_code,
        }
        posted = known.client.post(prefix + path.partition("?")[0], data=form).status_code
        assert answers == {404}, path
        assert posted in (403, 404, 405), path


def test_no_library_of_another_way_in_is_loaded(web):
    other = {"authlib", "flask_openid", "ldap", "flask_oauthlib", "onelogin"}

    assert other.isdisjoint({name.partition(".")[0] for name in sys.modules})


@pytest.mark.parametrize("column", ["password", "fail_login_count", "created_by"])
def test_nobody_is_found_by_the_beginning_of_a_password(desk, column):
    """CVE-2022-31177: the hash was guessed letter by letter, by filter and by order."""
    assert desk.get("/console/staff/?_flt_0_email=staff-").status_code == 200

    asked = {
        desk.get(f"/console/staff/?_flt_{operator}_{column}=$argon2id$v=19").status_code
        for operator in range(8)
    }
    ordered = desk.get(f"/console/staff/?sort={column}").status_code

    assert (asked, ordered) == ({422}, 422)


def test_an_error_of_the_database_shows_no_statement(desk, monkeypatch):
    """CVE-2023-34110: the words of the database were flashed to whoever typed."""

    def broken(*_given):
        db.session().execute(text("SELECT nothing_there, 'a secret' FROM ab_user"))

    monkeypatch.setattr("clarion.console.staffing.member", broken)
    answer = desk.get("/console/staff/1")

    assert answer.status_code >= 500
    for word in ("nothing_there", "a secret", "SELECT", "psycopg", "ab_user"):
        assert word not in answer.text, word


def test_the_door_is_kept_in_no_cache(web, ada):
    """CVE-2024-45314: the page with the form, and what comes back from it."""
    browser = Browser(web)
    page = browser.get("/console/sign/in")
    wrong = browser.post("/console/sign/in", name=ada.email, password="wrong")
    away = Browser(web).sign_in(ada).get("/console/sign/in")

    for answer in (page, wrong, away):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Cookie" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80"]
)
def test_another_host_leads_nowhere(web, host):
    """CVE-2025-32962: the host of the request made the target of `next=` look like ours."""
    for path in ("/console/sign/in", "/console/", "/sign-in", "/"):
        asked = f"{path}?next=http://{host}/x"
        answer = Browser(web).client.get(asked, headers={"Host": host})

        assert answer.status_code == 400, path
        assert "Location" not in answer.headers
        assert host not in answer.text


def test_no_page_of_staff_shows_a_hash(desk, ada):
    with system_scope(COMMAND), db.transaction() as orm:
        stored = orm.get(User, ada.id).password
    assert stored.startswith("$argon2id$")

    for path in ("/console/staff/", f"/console/staff/{ada.id}"):
        assert "argon2" not in desk.get(path).text, path


def test_what_was_repaired_beneath_is_what_runs():
    """Flask CVE-2026-27205; Jinja CVE-2024-56326, CVE-2025-27516; FAB up to 5.2.2."""
    least = {"flask": "3.1.3", "jinja2": "3.1.6", "flask-appbuilder": "5.3.0"}

    for name, repaired in least.items():
        assert Version(version(name)) >= Version(repaired), name
