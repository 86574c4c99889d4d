"""The pages of both sides: ask, allow, look, reveal, ask about it, download and verify."""

import io
import json
import subprocess
import sys
import zipfile

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from clarion.base import db
from clarion.base.errors import Forbidden
from clarion.support import grants, history, windows
from clarion.support.models import AccessEntry, AccessGrant, AccessQuestion, SupportWindow
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing import console
from clarion.testing.console import Browser, statements
from clarion.testing.factories import PASSWORD
from clarion_contacts import service as contacts
from clarion_contacts.service import looked

ASK = {
    "purpose": "troubleshooting", "ticket": "T-77", "reason": "import stops", "minutes": "15",
    "scope": "view", "delay_days": "0",
}  # fmt: skip


@pytest.fixture
def owner(web, tenant):
    browser = Browser(web).knows_customer(tenant)
    browser.post("/sign-in", email=tenant.email, password=PASSWORD)
    return browser


@pytest.fixture
def people(tenant):
    """Three contacts; answers their ids."""
    with account_scope(tenant.id, tenant.actor), db.transaction():
        return [
            contacts.add(
                contacts.Details(
                    name=f"Zuleika Quintana {n}",
                    phone=f"+5511 9{20_000_000 + n:08d}",
                    email=f"zuleika{n}@example.org",
                )
            ).id
            for n in range(3)
        ]


def the(model):
    return db.session().scalars(select(model)).one()


def test_a_request_waits_for_an_owner(tenant, desk, owner, mails):
    place = f"/console/access/accounts/{tenant.id}"
    asked = desk.post(f"{place}/ask", place, **ASK)
    assert asked.status_code == 303
    waits = desk.get(place).text
    (mail,) = mails(tenant.email)

    page = owner.get("/support/").text
    assert "Our support asks to be let in" in owner.get("/").text
    with account_scope(tenant.id, tenant.actor):
        grant_id = the(AccessGrant).id
    allowed = owner.post(f"/support/requests/{grant_id}/allow", "/support/")

    assert "an owner of the account allows it" in waits
    assert "asks for access" in mail["Subject"]
    assert "T-77" in page
    assert "Ada Okafor" in page
    assert allowed.status_code == 302
    assert "asks to be let in" not in owner.get("/").text
    assert "You may look" in desk.get(place).text
    assert "Inside now" in owner.get("/support/").text
    ended = owner.post(f"/support/accesses/{grant_id}/end", "/support/")
    assert ended.status_code == 302
    assert "You may look" not in desk.get(place).text


def test_who_says_no_is_asked_no_more(tenant, ada, desk, owner):
    place = f"/console/access/accounts/{tenant.id}"
    desk.post(f"{place}/ask", place, **ASK)
    with account_scope(tenant.id, tenant.actor):
        grant_id = the(AccessGrant).id

    refused = owner.post(f"/support/requests/{grant_id}/refuse", "/support/")
    late = owner.post(f"/support/requests/{grant_id}/allow", "/support/")

    assert (refused.status_code, late.status_code) == (302, 409)
    assert "You may look" not in desk.get(place).text
    assert "Refused" in desk.get(place).text
    with (
        staff_scope(console.acting(ada)),
        pytest.raises(DBAPIError),
        db.transaction() as orm,
    ):
        # nor can staff say for an owner that they were let in
        orm.execute(
            text("UPDATE access_grant SET allowed_by = 'Marina', revoked_at = NULL")
        )


def test_a_window_lets_in_at_once_and_closes(tenant, desk, owner):
    opened = owner.post("/support/windows", "/support/", hours="24", scope="act")
    assert opened.status_code == 302
    place = f"/console/access/accounts/{tenant.id}"
    desk.post(f"{place}/ask", place, **{**ASK, "scope": "act"})
    assert "You may look" in desk.get(place).text
    with account_scope(tenant.id, tenant.actor):
        window_id = the(SupportWindow).id

    closed = owner.post(f"/support/windows/{window_id}/close", "/support/")

    assert closed.status_code == 302
    assert "You may look" not in desk.get(place).text


def test_an_emergency_needs_somebody_else(web, tenant, ada, bob, desk, mails):
    """STAFF-03: nobody approves their own, nor a colleague who shares their browser."""
    place = f"/console/access/accounts/{tenant.id}"
    desk.post(f"{place}/ask", place, **{**ASK, "emergency": "y", "minutes": "240"})
    with staff_scope(console.acting(ada)):
        grant_id = (
            db.session()
            .scalars(select(AccessGrant.id).where(AccessGrant.account_id == tenant.id))
            .one()
        )
    assert "asks for an emergency access (T-77)" in mails(bob.email)[-1]["Subject"]
    assert "emergency access waits for a colleague" in desk.get("/console/").text
    own = desk.post(f"/console/access/{grant_id}/approve", "/console/access/")
    twin = console.make_staff("Admin", name="Ada Again")
    same_browser = desk.cookie("clarion-console-device")
    other = Browser(web)
    other.client.set_cookie("clarion-console-device", same_browser)
    other.sign_in(twin)
    shared = other.post(f"/console/access/{grant_id}/approve", "/console/access/")
    assert "You may look" not in desk.get(place).text

    approved = (
        Browser(web)
        .sign_in(bob)
        .post(f"/console/access/{grant_id}/approve", "/console/access/")
    )

    assert own.status_code == 403
    assert shared.status_code == 403
    assert approved.status_code == 303
    assert "You may look" in desk.get(place).text


def test_refusals_of_the_form(tenant, ada):
    with staff_scope(console.acting(ada)):
        for given, field in (
            ({"minutes": 45}, "minutes"),
            ({"minutes": 240}, "minutes"),
            ({"ticket": " "}, "ticket"),
            ({"purpose": "curiosity"}, "purpose"),
            ({"delay_days": 3}, "delay_days"),
            ({"emergency": True, "scope": "act"}, "scope"),
        ):
            plain = {"purpose": "support", "ticket": "T", "reason": "why", **given}
            with pytest.raises(Exception) as error:
                grants.ask(tenant.id, grants.Asked(**plain))
            assert error.value.field == field


def test_contacts_are_masked_and_revealed_one_at_a_time(
    tenant, ada, desk, owner, people, let_in
):
    """STAFF-07, ACC-05: the entry is there before the record is shown."""
    index = f"/console/contacts/{tenant.id}/"
    without = desk.get(index)
    assert without.status_code == 302
    assert without.headers["Location"].endswith(f"/console/access/accounts/{tenant.id}")
    grant_id = let_in(ada)

    pages = [desk.get(index), desk.get(f"{index}{people[0]}")]
    revealed = desk.post(f"{index}{people[0]}/reveal", f"{index}{people[0]}")

    for page in pages:
        assert page.status_code == 200
        assert "+55••••0000" in page.text
        assert "z••••@example.org" in page.text
        for clear in ("Zuleika", "Quintana", "920000000", "zuleika0"):
            assert clear not in page.text
    assert "Zuleika Quintana 0" in revealed.text
    assert "Zuleika Quintana 1" not in revealed.text
    with account_scope(tenant.id, tenant.actor):
        m = AccessEntry
        seen = db.session().execute(select(m.deed, m.row).where(m.deed == "reveal")).all()
    assert seen == [("reveal", f"contact_id:{people[0]}")]

    told = owner.get(f"/support/log/{grant_id}").text
    assert "Contacts, in our console" in told
    assert f"contact {str(people[0])[:8]}" in told


def test_many_reveals_alarm_and_then_end(tenant, ada, desk, people, let_in, monkeypatch):
    monkeypatch.setattr(grants, "MANY_REVEALS", 1)
    let_in(ada)
    with staff_scope(console.acting(ada)):
        with db.transaction():
            looked.reveal(tenant.id, people[0])
        with db.transaction():
            looked.reveal(tenant.id, people[1])
        with pytest.raises(looked.TooMany), db.transaction():
            looked.reveal(tenant.id, people[2])
        query = text(
            "SELECT count(*) FROM audit_entry WHERE name = 'contacts.reveals.many'"
        )
        assert db.session().scalar(query) >= 1
    assert "2 revealed" in desk.get("/console/access/").text


def test_a_list_asks_the_database_as_often_for_many(tenant, ada, desk, owner, let_in):
    def asked():
        found = []
        for page, browser in (("/support/", owner), ("/console/access/", desk)):
            browser.get(page)  # what is written once a minute is written now
            with statements() as sql:
                assert browser.get(page).status_code == 200
            found.append(len(sql))
        return found

    grant_id = let_in(ada)
    few = asked()
    for number in range(5):
        with staff_scope(console.acting(ada)), db.transaction():
            grants.end(grant_id)
        with staff_scope(console.acting(ada)), db.transaction():
            more = grants.Asked("support", f"T-{number}", "more")
            grant_id = grants.ask(tenant.id, more).id

    assert asked() == few


def test_a_question_is_answered(web, tenant, ada, desk, owner, let_in, mails):
    grant_id = let_in(ada)
    mails(tenant.email)
    place = f"/support/log/{grant_id}"
    asked = owner.post(f"{place}/question", place, text="Why did you open my contacts?")
    assert asked.status_code == 302
    assert "Why did you open my contacts?" in desk.get("/console/access/").text
    told = mails(ada.email)[-1]
    assert "A customer asks about an access (T-4821)" in told["Subject"]
    assert "/console/access/" in told.get_content()
    assert "open my contacts" not in told.get_content()
    assert "question about an access waits" in desk.get("/console/").text
    with account_scope(tenant.id, tenant.actor):
        question_id = the(AccessQuestion).id

    answered = desk.post(
        f"/console/access/questions/{question_id}/answer",
        "/console/access/",
        answer="Your import had a broken row.",
    )

    assert answered.status_code == 303
    assert "Your import had a broken row." in owner.get(place).text
    assert "Why did you open" not in desk.get("/console/access/").text
    assert "answered" in mails(tenant.email)[-1]["Subject"]


def test_the_file_verifies_itself_and_what_came_before(
    tenant, ada, owner, let_in, later, tmp_path
):
    """ACC-02, AUD-05: without Clarion; a change, a loss and a cut are named."""
    grant_id = let_in(ada)
    later.forward(minutes=2)
    first = unpack(owner.post("/support/log/download", "/support/"), tmp_path / "first")
    with account_scope(tenant.id, tenant.actor), db.transaction():
        windows.revoke(grant_id)
    later.forward(minutes=2)
    second = unpack(owner.post("/support/log/download", "/support/"), tmp_path / "second")

    assert verify(second) == (0, "")
    assert verify(second, first) == (0, "")
    log = json.loads(second.read_text())
    assert [one["deed"] for one in log["entries"]] == ["asked", "started", "ended"]
    assert {one["ticket"] for one in log["entries"]} == {"T-4821"}
    for what, spoil in {
        "entry 1 was changed": lambda log: log["entries"][0].update(reason="nothing"),
        "entry 2 was changed": lambda log: (
            log["entries"].pop(0) and log["entries"].insert(0, log["entries"][0])
        ),
        "the end was cut off": lambda log: log["entries"].pop(),
    }.items():
        bad = json.loads(second.read_text())
        spoil(bad)
        place = tmp_path / "bad.json"
        place.write_text(json.dumps(bad))
        code, said = verify(place, program=second.parent)
        assert code == 1
        assert "WRONG" in said, what
    shorter = json.loads(first.read_text())
    assert len(shorter["entries"]) == 2
    assert (
        verify(first, second)[0] == 1
    )  # what stood in the longer one is not in the shorter


def unpack(answer, folder):
    assert answer.status_code == 200
    zipfile.ZipFile(io.BytesIO(answer.data)).extractall(folder)
    return folder / "access-log.json"


def verify(*logs, program=None):
    place = (program or logs[0].parent) / "verify_access_log.py"
    done = subprocess.run(
        [sys.executable, "-I", str(place), *map(str, logs)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout if done.returncode else ""


def test_each_entry_stands_in_the_chain(database, tenant, ada, let_in):
    """The digest of an entry is in the account's own log: it cannot be altered unseen."""
    let_in(ada)
    with account_scope(tenant.id, tenant.actor):
        m = AccessEntry
        ids = set(map(str, db.session().scalars(select(m.id))))
        query = text("SELECT changes->'entry'->>1 FROM audit_entry WHERE name = 'row.seen'")
        chained = set(db.session().scalars(query))

    assert chained == ids
    assert len(ids) == 2


def test_who_may_not_ask_gets_nothing(tenant, ada):
    who = console.acting(ada)
    nobody = type(who)("staff", who.id, who.name)
    with staff_scope(nobody):
        for act in (
            lambda: grants.ask(tenant.id, grants.Asked("support", "T", "why")),
            grants.page,
            history.to_answer,
        ):
            with pytest.raises(Forbidden):
                act()
