"""Support in the portal as a person: a ticket, a session of its own, refusals, and its end."""

import re

import pytest
from sqlalchemy import func, select, text
from tests.clarion.support.conftest import go_in, vouched

from clarion.base import clock, db
from clarion.console import roles, staffing
from clarion.plugging.manager import plugins
from clarion.support import history, settling, windows
from clarion.support.models import AccessEntry, AccessGrant, SupportWindow
from clarion.tenancy.models import AuditEntry, PortalSession
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing import console
from clarion.testing.console import Browser
from clarion.web.tables import Role
from clarion_contacts import service as contacts

SYSTEM = db.Entry("clarion_system", None, "test")


@pytest.fixture
def looking(web, ada, let_in, ticket):
    """Let Ada in, and open the portal as the owner; answers a maker of browsers."""

    def enter(**more):
        let_in(ada, **more)
        browser = Browser(web).sign_in(ada)
        answer = go_in(browser, ticket(browser))
        assert answer.status_code == 303, answer.text
        return browser

    return enter


def entries(tenant, *deeds):
    with account_scope(tenant.id, tenant.actor):
        m = AccessEntry
        query = select(m).where(m.deed.in_(deeds or ("screen", "change", "denied")))
        return db.session().scalars(query.order_by(m.created_at)).all()


def test_thirty_clicks_are_thirty_entries_with_purpose(web, tenant, looking):
    """ACC-01: what the customer reads is what was opened, in order, and why."""
    browser = looking()
    pages = ("/", "/contacts/", "/campaigns/", "/templates/", "/senders/", "/team/")
    clicks = [pages[n % len(pages)] for n in range(30)]

    assert {browser.get(path).status_code for path in clicks} == {200}

    assert [one.what for one in entries(tenant)] == clicks
    owner = Browser(web).knows_customer(tenant)
    owner.post("/sign-in", email=tenant.email, password="correct horse battery staple")
    listed = owner.get("/support/").text
    assert "30 pages" in listed
    assert "T-4821" in listed
    assert "import fails" in listed
    with account_scope(tenant.id, tenant.actor):
        (visit,), _after = history.visits()
    details = owner.get(f"/support/log/{visit.grant.id}").text
    assert details.count(">opened ") == 30
    assert details.count(">opened Contacts<") == 5
    assert "Ada Okafor" in details


def test_what_support_that_only_looks_was_refused_is_in_the_log(tenant, looking):
    """AUD-04: its session cannot write, its traces are written all the same."""
    browser = looking(scope="view")

    assert browser.post("/contacts/new", "/contacts/").status_code == 403
    assert browser.post("/sign-out", "/").status_code in (302, 303)

    with account_scope(tenant.id, tenant.actor):
        m = AuditEntry
        found = db.session().scalars(select(m).where(m.behind.is_not(None))).all()
    assert {"request.refused", "request.sent"} <= {one.name for one in found}


def test_every_page_has_the_bar(looking):
    """STAFF-06: purpose, end, and the button, on pages and on refusals."""
    browser = looking()
    for path in ("/", "/contacts/", "/security/", "/no/such/page"):
        page = browser.get(path).text
        assert 'class="banner"' in page, path
        assert "T-4821" in page
        assert 'action="/support/end"' in page
        assert re.search(r'<time-ago datetime="[^"]+">', page)


REFUSED = (
    ("POST", "/profile/password"), ("GET", "/security/"), ("POST", "/security/app/new"),
    ("POST", "/profile"), ("POST", "/team/invite"), ("POST", "/contacts/export/csv"),
    ("POST", "/support/windows"), ("POST", "/accounts/{account}"), ("POST", "/sign-in"),
)  # fmt: skip


@pytest.mark.parametrize("scope", ["view", "act"])
def test_what_is_refused_is_in_the_log(tenant, looking, scope):
    """STAFF-05 for doors that matter most; the matrix of all routes is below."""
    browser = looking(scope=scope)
    token = browser.token("/")
    for method, path in REFUSED:
        where = path.format(account=tenant.id)
        answer = (
            browser.get(where)
            if method == "GET"
            else browser.client.post(where, data={"csrf_token": token})
        )
        assert answer.status_code in (403, 404, 405), (method, path, answer.status_code)

    denied = [one.what for one in entries(tenant, "denied")]
    assert "/profile/password" in denied
    assert "/team/invite" in denied
    assert "/support/windows" in denied
    assert len(denied) >= 7


def test_every_sensitive_route_is_refused(web, tenant, looking):
    """STAFF-05: each route whose permission is sensitive, or that asks again, whatever it is."""
    from clarion.tenancy import access
    from clarion.web.portal_app import create_portal

    app = create_portal()
    browser = looking(scope="act")
    token, wrong, tried = browser.token("/"), [], 0
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        guard, fresh = getattr(view, "guard", ""), getattr(view, "fresh", None)
        if not (access.sensitive(guard) or fresh or guard == "person"):
            continue
        path = rule.build(dict.fromkeys(rule.arguments, _value(rule)))[1]
        for method in rule.methods & {"GET", "POST"}:
            answer = browser.client.open(path, method=method, data={"csrf_token": token})
            tried += 1
            if answer.status_code != 403:
                wrong.append(f"{method} {path}: {answer.status_code}")

    assert wrong == []
    assert tried > 30
    assert len(entries(tenant, "denied")) == tried


@pytest.mark.parametrize("action", ["delete", "export"])
def test_what_a_verb_refuses_is_in_the_log_too(tenant, looking, action):
    """The page is open to everybody; what is chosen on it is not."""
    browser = looking(scope="act")

    answer = browser.post("/contacts/bulk", "/contacts/", action=action, all="1")

    assert answer.status_code == 403
    assert [one.what for one in entries(tenant, "denied")] == ["/contacts/bulk"]


def _value(rule):
    kinds = {type(one).__name__ for one in rule._converters.values()}
    return db.new_id() if "UUIDConverter" in kinds else "csv"


def test_looking_only_changes_nothing(tenant, looking):
    browser = looking()

    answer = browser.post("/contacts/tags", "/contacts/", name="new")

    assert answer.status_code in (403, 404)
    with account_scope(tenant.id, tenant.actor):
        assert db.session().scalar(text("SELECT count(*) FROM contacts_tag")) == 0


def test_an_edited_contact_is_in_the_customers_log(web, tenant, looking):
    """What support changed of a contact, before and after; of names only that they did."""
    known = {"phone": "+5511920000001", "email": "zuleika@example.org"}
    with account_scope(tenant.id, tenant.actor), db.transaction():
        contact_id = contacts.add(contacts.Details(name="Zuleika Quintana", **known)).id
    browser = looking(scope="act")

    answer = browser.post(
        f"/contacts/{contact_id}/edit", name="Somebody Else", language="pt", **known
    )

    assert answer.status_code in (302, 303), answer.text
    with account_scope(tenant.id, tenant.actor):
        (visit,), _after = history.visits()
        seen, _after = history.seen(visit.grant.id)
        row = f"contacts_contact:{contact_id}"
        a = AuditEntry
        query = select(a).where(a.name == "row.changed", a.row == row)
        deed = db.session().scalars(query).one()
    assert deed.behind.endswith("Ada Okafor")
    assert deed.actor == f"person:{tenant.person_id}"
    changed = next(one for one in seen if one.entry.deed == "change")
    of_contact = next(v for w, _t, v in changed.changes if w == "Contact changed")
    assert ("language", "", "pt") in of_contact
    assert ("name", "•••", "•••") in of_contact
    owner = Browser(web).knows_customer(tenant)
    owner.post("/sign-in", email=tenant.email, password="correct horse battery staple")
    page = owner.get(f"/support/log/{visit.grant.id}").text
    assert "Contact changed" in page
    assert "Somebody Else" not in page


def test_what_is_changed_carries_both_names(tenant, looking):
    """Both names on the entry, and before and after in the customer's log."""
    browser = looking(scope="act")

    answer = browser.post(
        "/settings/", name="Casa Azul", country="BR", timezone="UTC", language="en"
    )

    assert answer.status_code in (302, 303), answer.text
    with account_scope(tenant.id, tenant.actor):
        a = AuditEntry
        query = select(a).where(a.name == "row.changed", a.row.like("account:%"))
        deed = db.session().scalars(query).one()
        (visit,), _after = history.visits()
        seen, _after = history.seen(visit.grant.id)
    assert deed.actor == f"person:{tenant.person_id}"
    assert deed.behind.endswith("Ada Okafor")
    assert deed.reason == "T-4821: import fails"
    changed = next(one for one in seen if one.entry.deed == "change")
    assert ("name", "Casa Verde", "Casa Azul") in [
        v for _w, _t, vs in changed.changes for v in vs
    ]


def test_a_ticket_is_good_once_for_a_minute(web, ada, let_in, ticket):
    let_in(ada)
    with clock.freeze():
        browser = Browser(web).sign_in(ada)
        first, used = ticket(browser), ticket(browser)
        assert go_in(browser, used).status_code == 303
        again = Browser(web).sign_in(ada)
        late = ticket(again)
        clock.advance(seconds=61)
        over = again.get(late)

    assert again.get(first).status_code == 404  # a newer one made it void
    assert again.get(used).status_code == 404
    assert over.status_code == 404


@pytest.mark.parametrize("whose", ["a stranger's", "a colleague's", "their own, another"])
def test_another_browser_with_the_link_gets_nothing(web, ada, bob, let_in, ticket, whose):
    """The link alone is worth nothing, and trying does not use it up."""
    let_in(ada)
    browser = Browser(web).sign_in(ada)
    path = ticket(browser)
    thief = Browser(web)
    if whose != "a stranger's":
        thief.sign_in(bob if "colleague" in whose else ada)

    answer, _where = vouched(thief, path)
    assert answer.status_code in (302, 404), answer.text  # the console's door, or nothing
    assert "Open the portal" not in answer.text
    _page, where = vouched(browser, path)
    proof = where.partition("proof=")[2]
    carried = thief.get(f"{path}?proof={proof}")
    forced = thief.post(path, "/sign-in", proof=proof)
    odd = thief.get(f"{path}?proof=%C3%A4")

    assert (carried.status_code, forced.status_code, odd.status_code) == (404, 404, 404)
    assert thief.get("/contacts/").status_code == 302
    assert go_in(browser, path).status_code == 303  # it is as good as before


def test_the_console_signs_for_its_own_browser_only(web, ada, let_in, ticket):
    let_in(ada)
    browser, other = Browser(web).sign_in(ada), Browser(web).sign_in(ada)
    token = ticket(browser).rpartition("/")[2]
    asked = f"/console/access/vouch/{token}/abc"

    assert browser.get(asked).status_code == 303
    assert other.get(asked).status_code == 404
    assert browser.get("/console/access/vouch/x/abc").status_code == 404


@pytest.mark.parametrize(
    "how", ["revoked", "window", "disabled", "role", "right", "time", "End", "session"]
)
def test_it_ends_at_the_next_request(web, tenant, ada, bob, looking, later, how):
    name = ""
    if how == "right":
        every = plugins().permissions("console")
        name = console.make_role(*every)
        staffing.arrange_roles(ada.email, [name], ["Admin"])
    browser = looking()
    assert browser.get("/contacts/").status_code == 200
    with account_scope(tenant.id, tenant.actor):
        grant_id = db.session().scalars(select(AccessGrant.id)).one()
        window_id = db.session().scalars(select(SupportWindow.id)).one()

    if how == "revoked":
        with account_scope(tenant.id, tenant.actor), db.transaction():
            windows.revoke(grant_id)
    elif how == "window":
        with account_scope(tenant.id, tenant.actor), db.transaction():
            windows.close_window(window_id)
    elif how == "disabled":
        with staff_scope(console.acting(bob, "Bob")), db.transaction():
            staffing.disable(ada.id)
    elif how == "role":
        staffing.arrange_roles(ada.email, [console.make_role("console.support")], ["Admin"])
    elif how == "right":  # what their role may is changed, by somebody else
        with staff_scope(console.acting(bob, "Bob")), db.transaction() as orm:
            role_id = orm.scalar(select(Role.id).where(Role.name == name))
            roles.change_permissions(role_id, set(every) - {"console.support_open"})
    elif how == "time":
        later.forward(minutes=31)
    elif how == "End":
        assert browser.post("/support/end", "/").status_code == 303
    else:
        with db.apart(SYSTEM) as orm:
            m = PortalSession
            row = orm.scalars(
                select(m).where(m.behind.is_not(None)).order_by(m.seen_at.desc())
            ).first()
            assert row.behind == f"staff:{ada.id} Ada Okafor"
            row.revoked_at = func.now()

    live = browser.client.get("/contacts/count", headers={"HX-Request": "true"})
    answer = browser.get("/contacts/")
    assert (live.status_code, live.text) == (401, "")  # what the open page asks by itself
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in")
    assert "banner" not in browser.get("/sign-in").text


def test_a_right_that_others_give_keeps_the_access(tenant, ada, bob, let_in):
    """Two roles open accesses; taking it from one leaves what the other allows."""
    one, other = (console.make_role("console.support_open") for _ in "12")
    staffing.arrange_roles(ada.email, [one, other], ["Admin"])
    grant_id = let_in(ada)
    with staff_scope(console.acting(bob, "Bob")), db.transaction() as orm:
        ids = dict(orm.execute(select(Role.name, Role.id)).tuples().all())
        roles.change_permissions(ids[one], set())
        assert orm.get(AccessGrant, grant_id).revoked_at is None
        roles.change_permissions(ids[other], set())
        orm.expire_all()
        assert orm.get(AccessGrant, grant_id).revoked_by == "Bob"


def test_the_cookie_lasts_no_longer_than_the_access(web, ada, let_in, ticket):
    let_in(ada, minutes=15)
    browser = Browser(web).sign_in(ada)
    answer = go_in(browser, ticket(browser))

    lasts = int(re.search(r"Max-Age=(\d+)", answer.headers["Set-Cookie"])[1])
    assert 0 < lasts <= 15 * 60


def test_owners_are_told_by_mail_and_once(tenant, ada, let_in, mails, run_jobs):
    let_in(ada)
    (mail,) = mails(tenant.email)
    settling.settle()
    run_jobs()

    assert len(mails(tenant.email)) == 1
    assert "Ada Okafor" in mail.get_content()
    assert "T-4821" in mail.get_content()
    assert "/support/log/" in mail.get_content()


def test_an_investigation_is_told_when_it_is_due(tenant, ada, bob, mails, later):
    """ACC-03: the mail, too; and not before."""
    from clarion.support import grants

    with staff_scope(console.acting(ada)), db.transaction():
        asked = grants.Asked("misuse_investigation", "M-7", "bait", 60, "view", True, 3)
        grant = grants.ask(tenant.id, asked)
    with staff_scope(console.acting(bob, "Bob")), db.transaction():
        grants.approve(grant.id)
    before = mails(tenant.email)
    later.forward(days=3)
    settling.settle()

    assert before == []
    (mail,) = mails(tenant.email)
    assert "M-7" in mail.get_content()
    with account_scope(tenant.id, tenant.actor):
        m = AccessEntry
        deeds = db.session().scalars(select(m.deed).order_by(m.created_at)).all()
    assert deeds == ["asked", "approved", "started", "ended"]
