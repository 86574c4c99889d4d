"""What is written to Meta and read from it, without a network."""

import copy
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.base.errors import Invalid
from clarion.messaging.contract import (
    UNLIMITED,
    Accepted,
    Health,
    IdentityChange,
    Inbound,
    Limits,
    Message,
    Notice,
    Part,
    Preference,
    Rejected,
    TemplateUse,
    Update,
)
from clarion_whatsapp_cloud import answers, wire

DATA = Path(__file__).parent / "data"
WEBHOOKS = sorted((DATA / "webhooks").rglob("*.json"))
BROKEN = "textMessageStatusRead.json"
SAID = dt.datetime.fromtimestamp(1780000000, dt.UTC)


def message(**changes) -> Message:
    given = {"id": uuid4(), "reference": "", "sender": "1", "to": "+121212121212"}
    return Message(**(given | changes))


def updates(body) -> list:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    pieces = list(wire.split(raw))
    return [
        update
        for piece in pieces
        for update in wire.read(json.loads(json.dumps(piece.payload)), answers.failed)
    ]


def recorded(name: str) -> bytes:
    body = (DATA / "webhooks" / name).read_bytes()
    return body.strip().removesuffix(b"\n{").removesuffix(b"{") if BROKEN in name else body


def statuses(*found: dict, contacts=()) -> dict:
    value = {"metadata": {"phone_number_id": "42"}, "statuses": list(found)}
    if contacts:
        value["contacts"] = list(contacts)
    return _webhook("messages", value)


def _webhook(field: str, value, time=1780000000) -> dict:
    change = {"field": field, "value": value}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "7", "time": time, "changes": [change]}],
    }


# --- requests


def _golden(name: str) -> dict:
    """A recorded request, with the two liberties Meta gives taken our way."""
    body = json.loads((DATA / "requests" / name).read_bytes())
    body["to"] = "+" + body["to"]
    for component in body.get("template", {}).get("components", ()):
        if "index" in component:
            component["index"] = str(component["index"])
    return body


def test_a_text_is_written_like_the_recorded_one():
    golden = _golden("expectedMessage1.json")

    assert wire.encode(message(text=golden["text"]["body"])) == golden


def test_a_template_without_a_name_is_free_text():
    golden = wire.encode(message(text="Good bye."))
    use = TemplateUse("", "", (Part("body", {"text": "Good bye."}),))

    assert wire.encode(message(template=use)) == golden


def test_a_positional_template_is_written_like_the_recorded_one():
    template = TemplateUse(
        "number_confirmation",
        "pt_BR",
        (Part("body", {"1": "18754269072"}),),
        parameter_format="positional",
    )

    assert wire.encode(message(template=template)) == _golden("expectedMessage2.json")


def test_quick_replies_are_written_like_the_recorded_ones():
    payloads = ("OP_YES_48547", "OP_NO_48548", "OP_CH_48549")
    buttons = [
        Part("button", {"payload": text}, index=at, button="quick_reply")
        for at, text in enumerate(payloads)
    ]
    body = Part("body", {"1": "Mauricio", "2": "04/11/2022", "3": "14:30"})
    template = TemplateUse(
        "schedule_confirmation3", "pt_BR", (body, *buttons), "positional"
    )

    assert wire.encode(message(template=template)) == _golden("expectedMessage3.json")


def test_a_url_button_is_written_like_the_recorded_one():
    golden = _golden("expectedMessage6.json")
    golden["template"]["components"].pop(0)  # a document: headers are texts here
    body = Part("body", {"1": "Mauricio Binda"})
    url = Part("button", {"1": "career-academy/?trk_ref=globalnav"}, button="url")
    template = TemplateUse("new_classes_pdf", "en_US", (body, url), "positional")

    assert wire.encode(message(template=template)) == golden


def test_a_named_template_names_its_parameters_except_in_buttons():
    template = TemplateUse(
        "order_confirmation",
        "en_US",
        (
            Part("header", {"shop": "Lucky"}),
            Part("body", {"first_name": "Jessica", "amount": "₹ 1,999"}),
            Part("button", {"path": "ABC123"}, button="url"),
        ),
    )
    to = message(template=template, reference="clarion.0197.1")

    assert wire.encode(to) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+121212121212",
        "type": "template",
        "template": {
            "name": "order_confirmation",
            "language": {"code": "en_US"},
            "components": [
                {
                    "type": "header",
                    "parameters": [
                        {"type": "text", "parameter_name": "shop", "text": "Lucky"}
                    ],
                },
                {
                    "type": "body",
                    "parameters": [
                        {"type": "text", "parameter_name": "first_name", "text": "Jessica"},
                        {"type": "text", "parameter_name": "amount", "text": "₹ 1,999"},
                    ],
                },
                {
                    "type": "button",
                    "sub_type": "url",
                    "index": "0",
                    "parameters": [{"type": "text", "text": "ABC123"}],
                },
            ],
        },
        "biz_opaque_callback_data": "clarion.0197.1",
    }


def test_a_template_without_variables_has_no_components():
    template = TemplateUse("hello_world", "en_US", (Part("body", {}),))

    assert wire.encode(message(template=template))["template"] == {
        "name": "hello_world",
        "language": {"code": "en_US"},
    }


def test_a_person_known_by_a_user_id_is_addressed_by_it():
    user = "US.13491208655302741918"
    written = wire.encode(message(to=user, to_kind="bsuid", text="Hi"))

    assert written["recipient"] == user
    assert "to" not in written


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        ("121212121212", "phone"),
        ("+0121212", "phone"),
        ("+12", "phone"),
        ("+1 212 121", "phone"),
        ("+1212121212121212", "phone"),
        ("+١٢١٢١٢١٢١", "phone"),
        ("+12121212\n", "phone"),
        ("", "phone"),
        ("US.13491208655302741918", "phone"),
        ("+121212121212", "bsuid"),
        ("us.1", "bsuid"),
        ("US.", "bsuid"),
    ],
)
def test_an_address_that_could_reach_a_stranger_never_leaves(to, kind):
    with pytest.raises(Rejected) as refused:
        wire.encode(message(to=to, to_kind=kind))

    assert refused.value.reason == "bad_address"


# --- answers


def acceptance(**changes) -> dict:
    given = {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+5511987654321", "wa_id": "551187654321"}],
        "messages": [{"id": "wamid.HBg", "message_status": "accepted"}],
    }
    return given | changes


def test_an_acceptance_is_found_though_the_number_was_rewritten():
    assert wire.accepted(acceptance(), "+5511987654321") == Accepted("wamid.HBg")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"messages": [{"id": "wamid.1"}]}, Accepted("wamid.1")),
        ({"contacts": []}, Accepted("wamid.HBg")),
        ({"contacts": [{"input": "+55 (11) 98765-4321"}]}, Accepted("wamid.HBg")),
        (
            {
                "messages": [
                    {"id": "wamid.1", "message_status": "held_for_quality_assessment"}
                ]
            },
            Accepted("wamid.1", held=True),
        ),
        (
            {"messages": [{"id": "wamid.1", "message_status": "never heard of"}]},
            Accepted("wamid.1", held=True),
        ),
        ({"messages": []}, None),
        ({"messages": [{}]}, None),
        ({"messages": [{"id": None}]}, None),
        ({"messages": [{"id": ""}]}, None),
        ({"messages": [{"id": "a"}, {"id": "b"}]}, None),
        ({"messages": "wamid.1"}, None),
        ({"contacts": [{"input": "+4915112345678"}]}, None),
    ],
)
def test_only_a_clear_acceptance_of_our_message_counts(changes, expected):
    assert wire.accepted(acceptance(**changes), "+5511987654321") == expected


def test_an_acceptance_for_a_user_id_is_found():
    user = "US.13491208655302741918"
    answer = acceptance(contacts=[{"input": user, "user_id": user}])

    assert wire.accepted(answer, user) == Accepted("wamid.HBg")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"error": {"code": 190, "message": "(#190) No"}}, (190, "(#190) No")),
        ({"error": {"code": "131026", "title": "No"}}, (131026, "No")),
        ({"errors": [{"code": 131026, "message": "x"}]}, (131026, "x")),
        (
            {"error": {"code": 100, "message": "x", "error_data": {"details": "why"}}},
            (100, "why"),
        ),
        (
            {"error": {"code": 1, "message": "To +91 98765 43210 failed"}},
            (1, "To +… failed"),
        ),
        ({"error": {"code": 1, "message": "y" * 999}}, (1, "y" * 300)),
        ({"error": {"message": "no code"}}, None),
        ({"error": {"code": True}}, None),
        ({"error": "190"}, None),
        ({}, None),
    ],
)
def test_an_error_is_known_by_its_code_and_told_without_numbers(answer, expected):
    assert wire.problem(answer) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b'{"a":NaN}',
        b"\xff\xfe",
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_object_is_not_read(body):
    assert wire.decode(body) is None


def test_what_is_read_can_be_stored():
    found = wire.decode(b'{"a\\u0000":"x\\u0000y\\ud800z","b":1e999,"c":"\\ud83d\\ude00"}')

    assert found == {"a": "xy?z", "b": None, "c": "😀"}


# --- webhooks


@pytest.mark.parametrize("path", WEBHOOKS, ids=lambda path: path.stem)
def test_every_recorded_webhook_is_read(path):
    body = recorded(str(path.relative_to(DATA / "webhooks")))
    pieces = list(wire.split(body))

    assert pieces
    assert updates(body)
    assert all(len(piece.key) < 300 for piece in pieces)
    assert [piece.key for piece in wire.split(body)] == [piece.key for piece in pieces]


def test_a_webhook_that_is_not_json_is_invalid():
    with pytest.raises(Invalid):
        list(wire.split((DATA / "webhooks/bindambc" / BROKEN).read_bytes()))


def test_a_text_from_a_person():
    (inbound,) = updates(recorded("bindambc/textMessage.json"))

    assert inbound == Inbound(
        provider_id="wamid.nBgN6TUyN2k5NzAzM5kzNhUCABI8FDNFQjAxQkE5REI4NEUzQ5Y5QTNgAA==",
        sender="409552778964973",
        identifiers=(("wa_id", "1111111111111"), ("phone", "+1111111111111")),
        at=dt.datetime.fromtimestamp(1672947578, dt.UTC),
        text="hi everyone!",
        profile_name="Mauricio Binda",
    )


def test_a_pressed_button_carries_its_payload_and_what_it_answers():
    (inbound,) = updates(recorded("bindambc/buttonMessage.json"))

    assert (inbound.kind, inbound.text, inbound.payload) == ("button", "SIM", "SIM")
    assert inbound.reply_to.startswith("wamid.nBgN6")


def test_an_interactive_reply_carries_its_id():
    reply = {"type": "button_reply", "button_reply": {"id": "stop", "title": "Stop"}}
    sent = {"id": "w", "from": "1", "type": "interactive", "interactive": reply}
    (inbound,) = updates(_webhook("messages", {"messages": [sent]}))

    assert (inbound.text, inbound.payload) == ("Stop", "stop")


def test_a_person_who_hides_the_phone_is_known_by_the_user_id():
    (inbound,) = updates(recorded("bsuid/bsuid_only_username.json"))

    assert inbound.identifiers == (
        ("bsuid", "US.13491208655302741918"),
        ("username", "pablomorales"),
    )
    assert inbound.text == "BSUID only"
    assert inbound.profile_name == "Pablo M."
    assert inbound.at == wire.EPOCH


def test_a_shared_number_joins_the_user_id():
    (inbound,) = updates(recorded("bsuid/contact_request_reply.json"))

    assert inbound.identifiers == (
        ("wa_id", "16505551234"),
        ("phone", "+16505551234"),
        ("bsuid", "US.13491208655302741918"),
    )


def test_a_contact_somebody_forwards_is_not_the_person():
    body = json.loads(recorded("bsuid/contact_request_reply.json"))
    value = body["entry"][0]["changes"][0]["value"]
    value["messages"][0]["contacts"][0].pop("origin")
    (inbound,) = updates(body)

    assert inbound.identifiers == (("bsuid", "US.13491208655302741918"),)


def test_each_of_several_messages_gets_its_own_contact():
    value = {
        "contacts": [
            {"wa_id": "2", "profile": {"name": "Two"}},
            {"wa_id": "1", "profile": {"name": "One"}},
        ],
        "messages": [
            {"id": "a", "from": "1", "type": "text", "text": {"body": "x"}},
            {"id": "b", "from": "2", "type": "text", "text": {"body": "y"}},
            {"id": "c", "from": "3", "type": "text", "text": {"body": "z"}},
        ],
    }

    names = [each.profile_name for each in updates(_webhook("messages", value))]
    assert names == ["One", "Two", ""]


SYSTEM = {"type": "user_changed_number", "wa_id": "2", "body": "A changed"}


@pytest.mark.parametrize(
    ("message", "before", "after"),
    [
        ({"from": "1", "system": SYSTEM}, [("phone", "+1")], [("phone", "+2")]),
        # as it was called before
        (
            {"from": "1", "system": {"new_wa_id": "2", "body": "A changed"}},
            [("phone", "+1")],
            [("phone", "+2")],
        ),
        (
            {
                "from": "1",
                "from_user_id": "US.1",
                "system": SYSTEM | {"user_id": "US.2", "parent_user_id": "US.ENT.2"},
            },
            [("phone", "+1"), ("bsuid", "US.1")],
            [("phone", "+2"), ("bsuid", "US.2"), ("parent_bsuid", "US.ENT.2")],
        ),
        # an id alone may be the one they have now
        (
            {"from": "1", "from_user_id": "US.1", "system": SYSTEM},
            [("phone", "+1")],
            [("phone", "+2")],
        ),
        ({"from_user_id": "US.1", "system": SYSTEM}, [], [("phone", "+2")]),
    ],
)
def test_a_changed_number_is_news_and_not_a_message(message, before, after):
    sent = {"id": "w", "type": "system", "timestamp": "1780315200", **message}
    (change,) = updates(_webhook("messages", {"messages": [sent]}))

    assert isinstance(change, IdentityChange)
    assert (list(change.before), list(change.after)) == (before, after)
    assert (change.what, change.at.year) == ("number", 2026)


@pytest.mark.parametrize(
    "system",
    [
        {"type": "customer_identity_changed", "identity": "hash"},
        {"type": "user_changed_number"},
        {"type": "user_changed_number", "wa_id": "1"},
    ],
)
def test_other_system_messages_change_nobody(system):
    sent = {"id": "w", "from": "1", "type": "system", "system": system}
    (notice,) = updates(_webhook("messages", {"messages": [sent]}))

    assert isinstance(notice, Notice)
    assert notice.event == system["type"]


def test_a_changed_user_id_names_the_old_and_the_new():
    (change,) = updates(recorded("bsuid/user_id_update.json"))

    assert change == IdentityChange(
        before=(
            ("bsuid", "US.1033196179544075"),
            ("parent_bsuid", "US.ENT.1033196179544075"),
        ),
        after=(
            ("bsuid", "US.2033196179544075"),
            ("parent_bsuid", "US.ENT.2033196179544075"),
            ("phone", "+16505551234"),
        ),
        at=dt.datetime.fromtimestamp(1_780_315_200, dt.UTC),
        what="id",
    )


def test_a_delivered_status_with_its_price():
    (status,) = updates(recorded("bindambc/textMessageStatusDelivered.json"))

    assert status.status == "delivered"
    assert status.at == dt.datetime.fromtimestamp(1673020317, dt.UTC)
    assert status.pricing["billable"] is True
    assert status.recipients == (("wa_id", "1111111111111"),)
    assert status.verdict is None


def test_a_status_to_a_user_id():
    (status,) = updates(recorded("bsuid/status_delivered.json"))

    assert status.recipients == (
        ("bsuid", "US.13491208655302741918"),
        ("parent_bsuid", "US.ENT.11815799212886844830"),
    )


def test_a_failed_status_has_a_verdict():
    (status,) = updates(recorded("bindambc/reEngagementMessageError.json"))

    assert status.status == "failed"
    assert status.code == "131047"
    assert isinstance(status.verdict, Rejected)
    assert status.verdict.reason == "window_closed"


@pytest.mark.parametrize("errors", [None, [], [{}], [None], "x", [{"code": None}]])
def test_a_failed_status_without_a_code_failed_all_the_same(errors):
    (status,) = updates(statuses({"id": "w", "status": "failed", "errors": errors}))

    assert isinstance(status.verdict, Rejected)
    assert (status.verdict.reason, status.code) == ("provider_code", "")


def test_our_token_comes_back():
    (status,) = updates(
        statuses({"id": "w", "status": "sent", "biz_opaque_callback_data": "i.m.2"})
    )

    assert status.reference == "i.m.2"


def test_a_played_voice_message_was_read():
    (status,) = updates(statuses({"id": "w", "status": "played", "timestamp": "5"}))

    assert status.status == "read"


def test_an_unknown_status_is_news():
    (notice,) = updates(statuses({"id": "w", "status": "teleported", "timestamp": "5"}))

    assert notice == Notice(
        "messages.status",
        "w",
        "teleported",
        {"id": "w", "status": "teleported", "timestamp": "5"},
    )


def test_stop_and_resume():
    def preference(value):
        given = {"wa_id": "16505551234", "value": value, "timestamp": 1731705721}
        return _webhook("user_preferences", {"user_preferences": [given]})

    at = dt.datetime.fromtimestamp(1731705721, dt.UTC)
    who = (("wa_id", "16505551234"), ("phone", "+16505551234"))

    assert updates(preference("stop")) == [Preference(who, "stop", at)]
    assert updates(preference("resume")) == [Preference(who, "resume", at)]
    assert isinstance(updates(preference("signup"))[0], Notice)


def test_a_stop_is_read_before_statuses():
    given = _webhook("user_preferences", {"user_preferences": [{"value": "stop"}]})

    assert [piece.kind for piece in wire.split(json.dumps(given).encode())] == ["inbound"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "rejectedTemplate",
            ("message_template_status_update", "905507062668800", "REJECTED"),
        ),
        ("qualityUpdate", ("phone_number_quality_update", "16505551111", "FLAGGED")),
        (
            "templateSchedulingForDisabling",
            ("message_template_status_update", "1234567", "FLAGGED"),
        ),
        (
            "accountReview",
            ("account_review_update", "whatsapp-business-account-id", "APPROVED"),
        ),
    ],
)
def test_other_events_are_told_by_field_subject_and_event(name, expected):
    notice, *_health = updates(recorded(f"bindambc/{name}.json"))

    assert (notice.field, notice.subject, notice.event) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qualityUpdate", [("sender", "16505551111", "number_quality_red", "red")]),
        ("rejectedTemplate", []),
        ("templateSchedulingForDisabling", []),
        ("accountBanned", []),  # scheduled, not done
        ("accountRestricted", [("channel", "", "policy_restriction", "")]),
        ("accountReview", []),
    ],
)
def test_recorded_notices_say_whether_sending_may_go_on(name, expected):
    found = [u for u in updates(recorded(f"bindambc/{name}.json")) if isinstance(u, Health)]

    assert [(h.scope, h.subject, h.stops, h.quality) for h in found] == expected


@pytest.mark.parametrize(
    ("field", "value", "stops", "ends"),
    [
        ("message_template_status_update", {"event": "PAUSED"}, "template_paused", False),
        ("message_template_status_update", {"event": "REINSTATED"}, "", True),
        ("message_template_status_update", {"new_quality_score": "RED"},
         "template_quality_red", False),
        ("message_template_quality_update", {"new_quality_score": "GREEN"}, "", True),
        ("phone_number_quality_update", {"event": "UNFLAGGED"}, "", True),
        ("account_update", {"event": "PARTNER_REMOVED"}, "permission_missing", False),
        ("template_category_update",
         {"previous_category": "UTILITY", "new_category": "MARKETING"},
         "template_recategorised", False),
        ("account_update", {"event": "ACCOUNT_RECONNECTED"}, "", True),
    ],
)  # fmt: skip
def test_a_notice_stops_or_ends_a_stop(field, value, stops, ends):
    named = {"message_template_name": "offer", "message_template_language": "en-US"}
    _notice, health = updates(_webhook(field, named | value))

    assert (health.stops, bool(health.ends)) == (stops, ends)


@pytest.mark.parametrize(
    "value",
    [
        {"previous_category": "MARKETING", "new_category": "UTILITY"},
        {"new_category": "UTILITY", "correct_category": "MARKETING"},  # tomorrow
        {"new_category": "NEWS"},
    ],
)
def test_a_category_that_asks_for_no_more_consent_stops_nothing(value):
    named = {"message_template_name": "offer", "message_template_language": "en-US"}

    (notice,) = updates(_webhook("template_category_update", named | value))

    assert (notice.field, notice.event) == (
        "template_category_update",
        value["new_category"],
    )


@pytest.mark.parametrize(
    ("given", "year"), [(1_790_000_000, 2026), ("1790000000", 2026), ("soon", None)]
)
def test_the_end_of_a_restriction_is_read_in_every_form(given, year):
    restriction = {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING"}
    value = {
        "event": "ACCOUNT_RESTRICTION",
        "restriction_info": [restriction | {"expiration": given}],
    }
    _notice, health = updates(_webhook("account_update", value))

    assert (health.until.year if health.until else None) == year


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (
            "phone_number_quality_update",
            {"display_phone_number": "15550783881", "event": "THROUGHPUT_UPGRADE"},
            Limits("15550783881", rate_per_s=1000),
        ),
        (
            "phone_number_quality_update",
            {
                "display_phone_number": "15550783881",
                "event": "ONBOARDING",
                "max_daily_conversations_per_business": "TIER_2K",
            },
            Limits("15550783881", people_per_day=2_000),
        ),
        (
            "business_capability_update",
            {"max_daily_conversations_per_business": 2000},
            Limits(people_per_day=2_000),
        ),
        (
            "business_capability_update",
            {"max_daily_conversations_per_business": -1},
            Limits(people_per_day=UNLIMITED),
        ),
        (
            "business_capability_update",
            {"max_daily_conversations_per_business": "TIER_NEW"},
            None,
        ),
        ("phone_number_name_update", {"current_limit": "TIER_10K"}, None),
    ],
)
def test_limits_are_read_from_notices(field, value, expected):
    (notice,) = [u for u in updates(_webhook(field, value)) if isinstance(u, Notice)]
    said = expected and replace(expected, at=SAID)
    assert notice.limits == said


def test_a_quality_update_is_known_by_its_content():
    value = {"new_quality_score": "RED", "message_template_id": 9}
    (notice,) = updates(_webhook("message_template_status_update", value))

    expected = ("message_template_quality_update", "9", "RED")
    assert (notice.field, notice.subject, notice.event) == expected


def test_conversations_from_the_owners_phone_are_counted_and_not_kept():
    echo = {"from": "1", "to": "16505551234", "text": {"body": "private"}}
    (piece,) = wire.split(
        json.dumps(_webhook("smb_message_echoes", {"message_echoes": [echo]})).encode()
    )

    assert piece.payload["value"] == {"message_echoes": 1}


def test_errors_beside_messages_are_news():
    (notice,) = updates(_webhook("messages", {"errors": [{"code": 130429}]}))

    assert (notice.field, notice.detail) == (
        "messages.errors",
        {"errors": [{"code": 130429}]},
    )


def test_keys_tell_events_apart_and_repetitions_together():
    first = {"id": "w", "status": "sent", "timestamp": "1"}
    body = statuses(first, first | {"status": "read"}, first | {"timestamp": "2"}, first)
    keys = [piece.key for piece in wire.split(json.dumps(body).encode())]

    assert keys == ["w:sent:1", "w:read:1", "w:sent:2", "w:sent:1"]


def test_a_batch_of_a_thousand():
    body = statuses(*({"id": f"w{n}", "status": "sent"} for n in range(1000)))

    assert len({piece.key for piece in wire.split(json.dumps(body).encode())}) == 1000


def test_milliseconds_are_recognised():
    status = {"id": "w", "status": "sent", "timestamp": "1780000000123"}

    assert updates(statuses(status))[0].at == dt.datetime.fromtimestamp(1780000000, dt.UTC)


strange = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "code", "type", "errors", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_strange_value_anywhere_makes_reading_fail(data):
    path = data.draw(st.sampled_from([p for p in WEBHOOKS if p.name != BROKEN]))
    body = json.loads(path.read_bytes())
    places = list(_places(body))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(places))
        holder[key] = copy.deepcopy(data.draw(strange))

    for update in updates(body):
        assert isinstance(update, Update)


def _places(value):
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)
