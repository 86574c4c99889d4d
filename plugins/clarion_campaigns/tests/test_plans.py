"""Planned campaigns: their time, four eyes, and what makes an approval void."""

import datetime as dt
import threading

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid
from clarion.messaging import channels, hours, prices
from clarion.messaging.models import Campaign, Message
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.models import Membership, Person
from clarion.tenancy.scope import account_scope, staff_scope, system_scope
from clarion.testing.visitor import Visitor
from clarion_campaigns import jobs, service
from clarion_campaigns.models import Approval, Draft, Occurrence
from clarion_campaigns.service import approval
from clarion_contacts import contract as contacts
from clarion_contacts.models import Contact
from clarion_templates.models import Template

NOON = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)
HALF_PAST = dt.datetime(2027, 3, 1, 10, 30)  # in São Paulo: 13:30 UTC
ZONE = "America/Sao_Paulo"


@pytest.fixture
def at(later):
    """Make it another time."""
    later.set(NOON)
    return later.set


@pytest.fixture
def second(shop):
    """A manager of the same account, who is somebody else."""
    person_id = db.new_id()
    email = f"rui-{person_id.hex}@example.org"
    with system_scope(COMMAND), db.transaction() as orm:
        orm.add(Person(id=person_id, name="Rui Prado", email=email, confirmed_at=NOON))
        orm.flush()
        orm.add(Membership(account_id=shop.id, person_id=person_id, role="manager"))
    return Actor(
        "person",
        id=str(person_id),
        name="Rui Prado",
        email=email,
        account_id=shop.id,
        account_name="Casa Verde",
        role="manager",
    )


def planned(shop, people=3, **more):
    shop.people(people)
    draft = shop.draft()
    given = {"local": HALF_PAST, "zone": ZONE, **more}
    with db.transaction():
        return service.choose_time(draft.id, **given)


def launch(draft, key="first"):
    with db.transaction():
        return service.launch(draft.id, key)


def begin(draft):
    """Do what the clock does when it rings."""
    with db.transaction():
        return service.start(draft.id)


def state(draft):
    with db.transaction():
        found = service.get(draft.id)
    return found.state, found.state_reason


def four_eyes(above=1, price=None):
    with db.transaction():
        hours.change(
            opens=0,
            closes=1440,
            weekdays=range(7),
            per_day=9,
            per_week=9,
            approve_above=above,
            approve_above_price=price,
        )


def approve(shop, second, draft):
    with account_scope(shop.id, second), db.transaction():
        return service.approve(draft.id)


# --- time


def test_a_planned_campaign_waits_for_its_time(shop, at, run_jobs):
    draft = launch(planned(shop))

    assert draft.state == "scheduled"
    assert draft.starts_at == dt.datetime(2027, 3, 1, 13, 30, tzinfo=dt.UTC)
    run_jobs()
    assert begin(draft) > dt.timedelta(minutes=89)
    assert state(draft) == ("scheduled", "")
    at(draft.starts_at)
    assert begin(draft) is None
    assert state(draft)[0] == "launched"


def test_the_clock_finds_what_is_due(shop, at, run_jobs):
    draft = launch(planned(shop))
    run_jobs()

    at(draft.starts_at + dt.timedelta(seconds=30))
    jobs.start_late()
    run_jobs()

    assert state(draft)[0] == "launched"


def test_an_outage_of_four_hours_does_not_fire_yesterdays_sale(shop, at, run_jobs):
    draft = launch(planned(shop))

    at(draft.starts_at + dt.timedelta(hours=4))
    jobs.start_late()
    run_jobs()

    assert state(draft) == ("draft", "start_missed")
    assert db.session().scalar(select(func.count()).select_from(Campaign)) == 0
    page = Visitor(shop.tenant).get(f"/campaigns/{draft.id}/step/review").text
    assert "something held it up until it was too late" in page
    assert "The planned beginning has passed" in page
    with db.transaction():
        outcomes = list(db.session().scalars(select(Occurrence.outcome)))
    assert outcomes == ["missed"]


def test_one_launched_at_once_is_late_after_two_hours_too(shop, at):
    shop.people(1)
    draft = launch(shop.draft())

    at(NOON + dt.timedelta(hours=2, seconds=5))
    begin(draft)

    assert state(draft) == ("draft", "start_missed")
    again = launch(draft, "second")
    begin(again)
    assert state(draft)[0] == "launched"


def test_eight_clocks_begin_it_once(shop, at):
    draft = launch(planned(shop))
    at(draft.starts_at)
    together = threading.Barrier(8)

    def tick():
        with shop.inside():
            together.wait()
            for _ in range(3):
                begin(draft)

    threads = [threading.Thread(target=tick) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    with db.transaction():
        orm = db.session()
        assert orm.scalar(select(func.count()).select_from(Campaign)) == 1
        assert orm.scalar(select(func.count()).select_from(Occurrence)) == 1
        assert orm.scalar(select(func.count()).select_from(Message)) == 3


def test_everybodys_own_clock_begins_in_the_east(shop, at):
    with db.transaction():
        ken = contacts.add(contacts.Details(name="Ken", phone="+81 90 1234 5678")).id
        contacts.opt_in(ken, method="shop", source="till", wording="Yes, please")
    draft = planned(shop, local=dt.datetime(2027, 3, 2, 9, 30), own_time=True)

    draft = launch(draft)

    assert draft.starts_at == dt.datetime(2027, 3, 2, 0, 30, tzinfo=dt.UTC)
    at(draft.starts_at)
    begin(draft)
    with db.transaction():
        leaves = dict(
            db.session().execute(select(Message.zone, Message.not_before).distinct()).all()
        )
    assert leaves["Asia/Tokyo"] - dt.timedelta(seconds=9) < draft.starts_at
    assert leaves["country/BR"] == dt.datetime(2027, 3, 2, 14, 30, tzinfo=dt.UTC)


def test_it_can_be_taken_back_until_it_begins(shop, at):
    draft = launch(planned(shop))
    with db.transaction():
        assert service.take_back(draft.id).state == "draft"

    at(draft.starts_at)
    begin(draft)

    assert state(draft) == ("draft", "")
    with pytest.raises(Conflict):
        service.take_back(draft.id)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("zone", {"zone": "Moon/Base"}),
        ("late", {"late_minutes": 7}),
        ("start", {"local": None, "own_time": True}),
        ("finish", {"finish": HALF_PAST}),
        ("spread", {"spread": HALF_PAST - dt.timedelta(hours=1)}),
        (
            "spread",
            {"finish": HALF_PAST.replace(hour=11), "spread": HALF_PAST.replace(hour=12)},
        ),
    ],
)
def test_times_that_make_no_sense_are_refused(shop, field, given):
    draft = shop.draft()

    with pytest.raises(Invalid) as refused:
        service.choose_time(draft.id, **{"local": HALF_PAST, "zone": ZONE, **given})

    assert refused.value.field == field


# --- four eyes


def test_a_second_person_lets_it_go(shop, second, at, run_jobs):
    four_eyes()
    draft = launch(planned(shop))

    assert draft.state == "submitted"
    run_jobs()
    assert begin(draft) is None
    approve(shop, second, draft)
    assert state(draft)[0] == "scheduled"
    at(draft.starts_at)
    begin(draft)
    assert state(draft)[0] == "launched"
    with db.transaction():
        order = db.session().scalars(select(Campaign)).one()
        found = db.session().scalars(select(Approval)).one()
    assert order.fingerprint == found.fingerprint
    assert (found.submitted_name, found.approved_name) == ("Marina Lopes", "Rui Prado")


def test_few_people_need_nobody(shop, at):
    four_eyes(above=3)

    assert launch(planned(shop)).state == "scheduled"


def test_nobody_approves_their_own(shop, second, at):
    four_eyes()
    draft = launch(planned(shop))

    with pytest.raises(Conflict) as refused, db.transaction():
        service.approve(draft.id)

    assert refused.value.code == "own_approval"
    with pytest.raises(IntegrityError, match="four_eyes"), db.transaction():
        db.session().execute(
            update(Approval)
            .where(Approval.draft_id == draft.id, Approval.account_id == shop.id)
            .values(approved_by=Approval.submitted_by, approved_at=func.clarion_now())
        )
    with shop.inside("member"), pytest.raises(Forbidden):
        service.approve(draft.id)


def change_words(shop):
    with db.transaction():
        query = update(Template).where(
            Template.id == shop.template_id, Template.account_id == shop.id
        )
        db.session().execute(query.values(body=Template.body + " Tomorrow too."))


def ana(shop):
    query = select(Contact.id).where(Contact.account_id == shop.id).order_by(Contact.id)
    return db.session().scalars(query.limit(1)).one()


def change(draft, **values):
    with db.transaction():
        query = update(Draft).where(Draft.id == draft.id, Draft.account_id.isnot(None))
        db.session().execute(query.values(**values))


CHANGES = {
    "audience": lambda shop, _draft: another_number(shop),
    "template": lambda shop, _draft: change_words(shop),
    "variables": lambda shop, draft: change(
        draft, variables={"first_name": {"source": "name", "fallback": ""}}
    ),
    "sender": lambda shop, draft: change(draft, sender_id=another_sender(shop)),
    "window": lambda shop, draft: change(draft, late_minutes=60),
    "price": lambda shop, _draft: cost(shop, "0.0626"),
    "attestations": lambda shop, _draft: agree_again(shop),
}


def cost(shop, price):
    """Let marketing to Brazil cost so much from now on."""
    with staff_scope(COMMAND), db.transaction():
        prices.enter("whatsapp_cloud", NOON.date(), "EUR", f"BR; marketing; {price}")


@pytest.fixture
def priced(shop):
    """There is a price list; afterwards there is none again."""
    cost(shop, "0.0625")
    yield
    with staff_scope(COMMAND), db.transaction():
        prices.remove("whatsapp_cloud", NOON.date())


def another_number(shop):
    """Somebody of the list has another number from now on: it may be another person's."""
    with db.transaction():
        contacts.edit(ana(shop), contacts.Details(name="Ana Lima", phone="+5511950000000"))


def another_sender(shop):
    with db.transaction():
        channel = channels.connect(
            "whatsapp_cloud",
            "Other",
            {"waba_id": "9900"},
            {"access_token": "test-token", "app_secret": "test-secret"},
            [channels.SenderIn("5550148", "+5511955500148", "Other", 80)],
        )
        return next(s.id for s in channels.senders() if s.channel_id == channel.id)


def agree_again(shop):
    with db.transaction():
        contacts.opt_in(ana(shop), method="paper", source="fair", wording="Other words")


@pytest.mark.parametrize("piece", CHANGES)
def test_a_change_of_any_piece_makes_the_approval_void(shop, second, at, priced, piece):
    four_eyes()
    draft = launch(planned(shop))
    approve(shop, second, draft)

    CHANGES[piece](shop, draft)
    at(draft.starts_at)
    begin(draft)

    assert state(draft) == ("draft", "changed_since_approved")
    with db.transaction():
        orm = db.session()
        assert orm.scalar(select(func.count()).select_from(Campaign)) == 0
        found = orm.scalars(select(Approval)).one()
        assert found.void_reason == "changed_since_approved"
        row = orm.scalars(select(Draft)).one()
        row.state = "submitted"
        assert approval.changes(found, approval.now(row)) == [piece]
        orm.rollback()


def test_every_piece_has_its_change():
    assert set(CHANGES) == set(approval.PIECES)


def test_a_stop_takes_away_and_changes_nothing(shop, second, at):
    four_eyes()
    draft = launch(planned(shop))
    approve(shop, second, draft)
    with db.transaction():
        contacts.opt_out(ana(shop))

    at(draft.starts_at)
    begin(draft)

    assert state(draft)[0] == "launched"


def test_who_comes_after_the_launch_is_not_added(shop, at):
    four_eyes(above=3)
    draft = launch(planned(shop))
    shop.people(1, first=50_000_000)

    at(draft.starts_at)
    begin(draft)

    assert state(draft)[0] == "launched"
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Message)) == 3


def test_a_change_before_the_approval_is_shown_and_refused(shop, second, at):
    four_eyes()
    draft = launch(planned(shop))
    another_number(shop)

    with account_scope(shop.id, second):
        with db.transaction():
            assert service.asked(draft.id).changed == ["Who gets it"]
        with pytest.raises(Conflict) as refused, db.transaction():
            service.approve(draft.id)

    assert refused.value.code == "changed_since_submitted"


def test_what_costs_less_than_was_approved_goes(shop, second, at, priced):
    four_eyes()
    draft = launch(planned(shop))
    assert draft.ceiling == prices.Quote("EUR", 3 * 62_500)
    approve(shop, second, draft)
    with db.transaction():
        contacts.opt_out(ana(shop))
    cost(shop, "0.05")

    at(draft.starts_at)
    begin(draft)

    assert state(draft)[0] == "launched"


def test_a_price_list_that_is_gone_makes_the_approval_void(shop, second, at, priced):
    four_eyes()
    draft = launch(planned(shop))
    approve(shop, second, draft)
    with staff_scope(COMMAND), db.transaction():
        prices.remove("whatsapp_cloud", NOON.date())

    at(draft.starts_at)
    begin(draft)
    cost(shop, "0.05")  # for the fixture to take away

    assert state(draft) == ("draft", "changed_since_approved")


@pytest.mark.parametrize(("limit", "waits"), [(187_500, False), (187_499, True)])
def test_so_much_money_needs_a_second_person(shop, at, priced, limit, waits):
    four_eyes(above=None, price=limit)

    assert launch(planned(shop)).state == ("submitted" if waits else "scheduled")


def test_what_nobody_can_price_needs_a_second_person_too(shop, at):
    four_eyes(above=None, price=10**9)

    assert launch(planned(shop)).state == "submitted"


def test_dearer_since_it_was_planned_needs_the_second_person_then(shop, at, priced):
    four_eyes(above=None, price=187_500)
    draft = launch(planned(shop))
    cost(shop, "0.07")

    at(draft.starts_at)
    begin(draft)

    assert state(draft) == ("draft", "approval_missing")


def test_the_price_is_on_the_pages(shop, second, at, priced):
    four_eyes()
    draft = planned(shop)
    visitor = Visitor(shop.tenant)
    review = visitor.get(f"/campaigns/{draft.id}/step/review").text
    assert "€0.19" in review  # 3 × 0.0625, not rounded down
    launch(draft)

    page = visitor.get(f"/campaigns/{draft.id}").text

    assert "The most it may cost" in page
    assert "€0.19" in page


def test_a_new_piece_makes_old_approvals_void():
    old = approval.digests({"audience": "x"})
    new = approval.digests({"audience": "x", "price_ceiling": "100"})
    kept = Approval(pieces=old, fingerprint=approval.fingerprint(old))

    assert approval.changes(kept, old) == []
    assert approval.changes(kept, new) == ["price_ceiling"]
    assert approval.fingerprint(old) != approval.fingerprint(new)


# --- pages


def test_the_step_the_page_and_the_calendar(shop, at):
    draft = planned(shop)
    visitor = Visitor(shop.tenant)
    step = f"/campaigns/{draft.id}/step/when"

    page = visitor.get(step).text
    assert 'value="2027-03-01T10:30"' in page
    assert "Mar 1, 2027, 10:30 (America/Sao Paulo)" in page
    assert "America/Sao Paulo" in page
    wrong = visitor.post(step, when="at", start="soon", zone=ZONE, late="120")
    assert (wrong.status_code, "This is no day and time." in wrong.text) == (422, True)
    kept = visitor.post(
        step, when="own", start="2027-03-02T09:30", zone=ZONE, late="60",
        finish="2027-03-03T09:30", spread="2027-03-02T18:00",
    )  # fmt: skip
    assert kept.status_code == 302
    review = visitor.get(kept.location).text
    assert "on each person" in review
    assert "Plan for 3 people" in review
    launch(draft)
    shown = visitor.get(f"/campaigns/{draft.id}").text
    assert "Take it back" in shown
    month = visitor.get("/campaigns/calendar?month=2027-03").text
    assert month.count("Early access") == 1
    assert visitor.get("/campaigns/calendar?month=never").status_code == 200
    assert visitor.post(f"/campaigns/{draft.id}/take-back").status_code == 302
    assert state(draft) == ("draft", "")


def test_approval_by_pages(shop, second, at):
    four_eyes()
    shop.people(3)
    draft = shop.draft()
    owner = Visitor(shop.tenant)
    review = owner.post(f"/campaigns/{draft.id}/who", to="review", follow=True).text
    assert "Submit for approval" in review
    owner.post(f"/campaigns/{draft.id}/launch", key="k", people="3")

    page = owner.get(f"/campaigns/{draft.id}").text
    assert "You asked, so somebody else has to approve it." in page
    assert owner.post(f"/campaigns/{draft.id}/approve").status_code == 409
    approve(shop, second, draft)
    assert state(draft)[0] == "starting"


def test_a_waiting_person_is_told_when_and_in_which_zone(shop, at):
    draft = launch(planned(shop, local=dt.datetime(2027, 3, 2, 9, 30), own_time=True))
    at(draft.starts_at)
    begin(draft)
    with db.transaction():
        message = db.session().scalars(select(Message).limit(1)).one()
        message.zone, message.not_before = "Asia/Tokyo", NOON + dt.timedelta(days=9)
        waiting = message.id

    page = Visitor(shop.tenant).get(f"/campaigns/message/{waiting}").text

    assert "Mar 10, 2027, 21:00 (Asia/Tokyo)" in page


def test_what_became_marketing_since_is_not_sent_as_utility(shop, at):
    """Consent was not asked for when it was utility; the provider says it is marketing."""
    shop.template_id = shop.template("receipt", category="utility")
    shop.people(2, consent=False)
    draft = shop.draft()
    with db.transaction():
        service.choose_time(draft.id, local=HALF_PAST, zone=ZONE)
    draft = launch(draft)
    assert (draft.purpose, draft.people) == ("utility", 2)
    with db.transaction() as orm:
        orm.get_one(Template, shop.template_id).judged_category = "marketing"

    at(draft.starts_at)
    begin(draft)

    assert state(draft) == ("draft", "category_changed")
    with db.transaction():
        assert db.session().scalar(select(func.count()).select_from(Message)) == 0
    page = Visitor(shop.tenant).get(f"/campaigns/{draft.id}/step/review").text
    assert "counts as marketing now" in page
