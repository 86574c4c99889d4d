"""Announcements by clicking: written, looked at, sent, approved, read, put away, taken back."""

import re
import threading
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests.clarion.announcing.conftest import ADA, announce, written
from werkzeug.serving import make_server

from clarion.announcing import drafts
from clarion.base import clock
from clarion.testing.console import Browser, make_role, make_staff
from clarion.testing.factories import PASSWORD

INDEX = "/console/announcements/"
REPORT = """
addEventListener('securitypolicyviolation', (e) =>
  window.clarionReport(`${e.violatedDirective} refused ${e.blockedURI}`))
"""


@pytest.fixture
def customer(web, tenant):
    browser = Browser(web).knows_customer(tenant)
    answer = browser.post("/sign-in", email=tenant.email, password=PASSWORD)
    assert answer.status_code == 302
    return browser


def form(tenant, **more):
    end = clock.now() + timedelta(days=1)
    return {
        "kind": "maintenance", "severity": "warning", "audience": "accounts",
        "named": str(tenant.id), "banner": "y", "ends_at": f"{end:%Y-%m-%dT%H:%M}",
        "title_en": "On Sunday", "text_en": "Nothing is sent.\n\nWhat waits goes on.",
    } | more  # fmt: skip


def test_from_the_form_to_the_banner_and_away(desk, tenant, customer, run_jobs):
    made = desk.post(f"{INDEX}new", **form(tenant, mail="y"))
    assert made.status_code == 303, made.text
    page = made.headers["Location"]
    shown = desk.get(page).text
    assert "It reaches 1 account and makes 1 mail." in shown
    assert desk.post(f"{page}/send", page, accounts="7", mails="1").status_code == 303
    assert "By now it reaches 1 accounts" in desk.get(page).text
    assert desk.post(f"{page}/send", page, accounts="1", mails="1").status_code == 303
    run_jobs()

    home = customer.get("/").text
    assert "On Sunday" in home
    put_away = re.search(r'action="(/announcements/[0-9a-f-]+/dismiss)"', home)[1]
    assert "What waits goes on." in customer.get(put_away.removesuffix("/dismiss")).text
    back = customer.post(put_away, "/", back="/contacts/?q=a")
    assert (back.status_code, back.headers["Location"]) == (303, "/contacts/?q=a")
    assert "On Sunday" not in customer.get("/").text
    assert "On Sunday" in customer.get("/announcements/").text

    assert desk.post(f"{page}/withdraw", page, reason="Wrong day.").status_code == 303
    assert "Taken back" in customer.get("/announcements/").text
    assert "Wrong day." in desk.get(page).text
    corrected = desk.post(f"{page}/correct", page)
    again = desk.get(corrected.headers["Location"]).text
    assert 'value="On Sunday"' in again
    assert "Who got what this corrects" in again


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"title_en": ""}, "Please look at this again"),
        ({"text_en": "50 % off, buy now"}, "reads like an offer"),
        ({"named": "nobody at all"}, "There is no account"),
        ({"ends_at": "2001-01-01T00:00"}, "The end must lie ahead"),
        ({"ends_at": "soon"}, "Please look at this again"),
        ({"kind": "party"}, "Please look at this again"),
        ({"audience": "the whole world"}, "Please look at this again"),
        ({"title_de": "Nur halb"}, "This is needed."),
    ],
)
def test_what_is_wrong_is_said_at_its_field(desk, tenant, wrong, words):
    answer = desk.post(f"{INDEX}new", **form(tenant, **wrong))

    assert answer.status_code == 422
    assert words in answer.text


def test_odd_requests_are_sentences(desk, tenant):
    made = ADA.do(drafts.write, written(tenant))
    page = f"{INDEX}{made}"

    odd = [
        desk.get(f"{INDEX}?after=nonsense").status_code,
        desk.post(f"{page}/send", page, accounts="x", mails="").status_code,
        desk.post(f"{page}/withdraw", page, reason="").status_code,
        desk.post(f"{page}/correct", page).status_code,
        desk.post(f"{page}/approve", page).status_code,
    ]

    assert odd == [404, 422, 303, 409, 303]
    assert "does not wait for anybody" in desk.get(page).text


def test_who_may_what(web, tenant):
    """Content writes and may not send; support looks; billing sees nothing."""
    made = ADA.do(drafts.write, written(tenant))
    page = f"{INDEX}{made}"
    content, support, billing = (
        Browser(web).sign_in(make_staff(role)) for role in ("content", "support", "billing")
    )

    assert "Somebody who may send it has to." in content.get(page).text
    assert content.get(f"{page}/edit").status_code == 200
    assert content.post(f"{page}/send", page, accounts="1", mails="0").status_code == 403
    assert support.get(page).status_code == 200
    assert support.get(f"{page}/edit").status_code == 403
    assert billing.get(INDEX).status_code == 403


def test_the_second_person_clicks(web, desk, tenant):
    made = desk.post(f"{INDEX}new", **form(tenant, audience="all", mail="y"))
    page = made.headers["Location"]
    numbers = dict(
        re.findall(r'name="(accounts|mails)" value="(\d+)"', desk.get(page).text)
    )
    desk.post(f"{page}/send", page, **numbers)
    assert "Somebody else has to approve it." in desk.get(page).text
    second = Browser(web).sign_in(
        make_staff(make_role("console.announcements", "console.announcements_approve"))
    )

    assert "Approve and send…" in second.get(page).text
    assert second.post(f"{page}/approve", page).status_code == 303
    desk.post(
        f"{page}/withdraw", page, reason="Only a test."
    )  # before the worker spreads it
    assert "Taken back by" in desk.get(page).text


def test_a_member_reads_and_a_stranger_does_not(web, tenant, other, customer, run_jobs):
    made = announce(other)
    run_jobs()

    assert customer.get(f"/announcements/{made}").status_code == 404
    assert customer.post(f"/announcements/{made}/dismiss", "/").status_code == 404
    assert customer.get("/announcements/?before=x").status_code == 404
    assert "Nothing was announced" in customer.get("/announcements/").text


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_fit_a_phone(
    page, web, ada, tenant, customer, run_jobs, scheme
):
    server = make_server("127.0.0.1", 0, web, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    waits = ADA.do(drafts.write, written(tenant, mail=True))
    sent = announce(tenant, severity="warning", mail=True)
    announce(
        tenant,
        severity="critical",
        texts={"en": ("Do not share codes", "Nobody of us asks.")},
    )
    announce(tenant, texts={"en": ("New page", "Reports have moved."), "de": ("Neu", "x")})
    run_jobs()
    said = []
    page.on(
        "console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None
    )
    page.expose_binding("clarionReport", lambda _from, text: said.append(text))
    page.add_init_script(REPORT)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    keys = {
        "clarion-console": Browser(web).sign_in(ada).cookie("clarion-console"),
        "clarion": customer.cookie("clarion"),
    }
    page.context.add_cookies(
        [{"name": name, "value": value, "url": base} for name, value in keys.items()]
    )
    for path in (
        INDEX, f"{INDEX}new", f"{INDEX}{waits}", f"{INDEX}{waits}/edit", f"{INDEX}{sent}",
        "/announcements/", f"/announcements/{sent}", "/",
    ):  # fmt: skip
        page.set_viewport_size({"width": 1280, "height": 900})
        assert page.goto(base + path).status == 200, path
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:120]) for one in found] == [], path
        page.set_viewport_size({"width": 390, "height": 844})
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, path

    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{base}/")
    page.get_by_role("button", name="Put away: New page").click()
    expect(page.get_by_text("Reports have moved.")).to_have_count(0)
    expect(page.locator(".banner.critical")).to_have_count(1)
    page.goto(f"{base}{INDEX}{waits}")
    page.get_by_role("button", name="Send…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It reaches 1 account and makes 1 mail.")
    dialog.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("What came of it")).to_be_visible()
    server.shutdown()
    assert said == []
