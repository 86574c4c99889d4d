"""The simulator does what it promises: webhooks, fates, receipts, templates, its page."""

import json
import time
import urllib.request
from collections import Counter

import pytest

from clarion.messaging.contract import (
    Inbound,
    Notice,
    Preference,
    Rejected,
    StatusUpdate,
)
from clarion_whatsapp_cloud.tests.kit import (
    OFFER,
    SECRETS,
    SENDER,
    WABA,
    Simulator,
    offer,
    receiving,
    text,
)

TO = "+919876543210"


def people(count: int) -> list[str]:
    return [f"+9198765{n:05}" for n in range(count)]


def _quiet(simulator) -> None:
    """Wait until nothing is on its way: something could have come and did not."""
    while simulator.ask("/_sim/stats")["pending"]:
        time.sleep(0.02)


# --- status webhooks


def test_statuses_come_signed_with_our_token_and_a_price(simulator, receiver, send):
    accepted = send(offer(TO, "clarion.0197.1"))
    found = receiver.expect(StatusUpdate, 2)

    by_status = {each.status: each for each in found}
    assert {each.provider_id for each in found} == {accepted.provider_id}
    assert {each.reference for each in found} == {"clarion.0197.1"}
    assert by_status["delivered"].pricing["category"] == "marketing"
    assert by_status["sent"].recipients == (("wa_id", "919876543210"),)


def test_statuses_to_a_user_id_name_no_phone(simulator, receiver, send):
    user = "US.13491208655302741918"
    send(offer(user, to_kind="bsuid"))

    assert receiver.expect(StatusUpdate, 1)[0].recipients == (("bsuid", user),)


def test_statuses_are_batched_and_most_messages_are_read(simulator, receiver, send):
    send(*(offer(to) for to in people(60)))
    _quiet(simulator)

    count = Counter(each.status for each in receiver.updates(StatusUpdate))
    assert (count["sent"], count["delivered"]) == (60, 60)
    assert 30 < count["read"] < 56
    assert len(receiver.got) < count.total()


def test_a_message_can_fail_later(simulator, receiver, send):
    simulator.rule({"statuses": {"fail": 131049}})
    send(offer(TO, "i.m.1"))
    (failed,) = receiver.expect(StatusUpdate, 1)

    assert (failed.status, failed.reference, failed.code) == ("failed", "i.m.1", "131049")
    assert isinstance(failed.verdict, Rejected)
    assert failed.verdict.reason == "per_user_limit"
    assert simulator.receipts()[0]["delivered"] is False


def test_a_text_outside_the_window_fails_later(simulator, receiver, send):
    send(text(TO))
    (failed,) = receiver.expect(StatusUpdate, 1)

    assert failed.verdict.reason == "window_closed"


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"never": True}, []),
        ({"only": ["delivered"]}, ["delivered"]),
        ({"only": ["read"]}, ["read"]),
        ({"times": 3, "only": ["sent"]}, ["sent", "sent", "sent"]),
        ({"late_ms": 300, "only": ["sent"]}, ["sent"]),
        ({"shuffle": True, "only": ["sent", "delivered"]}, ["delivered", "sent"]),
    ],
)
def test_statuses_can_be_withheld_repeated_delayed_and_shuffled(
    simulator, receiver, send, plan, expected
):
    simulator.rule({"statuses": plan})
    send(offer(TO))
    if expected:
        receiver.expect(StatusUpdate, len(expected))
    _quiet(simulator)

    assert sorted(each.status for each in receiver.updates(StatusUpdate)) == expected


def test_statuses_can_be_held_until_released(simulator, receiver, send):
    simulator.rule({"statuses": {"hold": True, "only": ["sent", "delivered"]}})
    send(offer(TO))

    assert receiver.updates() == []
    assert simulator.ask("/_sim/release", {}) == {"released": 2}
    assert len(receiver.expect(StatusUpdate, 2)) == 2


def test_statuses_can_overtake_the_answer(simulator, receiver, send):
    simulator.rule({"answer_delay_ms": 600})
    accepted = send(offer(TO))

    assert receiver.updates(StatusUpdate)[0].provider_id == accepted.provider_id


def test_statuses_come_also_when_the_answer_was_lost(simulator, receiver, send):
    simulator.rule({"answer": "reset_accepted"})
    with pytest.raises(OSError):
        send(offer(TO, "i.m.9"))

    assert receiver.expect(StatusUpdate, 1)[0].reference == "i.m.9"


def test_a_webhook_is_sent_again_until_it_is_taken(simulator, receiver, send):
    receiver.refuse = 3
    simulator.rule({"statuses": {"only": ["sent"]}})
    send(offer(TO))
    receiver.expect(StatusUpdate, 1)

    assert [raw.body for raw in receiver.refused] == [receiver.got[0].body] * 3
    assert simulator.ask("/_sim/stats")["webhooks"]["answered_503"] == 3


# --- what people do


def test_a_person_writes(simulator, receiver):
    said = simulator.ask(
        "/_sim/inbound", {"from": TO, "to": SENDER, "text": "STOP", "name": "Asha ✨"}
    )
    (inbound,) = receiver.expect(Inbound, 1)

    assert inbound.provider_id == said["id"]
    assert inbound.sender == SENDER
    assert inbound.text == "STOP"
    assert inbound.profile_name == "Asha ✨"
    assert ("phone", TO) in inbound.identifiers


def test_a_person_presses_a_button_of_a_message(simulator, receiver, send):
    wamid = send(offer(TO)).provider_id
    pressed = {"from": TO, "button": "Stop promotions", "reply_to": wamid}
    simulator.ask("/_sim/inbound", pressed)
    (inbound,) = receiver.expect(Inbound, 1)

    assert (inbound.kind, inbound.payload) == ("button", "stop-promotions")
    assert (inbound.sender, inbound.reply_to) == (SENDER, wamid)


def test_a_person_without_a_number_writes(simulator, receiver):
    user = "IN.13491208655302741918"
    simulator.ask("/_sim/inbound", {"user_id": user, "to": SENDER, "text": "hi"})

    assert receiver.expect(Inbound, 1)[0].identifiers == (("bsuid", user),)


def test_a_person_stops_marketing_in_whatsapp(simulator, receiver, send):
    simulator.ask("/_sim/preference", {"from": TO, "to": SENDER, "wants": "stop"})

    assert receiver.expect(Preference, 1)[0].wants == "stop"
    with pytest.raises(Rejected) as refused:
        send(offer(TO))
    assert refused.value.suppress == "marketing"

    simulator.ask("/_sim/preference", {"from": TO, "to": SENDER, "wants": "resume"})
    send(offer(TO))
    assert len(simulator.receipts()) == 1


def test_any_event_can_be_sent(simulator, receiver):
    value = {"event": "FLAGGED", "display_phone_number": "1", "current_limit": "TIER_10K"}
    simulator.ask("/_sim/event", {"field": "phone_number_quality_update", "value": value})

    assert receiver.expect(Notice, 1)[0].event == "FLAGGED"


def test_a_number_can_have_its_own_callback(simulator, receiver, send):
    with receiving() as other:
        told = simulator.ask(
            "/_sim/callback", {"url": other.url, "for": "42", "app_secret": "app-secret"}
        )
        assert told["verified"] is True
        simulator.ask("/_sim/inbound", {"from": TO, "to": "42", "text": "for the other"})
        other.expect(Inbound, 1)
        simulator.graph("/42", {"webhook_configuration": {}})
        simulator.ask("/_sim/inbound", {"from": TO, "to": "42", "text": "for us"})

        assert receiver.expect(Inbound, 1)[0].text == "for us"


# --- rules


def test_rules_meet_only_whom_they_name(simulator, send):
    simulator.rule({"answer": "refuse", "code": 131026}, suffix="99", times=1)
    send(offer("+919876543200"))

    with pytest.raises(Rejected):
        send(offer("+919876543299"))
    send(offer("+919876543299"))
    assert len(simulator.receipts()) == 2


@pytest.mark.parametrize(
    "rule",
    [
        {"fate": {"answer": "explode"}},
        {"fate": {"answer": "refuse"}},
        {"fate": {"colour": "red"}},
        {"match": {"mood": "bad"}, "fate": {}},
        {"fate": {"statuses": {"loud": True}}},
        "nonsense",
    ],
)
def test_a_rule_nobody_understands_is_refused(simulator, rule):
    assert "error" in simulator.ask("/_sim/rules", {"rules": [rule]})


# --- the API refuses like the real one


def post(simulator, **changes):
    body = {
        "messaging_product": "whatsapp",
        "to": TO,
        "type": "text",
        "text": {"body": "x"},
    }
    body = {name: value for name, value in (body | changes).items() if value is not None}
    return simulator.graph(f"/{SENDER}/messages", body)["error"]["code"]


def _template(**changes) -> dict:
    filled = {
        "name": "reminder",
        "language": {"code": "en_US"},
        "components": [
            {"type": "body", "parameters": [{"type": "text", "text": t} for t in "ab"]}
        ],
    }
    return {"type": "template", "text": None, "template": filled | changes}


def _body(*parameters) -> list:
    return [{"type": "body", "parameters": list(parameters)}]


ONE = {"type": "text", "text": "a"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"messaging_product": None}, 100),
        ({"colour": "red"}, 100),
        ({"type": "telepathy"}, 100),
        ({"to": None}, 100),
        ({"to": "nobody"}, 131009),
        ({"to": None, "recipient": "nobody"}, 131009),
        ({"text": {}}, 131008),
        ({"text": {"body": "x" * 4097}}, 100),
        ({"biz_opaque_callback_data": "x" * 513}, 100),
        (_template(name="nowhere"), 132001),
        (_template(language={"code": "de"}), 132001),
        (_template(language="en_US"), 131008),
        (_template(components=[]), 132000),
        (_template(components=_body(ONE)), 132000),
        (_template(components=_body(ONE, ONE, ONE)), 132000),
        (_template(components=_body(ONE, {"type": "text", "text": ""})), 131008),
        (_template(components=_body(ONE, {"type": "text", "text": "a\nb"})), 132018),
        (_template(components=_body(ONE, {"type": "image"})), 132012),
        (_template(components=_body(ONE, ONE | {"parameter_name": "x"})), 132012),
        (_template(components=[{"type": "button", "index": "x"}]), 100),
    ],
)
def test_a_mistake_is_refused_with_the_providers_code(simulator, changes, code):
    assert post(simulator, **changes) == code
    assert simulator.receipts() == []


def test_without_a_plus_the_message_goes_to_a_stranger(simulator):
    simulator.ask("/_sim/inbound", {"from": "1" + TO[1:], "to": SENDER, "text": "hi"})
    simulator.graph(
        f"/{SENDER}/messages",
        {"messaging_product": "whatsapp", "to": TO[1:], "text": {"body": "x"}},
    )

    assert simulator.receipts()[0]["to"] == "+1919876543210"


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer other", "Basic EAAtoken"])
def test_only_the_right_token_is_let_in(simulator, token):
    said = simulator.ask(f"/v23.0/{SENDER}", headers={"Authorization": token})

    assert said["error"]["code"] == 190


# --- templates


def submit(simulator, name, **changes):
    return simulator.graph(f"/{WABA}/message_templates", OFFER | {"name": name} | changes)


def test_a_template_is_approved_after_a_while_and_can_be_used(simulator, receiver):
    said = submit(simulator, "spring")
    assert said["status"] == "PENDING"
    (notice,) = receiver.expect(Notice, 1)

    expected = ("message_template_status_update", said["id"], "APPROVED")
    assert (notice.field, notice.subject, notice.event) == expected
    listed = simulator.graph(f"/{WABA}/message_templates?name=spring")["data"]
    assert [each["status"] for each in listed] == ["APPROVED"]
    assert listed[0]["components"] == OFFER["components"]


def test_a_template_can_be_rejected_or_become_marketing(simulator, receiver):
    submit(simulator, "please_reject")
    text = {"type": "BODY", "text": "A discount for {{name}} today"}
    submit(simulator, "notice", category="UTILITY", components=[text])
    found = {
        each.detail["message_template_name"]: each for each in receiver.expect(Notice, 2)
    }

    assert found["please_reject"].event == "REJECTED"
    assert found["notice"].detail["message_template_category"] == "MARKETING"


def test_a_paused_template_refuses(simulator, receiver, send):
    change = {"name": "offer", "language": "en", "status": "PAUSED"}
    simulator.ask("/_sim/templates", change)
    receiver.expect(Notice, 1)

    with pytest.raises(Exception, match="template_paused"):
        send(offer(TO))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Big Name"},
        {"components": []},
        {"components": [{"type": "BODY", "text": "{{1}} first"}]},
        {"category": "PARTY"},
        {"language": ""},
    ],
)
def test_an_impossible_template_is_refused(simulator, changes):
    assert "error" in submit(simulator, changes.pop("name", "fine"), **changes)


def test_templates_are_listed_by_page(simulator):
    for n in range(5):
        submit(simulator, f"page_{n}")
    first = simulator.graph(f"/{WABA}/message_templates?limit=3")
    after = first["paging"]["cursors"]["after"]
    rest = simulator.graph(f"/{WABA}/message_templates?limit=30&after={after}")

    names = [each["name"] for each in first["data"] + rest["data"]]
    assert set(names) >= {
        "hello_world",
        "offer",
        "reminder",
        *(f"page_{n}" for n in range(5)),
    }
    assert len(names) == len(set(names))


# --- receipts and the page


def test_receipts_survive_a_kill(tmp_path):
    simulator = Simulator(tmp_path, "--any-template")
    try:
        body = {
            "messaging_product": "whatsapp",
            "to": TO,
            "type": "template",
            "template": {"name": "never_submitted", "language": {"code": "en"}},
        }
        first = simulator.graph(f"/{SENDER}/messages", body)["messages"][0]["id"]
        simulator.stop(kill=True)
        with simulator.receipts_file.open("ab") as file:
            file.write(b'{"n":2,"half')
        simulator.start()
        second = simulator.graph(f"/{SENDER}/messages", body)["messages"][0]["id"]

        assert [each["wamid"] for each in simulator.receipts()] == [first, second]
        assert [each["n"] for each in simulator.receipts(after=1)] == [2]
        lines = simulator.receipts_file.read_text().splitlines()
        assert [json.loads(line)["wamid"] for line in lines] == [first, second]
    finally:
        simulator.stop()


def test_suffixes_tell_the_fate_when_asked_for(tmp_path):
    simulator = Simulator(tmp_path, "--suffix-fates", "--open-window")
    try:
        assert post(simulator, to="+10131026") == 131026
        body = {"messaging_product": "whatsapp", "to": "+11131026", "text": {"body": "x"}}
        assert "messages" in simulator.graph(f"/{SENDER}/messages", body)
        assert simulator.receipts()[0]["delivered"] is False
    finally:
        simulator.stop()


def test_a_list_of_phones_excludes_others(tmp_path):
    simulator = Simulator(tmp_path, "--phones", "5=+49151000@77,6=+49151001")
    try:
        assert simulator.graph("/5")["display_phone_number"] == "+49151000"
        assert simulator.graph("/77/phone_numbers")["data"][0]["id"] == "5"
        assert simulator.graph("/7")["error"]["code"] == 100
    finally:
        simulator.stop()


def test_the_page_shows_what_a_person_got_and_lets_them_reply(simulator, receiver, send):
    assert "Nothing was sent yet" in simulator.ask("/")
    send(offer(TO))
    page = simulator.ask("/")

    assert "Hello Asha, 20 % less today!" in page
    assert "<b>For friends</b>" in page
    assert 'value="Stop promotions"' in page

    form = f"from={TO[1:]}&to={SENDER}&text=STOP".encode()
    with urllib.request.urlopen(f"{simulator.url}/_sim/inbound", form) as answer:
        assert answer.url == f"{simulator.url}/"
        assert '<li class="bubble mine">STOP</li>' in answer.read().decode()
    assert receiver.expect(Inbound, 1)[0].text == "STOP"


def test_the_page_shows_text_as_text(simulator):
    simulator.ask("/_sim/inbound", {"from": TO, "to": SENDER, "text": "<script>1</script>"})

    assert "&lt;script&gt;1&lt;/script&gt;" in simulator.ask("/")


def test_a_rude_client_does_no_harm(simulator, send):
    import socket

    for rude in (
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", simulator.port)) as sock:
            sock.sendall(rude)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1000)
    body = {"messaging_product": "whatsapp", "to": [1], "template": {"components": [[]]}}
    headers = {"Authorization": f"Bearer {SECRETS['access_token']}"}
    for strange in ([], "x", None, body, {"template": 1} | body, {"text": [1]} | body):
        simulator.ask(f"/v23.0/{SENDER}/messages", strange, "POST", headers)

    send(offer(TO))
    assert len(simulator.receipts()) == 1
