"""The follow-up: proposed after a day, prepared once, sent like every campaign."""

import datetime as dt
import email
import email.policy

import pytest
from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.base.settings import settings
from clarion.messaging import prices
from clarion.messaging.models import Message
from clarion.tenancy.actor import COMMAND, SYSTEM_JOB
from clarion.tenancy.scope import staff_scope, system_scope
from clarion.testing.visitor import Visitor
from clarion_campaigns import jobs, service
from clarion_campaigns.models import Draft
from clarion_contacts import contract as contacts


@pytest.fixture
def limited(sending_shop, simulator, run_jobs):
    """A campaign of six, three of whom WhatsApp did not let through."""
    rule = {"match": {}, "fate": {"answer": "refuse", "code": 131049}, "times": 3}
    simulator.post("rules", rules=[rule], replace=True)
    draft = sending_shop.launched(6)
    run_jobs()
    assert len(simulator.receipts()) == 3
    return draft


def proposed(draft):
    with db.transaction() as orm:
        orm.expire_all()
        return service.results(draft.id).follow_up


def test_it_is_proposed_after_a_day_and_sent_by_a_person(
    limited, sending_shop, simulator, run_jobs, later
):
    visitor = Visitor(sending_shop.tenant)
    early = proposed(limited)
    assert (early.people, early.reached, early.ready, early.over) == (3, 3, False, False)
    with pytest.raises(Conflict) as refused, db.transaction():
        service.follow_up(limited.id)
    assert refused.value.code == "follow_up_early"
    assert "price not known" in visitor.get(f"/campaigns/{limited.id}").text

    later.forward(hours=25)
    assert "Prepare the follow-up" in visitor.get(f"/campaigns/{limited.id}").text
    url = f"/campaigns/{limited.id}/follow-up"
    first, second = visitor.post(url).location, visitor.post(url).location
    assert first == second
    review = visitor.get(first).location
    page = visitor.get(review).text
    assert review.endswith("/step/review")
    assert "Send to 3 people…" in page
    assert len(simulator.receipts()) == 3  # nothing was sent by preparing it

    with db.transaction() as orm:
        new = orm.scalar(select(Draft.id).where(Draft.request_key.startswith("follow-up/")))
        service.launch(new, "key")
    run_jobs()
    assert len(simulator.receipts()) == 6
    assert len({r["to"] for r in simulator.receipts()}) == 6
    assert proposed(limited).draft_id == new


def test_nothing_is_ever_repeated_by_itself(limited, simulator, run_jobs, later):
    from clarion.messaging import reconcile

    for _ in range(3):
        later.forward(hours=25)
        reconcile.mend()
        run_jobs()

    assert len(simulator.receipts()) == 3


def test_who_said_stop_or_is_american_is_not_in_it(limited, later):
    with db.transaction() as orm:
        query = select(Message.contact_id).where(Message.reason == "per_user_limit")
        one, other, _ = sorted(orm.scalars(query))
        contacts.opt_out(one)
        contacts.edit(
            other, contacts.Details(name="Ann", phone="+12125550123", country="US")
        )

    assert (proposed(limited).people, proposed(limited).reached) == (3, 1)


def test_its_people_cannot_become_everybody(limited, later):
    later.forward(hours=25)
    with db.transaction():
        draft = service.follow_up(limited.id)
        service.choose_people(draft.id, [], [])

        assert service.rail(draft.id).total == 3


def test_it_is_not_proposed_for_ever(limited, later):
    later.forward(days=8)

    assert proposed(limited).over
    with pytest.raises(Conflict) as refused, db.transaction():
        service.follow_up(limited.id)
    assert refused.value.code == "follow_up_over"


def test_two_rounds_are_enough(limited, simulator, run_jobs, later):
    draft = limited
    for number in (1, 2):
        later.forward(hours=25)
        rule = {"match": {}, "fate": {"answer": "refuse", "code": 131049}}
        simulator.post("rules", rules=[rule], replace=True)
        with db.transaction():
            draft = service.follow_up(draft.id)
            assert draft.segment["round"] == number
            draft = service.launch(draft.id, "key")
        run_jobs()
    later.forward(hours=25)

    assert proposed(draft).over


def test_a_campaign_without_the_limit_has_none(sending_shop, run_jobs):
    draft = sending_shop.launched(2)
    run_jobs()

    assert proposed(draft) is None
    with pytest.raises(Conflict):
        service.follow_up(draft.id)


# --- the planner


def plan(run_jobs):
    """Do what the clock does every hour."""
    with system_scope(SYSTEM_JOB):
        jobs.look_for_follow_ups()
    run_jobs()


def letters(shop):
    found = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in settings().mail_folder.glob("*.eml")
    ]
    return [one for one in found if shop.tenant.email in str(one["To"])]


def test_the_planner_proposes_after_a_day_and_tells_the_team_once(
    limited, sending_shop, simulator, run_jobs, later
):
    visitor = Visitor(sending_shop.tenant)
    plan(run_jobs)
    assert letters(sending_shop) == []  # too early: it would get us blocked
    later.forward(hours=23)
    plan(run_jobs)
    assert "A follow-up of" not in visitor.get("/").text

    later.forward(hours=2)
    for _ in range(3):
        plan(run_jobs)

    (letter,) = letters(sending_shop)
    assert letter["Subject"] == "Casa Verde: a follow-up of “Early access”?"
    text = letter.get_content()
    assert "kept 3 people from" in text.replace("\n", " ")
    assert "first follow-up" in text
    assert "no price list" in text
    assert f"/campaigns/{limited.id}#follow-up" in text
    assert "A follow-up of “Early access”?" in visitor.get("/").text
    assert len(simulator.receipts()) == 3  # nothing is sent, and nothing prepared
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Draft)) == 1

    with db.transaction():
        service.follow_up(limited.id)
    assert "A follow-up of" not in visitor.get("/").text


def test_a_proposal_that_is_not_wanted_is_gone(limited, sending_shop, run_jobs, later):
    later.forward(hours=25)
    plan(run_jobs)
    visitor = Visitor(sending_shop.tenant)
    assert "Not this time" in visitor.get(f"/campaigns/{limited.id}").text

    visitor.post(f"/campaigns/{limited.id}/follow-up/decline")

    assert "A follow-up of" not in visitor.get("/").text
    page = visitor.get(f"/campaigns/{limited.id}").text
    assert "Not this time" not in page
    assert "Prepare the follow-up" in page  # whoever changes their mind still can
    plan(run_jobs)
    assert len(letters(sending_shop)) == 1


def test_nothing_is_proposed_after_the_end_of_the_offer(
    limited, sending_shop, run_jobs, later
):
    later.forward(days=8)
    plan(run_jobs)

    assert letters(sending_shop) == []
    assert "A follow-up of" not in Visitor(sending_shop.tenant).get("/").text


def test_a_proposal_ends_with_the_offer(limited, sending_shop, run_jobs, later):
    later.forward(hours=25)
    plan(run_jobs)
    visitor = Visitor(sending_shop.tenant)
    assert "A follow-up of" in visitor.get("/").text

    later.forward(days=7)

    assert "A follow-up of" not in visitor.get("/").text


def test_nothing_is_proposed_for_people_who_said_stop(
    limited, sending_shop, run_jobs, later
):
    with db.transaction() as orm:
        query = select(Message.contact_id).where(Message.reason == "per_user_limit")
        for one in list(orm.scalars(query)):
            contacts.opt_out(one)
    later.forward(hours=25)
    plan(run_jobs)

    assert letters(sending_shop) == []


def test_the_proposal_says_what_it_costs_and_what_to_expect(
    limited, sending_shop, run_jobs, later, monkeypatch
):
    from clarion_campaigns.service import following

    monkeypatch.setattr(following, "_share_before", lambda: 0.4)
    day = dt.date(2026, 1, 1)
    with staff_scope(COMMAND), db.transaction():
        prices.enter("whatsapp_cloud", day, "EUR", "BR; marketing; 0.5")
    try:
        later.forward(hours=25)
        plan(run_jobs)
        text = " ".join(letters(sending_shop)[0].get_content().split())
        page = Visitor(sending_shop.tenant).get(f"/campaigns/{limited.id}").text
    finally:
        with staff_scope(COMMAND), db.transaction():
            prices.remove("whatsapp_cloud", day)

    assert "about 1 of them gets it" in text
    assert "It costs EUR 1.50 at most." in text
    assert "€1.50" in page


def test_approvals_and_missed_starts_wait_on_the_overview(sending_shop, later):
    from clarion.messaging import hours

    sending_shop.people(3)
    draft = sending_shop.draft()
    with db.transaction():
        hours.change(
            opens=0,
            closes=1440,
            weekdays=range(7),
            per_day=9,
            per_week=9,
            approve_above=1,
        )
        service.launch(draft.id, "key")
    visitor = Visitor(sending_shop.tenant)
    assert "“Early access” waits for approval" in visitor.get("/").text
    with db.transaction() as orm:
        orm.get_one(Draft, draft.id).state = "starting"
    later.forward(hours=3)
    with db.transaction():
        service.start(draft.id)

    page = visitor.get("/").text

    assert "waits for approval" not in page
    assert "“Early access” did not begin" in page
    with db.transaction():
        service.rename(draft.id, "Another")
    assert "did not begin" not in visitor.get("/").text
