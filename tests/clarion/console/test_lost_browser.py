"""Lost factors and another address in a real browser: policy, accessibility, a phone's width."""

import re
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from werkzeug.serving import make_server

from clarion.base import clock, db
from clarion.tenancy import factors, totp
from clarion.testing.console import PASSWORD as OURS
from clarion.testing.console import Browser, make_staff
from clarion.testing.factories import PASSWORD
from clarion.testing.visitor import Visitor

pytestmark = pytest.mark.browser
HOW = "Called the number of the contract, and asked for the last invoice."
WORDS = "My phone fell into the sea, with the key. Reach me at +55 11 5550 1234."


@pytest.fixture
def base(web):
    server = make_server("127.0.0.1", 0, web, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def show(page, base):
    """Show a page as whoever has this session; it must never complain."""
    said = []
    page.on(
        "console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda e: said.append(str(e)))

    def as_(path, cookies=()):
        page.context.clear_cookies()
        page.context.add_cookies(
            [{"name": name, "value": value, "url": base} for name, value in cookies]
        )
        assert page.goto(base + path).status == 200, path
        return page

    yield as_
    assert said == []


def path_in(mail, part):
    return re.search(
        rf"^https?://[^/\s]+(\S*{part}\S*)\s*$", mail.get_content(), re.MULTILINE
    )[1]


def scenes(web, account, mails):
    """Every new page: where it is, and with which cookies it is seen."""
    subject = f"p:{account.person_id}"
    secret = factors.begin_app(subject)
    factors.confirm_app(subject, totp.code(secret, totp.step_at(clock.now())))
    half = Visitor().knows(account)
    half.get("/sign-in")
    half.post("/sign-in", email=account.email, password=PASSWORD)
    keys = [("clarion", half.client.get_cookie("clarion").value)]
    yield "second", "/sign-in/second", keys
    yield "lost", "/sign-in/lost", keys
    half.get("/sign-in/lost")
    half.post("/sign-in/lost", words=WORDS)
    yield "lost, asked", "/sign-in/lost", keys
    yield "lost, stop", path_in(mails(account.email)[-1], "/lost/stop/"), []

    lost, ada = make_staff("support", name="Lena Holm"), make_staff("Admin")
    theirs = Browser(web).knows(lost)
    theirs.post("/console/sign/in", name=lost.email, password=OURS)
    theirs.post("/console/sign/lost", words="My bag was stolen.")
    ours = Browser(web).sign_in(ada)
    page = ours.get("/console/recoveries/").text
    path = re.search(r'action="(/console/recoveries/[^"]+/agree)"', page)[1]
    ours.post(path, "/console/recoveries/", how=HOW)
    desk = [("clarion-console", ours.cookie("clarion-console"))]
    yield "recoveries", "/console/recoveries/", desk
    yield "console address", "/console/security/address/", desk

    half.get("/sign-in/second")
    with clock.freeze():
        clock.advance(minutes=1)
        code = totp.code(secret, totp.step_at(clock.now()))
        half.post("/sign-in/second", code=code)
    keys = [("clarion", half.client.get_cookie("clarion").value)]
    yield "security", "/security/", keys
    yield "address", "/security/address", keys
    new = f"marina-{db.new_id().hex[-8:]}@example.org"
    half.get("/security/address")
    half.post("/security/address", email=new)
    confirm = path_in(mails(new)[-1], "/security/address/")
    yield "address, confirm", confirm, keys
    half.get(confirm)
    half.post(confirm)
    yield "address, undo", path_in(mails(account.email)[-1], "/address/undo/"), []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_new_page_is_accessible_and_fits_a_phone(show, web, account, mails, scheme):
    for name, path, cookies in scenes(web, account, mails):
        page = show(path, cookies)
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(page).response["violations"]
        assert [(v["id"], [n["html"][:90] for n in v["nodes"]]) for v in found] == [], name
        page.set_viewport_size({"width": 390, "height": 844})
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, name
        page.set_viewport_size({"width": 1360, "height": 860})


def test_who_has_lost_everything_is_led_there_by_clicking(show, web, account):
    subject = f"p:{account.person_id}"
    secret = factors.begin_app(subject)
    factors.confirm_app(subject, totp.code(secret, totp.step_at(clock.now())))
    page = show("/sign-in")
    page.locator("main [name=email]").fill(account.email)
    page.locator("main [name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_text("Nothing of this at hand?").click()
    page.get_by_role("link", name="The recovery codes are lost, too").click()
    page.get_by_label("What happened").fill(WORDS)
    page.get_by_role("button", name="Ask that they be removed").click()

    expect(page.get_by_text("Two of our staff have to agree")).to_be_visible()
