"""Webhooks as Meta sends them: signed bodies of 1 to 1,000 statuses about real messages."""

import hashlib
import hmac
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

SECRET = b"test-secret"  # of `make_sender`
LARGEST = 1_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was accepted: what its statuses repeat."""

    wamid: str
    reference: str


@dataclass(frozen=True, slots=True)
class Body:
    """One webhook, signed."""

    content: bytes
    signature: str
    updates: int


def statuses(sent: Sequence[Sent], seed: int = 1) -> list[Body]:
    """Write the life of each message in bodies of mixed size: sent, delivered, 7 in 10 read.

    One in ten comes without our token, and must be found by the provider's id. The order
    is nearly, not quite, that of life: bodies overtake each other.
    """
    chance = random.Random(seed)
    told = [
        (position + later, status(one, word, chance))
        for position, one in enumerate(sent)
        for word, later in (("sent", 200), ("delivered", 700), ("read", 2_000))
        if word != "read" or chance.random() < 0.7
    ]
    told.sort(key=lambda each: each[0] + chance.random() * 400)
    return list(_bodies([text for _at, text in told], chance))


def status(one: Sent, word: str, chance: random.Random) -> str:
    """Write one status as Meta does."""
    token = (
        f',"biz_opaque_callback_data":"{one.reference}"' if chance.random() < 0.9 else ""
    )
    price = (
        ',"pricing":{"billable":true,"pricing_model":"PMP","type":"regular",'
        '"category":"marketing"}'
        if word != "read"
        else ""
    )
    return (
        f'{{"id":"{one.wamid}","status":"{word}","timestamp":"1790000000",'
        f'"recipient_id":"55119400{chance.randrange(10**5):05d}"{token}{price}}}'
    )


def inbound(number: str, text: str, wamid: str) -> Body:
    """Write a message of a person."""
    message = {
        "from": number.lstrip("+"),
        "id": wamid,
        "timestamp": "1790000000",
        "type": "text",
        "text": {"body": text},
    }
    contact = {"wa_id": number.lstrip("+"), "profile": {"name": "Ana"}}
    return _signed(
        f'"contacts":[{json.dumps(contact)}],"messages":[{json.dumps(message)}]', 1
    )


def _bodies(told: Sequence[str], chance: random.Random) -> Iterator[Body]:
    """Cut into sizes from 1 to 1,000, small ones as frequent as large ones."""
    start = 0
    while start < len(told):
        size = round(LARGEST ** chance.random())
        some = told[start : start + size]
        yield _signed(f'"statuses":[{",".join(some)}]', len(some))
        start += size


def _signed(members: str, updates: int) -> Body:
    content = (
        '{"object":"whatsapp_business_account","entry":[{"id":"9900","time":1790000000,'
        '"changes":[{"value":{"messaging_product":"whatsapp","metadata":{'
        '"display_phone_number":"5511955500147","phone_number_id":"5550147"},'
        f'{members}}},"field":"messages"}}]}}]}}'
    ).encode()
    signature = hmac.new(SECRET, content, hashlib.sha256).hexdigest()
    return Body(content, f"sha256={signature}", updates)


def reference(by: str, message_id: UUID) -> str:
    """Write the callback token of a first attempt."""
    return f"{by}.{message_id.hex}.1"
