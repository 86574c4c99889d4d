"""What every plugin and every transport promises, with the Cloud API's own words."""

import hashlib
import hmac
import json

from clarion.messaging.contract import RawWebhook
from clarion.testing.contracts import (
    Answer,
    PersonalDataContract,
    PluginContract,
    TransportContract,
)
from clarion_whatsapp_cloud.tests.kit import SECRETS, SENDER, WABA, channel, offer
from clarion_whatsapp_cloud.transport import WhatsAppCloud

REFERENCE = "clarion.0197.1"


class TestPlugin(PluginContract):
    """It loads, can be switched off, keeps the walls, says what it does."""

    plugin = "whatsapp_cloud"


class TestPersonalData(PersonalDataContract):
    """It has no tables, so nobody is in them."""

    plugin = "whatsapp_cloud"


def refusal(code, status=400):
    said = {"error": {"message": f"(#{code}) No", "code": code, "fbtrace_id": "A1b2"}}
    return Answer(status, json.dumps(said).encode())


def webhook(field="messages", **value):
    contact = {"profile": {"name": "Asha"}, "wa_id": "919876543210"}
    about = {"display_phone_number": "15550147", "phone_number_id": SENDER}
    given = {"messaging_product": "whatsapp", "metadata": about, "contacts": [contact]}
    change = {"field": field, "value": given | value}
    entry = {"id": WABA, "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def status(name, **more):
    one = {
        "id": f"wamid.{name}",
        "status": name,
        "timestamp": "1763640000",
        "recipient_id": "919876543210",
        "biz_opaque_callback_data": REFERENCE,
    }
    return webhook(statuses=[one | more])


def reply(number, **said):
    one = {"from": "919876543210", "id": f"wamid.{number}", "timestamp": "1763640000"}
    return webhook(messages=[one | said])


class TestTransport(TransportContract):
    """Answers become verdicts, webhooks become updates, forgery ends."""

    transport = WhatsAppCloud
    channel = channel("https://graph.facebook.com")
    message = offer("+919876543210", REFERENCE)
    answers = {
        "accepted": Answer(200, b'{"messages": [{"id": "wamid.A"}]}'),
        "rejected": refusal(131026),
        "busy": refusal(130429, 429),
        "halted": refusal(190, 401),
        "unreadable": Answer(502, b"<html>Bad gateway"),
    }
    webhooks = {
        "sent": status("sent"),
        "delivered": status("delivered"),
        "read": status("read"),
        "failed": status("failed", errors=[{"code": 131049, "title": "Not delivered"}]),
        "reply": reply("1", type="text", text={"body": "When do you open?"}),
        "stop": reply("2", type="text", text={"body": "STOP"}),
        "number_changed": reply(
            "3",
            type="system",
            system={"type": "user_changed_number", "wa_id": "919876543211"},
        ),
        "unknown": webhook("something_new", event="of tomorrow"),
    }

    def sign(self, body):
        key = SECRETS["app_secret"].encode()
        signature = hmac.new(key, body, hashlib.sha256).hexdigest()
        return RawWebhook(body, {"x-hub-signature-256": f"sha256={signature}"})
