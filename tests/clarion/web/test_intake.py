"""Providers' door: only what is signed gets in, and 200 is said only of what is durable."""

import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select
from tests.clarion.web.test_health import no_broker  # noqa: F401 -- a fixture

from clarion.base import db
from clarion.base.settings import settings
from clarion.messaging import channels
from clarion.tenancy.scope import account_scope, current_account
from clarion.testing.factories import make_sender
from clarion.work.models import WebhookInbox

SECRET = b"test-secret"


def event(wamid="wamid.1", sender="5550147", waba="9900"):
    return json.dumps(whole(change(wamid, sender), waba=waba)).encode()


def change(wamid="wamid.1", sender="5550147"):
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "5511955500147", "phone_number_id": sender},
        "statuses": [
            {
                "id": wamid,
                "status": "delivered",
                "timestamp": "1760000000",
                "recipient_id": "5511955500199",
            }
        ],
    }
    return {"field": "messages", "value": value}


def whole(*changes, waba="9900"):
    entry = {"id": waba, "changes": list(changes)}
    return {"object": "whatsapp_business_account", "entry": [entry]}


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
    query = select(func.coalesce(func.sum(WebhookInbox.events), 0))
    with db.transaction() as orm:
        return orm.scalar(query.where(WebhookInbox.account_id == current_account()))


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


def test_what_is_not_durable_is_not_taken_and_comes_again(knock, monkeypatch):
    """The database is away, then back: the provider's retry is stored, once."""
    body = event("wamid.late")
    with monkeypatch.context() as away:
        away.setenv("CLARION_DATABASE_URL", "postgresql://clarion@127.0.0.1:1/clarion")
        settings.cache_clear()
        db.reset_engine()
        answer = knock(body, signed(body))
    settings.cache_clear()
    db.reset_engine()

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert stored() == 0
    assert [knock(body, signed(body)).status_code for _ in range(2)] == [200, 200]
    assert stored() == 1


def test_without_broker_events_are_taken(knock, request):
    request.getfixturevalue("no_broker")
    body = event("wamid.unrung")

    assert knock(body, signed(body)).status_code == 200
    assert stored() == 1


def test_the_same_body_fifty_times_at_once_is_stored_once(knock):
    body = event("wamid.many")
    signature = signed(body)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: knock(body, signature).status_code, range(50)))

    assert answers == [200] * 50
    assert stored() == 1


def test_a_body_of_a_thousand_updates_is_taken_whole(knock):
    value = change()["value"]
    value["statuses"] = [{**value["statuses"][0], "id": f"wamid.{n}"} for n in range(1_000)]
    body = json.dumps(whole({"field": "messages", "value": value})).encode()

    assert knock(body, signed(body)).status_code == 200
    assert stored() == 1_000


# --- whose events they are


@pytest.mark.parametrize(("sender", "waba"), [("999", "9900"), ("999", "1"), ("", "1")])
def test_events_about_somebody_elses_number_are_refused(knock, sender, waba):
    body = event("wamid.foreign", sender, waba)

    assert knock(body, signed(body)).status_code == 403
    assert stored() == 0


def test_of_a_mixed_body_only_our_part_is_kept(knock):
    body = json.dumps(whole(change("wamid.ours"), change("wamid.theirs", "999"))).encode()

    assert knock(body, signed(body)).status_code == 200
    assert stored() == 1


@pytest.mark.parametrize("secret", ["test-secret", "another-secret"])
def test_a_body_for_two_businesses_of_one_application_is_divided(
    account, other_account, knock, secret
):
    """The other one gets its part at our address, if its own secret signed it too."""
    other(other_account, secret)
    body = json.dumps(whole(change("wamid.ours"), change("wamid.theirs", "777"))).encode()

    assert knock(body, signed(body)).status_code == 200

    assert stored() == 1
    with account_scope(other_account.id, other_account.actor):
        assert stored() == (secret == "test-secret")


def other(tenant, secret):
    """Connect the number 777 in another account."""
    with account_scope(tenant.id, tenant.actor), db.transaction():
        channels.connect(
            "whatsapp_cloud",
            "WhatsApp",
            {"waba_id": "8800"},
            {"access_token": "t", "app_secret": secret},
            [channels.SenderIn("777", "+5511955500177", "Loja Norte")],
        )


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
