"""Plans: quotas under one name, for many accounts; and what an account uses of them."""

import re
from html import unescape
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from tests.clarion.announcing.conftest import announce
from tests.clarion.console.conftest import ada, console, desk, web  # noqa: F401 -- fixtures
from tests.clarion.misuse.conftest import ADA, MAY

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid
from clarion.messaging import quotas as gate
from clarion.messaging.models import Sender
from clarion.misuse import plans, quotas, usage, watching
from clarion.support import windows
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.records import AccountPlan, AccountQuota, Plan
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import Browser
from clarion.testing.factories import PASSWORD, make_account, make_sender


def do(act, *given, **named):
    """Act as staff who may write plans."""
    may = MAY | {"console.plans_edit"}
    with staff_scope(Actor("staff", "9001", "Ada", permissions=may)), db.transaction():
        return act(*given, **named)


def draft(limits, **named):
    return plans.Draft(
        named.get("name", f"Plan {uuid4().hex[:8]}"), "For tests.", 9, limits
    )


@pytest.fixture
def small():
    return do(plans.write, draft({"people": 3, "messages": 10, "senders": 1}))


@pytest.fixture
def tenant(clean):
    return make_account("Planned Parcels")


def limits(tenant):
    with account_scope(tenant.id, COMMAND):
        return {kind: gate.of(kind) for kind in ("people", "messages", "senders")}


def test_the_first_plans_come_with_the_database(clean):
    names = {one.name: one.limits for one in do(plans.listing)}

    assert names["Free"] == {"people": 1_000, "messages": 250, "senders": 1}
    assert names["Growth"]["senders"] == 5
    assert names["Scale"] == {}


def test_a_plan_is_what_the_gate_asks(tenant, small):
    assert limits(tenant) == {"people": None, "messages": None, "senders": None}

    do(plans.choose, tenant.id, small, "They asked for it.")

    assert limits(tenant) == {"people": 3, "messages": 10, "senders": 1}
    with account_scope(tenant.id, tenant.actor), pytest.raises(Conflict) as refused:
        gate.require("people", have=3)
    assert refused.value.code == "quota_reached"


def test_the_database_refuses_a_number_above_the_plan(tenant, small):
    do(plans.choose, tenant.id, small, "They asked for it.")
    with account_scope(tenant.id, tenant.actor):
        made = make_sender(tenant)
        with (
            pytest.raises(IntegrityError, match="at most"),
            db.transaction() as orm,
        ):
            orm.add(
                Sender(
                    channel_id=orm.get_one(Sender, made).channel_id,
                    provider_id="5550148", number="+5511955500148", name="Another",
                )
            )  # fmt: skip
            orm.flush()


def test_a_plan_that_is_changed_changes_its_accounts_only(tenant, small, run_jobs):
    other = make_account("Somebody else")
    do(plans.choose, tenant.id, small, "They asked for it.")
    name = next(one.name for one in do(plans.listing) if one.id == small)

    do(plans.change, small, draft({"people": 7}, name=name))
    run_jobs()

    assert limits(tenant) == {"people": 7, "messages": None, "senders": None}
    assert limits(other) == {"people": None, "messages": None, "senders": None}


def test_changing_reaches_more_accounts_than_a_page(small, run_jobs, monkeypatch):
    monkeypatch.setattr(plans, "AT_ONCE", 2)
    accounts = [make_account(f"Many {n}") for n in range(5)]
    for one in accounts:
        do(plans.choose, one.id, small, "All of them.")
    name = next(one.name for one in do(plans.listing) if one.id == small)

    do(plans.change, small, draft({"people": 4}, name=name))
    run_jobs()
    plans.spread.function(small)  # a second time changes nothing

    assert [limits(one)["people"] for one in accounts] == [4] * 5


def test_what_staff_set_for_one_account_stands_above_its_plan(tenant, small, run_jobs):
    do(quotas.put, tenant.id, "people", 500, "A promise of ours.")

    do(plans.choose, tenant.id, small, "They asked for it.")
    assert limits(tenant)["people"] == 500
    name = next(one.name for one in do(plans.listing) if one.id == small)
    do(plans.change, small, draft({"people": 2}, name=name))
    run_jobs()
    assert limits(tenant)["people"] == 500

    do(quotas.lift, tenant.id, "people")
    assert limits(tenant)["people"] == 2
    with pytest.raises(Conflict) as refused:
        do(quotas.lift, tenant.id, "people")
    assert refused.value.code == "quota_of_plan"


def test_lifting_or_choosing_does_not_give_todays_messages_back(tenant, small):
    do(plans.choose, tenant.id, small, "They asked for it.")
    with account_scope(tenant.id, COMMAND), db.transaction():
        gate.count(6)

    do(quotas.put, tenant.id, "messages", 100, "For a day.")
    do(quotas.lift, tenant.id, "messages")
    other = do(plans.write, draft({"messages": 20}))
    do(plans.choose, tenant.id, other, "More.")

    with account_scope(tenant.id, COMMAND):
        row = db.session().scalars(select(AccountQuota)).one()
    assert (row.used, row.at_most, row.of_plan) == (6, 20, True)


def test_no_plan_is_no_limit_but_ones_own(tenant, small):
    do(plans.choose, tenant.id, small, "They asked for it.")
    do(quotas.put, tenant.id, "people", 50, "New here.")

    do(plans.choose, tenant.id, None, "It was a trial.")

    assert limits(tenant) == {"people": 50, "messages": None, "senders": None}
    with pytest.raises(Conflict) as refused:
        do(plans.choose, tenant.id, None, "Again.")
    assert refused.value.code == "plan_same"


def test_a_retired_plan_stays_with_who_has_it(tenant, small):
    do(plans.choose, tenant.id, small, "They asked for it.")
    do(plans.retire, small)

    assert limits(tenant)["people"] == 3
    with pytest.raises(Conflict) as refused:
        do(plans.choose, make_account("Late").id, small, "They want it too.")
    assert refused.value.code == "plan_retired"
    do(plans.offer, small)
    do(plans.choose, make_account("Later").id, small, "Now they may.")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (plans.Draft("", "", 0, {}), "plan_name"),
        (plans.Draft("x" * 41, "", 0, {}), "plan_name"),
        (plans.Draft("x", "y" * 201, 0, {}), "plan_about"),
        (plans.Draft("x", "", 0, {"elephants": 1}), "quota_unknown"),
        (plans.Draft("x", "", 0, {"people": -1}), "quota_invalid"),
    ],
)
def test_what_makes_no_plan(clean, wrong, code):
    with pytest.raises(Invalid) as refused:
        do(plans.write, wrong)

    assert refused.value.code == code


def test_two_plans_have_two_names(small):
    name = next(one.name for one in do(plans.listing) if one.id == small)

    with pytest.raises(Conflict) as refused:
        do(plans.write, draft({}, name=name))

    assert refused.value.code == "plan_known"


def test_who_may_not_write_plans_may_not_choose_them(tenant, small):
    for act in (
        lambda: plans.write(draft({})),
        lambda: plans.change(small, draft({})),
        lambda: plans.retire(small),
        lambda: plans.choose(tenant.id, small, "Why not."),
    ):
        with pytest.raises(Forbidden):
            ADA.do(act)


def test_an_account_reads_its_own_plan_and_can_change_nothing(tenant, small):
    other = make_account("Nosy")
    do(plans.choose, tenant.id, small, "They asked for it.")

    with account_scope(other.id, other.actor):
        assert db.session().scalars(select(AccountPlan)).all() == []
        assert plans.of(tenant.id) is None
    for table in (Plan, AccountPlan):
        with (
            account_scope(tenant.id, tenant.actor),
            pytest.raises(Exception, match="permission denied"),
            db.transaction() as orm,
        ):
            orm.query(table).delete()


def test_usage_counts_what_there_is(tenant, small):
    from clarion_contacts import service as contacts

    do(plans.choose, tenant.id, small, "They asked for it.")
    with account_scope(tenant.id, tenant.actor):
        make_sender(tenant)
        with db.transaction():
            contacts.add(contacts.Details(name="Ana", email="ana@example.org"))
            contacts.add(contacts.Details(name="Bia", email="bia@example.org"))
        with db.transaction():
            gate.count(9)
        found = usage.mine()

    have = {one.kind: (one.have, one.at_most, one.share, one.tone) for one in found.lines}
    assert have == {
        "people": (2, 3, 67, "ok"),
        "messages": (9, 10, 90, "warn"),
        "senders": (1, 1, 100, "bad"),
    }
    assert (found.members, found.month) == (1, 0)
    assert found.plan.id == small


def test_the_timeline_tells_everything_in_order(desk, tenant, small, run_jobs):  # noqa: F811
    """Plans, quotas, windows, accesses, announcements and notes, newest first."""
    page = f"/console/standing/{tenant.id}"
    do(plans.choose, tenant.id, small, "They asked.")
    with account_scope(tenant.id, tenant.actor), db.transaction():
        windows.open_window(1, "view")
    ask = f"/console/access/accounts/{tenant.id}"
    desk.post(
        f"{ask}/ask", ask, purpose="support", ticket="T-1", reason="They asked us to.",
        minutes="15", scope="view", delay_days="0",
    )  # fmt: skip
    announce(tenant)
    run_jobs()
    desk.post(f"{page}/quota/people", page, at_most="9", reason="A promise.")
    desk.post(f"{page}/note", page, text="They are kind.")

    told = unescape(desk.get(f"{page}/timeline").text)

    words = ("They are kind.", "Set a quota", "Maintenance on Sunday", "Support access began",
             "Let support in", "Chose an account's plan")  # fmt: skip
    places = [told.index(one) for one in words]
    assert places == sorted(places)


# --- pages


@pytest.fixture
def customer(web, tenant):  # noqa: F811
    browser = Browser(web).knows_customer(tenant)
    browser.post("/sign-in", email=tenant.email, password=PASSWORD)
    return browser


def test_staff_write_a_plan_and_choose_it(desk, tenant, customer):  # noqa: F811
    name = f"Team {uuid4().hex[:6]}"
    made = desk.post(
        "/console/plans/write", "/console/plans/", name=name, about="For teams of ten.",
        people="40", messages="", senders="2", place="5",
    )  # fmt: skip
    again = desk.post("/console/plans/write", "/console/plans/", name=name)
    page = f"/console/standing/{tenant.id}"
    value = re.search(rf'<option value="([0-9a-f-]+)">{name}<', desk.get(page).text)[1]
    bad = desk.post(f"{page}/plan", page, plan="nonsense", reason="x")
    given = desk.post(f"{page}/plan", page, plan=value, reason="They asked.")

    assert (made.status_code, again.status_code) == (302, 422)
    assert "There is a plan of this name already" in again.text
    assert (bad.status_code, given.status_code) == (422, 302)
    shown = desk.get(page).text
    assert name in shown
    assert "of the plan" in shown
    assert name in desk.get(f"/console/accounts/{tenant.id}").text
    assert name in desk.get(f"/console/accounts/?q={tenant.id}").text
    told = desk.get(f"{page}/timeline").text
    assert "Chose an account’s plan" in told or "Chose an account&#39;s plan" in told
    theirs = customer.get("/usage/").text
    assert name in theirs
    assert "For teams of ten." in theirs
    assert "0 of 40" in theirs


def test_a_plan_is_changed_on_its_page(desk, small, tenant, run_jobs):  # noqa: F811
    do(plans.choose, tenant.id, small, "They asked.")
    key, page = small.hex, "/console/plans/"
    name = next(one.name for one in do(plans.listing) if one.id == small)
    values = {f"{key}-name": name, f"{key}-people": "8", f"{key}-place": "1"}

    done = desk.post(f"{page}{small}/change", page, **values)
    bad = desk.post(f"{page}{small}/change", page, **values | {f"{key}-people": "-8"})
    run_jobs()

    assert (done.status_code, bad.status_code) == (302, 422)
    assert limits(tenant) == {"people": 8, "messages": None, "senders": None}
    assert desk.post(f"{page}{small}/retire", page).status_code == 303
    assert "Not offered" in desk.get(page).text
    assert desk.post(f"{page}{small}/offer", page).status_code == 303


def test_staff_see_how_many_people_there_are_not_who(desk, tenant, small, run_jobs, root):  # noqa: F811
    """A first count of nobody is not what stands there an hour later."""
    from clarion_contacts import service as contacts

    do(plans.choose, tenant.id, small, "They asked.")
    run_jobs()
    assert "0</b> of 3" in desk.get(f"/console/standing/{tenant.id}").text
    with account_scope(tenant.id, tenant.actor), db.transaction():
        contacts.add(contacts.Details(name="Zuleika", email="zuleika@example.org"))
    with root.begin() as connection:
        connection.execute(
            text("UPDATE misuse_standing SET counted_at = counted_at - interval '2 minutes'"
                 " WHERE account_id = :a"), {"a": tenant.id},
        )  # fmt: skip

    watching.look_at.function(tenant.id)

    shown = desk.get(f"/console/standing/{tenant.id}").text
    assert "1</b> of 3" in shown
    assert "Zuleika" not in shown
