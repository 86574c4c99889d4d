"""Roles: seeded, compared, changed as a whole, and what they are worth at once."""

import csv
import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, delete, select, text

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden
from clarion.cli import clarion
from clarion.console import role_matrix, roles, staffing
from clarion.plugging.manager import plugins
from clarion.plugging.manifest import Permission as Declared
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.scope import staff_scope
from clarion.testing.console import Browser, make_role, make_staff
from clarion.web import staff
from clarion.web.tables import Permission, PermissionView, Role

STAFF = db.Entry("clarion_staff", None, "test")


def acting(who):
    member = staff.find(str(who.id))
    role = ", ".join(member.roles)
    return staff_scope(
        Actor("staff", str(who.id), member.name, role=role, permissions=member.permissions)
    )


def id_of(name):
    with db.apart(STAFF) as orm:
        return orm.scalar(select(Role.id).where(Role.name == name))


def ticked(html):
    """What a browser would send of the matrix, were it sent as it is."""
    boxes = re.findall(r"<input[^>]*>", html)
    mine = [box for box in boxes if 'name="may"' in box]
    sent = [box for box in mine if "checkbox" not in box or " checked" in box]
    assert len(sent) < len(mine)
    return [re.search(r'value="([^"]+)"', box)[1] for box in sent]


def test_every_role_of_the_platform_is_there(web):
    with db.apart(STAFF) as orm:
        names = set(orm.scalars(select(Role.name)))

    assert {staff.ADMIN, *staff.SEEDED} <= names
    assert set(staff.SEEDED) == {
        "owner", "operations", "support", "compliance", "billing", "content",
    }  # fmt: skip


@pytest.mark.parametrize("role", staff.HIGHEST)
def test_the_two_highest_come_from_the_command_line_only(ada, role):
    bo = make_staff("support")
    with acting(ada), db.transaction():
        with pytest.raises(Forbidden):
            staffing.change_roles(bo.id, ["support", role])
        with pytest.raises(Forbidden):
            staffing.add(f"x-{role}@example.org", "X", [role])
        assert role not in roles.role_names()

    said = CliRunner().invoke(
        clarion, ["staff", "roles", "--email", bo.email, "--give", role]
    )

    assert said.output.split() == sorted([role, "support"])
    with acting(ada), db.transaction():
        staffing.change_roles(bo.id, [role, "billing"])  # what stays is not given
        with pytest.raises(Forbidden):
            staffing.change_roles(bo.id, ["billing"])
        with pytest.raises(Conflict):
            roles.change_permissions(id_of(role), {"console.people"})
    assert staffing.arrange_roles(bo.email, take=[role]) == ["billing"]


def test_a_change_is_known_at_the_next_click(desk, web):
    name = make_role("console.accounts")
    theirs = Browser(web).sign_in(make_staff(name))
    assert theirs.get("/console/people/").status_code == 403
    page = "/console/matrix/"
    html = desk.get(page).text
    seen = re.search(r'name="seen" value="(\w+)"', html)[1]
    key = id_of(name)
    wanted = [*ticked(html), f"{key}:console.people"]

    answer = desk.post("/console/matrix/change", page, seen=seen, may=wanted)

    assert answer.status_code == 303
    assert theirs.get("/console/people/").status_code == 200
    with staff_scope(COMMAND), db.transaction():
        roles.change_permissions(key, set())
    assert theirs.get("/console/people/").status_code == 403
    assert theirs.get("/console/accounts/").status_code == 403


def test_the_matrix_as_it_was_shown_changes_nothing(desk, web):
    page = "/console/matrix/"
    html = desk.get(page).text
    with db.apart(STAFF) as orm:
        ids = list(orm.scalars(select(Role.id)))
    with staff_scope(COMMAND):
        before = roles.permissions_of(ids)
    seen = re.search(r'name="seen" value="(\w+)"', html)[1]

    desk.post("/console/matrix/change", page, seen=seen, may=ticked(html))

    with staff_scope(COMMAND):
        assert roles.permissions_of(ids) == before


def test_a_matrix_that_is_old_is_not_saved(ada):
    key = id_of(make_role("console.accounts"))
    with acting(ada), db.transaction():
        seen = role_matrix.version()
    with staff_scope(COMMAND), db.transaction():
        roles.change_permissions(key, {"console.people"})

    with acting(ada), db.transaction(), pytest.raises(Conflict) as refused:
        role_matrix.change({key: set()}, seen)

    assert refused.value.code == "roles_changed"
    with staff_scope(COMMAND):
        assert roles.permissions_of([key])[key] == {"console.people"}


def test_two_roles_side_by_side(desk):
    left, right = (
        make_role("console.accounts", "console.people"),
        make_role("console.people"),
    )

    html = desk.get(f"/console/matrix/compare?left={id_of(left)}&other={id_of(right)}").text

    assert html.count(f"only {left}") == 1
    assert f"only {right}" not in html
    assert (
        "Both may the same."
        in desk.get(f"/console/matrix/compare?left={id_of('billing')}").text
    )
    assert desk.get("/console/matrix/compare?left=999999").status_code == 404


def test_the_matrix_is_taken_away_as_a_file(desk):
    answer = desk.post("/console/matrix/export", "/console/roles/", kind="csv")

    assert "attachment" in answer.headers["Content-Disposition"]
    table = list(csv.reader(io.StringIO(answer.text)))
    column = table[0].index("billing")
    mine = {row[0] for row in table[1:] if row[column]}
    billing = ("accounts", "plans_edit", "prices", "prices_edit")
    assert mine == {f"console.{name}" for name in billing}
    assert desk.get("/console/matrix/export").status_code == 405
    assert "Downloaded the matrix of roles" in desk.get("/console/log/").text
    rows = desk.post("/console/matrix/export", "/console/roles/", kind="json").json
    assert (
        "billing"
        in next(
            one for one in rows["permissions"] if one["permission"] == "console.prices"
        )["seeded"]
    )


@pytest.fixture
def nothing_left():
    """Take away what was stored for a plugin of this test alone."""
    yield
    with staff_scope(COMMAND), db.transaction() as orm:
        view = select(PermissionView.id).join(Permission)
        gone = view.where(Permission.name.in_(("can_count", "can_gone")))
        ids = orm.scalars(gone).all()
        link = roles.assoc_permissionview_role
        orm.execute(delete(link).where(link.c.permission_view_id.in_(ids)))
        orm.execute(delete(PermissionView).where(PermissionView.id.in_(ids)))


@pytest.mark.usefixtures("nothing_left")
def test_a_plugins_permission_appears_with_its_words(desk, ada, monkeypatch):
    found = plugins().found["contacts"]
    new = Declared(
        "count", "Count everybody's contacts", realm="console", roles=("support",)
    )
    known = (*found.plugin.permissions, new)
    monkeypatch.setattr(found, "plugin", replace(found.plugin, permissions=known))

    assert "Count everybody" in desk.get("/console/roles/").text
    key = id_of("billing")
    with acting(ada), db.transaction(), pytest.raises(Conflict) as refused:
        roles.change_permissions(key, {"contacts.count"})
    assert refused.value.code == "permission_not_stored"

    staff.sync()
    with staff_scope(COMMAND):
        assert (
            "contacts.count" in roles.permissions_of([id_of("support")])[id_of("support")]
        )


@pytest.mark.usefixtures("nothing_left")
def test_what_a_plugin_that_is_gone_left_behind_stands_in_nobodys_way(ada, monkeypatch):
    """Roles keep what it had; nobody has it any more, the highest neither."""
    found = plugins().found["contacts"]
    old = Declared("gone", "Do something", realm="console", roles=("compliance",))
    with monkeypatch.context() as while_there:
        known = (*found.plugin.permissions, old)
        while_there.setattr(found, "plugin", replace(found.plugin, permissions=known))
        staff.sync()
    bo = make_staff("compliance")
    assert "contacts.gone" in staff.find(str(bo.id)).permissions

    with acting(ada), db.transaction():
        assert "compliance" in roles.role_names()
        staffing.change_roles(bo.id, ["compliance", "support"])
        staffing.disable(bo.id)


def test_many_upgrades_at_once_store_each_permission_once(web):
    with staff_scope(COMMAND), db.transaction() as orm:
        view = select(PermissionView.id).join(Permission)
        lost = orm.scalars(view.where(Permission.name == "can_plugins_edit")).all()
        link = roles.assoc_permissionview_role
        orm.execute(delete(link).where(link.c.permission_view_id.in_(lost)))
        orm.execute(delete(PermissionView).where(PermissionView.id.in_(lost)))
        orm.execute(delete(Permission).where(Permission.name == "can_plugins_edit"))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: staff.sync(), range(6)))

    assert sorted(one["added"] for one in answers) == [0, 0, 0, 0, 0, 1]


START = """
import os
import clarion.web.console_app, clarion.web.portal_app
from clarion.web.app import create_app
ready, go = os.pipe()
children = []
for _ in range(8):
    if not (pid := os.fork()):
        os.close(go)
        os.read(ready, 1)  # all begin when the parent closes its end
        create_app()
        os._exit(0)
    children.append(pid)
os.close(go)
print([os.waitpid(pid, 0)[1] for pid in children])
"""


def test_eight_web_processes_start_at_once_and_write_nothing(web, database):
    """Eight, as a server forks them; what is counted are the rows of the whole database."""
    engine = create_engine(database.superuser_url)

    def written():
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_stat_force_next_flush()"))
            counted = "sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del)"
            query = text(f"SELECT {counted} FROM pg_stat_user_tables")
            return tuple(connection.execute(query).one())

    db.reset_engine()  # connections of other tests hand in what they wrote
    before = written()

    done = subprocess.run(
        [sys.executable, "-c", START], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == str([0] * 8)
    assert written() == before
    engine.dispose()
