"""The follow-up: proposed after a day, prepared once, sent like every campaign."""

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.messaging.models import Message
from clarion.testing.visitor import Visitor
from clarion_campaigns import service
from clarion_campaigns.models import Draft
from clarion_contacts import service as contacts


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
