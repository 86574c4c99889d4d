"""The manager: a broken plugin is named with its reason, and the others start."""

import importlib.metadata
import sys
from textwrap import dedent

import pytest

from clarion.plugging.manager import API, PluginError, Plugins, Shut

GOOD = """
    from clarion.plugging import Plugin, hookimpl

    plugin = Plugin(name="{name}", title="{name}"{more})

    @hookimpl
    def render_slot(place, context):
        return "{name} at " + place
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put throw-away distributions where Python finds them, and nothing else of ours."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def add(name, code=None, *, more="", entry=None, dist=None):
        module = f"throwaway_{name}_{len(made)}"
        text = dedent(code if code is not None else GOOD).format(name=name, more=more)
        (tmp_path / f"{module}.py").write_text(text)
        about = tmp_path / f"{dist or module}-1.0.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {dist or module}\nVersion: 1.0\n"
        )
        points = about / "entry_points.txt"
        head = points.read_text() if points.exists() else "[clarion.plugins]\n"
        points.write_text(f"{head}{entry or name} = {module}\n")
        made.append(module)

    bundled = importlib.metadata.entry_points

    def ours_only(**chosen):
        return [e for e in bundled(**chosen) if e.value in made]

    monkeypatch.setattr(importlib.metadata, "entry_points", ours_only)
    yield add
    for module in made:
        sys.modules.pop(module, None)


def states(found):
    return {name: one.state for name, one in found.found.items()}


def names(found):
    return [one.name for one in found.loaded()]


def error(found, name):
    return found.found[name].error


def test_plugin_is_found_by_its_entry_point(install):
    install("alpha")

    found = Plugins()

    [one] = found.loaded()
    assert (one.name, one.state, one.dist) == ("alpha", "loaded", "throwaway_alpha_0")
    assert one.hooks == ("render_slot",)
    assert one.load_ms > 0


def test_order_is_that_of_requires(install):
    install("alpha", more=', requires=("gamma",)')
    install("beta")
    install("gamma", more=', requires=("beta",)')

    assert names(Plugins()) == ["beta", "gamma", "alpha"]


BROKEN = {
    "import error": ("import nothing_of_this_name", "ModuleNotFoundError"),
    "syntax error": ("def", "SyntaxError"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "no plugin": ("x = 1", "no attribute 'plugin'"),
    "wrong name": (GOOD.replace('name="{name}"', 'name="other"'), "calls itself 'other'"),
    "old api": (
        GOOD.replace("{more}", ', api="~=0.9"'),
        f"wants plugin API ~=0.9, this is {API}",
    ),
    "nonsense api": (GOOD.replace("{more}", ', api="soon"'), "InvalidSpecifier"),
    "needs missing": (GOOD.replace("{more}", ', requires=("nobody",)'), "needs nobody"),
    "wrong argument": (
        GOOD.replace("place, context", "place, colour"),
        "colour",
    ),
    "misspelt hook": (
        GOOD.replace("render_slot", "render_slott"),
        "implements hooks that do not exist: render_slott",
    ),
    "manifest": (GOOD.replace("title=", "tittle="), "unexpected keyword argument"),
}


@pytest.mark.parametrize(("code", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_plugin_fails_with_its_reason_and_others_load(install, code, reason):
    install("alpha")
    install("broken", code)
    install("omega", more=', requires=("alpha",)')

    found = Plugins()

    assert names(found) == ["alpha", "omega"]
    assert states(found)["broken"] == "failed"
    assert reason in error(found, "broken")
    assert [text for _, text in found.render("overview", lambda _: True, {})] == [
        "alpha at overview",
        "omega at overview",
    ]


def test_who_needs_a_broken_one_fails_too(install):
    install("broken", "import nothing_of_this_name")
    install("alpha", more=', requires=("broken",)')
    install("beta", more=', requires=("alpha",)')

    found = Plugins()

    assert names(found) == []
    assert "needs broken" in error(found, "alpha")
    assert "needs alpha" in error(found, "beta")


def test_circle_fails_and_names_its_way(install):
    install("alpha", more=', requires=("beta",)')
    install("beta", more=', requires=("alpha",)')
    install("gamma")

    found = Plugins()

    assert names(found) == ["gamma"]
    assert states(found)["alpha"] == states(found)["beta"] == "failed"
    assert "needs itself: alpha → beta → alpha" in error(found, "alpha")


def test_optional_hook_of_a_later_version_is_fine(install):
    code = GOOD.replace(
        "@hookimpl\n    def render_slot",
        "@hookimpl(optionalhook=True)\n    def render_moon",
    )
    install("alpha", code)

    assert states(Plugins()) == {"alpha": "loaded"}


def test_switched_off_plugin_is_not_even_imported(install):
    install("alpha", "raise RuntimeError('imported')")

    found = Plugins(off={"alpha"})

    assert states(found) == {"alpha": "off"}
    assert not found.on("alpha")


def test_second_plugin_of_a_name_is_ignored_and_said(install):
    install("alpha")
    install("other", GOOD, entry="alpha")

    found = Plugins()

    assert states(found) == {"alpha": "loaded"}
    assert "a second one, from throwaway_other_1, is ignored" in error(found, "alpha")


@pytest.mark.parametrize("code", ["import nothing_of_this_name", "x = 1"])
def test_strict_start_stops_with_the_name(install, code):
    install("alpha", code)

    with pytest.raises(PluginError, match="alpha"):
        Plugins(strict=True)


# --- calling


def test_slot_that_raises_draws_nothing_and_the_next_draws(install):
    install("alpha")
    install("broken", GOOD.replace('return "{name} at " + place', "return 1 / 0"))
    install("empty", GOOD.replace('return "{name} at " + place', "return None"))
    install("omega")

    drawn = list(Plugins().render("contact", lambda _: True, {}))

    assert drawn == [("alpha", "alpha at contact"), ("omega", "omega at contact")]


def test_slot_of_who_is_off_in_this_account_is_not_drawn(install):
    install("alpha")
    install("beta")

    drawn = list(Plugins().render("contact", lambda name: name != "beta", {}))

    assert [name for name, _ in drawn] == ["alpha"]


def test_half_registered_plugin_stops_the_start(install):
    install(
        "alpha",
        """
        from clarion.plugging import Plugin, hookimpl

        plugin = Plugin(name="alpha", title="Alpha")

        @hookimpl
        def register_portal():
            raise RuntimeError("no pages today")
        """,
    )

    with pytest.raises(PluginError, match="alpha: register_portal: no pages today"):
        list(Plugins().register("portal"))


GUARD = """
    from clarion.plugging import Plugin, hookimpl

    plugin = Plugin(name="guard", title="Guard")

    @hookimpl
    def before_send(batch):
        return "veto of " + batch
"""


def test_veto_is_asked(install):
    install("guard", GUARD)

    found = Plugins()

    assert list(found.before("send", lambda _: True, batch="x")) == [("guard", "veto of x")]
    assert found.guards() == {"guard": ["before_send"]}


def test_veto_that_raises_is_heard(install):
    """Closed: what it guards does not happen."""
    install("guard", GUARD.replace('"veto of " + batch', "1 / 0"))

    with pytest.raises(ZeroDivisionError):
        list(Plugins().before("send", lambda _: True, batch="x"))


def test_guard_that_is_gone_keeps_its_gate_shut(install):
    install("guard", "import nothing_of_this_name")
    found = Plugins(guards={"guard": ["before_send"]})

    with pytest.raises(Shut) as shut:
        list(found.before("send", lambda _: True, batch="x"))

    assert shut.value.code == "plugin_shut"
    assert "guard" in shut.value.text
    assert shut.value.retry


def test_gate_is_open_for_accounts_that_have_it_off(install):
    found = Plugins(guards={"guard": ["before_send"]})

    assert list(found.before("send", lambda _: False, batch="x")) == []


def test_gate_is_open_when_the_deployment_switched_it_off(install):
    found = Plugins(off={"guard"}, guards={"guard": ["before_send"]})

    assert list(found.before("send", lambda _: True, batch="x")) == []


def test_other_gates_stay_open(install):
    found = Plugins(guards={"guard": ["before_send"]})

    assert list(found.before("sign_in", lambda _: True, person="x")) == []


# --- declarations


def test_permissions_and_menu_carry_realm_and_order(install):
    code = GOOD.replace(
        "{more}",
        ', permissions=(Permission("view", "See"), Permission("hold", "Hold", realm="console")),'
        ' nav=(NavItem("Later", "x", "a.b", order=60), NavItem("First", "x", "a.c", order=10))',
    ).replace("import Plugin,", "import NavItem, Permission, Plugin,")
    install("alpha", code)

    found = Plugins()

    assert list(found.permissions()) == ["alpha.view"]
    assert list(found.permissions("console")) == ["alpha.hold"]
    assert [item.title for _, item in found.nav()] == ["First", "Later"]


def test_bundled_plugins_all_load(database):
    from clarion.plugging.manager import plugins

    assert {
        n: one.error for n, one in plugins().found.items() if one.state != "loaded"
    } == {}
