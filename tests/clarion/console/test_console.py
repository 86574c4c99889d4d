"""The console's pages: ours alone, guarded, fast, and closed to customers."""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import pytest
from jinja2 import TemplateNotFound
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as keep

from clarion.base import db
from clarion.messaging.models import Campaign, Sender
from clarion.misuse.models import MisuseFlag
from clarion.misuse.watching import WATCH
from clarion.tenancy.actor import NOBODY
from clarion.tenancy.models import Account, Membership
from clarion.tenancy.scope import account_scope, current_actor
from clarion.testing.console import Browser, make_role, make_staff, statements, writes
from clarion.testing.factories import PASSWORD, make_account, make_sender
from clarion.web.pages import guard_of

STOCK = (
    "panel-",
    "glyphicon",
    "fa fa-",
    "jquery",
    "select2",
    "bootstrap-datepicker",
    "ab_filters",
)
SYSTEM = db.Entry("clarion_system")
ELSEWHERE = {"ticket", "word", "announcement_id", "job_id", "key", "webhook_id"}
"""Places of pages about one thing that other tests make and look at: there is none here."""


def rules(console, method):
    found = [r for r in console.url_map.iter_rules() if method in r.methods]
    return sorted(found, key=str)


def case_of(account_id):
    """The account's open case; it has one from here on."""
    with db.apart(WATCH) as orm:
        row = keep(MisuseFlag).values(
            id=db.new_id(), account_id=account_id, score=50, parts=[], rules="test"
        )
        orm.execute(row.on_conflict_do_nothing())
        mine = MisuseFlag.account_id == account_id
        return orm.scalars(
            select(MisuseFlag.id).where(mine, MisuseFlag.state == "open")
        ).one()


def values(rule, account, ada):
    """Real ids for a rule's places."""
    kind = rule.endpoint.partition(".")[0]
    with account_scope(account.id, account.actor):
        sender, campaign = (
            db.session().scalars(select(one.id)).first() or account.id
            for one in (Sender, Campaign)
        )
    pk = {
        "ConsoleSenderScreen": sender,
        "ConsoleAccountScreen": account.id,
        "ConsolePersonScreen": account.person_id,
        "ConsoleStaffScreen": ada.id,
        "ConsoleRolePanel": 1,
    }.get(kind)
    given = {"pk": pk, "name": "console", "chain": account.id}
    others = ("factor_id", "session_id", "network_id", "account_id", "measure_id")
    others += ("contact_id", "grant_id", "question_id")
    given |= {"flag_id": case_of(account.id), "appeal_id": account.id, "kind": "messages"}
    given |= {"campaign_id": campaign, "lane": "bulk", "where": "whatsapp_cloud"}
    given |= {"code": "131048"} | dict.fromkeys(ELSEWHERE, account.id)
    given |= dict.fromkeys(others, account.id)
    return defaultdict(lambda: account.id, given)


def opened(rule):
    """What a page answers to who may open it: one of content asks for access first."""
    if ELSEWHERE & rule.arguments or rule.endpoint == "ConsoleAddressPanel.confirm":
        return 404
    return 302 if rule.endpoint.startswith("ContactsLookPanel.") else 200


def address(console, rule, given):
    with console.test_request_context():
        from flask import url_for

        return url_for(rule.endpoint, **{k: given[k] for k in rule.arguments})


@pytest.fixture
def tenant(clean):
    """An account with a number and a campaign on its way."""
    tenant = make_account()
    with account_scope(tenant.id, tenant.actor):
        sender = make_sender(tenant)
        with db.transaction() as orm:
            campaign = Campaign(
                name="Harvest",
                purpose="marketing",
                sender_id=sender,
                template={},
                state="running",
            )
            orm.add(campaign)
    return tenant


# --- every page


def test_every_page_is_ours(console, desk, tenant, ada):
    """Nothing of Flask-AppBuilder's look, no inline script or style, one heading."""
    seen = 0
    desk.post("/console/security/app/new", "/console/security/")  # else it leads on
    for rule in rules(console, "GET"):
        if guard_of_rule(console, rule) == "public":
            continue
        path = address(console, rule, values(rule, tenant, ada))
        answer = desk.get(path)
        html = answer.text
        assert answer.status_code == opened(rule), path
        if answer.status_code in (302, 404):
            continue
        assert not [word for word in STOCK if word in html], path
        assert not re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", html), (
            path
        )
        assert not re.findall(r"<style|\sstyle=|\son[a-z]+=", html), path
        assert html.count("<h1") == 1, path
        assert "appbuilder/" not in html, path
        seen += 1
    assert seen >= 18


def test_the_door_is_ours(web):
    answer = Browser(web).get("/console/sign/in")

    assert answer.status_code == 200
    assert not [word for word in STOCK if word in answer.text]
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_the_console_speaks_the_browsers_language(desk):
    """Its menu, and what a plugin is, come from manifests."""
    page = desk.get("/console/plugins/", **{"Accept-Language": "de"})

    assert '<html lang="de"' in page.text
    assert "Warteschlangen" in page.text
    assert "Die Menschen, an die ein Konto schreiben darf" in page.text
    assert "Queues" in desk.get("/console/plugins/").text


def test_tabs_of_an_account(desk, tenant):
    path = f"/console/accounts/{tenant.id}"

    assert "Marina Lopes" in desk.get(path).text
    assert "+55••••0147" in desk.get(f"{path}?tab=senders").text
    assert "Harvest" in desk.get(f"{path}?tab=campaigns").text
    assert "Connected a provider" in desk.get(f"{path}?tab=log").text
    assert desk.get(f"{path}?tab=other").status_code == 404


def test_live_parts_answer_a_fragment_once(desk):
    for path in ("/console/", "/console/queues/"):
        first = desk.get(path, **{"HX-Request": "true"})
        again = desk.get(
            path, **{"HX-Request": "true", "If-None-Match": first.headers["ETag"]}
        )
        assert "<html" not in first.text
        assert again.status_code == 304


def test_stock_templates_and_static_files_are_out_of_reach(console, desk):
    for name in ("appbuilder/navbar.html", "appbuilder/general/widgets/list.html"):
        with pytest.raises(TemplateNotFound):
            console.jinja_env.get_template(name)
    for path in (
        "/static/appbuilder/css/ab.css",
        "/console/static/appbuilder/css/ab.css",
        "/console/users/list/",
        "/console/back",
        "/console/lang/de",
        "/console/api/v1/security/login",
        "/console/login/",
        "/console/logout/",
    ):
        assert desk.get(path).status_code == 404, path


# --- who may


def guard_of_rule(console, rule):
    with console.app_context():
        return guard_of(rule.endpoint)


def test_every_route_says_who_may(console):
    every = list(console.url_map.iter_rules())

    assert [r for r in every if not guard_of_rule(console, r)] == []
    public = {r.endpoint for r in every if guard_of_rule(console, r) == "public"}
    assert public == {
        "ConsoleLostPanel.ask", "ConsoleLostPanel.stop", "ConsoleLostPanel.undo",
        "ConsoleStartPanel.start", "SignIn.device", "SignIn.device_again", "SignIn.login",
        "SignIn.logout", "SignIn.passkey", "SignIn.second",
    }  # fmt: skip


def test_every_route_turns_strangers_away(console, web, tenant, ada):
    stranger = Browser(web)
    for rule in console.url_map.iter_rules():
        if guard_of_rule(console, rule) == "public":
            continue
        path = address(console, rule, values(rule, tenant, ada))
        if "GET" in rule.methods:
            answer = stranger.get(path)
            assert answer.status_code == 302, path
            assert answer.headers["Location"].startswith("/console/sign/in?next="), path
        else:
            answer = stranger.post(path, page="/console/sign/in")
            assert answer.status_code == 401, path


@pytest.mark.parametrize(
    "role",
    ["support", "operations", "compliance", "billing", "content", "owner", "nothing"],
)
def test_a_role_opens_its_own_pages_only(console, web, tenant, role):
    who = make_staff(make_role() if role == "nothing" else role)
    desk = Browser(web).sign_in(who)
    from clarion.web import staff

    rights = staff.find(str(who.id)).permissions
    for rule in console.url_map.iter_rules():
        guard = guard_of_rule(console, rule)
        if guard == "public":
            continue
        if guard == "own":
            guard = console.view_functions[rule.endpoint].__self__.permission
        if guard == "member":  # everybody's own, whatever their role
            continue
        path = address(console, rule, values(rule, tenant, who))
        if "GET" in rule.methods:
            wanted = opened(rule) if guard in rights else 403
            assert desk.get(path).status_code == wanted, path
        elif guard not in rights:
            assert desk.post(path, page="/console/sign/start").status_code == 403, path
    home = desk.get("/console/")
    menu = (desk.get(home.location) if home.status_code == 302 else home).text
    assert ("Roles" in menu and "/console/roles/" in menu) == ("console.roles" in rights)


def test_least_privilege():
    from clarion.plugging.manager import plugins

    declared = plugins().permissions("console")
    by_role = {
        role: {n.partition(".")[2] for n, p in declared.items() if role in p.roles}
        for role in ("support", "operations", "compliance", "billing", "content")
    }
    assert by_role["support"] == {
        "overview", "accounts", "accounts_edit", "people", "people_edit", "senders",
        "accounts_notes", "support", "support_open", "support_answer", "look", "reveal",
        "campaigns", "announcements", "recoveries", "recoveries_decide",
    }  # fmt: skip
    assert by_role["operations"] == {
        "overview", "accounts", "accounts_suspend", "senders", "queues", "webhooks", "plugins",
        "plugins_edit", "limits", "limits_edit", "prices", "backups", "backups_release",
        "accounts_limit", "accounts_notes", "misuse", "support", "support_open", "look",
        "campaigns", "campaigns_hold", "health", "queues_edit", "webhooks_replay",
        "webhooks_reveal", "announcements", "announcements_approve", "announcements_edit",
        "announcements_send",
    }  # fmt: skip
    assert by_role["compliance"] == {
        "overview", "accounts", "accounts_suspend", "people", "staff", "roles", "audit",
        "networks", "accounts_limit", "accounts_notes", "misuse", "misuse_decide",
        "audit_export", "support", "support_open", "support_approve", "support_answer",
        "look", "reveal", "campaigns", "campaigns_hold", "health", "announcements",
        "announcements_approve", "recoveries", "recoveries_decide",
    }  # fmt: skip
    assert by_role["billing"] == {"accounts", "plans_edit", "prices", "prices_edit"}
    assert by_role["content"] == {"announcements", "announcements_edit"}


def test_customers_never_get_in_and_staff_never_get_out(console, web, tenant, ada):
    customer = Browser(web).knows_customer(tenant)
    customer.post("/sign-in", email=tenant.email, password=PASSWORD)
    key = customer.cookie("clarion")
    assert "Marina" in customer.get("/").text

    for name in ("clarion", "clarion-console", "__Host-clarion-console"):
        visitor = Browser(web)
        visitor.client.set_cookie(name, key)
        assert visitor.get("/console/accounts/").status_code == 302

    staff_key = Browser(web).sign_in(ada).cookie("clarion-console")
    for name in ("clarion", "clarion-console", "__Host-clarion"):
        visitor = Browser(web)
        visitor.client.set_cookie(name, staff_key)
        shown = visitor.get("/")
        assert "Ada Okafor" not in shown.text
        assert ada.email not in shown.text


def test_nothing_outlives_a_request(desk):
    desk.get("/console/accounts/")
    desk.get("/console/accounts/not-an-id")
    desk.get("/console/log/?since=never")

    assert current_actor() == NOBODY
    assert db.current_entry() is None


def test_without_the_token_nothing_is_changed(desk, tenant):
    answer = desk.client.post(
        f"/console/accounts/{tenant.id}/name", data={"name": "Taken over"}
    )

    assert answer.status_code == 403
    assert "Taken over" not in desk.get("/console/accounts/").text


def test_another_site_cannot_make_a_browser_post(desk, tenant):
    path = f"/console/accounts/{tenant.id}"
    answer = desk.client.post(
        f"{path}/name",
        data={"name": "Taken over", "csrf_token": desk.token(path)},
        headers={"Origin": "https://evil.example"},
    )

    assert answer.status_code == 403


# --- lists


@pytest.mark.parametrize(
    "query",
    [
        "?sort=password", "?sort=-id", "?_flt_0_password=x", "?_flt_9_name=x", "?_flt_x_name=x",
        "?_flt_0_name=%00", "?_flt_0_name=" + "x" * 300, "?_flt_0_session_epoch=1",
        "?_flt_99999999999_name=1",
    ],
)  # fmt: skip
def test_what_a_list_does_not_offer_is_refused(desk, query):
    for path in ("/console/accounts/", "/console/people/", "/console/staff/"):
        assert desk.get(path + query).status_code == 422, path


@pytest.mark.parametrize(
    "query",
    [
        "?after=0", "?after=abc", "?before=%27", "?page=999999", "?after=&before=",
        "?after=00000000-0000-0000-0000-000000000000",
        "?_flt_0_name=%25%27%22%3Cscript%3E", "?_flt_2_state=nonsense", "?unknown=1", "?page_X=y",
        "?_oc_X=password&_od_X=asc", "?psize_ConsoleAccountScreen=abc", "?_external=1",
        "?_scheme=javascript", "?sort=name", "?sort=-created_at",
    ],
)  # fmt: skip
def test_odd_addresses_are_no_error(desk, query):
    answer = desk.get("/console/accounts/" + query)

    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert "javascript:" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/console/staff/99999999999", "/console/staff/0", "/console/roles/99999999999",
        "/console/accounts/00000000-0000-0000-0000-000000000000", "/console/accounts/1",
        "/console/people/00000000-0000-0000-0000-000000000000", "/console/plugins/none",
    ],
)  # fmt: skip
def test_what_is_not_there_is_404(desk, path):
    assert desk.get(path).status_code == 404


def test_search_takes_what_is_typed_for_text(desk, clean):
    make_account("100% Hemp")
    make_account("1000 Hemp")

    shown = desk.get("/console/accounts/?_flt_0_name=00%25").text

    assert "100% Hemp" in shown
    assert "1000 Hemp" not in shown


def test_filter_and_sort_keep_each_other(desk, clean):
    for name in ("Sortable B", "Sortable A", "Sortable C"):
        make_account(name)

    html = desk.get("/console/accounts/?_flt_0_name=Sortable&sort=-name").text

    assert re.findall(r'class="row-main"[^>]*>(Sortable .)<', html) == [
        "Sortable C", "Sortable B", "Sortable A",
    ]  # fmt: skip
    assert "_flt_0_name=Sortable" in html
    assert 'name="sort" value="-name"' in html


def test_filters_are_per_request_under_threads(web, ada):
    """FAB keeps one filter object per view, for all threads; we keep one per request."""
    names = [f"Thread {n}" for n in "ABCDEFGH"]
    for name in names:
        make_account(name)
    key = Browser(web).sign_in(ada).cookie("clarion-console")

    def wrong(name):
        mine = Browser(web)
        mine.client.set_cookie("clarion-console", key)
        bad = 0
        for _ in range(15):
            html = mine.get(f"/console/accounts/?_flt_0_name={name.replace(' ', '+')}").text
            bad += set(re.findall(r"row-main[^>]*>(Thread .)<", html)) != {name}
        return bad

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(wrong, names)) == 0


def test_a_long_list_counts_to_its_cap(desk, clean):
    with db.apart(SYSTEM) as orm:
        rows = [{"id": db.new_id(), "name": f"Many {n}"} for n in range(1_020)]
        orm.execute(insert(Account).execution_options(audited=True), rows)

    assert "more than 1,000" in desk.get("/console/accounts/?_flt_0_name=Many").text


def test_pages_follow_by_key_and_back(desk, clean):
    """Rows with the same value do not get lost between pages, nor do new ones shift them."""
    with db.apart(SYSTEM) as orm:
        rows = [{"id": db.new_id(), "name": f"Keyed {n // 60}"} for n in range(120)]
        orm.execute(insert(Account).execution_options(audited=True), rows)
    keys = lambda html: re.findall(r'row-main" href="[^"]*/([0-9a-f-]{36})"', html)  # noqa: E731
    link = lambda html, way: unescape(re.search(rf'rel="{way}" href="([^"]+)"', html)[1])  # noqa: E731

    first = desk.get("/console/accounts/?_flt_0_name=Keyed&sort=name").text
    second = desk.get(link(first, "next")).text
    make_account("Keyed")  # comes before, while somebody leafs
    third = desk.get(link(second, "next")).text

    seen = [keys(page) for page in (first, second, third)]
    assert [len(page) for page in seen] == [50, 50, 20]
    assert {key for page in seen for key in page} == {str(row["id"]) for row in rows}
    assert 'rel="next"' not in third
    assert 'rel="prev"' not in first
    assert keys(desk.get(link(third, "prev")).text) == seen[1]


def test_what_is_not_known_comes_before_everything_else(desk, ada):
    """Whoever never signed in has no time to be compared with."""
    late = make_staff("support", name="Never Here")

    rising = desk.get("/console/staff/?sort=last_login").text
    falling = desk.get("/console/staff/?sort=-last_login").text

    assert f"/console/staff/{late.id}" in rising
    assert f"/console/staff/{ada.id}" in falling


LISTS = [
    "/console/", "/console/accounts/", "/console/people/", "/console/senders/",
    "/console/staff/", "/console/roles/", "/console/log/", "/console/queues/",
    "/console/webhooks/", "/console/plugins/", "/console/campaigns/", "/console/codes/",
]  # fmt: skip


def test_lists_ask_as_often_for_thirty_as_for_three(desk, tenant):
    def count(path):
        desk.get(path)
        with statements() as run:
            assert desk.get(path).status_code == 200
        assert writes(run) == []
        return len(run)

    before = {path: count(path) for path in LISTS}
    for n in range(12):
        more = make_account(f"More {n}")
        with account_scope(more.id, more.actor):
            sender = make_sender(more)
            with db.transaction() as orm:
                orm.add(
                    Campaign(
                        name="x",
                        purpose="utility",
                        sender_id=sender,
                        template={},
                        state="running",
                    )
                )
        if n < 6:
            make_staff("support")
            make_role("console.overview")

    assert {path: count(path) for path in LISTS} == before
    assert max(before.values()) <= 16


def test_permissions_are_read_once_a_request(desk):
    with statements() as run:
        desk.get("/console/accounts/")

    assert len([sql for sql in run if "ab_permission_view_role" in sql]) == 1


def test_senders_are_shown_masked_and_with_their_way(desk, tenant):
    html = desk.get("/console/senders/").text

    assert "+5511955500147" not in html
    assert "+55••••0147" in html
    assert "WhatsApp (Meta Cloud API)" in html


def test_a_broken_channel_shows_on_its_senders(desk, tenant):
    from clarion.messaging.models import Channel

    with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
        channel = orm.query(Channel).one()
        channel.state, channel.state_reason = "paused", "The token was revoked."

    assert "The token was revoked." in desk.get("/console/senders/").text
    with account_scope(tenant.id, tenant.actor):
        assert {s.state for s in db.session().query(Sender)} == {"active"}


def test_members_of_several_accounts_are_named(desk, tenant):
    other = make_account("Second Home")
    with db.apart(SYSTEM) as orm:
        orm.add(Membership(account_id=other.id, person_id=tenant.person_id, role="member"))

    html = desk.get(f"/console/people/?_flt_0_email={tenant.email}").text

    assert "Casa Verde, Second Home" in html
