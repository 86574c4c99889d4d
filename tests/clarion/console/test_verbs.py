"""What staff can do to accounts and people, and what the log keeps of it."""

import re
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from clarion.base import db, settings
from clarion.base.errors import Conflict, Forbidden, Invalid
from clarion.console import log, roles, service, staffing
from clarion.misuse import measures
from clarion.tenancy import audit, chain, verifier
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.models import Account, AuditEntry, Invitation, Person
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import Browser, make_role, make_staff, statements, writes
from clarion.testing.factories import PASSWORD, make_account, make_sender
from clarion.web import staff

SYSTEM = db.Entry("clarion_system")
MAY_SUSPEND = frozenset({"console.accounts_suspend"})


@pytest.fixture
def tenant(web, clean):
    return make_account()


def acting(who):
    member = staff.find(str(who.id))
    return Actor("staff", str(who.id), member.name, permissions=member.permissions)


def deeds(row):
    with db.apart(SYSTEM) as orm:
        query = select(AuditEntry).where(AuditEntry.row == row).order_by(AuditEntry.at)
        return list(orm.scalars(query))


def stored(model, key):
    with db.apart(SYSTEM) as orm:
        return orm.get(model, key)


# --- accounts


def test_open_an_account_and_its_owner_comes_in(desk, web, run_jobs):
    answer = desk.post(
        "/console/accounts/new",
        name="Kopi Mama",
        email="Owner@Kopi.example",
        country="id",
        timezone="Asia/Jakarta",
    )

    assert answer.status_code == 302
    account_id = UUID(answer.headers["Location"].rpartition("/")[2])
    account = stored(Account, account_id)
    assert (account.name, account.country, account.timezone) == (
        "Kopi Mama",
        "ID",
        "Asia/Jakarta",
    )
    with db.apart(SYSTEM) as orm:
        offer = orm.scalar(select(Invitation).where(Invitation.account_id == account_id))
    assert (offer.email, offer.role) == ("owner@kopi.example", "owner")
    page = desk.get(f"/console/accounts/{account_id}").text
    assert "owner@kopi.example" in page
    assert {d.name for d in deeds(f"account:{account_id}")} == {
        "console.account.opened",
        "row.added",
    }

    run_jobs()

    mails = sorted(
        settings.settings().mail_folder.glob("*"), key=lambda p: p.stat().st_mtime
    )
    letter = mails[-1].read_text()
    assert "owner@kopi.example" in letter
    link = re.search(r"/invitation/[\w-]+", letter.replace("=\n", "")).group(0)
    assert Browser(web).get(link).status_code == 200
    assert link not in page


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "", "required"),
        ("name", "x" * 121, "120"),
        ("email", "nobody", "not an e-mail"),
        ("country", "India", "2"),
        ("timezone", "Mars/Olympus", "valid choice"),
    ],
)
def test_what_an_account_needs(desk, field, value, says):
    given = {"name": "A", "email": "a@b.example", "country": "IN", "timezone": "UTC"}

    answer = desk.post("/console/accounts/new", **{**given, field: value})

    assert answer.status_code == 422
    assert says in answer.text
    assert "a@b.example" in answer.text or field == "email"


def test_rename_keeps_before_and_after(desk, tenant):
    page = f"/console/accounts/{tenant.id}"

    answer = desk.post(f"{page}/name", page, name="Casa Azul")

    assert answer.status_code == 302
    changed = next(d for d in deeds(f"account:{tenant.id}") if d.name == "row.changed")
    assert changed.changes == {"name": ["Casa Verde", "Casa Azul"]}
    assert changed.actor.startswith("staff:")
    assert changed.actor_name == "Ada Okafor"
    assert changed.address == "203.0.113.0"
    assert changed.request_id.startswith("req_")
    assert desk.post(f"{page}/name", page, name=" ").status_code == 422


def test_suspend_and_reopen(desk, web, tenant):
    page = f"/console/accounts/{tenant.id}"

    missing = desk.post(f"{page}/suspend", page, reason="  ")
    answer = desk.post(f"{page}/suspend", page, reason="Contacts never agreed.")
    twice = desk.post(f"{page}/suspend", page, reason="Again.")

    assert (missing.status_code, answer.status_code, twice.status_code) == (422, 302, 422)
    assert "Somebody has asked for this already" in twice.text
    assert stored(Account, tenant.id).state == "active"
    confirm = re.search(r"/console/standing/measure/[0-9a-f-]+/confirm", twice.text)
    assert confirm is None  # not for who asked
    second = Browser(web).sign_in(make_staff("Admin", name="Ben Okri"))
    confirm = re.search(
        r"/console/standing/measure/[0-9a-f-]+/confirm", second.get(page).text
    )
    assert desk.post(confirm[0], page).status_code == 303
    assert stored(Account, tenant.id).state == "active"  # Ada cannot herself
    assert second.post(confirm[0], page).status_code == 303
    account = stored(Account, tenant.id)
    assert (account.state, account.state_reason) == ("suspended", "Contacts never agreed.")
    assert "Contacts never agreed." in desk.get(page).text

    assert desk.post(f"{page}/reopen", page, reason="They proved it.").status_code == 302
    assert stored(Account, tenant.id).state == "active"
    names = [d.name for d in deeds(f"account:{tenant.id}")]
    assert names.count("console.account.suspended") == 1
    assert names.count("console.account.reopened") == 1


def test_suspension_waits_for_messages_that_are_leaving(tenant, web):
    """It takes the lock that every intent holds shared: first those, then the stop."""
    with staff_scope(Actor("staff", "1", permissions=MAY_SUSPEND)), db.transaction():
        wish = measures.ask(tenant.id, "suspend", "Stop.")
    second = Actor("staff", "2", permissions=MAY_SUSPEND)
    with staff_scope(second), db.transaction(), statements() as run:
        measures.confirm(wish)
        locks = [sql for sql in run if "pg_advisory_xact_lock" in sql]
        assert run.index(locks[0]) < run.index(writes(run)[0])


def test_an_owner_is_invited_again(desk, tenant):
    page = f"/console/accounts/{tenant.id}"

    assert desk.post(f"{page}/owner", page, email="second@casa.example").status_code == 302
    assert desk.post(f"{page}/owner", page, email="no address").status_code == 422
    taken = desk.post(f"{page}/owner", page, email=tenant.email)

    assert taken.status_code == 422
    assert "second@casa.example" in desk.get(page).text


# --- people


def test_a_disabled_person_is_out_at_once(desk, web, tenant):
    customer = Browser(web).knows_customer(tenant)
    customer.post("/sign-in", email=tenant.email, password=PASSWORD)
    assert customer.get("/").status_code == 200
    inside = customer.get("/").text
    page = f"/console/people/{tenant.person_id}"

    assert desk.post(f"{page}/disable", page).status_code == 303

    assert stored(Person, tenant.person_id).state == "disabled"
    assert "Marina" in inside
    assert "Marina" not in customer.get("/").text
    again = Browser(web).post("/sign-in", email=tenant.email, password=PASSWORD)
    assert again.status_code == 422
    assert "disabled already" in follow(desk, desk.post(f"{page}/disable", page))

    assert desk.post(f"{page}/enable", page).status_code == 303
    assert (
        Browser(web).post("/sign-in", email=tenant.email, password=PASSWORD).status_code
        == 302
    )
    names = {d.name for d in deeds(f"person:{tenant.person_id}")}
    assert {"console.person.disabled", "console.person.enabled", "row.changed"} <= names


def follow(desk, answer):
    return desk.get(answer.headers["Location"]).text


# --- staff


def test_a_colleague_is_added_and_chooses_a_password(desk, web):
    page = desk.post(
        "/console/staff/new", name="Bo Lindqvist", email="bo@example.org", roles=["support"]
    )
    link = re.search(r"/console/sign/start\?token=[\w-]+", page.text).group(0)
    guest = Browser(web)

    assert guest.get(link).status_code == 200
    assert guest.get(link).status_code == 200  # a look uses nothing up
    weak = guest.post(link, password="password1234", again="password1234")
    differs = guest.post(link, password="a sentence of mine", again="another one of mine")
    own = guest.post(link, password="bo@example.org!!", again="bo@example.org!!")
    chosen = guest.post(link, password="a sentence of mine", again="a sentence of mine")

    assert (weak.status_code, differs.status_code, own.status_code) == (422, 422, 422)
    assert chosen.headers["Location"] == "/console/"
    assert guest.get("/console/").headers["Location"] == "/console/security/"
    assert "Bo Lindqvist" in guest.get("/console/security/").text
    assert Browser(web).get(link).status_code == 404
    used = Browser(web).post(link, "/console/sign/in", password="x" * 20, again="x" * 20)
    assert used.status_code == 404
    user_id = int(re.search(r"/console/staff/(\d+)/link", page.text).group(1))
    names = {d.name for d in deeds(f"ab_user:{user_id}")}
    assert {
        "console.staff.invited", "console.staff.linked", "console.staff.password_set",
    } <= names  # fmt: skip
    assert link not in desk.get(f"/console/staff/{user_id}").text


def test_the_first_staff_member_has_an_hour(web, clean):
    from clarion.base import clock

    with clock.freeze():
        link = service.first_token("first@example.org", "First One")
        token = link.partition("token=")[2]
        clock.advance(minutes=59)
        assert staffing.holder(token).email == "first@example.org"
        clock.advance(minutes=2)
        assert staffing.holder(token) is None

    newer = service.first_token("first@example.org", "First One")
    assert staffing.holder(newer.partition("token=")[2]) is not None
    newest = service.first_token("first@example.org", "First One")
    assert staffing.holder(newer.partition("token=")[2]) is None
    assert staffing.holder(newest.partition("token=")[2]) is not None


def test_the_same_link_used_twice_at_once_works_once(web, clean):
    from concurrent.futures import ThreadPoolExecutor

    token = service.first_token("race@example.org", "Race").partition("token=")[2]

    def take(n):
        words = f"number {n} of the racing sentences"
        try:
            return staffing.set_password(token, words, words)
        except Exception as error:
            return getattr(error, "code", repr(error))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(take, range(4)))

    assert sorted(map(str, answers))[1:] == ["link_gone"] * 3


def test_a_new_password_ends_the_sessions_of_the_old(web, desk):
    who = make_staff("support")
    old = Browser(web).sign_in(who)
    page = desk.post(f"/console/staff/{who.id}/link", f"/console/staff/{who.id}")
    link = re.search(r"/console/sign/start\?token=[\w-]+", page.text).group(0)

    Browser(web).post(
        link, password="quite another sentence", again="quite another sentence"
    )

    assert old.get("/console/").status_code == 302


def test_a_disabled_colleague_is_out_at_once(web, desk):
    who = make_staff("support")
    theirs = Browser(web).sign_in(who)
    page = f"/console/staff/{who.id}"

    assert desk.post(f"{page}/disable", page).status_code == 303

    assert theirs.get("/console/").status_code == 302
    refused = Browser(web).post(
        "/console/sign/in", name=who.email, password="the moon is made of green cheese"
    )
    assert refused.status_code == 422
    desk.post(f"{page}/enable", page)
    Browser(web).sign_in(who)
    names = {d.name for d in deeds(f"ab_user:{who.id}")}
    assert {
        "console.staff.disabled",
        "console.staff.enabled",
        "console.staff.refused",
    } <= names


def test_roles_apply_to_the_very_next_request(web, desk):
    who = make_staff("support")
    theirs = Browser(web).sign_in(who)
    page = f"/console/staff/{who.id}"
    assert theirs.get("/console/queues/").status_code == 403

    desk.post(f"{page}/roles", page, roles=["operations"])

    assert theirs.get("/console/queues/").status_code == 200
    assert theirs.get("/console/people/").status_code == 403
    entry = next(
        d for d in deeds(f"ab_user:{who.id}") if d.name == "console.staff.roles_changed"
    )
    assert entry.changes == {"before": [None, ["support"]], "after": [None, ["operations"]]}


def test_nobody_gives_what_they_lack(web, clean):
    limited = make_staff(
        make_role("console.staff", "console.staff_edit", "console.overview")
    )
    other, admin = make_staff(make_role()), make_staff("Admin")
    with staff_scope(acting(limited)):
        for act in (
            lambda: staffing.add("new@example.org", "New", ["Admin"]),
            lambda: staffing.add("new@example.org", "New", ["support"]),
            lambda: staffing.change_roles(other.id, ["owner"]),
            lambda: staffing.change_roles(admin.id, []),
            lambda: staffing.disable(admin.id),
            lambda: staffing.new_link(admin.id),
        ):
            with pytest.raises(Forbidden), db.transaction():
                act()
    assert staff.find(str(admin.id)).roles == ("Admin",)


def test_nobody_changes_their_own_rights(web, ada):
    role = make_role("console.overview", "console.roles", "console.roles_edit")
    with staff_scope(acting(ada)):
        for act in (
            lambda: staffing.change_roles(ada.id, ["support"]),
            lambda: staffing.disable(ada.id),
        ):
            with pytest.raises(Conflict), db.transaction():
                act()
    who = make_staff(role)
    member = staff.find(str(who.id))
    actor = Actor("staff", str(who.id), "W", role=role, permissions=member.permissions)
    with staff_scope(actor), pytest.raises(Conflict), db.transaction() as orm:
        key = orm.scalar(text("SELECT id FROM ab_role WHERE name = :name"), {"name": role})
        roles.change_permissions(key, ["console.overview"])


def test_somebody_who_manages_staff_is_always_left(web, clean):
    with staff_scope(COMMAND), db.transaction() as orm:
        orm.execute(text("UPDATE ab_user SET active = false"))
    last, before = make_staff("Admin"), make_staff("Admin")

    with staff_scope(acting(before)), db.transaction():
        staffing.disable(last.id)
    with staff_scope(COMMAND):
        for act in (
            lambda: staffing.disable(before.id),
            lambda: staffing.change_roles(before.id, ["support"]),
        ):
            with pytest.raises(Conflict) as refused, db.transaction():
                act()
            assert refused.value.code == "staff_last"


# --- roles


def test_a_role_is_made_and_changed(web, desk):
    answer = desk.post("/console/roles/new", name="Night shift")
    page = answer.headers["Location"]

    desk.post(
        f"{page}/permissions", page, permission=["console.overview", "console.queues"]
    )

    role_id = int(page.rpartition("/")[2])
    with staff_scope(COMMAND):
        assert roles.permissions_of([role_id])[role_id] == {
            "console.overview",
            "console.queues",
        }
    desk.post(f"{page}/permissions", page, permission=["console.overview"])
    with staff_scope(COMMAND):
        assert roles.permissions_of([role_id])[role_id] == {"console.overview"}
    last = [d for d in deeds(f"ab_role:{role_id}") if d.name == "console.role.changed"][-1]
    assert last.changes == {"added": [None, []], "taken": [None, ["console.queues"]]}
    assert desk.post("/console/roles/new", name="night SHIFT").status_code == 422


def test_built_in_roles_and_unknown_permissions_are_refused(web, ada):
    with staff_scope(acting(ada)):
        for name in roles.FIXED:
            with pytest.raises(Conflict), db.transaction() as orm:
                key = orm.scalar(
                    text("SELECT id FROM ab_role WHERE name = :name"), {"name": name}
                )
                roles.change_permissions(key, [])
        with pytest.raises(Invalid), db.transaction() as orm:
            key = orm.scalar(text("SELECT id FROM ab_role WHERE name = 'support'"))
            roles.change_permissions(key, ["console.everything"])


# --- the log


def test_the_log_is_filtered_by_its_address(desk, tenant):
    page = f"/console/accounts/{tenant.id}"
    desk.post(f"{page}/name", page, name="Casa Azul")

    shown = desk.get(f"/console/log/?account={tenant.id}&name=console.account").text
    other = desk.get(f"/console/log/?account={make_account().id}&name=console.account").text
    before = desk.get(f"/console/log/?account={tenant.id}&until=2020-01-01").text

    assert "Renamed an account" in shown
    assert "Renamed an account" not in other
    assert "Nothing matches" in before
    for bad in ("since=tomorrow", "account=1", "after=x", "until=2027-02-31"):
        assert desk.get(f"/console/log/?{bad}").status_code == 422, bad


def test_the_log_has_pages(desk, tenant):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        for n in range(log.PAGE + 5):
            audit.record("test.thing.done", n=n)

    first = desk.get(f"/console/log/?account={tenant.id}&name=test.thing").text
    onward = re.search(r'rel="next" href="([^"]+)"', first).group(1).replace("&amp;", "&")
    second = desk.get(onward).text

    assert first.count("test · thing") == log.PAGE
    assert second.count("test · thing") == 5
    assert 'rel="next"' not in second


def test_the_chain_is_shown_and_checked(desk, tenant):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        audit.record("test.thing.done")
    with staff_scope(COMMAND):
        assert log.state(tenant.id).loose > 0
    chain.seal()

    with staff_scope(COMMAND):
        state = log.state(tenant.id)
    assert state.loose == 0
    assert state.length > 0
    page = f"/console/log/?account={tenant.id}"
    answer = desk.post(f"/console/log/check/{tenant.id}", page)
    assert "The chain is whole" in follow(desk, answer)


# --- what staff cannot see


@pytest.mark.parametrize(
    ("table", "name"),
    [("person", "password_hash"), ("channel", "secrets"), ("campaign", "template")],
)
def test_staff_read_no_secret_and_no_text(web, clean, table, name):
    with staff_scope(COMMAND), pytest.raises(ProgrammingError, match="permission denied"):
        db.session().execute(text(f"SELECT {name} FROM {table}"))


def test_no_page_shows_what_customers_write(console, desk, tenant):
    from clarion.messaging.models import Campaign

    canary = "canary words of a customer"
    with account_scope(tenant.id, tenant.actor):
        sender = make_sender(tenant)
        with db.transaction() as orm:
            body = {"name": "t", "text": {"body": canary}}
            orm.add(
                Campaign(
                    name="Harvest", purpose="marketing", sender_id=sender, template=body,
                    state="running",
                )
            )  # fmt: skip
    paths = ["/console/", "/console/log/", "/console/queues/", "/console/webhooks/"]
    paths += [
        f"/console/accounts/{tenant.id}?tab={t}" for t in ("campaigns", "senders", "log")
    ]
    for path in paths:
        assert canary not in desk.get(path).text


def test_the_log_is_taken_out_filtered_and_whole(desk, tenant):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        audit.record("test.thing.done", n=41)
    chain.seal(window=None)

    page = f"/console/log/?account={tenant.id}"
    fields = {"form": "csv", "account": str(tenant.id), "name": "test."}
    table = desk.post("/console/log/export", page, **fields).text
    whole = desk.post(f"/console/log/download/{tenant.id}", page).text

    assert table.count("test.thing.done") == 1
    assert verifier.check(whole.splitlines())[1] == []
    assert (
        "Downloaded the log with its chain"
        in desk.get("/console/log/?name=console.audit").text
    )
