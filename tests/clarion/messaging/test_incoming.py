"""What providers say: statuses in any order, STOP before anything else, nothing guessed."""

import itertools
import json

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.messaging import channels, counts, incoming, references, suppression
from clarion.messaging.contract import RawWebhook
from clarion.messaging.models import Attempt, Channel, InboundMessage, Orphan
from clarion.work import webhooks

SENDER = "5550147"


def deliver(account, *values):
    """Store and apply a webhook with these values, as the intake would."""
    entry = [{"id": "9900", "changes": [{"field": "messages", "value": v} for v in values]}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()
    with db.transaction():
        channel = db.session().scalar(select(Channel))
    transport = channels.transports()["whatsapp_cloud"]
    pieces = list(transport.split(RawWebhook(body, {})))
    new = webhooks.receive("messaging", account.id, channel.id, pieces)
    webhooks.apply_now(account.id)
    return new


def status(wamid, what, reference=None, at=1_790_000_000, **more):
    one = {"id": wamid, "status": what, "timestamp": str(at), "recipient_id": "x", **more}
    if reference:
        one["biz_opaque_callback_data"] = reference
    return {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": SENDER},
        "statuses": [one],
    }


def reply(text, number, wamid="wamid.in.1"):
    return {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": SENDER},
        "contacts": [{"wa_id": number.lstrip("+"), "profile": {"name": "Ana"}}],
        "messages": [
            {
                "from": number.lstrip("+"),
                "id": wamid,
                "timestamp": "1790000000",
                "type": "text",
                "text": {"body": text},
            }
        ],
    }


@pytest.fixture
def sent(account, make_order, run_jobs):
    """One message that was accepted; (order, contact, number, provider id, reference)."""
    order, people = make_order.start(1)
    run_jobs()
    with db.transaction():
        one = db.session().scalars(select(Attempt)).one()
    reference = references.reference(one.message_id, one.number)
    return order, people[0][0], people[0][1], one.provider_id, reference


def state(order):
    with db.transaction():
        return counts.tally(order)


@pytest.mark.parametrize("order_of", itertools.permutations(["sent", "delivered", "read"]))
def test_any_order_of_statuses_ends_alike(account, sent, order_of):
    order, _, _, wamid, reference = sent

    for what in order_of:
        deliver(account, status(wamid, what, reference))

    assert state(order) == {"read": 1}


def test_failed_after_delivered_changes_nothing(account, sent):
    order, _, _, wamid, reference = sent
    deliver(account, status(wamid, "delivered", reference))

    deliver(account, status(wamid, "failed", reference, errors=[{"code": 131026}]))

    assert state(order) == {"delivered": 1}


def test_the_same_webhook_twice_is_applied_once(account, sent):
    _, _, _, wamid, reference = sent

    assert deliver(account, status(wamid, "sent", reference)) == 1
    assert deliver(account, status(wamid, "sent", reference)) == 0


def test_a_status_without_our_token_is_matched_by_the_provider_id(account, sent):
    order, _, _, wamid, _ = sent

    deliver(account, status(wamid, "delivered"))

    assert state(order) == {"delivered": 1}


def test_a_status_nobody_can_match_is_kept_aside(account, sent):
    order, *_ = sent

    deliver(account, status("wamid.unknown", "delivered"))

    assert state(order) == {"accepted": 1}
    with db.transaction():
        assert db.session().scalars(select(Orphan.provider_id)).all() == ["wamid.unknown"]


def test_a_foreign_token_is_not_believed(account, sent):
    order, _, _, _, reference = sent
    foreign = "000000000000." + reference.partition(".")[2]

    deliver(account, status("wamid.other", "read", foreign))

    assert state(order) == {"accepted": 1}


def test_an_early_status_is_adopted_once_the_answer_is_written(account, sent):
    order, _, _, wamid, _ = sent
    with db.transaction():
        one = db.session().scalars(select(Attempt)).one()
        one.provider_id = None
    deliver(account, status(wamid, "delivered"))
    with db.transaction():
        db.session().scalars(select(Attempt)).one().provider_id = wamid

    with db.transaction():
        assert incoming.adopt_orphans() == 1

    assert state(order) == {"delivered": 1}


def test_stop_silences_the_person_at_once(account, sent, make_order, run_jobs, simulator):
    _, contact, number, *_ = sent

    deliver(account, reply("STOP", number))

    second, _ = make_order.start([(contact, number, "")], attach=False)
    run_jobs()
    assert state(second) == {"suppressed": 1}
    assert len(simulator.receipts()) == 1


def test_stop_is_not_lost_when_it_comes_with_a_broken_event(account, sent):
    _, _, number, *_ = sent

    deliver(account, {"statuses": "nonsense"}, reply("Parar", number))

    with db.transaction():
        assert suppression.is_suppressed("phone", number)


def test_start_lifts_only_what_the_person_stopped(account, sent):
    _, _, number, *_ = sent
    deliver(account, reply("STOP", number))

    deliver(account, reply("START", number, wamid="wamid.in.2"))

    with db.transaction():
        assert not suppression.is_suppressed("phone", number)
        suppression.suppress([("phone", number)], reason="complaint")
    deliver(account, reply("START", number, wamid="wamid.in.3"))
    with db.transaction():
        assert suppression.is_suppressed("phone", number)


def test_a_doubtful_stop_pauses_for_a_day(account, sent):
    _, _, number, *_ = sent

    deliver(account, reply("please stop sending me the blue ones, I like green", number))

    with db.transaction():
        stored = db.session().scalars(select(InboundMessage.meaning)).one()
    assert stored == "maybe"


def test_a_stop_of_a_stranger_is_kept(account, sent, make_order, run_jobs):
    deliver(account, reply("STOP", "+5511977777777"))

    order, _ = make_order.start([(db.new_id(), "+5511977777777", "")])
    run_jobs()

    assert state(order) == {"suppressed": 1}


def test_the_provider_stop_event_silences(account, sent):
    order, _, number, wamid, reference = sent

    deliver(account, status(wamid, "failed", reference, errors=[{"code": 131050}]))

    assert state(order) == {"failed": 1}
    with db.transaction():
        assert suppression.is_suppressed("phone", number)
