"""Staff look up an account, work the queue; the customer reads, answers and appeals."""

import re

import pytest
from sqlalchemy import select, text
from tests.clarion.console.conftest import ada, console, desk, web  # noqa: F401 -- fixtures
from tests.clarion.misuse.conftest import aged, counted

from clarion.base import db
from clarion.misuse import watching
from clarion.misuse.models import MisuseFlag
from clarion.testing.console import Browser, make_role, make_staff, statements
from clarion.testing.factories import PASSWORD, make_account

pytestmark = pytest.mark.usefixtures("alone")
BAD = {"people": 1_000, "left": 1_000, "delivered": 1_000, "stopped": 50, "blocked": 50}


@pytest.fixture
def tenant(web, clean):  # noqa: F811
    return make_account("Banana Republic Lda")


@pytest.fixture
def case(tenant, root):
    """The id of an open case with 90 points."""
    aged(root, tenant, 100)
    counted(tenant, **BAD)
    watching.look_at.function(tenant.id)
    with db.apart(watching.WATCH) as orm:
        return orm.scalars(select(MisuseFlag.id)).one()


@pytest.fixture
def customer(web, tenant):  # noqa: F811
    browser = Browser(web).knows_customer(tenant)
    assert (
        browser.post("/sign-in", email=tenant.email, password=PASSWORD).status_code == 302
    )
    return browser


def colleague(web, name):  # noqa: F811
    return Browser(web).sign_in(make_staff("Admin", name=name))


# --- accounts


@pytest.mark.parametrize("asked", ["anana rep", "{email}", "{start}", "{id}"])
def test_an_account_is_found_by_name_owner_and_id(desk, tenant, asked):  # noqa: F811
    make_account("Somebody else")
    asked = asked.format(email=tenant.email, start=tenant.email[:30] + "@", id=tenant.id)
    if asked.endswith("@"):
        asked = tenant.email.partition("@")[0] + "@"

    html = desk.get(f"/console/accounts/?q={asked}").text

    assert "Banana Republic Lda" in html
    assert tenant.email in html
    assert "Somebody else" not in html


def test_the_search_goes_on_by_key_with_as_many_statements(desk, web, root):  # noqa: F811
    def asked(query):
        with statements() as found:
            html = desk.get(f"/console/accounts/?q=Leafed{query}").text
        return len(found), re.findall(r">(Leafed \d+)<", html), html

    def make(count):
        with root.begin() as connection:
            connection.execute(text(
                "INSERT INTO account (id, name) SELECT gen_random_uuid(), 'Leafed ' || n"
                " FROM generate_series(1, :n) n"), {"n": count})  # fmt: skip

    make(2)
    asked("")  # what a process reads once is read
    few, _names, _html = asked("")
    make(60)
    many, first, html = asked("")
    after = re.search(r"after=([0-9a-f-]+)", html)[1]
    _count, second, _html = asked(f"&after={after}")

    assert few == many
    assert (len(first), len(second)) == (50, 12)
    assert desk.get("/console/accounts/?q=a&after=nonsense").status_code == 422


def test_the_riskiest_come_first(desk, tenant, case):  # noqa: F811
    html = desk.get("/console/accounts/?q=&risky=1").text

    assert "Banana Republic Lda" in html
    assert ">90<" in html


def test_quotas_notes_and_a_timeline(desk, tenant):  # noqa: F811
    page = f"/console/standing/{tenant.id}"

    put = desk.post(f"{page}/quota/messages", page, at_most="250", reason="New here.")
    bad = desk.post(f"{page}/quota/messages", page, at_most="-1", reason="")
    unknown = desk.post(f"{page}/quota/elephants", page, at_most="1", reason="x")
    note = desk.post(f"{page}/note", page, text="Called them: all is well.")
    shown = desk.get(page).text
    lifted = desk.post(f"{page}/quota/messages/lift", page)
    told = desk.get(f"{page}/timeline").text

    assert (put.status_code, bad.status_code, unknown.status_code) == (302, 422, 422)
    assert (note.status_code, lifted.status_code) == (302, 303)
    assert "250" in shown
    assert "New here." in shown
    assert "Called them: all is well." in shown
    order = [told.index(w) for w in ("Lifted a quota", "Called them", "Set a quota")]
    assert order == sorted(order)
    assert "No quota." in desk.get(page).text


def test_the_note_is_for_staff_only(desk, tenant, customer):  # noqa: F811
    page = f"/console/standing/{tenant.id}"
    desk.post(f"{page}/note", page, text="Do not trust this one.")

    assert "Do not trust" not in customer.get("/activity").text


def test_closing_takes_two_and_can_be_taken_back(desk, web, tenant, customer, mails):  # noqa: F811
    page = f"/console/standing/{tenant.id}"
    desk.post(f"{page}/close", page, reason="Bought lists.")
    second = colleague(web, "Ben Okri")
    confirm = re.search(
        r"/console/standing/measure/[0-9a-f-]+/confirm", second.get(page).text
    )

    assert second.post(confirm[0], page).status_code == 303
    told = mails(tenant.email)[-1]
    assert "was closed" in told["Subject"]
    assert "Why: Bought lists." in told.get_content()
    door = customer.get(customer.get("/").headers["Location"]).text
    assert "Banana Republic Lda was closed" in door
    assert "Bought lists." in door
    account = f"/console/accounts/{tenant.id}"
    assert "Bought lists." in desk.get(account).text
    assert desk.post(f"{account}/reopen", account, reason="Wrong one.").status_code == 302
    assert "Bought lists." not in desk.get(account).text


# --- misuse


def test_today_and_the_queue_lead_to_the_evidence(desk, case):  # noqa: F811
    today = desk.get("/console/").text
    queue = desk.get("/console/misuse/").text
    shown = desk.get(f"/console/misuse/{case}").text

    assert "1 case of possible misuse waits" in today
    assert f"/console/misuse/{case}" in queue
    assert "5.00% of 1,000; 0.50% is usual" in shown
    assert desk.get("/console/misuse/?tab=nonsense").status_code == 404
    assert desk.get("/console/misuse/?after=nonsense").status_code == 422


def test_a_decision_needs_the_right_and_words(web, case):  # noqa: F811
    page = f"/console/misuse/{case}"
    looks = Browser(web).sign_in(make_staff(make_role("console.misuse")))
    decides = colleague(web, "Ada")

    assert "What the customer reads" not in looks.get(page).text
    refused = looks.post(f"{page}/decide", page, what="allow", reason="Fine.")
    silent = decides.post(f"{page}/decide", page, what="allow", reason=" ")
    vague = decides.post(f"{page}/decide", page, what="limit", reason="Slower.")

    assert (refused.status_code, silent.status_code, vague.status_code) == (403, 422, 422)
    assert "Say how many a day." in vague.text


def test_question_suspension_banner_appeal(web, customer, tenant, case, mails):  # noqa: F811
    """The whole way of a case, by the buttons people press."""
    page, mine = f"/console/misuse/{case}", f"/review/{case}"
    ada, ben, cleo = (colleague(web, n) for n in ("Ada Okafor", "Ben Okri", "Cleo Diaz"))  # noqa: F811
    ada.post(f"{page}/decide", page, what="ask", reason="Where did they agree?")
    assert "a question from us" in mails(tenant.email)[-1]["Subject"]
    assert "Where did they agree?" in customer.get(mine).text
    assert customer.post(f"{mine}/answer", mine, text="On our form.").status_code == 302
    assert "Answered" in ada.get("/console/misuse/").text

    ada.post(f"{page}/decide", page, what="suspend", reason="The form does not say so.")
    confirm = re.search(r"/console/standing/measure/[0-9a-f-]+/confirm", ben.get(page).text)
    assert ben.post(confirm[0], page).status_code == 303
    home = customer.get("/").text
    assert "This account may not send for now: The form does not say so." in home
    assert "/review/" in home

    assert (
        customer.post(f"{mine}/appeal", mine, text="Look at page two.").status_code == 302
    )
    assert customer.post(f"{mine}/appeal", mine, text="Again.").status_code == 422
    assert "Appealed" in cleo.get("/console/misuse/?tab=appeal").text
    assert "/console/misuse/appeal/" not in ben.get(page).text
    appeal = re.search(r"/console/misuse/appeal/[0-9a-f-]+", cleo.get(page).text)[0]
    assert ben.post(appeal, page, what="refuse", reason="No.").status_code == 422
    assert (
        cleo.post(appeal, page, what="grant", reason="Page two says it.").status_code == 302
    )

    assert "may not send for now" not in customer.get("/").text
    assert "Page two says it." in customer.get(mine).text
    assert "your appeal was decided" in mails(tenant.email)[-1]["Subject"]
