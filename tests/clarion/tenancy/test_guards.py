"""A plugin that may stop an act and cannot be asked keeps its gate shut."""

import pytest
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.plugging.manager import Plugins, Shut
from clarion.tenancy import guards
from clarion.tenancy.plugins import PluginGuard


@pytest.fixture
def ghost(database):
    """A guard of a plugin that is not loaded."""
    with db.apart(guards.SYSTEM) as orm:
        row = insert(PluginGuard).values(plugin="ghost", hooks=["before_sign_in"])
        orm.execute(row.on_conflict_do_nothing())
    yield "ghost"
    with db.apart(guards.SYSTEM) as orm:
        orm.execute(delete(PluginGuard).where(PluginGuard.plugin == "ghost"))


def test_its_act_does_not_happen_where_it_is_on(ghost):
    found = Plugins()
    found.guarded_by(guards.read)

    with pytest.raises(Shut) as refused:
        list(found.before("sign_in", lambda _name: True, person=None))

    assert refused.value.code == "plugin_shut"
    assert list(found.before("sign_in", lambda name: name != ghost, person=None)) == []


def test_other_acts_go_on(ghost):
    found = Plugins()
    found.guarded_by(guards.read)

    assert found.shut == {ghost: ["before_sign_in"]}


def test_one_that_was_switched_off_guards_nothing(ghost):
    found = Plugins(off=[ghost])
    found.guarded_by(guards.read)

    assert found.shut == {}


def test_the_release_step_forgets_what_is_not_installed_any_more(ghost):
    now = guards.keep()

    assert now["contacts"] == ["before_send"]
    assert guards.read() == now


def test_the_release_step_keeps_what_does_not_load(ghost, monkeypatch):
    from clarion.plugging.manager import Found, plugins

    broken = Found(ghost, "some-dist", "ghost.plugin", state="failed")
    monkeypatch.setitem(plugins().found, ghost, broken)

    guards.keep()

    assert guards.read()[ghost] == ["before_sign_in"]
