"""Signed addresses of pages that people open without an account: unguessable, and mute.

A link that is wrong in any way is like one that never was. What it may do is part of what
is signed: a link that stops cannot show a page, and none of another account fits here.
"""

import base64
import binascii
import datetime as dt
import hmac
import struct
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from clarion.base import clock, crypto
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.tenancy.scope import current_account

Kind = Literal["page", "stop", "form", "confirm", "decline"]
PAGE_DAYS = 90
_CODES: dict[Kind, bytes] = {
    "page": b"p",
    "stop": b"s",
    "form": b"f",
    "confirm": b"c",
    "decline": b"d",
}
_BODY = struct.Struct(">c16s16sI")
_MAC = 16


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link is about: an account, and a row of it."""

    account_id: UUID
    row_id: UUID


def sign(kind: Kind, row_id: UUID, *, until: dt.datetime | None = None) -> str:
    """Write the secret part of a link about a row of the present account.

    Args:
        kind: what it may do.
        row_id: a contact, a sign-up, somebody who is signing up.
        until: when it ends; what stops messages never does.
    """
    end = int(until.timestamp()) if until else 0
    body = _BODY.pack(_CODES[kind], current_account().bytes, row_id.bytes, end)
    return base64.urlsafe_b64encode(body + _mac(body)).decode().rstrip("=")


def read_link(kind: Kind, token: str) -> Opened:
    """Open a link of a kind; raises `NotFound`, always alike, for every other."""
    try:
        whole = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise _unknown() from None
    body, mac = whole[:-_MAC], whole[-_MAC:]
    if len(body) != _BODY.size or not hmac.compare_digest(mac, _mac(body)):
        raise _unknown()
    code, account, row, end = _BODY.unpack(body)
    if code != _CODES[kind] or (end and end < clock.now().timestamp()):
        raise _unknown()
    return Opened(UUID(bytes=account), UUID(bytes=row))


def page_of(contact_id: UUID) -> str:
    """Write the link to a person's own page."""
    return sign("page", contact_id, until=clock.now() + dt.timedelta(days=PAGE_DAYS))


def _mac(body: bytes) -> bytes:
    # the platform's key: a wrong link must not even make an account's key be looked for
    return hmac.digest(crypto.signing_key("contact link"), body, "sha256")[:_MAC]


def _unknown() -> NotFound:
    return NotFound("link_unknown", _("This link does not work, or is too old."))
