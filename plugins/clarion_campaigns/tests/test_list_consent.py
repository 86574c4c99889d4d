"""The list knows what the gate would refuse: a topic that was stopped, consent without proof."""

import csv
import io

import pytest
from sqlalchemy import select, update

from clarion.base import db
from clarion.messaging.models import Message
from clarion.testing.visitor import Visitor
from clarion_campaigns import service
from clarion_campaigns.models import Listed
from clarion_contacts import service as contacts
from clarion_contacts.models import Contact

WORDS = {
    "topic_stopped": "Stopped this topic",
    "consent_unproven": "Consent without proof",
}


def stop_topic(contact_id):
    """Say no to offers on one's own page."""
    with db.transaction():
        contacts.choose(contact_id, set())


def forge(contact_id):
    """Say on the contact that they agreed, by an event that nobody has."""
    with db.transaction() as orm:
        orm.execute(
            update(Contact).where(Contact.id == contact_id).values(consent_id=db.new_id())
        )


@pytest.fixture(params=[("topic_stopped", stop_topic), ("consent_unproven", forge)])
def refused(request, shop):
    """The reason, the person it is about, what makes it so, and two others."""
    reason, act = request.param
    with db.transaction():
        contacts.keep_topic("Offers", "", ["early_access"])
        contacts.keep_topic("News", "", ["something_else"])
    return reason, act, shop.people(3)


def look(draft):
    with db.transaction():
        service.look_at_everybody(draft.id)
        return service.look(draft.id)


def told(model):
    with db.transaction() as orm:
        return dict(orm.execute(select(model.contact_id, model.reason)).tuples().all())


def test_it_is_a_reason_of_its_own_everywhere(shop, refused):
    reason, act, (one, *_others) = refused
    draft = shop.draft()
    act(one)
    seen = look(draft)

    assert {g.reason: g.people for g in seen.groups} == {"": 2, reason: 1}
    visitor = Visitor(shop.tenant)
    page = visitor.get(f"/campaigns/{draft.id}/who").text
    assert WORDS[reason] in page
    lines = csv.reader(io.StringIO(visitor.post(f"/campaigns/{draft.id}/who.csv").text))
    assert [line[2:4] for line in lines if line[3] == WORDS[reason]] == [
        ["Left out", WORDS[reason]]
    ]
    with db.transaction():
        assert [p.contact_id for p in service.samples(seen.id)[reason, ""]] == [one]
        assert [(r.reason, r.count) for r in service.rail(draft.id).left_out] == [
            (reason, 1)
        ]
        assert service.why(draft.id, one).title == WORDS[reason]
        service.launch(draft.id, "key", check_id=seen.id)
        service.start(draft.id)
    assert told(Message) == told(Listed)
    assert told(Message)[one] == reason


def test_what_came_after_the_look_only_takes_away(shop, refused):
    reason, act, (one, *others) = refused
    draft = shop.draft()
    seen = look(draft)
    assert seen.reached == 3
    with db.transaction():
        service.launch(draft.id, "key", check_id=seen.id)
    act(one)
    with db.transaction():
        service.start(draft.id)

    assert told(Message) == {one: reason, **dict.fromkeys(others, "")}


def test_another_topic_and_other_purposes_do_not_matter(shop):
    (ana,) = shop.people(1)
    with db.transaction():
        contacts.keep_topic("News", "", ["something_else"])
    stop_topic(ana)
    assert look(shop.draft()).reached == 1

    with db.transaction():
        contacts.keep_topic("Codes", "", ["codes"])
    shop.template_id = shop.template("codes", category="utility")
    stop_topic(ana)
    assert look(shop.draft()).reached == 1
