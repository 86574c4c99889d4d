"""What a person got counts as theirs, under whichever contact it went to."""

import datetime as dt

import pytest
from sqlalchemy import insert, select, update

from clarion.base import crypto, db
from clarion.messaging import hours, judging, orders
from clarion.messaging.models import Campaign, InboundMessage, Message
from clarion.messaging.parts import ContactPart
from clarion.tenancy.scope import current_account
from clarion.testing.factories import make_sender
from clarion_contacts import service
from clarion_contacts.service import Details

TEMPLATE = {
    "name": "for_who_was_merged",
    "language": "en",
    "parameter_format": "named",
    "parts": [],
    "text": {"header": "", "body": "Hi!", "footer": "", "buttons": []},
}


def add(number):
    with db.transaction():
        one = service.add(Details(name="Ana Lima", phone=f"+55119812300{number:02}")).id
        service.opt_in(one, method="shop", source="till", wording="Yes, write to me.")
    return one


@pytest.fixture
def people(account):
    """Three contacts that are one person; the first stays when they are merged."""
    with db.transaction():
        hours.change(
            opens=0, closes=1440, weekdays=range(7), per_day=1, per_week=3,
            approve_above=None,
        )  # fmt: skip
    return [add(1), add(2), add(3)]


@pytest.fixture
def send(account, simulator, run_jobs):
    """Send marketing to some contacts; returns the order's id."""
    sender = make_sender(account, simulator.url)

    def run(*contact_ids):
        everyone = service.audience(service.everyone(), {}, "marketing")
        chosen = everyone.subquery("everyone")
        with db.transaction():
            order = orders.create("Offer", "marketing", sender, TEMPLATE)
            some = select(chosen).where(chosen.c.contact_id.in_(contact_ids))
            orders.start(order.id, some)
        run_jobs()
        return order.id

    return run


def merge(one, other):
    with db.transaction():
        return service.merges_of(service.merge(one, other))[0].id


def undo(merge_id):
    with db.transaction():
        service.undo_merge(merge_id)


def states(order):
    with db.transaction() as orm:
        query = select(Message.contact_id, Message.state, Message.reason)
        rows = orm.execute(query.where(Message.campaign_id == order)).all()
        return {one: (state, reason) for one, state, reason in rows}


def had_enough():
    """Say who would have had enough, as the dry run asks it."""
    with db.transaction() as orm:
        now = Campaign(id=db.new_id(), purpose="marketing")
        audience = service.audience(service.everyone(), {}, "marketing")
        found = judging.capped(now, judging.judged(now, audience))
        return set() if found is None else {row[0] for row in orm.execute(found)}


def parts():
    with db.transaction() as orm:
        rows = orm.execute(select(ContactPart.contact_id, ContactPart.into_id))
        return dict(rows.tuples().all())


def test_caps_count_what_went_to_a_contact_that_is_part_of_this_one(people, send):
    ana, twin, third = people
    send(third)
    unrelated = merge(ana, twin)
    assert had_enough() == {third}
    undo(unrelated)
    first = merge(twin, third)
    second = merge(ana, twin)
    assert parts() == {twin: ana, third: ana}
    assert had_enough() == {ana}

    assert states(send(ana)) == {ana: ("queued", "frequency_cap")}

    undo(second)
    assert parts() == {third: twin}
    assert had_enough() == {twin}
    undo(first)
    assert parts() == {}
    assert had_enough() == {third}


def test_rules_about_campaigns_find_the_person(people, send):
    ana, twin, third = people
    order = send(twin, third)
    with db.transaction() as orm:
        orm.execute(
            update(Message)
            .where(Message.account_id == current_account())
            .values(state="failed", reason="marketing_limit")
        )
    rules = [
        {"op": "outcome", "campaign": str(order), "reason": "marketing_limit"},
        {"op": "campaign", "did": "failed", "campaign": str(order)},
    ]

    def found(rule):
        with db.transaction():
            chosen = service.audience(rule, {}, "utility").subquery("chosen")
            return set(db.session().scalars(select(chosen.c.contact_id)))

    assert [found(rule) for rule in rules] == [{twin, third}, {twin, third}]
    merge_id = merge(ana, twin)
    assert [found(rule) for rule in rules] == [{ana, third}, {ana, third}]
    undo(merge_id)
    assert [found(rule) for rule in rules] == [{twin, third}, {twin, third}]


def test_an_answer_after_the_merge_is_to_the_message_before_it(people, send):
    ana, twin, _third = people
    order = send(twin)
    merge(ana, twin)
    with db.transaction() as orm:
        new_id = db.new_id()
        orm.execute(
            insert(InboundMessage).values(
                id=new_id, provider_id="wamid.1", contact_id=ana, address_idx=b"1",
                kind="text", sent_at=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1),
                body=crypto.seal(
                    "hi", place=f"inbound_message.body:{new_id}",
                    account_id=current_account(),
                ),
            )
        )  # fmt: skip
    rules = [
        {"op": "campaign", "did": "replied", "campaign": str(order)},
        {"op": "campaign", "did": "sent", "times": 1},
        {"op": "inbound"},
    ]

    with db.transaction():
        assert [service.count(r, {}, "utility").total for r in rules] == [1, 1, 1]


def test_a_topic_that_a_part_stopped_is_stopped_by_the_person(people, send):
    ana, twin, third = people
    with db.transaction():
        service.keep_topic("Offers", "", [TEMPLATE["name"]])
        service.choose(twin, set())
    merge(ana, twin)

    def reasons():
        with db.transaction():
            audience = service.audience(
                service.everyone(), {}, "marketing", about=TEMPLATE["name"]
            ).subquery("chosen")
            query = select(audience.c.contact_id, audience.c.reason)
            return dict(db.session().execute(query).tuples().all())

    assert reasons() == {ana: "topic_stopped", third: ""}
    sent = states(send(ana, third))
    assert sent[ana] == ("suppressed", "topic_stopped")  # the gate says the same
    assert sent[third][0] == "accepted"


def test_who_is_erased_is_no_part_of_anybody(people, run_jobs):
    ana, twin, _third = people
    merge(ana, twin)
    with db.transaction():
        service.delete([ana])
    run_jobs()

    assert parts() == {}
