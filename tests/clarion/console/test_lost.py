"""Staff who have lost every second factor, what colleagues decide, and their addresses."""

import re

import pytest

from clarion.base import clock, db
from clarion.tenancy import factors, recovery
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.changes import Recovery
from clarion.tenancy.scope import system_scope
from clarion.testing.console import PASSWORD, Browser, link_path, make_role, make_staff
from clarion.testing.visitor import known_browser
from clarion.work import recovering

HOW = "Called the number in the contract."
PAGE = "/console/recoveries/"


@pytest.fixture
def lost(web, clean):
    """A staff member whose passkey, with everything else, is gone."""
    return make_staff("support", name="Lena Holm")


@pytest.fixture
def admins(web, clean):
    return make_staff("Admin"), make_staff("Admin", name="Bea Admin")


def ask(who, web):
    """Give the password and say at the door that everything is lost."""
    browser = Browser(web).knows(who)
    browser.post("/console/sign/in", name=who.email, password=PASSWORD)
    assert "/console/sign/lost" in browser.get("/console/sign/second").text
    answer = browser.post("/console/sign/lost", words="My bag was stolen.")
    assert answer.location == "/console/sign/lost"
    return row_of(who)


def row_of(who):
    with factors.as_system() as orm:
        query = orm.query(Recovery).filter_by(subject=who.subject)
        return query.order_by(Recovery.created_at.desc()).first()


def settle():
    with system_scope(SYSTEM_JOB):
        recovering.settle()


def path_in(mail):
    content = mail.get_content()
    return link_path(
        re.search(r"^(https?://\S+/console/\S+)\s*$", content, re.MULTILINE)[1]
    )


def test_two_colleagues_agree_on_their_page_and_72_hours_later_it_is_so(
    web, lost, admins, mails
):
    row, known = ask(lost, web), Browser(web).knows(lost)
    with clock.freeze():
        for colleague in admins:
            browser = Browser(web).sign_in(colleague)
            page = browser.get(PAGE).text
            assert lost.email in page
            assert "My bag was stolen." in page
            assert browser.post(f"{PAGE}{row.id}/agree", PAGE, how=HOW).status_code == 303
        assert HOW in browser.get(PAGE).text
        for hours in (49, 24):
            clock.advance(hours=hours)
            settle()
        told = [m["Subject"] for m in mails(lost.email)]

        answer = known.post("/console/sign/in", name=lost.email, password=PASSWORD)

    assert told[-1] == "Your second factors were removed"
    assert not factors.of(lost.subject).any
    assert answer.location == "/console/sign/device"  # no browser is known any more


def test_nobody_agrees_twice_or_to_their_own(web, lost, admins):
    me, other = admins
    own, row = ask(me, web), ask(lost, web)
    browser = Browser(web).sign_in(other)
    browser.post(f"{PAGE}{row.id}/agree", PAGE, how=HOW)
    again = browser.post(f"{PAGE}{row.id}/agree", PAGE, how=HOW)
    mine = Browser(web).sign_in(me)  # which stops their own: nothing was lost
    assert row_of(me).state == "stopped"
    late = mine.post(f"{PAGE}{own.id}/agree", PAGE, how=HOW)

    assert again.status_code == 422
    assert "a colleague has to, too" in again.text
    assert late.status_code == 422
    assert row_of(lost).state == "asked"


def test_one_browser_is_one_person(web, lost, admins):
    row = ask(lost, web)
    first, second = admins
    one = Browser(web).sign_in(first)
    one.post(f"{PAGE}{row.id}/agree", PAGE, how=HOW)
    from clarion.tenancy import devices

    key = one.cookie("clarion-console-device")
    kept = devices.remember(second.subject, key, device="", address="")
    assert devices.shared(first.subject, second.subject), kept
    two = Browser(web).sign_in(second)

    assert two.post(f"{PAGE}{row.id}/agree", PAGE, how=HOW).status_code == 403
    assert row_of(lost).state == "asked"


def test_support_cannot_decide_about_who_may_more(web, admins):
    row = ask(admins[0], web)
    support = Browser(web).sign_in(make_staff("support"))

    assert support.post(f"{PAGE}{row.id}/agree", PAGE, how=HOW).status_code == 403
    assert row_of(admins[0]).first_by is None


def test_who_only_sees_them_decides_nothing(web, lost):
    row = ask(lost, web)
    sees = Browser(web).sign_in(make_staff(make_role("console.recoveries")))
    assert lost.email in sees.get(PAGE).text
    assert "Agree</button>" not in sees.get(PAGE).text

    assert sees.post(f"{PAGE}{row.id}/agree", PAGE, how=HOW).status_code == 403
    assert sees.post(f"{PAGE}{row.id}/refuse", PAGE).status_code == 403


def test_how_they_made_sure_must_be_said(web, lost, admins):
    row = ask(lost, web)
    browser = Browser(web).sign_in(admins[0])

    assert browser.post(f"{PAGE}{row.id}/agree", PAGE, how=" ").status_code == 422
    assert row_of(lost).first_by is None


def test_the_mailed_link_stops_it_and_one_may_refuse(web, lost, admins, mails):
    ask(lost, web)
    stranger = Browser(web)
    path = path_in(mails(lost.email)[-1])
    assert "Stop it" in stranger.get(path).text
    assert stranger.post(path).status_code == 303
    assert row_of(lost).state == "stopped"

    row = ask(lost, web)
    browser = Browser(web).sign_in(admins[0])
    assert browser.post(f"{PAGE}{row.id}/refuse", PAGE).status_code == 303
    assert row_of(lost).state == "refused"
    assert "Refused" in browser.get(PAGE).text


def test_asking_is_rare(web, lost, admins):
    for _n in range(recovery.ASKED.times):
        row = ask(lost, web)
        Browser(web).sign_in(admins[0]).post(f"{PAGE}{row.id}/refuse", PAGE)
    browser = Browser(web).knows(lost)
    browser.post("/console/sign/in", name=lost.email, password=PASSWORD)

    answer = browser.post("/console/sign/lost", words="Again")

    assert "too often" in answer.text


# --- another address


def moved(browser, address, mails):
    page = "/console/security/address/"
    assert browser.post(page, email=address).status_code == 303
    path = path_in(mails(address)[-1])
    assert browser.get(path).status_code == 200
    assert browser.post(path, path).status_code == 303


def test_a_staff_member_gets_another_address_and_the_old_one_takes_it_back(
    web, lost, mails
):
    address = f"new-{db.new_id().hex}@example.org"
    other, browser = Browser(web).sign_in(lost), Browser(web).sign_in(lost)
    moved(browser, address, mails)

    assert address in browser.get("/console/security/").text
    assert other.get("/console/").status_code == 302
    knock = Browser(web).knows(lost)
    by_new = knock.post("/console/sign/in", name=address, password=PASSWORD)
    assert by_new.location == "/console/sign/second"
    back = path_in(mails(lost.email)[-1])
    stranger = Browser(web)
    assert address in stranger.get(back).text
    assert stranger.post(back).status_code == 303
    assert browser.get("/console/").status_code == 302
    old = Browser(web).post("/console/sign/in", name=lost.email, password=PASSWORD)
    assert old.location == "/console/sign/second"


def test_a_colleagues_address_is_refused(web, lost, admins):
    browser = Browser(web).sign_in(lost)

    answer = browser.post("/console/security/address/", email=admins[0].email)

    assert answer.status_code == 422
    assert "This address is a staff member" in answer.text


def test_who_has_no_factor_yet_changes_no_address(web, clean):
    bare = make_staff("Admin", passkey=False)
    browser = Browser(web)
    known_browser(browser.client, bare.subject, "clarion-console-device")
    browser.post("/console/sign/in", name=bare.email, password=PASSWORD)

    assert browser.get("/console/security/address/").location == "/console/security/"
