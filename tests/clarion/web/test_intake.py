"""Providers' door: only what is signed gets in, and 200 is said only of what is durable."""

import hashlib
import hmac
import json

import pytest
from sqlalchemy import func, select
from tests.clarion.web.test_health import no_database  # noqa: F401 -- a fixture

from clarion.base import db
from clarion.messaging import channels
from clarion.testing.factories import make_sender
from clarion.work.models import WebhookInbox

SECRET = b"test-secret"


def event(wamid="wamid.1"):
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "5511955500147", "phone_number_id": "5550147"},
        "statuses": [
            {
                "id": wamid,
                "status": "delivered",
                "timestamp": "1760000000",
                "recipient_id": "5511955500199",
            }
        ],
    }
    change = {"field": "messages", "value": value}
    body = {
        "object": "whatsapp_business_account",
        "entry": [{"id": "9900", "changes": [change]}],
    }
    return json.dumps(body).encode()


def signed(body, secret=SECRET):
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


@pytest.fixture
def channel(account):
    make_sender(account)
    (view,) = channels.listing()
    return view


@pytest.fixture
def knock(stranger, channel):
    def send(body, signature=None, path=None, **more):
        given = {"X-Hub-Signature-256": signature} if signature else {}
        where = path or f"/in/whatsapp_cloud/{channel.id}"
        headers = {"Content-Type": "application/json", **given}
        return stranger.client.post(where, data=body, headers=headers, **more)

    return send


def stored():
    return db.session().scalar(select(func.count()).select_from(WebhookInbox))


def test_a_signed_event_is_stored_once_however_often_it_comes(knock, channel):
    body = event()

    for _ in range(3):
        answer = knock(body, signed(body))
        assert (answer.status_code, answer.text) == (200, "")

    assert stored() == 1
    assert channel.endpoint_url.endswith(f"/in/whatsapp_cloud/{channel.id}")


@pytest.mark.parametrize("kind", ["none", "secret", "body", "short", "plain"])
def test_any_deviation_is_refused_and_nothing_is_stored(kind, knock):
    body = event()
    sent, signature = {
        "none": (body, None),
        "secret": (body, signed(body, b"another")),
        "body": (body + b" ", signed(body)),
        "short": (body, signed(body)[:-1]),
        "plain": (body, signed(body).removeprefix("sha256=")),
    }[kind]

    assert knock(sent, signature).status_code == 403
    assert stored() == 0


def test_an_unknown_endpoint_answers_like_a_wrong_signature(knock):
    body = event()
    nowhere = "/in/whatsapp_cloud/0192f0a0-0000-7000-8000-000000000000"

    assert knock(body, signed(body), path=nowhere).status_code == 403


def test_an_unknown_kind_is_no_door(knock, channel):
    body = event()

    assert knock(body, signed(body), path=f"/in/smoke/{channel.id}").status_code == 404


def test_a_body_beyond_3_mb_is_refused_unread(knock):
    body = b" " * (3 * 1024 * 1024 + 1)

    assert knock(body, signed(body)).status_code == 413


def test_signed_nonsense_is_refused_and_not_repeated_for_ever(knock):
    body = b"{not json"

    assert knock(body, signed(body)).status_code == 400


def test_what_is_not_durable_is_not_taken(knock, request):
    body = event("wamid.late")
    request.getfixturevalue("no_database")

    answer = knock(body, signed(body))

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_the_handshake_echoes_the_challenge_to_who_knows_the_word(stranger, channel):
    from clarion.messaging.models import Channel

    row = db.session().scalar(select(Channel).where(Channel.id == channel.id))
    word = channels.opened(row).secrets["verify_token"]
    path = f"/in/whatsapp_cloud/{channel.id}"
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444"}

    right = stranger.client.get(path, query_string={**query, "hub.verify_token": word})
    wrong = stranger.client.get(path, query_string={**query, "hub.verify_token": "x"})

    assert (right.status_code, right.text) == (200, "1158201444")
    assert right.mimetype == "text/plain"
    assert wrong.status_code == 403


def test_other_methods_are_refused(stranger, channel):
    path = f"/in/whatsapp_cloud/{channel.id}"

    assert stranger.client.put(path).status_code == 405
    assert stranger.client.get("/in/").status_code == 404
