"""Staff at their door: nobody without a second factor, from networks on the list, in devices
that are known; and the ways back in on the command line."""

import re

import pytest
from click.testing import CliRunner

from clarion.base import clock, db
from clarion.cli import clarion
from clarion.console import staffing
from clarion.tenancy import factors, networks, totp
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import staff_scope
from clarion.testing.authenticator import Authenticator, options_in
from clarion.testing.console import PASSWORD, Browser, link_path, make_role, make_staff
from clarion.web import door

NEW = "quiet lamp on tuesday"
CODE = re.compile(r"<code>(\w{4}-\w{4}-\w{4})</code>")


@pytest.fixture
def ada(web, clean):
    return make_staff("Admin")


@pytest.fixture
def bare(web, clean):
    """A staff member who has nothing but a password."""
    return make_staff("Admin", passkey=False)


@pytest.fixture
def everywhere(web):
    """Whatever a test lists, the console opens from everywhere afterwards."""
    yield
    with staff_scope(COMMAND), db.transaction():
        networks.clear()


def present(secret):
    return totp.code(secret, totp.step_at(clock.now()))


def give_password(who, browser):
    return browser.post("/console/sign/in", name=who.email, password=PASSWORD)


# --- STAFF-08: neither skippable


def test_a_password_alone_opens_only_where_a_factor_is_set_up(web, bare):
    browser = Browser(web).knows(bare)
    assert give_password(bare, browser).location == "/console/"

    assert browser.get("/console/").location == "/console/security/"
    assert browser.get("/console/accounts/").location == "/console/security/"
    assert browser.post("/console/staff/new", "/console/security/").status_code == 403
    page = browser.get("/console/security/")
    assert "Set up a second factor first" in page.text


def test_setting_up_an_app_opens_the_console(web, bare):
    browser = Browser(web).knows(bare)
    give_password(bare, browser)
    browser.post("/console/security/app/new", "/console/security/")
    page = browser.get("/console/security/app")
    secret = factors.unconfirmed(bare.subject)
    assert totp.shown(secret) in page.text

    answer = browser.post(
        "/console/security/app", "/console/security/", code=present(secret)
    )

    assert len(CODE.findall(answer.text)) == 10
    assert browser.get("/console/").status_code == 200


def test_setting_up_a_passkey_opens_the_console(web, bare):
    browser = Browser(web).knows(bare)
    give_password(bare, browser)
    options = options_in(browser.get("/console/security/passkey").text)
    mine = Authenticator("http://localhost:8000")

    answer = browser.post(
        "/console/security/passkey",
        "/console/security/",
        credential=mine.create(options),
        name="Key",
    )

    assert len(CODE.findall(answer.text)) == 10
    assert browser.get("/console/").status_code == 200


def test_a_session_with_a_password_ends_when_a_factor_is_set_up_elsewhere(web, bare):
    thief, browser = Browser(web).knows(bare), Browser(web).knows(bare)
    give_password(bare, thief)
    give_password(bare, browser)
    browser.post("/console/security/app/new", "/console/security/")
    secret = factors.unconfirmed(bare.subject)
    browser.post("/console/security/app", "/console/security/", code=present(secret))

    assert thief.get("/console/security/").location.startswith("/console/sign/in")
    assert browser.get("/console/").status_code == 200


def test_the_last_factor_stays(web, ada):
    browser = Browser(web).sign_in(ada)
    (one,) = factors.of(ada.subject).passkeys

    answer = browser.post(
        f"/console/security/factors/{one.id}/remove", "/console/security/"
    )

    assert answer.status_code == 409
    assert factors.of(ada.subject).any


def test_every_staff_page_of_ones_own_needs_no_permission(web, clean):
    nobody = make_staff(make_role())

    assert Browser(web).sign_in(nobody).get("/console/security/").status_code == 200


# --- AUTH-05: a device that is not known


def test_an_unknown_device_needs_the_mail(web, bare, mails):
    browser = Browser(web)
    assert give_password(bare, browser).location == "/console/sign/device"
    assert browser.get("/console/security/").location.startswith("/console/sign/in")
    subject = mails(bare.email)[-1]["Subject"]
    code = subject.removeprefix("Your code: ")

    assert browser.post("/console/sign/device", code="1234 5678").status_code == 422
    assert browser.post("/console/sign/device", code=code).location == "/console/"
    assert browser.get("/console/security/").status_code == 200
    assert mails(bare.email)[-1]["Subject"] == "A new device signed in"


def test_a_passkey_needs_no_mail(web, ada, mails):
    browser = Browser(web).sign_in(ada)

    assert browser.get("/console/").status_code == 200
    assert [m["Subject"] for m in mails(ada.email)] == ["A new device signed in"]


# --- AUTH-13: links keep the second factor


def test_a_new_link_keeps_the_second_factor(web, ada):
    with staff_scope(COMMAND), db.transaction():
        link = link_path(staffing.new_link(ada.id))
    browser = Browser(web)

    answer = browser.post(link, password=NEW, again=NEW)

    assert answer.location == "/console/sign/second"
    assert browser.get("/console/").location.startswith("/console/sign/in")


# --- AUTH-09, AUTH-16: one's own password


def test_changing_ones_password_ends_other_devices(web, ada, mails):
    other, browser = Browser(web).sign_in(ada), Browser(web).sign_in(ada)
    page = "/console/security/password"
    assert browser.post(page, old="wrong", new=NEW).status_code == 422
    assert browser.post(page, old=PASSWORD, new="password1234").status_code == 422

    assert browser.post(page, old=PASSWORD, new=NEW).status_code == 303

    assert browser.get("/console/").status_code == 200
    assert other.get("/console/").status_code == 302
    assert mails(ada.email)[-1]["Subject"] == "How you sign in was changed"


# --- AUTH-10: devices


def test_devices_are_listed_and_ended(web, ada):
    other, browser = Browser(web).sign_in(ada), Browser(web).sign_in(ada)
    page = browser.get("/console/security/").text
    (path,) = re.findall(r'action="(/console/security/devices/[0-9a-f-]+/end)"', page)
    assert "Chrome on Windows" in page

    assert browser.post(path, "/console/security/").status_code == 303

    assert other.get("/console/").status_code == 302
    assert browser.get("/console/").status_code == 200


def test_somebody_elses_device_cannot_be_ended(web, ada):
    grace = make_staff("support")
    Browser(web).sign_in(grace)
    two = Browser(web).sign_in(grace)
    path = re.findall(
        r'action="(/console/security/devices/[0-9a-f-]+/end)"',
        two.get("/console/security/").text,
    )[0]
    browser = Browser(web).sign_in(ada)

    assert browser.post(path, "/console/security/").status_code == 404


# --- AUTH-11


def test_a_stale_session_asks_for_the_passkey_and_not_for_the_password(web, ada):
    with clock.freeze():
        browser = Browser(web).sign_in(ada)
        clock.advance(minutes=11)
        asked = browser.get("/console/staff/new")
        assert asked.location == "/console/sign/again?next=/console/staff/new"
        page = browser.get(asked.location)
        token = re.search(r'name="csrf-token" content="([^"]+)"', page.text)[1]
        given = {"csrf_token": token, "password": PASSWORD}
        again = browser.client.post(asked.location, data=given)
        assert again.status_code == 422

        options = options_in(browser.get(asked.location).text)
        token = browser.token(asked.location)
        options = options_in(browser.get(asked.location).text)
        given = {"csrf_token": token, "credential": ada.device.get(options)}
        answer = browser.client.post(
            asked.location, data=given, environ_base={"REMOTE_ADDR": "203.0.113.9"}
        )

        assert answer.location == "/console/staff/new"
        assert browser.get("/console/staff/new").status_code == 200


# --- LIM-01, AUTH-16


def test_who_guesses_beside_me_shuts_nobody_out_of_a_known_browser(web, bare):
    mine, thief = Browser(web).knows(bare), Browser(web)
    for _n in range(door.PER_NAME.times + 1):
        answer = thief.post("/console/sign/in", name=bare.email, password="wrong one")
    assert answer.status_code == 429

    assert give_password(bare, mine).location == "/console/"


def test_taking_the_log_out_is_told_to_who_did(web, ada, mails):
    browser = Browser(web).sign_in(ada)
    page = "/console/log/"

    assert browser.post(f"{page}export", page, form="csv").status_code == 200

    subject = mails(ada.email)[-1]["Subject"]
    assert subject == "Something was taken out of Clarion: part of the log"


# --- from where the console opens


def test_the_list_holds_at_once_and_nobody_shuts_themselves_out(web, ada, everywhere):
    browser = Browser(web).sign_in(ada)
    page = "/console/networks/"
    assert "opens from everywhere" in browser.get(page).text

    refused = browser.post(f"{page}add", page, network="198.51.100.0/24", note="Office")
    assert refused.status_code == 422
    assert "You would shut yourself out" in refused.text
    assert browser.post(f"{page}add", page, network="203.0.113.7/24").status_code == 303
    assert "203.0.113.0/24" in browser.get(page).text
    assert browser.post(f"{page}add", page, network="no network").status_code == 422

    elsewhere = Browser(web, "198.51.100.7")
    for path in ("/console/", "/console/sign/in", "/console/sign/start?token=x"):
        assert elsewhere.get(path).status_code == 403, path
    assert "does not open from this network" in elsewhere.get("/console/").text
    assert browser.get("/console/").status_code == 200


def test_the_command_line_lets_back_in(web, ada, everywhere):
    with staff_scope(COMMAND), db.transaction():
        networks.add("198.51.100.0/24", "", own="")
    browser = Browser(web)
    assert browser.get("/console/sign/in").status_code == 403

    shown = CliRunner().invoke(clarion, ["staff", "networks"], catch_exceptions=False)
    assert "198.51.100.0/24" in shown.output
    done = CliRunner().invoke(
        clarion, ["staff", "networks", "--clear"], catch_exceptions=False
    )

    assert "opens from everywhere" in done.output
    assert browser.get("/console/sign/in").status_code == 200


# --- lost


def test_the_command_line_removes_lost_factors(web, ada, mails):
    browser = Browser(web).sign_in(ada)

    done = CliRunner().invoke(
        clarion, ["staff", "reset-factors", "--email", ada.email], catch_exceptions=False
    )

    assert done.output.startswith("1 removed")
    assert browser.get("/console/").status_code == 302
    assert not factors.of(ada.subject).any
    assert mails(ada.email)[-1]["Subject"] == "How you sign in was changed"
    knock = Browser(web).knows(ada)
    give_password(ada, knock)
    assert knock.get("/console/").location == "/console/security/"
