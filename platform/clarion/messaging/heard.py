"""What a person wrote to us, opened again for whoever may act on it."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from clarion.base import crypto, db
from clarion.messaging.models import InboundMessage
from clarion.tenancy.scope import current_account


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of a person.

    Attributes:
        id: of the message.
        contact_id: whose it is; None for a stranger.
        sender_id: the number they wrote to.
        text: their words.
        meaning: stop, start, maybe, or empty for an everyday message.
        named: every (kind, value) they were named by.
        at: when they wrote.
    """

    id: UUID
    contact_id: UUID | None
    sender_id: UUID | None
    text: str
    meaning: str
    named: tuple[tuple[str, str], ...]
    at: dt.datetime


def read(inbound_id: UUID) -> Heard | None:
    """Open a message; None when it is gone."""
    query = select(InboundMessage).where(
        InboundMessage.account_id == current_account(), InboundMessage.id == inbound_id
    )
    row = db.session().scalar(query)
    if row is None:
        return None
    body = crypto.unseal(
        row.body, place=f"inbound_message.body:{row.id}", account_id=current_account()
    )
    return Heard(
        row.id,
        row.contact_id,
        row.sender_id,
        body.decode(),
        row.meaning,
        _names(row),
        row.sent_at,
    )


def seal_names(inbound_id: UUID, named: Sequence[tuple[str, str]]) -> bytes:
    """Close the identifiers a message came with, for its row."""
    place = f"inbound_message.named:{inbound_id}"
    return crypto.seal(json.dumps(list(named)), place=place, account_id=current_account())


def _names(row: InboundMessage) -> tuple[tuple[str, str], ...]:
    if row.named is None:
        return ()
    place = f"inbound_message.named:{row.id}"
    opened = crypto.unseal(row.named, place=place, account_id=current_account())
    return tuple((kind, value) for kind, value in json.loads(opened))
