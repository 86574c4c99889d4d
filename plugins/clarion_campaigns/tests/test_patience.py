"""A page of the wizard counts with patience, planned for its own values; a launch does not."""

from functools import partial

import pytest
from sqlalchemy import func, select

from clarion.base import db
from clarion.messaging import snapshot
from clarion.testing.visitor import Visitor
from clarion_campaigns import service
from clarion_campaigns.service import review
from clarion_contacts import segments


@pytest.fixture
def slow(monkeypatch):
    """Let every rule of an audience take far too long, and pages have little patience."""
    monkeypatch.setattr(segments, "condition", lambda _r: func.pg_sleep(0.5).is_not(None))
    monkeypatch.setattr(service, "rail", partial(service.rail, patience_ms=50))


def test_the_rail_gives_up_and_says_so(shop, slow):
    shop.people(2)
    draft = shop.draft()
    with db.transaction():
        rail = service.rail(draft.id)
        codes = {one.code for one in service.problems(rail)}
        assert db.session().scalar(select(func.current_setting("statement_timeout"))) == "0"
    page = Visitor(shop.tenant).get(f"/campaigns/{draft.id}/rail")

    assert rail.slow
    assert "audience_empty" not in codes
    assert page.status_code == 200
    assert "Counting takes too long here." in page.text


def test_a_count_is_planned_for_its_own_values_and_in_time(shop, monkeypatch):
    shop.people(2)
    draft = shop.draft()
    seen = []

    def counted(audience, purpose, sender_id):
        found = ("plan_cache_mode", "statement_timeout")
        asked = select(*(func.current_setting(one) for one in found))
        seen.append(tuple(db.session().execute(asked).one()))
        return snapshot_counted(audience, purpose, sender_id)

    snapshot_counted = snapshot.counted
    monkeypatch.setattr(review.snapshot, "counted", counted)
    Visitor(shop.tenant).get(f"/campaigns/{draft.id}/rail")

    assert seen == [("force_custom_plan", "2s")]


def test_a_launch_waits_as_long_as_it_takes(shop, monkeypatch):
    shop.people(2)
    draft = shop.draft()
    with db.transaction():
        service.look_at_everybody(draft.id)
        seen = service.look(draft.id)
    asked = []
    real = review.patiently
    monkeypatch.setattr(
        review, "patiently", lambda work, ms: (asked.append(ms), real(work, ms))[1]
    )
    with db.transaction():
        assert service.launch(draft.id, "key", check_id=seen.id).people == 2

    assert set(asked) == {0}  # PostgreSQL's word for no limit
