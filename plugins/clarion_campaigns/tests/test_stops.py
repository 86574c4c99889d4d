"""A campaign's page while something holds it: a wave, a stop, and the clicks that help."""

import re

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.messaging import breakers, launches
from clarion.messaging.models import Sender
from clarion.testing.visitor import Visitor
from clarion_campaigns import service
from clarion_campaigns.models import Draft


def hidden(page, name):
    return re.search(rf'name="{name}"[^>]* value="([^"]*)"', page)[1]


@pytest.mark.parametrize(
    ("people", "offered", "ticked"), [(4, False, False), (6, True, True)]
)
def test_the_review_offers_a_soft_launch_and_ticks_it_for_many(
    shop, monkeypatch, people, offered, ticked
):
    monkeypatch.setattr(launches, "OFFERED", 4)
    monkeypatch.setattr(launches, "ADVISED", 5)
    shop.people(people)
    draft = shop.draft()
    page = (
        Visitor(shop.tenant)
        .post(f"/campaigns/{draft.id}/who", to="review", follow=True)
        .text
    )

    box = re.search(r'<input[^>]*name="soft"[^>]*>', page)
    assert bool(box) == offered
    assert ("checked" in box[0] if box else False) == ticked


def test_a_soft_launch_from_the_review_to_the_last_wave(
    sending_shop, simulator, run_jobs, monkeypatch
):
    shop, visitor = sending_shop, Visitor(sending_shop.tenant)
    monkeypatch.setattr(launches, "OFFERED", 4)
    monkeypatch.setattr(launches, "WAVES", (3,))
    monkeypatch.setattr(launches, "LAST", 2)
    shop.people(8)
    draft = shop.draft()
    page = visitor.post(f"/campaigns/{draft.id}/who", to="review", follow=True).text
    fields = {name: hidden(page, name) for name in ("key", "people")}
    visitor.post(f"/campaigns/{draft.id}/launch", soft="1", **fields)
    run_jobs()
    assert len(simulator.receipts()) == 3
    with db.transaction() as orm:
        assert orm.scalar(select(Draft.soft))

    page = visitor.get(f"/campaigns/{draft.id}").text
    assert "Wave 1 of 2" in page
    assert "Send to the next 5 people now…" in page
    done = visitor.post(f"/campaigns/{draft.id}/release")
    run_jobs()
    page = visitor.get(done.location).text
    assert "5 more people get it now." in page
    assert "Released the next wave" in page
    assert len(simulator.receipts()) == 8
    assert visitor.post(f"/campaigns/{draft.id}/release").status_code == 409


def test_a_stop_is_told_in_words_and_one_click_resumes(sending_shop, simulator, run_jobs):
    shop, visitor = sending_shop, Visitor(sending_shop.tenant)
    simulator.post(
        "rules",
        rules=[{"match": {}, "fate": {"answer": "refuse", "code": 132015}}],
        replace=True,
    )
    draft = shop.launched(3)
    run_jobs()
    page = visitor.get(f"/campaigns/{draft.id}").text
    assert "Its template was stopped: Template paused by WhatsApp" in page
    assert "Resume lets it go on at half speed." in page
    assert "A template was stopped: Template paused by WhatsApp" in visitor.get("/").text

    simulator.post("rules", rules=[], replace=True)
    visitor.post(f"/campaigns/{draft.id}/resume")
    run_jobs()
    page = visitor.get(f"/campaigns/{draft.id}").text
    assert len(simulator.receipts()) == 3
    assert "was stopped:" not in page
    assert "was stopped:" not in visitor.get("/").text


def test_a_stopped_number_can_be_resumed_from_the_campaign_that_waits_for_it(
    sending_shop, simulator, run_jobs
):
    visitor = Visitor(sending_shop.tenant)
    draft = sending_shop.launched(2)
    with db.transaction() as orm:
        sender = str(orm.scalar(select(Sender.id)))
        breakers.open_("sender", sender, "provider_down")
    run_jobs()
    page = visitor.get(f"/campaigns/{draft.id}").text
    assert "The provider does not answer" in page
    assert "It goes on by itself, with one message first:" in page

    visitor.post(f"/campaigns/{draft.id}/resume")
    run_jobs()
    assert len(simulator.receipts()) == 2
    with db.transaction():
        assert service.results(draft.id).stops == ()
