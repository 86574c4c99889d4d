"""The proof card of a message: complete for what is in order, and it says what is not."""

import json

import pytest
from sqlalchemy import create_engine, event, select, text

from clarion.base import db
from clarion.messaging import orders
from clarion.messaging.models import Message
from clarion.testing.factories import make_sender
from clarion.testing.visitor import Visitor
from clarion_contacts import service
from clarion_contacts.models import Consent
from clarion_contacts.service import Details

CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}
TEMPLATE = {"name": "hello", "language": "en", "parts": [], "text": {}}


@pytest.fixture
def sent(account, simulator, run_jobs):
    """Send a campaign to everybody who may get it; returns message ids by contact."""
    sender = make_sender(account, simulator.url)

    def run(purpose="marketing"):
        with db.transaction():
            order = orders.create("Hello", purpose, sender, TEMPLATE)
            orders.start(order.id, service.audience(service.everyone(), {}, purpose))
        run_jobs()
        db.session().expire_all()
        with db.transaction() as orm:
            query = select(Message.contact_id, Message.id).where(
                Message.campaign_id == order.id, Message.state == "accepted"
            )
            return dict(orm.execute(query).tuples().all())

    return run


@pytest.fixture
def ana(account):
    with db.transaction():
        one = service.add(Details(name="Ana Lima", phone="+5511912340001"))
        service.opt_in(one.id, **CONSENT, evidence="Paper 17, folder B")
    return one.id


def card_of(message_id):
    db.session().expire_all()
    with db.transaction():
        return service.card(message_id)


def test_a_card_shows_what_a_message_rests_on(ana, sent):
    message_id = sent()[ana]
    with db.transaction():
        service.seal()

    card = card_of(message_id)

    assert card.missing == ()
    assert (card.business, card.name, card.address) == (
        "Casa Verde", "Ana Lima", "+5511912340001",
    )  # fmt: skip
    assert (card.campaign, card.template, card.purpose, card.needed) == (
        "Hello", "hello", "marketing", True,
    )  # fmt: skip
    agreed = card.agreed
    assert (agreed.action, agreed.method, agreed.source) == (
        "grant", "web_form", CONSENT["source"],
    )  # fmt: skip
    assert (agreed.wording, agreed.evidence, agreed.seal) == (
        CONSENT["wording"], "Paper 17, folder B", "sealed",
    )  # fmt: skip
    assert agreed.addresses == 1
    assert agreed.recorded_at < card.checked_at
    assert card.listed is False
    assert card.policy == "2026-11"


def test_a_card_of_an_import_leads_to_file_row_and_statement(take_in, account, sent):
    import_id = take_in("phone;name\n+5511912340001;Ana\n+5511912340002;Bo\n")
    messages = sent()
    with db.transaction():
        service.seal()
        cards = service.cards(messages.values())

    assert [card.missing for card in cards] == [(), ()]
    assert sorted(card.agreed.attested.row for card in cards) == [2, 3]
    attested = max((card.agreed.attested for card in cards), key=lambda one: one.row)
    assert attested.import_id == import_id
    assert (attested.file_name, attested.row, attested.by) == (
        "list.csv",
        3,
        "Marina Lopes",
    )
    assert len(attested.file_digest) == 64
    assert attested.text.startswith("I confirm that the people in this list agreed")
    assert attested.version == "2026-11"


def test_a_statement_made_before_texts_were_kept_is_found(take_in, sent, database):
    take_in("phone;name\n+5511912340001;Ana\n")
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM contacts_wording WHERE text LIKE 'I confirm that%'")
        )
    engine.dispose()

    (message_id,) = sent().values()

    assert card_of(message_id).missing == ()


def test_what_was_agreed_to_later_is_not_the_proof(ana, sent):
    message_id = sent()[ana]
    with db.transaction():
        service.opt_in(
            ana, **CONSENT | {"wording": "I want more from Casa Verde by WhatsApp"}
        )

    assert card_of(message_id).agreed.wording == CONSENT["wording"]


def test_who_stopped_since_still_has_the_proof_of_then(ana, sent):
    message_id = sent()[ana]
    with db.transaction():
        service.stop_everything(ana)

    card = card_of(message_id)

    assert (card.missing, card.listed) == ((), False)


BREAKS = {
    "event": "UPDATE message SET consent_id = NULL WHERE id = :m",
    "gives": "UPDATE contacts_consent SET action = 'withdraw' WHERE contact_id = :c",
    "late": "UPDATE contacts_consent SET created_at = now() + interval '1 h'"
    " WHERE contact_id = :c",
    "wording": "UPDATE contacts_consent SET wording_id = NULL WHERE contact_id = :c",
    "source": "UPDATE contacts_consent SET source = '' WHERE contact_id = :c",
    "check": "DELETE FROM attempt WHERE message_id = :m",
    "listed": "INSERT INTO suppression (id, account_id, contact_id, kind, idx, scope, reason,"
    " created_at) SELECT gen_random_uuid(), account_id, contact_id, 'phone', address_idx,"
    " 'marketing', 'stop', now() - interval '1 day' FROM message WHERE id = :m",
}


@pytest.mark.parametrize("what", sorted(BREAKS))
def test_a_card_says_what_is_missing(ana, sent, database, what):
    message_id = sent()[ana]
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        changed = connection.execute(text(BREAKS[what]), {"m": message_id, "c": ana})
        assert changed.rowcount == 1
    engine.dispose()

    card = card_of(message_id)

    assert what in card.missing
    assert not card.complete
    assert what in service.MISSING


def test_a_changed_event_shows_as_broken_on_card_and_pages(ana, sent, database, account):
    """CON-02."""
    message_id = sent()[ana]
    with db.transaction():
        service.seal()
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("UPDATE contacts_consent SET source = 'https://other.example'")
        )
    engine.dispose()

    card = card_of(message_id)
    visitor = Visitor(account)

    assert (card.agreed.seal, card.missing) == ("broken", ("chain",))
    assert (
        "Broken: it is not as it was written"
        in visitor.get(f"/contacts/proof/{message_id}").text
    )
    assert "Broken: changed since it was written" in visitor.get(f"/contacts/{ana}").text
    with db.transaction():
        service.tend()
    assert "The chain of consent is broken" in visitor.get("/contacts/consent").text
    assert "The chain of consent is broken" in visitor.get("/").text


def test_messages_that_need_no_consent_lack_none(ana, sent):
    (message_id,) = sent("utility").values()

    card = card_of(message_id)

    assert (card.needed, card.missing) == (False, ())
    assert card.checked_at is not None


def test_the_page_prints_and_the_file_is_a_receipt(ana, sent, account):
    message_id = sent()[ana]
    visitor = Visitor(account)

    page = visitor.get(f"/contacts/proof/{message_id}")
    file = visitor.get(f"/contacts/proof/{message_id}.json")

    assert page.status_code == 200
    assert CONSENT["wording"] in page.text
    assert "Paper 17, folder B" in page.text
    assert file.mimetype == "application/json"
    said = json.loads(file.text)
    assert said["complete"] is True
    assert said["pii_controller"] == "Casa Verde"
    assert said["notice"]["text"] == CONSENT["wording"]
    assert said["event"]["action"] == "grant"
    assert said["message"]["suppressed_then"] is False
    assert said["message"]["suppression_checked_at"]


def test_cards_need_as_many_queries_for_many_messages(account, sent):
    with db.transaction():
        for n in range(12):
            one = service.add(Details(name=f"P {n}", phone=f"+55119123400{n:02d}"))
            service.opt_in(one.id, **CONSENT)
    messages = list(sent().values())
    assert len(messages) == 12

    def queries(ids):
        seen = []

        def note(_conn, _cursor, statement, *_rest):
            seen.append(statement)

        db.session().expire_all()
        event.listen(db.engine(), "before_cursor_execute", note)
        try:
            with db.transaction():
                assert len(service.cards(ids)) == len(ids)
        finally:
            event.remove(db.engine(), "before_cursor_execute", note)
        return len(seen)

    assert queries(messages) == queries(messages[:1])


def test_a_message_by_a_sign_up_shows_when_they_said_yes(account, sent, run_jobs):
    from clarion.messaging.models import InboundMessage

    with db.transaction() as orm:
        ana = service.add(Details(name="Ana", phone="+5511912340001")).id
        service.opt_in(ana, **CONSENT)
    message_id = sent()[ana]
    with db.transaction() as orm:
        heard = InboundMessage(
            id=db.new_id(), provider_id="wamid.1", address_idx=b"x", kind="text", body=b"",
            sent_at=orm.scalar(select(Consent.created_at)),
        )  # fmt: skip
        orm.add(heard)
        orm.flush()
        newer = Consent(
            id=db.new_id(), contact_id=ana, action="grant", purpose="marketing",
            method="inbound_message", source="Shop", evidence_ref=f"inbound_message:{heard.id}",
            wording_id=orm.scalar(select(Consent.wording_id)),
        )  # fmt: skip
        orm.add(newer)
        orm.flush()
        orm.get(Message, message_id).consent_id = newer.id

    assert card_of(message_id).agreed.evidence_at is not None
