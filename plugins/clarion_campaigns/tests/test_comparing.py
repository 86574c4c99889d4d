"""A campaign beside its control group: what both did, and what may be said about it."""

import datetime as dt

import pytest
from sqlalchemy import insert, select

from clarion.base import crypto, db
from clarion.messaging import suppression, timing
from clarion.messaging.models import InboundMessage, Message
from clarion.tenancy.scope import current_account
from clarion.testing.visitor import Visitor
from clarion_campaigns import service
from clarion_campaigns.service import comparing
from clarion_campaigns.service.comparing import difference
from clarion_contacts import contract as contacts


def write(contact_id, *, minutes=1, meaning=""):
    new_id = db.new_id()
    body = crypto.seal(
        "hi", place=f"inbound_message.body:{new_id}", account_id=current_account()
    )
    with db.transaction() as orm:
        at = timing.now() + dt.timedelta(minutes=minutes)
        orm.execute(
            insert(InboundMessage).values(
                id=new_id, provider_id=new_id.hex, contact_id=contact_id, kind="text",
                address_idx=b"1", sent_at=at, body=body, meaning=meaning,
            )
        )  # fmt: skip


@pytest.fixture
def ran(sending_shop, run_jobs):
    """Run a campaign with a control group of half; returns it and who is in which."""

    def run(people):
        sending_shop.people(people)
        draft = sending_shop.draft()
        with db.transaction():
            service.limit_people(draft.id, control=50, budget_micros=None)
            service.launch(draft.id, "key")
        run_jobs()
        with db.transaction() as orm:
            rows = orm.execute(select(Message.contact_id, Message.reason)).all()
        sent = [one for one, reason in rows if reason == ""]
        control = [one for one, reason in rows if reason == "control_group"]
        assert sent
        assert control
        return draft, sent, control

    return run


def compared(draft):
    with db.transaction():
        return service.compared(draft.id)


def test_what_both_groups_did_since_it_began_is_counted(ran, later):
    draft, sent, control = ran(12)
    write(sent[0], minutes=-60)  # before it began
    for one in (sent[1], sent[1], sent[2], control[0]):
        write(one)
    write(sent[0], meaning="stop")
    with db.transaction():
        suppression.suppress([], reason="stop", contact_id=sent[0])
        suppression.suppress([], reason="erasure", contact_id=control[0])
    later.forward(hours=1)

    found = compared(draft)

    assert (found.sent, found.control, found.over) == (len(sent), len(control), False)
    assert [(m.title, m.sent, m.control) for m in found.measures] == [
        ("Wrote to you", 2, 1),
        ("Said STOP", 1, 0),
    ]
    assert all(m.words.startswith("Too few to say anything") for m in found.measures)
    later.forward(days=8)
    write(sent[3])
    ended = compared(draft)
    assert ended.over
    assert ended.measures[0].sent == 2  # the time that is counted is over


def test_who_was_merged_since_is_the_person_who_wrote(ran, later):
    draft, sent, _control = ran(8)
    one, other = sorted(sent[:2])
    with db.transaction():
        stays = contacts.merge(one, other)
    write(stays)
    later.forward(hours=1)

    found = compared(draft)

    assert (found.sent, found.measures[0].sent) == (len(sent) - 1, 1)


def test_the_page_of_the_campaign_shows_it_and_without_a_group_nothing(ran, sending_shop):
    draft, _sent, _control = ran(6)
    visitor = Visitor(sending_shop.tenant)

    page = visitor.get(f"/campaigns/{draft.id}").text

    assert "Did it make a difference?" in page
    assert "Too few to say anything" in page
    other = sending_shop.draft("Without")
    assert compared(other) is None


@pytest.mark.parametrize(
    ("hits", "of", "others", "of_others", "low", "high"),
    [  # Newcombe 1998, method 10, table II
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (10, 10, 0, 20, 0.6791, 1.0000),
        (0, 10, 0, 20, -0.1611, 0.2775),
    ],
)
def test_the_difference_is_newcombes(hits, of, others, of_others, low, high):
    found = difference(hits, of, others, of_others)

    assert found == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("sent", "control", "said", "tone"),
    [
        ((1000, 100), (1000, 40), "Of 1,000 people 38 to 83 more than without it.", "ok"),
        ((1000, 40), (1000, 100), "Of 1,000 people 38 to 83 fewer than without it.", "bad"),
        (
            (1000, 50),
            (1000, 45),
            "No difference can be shown. Of 1,000 people it is between 14 fewer and 24 more",
            "",
        ),
        ((29, 29), (1000, 5), "Too few to say anything", ""),
        ((1000, 4), (1000, 0), "Too few to say anything", ""),
    ],
)
def test_only_what_is_known_is_said(sent, control, said, tone):
    one, other = (comparing._Counts(people, hits, 0) for people, hits in (sent, control))

    found = comparing._measure("x", one.wrote, other.wrote, one, other, good=True)

    assert found.words.startswith(said)
    assert found.tone == tone
