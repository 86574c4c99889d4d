"""What providers say: statuses in any order, STOP before anything else, nothing guessed."""

import itertools
import json

import pytest
from sqlalchemy import delete, func, select, update

from clarion.base import db
from clarion.messaging import (
    channels,
    counts,
    doubts,
    identifiers,
    incoming,
    reconcile,
    references,
    suppression,
)
from clarion.messaging.contract import RawWebhook
from clarion.messaging.models import (
    Attempt,
    Campaign,
    Channel,
    Identifier,
    InboundMessage,
    Message,
    Orphan,
    Sender,
    Suppression,
)
from clarion.work import webhooks
from clarion.work.models import WebhookInbox

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


def reply(text, number, wamid="wamid.in.1", at=1_790_000_000):
    return {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": SENDER},
        "contacts": [{"wa_id": number.lstrip("+"), "profile": {"name": "Ana"}}],
        "messages": [
            {
                "from": number.lstrip("+"),
                "id": wamid,
                "timestamp": str(at),
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


@pytest.mark.parametrize(
    "order_of", itertools.permutations(["sent", "failed", "delivered", "read"])
)
def test_any_order_of_statuses_ends_alike(account, sent, order_of):
    order, _, _, wamid, reference = sent

    for what in order_of:
        failure = {"errors": [{"code": 131026}]} if what == "failed" else {}
        deliver(account, status(wamid, what, reference, **failure))

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


def test_what_nobody_could_match_for_two_weeks_is_forgotten(account, sent, later):
    deliver(account, status("wamid.of.nobody", "delivered"))
    later.forward(days=13.9)
    reconcile.mend()
    with db.transaction():
        assert db.session().scalar(select(func.count()).select_from(Orphan)) == 1

    later.forward(days=0.2)
    reconcile.mend()

    with db.transaction():
        assert db.session().scalar(select(func.count()).select_from(Orphan)) == 0


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


@pytest.mark.parametrize("words", itertools.permutations(["STOP", "START", "STOP "]))
def test_stop_and_start_count_in_the_order_they_were_written(account, sent, words):
    """However they arrive: the last word, by the provider's time, is STOP."""
    _, _, number, *_ = sent
    written = {"STOP": 1_790_000_001, "START": 1_790_000_002, "STOP ": 1_790_000_003}

    for word in words:
        said = reply(word, number, wamid=f"wamid.in.{written[word]}", at=written[word])
        deliver(account, said)

    with db.transaction():
        assert suppression.is_suppressed("phone", number)


def test_a_start_that_overtook_the_stop_before_it_stays(account, sent):
    _, _, number, *_ = sent

    deliver(account, reply("START", number, wamid="wamid.in.2", at=1_790_000_009))
    deliver(account, reply("STOP", number))

    with db.transaction():
        assert not suppression.is_suppressed("phone", number)


def test_a_start_told_again_lifts_nothing(account, sent):
    """Another webhook with the same message in it: the person has said STOP since."""
    _, _, number, *_ = sent
    start = reply("START", number, wamid="wamid.in.1")
    deliver(account, start)
    deliver(account, reply("STOP", number, wamid="wamid.in.2", at=1_790_000_000))

    with db.transaction() as orm:  # as if the raw event were purged
        orm.execute(delete(WebhookInbox))
    assert deliver(account, start) == 1

    with db.transaction():
        assert suppression.is_suppressed("phone", number)


def test_start_lifts_only_what_the_person_stopped(account, sent):
    _, _, number, *_ = sent
    deliver(account, reply("STOP", number))

    deliver(account, reply("START", number, wamid="wamid.in.2", at=1_790_000_001))

    with db.transaction():
        assert not suppression.is_suppressed("phone", number)
        suppression.suppress([("phone", number)], reason="complaint")
    deliver(account, reply("START", number, wamid="wamid.in.3", at=1_790_000_002))
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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"type": "button", "button": {"payload": "STOP", "text": "No more offers"}},
            "stop",
        ),
        (
            {"type": "button", "button": {"payload": "CLARION_STOP", "text": "No, thanks"}},
            "stop",
        ),
        (
            {
                "type": "interactive",
                "interactive": {
                    "type": "button_reply",
                    "button_reply": {"id": "clarion_stop", "title": "No, thanks"},
                },
            },
            "stop",
        ),
        ({"type": "button", "button": {"payload": "offer_7", "text": "Tell me more"}}, ""),
    ],
)
def test_a_button_stops_by_what_it_carries(account, sent, content, said):
    _, _, number, *_ = sent
    value = reply("", number)
    value["messages"][0] = {
        key: one for key, one in value["messages"][0].items() if key not in ("text", "type")
    } | content

    deliver(account, value)

    with db.transaction() as orm:
        assert suppression.is_suppressed("phone", number) is (said == "stop")
        assert orm.scalars(select(InboundMessage.meaning)).all() == [said]


@pytest.mark.parametrize(
    ("code", "scope", "reason"),
    [(131050, "marketing", "provider_stop"), (130403, "all", "block")],
)
def test_what_the_provider_refuses_for_good_is_on_the_list(
    account, sent, code, scope, reason
):
    _, _, number, wamid, reference = sent

    deliver(
        account, status(wamid, "failed", reference, errors=[{"code": code, "title": "no"}])
    )

    with db.transaction() as orm:
        told = orm.execute(select(Suppression.scope, Suppression.reason)).all()
        assert {tuple(row) for row in told} == {(scope, reason)}
        assert suppression.is_suppressed("phone", number)
        suppression.resume([("phone", number)], lifts=("provider_stop",))
        assert suppression.is_suppressed("phone", number) is (reason == "block")


def test_an_event_about_an_erased_person_makes_nothing_of_them(account, sent):
    """Identifiers gone, the row anonymous: the status is counted, nobody comes back."""
    order, contact, number, wamid, reference = sent
    with db.transaction() as orm:
        identifiers.forget([contact])
        orm.execute(update(Message).values(address="", address_idx=b"", variables={}))

    for word in ("delivered", "read"):
        more = {"recipient_id": number.lstrip("+")}
        assert deliver(account, status(wamid, word, reference, **more)) == 1

    assert state(order) == {"read": 1}
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Identifier)) == 0
        assert orm.scalar(select(func.count()).select_from(InboundMessage)) == 0
        assert orm.scalars(select(Message.address)).all() == [""]
        assert identifiers.find("phone", number) is None


def test_a_halting_failure_pauses_once_however_often_it_is_told(account, sent):
    _, _, _, wamid, reference = sent
    failure = status(wamid, "failed", reference, errors=[{"code": 131048}])
    with db.transaction() as orm:
        orm.execute(update(Campaign).values(state="running"))

    deliver(account, failure)
    with db.transaction() as orm:
        assert orm.scalar(select(Sender.state)) == "paused"
        assert orm.scalar(select(Campaign.state)) == "pausing"
        orm.execute(update(Sender).values(state="active"))  # a person resumed it
        orm.execute(update(Campaign).values(state="running"))
        orm.execute(delete(WebhookInbox))
    assert deliver(account, failure) == 1

    with db.transaction() as orm:
        assert orm.scalar(select(Sender.state)) == "active"
        assert orm.scalar(select(Campaign.state)) == "running"


# --- the one answer to a STOP


@pytest.fixture
def today():
    """The provider's time of what is written now."""
    with db.transaction():
        return int(db.session().scalar(select(func.extract("epoch", func.clarion_now()))))


def answers(simulator):
    return [
        (one["to"], one["text"]) for one in simulator.receipts() if one["type"] == "text"
    ]


@pytest.mark.parametrize("words", ["STOP", "stop please"])
def test_a_stop_is_answered_once(account, sent, run_jobs, simulator, today, words):
    _, _, number, *_ = sent

    for n in range(3):
        deliver(account, reply(words, number, wamid=f"wamid.in.{n}", at=today + n))
        run_jobs()

    [(to, text)] = answers(simulator)
    assert to.lstrip("+") == number.lstrip("+")
    assert text.startswith("You will get no more offers from")
    assert "START" in text


def test_the_answer_is_in_the_language_of_the_word(
    account, sent, run_jobs, simulator, today
):
    _, _, number, *_ = sent

    deliver(account, reply("Abmelden", number, at=today))
    run_jobs()

    assert [text[:10] for _to, text in answers(simulator)] == ["Sie bekomm"]


@pytest.mark.parametrize(
    ("words", "from_now"),
    [("I never stop reading this", 0), ("START", 0), ("STOP", -90_000)],
    ids=["doubtful", "start", "yesterday's"],
)
def test_nothing_else_is_answered(
    account, sent, run_jobs, simulator, today, words, from_now
):
    _, _, number, *_ = sent

    deliver(account, reply(words, number, at=today + from_now))
    run_jobs()

    assert len(simulator.receipts()) == 1
    assert answers(simulator) == []


def test_a_stop_of_a_stranger_is_not_answered(account, sent, run_jobs, simulator, today):
    deliver(account, reply("STOP", "+5511977777777", at=today))
    run_jobs()

    assert answers(simulator) == []


def test_who_comes_back_and_stops_again_gets_one_a_day(
    account, sent, run_jobs, simulator, today
):
    _, _, number, *_ = sent
    words = ["STOP", "START", "STOP"]
    for n, said in enumerate(words):
        deliver(account, reply(said, number, wamid=f"wamid.in.{n}", at=today + n))
        run_jobs()
    assert len(answers(simulator)) == 1


def test_an_answer_is_nobodys_campaign(account, sent, run_jobs, today):
    order, contact, number, *_ = sent

    deliver(account, reply("STOP", number, at=today))
    run_jobs()

    with db.transaction():
        told = db.session().execute(
            select(Message.state, Message.purpose, Message.lane, Campaign.name)
            .join(Campaign, Campaign.id == Message.campaign_id)
            .where(Message.contact_id == contact, Message.campaign_id != order)
        )
        assert [tuple(row) for row in told] == [
            ("accepted", "service", 2, "Answers to STOP")
        ]


def test_after_a_restore_an_answer_that_waits_is_given_up(account, sent, today, simulator):
    _, contact, number, *_ = sent
    deliver(account, reply("STOP", number, at=today))  # nobody has heard the bell yet

    with db.transaction():
        doubts.hold()

    waits = select(Message.state, Message.reason).where(
        Message.contact_id == contact, Message.purpose == "service"
    )
    paused = select(Campaign.id).where(Campaign.state_reason == doubts.RESTORED)
    with db.transaction() as orm:
        assert [tuple(row) for row in orm.execute(waits)] == [("expired", "not_started")]
        assert orm.scalars(paused).all() == []
