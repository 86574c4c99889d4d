"""What webhooks say: `split` finds the events, `read` understands one.

Meta adds fields and values without notice, so an unknown one never raises: what cannot
be understood becomes a `Notice`.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from clarion.base.errors import Invalid
from clarion.messaging.contract import (
    IdentityChange,
    Inbound,
    Notice,
    Piece,
    Preference,
    StatusUpdate,
    Update,
    Verdict,
)
from clarion_whatsapp_cloud.wire import limits
from clarion_whatsapp_cloud.wire.health import health
from clarion_whatsapp_cloud.wire.values import (
    Json,
    Object,
    as_code,
    as_dict,
    as_list,
    as_text,
    decode,
    explanation,
)

Judge = Callable[[int | None, str], Verdict]
Identifiers = tuple[tuple[str, str], ...]

EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)

_STATUSES: Mapping[str, Literal["sent", "delivered", "read", "failed"]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",  # a voice message that was listened to
    "failed": "failed",
}
# Other people's conversations from the owner's phone: counted, never kept.
_PRIVATE_FIELDS = frozenset({"history", "smb_message_echoes", "smb_app_state_sync"})


# --- webhooks: find the events


def split(body: bytes) -> Iterator[Piece]:
    """Find every event of a webhook and its unique key. Raises `Invalid` for no JSON."""
    whole = decode(body)
    if whole is None:
        raise Invalid("webhook_unreadable", "The webhook's body is not a JSON object.")
    for entry in map(as_dict, as_list(whole.get("entry"))):
        for change in map(as_dict, as_list(entry.get("changes"))):
            about = {
                "waba": as_text(entry.get("id")),
                "time": entry.get("time"),
                "field": as_text(change.get("field")),
            }
            value = change.get("value")
            yield from _pieces(
                about, value if isinstance(value, dict) else {"value": value}
            )


def _pieces(about: dict[str, Json], value: dict[str, Json]) -> Iterator[Piece]:
    contacts = [as_dict(each) for each in as_list(value.get("contacts"))]
    about = about | {
        "sender": as_text(as_dict(value.get("metadata")).get("phone_number_id"))
    }
    rest = dict(value)
    if about["field"] == "messages":
        for message in map(as_dict, as_list(rest.pop("messages", None))):
            yield _message_piece(about, message, contacts)
        for status in map(as_dict, as_list(rest.pop("statuses", None))):
            yield _status_piece(about, status, contacts)
    # Told by its content too: Meta's own examples name wrong fields.
    for preference in map(as_dict, as_list(rest.pop("user_preferences", None))):
        found = about | {"preference": preference}
        yield _piece(_digest(found), "inbound", found)
    for change in map(as_dict, as_list(rest.pop("user_id_update", None))):
        found = about | {"user_id_update": change}
        yield _piece(_digest(found), "inbound", found)
    for name in ("contacts", "metadata", "messaging_product"):
        rest.pop(name, None)
    if about["field"] in _PRIVATE_FIELDS:
        rest = {name: len(as_list(each)) for name, each in rest.items()}
    if rest:
        found = about | {"value": rest}
        yield _piece(_digest(found), "other", found)


def _piece(
    key: str, kind: Literal["inbound", "status", "other"], found: dict[str, Json]
) -> Piece:
    return Piece(key, kind, found, found["sender"], found["waba"])


def _message_piece(
    about: dict[str, Json], message: dict[str, Json], contacts: list[dict[str, Json]]
) -> Piece:
    who = _contact_of(contacts, message.get("from"), message.get("from_user_id"))
    found = about | {"message": message, "contact": who}
    provider_id = as_text(message.get("id"))
    return _piece(f"in:{provider_id}" if provider_id else _digest(found), "inbound", found)


def _status_piece(
    about: dict[str, Json], status: dict[str, Json], contacts: list[dict[str, Json]]
) -> Piece:
    who = _contact_of(contacts, status.get("recipient_id"), status.get("recipient_user_id"))
    # What a status is about is the message; names are of no use here.
    found = about | {"status": status, "contact": _without_profile(who)}
    provider_id, word = as_text(status.get("id")), as_text(status.get("status"))
    if not (provider_id and word):
        return _piece(_digest(found), "other", found)
    return _piece(
        f"{provider_id}:{word}:{as_text(status.get('timestamp'))}", "status", found
    )


def _contact_of(
    contacts: list[dict[str, Json]], wa_id: Json, user_id: Json
) -> dict[str, Json]:
    """Pick the contact a message or status belongs to: one webhook may carry several."""
    for contact in contacts:
        if (wa_id and contact.get("wa_id") == wa_id) or (
            user_id and contact.get("user_id") == user_id
        ):
            return contact
    nobody_named = not (wa_id or user_id)
    return contacts[0] if nobody_named and len(contacts) == 1 else {}


def _without_profile(contact: Object) -> dict[str, Json]:
    return {name: value for name, value in contact.items() if name != "profile"}


def _digest(found: Object) -> str:
    canonical = json.dumps(found, sort_keys=True, separators=(",", ":"))
    return "#" + hashlib.sha256(canonical.encode()).hexdigest()


# --- webhooks: read one event


def read(piece: Object, judge: Judge) -> Iterator[Update]:
    """Read one event that `split` found. `judge` gives a failure's code its verdict."""
    if "message" in piece:
        yield _inbound(piece, as_dict(piece["message"]))
    elif "status" in piece:
        yield _status(piece, as_dict(piece["status"]), judge)
    elif "user_id_update" in piece:
        yield _id_change(piece, as_dict(piece["user_id_update"]))
    elif "preference" in piece:
        yield _preference(piece, as_dict(piece["preference"]))
    else:
        value = as_dict(piece.get("value"))
        yield _notice(piece, value)
        yield from health(as_text(piece.get("field")), value)


def _inbound(piece: Object, message: Object) -> Inbound | IdentityChange | Notice:
    kind = as_text(message.get("type")) or "unknown"
    sender, provider_id = as_text(piece.get("sender")), as_text(message.get("id"))
    if kind == "system" or not provider_id:  # not written by a person
        what = as_dict(message.get("system"))
        change = _number_change(piece, message, what)
        if change is not None:
            return change
        detail = {"identifiers": _people(piece, message), "system": dict(what)}
        return Notice("messages.system", sender, as_text(what.get("type")), detail)
    text, payload = _words(kind, as_dict(message.get(kind)))
    return Inbound(
        provider_id=provider_id,
        sender=sender,
        identifiers=_people(piece, message),
        at=_moment(message.get("timestamp"), piece.get("time")),
        text=text,
        payload=payload,
        kind=kind,
        profile_name=as_text(
            as_dict(as_dict(piece.get("contact")).get("profile")).get("name")
        ),
        reply_to=as_text(as_dict(message.get("context")).get("id")) or None,
    )


def _number_change(piece: Object, message: Object, what: Object) -> IdentityChange | None:
    """Read that somebody moved to another number; their id changes with it.

    `new_wa_id` and `customer` are the words of older versions.
    """
    new = as_text(what.get("wa_id") or what.get("new_wa_id"))
    if as_text(what.get("type")) != "user_changed_number" and not what.get("new_wa_id"):
        return None
    old = as_text(message.get("from") or what.get("customer"))
    ids = [
        (kind, as_text(message.get(f"from_{key}")), as_text(what.get(key)))
        for kind, key in (("bsuid", "user_id"), ("parent_bsuid", "parent_user_id"))
    ]
    # an id without a new one beside it may be the one they have now
    before = [(kind, had) for kind, had, has in ids if has and had != has]
    after = [(kind, has) for kind, _had, has in ids]
    if not new or new.lstrip("+") == old.lstrip("+"):
        return None
    return IdentityChange(
        before=_identifiers([("phone", _plus(old)), *before]),
        after=_identifiers([("phone", _plus(new)), *after]),
        at=_moment(message.get("timestamp"), piece.get("time")),
    )


def _id_change(piece: Object, change: Object) -> IdentityChange:
    """Read that somebody's business-scoped ids changed; the number is theirs now."""
    before, after = [], []
    for kind, key in (("bsuid", "user_id"), ("parent_bsuid", "parent_user_id")):
        both = as_dict(change.get(key))
        before.append((kind, as_text(both.get("previous"))))
        after.append((kind, as_text(both.get("current"))))
    after.append(("phone", _plus(as_text(change.get("wa_id")))))
    at = _moment(change.get("timestamp"), piece.get("time"))
    return IdentityChange(_identifiers(before), _identifiers(after), at, "id")


def _words(kind: str, content: Object) -> tuple[str, str]:
    """Find what a person wrote or pressed: (text, payload of the button)."""
    if kind == "button":
        return as_text(content.get("text")), as_text(content.get("payload"))
    if kind == "interactive":
        reply = as_dict(content.get(as_text(content.get("type"))))
        return as_text(reply.get("title") or reply.get("body")), as_text(reply.get("id"))
    if kind == "reaction":
        return as_text(content.get("emoji")), ""
    return as_text(content.get("body") or content.get("caption")), ""


def _people(piece: Object, message: Object) -> Identifiers:
    """Name the person behind a message in every way the event does.

    `phone` is what WhatsApp shows as the number; in Brazil and Mexico it may differ
    from the number the account wrote to, in the old mobile prefix.
    """
    contact = as_dict(piece.get("contact"))
    phones = [as_text(message.get("from")), as_text(contact.get("wa_id"))]
    for shared in map(as_dict, as_list(message.get("contacts"))):
        # The person's own number, given by the "share my number" button.
        if shared.get("origin") == "contact_request":
            phones += [
                as_text(as_dict(p).get("wa_id")) for p in as_list(shared.get("phones"))
            ]
    found = [(kind, phone) for phone in phones if phone for kind in ("wa_id", "phone")]
    return _identifiers(
        [(kind, value if kind == "wa_id" else _plus(value)) for kind, value in found]
        + [
            ("bsuid", as_text(message.get("from_user_id") or contact.get("user_id"))),
            (
                "parent_bsuid",
                as_text(
                    message.get("from_parent_user_id") or contact.get("parent_user_id")
                ),
            ),
            ("username", as_text(as_dict(contact.get("profile")).get("username"))),
        ]
    )


def _status(piece: Object, status: Object, judge: Judge) -> StatusUpdate | Notice:
    provider_id, word = as_text(status.get("id")), as_text(status.get("status"))
    known = _STATUSES.get(word)
    if known is None or not provider_id:
        return Notice("messages.status", provider_id, word, dict(status))
    verdict, code = None, ""
    if known == "failed":
        found = as_dict(next(iter(as_list(status.get("errors"))), None))
        number = as_code(found.get("code"))
        verdict = judge(number, explanation(found))
        code = "" if number is None else str(number)
    return StatusUpdate(
        provider_id=provider_id,
        status=known,
        at=_moment(status.get("timestamp"), piece.get("time")),
        reference=as_text(status.get("biz_opaque_callback_data")) or None,
        verdict=verdict,
        code=code,
        pricing=as_dict(status.get("pricing")) or None,
        recipients=_recipients(status, as_dict(piece.get("contact"))),
    )


def _recipients(status: Object, contact: Object) -> Identifiers:
    parent = status.get("recipient_parent_user_id") or contact.get("parent_user_id")
    return _identifiers(
        [
            ("wa_id", as_text(status.get("recipient_id") or contact.get("wa_id"))),
            ("bsuid", as_text(status.get("recipient_user_id") or contact.get("user_id"))),
            ("parent_bsuid", as_text(parent)),
        ]
    )


def _preference(piece: Object, preference: Object) -> Preference | Notice:
    wants = preference.get("value")
    if wants not in {"stop", "resume"}:
        about = as_text(piece.get("sender"))
        return Notice("user_preferences", about, as_text(wants), dict(preference))
    wa_id = as_text(preference.get("wa_id"))
    return Preference(
        identifiers=_identifiers(
            [
                ("wa_id", wa_id),
                ("phone", _plus(wa_id)),
                ("bsuid", as_text(preference.get("user_id"))),
                ("parent_bsuid", as_text(preference.get("parent_user_id"))),
            ]
        ),
        wants=wants,
        at=_moment(preference.get("timestamp"), piece.get("time")),
    )


def _notice(piece: Object, value: Object) -> Notice:
    field = as_text(piece.get("field"))
    if "new_quality_score" in value:
        field = "message_template_quality_update"
    if "errors" in value:
        return Notice(f"{field}.errors", as_text(piece.get("sender")), "", dict(value))
    subject = next(
        (
            as_text(value[name])
            for name in ("message_template_id", "entity_id", "display_phone_number")
            if value.get(name)
        ),
        as_text(piece.get("sender")) or as_text(piece.get("waba")),
    )
    event = next(
        (
            as_text(value[name])
            for name in ("event", "decision", "new_quality_score", "new_category")
            if value.get(name)
        ),
        "",
    )
    at = _moment(piece.get("time"))
    said = limits.of_notice(field, value, None if at == EPOCH else at)
    return Notice(field, subject, event, dict(value), said)


def _plus(wa_id: str) -> str:
    return f"+{wa_id.lstrip('+')}" if wa_id else ""


def _identifiers(found: list[tuple[str, str]]) -> Identifiers:
    return tuple(dict.fromkeys((kind, value) for kind, value in found if value))


def _moment(*candidates: Json) -> dt.datetime:
    """Read the first usable time, seconds or milliseconds; the epoch when there is none."""
    for candidate in candidates:
        seconds = as_code(candidate) or 0
        if seconds > 100_000_000_000:
            seconds //= 1000
        if 0 < seconds < 100_000_000_000:
            return dt.datetime.fromtimestamp(seconds, dt.UTC)
    return EPOCH
