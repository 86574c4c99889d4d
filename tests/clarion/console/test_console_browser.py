"""The console in a real browser: policy, accessibility, phone width, and a day's work."""

import datetime as dt
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from sqlalchemy import create_engine, select
from sqlalchemy.dialects.postgresql import insert as keep
from werkzeug.serving import make_server

from clarion.base import db, walls
from clarion.messaging import prices
from clarion.messaging.models import Campaign, Sender
from clarion.misuse import watching
from clarion.misuse.models import MisuseFlag
from clarion.support import grants, windows
from clarion.tenancy import chain
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import Browser, acting
from clarion.testing.factories import make_account, make_sender
from clarion_contacts import service as contacts

pytestmark = pytest.mark.browser
CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
]
REPORT = """
addEventListener('securitypolicyviolation', (e) =>
  window.clarionReport(`${e.violatedDirective} refused ${e.blockedURI}`))
"""


UNNAMED = """[...document.querySelectorAll('table.stacked tbody tr')]
  .flatMap((row) => [...row.cells].slice(1))
  .filter((cell) => cell.textContent.trim() && cell.colSpan === 1)
  .filter((cell) => !cell.querySelector('.cell-name, .d-md-none, form, button, dl, .row-main'))
  .map((cell) => cell.outerHTML.slice(0, 90))"""
"""Cells that say nothing of what they are where a table's heading is not shown."""
RAW = re.compile(r"`|\d{4}-\d\d-\d\dT\d\d|\b0:00:\d\d|\d,\d{3} µs|\bwhatsapp_cloud\b(?=\n)")
"""What a program writes and no person."""
KEYS = ("/console/plugins", "/console/log/")  # there keys are what is shown

LEADS_ON = {"/console/", "/console/security/app"}
ELSEWHERE = {"ticket", "word", "announcement_id", "job_id", "key", "webhook_id"}
"""What these stand for is looked at by test_operations_browser and the announcements' tests."""


def pages(console, tenant, ada, root):
    """Every page there is, of the rules themselves: a new one is looked at by itself."""
    ids = {
        "ConsoleAccountScreen": tenant.id,
        "ConsolePersonScreen": tenant.person_id,
        "ConsoleStaffScreen": ada.id,
        "ConsoleSenderScreen": _first(tenant, Sender),
    }
    found = []
    for rule in sorted(console.url_map.iter_rules(), key=str):
        view = console.view_functions[rule.endpoint]
        if "GET" not in rule.methods or getattr(view, "guard", "") == "public":
            continue
        if ELSEWHERE & rule.arguments or rule.endpoint == "ConsoleAddressPanel.confirm":
            continue
        given = {"pk": ids.get(rule.endpoint.partition(".")[0], 1), "name": "contacts"}
        given |= {"chain": tenant.id, "account_id": tenant.id}
        given |= {"where": "whatsapp_cloud", "code": "131048", "lane": "bulk"}
        for name in rule.arguments - given.keys():
            given[name] = row_for(name, tenant, root)
            assert given[name], f"{rule}: `tenant` has no row for <{name}>"
        found.append(rule.build(given)[1] if rule.arguments else rule.rule)
    account = f"/console/accounts/{tenant.id}"
    return [*found, *(f"{account}?tab={tab}" for tab in ("senders", "campaigns", "log"))]


def _first(tenant, model):
    with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
        return orm.scalars(select(model.id)).first()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    own = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    return {**browser_type_launch_args, **own, "args": QUIET}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {
        **browser_context_args,
        "viewport": {"width": 1360, "height": 860},
        "locale": "en-US",
        "timezone_id": "UTC",
        "reduced_motion": "reduce",
    }


@pytest.fixture
def base(web):
    server = make_server("127.0.0.1", 0, web, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def tenant(web, clean, ada):
    """An account with everything that pages show; Ada may look at its content."""
    tenant = make_account("Blue Clinic")
    with account_scope(tenant.id, tenant.actor):
        sender = make_sender(tenant)
        with db.transaction() as orm:
            orm.add(
                Campaign(
                    name="Harvest", purpose="marketing", sender_id=sender, template={},
                    state="running",
                )
            )  # fmt: skip
        with db.transaction():
            windows.open_window(1, "view")
            for name in ("Ana", "Bia"):
                contacts.add(contacts.Details(name=name, email=f"{name}@example.org"))
    with staff_scope(acting(ada)), db.transaction():
        grants.ask(tenant.id, grants.Asked("support", "T-1", "looks", 30, "view"))
    chain.seal()
    day = dt.date(2026, 10, 1)
    with staff_scope(COMMAND), db.transaction():
        prices.enter("whatsapp_cloud", day, "EUR", "BR; marketing; 0.0625")
    yield tenant
    with staff_scope(COMMAND), db.transaction():
        prices.remove("whatsapp_cloud", day)


@pytest.fixture
def staff(page, base, web, ada, tenant):
    """A page in which Ada has signed in; it must never complain."""
    said = []
    page.on(
        "console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda e: said.append(str(e)))
    page.expose_binding("clarionReport", lambda _from, text: said.append(text))
    page.add_init_script(REPORT)
    key = Browser(web).sign_in(ada).cookie("clarion-console")
    page.context.add_cookies([{"name": "clarion-console", "value": key, "url": base}])
    page.goto(f"{base}/console/")
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    yield page
    assert said == []


def row_for(parameter, tenant, root):
    """Find a row that `<…_id>` of an address may mean, the account's own if it has one."""
    noun = parameter.removesuffix("_id")
    for name, model in sorted(walls.models().items()):
        if name != noun and not name.endswith(f"_{noun}"):
            continue
        table = model.__table__
        query = select(table.c.id).limit(1)
        if "account_id" in table.c:
            query = query.where(table.c.account_id == tenant.id)
        with root.connect() as connection:
            if (found := connection.scalar(query)) is not None:
                return found
    return None


@pytest.fixture
def root(database):
    engine = create_engine(database.superuser_url)
    yield engine
    engine.dispose()


def faults(page):
    found = Axe().run(page).response["violations"]
    return [(one["id"], [n["html"][:120] for n in one["nodes"]][:3]) for one in found]


def standing(tenant):
    """Let the account have a case; answers its id."""
    with db.apart(watching.WATCH) as orm:
        part = {"rule": "ramp", "points": 60, "found": 90_000, "norm": 1_000, "of": 90_000}
        row = keep(MisuseFlag).values(
            id=db.new_id(), account_id=tenant.id, score=60, parts=[part], rules="test"
        )
        orm.execute(row.on_conflict_do_nothing())
        mine = MisuseFlag.account_id == tenant.id
        case = orm.scalars(select(MisuseFlag.id).where(mine)).one()
    return case


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(
    staff, base, console, tenant, ada, root, scheme
):
    """And `staff` says at its end that neither script nor policy complained."""
    standing(tenant)
    every = pages(console, tenant, ada, root)
    assert len(every) > 30
    staff.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    wrong = []
    for path in every:
        assert staff.goto(base + path).status == 200, path
        assert urlsplit(staff.url).path == urlsplit(path).path or path in LEADS_ON, path
        wrong += [(path, fault) for fault in faults(staff)]
        if scheme == "light":
            staff.set_viewport_size({"width": 390, "height": 844})
            wider = staff.evaluate("document.documentElement.scrollWidth - innerWidth")
            wrong += [(path, f"{wider} px too wide")] if wider > 0 else []
            wrong += [(path, cell) for cell in staff.evaluate(UNNAMED)]
            raw = RAW.search(staff.locator("main").inner_text())
            kept = path.startswith(KEYS) or path.endswith("tab=log")
            wrong += [(path, raw[0])] if raw and not kept else []
            staff.set_viewport_size({"width": 1360, "height": 860})
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_before_the_door_is_accessible(page, base, console, scheme):
    said = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.expose_binding("clarionReport", lambda _from, text: said.append(text))
    page.add_init_script(REPORT)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    public = [
        rule.rule
        for rule in console.url_map.iter_rules()
        if "GET" in rule.methods
        and getattr(console.view_functions[rule.endpoint], "guard", "") == "public"
    ]
    assert "/console/sign/in" in public
    for path in public:
        status = page.goto(base + path).status
        assert status in (200, 404), path  # a link that is over says so
        assert faults(page) == [], path

    assert [one for one in said if "404" not in one] == []


def test_suspending_asks_first(staff, base, tenant):
    staff.goto(f"{base}/console/accounts/?_flt_0_name=Blue+Clinic")
    staff.get_by_role("link", name="Blue Clinic").first.click()
    staff.get_by_label("Reason").fill("They never agreed.")
    staff.get_by_role("button", name="Suspend").click()
    dialog = staff.get_by_role("dialog")
    expect(dialog).to_contain_text("stop everything")
    dialog.get_by_role("button", name="Cancel").click()
    expect(staff.locator("#content .pill").first).to_have_text("Active")

    staff.get_by_role("button", name="Suspend").click()
    dialog.get_by_role("button", name="Ask").click()

    expect(staff.get_by_role("status").first).to_contain_text("Another staff member")
    expect(staff.locator("#content")).to_contain_text("Somebody else has to confirm")
    expect(staff.locator("#content .pill").first).to_have_text("Active")


def test_a_colleague_comes_in_by_a_link(staff, base, browser):
    address = f"bo-{db.new_id().hex}@example.org"
    staff.goto(f"{base}/console/staff/new")
    staff.get_by_label("Name").fill("Bo Lindqvist")
    staff.get_by_label("E-mail").fill(address)
    staff.get_by_label("Support").check()
    staff.get_by_role("button", name="Add and make a link").click()
    link = staff.locator(".once code").inner_text()

    theirs = browser.new_context().new_page()
    theirs.goto(base + link.partition("/console")[1] + link.partition("/console")[2])
    theirs.get_by_label("New password").fill("a sentence only Bo knows")
    theirs.get_by_label("The same once more").fill("a sentence only Bo knows")
    theirs.get_by_role("button", name="Save and sign in").click()

    expect(theirs.get_by_role("heading", name="Security")).to_be_visible()
    expect(theirs.get_by_text("Set up a second factor first")).to_be_visible()
    expect(theirs.get_by_role("link", name="Roles")).to_have_count(0)
    expect(theirs.get_by_role("link", name="People")).to_have_count(1)
    theirs.context.close()


def test_the_keyboard_leads_anywhere(staff, base):
    keys = staff.locator("#side [data-keys]").evaluate_all(
        "all => all.map(e => e.dataset.keys)"
    )
    assert "g a" in keys
    assert {len(one) for one in keys} == {3}

    staff.keyboard.press("g")
    staff.keyboard.press("a")
    expect(staff.get_by_role("heading", name="Accounts")).to_be_visible()

    staff.keyboard.press("Control+k")
    staff.get_by_role("combobox", name="Search or jump to").fill("Roles")
    staff.keyboard.press("Enter")
    expect(staff.get_by_role("heading", name="Roles")).to_be_visible()


def test_the_menu_says_where_one_is_and_shows_it(staff, base, tenant):
    for path, title in (
        ("/console/log/", "Log"),
        (f"/console/standing/{tenant.id}", "Accounts"),
        ("/console/matrix/", "Roles"),
        (f"/console/contacts/{tenant.id}/", "Access"),
    ):
        staff.goto(base + path)
        here = staff.locator("#side [aria-current=page]")
        expect(here).to_have_text(title)
        expect(here).to_be_in_viewport(ratio=1)


def test_signing_out_from_the_menu(staff, base):
    staff.get_by_role("button", name="Menu of Ada Okafor").click()
    staff.get_by_role("button", name="Sign out").click()

    expect(staff.get_by_role("heading", name="Staff sign-in")).to_be_visible()
    staff.goto(f"{base}/console/accounts/")
    expect(staff.get_by_role("heading", name="Staff sign-in")).to_be_visible()
