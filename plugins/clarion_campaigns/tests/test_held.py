"""What a customer sees of a campaign that our staff hold, and what they cannot do about it."""

import pytest

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.console import campaigns
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import staff_scope
from clarion.testing.visitor import Visitor
from clarion_campaigns import jobs, service

MAY = frozenset({"console.campaigns", "console.campaigns_hold"})
ADA = Actor("staff", "9001", "Ada", permissions=MAY)
WHY = "People tell us that they never heard of you."


@pytest.fixture
def held(shop, run_jobs):
    """A campaign that was launched, and held before anything left."""
    draft = shop.launched(3)
    with db.transaction():
        jobs.start(draft.id)
        order = service.get(draft.id).campaign_id
    with staff_scope(ADA), db.transaction():
        campaigns.hold(order, WHY)
    run_jobs()
    return draft.id, order


def test_the_page_says_why_and_offers_no_way_on(shop, held, run_jobs):
    draft, order = held
    visitor = Visitor(shop.tenant)
    page = visitor.get(f"/campaigns/{draft}").text

    assert "We hold this campaign" in page
    assert WHY in page
    assert f"/campaigns/{draft}/resume" not in page
    assert "Staff hold a campaign" in page  # in its activity
    assert "Staff hold a campaign" in visitor.get("/activity").text
    with pytest.raises(Conflict) as refused, db.transaction():
        service.resume(draft)
    assert refused.value.code == "campaign_held_by_staff"

    with staff_scope(ADA), db.transaction():
        campaigns.release(order, "You have shown us where they agreed.")
    run_jobs()

    page = visitor.get(f"/campaigns/{draft}").text
    assert "We hold this campaign" not in page
    assert "Staff let a held campaign go" in page


def test_whoever_had_stopped_it_too_is_asked_first(shop, held):
    """One click resumes a stopped template or number as well; not while we hold it."""
    from clarion.messaging import breakers

    draft, order = held
    with db.transaction():
        breakers.open_("campaign", str(order), "failure_rate")
    with pytest.raises(Conflict), db.transaction():
        service.resume(draft)

    with db.transaction():
        assert [one.reason for one in breakers.of_order(order)] == ["failure_rate"]
