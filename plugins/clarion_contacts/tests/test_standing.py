"""What consent is now: the view is the replay of the events, and the copy is the view."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, text, update

from clarion.base import db
from clarion.messaging import suppression
from clarion.tenancy import preferences
from clarion_contacts import service
from clarion_contacts.models import ACTIONS, Consent, Contact
from clarion_contacts.records import ConsentCheck, Topic
from clarion_contacts.service import Details, Key, standing
from clarion_contacts.service.consent import store

CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}
STATES = {
    "grant": "opted_in", "import_attested": "opted_in", "withdraw": "opted_out",
    "object": "opted_out", "correct": "none", "expire": "none",
}  # fmt: skip


def agreed(number="+5511912340001", **more):
    with db.transaction():
        one = service.add(Details(name="Ana", phone=number))
        service.opt_in(one.id, **CONSENT, **more)
    return one.id


def fresh(contact_id):
    db.session().expire_all()
    return service.get(contact_id)


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),  # who
        st.sampled_from([a for a in ACTIONS if a != "import_attested"]),
        st.sampled_from(["marketing", "utility"]),
        st.sampled_from(["whatsapp", "email"]),
        st.sampled_from([None, 0, 1]),  # topic
    ),
    max_size=25,
)


@settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(events=EVENTS)
def test_the_view_is_the_replay_of_the_events(account, events):
    with db.transaction() as orm:
        people = [
            service.add(Details(email=f"p{db.new_id().hex}@example.org")) for _ in range(3)
        ]
        topics = [Topic(id=db.new_id(), name="t", key=db.new_id().hex) for _ in range(2)]
        orm.add_all(topics)
        orm.flush()
        told = {one.id: [] for one in people}
        for who, action, purpose, channel, topic in events:
            key = Key(purpose, channel, None if topic is None else topics[topic].id)
            event = Consent(
                id=db.new_id(),
                contact_id=people[who].id,
                action=action,
                purpose=purpose,
                channel=channel,
                topic_id=key.topic_id,
                method="team",
            )
            orm.add(event)
            orm.flush()
            told[people[who].id].append((key, action))

        for contact_id, mine in told.items():
            assert service.now_of(contact_id) == service.replay(mine)
            assert service.replay(mine) == {key: STATES[action] for key, action in mine}


STEPS = st.lists(
    st.sampled_from(["in", "out", "stop", "start", "expire", "topic"]), max_size=8
)


@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(steps=STEPS)
def test_the_copy_is_the_view_whatever_happened(account, run_jobs, steps):
    number = f"+55119{db.new_id().int % 10**8:08d}"
    with db.transaction():
        one = service.add(Details(name="Ana", phone=number)).id
        topic = service.keep_topic(f"T {db.new_id().hex[-8:]}", "", [])
    for step in steps:
        with db.transaction() as orm:
            if step == "in" and not suppression.is_suppressed("phone", number):
                service.opt_in(one, **CONSENT)
            elif step == "out":
                service.opt_out(one)
            elif step == "stop":
                suppression.suppress([("phone", number)], reason="stop")
            elif step == "start":
                suppression.resume([("phone", number)], lifts=("stop", "manual"))
            elif step == "topic":
                service.choose(one, set())
            elif step == "expire":
                contact = orm.get(Contact, one)
                if contact.consent == "opted_in":
                    event = Consent(
                        id=db.new_id(), contact_id=one, action="expire",
                        purpose="marketing", method="policy",
                    )  # fmt: skip
                    store(contact, event, "none")
        run_jobs()

    with db.transaction():
        state = service.now_of(one).get(Key("marketing", "whatsapp", None), "none")
        contact = fresh(one)
        assert contact.consent == state
        found = service.compare(repair=False)
        service.retire_topic(topic.id)
    assert found.differing == 0


def test_a_copy_that_allows_too_much_is_put_right(account):
    one, other = agreed(), agreed("+5511912340002")
    with db.transaction() as orm:
        service.opt_out(one)
        orm.flush()
        orm.execute(  # what no verb does
            update(Contact).where(Contact.id == one).values(consent="opted_in")
        )
        orm.execute(
            update(Contact)
            .where(Contact.id == other)
            .values(consent="none", consent_id=None)
        )

    with db.transaction():
        seen = service.compare(repair=False)
        done = service.compare(repair=True)
        again = service.compare(repair=True)

    assert (seen.differing, seen.repaired) == (2, 0)
    assert (done.differing, done.repaired) == (2, 1)
    assert again.differing == 1  # who may be written to is nobody's guess
    assert fresh(one).consent == "opted_out"
    assert fresh(other).consent == "none"


def test_consent_ends_by_age_and_is_listed_before(account):
    young, old, soon, heard = (agreed(f"+551191234000{n}") for n in range(4))
    days = {young: 10, old: 400, soon: 350, heard: 400}
    with db.transaction() as orm:
        for one, age in days.items():
            at = (
                select(Consent.created_at)
                .where(Consent.contact_id == one)
                .scalar_subquery()
            )
            orm.execute(
                update(Contact)
                .where(Contact.id == one)
                .values(consent_at=at - dt.timedelta(days=age))
            )
        _wrote(heard)
        preferences.store("contacts", {"consent_months": 12})

    with db.transaction():
        count, listed = service.ageing()
        ended = service.expire()
        again = service.expire()

    assert (count, {one.contact_id for one in listed}) == (2, {old, soon})
    assert (ended, again) == (1, 0)
    assert [fresh(one).consent for one in days] == [
        "opted_in",
        "none",
        "opted_in",
        "opted_in",
    ]
    with db.transaction() as orm:
        last = orm.scalars(select(Consent).where(Consent.contact_id == old)).all()[-1]
        assert (last.action, last.method, last.source) == ("expire", "policy", "12 months")
        assert last.idxs == [fresh(old).phone_idx]
        assert service.compare(repair=False).differing == 0
    counted = service.count(service.everyone(), {}, "marketing")
    assert counted.left_out["no_consent"] == 1


def test_without_a_policy_nothing_ends(account):
    one = agreed()
    with db.transaction() as orm:
        orm.execute(
            update(Contact).values(consent_at=dt.datetime(2001, 1, 1, tzinfo=dt.UTC))
        )

        assert service.expire() == 0
        assert service.ageing() == (0, [])
    assert fresh(one).consent == "opted_in"


def test_a_night_writes_what_it_found(account):
    agreed()

    with db.transaction():
        service.tend()
    with db.transaction() as orm:
        check = orm.scalars(select(ConsentCheck)).one()
        assert (check.events, check.broken, check.differing, check.expired) == (1, "", 0, 0)
        assert service.last_check().id == check.id


def test_numbers_count_the_silenced_apart(account):
    agreed()
    quiet = agreed("+5511912340002")
    with db.transaction():
        service.opt_out(quiet)
        service.add(Details(name="Bo", phone="+5511912340003"))

        assert service.numbers() == {"opted_in": 1, "suppressed": 1, "none": 1}


def _wrote(contact_id):
    from clarion.base import crypto
    from clarion.messaging.models import InboundMessage
    from clarion.tenancy.scope import current_account

    row = InboundMessage(
        id=db.new_id(), provider_id=f"wamid.{db.new_id().hex}", contact_id=contact_id,
        address_idx=b"x", kind="text", sent_at=dt.datetime.now(dt.UTC), body=b"",
    )  # fmt: skip
    row.body = crypto.seal(
        "hi", place=f"inbound_message.body:{row.id}", account_id=current_account()
    )
    db.session().add(row)
    db.session().flush()


def test_consent_without_an_event_never_leaves(account, database):
    """ATT-02, at the intent: whatever the copy says, there must be an event that gives it."""
    from types import SimpleNamespace

    from clarion.messaging import orders, snapshot
    from clarion.messaging.models import Message
    from clarion.testing.factories import make_sender

    good, forged = agreed(), agreed("+5511912340002")
    sender = make_sender(account)
    with db.transaction():
        order = orders.create(
            "Hello", "marketing", sender,
            {"name": "hello", "language": "en", "parts": [], "text": {}},
        )  # fmt: skip
        snapshot.freeze(order.id, service.audience(service.everyone(), {}, "marketing"))
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE contacts_contact SET consent_id = gen_random_uuid() WHERE id = :id"
            ),
            {"id": forged},
        )
    engine.dispose()

    with db.transaction() as orm:
        ids = dict(orm.execute(select(Message.contact_id, Message.id)).tuples().all())
        batch = SimpleNamespace(ids=tuple(ids.values()), campaign_id=order.id)
        refused = orm.execute(standing.unproven(batch)).all()

    assert [tuple(row) for row in refused] == [(ids[forged], "consent_unproven")]
    assert good in ids


@pytest.mark.parametrize(
    ("wording", "lacks"),
    [
        ("I want news from Casa Verde by WhatsApp.", 0),
        ("Ja, ich möchte Angebote der Casa Verde als Nachricht bekommen", 0),
        ("Sim, quero receber mensagens da CASA-VERDE!", 0),
        ("أريد رسائل من Casa Verde", 0),
        ("Casa Verdeからお知らせを受け取ります", 0),
        ("I want news by WhatsApp.", 1),
        ("I agree with the terms of Casa Verde.", 1),
        ("Yes", 2),
    ],
)
def test_words_name_the_business_and_say_that_messages_come(account, wording, lacks):
    """CON-04."""
    with db.transaction():
        assert len(service.lint(wording)) == lacks


@pytest.mark.parametrize(
    ("name", "wording", "lacks"),
    [
        ("Müller & Söhne GmbH", "Ich will Nachrichten von Müller Söhne", 0),
        ("Müller & Söhne GmbH", "Ich will Nachrichten von Schmidt", 1),
        ("La Fábrica S.A.", "Quiero mensajes de la fabrica", 0),
        ("काज़ा", "मुझे काज़ा से संदेश चाहिए", 0),
    ],
)
def test_a_business_is_named_without_its_legal_form(account, name, wording, lacks):
    from clarion_contacts.service import wordings

    assert len(wordings.lint(wording, name)) == lacks
