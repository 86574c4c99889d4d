"""Plugins under the staff's hands: off for everybody or one account, set up, measured."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden
from clarion.console import switching
from clarion.plugging.manager import Spent, plugins
from clarion.plugging.manifest import Setting
from clarion.tenancy import hooktimes, preferences, switches
from clarion.tenancy.actor import SYSTEM_JOB, Actor
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.plugins import HookTime, PluginSetting, PluginSwitch
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import Browser, make_role, make_staff
from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor
from clarion.web import staff
from clarion.work import jobs, schedule

SYSTEM = db.Entry("clarion_system")
STAFF = db.Entry("clarion_staff", None, "test")


def as_staff(who):
    member = staff.find(str(who.id))
    return staff_scope(
        Actor("staff", str(who.id), member.name, permissions=member.permissions)
    )


@pytest.fixture
def bo(web, clean):
    return make_staff("Admin", name="Bo Lindqvist")


@pytest.fixture(autouse=True)
def all_on(database):
    yield
    with db.apart(STAFF) as orm:
        orm.execute(update(PluginSwitch).values(state="on", asked_by=None, decided_by=None))
    plugins().look_again()


def switched_off(*names):
    """Switch plugins off as the command line might."""
    with db.apart(STAFF) as orm:
        for name in names:
            orm.merge(PluginSwitch(plugin=name, state="off"))
    plugins().look_again()


def dropped(path):
    return jobs.done.labels(path, "off")._value.get()


def payload(account_id=None, **args):
    return {"actor": replace(SYSTEM_JOB, account_id=account_id).to_json(), "args": args}


# --- for everybody


def test_what_is_switched_off_has_no_pages_hooks_and_jobs(desk, ada, clean):
    tenant = make_account()
    mine = Visitor(tenant)
    assert mine.get("/campaigns/").status_code == 200
    page = "/console/plugins/campaigns"

    answer = desk.post(f"{page}/off", page, reason="It is broken.")

    assert answer.status_code == 303
    assert "It is broken." in desk.get(page).text
    assert mine.get("/campaigns/").status_code == 404
    home = mine.get("/").text
    assert "/campaigns/" not in home
    path = "clarion_campaigns.jobs:plan_follow_ups"
    before = dropped(path)
    jobs.run(path, payload(tenant.id), raises=True)
    assert dropped(path) == before + 1
    assert "campaigns.start" not in rung()
    with account_scope(tenant.id, tenant.actor):
        assert not list(
            plugins().render("ready", preferences.switched_on, {"steps": []})
        ) and not preferences.switched_on("campaigns")

    assert desk.post(f"{page}/on", page).status_code == 303
    assert mine.get("/campaigns/").status_code == 200
    assert "campaigns.start" in rung()


def rung():
    """Name what the clock would ring now."""
    return [one.name for one in schedule.entries() if schedule.runs(one)]


def test_what_forgets_people_runs_all_the_same(clean):
    tenant = make_account()
    switched_off("campaigns", "contacts")
    path = "clarion_contacts.jobs:forget_uploads"
    before = dropped(path)

    jobs.run(path, payload(), raises=True)

    assert dropped(path) == before
    assert "contacts.forget_uploads" in rung()
    assert "contacts.resume_imports" not in rung()
    assert tenant


def test_a_guard_is_switched_off_by_two(desk, ada, bo, web):
    switched_off("campaigns")
    page = "/console/plugins/contacts"
    desk.post(f"{page}/off", page, reason="Its veto hangs.")

    assert "A second person decides" in desk.get(page).text
    assert plugins().running("contacts")
    desk.post(f"{page}/confirm", page)
    assert "Somebody else has to confirm it." in desk.get(page).text
    assert plugins().running("contacts")

    other = Browser(web).sign_in(bo)
    other.post(f"{page}/confirm", page)
    assert not plugins().running("contacts")
    with db.apart(STAFF) as orm:
        row = orm.get(PluginSwitch, "contacts")
        assert (row.state, row.asked_by, row.decided_by) == (
            "off", f"staff:{ada.id}", f"staff:{bo.id}",
        )  # fmt: skip


def test_the_database_refuses_one_person_for_two(database):
    with pytest.raises(IntegrityError), db.apart(STAFF) as orm:
        orm.merge(PluginSwitch(plugin="contacts", asked_by="staff:1", decided_by="staff:1",
                               state="off"))  # fmt: skip
        orm.flush()


@pytest.mark.parametrize("name", ["console", "whatsapp_cloud", "contacts"])
def test_what_others_stand_on_stays_on(ada, name):
    with as_staff(ada), pytest.raises(Conflict), db.transaction():
        switching.switch_off(name, "because")

    assert plugins().running(name)


def test_who_may_look_may_not_switch(web, clean):
    reader = Browser(web).sign_in(make_staff(make_role("console.plugins")))
    page = "/console/plugins/campaigns"

    assert "data-label=" not in reader.get(page).text
    assert reader.post(f"{page}/off", page, reason="x").status_code == 403
    assert plugins().running("campaigns")


# --- for one account


def test_what_staff_switch_off_the_owner_cannot_switch_on(desk, clean):
    tenant, other = make_account(), make_account()
    mine = Visitor(tenant)
    page = f"/console/plugins/of/{tenant.id}"

    desk.post(f"{page}/campaigns/bar", page, reason="Until the invoice is paid.")

    assert mine.get("/campaigns/").status_code == 404
    assert Visitor(other).get("/campaigns/").status_code == 200
    assert "Until the invoice is paid." in mine.get("/settings/plugins").text
    with account_scope(tenant.id, tenant.actor), db.transaction():
        with pytest.raises(Conflict) as refused:
            preferences.switch("campaigns", to=True)
        with pytest.raises(Forbidden):
            preferences.unbar("campaigns")
    assert refused.value.code == "plugin_barred"
    path = "clarion_campaigns.jobs:plan_follow_ups"
    before = dropped(path)
    jobs.run(path, payload(tenant.id), raises=True)
    assert dropped(path) == before + 1
    assert tenant.name in desk.get("/console/plugins/campaigns").text

    desk.post(f"{page}/campaigns/unbar", page)
    assert mine.get("/campaigns/").status_code == 200
    with db.apart(SYSTEM) as orm:
        names = select(AuditEntry.name).where(AuditEntry.account_id == tenant.id)
        assert {"portal.plugin.barred", "portal.plugin.unbarred"} <= set(orm.scalars(names))


# --- settings of the installation


def test_settings_come_from_the_manifest(desk, clean):
    page = "/console/plugins/contacts"
    assert "Largest list that can be imported" in desk.get(page).text
    assert desk.post(f"{page}/settings", page, import_mb="many").status_code == 422

    desk.post(f"{page}/settings", page, import_mb="3")

    tenant = make_account()
    with account_scope(tenant.id, tenant.actor), db.transaction():
        from clarion_contacts import service

        assert service.most_bytes() == 3 * 1024 * 1024
        assert "import_mb" not in preferences.values("contacts")
    desk.post(f"{page}/settings", page, import_mb="200")


def test_a_secret_is_sealed_and_never_shown(desk, monkeypatch):
    found = plugins().found["contacts"]
    key = Setting("key", str, "", "Key of the verifier", scope="instance", secret=True)
    monkeypatch.setattr(found, "plugin", replace(found.plugin, settings=(key,)))
    page = "/console/plugins/contacts"

    desk.post(f"{page}/settings", page, key="sesame-7391")
    desk.post(f"{page}/settings", page, key="")  # an empty one keeps it

    shown = desk.get(page).text
    assert "sesame" not in shown
    assert "There is one" in shown
    assert "sesame" not in desk.get("/console/log/").text
    with db.apart(SYSTEM) as orm:
        row = orm.get(PluginSetting, ("contacts", "key"))
        assert row.value is None
        assert b"sesame" not in row.sealed
    with staff_scope(SYSTEM_JOB):
        assert switches.value("contacts", "key") == "sesame-7391"


# --- what each declares, and what it costs


def test_a_page_says_what_a_plugin_declares(desk):
    html = desk.get("/console/plugins/contacts").text
    for word in ("contacts_contact", "contact.phone", "before_send", "contacts.export"):
        assert word in html
    assert "graph.facebook.com" in desk.get("/console/plugins/whatsapp_cloud").text
    assert "clarion-theme" in desk.get("/console/plugins/portal").text
    listed = desk.get("/console/plugins/").text
    assert "Ocean" in listed
    assert "CLARION_THEME" in listed


def test_time_of_hooks_is_counted_and_added_up(desk, clean):
    tenant = make_account()
    plugins().spent()  # of other tests
    with account_scope(tenant.id, tenant.actor):
        for _ in range(3):
            list(plugins().render("elsewhere", preferences.switched_on, {}))
    mine = plugins()._spent["contacts", "render_slot"]
    assert (mine.calls, mine.failures) == (3, 0)
    assert mine.slowest <= mine.micros

    hooktimes.write()
    plugins()._spent["contacts", "render_slot"] = Spent(1, 1, 5, 5)
    hooktimes.write()

    with db.apart(STAFF) as orm:
        query = select(HookTime).where(
            HookTime.plugin == "contacts", HookTime.hook == "render_slot"
        )
        row = orm.scalars(query.order_by(HookTime.hour.desc())).first()
        assert row.calls >= 4
        assert row.failures >= 1
        assert row.slowest >= mine.slowest
    shown = desk.get("/console/plugins/contacts").text
    assert re.search(r"<code>render_slot</code>", shown)


def test_a_hook_that_raises_is_counted_as_failed(monkeypatch, clean):
    tenant = make_account()
    impl = plugins().pm.hook.render_slot.get_hookimpls()[0]
    monkeypatch.setattr(impl, "function", lambda *_: 1 / 0)
    plugins().spent()

    with account_scope(tenant.id, tenant.actor):
        list(plugins().render("overview", preferences.switched_on, {}))

    assert plugins().spent()[impl.plugin_name, "render_slot"].failures == 1
