"""Every code of the design's table gives the same verdict as an answer and as a status."""

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest

from clarion.messaging.contract import Busy, Channel, Halted, Message, Rejected
from clarion_whatsapp_cloud import answers, wire
from clarion_whatsapp_cloud.transport import Unclear, WhatsAppCloud

DATA = Path(__file__).parent / "data"

# Written out from the table of the sending design, not taken from answers.py.
EXPECTED: dict[int, tuple] = {
    130429: (Busy, "sender"),
    80007: (Busy, "token"),
    131057: (Busy, "sender"),
    613: (Busy, "sender"),
    133008: (Busy, "sender"),
    133009: (Busy, "sender"),
    133016: (Busy, "sender"),
    4: (Busy, "token"),
    131056: (Busy, "pair"),
    131049: (Rejected, "per_user_limit", None),
    130472: (Rejected, "experiment", None),
    131026: (Rejected, "undeliverable", None),
    131021: (Rejected, "sender_is_recipient", None),
    131030: (Rejected, "not_in_test_list", None),
    131043: (Rejected, "expired", None),
    131047: (Rejected, "window_closed", None),
    131062: (Rejected, "phone_needed", None),
    137000: (Rejected, "identity_changed", None),
    130497: (Rejected, "country_restricted", None),
    131050: (Rejected, "stopped_marketing", "marketing"),
    130403: (Rejected, "blocked_by_business", "all"),
    **dict.fromkeys(
        (
            *(100, 131008, 131009, 131051, 131053, 132000, 132008, 132012, 132018, 135000),
            2388299,
        ),
        (Rejected, "bad_content", None),
    ),
    132001: (Halted, "template", "template_missing"),
    132005: (Halted, "template", "template_text_too_long"),
    132007: (Halted, "template", "template_policy"),
    132015: (Halted, "template", "template_paused"),
    132016: (Halted, "template", "template_disabled"),
    132068: (Halted, "template", "flow_blocked"),
    132069: (Halted, "template", "flow_throttled"),
    131055: (Halted, "template", "wrong_category"),
    134100: (Halted, "template", "wrong_category"),
    131063: (Halted, "template", "marketing_route_closed"),
    134101: (Halted, "template", "template_syncing"),
    134102: (Halted, "template", "marketing_not_eligible"),
    131048: (Halted, "sender", "spam_restricted"),
    131045: (Halted, "sender", "number_not_registered"),
    133010: (Halted, "sender", "number_not_registered"),
    133006: (Halted, "sender", "number_not_verified"),
    131037: (Halted, "sender", "display_name_not_approved"),
    33: (Halted, "sender", "number_missing"),
    **dict.fromkeys((0, 190), (Halted, "channel", "token_invalid")),
    **dict.fromkeys(
        (3, 10, 200, 250, 299, 131005), (Halted, "channel", "permission_missing")
    ),
    368: (Halted, "channel", "policy_restriction"),
    131031: (Halted, "channel", "account_locked"),
    131042: (Halted, "channel", "payment_problem"),
    131064: (Halted, "channel", "template_misuse_limit"),
    134011: (Halted, "channel", "payment_terms_pending"),
    **dict.fromkeys((999999, 131052, 1752041, 300, 199), (Rejected, "provider_code", None)),
}
UNCLEAR = (1, 2, 131000, 131016, 133004)


class Answering:
    """What `http` would hand over; the network itself is tested elsewhere."""

    def __init__(self, status: int, body: bytes, **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers

    async def post(self, url, *, json=None, headers=None):
        return self

    get = post


def told(error) -> tuple:
    if isinstance(error, Busy):
        return (Busy, error.scope)
    if isinstance(error, Halted):
        return (Halted, error.scope, error.reason)
    if isinstance(error, Rejected):
        return (Rejected, error.reason, error.suppress)
    return (type(error),)


def answered(status: int, body: bytes, **headers) -> Exception:
    channel = Channel(uuid4(), {}, {"access_token": "t"})
    message = Message(uuid4(), "r", "42", "+15551234567", text="x")
    http = Answering(status, body, **headers)
    with pytest.raises(Exception) as caught:
        asyncio.run(WhatsAppCloud().send(channel, message, http))
    return caught.value


def error_body(code: int, **changes) -> bytes:
    error = {
        "message": f"(#{code}) Something",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": f"Details of {code}"},
        "fbtrace_id": "x",
    }
    return json.dumps({"error": error | changes}).encode()


def failed_status(code: int) -> Exception:
    error = {"code": code, "title": "T", "error_data": {"details": f"Details of {code}"}}
    status = {"id": "w", "status": "failed", "timestamp": "1", "errors": [error]}
    change = {"field": "messages", "value": {"statuses": [status]}}
    body = json.dumps({"entry": [{"id": "7", "changes": [change]}]}).encode()
    (piece,) = wire.split(body)
    (update,) = wire.read(piece.payload, answers.failed)
    assert update.code == str(code)
    return update.verdict


@pytest.mark.parametrize("code", EXPECTED)
@pytest.mark.parametrize("status", [400, 401, 404, 429])
def test_an_answer_with_this_code(code, status):
    verdict = answered(status, error_body(code))

    assert told(verdict) == EXPECTED[code]
    assert verdict.code == str(code)


@pytest.mark.parametrize("code", EXPECTED)
def test_a_failed_status_with_this_code(code):
    verdict = failed_status(code)

    assert told(verdict) == EXPECTED[code]
    assert verdict.code == str(code)


@pytest.mark.parametrize("code", UNCLEAR)
@pytest.mark.parametrize("status", [400, 500, 503])
def test_an_answer_that_leaves_it_open_is_unclear(code, status):
    assert isinstance(answered(status, error_body(code)), Unclear)


@pytest.mark.parametrize("code", UNCLEAR)
def test_a_failed_status_leaves_nothing_open(code):
    assert told(failed_status(code)) == (Rejected, "provider_failure", None)


def test_the_table_holds_exactly_what_the_design_lists():
    listed = {code for code in EXPECTED if EXPECTED[code][1] != "provider_code"}

    assert listed - set(answers.CODES) == {200, 250, 299, 2388299}
    assert set(answers.CODES) <= listed
    assert set(UNCLEAR) == answers.UNCLEAR


def test_the_code_decides_and_not_the_status():
    assert told(answered(500, error_body(131056))) == (Busy, "pair")
    assert told(answered(200, error_body(190))) == (Halted, "channel", "token_invalid")


@pytest.mark.parametrize("status", [200, 302, 500, 503])
def test_an_unknown_code_counts_only_in_a_refusal(status):
    assert isinstance(answered(status, error_body(999999)), Unclear)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 302, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<html>", b"[]", b'{"error":"x"}', b'{"success":true}']
)
def test_an_answer_nobody_can_read_is_unclear(status, body):
    assert isinstance(answered(status, body), Unclear)


def test_only_200_is_an_acceptance():
    body = b'{"messages":[{"id":"wamid.1"}]}'

    assert isinstance(answered(202, body), Unclear)


def test_a_longer_wait_is_granted():
    body = error_body(130429)

    assert answered(429, body).retry_after == 3
    assert answered(429, body, **{"retry-after": "30"}).retry_after == 30
    assert answered(429, body, **{"retry-after": "1"}).retry_after == 3
    assert answered(429, body, **{"retry-after": "999999"}).retry_after == 3600
    assert answered(429, body, **{"retry-after": "tomorrow"}).retry_after == 3


def test_the_providers_explanation_goes_with_the_verdict():
    assert answered(400, error_body(131026)).detail == "Details of 131026"


def test_every_recorded_code_has_a_verdict():
    recorded = json.loads((DATA / "error-codes/errors.json").read_bytes())["errors"]
    codes = {int(each["code"]) for each in recorded}

    assert len(codes) > 35
    for code in codes:
        same = told(answered(400, error_body(code)))
        expected = (Unclear,) if code in UNCLEAR else EXPECTED[code]
        assert same == expected
