"""Staff see what runs everywhere, hold one campaign at once, and only they let it go."""

import re
import threading
import time

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import ProgrammingError

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid
from clarion.console import campaigns
from clarion.messaging import counts, dispatch, doubts, holds, orders
from clarion.messaging.holds import CampaignHold
from clarion.messaging.models import Attempt, Campaign, Message
from clarion.tenancy import audit
from clarion.tenancy.actor import SYSTEM_JOB, Actor
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import Browser, make_role, make_staff, statements
from clarion.testing.factories import make_account, make_sender

MAY = frozenset({"console.campaigns", "console.campaigns_hold"})
ADA = Actor("staff", "9001", "Ada", permissions=MAY)
WHY = "Complaints about this one; we call you."


def staff(act, *given, who=ADA, **named):
    with staff_scope(who), db.transaction():
        return act(*given, **named)


def state(order):
    with db.transaction() as orm:
        orm.expire_all()
        found = orders.progress(order)
        return found.state, found.state_reason


def tally(order):
    with db.transaction():
        return counts.tally(order)


# --- a hold is obeyed, and only staff lift it


def test_a_held_campaign_sends_nothing_until_staff_let_it_go(
    account, make_order, run_jobs, simulator
):
    order, _ = make_order.start(6)
    staff(campaigns.hold, order, WHY)

    run_jobs()

    assert state(order) == ("paused", holds.BY_STAFF)
    assert simulator.receipts() == []
    assert tally(order) == {"queued": 6}
    with db.transaction(), pytest.raises(Conflict) as refused:
        orders.resume(order)
    assert refused.value.code == "campaign_held_by_staff"
    with db.transaction():
        orders.go_on(order)  # as whatever had stopped it does when it is over
    assert state(order) == ("paused", holds.BY_STAFF)

    staff(campaigns.release, order, "Talked to them.")
    run_jobs()

    assert tally(order) == {"accepted": 6}
    assert len(simulator.receipts()) == 6


def test_while_a_worker_sends_nothing_new_leaves_after_two_seconds(
    account, make_order, simulator, run_jobs
):
    order, _ = make_order.start(400)
    with db.transaction() as orm:  # so slow that it is under way for long
        from clarion.messaging.models import Sender

        orm.execute(update(Sender).values(own_rate_per_s=20))

    def send():
        with account_scope(account.id, SYSTEM_JOB):
            dispatch.drain.function(order)

    worker = threading.Thread(target=send)
    worker.start()
    until = time.monotonic() + 60
    while not simulator.receipts() and time.monotonic() < until:
        time.sleep(0.05)
    staff(campaigns.hold, order, WHY)
    with db.apart(campaigns.SYSTEM) as orm:
        held_at = orm.scalar(select(func.clarion_now()))
    worker.join(60)

    sent = simulator.receipts()
    assert 0 < len(sent) < 400
    with db.transaction() as orm:
        last = orm.scalar(
            select(Attempt.intent_at).order_by(Attempt.intent_at.desc()).limit(1)
        )
    assert last <= held_at  # no intent was committed after the hold was
    run_jobs()
    assert len(simulator.receipts()) == len(sent)
    assert state(order) == ("paused", holds.BY_STAFF)


def test_both_logs_have_it_and_the_owner_has_mail(account, make_order, run_jobs, mails):
    order, _ = make_order.start(2)
    staff(campaigns.hold, order, WHY)
    staff(campaigns.release, order, "All is well.")

    query = (
        select(AuditEntry)
        .where(AuditEntry.row == f"campaign:{order}", AuditEntry.name.like("console.%"))
        .order_by(AuditEntry.at)
    )
    with db.transaction() as orm:  # as the customer: row level security shows their own
        theirs = list(orm.scalars(query))
    with staff_scope(ADA), db.transaction() as orm:
        ours = list(orm.scalars(query))

    assert [one.id for one in theirs] == [one.id for one in ours]
    assert [(one.name, one.actor, one.actor_name) for one in theirs] == [
        ("console.campaign.held", "staff:9001", "Ada"),
        ("console.campaign.released", "staff:9001", "Ada"),
    ]
    assert theirs[0].changes["why"][1] == WHY
    assert audit.words("console.campaign.held") == "Staff hold a campaign"
    first, second = mails(account.email)
    assert WHY in str(first.get_content())
    assert "All is well." in str(second.get_content())


def test_the_customer_cannot_lift_it_in_the_database_either(account, make_order):
    order, _ = make_order.start(2)
    staff(campaigns.hold, order, WHY)

    with db.transaction():
        assert holds.of_order(order).words == WHY
    for change in (
        update(CampaignHold).values(lifted_at=None),
        CampaignHold.__table__.delete(),
    ):
        with pytest.raises(ProgrammingError, match="permission denied"), db.transaction():
            db.session().execute(change)


def test_what_somebody_had_paused_stays_paused(account, make_order, run_jobs):
    order, _ = make_order.start(3)
    with db.transaction():
        orders.pause(order)
    staff(campaigns.hold, order, WHY)
    assert state(order) == ("paused", holds.BY_STAFF)

    staff(campaigns.release, order, "Over.")
    run_jobs()

    assert state(order) == ("paused", "paused_by_person")
    assert tally(order) == {"queued": 3}


def test_a_stop_that_ended_meanwhile_keeps_nothing_back(account, make_order, run_jobs):
    from clarion.messaging import breakers

    order, _ = make_order.start(3)
    with db.transaction():
        breakers.open_("campaign", str(order), "failure_rate")
        orders.settle(order)
    staff(campaigns.hold, order, WHY)
    with db.transaction():
        breakers.cleared("campaign", str(order), frozenset({"failure_rate"}))
    assert state(order) == ("paused", holds.BY_STAFF)
    staff(campaigns.release, order, "Over.")
    run_jobs()

    assert tally(order) == {"accepted": 3}


def test_a_review_of_the_account_still_holds_what_staff_let_go(
    account, make_order, run_jobs
):
    order, _ = make_order.start(3)
    with db.transaction():
        holds.place(db.new_id())
        orders.settle(order)
    staff(campaigns.hold, order, WHY)
    staff(campaigns.release, order, "Over.")
    run_jobs()
    assert state(order) == ("paused", holds.REASON)

    with db.transaction():
        holds.lift()
    run_jobs()
    assert tally(order) == {"accepted": 3}


def test_what_a_restore_left_is_not_let_go_by_a_hold(account, make_order, run_jobs):
    order, _ = make_order.start(3)
    with db.transaction():
        doubts.hold()
    assert state(order) == ("paused", doubts.RESTORED)

    staff(campaigns.hold, order, WHY)
    staff(campaigns.release, order, "Over.")
    run_jobs()

    assert state(order) == ("paused", doubts.RESTORED)
    assert tally(order) == {"held": 3}


def test_a_held_campaign_can_be_stopped_for_good(account, make_order, run_jobs):
    order, _ = make_order.start(3)
    staff(campaigns.hold, order, WHY)
    with db.transaction():
        assert orders.cancel(order) == 3

    staff(campaigns.release, order, "They gave it up.")
    run_jobs()

    assert state(order)[0] == "cancelled"


def test_twice_or_too_late_or_without_words_is_refused(account, make_order, run_jobs):
    order, _ = make_order.start(1)
    with pytest.raises(Invalid):
        staff(campaigns.hold, order, "  ")
    staff(campaigns.hold, order, WHY)
    with pytest.raises(Conflict, match="already"):
        staff(campaigns.hold, order, WHY)
    staff(campaigns.release, order, "Over.")
    with pytest.raises(Conflict, match="Nobody of us"):
        staff(campaigns.release, order, "Over.")
    run_jobs()
    assert state(order)[0] == "finished"
    with pytest.raises(Conflict, match="over already"):
        staff(campaigns.hold, order, WHY)


def test_who_may_only_look_may_not_hold(account, make_order):
    order, _ = make_order.start(1)
    looks = Actor("staff", "9002", "Ben", permissions=frozenset({"console.campaigns"}))

    assert staff(campaigns.read, order, who=looks).line.id == order
    for act in (campaigns.hold, campaigns.release):
        with pytest.raises(Forbidden):
            staff(act, order, WHY, who=looks)
    with pytest.raises(Forbidden):
        staff(campaigns.listing, who=Actor("staff", "9003", "Cleo"))


# --- the pages


@pytest.fixture
def running(account, make_order, run_jobs, simulator):
    """A campaign of which somebody could not be reached, which then was paused."""
    simulator.post("rules", rules=[
        {"match": {"suffix": "01"}, "fate": {"answer": "refuse", "code": 131026}},
    ], replace=True)  # fmt: skip
    order, people = make_order.start(4)
    run_jobs()
    with db.transaction() as orm:
        orm.execute(update(Campaign).values(state="paused", state_reason="token_invalid"))
    yield order, people
    simulator.post("rules", rules=[], replace=True)


def test_the_list_and_the_page_say_how_it_goes_and_nothing_it_says(desk, running, account):
    order, people = running
    page = desk.get(f"/console/campaigns/?account={account.id}").text

    assert "4 of 4 handled" in page
    assert "Access revoked" in page
    one = desk.get(f"/console/campaigns/{order}").text
    assert "Cannot be reached on WhatsApp" in one
    assert 'href="/console/codes/whatsapp_cloud/131026"' in one
    assert 'href="/console/codes/reason/undeliverable"' in one
    for shown in (page, one):
        assert "early_access" not in shown
        assert not [number for _c, number, _w in people if number in shown]
        assert "+5511955500147" not in shown


def test_hold_and_release_by_their_forms(desk, running):
    order, _ = running
    path = f"/console/campaigns/{order}"
    assert desk.post(f"{path}/hold", page=path, reason="").status_code == 422

    assert desk.post(f"{path}/hold", page=path, reason=WHY).status_code == 302
    page = desk.get(path).text
    assert WHY in page
    assert "Held by Ada Okafor" in page
    assert f"{path}/hold" not in page
    listed = desk.get("/console/campaigns/?held=1").text
    assert path in listed

    assert desk.post(f"{path}/release", page=path, reason="Over.").status_code == 302
    assert path not in desk.get("/console/campaigns/?held=1").text


def test_filters_that_are_none_are_refused(desk):
    for bad in ("?state=nowhere", "?after=x", "?account=" + "a" * 201):
        assert desk.get(f"/console/campaigns/{bad}").status_code == 422


def test_the_list_goes_on_by_key(desk, clean):
    tenant = make_account("Many Campaigns")
    sender = make_sender(tenant)
    with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
        for number in range(campaigns.PAGE + 2):
            orm.add(
                Campaign(
                    name=f"Number {number:02}", purpose="marketing", sender_id=sender,
                    template={}, state="paused",
                )
            )  # fmt: skip
            orm.flush()
    first = desk.get(f"/console/campaigns/?account={tenant.id}").text
    after = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")
    second = desk.get(
        after if after.startswith("/") else f"/console/campaigns/{after}"
    ).text

    both = [re.findall(r"Number (\d\d)</a>", page) for page in (first, second)]
    assert [len(one) for one in both] == [campaigns.PAGE, 2]
    assert len({*both[0], *both[1]}) == campaigns.PAGE + 2


def test_as_many_statements_for_many_campaigns_as_for_one(clean):
    def asked(count):
        tenant = make_account("Counted")
        sender = make_sender(tenant)
        with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
            for _ in range(count):
                orm.add(
                    Campaign(
                        name="One", purpose="marketing", sender_id=sender, template={},
                        state="running",
                    )
                )  # fmt: skip
        with staff_scope(ADA), db.transaction(), statements() as found:
            rows = campaigns.listing(account=str(tenant.id))
        assert len(rows) == count
        return len(found)

    assert asked(1) == asked(9)


@pytest.mark.parametrize(("may", "status"), [(("campaigns",), 200), (("overview",), 403)])
def test_pages_open_by_permission(web, clean, may, status):
    who = make_staff(make_role(*(f"console.{one}" for one in may)), name="Ben Novak")
    browser = Browser(web).sign_in(who)

    assert browser.get("/console/campaigns/").status_code == status
    assert browser.get("/console/codes/").status_code == 200
    assert browser.get("/console/health/").status_code == 403


# --- codes


def test_a_code_is_found_and_explained(desk):
    found = desk.get("/console/codes/?q=131048").text
    assert 'href="/console/codes/whatsapp_cloud/131048"' in found
    page = desk.get("/console/codes/whatsapp_cloud/131048").text
    assert "Number restricted" in page
    assert "the number is stopped" in page
    assert "developers.facebook.com" in page
    assert "No code fits" in desk.get("/console/codes/?q=zebra").text
    assert desk.get("/console/codes/reason/zebra").status_code == 404
    assert desk.get("/console/codes/pigeon/1").status_code == 404
    assert "no line for this code" in desk.get("/console/codes/whatsapp_cloud/77").text


def test_messages_by_reason_and_code_are_all_the_system_may_count(account, make_order):
    make_order.start(1)
    with db.apart(campaigns.SYSTEM) as orm:
        assert orm.execute(select(Message.reason, Message.attempt)).first() is not None
    for secret in (Message.address, Message.variables, Message.contact_id):
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            db.apart(campaigns.SYSTEM) as orm,
        ):
            orm.execute(select(secret))
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        db.apart(campaigns.SYSTEM) as orm,
    ):
        orm.execute(select(Attempt.provider_id))
