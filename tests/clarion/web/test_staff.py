"""Staff to Flask-AppBuilder: permissions by one command, one way in, limits."""

import re

import pytest
from sqlalchemy import delete, select

from clarion.base import clock, db
from clarion.base.limits import LimitCounter
from clarion.console import roles
from clarion.plugging.manager import plugins
from clarion.tenancy import audit, credentials
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import staff_scope
from clarion.testing.authenticator import options_in
from clarion.testing.console import PASSWORD, TOKEN, Browser, make_staff, statements, writes
from clarion.web import login, staff
from clarion.web.screens import Panel, Screen, expose, needs
from clarion.web.tables import (
    Permission,
    PermissionView,
    Role,
    User,
    ViewMenu,
    assoc_permissionview_role,
)

SYSTEM = db.Entry("clarion_system")


@pytest.fixture(scope="module")
def web(database):
    from clarion.web.app import joined, wrapped

    staff.sync()
    return wrapped(joined())


@pytest.fixture
def ada(web, clean):
    return make_staff("Admin")


def id_of(name):
    with staff_scope(COMMAND), db.transaction() as orm:
        return orm.scalar(select(Role.id).where(Role.name == name))


# --- permissions


def test_sync_writes_what_manifests_declare_and_then_nothing(web):
    declared = plugins().permissions("console")

    with statements() as run:
        answer = staff.sync()

    assert answer["permissions"] == len(declared)
    assert answer["added"] == 0
    assert writes(run) == []
    key = id_of("support")
    with staff_scope(COMMAND):
        has = roles.permissions_of([key])[key]
    assert has == {name for name, one in declared.items() if "support" in one.roles}


def test_sync_gives_what_is_new_and_leaves_what_people_arranged(ada):
    link = assoc_permissionview_role
    key = id_of("compliance")
    with staff_scope(COMMAND), db.transaction() as orm:
        pv = dict(
            orm.execute(
                select(Permission.name, PermissionView.id)
                .join(PermissionView, PermissionView.permission_id == Permission.id)
                .join(ViewMenu, ViewMenu.id == PermissionView.view_menu_id)
                .where(ViewMenu.name == "console")
            )
            .tuples()
            .all()
        )
        taken, forgotten = pv["can_people"], pv["can_audit"]
        orm.execute(
            delete(link).where(link.c.role_id == key, link.c.permission_view_id == taken)
        )
        orm.execute(delete(link).where(link.c.permission_view_id == forgotten))
        orm.execute(delete(PermissionView).where(PermissionView.id == forgotten))

    answer = staff.sync()

    with staff_scope(COMMAND):
        has = roles.permissions_of([key])[key]
    assert answer["added"] == 1
    assert "console.audit" in has
    assert "console.people" not in has
    with staff_scope(COMMAND), db.transaction():
        roles.change_permissions(key, {*has, "console.people"})


def test_a_web_process_writes_nothing_at_start(database):
    from clarion.web.console_app import create_console

    with statements() as run:
        create_console()

    assert run == []


def test_admin_may_what_is_declared_tomorrow(ada):
    assert staff.find(str(ada.id)).permissions == set(plugins().permissions("console"))


def test_names_of_permissions_go_both_ways():
    assert staff.pair("console.accounts_edit") == ("can_accounts_edit", "console")
    assert staff.full_name("can_accounts_edit", "console") == "console.accounts_edit"


def test_outside_a_request_nobody_has_access(database):
    from clarion.web.console_app import create_console

    app = create_console()
    with app.test_request_context():
        manager = app.appbuilder.sm
        assert manager.has_access("can_accounts", "console") is False
        assert manager.is_item_public("can_accounts", "console") is False
        assert manager.load_user_jwt({}, {"sub": "1"}) is None
        assert manager.validate_api_key("sst_x") is None


# --- what a screen must say


def test_a_screen_names_what_may_be_searched():
    with pytest.raises(TypeError, match="search_columns"):
        type("ConsoleOpenScreen", (Screen,), {"model": User})


def test_a_view_says_who_may_call_it(database):
    from clarion.web.console_app import create_console

    class ConsoleOpenPanel(Panel):
        route_base = "/open"

        @expose("/")
        def index(self):
            return "open"

    class WrongNamePanel(Panel):
        route_base = "/wrong"

        @expose("/")
        @needs("console.overview")
        def index(self):
            return "wrong"

    app = create_console()
    with app.app_context():
        with pytest.raises(TypeError, match="@needs or @public"):
            app.appbuilder.add("console", ConsoleOpenPanel)
        with pytest.raises(TypeError, match="begin with Console"):
            app.appbuilder.add("console", WrongNamePanel)


# --- the door


def knock(browser, name, password):
    return browser.post("/console/sign/in", name=name, password=password)


def bare(answer):
    """What an answer says, without what differs for every request."""
    text = re.sub(r'(csrf[-_]token" (content|value)=)"[^"]*"', r"\1", answer.text)
    text = re.sub(r"(challenge&#34;: &#34;)[\w-]+", r"\1", text)
    text = re.sub(r'(id="name"[^>]*value=)"[^"]*"', r"\1", text)
    return answer.status_code, text, set(answer.headers.keys())


def test_wrong_answers_are_alike(web, ada):
    disabled = make_staff("support")
    with staff_scope(COMMAND), db.transaction() as orm:
        orm.get(User, disabled.id).active = False

    known = knock(Browser(web), ada.email, "wrong password")
    unknown = knock(Browser(web), "nobody@example.org", "wrong password")
    shut = knock(Browser(web), disabled.email, PASSWORD)

    assert bare(known) == bare(unknown) == bare(shut)
    assert known.status_code == 422
    assert "Name or password is wrong." in known.text


def test_wrong_answers_cost_the_same_work(web, ada, monkeypatch):
    asked = []
    matches = credentials.matches
    monkeypatch.setattr(
        credentials, "matches", lambda *given: asked.append(given) or matches(*given)
    )

    knock(Browser(web), ada.email, "wrong password")
    knock(Browser(web), "nobody@example.org", "wrong password")

    assert len(asked) == 2
    assert asked[0][0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert asked[1][0] == ""


def test_a_weaker_hash_is_made_anew_at_the_door(web, ada):
    from argon2 import PasswordHasher

    with staff_scope(COMMAND), db.transaction() as orm:
        weak = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(PASSWORD)
        orm.get(User, ada.id).password = weak

    assert knock(Browser(web), ada.email, PASSWORD).status_code == 302

    with staff_scope(COMMAND), db.transaction() as orm:
        assert orm.get(User, ada.id).password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_user_name_signs_in_too_in_any_case(web, ada):
    assert knock(Browser(web), ada.email.upper(), PASSWORD).status_code == 302


@pytest.mark.parametrize(
    ("name", "password"), [("", ""), ("a", ""), ("", "b"), ("a\0b", "x")]
)
def test_odd_input_is_refused(web, clean, name, password):
    assert knock(Browser(web), name, password).status_code == 422


def test_an_endless_password_is_refused_quickly(web, ada):
    assert knock(Browser(web), ada.email, "x" * 100_000).status_code == 422


def test_guessing_is_stopped_and_the_owner_elsewhere_comes_in(web, ada):
    with clock.freeze():
        guesser = Browser(web, "198.51.100.7")
        answers = [knock(guesser, ada.email, f"guess {n}").status_code for n in range(13)]
        assert answers[:10] == [422] * 10
        assert answers[10:] == [429] * 3
        assert knock(guesser, ada.email, PASSWORD).status_code == 429

        assert knock(Browser(web, "203.0.113.50"), ada.email, PASSWORD).status_code == 302

        clock.advance(minutes=16)
        assert knock(guesser, ada.email, PASSWORD).status_code == 302


def test_spraying_from_one_network_is_stopped(web, ada, monkeypatch):
    monkeypatch.setattr(credentials, "matches", lambda *_: False)  # only the count matters
    with clock.freeze():
        browser = Browser(web, "198.51.100.8")
        token = browser.token("/console/sign/in")
        codes = []
        for n in range(52):
            answer = browser.client.post(
                "/console/sign/in",
                data={"name": f"n{n}@example.org", "password": "x", "csrf_token": token},
                environ_base={"REMOTE_ADDR": f"198.51.100.{n}"},
            )
            codes.append(answer.status_code)

    assert codes.count(429) == 2
    with db.apart(SYSTEM) as orm:
        orm.execute(delete(LimitCounter))


def test_every_attempt_is_in_the_log(web, ada):
    knock(Browser(web), ada.email, "wrong password")
    Browser(web).sign_in(ada)

    with db.apart(SYSTEM) as orm:
        query = select(AuditEntry).where(AuditEntry.row == f"ab_user:{ada.id}")
        found = {d.name: d for d in orm.scalars(query)}
    assert found["console.staff.refused"].actor == "nobody"
    assert found["console.staff.signed_in"].actor == f"staff:{ada.id}"
    assert found["console.staff.signed_in"].address == "203.0.113.0"
    assert audit.words("console.staff.signed_in") == "Signed in to the console"


@pytest.mark.parametrize(
    ("onward", "leads_to"),
    [
        ("/console/accounts/", "/console/accounts/"),
        ("/console/log/?account=x", "/console/log/?account=x"),
        ("/", "/console/"),
        ("https://evil.example/", "/console/"),
        ("//evil.example/console/", "/console/"),
        ("/\\evil.example", "/console/"),
        ("/console/\r\nX: y", "/console/"),
        ("", "/console/"),
    ],
)
def test_signing_in_leads_on_within_the_console(web, ada, onward, leads_to):
    browser = Browser(web)
    page = browser.get("/console/sign/in").text
    shown = {
        "credential": ada.device.get(options_in(page)),
        "csrf_token": TOKEN.search(page)[1],
    }

    answer = browser.client.post(
        "/console/sign/in/passkey", query_string={"next": onward}, data=shown
    )

    assert answer.headers["Location"] == leads_to


def test_signing_out_takes_a_post_and_ends_it(web, ada):
    browser = Browser(web).sign_in(ada)
    key = browser.cookie("clarion-console")
    assert browser.get("/console/sign/out").status_code == 405
    assert browser.get("/console/").status_code == 200

    browser.post("/console/sign/out", "/console/")

    thief = Browser(web)
    thief.client.set_cookie("clarion-console", key)
    assert thief.get("/console/").status_code == 302


def test_an_idle_session_ends_after_half_an_hour(web, ada):
    with clock.freeze():
        browser = Browser(web).sign_in(ada)
        clock.advance(minutes=29)
        assert browser.get("/console/").status_code == 200
        clock.advance(minutes=31)
        assert browser.get("/console/").status_code == 302


def test_a_raised_epoch_and_an_unknown_key_open_nothing(web, ada):
    from clarion.tenancy.models import StaffProfile

    browser = Browser(web).sign_in(ada)
    with staff_scope(COMMAND), db.transaction() as orm:
        orm.get(StaffProfile, ada.id).session_epoch += 1

    assert browser.get("/console/").status_code == 302
    assert staff.find("999999") is None
    assert staff.find("x") is None


def test_permissions_come_with_a_group_too(web, clean):
    from clarion.web.tables import Group, assoc_group_role, assoc_user_group

    who = make_staff()
    with staff_scope(COMMAND), db.transaction() as orm:
        group = Group(name=f"g{who.id}", label="Night", description="")
        orm.add(group)
        orm.flush()
        orm.execute(
            assoc_group_role.insert().values(group_id=group.id, role_id=id_of("support"))
        )
        orm.execute(assoc_user_group.insert().values(group_id=group.id, user_id=who.id))

    assert "console.accounts" in staff.find(str(who.id)).permissions
    assert staff.find(str(who.id)).roles == ("support",)


def test_the_session_names_no_browser_and_no_address_in_full(web, ada):
    from clarion.base import crypto
    from clarion.tenancy.models import ConsoleSession

    browser = Browser(web).sign_in(ada)

    key = crypto.digest(browser.cookie("clarion-console"))
    with db.apart(SYSTEM) as orm:
        row = orm.scalar(select(ConsoleSession).where(ConsoleSession.id_hash == key))
    assert (row.device, row.address) == (
        "Chrome on Windows",
        login.truncated("203.0.113.9"),
    )
    assert "Mozilla" not in str(row.data)
