"""PLG-03: a hook that fails or overruns too often rests, staff are told, the core goes on."""

import re

import pytest
from sqlalchemy import delete, select, text, update

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.console.jobs import tell_of_rests
from clarion.plugging import manager
from clarion.plugging.manager import FAULTS, Strain, plugins
from clarion.tenancy import hooktimes, preferences, resting
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.resting import HookRest
from clarion.tenancy.scope import account_scope, staff_scope, system_scope
from clarion.testing.console import Browser, acting, make_role, make_staff
from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor
from clarion.work import events, jobs
from clarion.work.models import Outbox

SYSTEM = db.Entry("clarion_system", None, "test")
HOOK = "render_slot:overview"


@pytest.fixture(autouse=True)
def nothing_rests(database):
    """Each test begins and ends with every hook awake and nothing counted."""

    def clear():
        with db.apart(SYSTEM) as orm:
            orm.execute(delete(HookRest))
        plugins().spent(), plugins().strain()
        plugins().look_again()

    clear()
    yield
    clear()


@pytest.fixture
def breaks(monkeypatch):
    """Let a plugin's slot raise; answers the plugin's name."""
    (impl,) = (
        one
        for one in plugins().pm.hook.render_slot.get_hookimpls()
        if one.plugin_name == "contacts"
    )

    def raises(*_):
        raise LookupError("a secret that no log may hold")

    monkeypatch.setattr(impl, "function", raises)
    return impl.plugin_name


def draw(tenant, times=1, place="overview"):
    with account_scope(tenant.id, tenant.actor):
        for _ in range(times):
            list(plugins().render(place, preferences.switched_on, {"steps": []}))


def rest(plugin="campaigns", hook=HOOK, error="KeyError"):
    """Use a hook's budget up, as a process that counted would."""
    resting.settle({(plugin, hook): Strain(FAULTS, FAULTS, 0, error)})


def logged(name, hook=HOOK):
    with db.apart(SYSTEM) as orm:
        query = select(AuditEntry).where(AuditEntry.name == name)
        rows = orm.scalars(query.order_by(AuditEntry.at.desc())).all()
        return next(row for row in rows if row.changes["hook"] == [None, hook])


def age(**passed):
    """Let time pass for what is stored."""
    with db.apart(SYSTEM) as orm:
        row = HookRest
        step = text(f"interval '{passed['minutes']} minutes'")
        orm.execute(
            update(row).values(
                began_at=row.began_at - step, rests_at=row.rests_at - step,
                rests_until=row.rests_until - step,
            )
        )  # fmt: skip
    plugins().look_again()


def test_a_hook_that_fails_rests_and_the_page_goes_on(breaks, desk, clean):
    tenant = make_account()
    page = Visitor(tenant)
    for _ in range(FAULTS):
        assert page.get("/").status_code == 200

    assert plugins().rests(breaks, HOOK)  # the process told it without being asked
    draw(tenant, 3)
    assert plugins().strain() == {}  # nobody calls it
    entry = logged("plugins.hook.rests")
    assert entry.changes["why"] == [None, "LookupError"]
    assert "secret" not in str(entry.changes)
    shown = desk.get(f"/console/plugins/{breaks}").text
    assert "A hook rests" in shown
    assert "LookupError" in shown
    assert re.search(r"\d hooks? fails?", desk.get("/console/plugins/").text)


def test_another_place_of_the_same_plugin_goes_on(breaks, clean):
    tenant = make_account()
    draw(tenant, FAULTS)
    hooktimes.write()
    resting.settle(plugins().strain())

    draw(tenant, place="contact")

    assert (breaks, "render_slot:contact") in plugins().strain()


def test_a_call_that_takes_too_long_counts(monkeypatch, clean):
    monkeypatch.setitem(manager.LATE_SECONDS, "render", 0.0)
    tenant = make_account()

    draw(tenant, FAULTS)
    found = plugins().strain()["contacts", HOOK]
    resting.settle({("contacts", HOOK): found})

    assert (found.failed, found.late) == (0, FAULTS)
    assert plugins().rests("contacts", HOOK)
    assert logged("plugins.hook.rests").changes["why"] == [None, "late"]


def test_few_among_many_or_far_apart_are_within_the_budget():
    key = ("campaigns", HOOK)
    resting.settle({key: Strain(1_000, FAULTS, 0, "KeyError")})
    assert not plugins().rests(*key)
    age(minutes=6)
    for _ in range(2):
        resting.settle({key: Strain(2, FAULTS - 1, 0, "KeyError")})
        age(minutes=6)

    assert not plugins().rests(*key)


def test_faults_of_several_processes_add_up():
    for _ in range(FAULTS):
        assert not plugins().rests("campaigns", HOOK)
        resting.settle({("campaigns", HOOK): Strain(1, 0, 1)})

    assert plugins().rests("campaigns", HOOK)


def test_it_comes_back_by_itself(breaks, clean):
    rest(breaks)
    age(minutes=16)

    draw(make_account())

    assert plugins().strain()[breaks, HOOK].failed == 1


def test_it_comes_back_by_a_click(desk, ada):
    rest()
    page = "/console/plugins/campaigns"
    assert plugins().rests("campaigns", HOOK)

    assert desk.post(f"{page}/wake", page, hook=HOOK).status_code == 303

    assert not plugins().rests("campaigns", HOOK)
    assert "A hook rests" not in desk.get(page).text
    assert logged("plugins.hook.woken").actor == f"staff:{ada.id}"
    with staff_scope(acting(ada)), pytest.raises(Conflict), db.transaction():
        resting.wake("campaigns", HOOK)


def test_who_may_look_only_cannot_wake_it(web, clean):
    rest()
    reader = Browser(web).sign_in(make_staff(make_role("console.plugins")))
    page = "/console/plugins/campaigns"

    assert "Call it again now" not in reader.get(page).text
    assert reader.post(f"{page}/wake", page, hook=HOOK).status_code == 403
    assert plugins().rests("campaigns", HOOK)


def test_staff_who_may_act_get_one_mail(web, clean, mails, run_jobs):
    able, reader = make_staff("Admin"), make_staff(make_role("console.plugins"))
    editor = make_staff(make_role("console.plugins_edit"))
    rest()
    with system_scope(SYSTEM_JOB):
        tell_of_rests()
        tell_of_rests()
    run_jobs()

    (mail,) = mails(able.email)
    assert "render_slot:overview rests" in mail["Subject"]
    assert "/console/plugins/campaigns" in mail.get_content()
    assert len(mails(editor.email)) == 1
    assert mails(reader.email) == []


def test_a_veto_is_asked_all_the_same_and_told_of(monkeypatch, desk, clean):
    """What it guards waits; nothing happens unasked."""
    impl = plugins().pm.hook.before_send.get_hookimpls()[0]
    monkeypatch.setattr(impl, "function", lambda *_: 1 / 0)
    for _ in range(FAULTS):
        with pytest.raises(ZeroDivisionError):
            list(plugins().before("send", lambda _: True, batch=None))
    resting.settle(plugins().strain())

    assert not plugins().rests(impl.plugin_name, "before_send")
    with pytest.raises(ZeroDivisionError):
        list(plugins().before("send", lambda _: True, batch=None))
    assert logged("plugins.veto.failing", "before_send")
    shown = desk.get(f"/console/plugins/{impl.plugin_name}").text
    assert "Its gate is shut while it fails" in shown


def test_the_statement_of_a_veto_counts_too(clean):
    with pytest.raises(ZeroDivisionError), plugins().timed("contacts", "before_send"):
        1 / 0  # noqa: B018 -- as a database refuses

    assert plugins().strain()["contacts", "before_send"].error == "ZeroDivisionError"


# --- handlers of events


@pytest.fixture
def handler():
    """A job of a plugin that reacts to an event: its path, and its budget's name."""
    path = next(
        p
        for p in sorted(events._handlers)
        if plugins().owner_of(p) == "campaigns" and not jobs.resolve(p).when_off
    )
    return path, f"job:{path.rpartition(':')[2]}"


def broken(monkeypatch, path):
    one = jobs.resolve(path)

    def raises(**_):
        raise LookupError(path)

    monkeypatch.setattr(one, "function", raises)
    return {"actor": SYSTEM_JOB.to_json(), "args": {}}


def waiting(path):
    with db.apart(SYSTEM) as orm:
        query = select(Outbox).where(Outbox.job == "clarion.work.jobs:retry")
        rows = orm.scalars(query.order_by(Outbox.seq)).all()
        return [row for row in rows if row.payload["args"]["path"] == path]


def test_a_handler_that_fails_waits_and_loses_nothing(monkeypatch, handler, clean):
    path, name = handler
    payload = broken(monkeypatch, path)
    for _ in range(FAULTS):
        jobs.run(path, payload)
    resting.settle(plugins().strain())
    assert plugins().rests("campaigns", name)
    before = len(waiting(path))

    jobs.run(path, payload)

    assert plugins().strain() == {}  # it was not called
    kept = waiting(path)
    assert len(kept) == before + 1
    assert kept[-1].payload["args"]["attempt"] == 1  # waiting is no attempt


def test_retries_of_one_failure_are_one_failure(monkeypatch, handler, clean):
    path, name = handler
    payload = broken(monkeypatch, path)
    for attempt in range(1, 6):
        jobs.run(path, payload, attempt)

    assert plugins().strain()["campaigns", name].faults == 1


def test_what_forgets_people_never_rests(handler, clean):
    path = "clarion_contacts.jobs:forget_uploads"
    rest("contacts", "job:forget_uploads")

    assert not jobs._waits(jobs.resolve(path), path, {}, 1)
    assert re.fullmatch(r"job:\w+", handler[1])
