"""The real transport and client against the running simulator; receipts are the judge."""

import asyncio
import hashlib
import hmac
from dataclasses import replace
from uuid import uuid4

import pytest

from clarion.base.http import Client, NotSent
from clarion.messaging.contract import (
    UNLIMITED,
    Accepted,
    Busy,
    Forged,
    Halted,
    Limits,
    Message,
    Notice,
    Part,
    RawWebhook,
    Rejected,
    TemplateButton,
    TemplateText,
    TemplateUse,
)
from clarion_whatsapp_cloud.tests.kit import SENDER, WABA, channel, offer, text
from clarion_whatsapp_cloud.transport import Unclear, WhatsAppCloud

TO = "+919876543210"


# --- sending


def test_a_message_arrives_with_everything_filled_in(simulator, send):
    accepted = send(offer(TO, "clarion.0197.1"))

    (receipt,) = simulator.receipts()
    assert accepted == Accepted(receipt["wamid"])
    assert receipt["to"] == TO
    assert receipt["sender"] == SENDER
    assert receipt["waba"] == WABA
    assert receipt["template"] == "offer"
    assert receipt["reference"] == "clarion.0197.1"
    assert receipt["params"] == {
        "header": {"who": "friends"},
        "body": {"first_name": "Asha", "percent": "20 %"},
        "button0": {"1": "spring"},
        "button1": {"payload": "stop-promotions"},
    }
    assert receipt["delivered"] is True


def test_a_positional_template_arrives(simulator, send):
    body = Part("body", {"1": "Asha", "2": "Monday"})
    template = TemplateUse("reminder", "en_US", (body,), "positional")
    send(Message(uuid4(), "r", SENDER, TO, template=template))

    assert simulator.receipts()[0]["params"] == {"body": {"1": "Asha", "2": "Monday"}}


def test_a_user_id_is_reached(simulator, send):
    user = "US.13491208655302741918"
    send(offer(user, to_kind="bsuid"))

    assert simulator.receipts()[0]["to"] == user


def test_a_text_arrives_after_the_person_wrote(simulator, send):
    simulator.ask("/_sim/inbound", {"from": TO, "to": SENDER, "text": "hi"})
    send(text(TO, "Thank you 🙏"))

    (receipt,) = simulator.receipts()
    assert (receipt["text"], receipt["delivered"]) == ("Thank you 🙏", True)


def test_a_held_message_is_accepted_and_held(simulator, send):
    simulator.rule({"answer": "held"})

    assert send(offer(TO)).held is True
    assert len(simulator.receipts()) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (131026, Rejected),
        (131050, Rejected),
        (132015, Halted),
        (131048, Halted),
        (190, Halted),
    ],
)
def test_a_refusal_is_a_verdict_and_nothing_arrives(simulator, send, code, kind):
    simulator.rule({"answer": "refuse", "code": code}, to=TO)

    with pytest.raises(kind) as refused:
        send(offer(TO))

    assert refused.value.code == str(code)
    assert simulator.receipts() == []

    send(offer("+919876543211"))  # somebody else is reached
    assert len(simulator.receipts()) == 1


def test_too_many_per_second_is_busy(simulator, send):
    simulator.rule({"rate": 2, "retry_after": 7})
    send(offer(TO), offer(TO))

    with pytest.raises(Busy) as busy:
        send(offer(TO))

    assert (busy.value.scope, busy.value.retry_after) == ("sender", 7)
    assert len(simulator.receipts()) == 2


@pytest.mark.parametrize(
    ("fate", "arrived"),
    [
        ({"answer": "no_id"}, 1),
        ({"answer": "error"}, 0),
        ({"answer": "error_accepted"}, 1),
        ({"answer": "error", "code": 131000}, 0),
        ({"answer": "error_accepted", "code": 131016}, 1),
        ({"answer": "reset"}, 0),
        ({"answer": "reset_accepted"}, 1),
        ({"answer": "hang"}, 0),
        ({"answer": "hang_accepted"}, 1),
        ({"answer_delay_ms": 3000}, 1),
    ],
)
def test_when_nobody_can_know_it_is_neither_a_verdict_nor_not_sent(
    simulator, send, fate, arrived
):
    simulator.rule(fate)

    with pytest.raises(Exception) as unknown:
        send(offer(TO), timeout=2.0)  # half of it for the connection, on a busy machine

    assert not isinstance(unknown.value, NotSent | Rejected | Busy | Halted)
    assert len(simulator.receipts()) == arrived


def test_a_slow_answer_is_still_an_answer(simulator, send):
    simulator.rule({"delay_ms": 200, "answer_delay_ms": 200})

    assert send(offer(TO)).provider_id == simulator.receipts()[0]["wamid"]


def test_nothing_listens(simulator, send):
    async def main():
        async with Client((), ("127.0.0.1:1",)) as http:
            await WhatsAppCloud().send(channel("http://127.0.0.1:1"), offer(TO), http)

    with pytest.raises(NotSent):
        asyncio.run(main())


def test_a_wrong_token_halts_the_channel(simulator, send):
    with pytest.raises(Halted) as halted:
        send(offer(TO), access_token="EAAother")

    assert (halted.value.scope, halted.value.reason) == ("channel", "token_invalid")
    assert simulator.receipts() == []


@pytest.mark.parametrize("token", ["", "two\r\nlines", "späce", "a b"])
def test_a_token_that_is_none_never_leaves(simulator, send, token):
    with pytest.raises(Halted) as halted:
        send(offer(TO), access_token=token)

    assert halted.value.reason == "token_invalid"
    assert simulator.ask("/_sim/stats")["messages"].get("requests", 0) == 0


def test_an_unknown_template_halts_it(simulator, send):
    message = Message(uuid4(), "r", SENDER, TO, template=TemplateUse("nowhere", "en"))

    with pytest.raises(Halted) as halted:
        send(message)

    assert (halted.value.scope, halted.value.code) == ("template", "132001")


def test_a_forgotten_variable_is_bad_content(simulator, send):
    parts = (Part("header", {"who": "x"}), Part("body", {"first_name": "Asha"}))
    message = Message(uuid4(), "r", SENDER, TO, template=TemplateUse("offer", "en", parts))

    with pytest.raises(Rejected) as refused:
        send(message)

    assert (refused.value.reason, refused.value.code) == ("bad_content", "132000")


def test_many_at_once(simulator):
    people = [f"+9198765{n:05}" for n in range(300)]

    async def main():
        where = channel(simulator.url)
        async with Client((), (f"127.0.0.1:{simulator.port}",), limit=50) as http:
            calls = [WhatsAppCloud().send(where, offer(to, to[1:]), http) for to in people]
            return await asyncio.gather(*calls)

    accepted = asyncio.run(main())

    receipts = {each["to"]: each["wamid"] for each in simulator.receipts()}
    assert receipts == {
        to: each.provider_id for to, each in zip(people, accepted, strict=True)
    }


# --- checking a number


def check(simulator, sender, **secrets):
    async def main():
        where = channel(simulator.url, **secrets)
        async with Client((), (f"127.0.0.1:{simulator.port}",)) as http:
            return await WhatsAppCloud().check(where, sender, http)

    return asyncio.run(main())


def test_a_number_is_described(simulator):
    simulator.ask(
        "/_sim/phones", {"id": "77", "display": "+15550001", "name": "Lucky Shrub"}
    )
    found = check(simulator, "77")

    assert found == {
        "name": "Lucky Shrub",
        "phone": "+15550001",
        "quality": "green",
        "name_status": "approved",
        "verification": "verified",
        "throughput": "high",
        "limit": "TIER_UNLIMITED",
        "limits": Limits("77", 1000, UNLIMITED, "business:8800100000000000001"),
    }


def test_limits_are_read_and_a_foreign_account_is_not_believed(simulator):
    fields = {
        "throughput": {"level": "STANDARD"},
        "whatsapp_business_manager_messaging_limit": "TIER_2K",
    }
    simulator.ask("/_sim/phones", {"id": "78", "waba": "1234", "fields": fields})

    assert check(simulator, "78")["limits"] == Limits("78", 80, 2_000, "")


def test_a_number_cannot_be_described_with_a_wrong_token(simulator):
    with pytest.raises(Halted):
        check(simulator, "77", access_token="other")


@pytest.mark.parametrize("sender", ["", "../77", "77?fields=id&x=", "77/messages"])
def test_what_is_no_number_leads_nowhere_else(simulator, sender):
    with pytest.raises((Rejected, Unclear)):
        check(simulator, sender)


# --- templates


SALE = TemplateText(
    name="sale",
    language="en",
    category="utility",
    header="For {{who}}",
    body="Hello {{first_name}}, a discount of {{percent}} today!",
    footer="Reply STOP to end this",
    buttons=(
        TemplateButton("url", "Shop", "https://shop.example/{{path}}"),
        TemplateButton("quick_reply", "Stop promotions"),
    ),
    samples={"who": "friends", "first_name": "Asha", "percent": "20 %", "path": "spring"},
)


def ask(simulator, act, base_url=None, **config):
    async def main():
        where = channel(base_url or simulator.url)
        where = replace(where, config={**where.config, **config})
        async with Client((), (f"127.0.0.1:{simulator.port}",)) as http:
            return await act(WhatsAppCloud(), where, http)

    return asyncio.run(main())


def submit(simulator, template, **config):
    return ask(simulator, lambda t, c, h: t.submit_template(c, template, h), **config)


def status(simulator, name, language="en"):
    return ask(simulator, lambda t, c, h: t.template_status(c, name, language, h))


def test_a_template_is_handed_in_judged_and_found(simulator, receiver):
    handed_in = submit(simulator, SALE)
    receiver.expect(Notice, 1)
    found = status(simulator, "sale")

    assert (handed_in.status, handed_in.category) == ("in_review", "utility")
    assert found.provider_id == handed_in.provider_id
    assert found.status == "approved"
    assert found.category == "marketing"  # the provider saw what it is
    assert found.body == SALE.body


def test_a_template_that_was_handed_in_can_be_sent(simulator, receiver, send):
    submit(simulator, SALE)
    receiver.expect(Notice, 1)
    template = replace(offer(TO).template, name="sale")
    send(replace(offer(TO), template=template))

    assert simulator.receipts()[0]["template"] == "sale"


def test_a_rejected_template_says_why(simulator, receiver):
    submit(simulator, replace(SALE, name="to_reject"))
    receiver.expect(Notice, 1)
    found = status(simulator, "to_reject")

    assert (found.status, found.reason) == ("rejected", "INVALID_FORMAT")


def test_a_template_nobody_handed_in_is_not_there(simulator):
    assert status(simulator, "offer", "fr") is None
    assert status(simulator, "nowhere") is None


def test_an_impossible_template_is_refused_with_the_providers_sentence(simulator):
    with pytest.raises(Rejected) as refused:
        submit(simulator, replace(SALE, body="{{first_name}} comes first"))

    assert refused.value.reason == "bad_content"
    assert "start or end" in refused.value.detail


def test_templates_need_a_business_account(simulator):
    with pytest.raises(Halted) as halted:
        submit(simulator, SALE, waba_id=" ")

    assert halted.value.reason == "waba_missing"


def test_a_template_list_that_is_none_is_unclear(simulator):
    with pytest.raises(Unclear):
        ask(
            simulator,
            lambda t, c, h: t.template_status(c, "offer", "en", h),
            base_url=simulator.url + "/_sim",
        )


# --- signatures


BODY = b'{"object":"whatsapp_business_account","entry":[]}'
SIGNED = "sha256=" + hmac.new(b"app-secret", BODY, hashlib.sha256).hexdigest()


def test_the_exact_signature_is_believed():
    WhatsAppCloud().verify(channel(""), RawWebhook(BODY, {"x-hub-signature-256": SIGNED}))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY + b" ", {"x-hub-signature-256": SIGNED}),
        (BODY.replace(b"[]", b"[ ]"), {"x-hub-signature-256": SIGNED}),
        (b"", {"x-hub-signature-256": SIGNED}),
        (BODY, {}),
        (BODY, {"x-hub-signature-256": ""}),
        (BODY, {"x-hub-signature-256": SIGNED[:-1]}),
        (BODY, {"x-hub-signature-256": SIGNED + "0"}),
        (BODY, {"x-hub-signature-256": SIGNED.upper()}),
        (BODY, {"x-hub-signature-256": " " + SIGNED}),
        (BODY, {"x-hub-signature-256": SIGNED.removeprefix("sha256=")}),
        (BODY, {"x-hub-signature-256": "sha1=" + SIGNED[7:]}),
        (BODY, {"x-hub-signature-256": "sha256=" + "ü" * 64}),
        (BODY, {"x-hub-signature-256": "sha256=" + "\udcff" * 64}),
        (BODY, {"x-hub-signature": SIGNED}),
    ],
)
def test_every_deviation_is_forged(body, headers):
    with pytest.raises(Forged):
        WhatsAppCloud().verify(channel(""), RawWebhook(body, headers))


@pytest.mark.parametrize("secret", ["", "app-secret2", "App-secret"])
def test_another_secret_is_forged(secret):
    raw = RawWebhook(BODY, {"x-hub-signature-256": SIGNED})

    with pytest.raises(Forged):
        WhatsAppCloud().verify(channel("", app_secret=secret), raw)


def test_an_empty_secret_believes_nothing():
    signed = "sha256=" + hmac.new(b"", BODY, hashlib.sha256).hexdigest()

    with pytest.raises(Forged):
        WhatsAppCloud().verify(
            channel("", app_secret=""), RawWebhook(BODY, {"x-hub-signature-256": signed})
        )


HANDSHAKE = {
    "hub.mode": "subscribe",
    "hub.verify_token": "verify-me",
    "hub.challenge": "1158201444",
}


def test_the_handshake_is_answered():
    assert WhatsAppCloud().challenge(channel(""), HANDSHAKE) == "1158201444"


@pytest.mark.parametrize(
    "change",
    [
        {"hub.mode": "unsubscribe"},
        {"hub.mode": ""},
        {"hub.verify_token": "verify-me2"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "vérify-me"},
    ],
)
def test_a_strange_handshake_is_forged(change):
    with pytest.raises(Forged):
        WhatsAppCloud().challenge(channel(""), HANDSHAKE | change)


def test_a_handshake_without_a_token_of_ours_is_forged():
    with pytest.raises(Forged):
        WhatsAppCloud().challenge(
            channel("", verify_token=""), HANDSHAKE | {"hub.verify_token": ""}
        )
