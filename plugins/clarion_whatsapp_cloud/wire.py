"""The Cloud API's JSON: messages out, answers and webhooks in. Pure: no network, no clock.

Meta adds fields and values without notice, so reading never raises on an unknown one:
what cannot be understood becomes a `Notice`, or nothing.
"""

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from clarion.base.errors import Invalid
from clarion.messaging.contract import (
    Accepted,
    Inbound,
    Message,
    Notice,
    Part,
    Piece,
    Preference,
    Rejected,
    StatusUpdate,
    TemplateButton,
    TemplateText,
    TemplateUse,
    TemplateVerdict,
    Update,
    Verdict,
)

# Values of decoded JSON: any type until looked at.
Json = Any
Object = Mapping[str, Json]
Judge = Callable[[int | None, str], Verdict]
Identifiers = tuple[tuple[str, str], ...]

EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)

_DEPTH = 32
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_DIGITS = re.compile(r"\d[\d\s().-]{5,}\d")
_STATUSES: Mapping[str, Literal["sent", "delivered", "read", "failed"]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",  # a voice message that was listened to
    "failed": "failed",
}
_VARIABLE = re.compile(r"\{\{([a-z0-9_]+)\}\}")
_TEMPLATE_STATES: Mapping[
    str, Literal["in_review", "approved", "rejected", "paused", "disabled"]
] = {
    "APPROVED": "approved",
    "FLAGGED": "approved",  # at risk, but it may be sent
    "LOCKED": "approved",  # not to be edited
    "REINSTATED": "approved",
    "UNARCHIVED": "approved",
    "PENDING": "in_review",
    "IN_APPEAL": "in_review",
    "REJECTED": "rejected",
    "PAUSED": "paused",
    "DISABLED": "disabled",
    "ARCHIVED": "disabled",
    "LIMIT_EXCEEDED": "disabled",
    "PENDING_DELETION": "disabled",
    "DELETED": "disabled",
}
# Other people's conversations from the owner's phone: counted, never kept.
_PRIVATE_FIELDS = frozenset({"history", "smb_message_echoes", "smb_app_state_sync"})


# --- out


def encode(message: Message) -> dict[str, Json]:
    """Write the request of one message.

    Raises `Rejected` for an address that could reach a stranger: without `+` the
    provider would put the sender's own country code in front.
    """
    body: dict[str, Json] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_recipient(message),
    }
    if message.template is not None:
        body |= {"type": "template", "template": _template(message.template)}
    else:
        body |= {"type": "text", "text": {"body": message.text, "preview_url": False}}
    if message.reference:
        body["biz_opaque_callback_data"] = message.reference
    return body


def _recipient(message: Message) -> dict[str, str]:
    if message.to_kind == "bsuid":
        if not _BSUID.fullmatch(message.to):
            raise Rejected("bad_address", detail="not a business-scoped user id")
        return {"recipient": message.to}
    if not _PHONE.fullmatch(message.to):
        raise Rejected("bad_address", detail="not a phone number with + and country code")
    return {"to": message.to}


def _template(template: TemplateUse) -> dict[str, Json]:
    named = template.parameter_format == "named"
    components = [
        _component(part, named=named) for part in template.parts if part.variables
    ]
    written: dict[str, Json] = {
        "name": template.name,
        "language": {"code": template.language},
    }
    return written | ({"components": components} if components else {})


def _component(part: Part, *, named: bool) -> dict[str, Json]:
    if part.kind == "button":
        quick_reply = part.button == "quick_reply"
        kind = "payload" if quick_reply else "text"
        return {
            "type": "button",
            "sub_type": "quick_reply" if quick_reply else "url",
            "index": str(part.index),
            # Buttons are told apart by position: their variables carry no name.
            "parameters": [{"type": kind, kind: text} for text in part.variables.values()],
        }
    return {
        "type": part.kind,
        "parameters": [
            {"type": "text", **({"parameter_name": name} if named else {}), "text": text}
            for name, text in part.variables.items()
        ],
    }


# --- templates


def encode_template(template: TemplateText) -> dict[str, Json]:
    """Write the request that hands a template in for review."""
    components: list[dict[str, Json]] = []
    for kind, words in (("HEADER", template.header), ("BODY", template.body)):
        if words:
            components.append(_wording(kind, words, template.samples))
    if template.footer:
        components.append({"type": "FOOTER", "text": template.footer})
    if template.buttons:
        buttons = [_template_button(each, template.samples) for each in template.buttons]
        components.append({"type": "BUTTONS", "buttons": buttons})
    return {
        "name": template.name,
        "language": template.language,
        "category": template.category.upper(),
        "parameter_format": "NAMED",
        "components": components,
    }


def _wording(kind: str, words: str, samples: Mapping[str, str]) -> dict[str, Json]:
    names = dict.fromkeys(_VARIABLE.findall(words))
    examples = [{"param_name": n, "example": samples.get(n, "")} for n in names]
    written: dict[str, Json] = {"type": kind, "text": words}
    if kind == "HEADER":
        written["format"] = "TEXT"
    if examples:
        written["example"] = {f"{kind.lower()}_text_named_params": examples}
    return written


def _template_button(button: TemplateButton, samples: Mapping[str, str]) -> dict[str, Json]:
    if button.kind == "quick_reply":
        return {"type": "QUICK_REPLY", "text": button.text}
    written: dict[str, Json] = {"type": "URL", "text": button.text}
    # The provider counts variables of addresses, also where texts have named ones.
    written["url"] = _VARIABLE.sub("{{1}}", button.url)
    if written["url"] != button.url:
        filled = _VARIABLE.sub(lambda found: samples.get(found[1], ""), button.url)
        written["example"] = [filled]
    return written


def template_verdict(answer: Object) -> TemplateVerdict | None:
    """Read what the provider says about a template. `None`: the answer names none.

    A status we do not know is no permission: it counts as under review.
    """
    provider_id = _text(answer.get("id"))
    if not provider_id:
        return None
    body = next(
        (
            _text(part.get("text"))
            for part in map(_dict, _list(answer.get("components")))
            if _text(part.get("type")).upper() == "BODY"
        ),
        "",
    )
    reason = _text(answer.get("rejected_reason"))
    return TemplateVerdict(
        provider_id=provider_id,
        status=_TEMPLATE_STATES.get(_text(answer.get("status")).upper(), "in_review"),
        reason="" if reason == "NONE" else reason,
        category=_text(answer.get("category")).lower(),
        body=body,
    )


def find_template(answer: Object, name: str, language: str) -> TemplateVerdict | None:
    """Find one template in a list: names are searched by their beginning."""
    for found in map(_dict, _list(answer.get("data"))):
        same = _text(found.get("language")).replace("-", "_") == language
        if same and _text(found.get("name")) == name:
            return template_verdict(found)
    return None


# --- answers


def decode(body: bytes) -> Object | None:
    """Read a body. `None`: it is not a JSON object, or nested beyond reason.

    What comes out can be stored: no NUL, no half characters, no infinite numbers.
    """
    try:
        value = _clean(json.loads(body.decode(), parse_constant=_refuse), _DEPTH)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _clean(value: Json, depth: int) -> Json:
    if isinstance(value, str):
        whole = value if value.isascii() else value.encode("utf-8", "replace").decode()
        return whole.replace("\x00", "")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_clean(each, depth - 1) for each in value]
    return {_clean(name, 0): _clean(each, depth - 1) for name, each in value.items()}


def _refuse(constant: str) -> Json:
    raise ValueError(constant)


def accepted(answer: Object, to: str) -> Accepted | None:
    """Find the provider's id of the one message we sent. `None`: there is no such thing.

    An answer that names another recipient is not an answer to us.
    """
    messages = _list(answer.get("messages"))
    if len(messages) != 1:
        return None
    message = _dict(messages[0])
    provider_id = _text(message.get("id"))
    contact = _dict(next(iter(_list(answer.get("contacts"))), None))
    named = _text(contact.get("input"))
    if not provider_id or (named and _bare(named) != _bare(to)):
        return None
    held = message.get("message_status") not in {None, "accepted"}
    return Accepted(provider_id, held=held)


def problem(answer: Object) -> tuple[int, str] | None:
    """Find the error code and its explanation. `None`: the answer is no error of theirs."""
    found = _dict(answer.get("error")) or _dict(
        next(iter(_list(answer.get("errors"))), None)
    )
    code = _code(found.get("code"))
    return None if code is None else (code, _explanation(found))


def _explanation(error: Object) -> str:
    """The provider's words, without anything that could be a phone number."""
    details = _dict(error.get("error_data")).get("details")
    words = _text(details) or _text(error.get("message")) or _text(error.get("title"))
    return _DIGITS.sub("…", words)[:300]


# --- webhooks: find the events


def split(body: bytes) -> Iterator[Piece]:
    """Find every event of a webhook and its unique key. Raises `Invalid` for no JSON."""
    whole = decode(body)
    if whole is None:
        raise Invalid("webhook_unreadable", "The webhook's body is not a JSON object.")
    for entry in map(_dict, _list(whole.get("entry"))):
        for change in map(_dict, _list(entry.get("changes"))):
            about = {
                "waba": _text(entry.get("id")),
                "time": entry.get("time"),
                "field": _text(change.get("field")),
            }
            value = change.get("value")
            yield from _pieces(
                about, value if isinstance(value, dict) else {"value": value}
            )


def _pieces(about: dict[str, Json], value: dict[str, Json]) -> Iterator[Piece]:
    contacts = [_dict(each) for each in _list(value.get("contacts"))]
    about = about | {"sender": _text(_dict(value.get("metadata")).get("phone_number_id"))}
    rest = dict(value)
    if about["field"] == "messages":
        for message in map(_dict, _list(rest.pop("messages", None))):
            yield _message_piece(about, message, contacts)
        for status in map(_dict, _list(rest.pop("statuses", None))):
            yield _status_piece(about, status, contacts)
    # Told by its content too: Meta's own examples name wrong fields.
    for preference in map(_dict, _list(rest.pop("user_preferences", None))):
        found = about | {"preference": preference}
        yield Piece(_digest(found), "inbound", found)
    for name in ("contacts", "metadata", "messaging_product"):
        rest.pop(name, None)
    if about["field"] in _PRIVATE_FIELDS:
        rest = {name: len(_list(each)) for name, each in rest.items()}
    if rest:
        found = about | {"value": rest}
        yield Piece(_digest(found), "other", found)


def _message_piece(
    about: dict[str, Json], message: dict[str, Json], contacts: list[dict[str, Json]]
) -> Piece:
    who = _contact_of(contacts, message.get("from"), message.get("from_user_id"))
    found = about | {"message": message, "contact": who}
    provider_id = _text(message.get("id"))
    return Piece(f"in:{provider_id}" if provider_id else _digest(found), "inbound", found)


def _status_piece(
    about: dict[str, Json], status: dict[str, Json], contacts: list[dict[str, Json]]
) -> Piece:
    who = _contact_of(contacts, status.get("recipient_id"), status.get("recipient_user_id"))
    # What a status is about is the message; names are of no use here.
    found = about | {"status": status, "contact": _without_profile(who)}
    provider_id, word = _text(status.get("id")), _text(status.get("status"))
    if not (provider_id and word):
        return Piece(_digest(found), "other", found)
    return Piece(f"{provider_id}:{word}:{_text(status.get('timestamp'))}", "status", found)


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
        yield _inbound(piece, _dict(piece["message"]))
    elif "status" in piece:
        yield _status(piece, _dict(piece["status"]), judge)
    elif "preference" in piece:
        yield _preference(piece, _dict(piece["preference"]))
    else:
        yield _notice(piece, _dict(piece.get("value")))


def _inbound(piece: Object, message: Object) -> Inbound | Notice:
    kind = _text(message.get("type")) or "unknown"
    sender, provider_id = _text(piece.get("sender")), _text(message.get("id"))
    if kind == "system" or not provider_id:  # not written by a person
        what = _dict(message.get("system"))
        detail = {"identifiers": _people(piece, message), "system": dict(what)}
        return Notice("messages.system", sender, _text(what.get("type")), detail)
    text, payload = _words(kind, _dict(message.get(kind)))
    return Inbound(
        provider_id=provider_id,
        sender=sender,
        identifiers=_people(piece, message),
        at=_moment(message.get("timestamp"), piece.get("time")),
        text=text,
        payload=payload,
        kind=kind,
        profile_name=_text(_dict(_dict(piece.get("contact")).get("profile")).get("name")),
        reply_to=_text(_dict(message.get("context")).get("id")) or None,
    )


def _words(kind: str, content: Object) -> tuple[str, str]:
    """Find what a person wrote or pressed: (text, payload of the button)."""
    if kind == "button":
        return _text(content.get("text")), _text(content.get("payload"))
    if kind == "interactive":
        reply = _dict(content.get(_text(content.get("type"))))
        return _text(reply.get("title") or reply.get("body")), _text(reply.get("id"))
    if kind == "reaction":
        return _text(content.get("emoji")), ""
    return _text(content.get("body") or content.get("caption")), ""


def _people(piece: Object, message: Object) -> Identifiers:
    """Name the person behind a message in every way the event does.

    `phone` is what WhatsApp shows as the number; in Brazil and Mexico it may differ
    from the number the account wrote to, in the old mobile prefix.
    """
    contact = _dict(piece.get("contact"))
    phones = [_text(message.get("from")), _text(contact.get("wa_id"))]
    for shared in map(_dict, _list(message.get("contacts"))):
        # The person's own number, given by the "share my number" button.
        if shared.get("origin") == "contact_request":
            phones += [_text(_dict(p).get("wa_id")) for p in _list(shared.get("phones"))]
    found = [(kind, phone) for phone in phones if phone for kind in ("wa_id", "phone")]
    return _identifiers(
        [(kind, value if kind == "wa_id" else _plus(value)) for kind, value in found]
        + [
            ("bsuid", _text(message.get("from_user_id") or contact.get("user_id"))),
            (
                "parent_bsuid",
                _text(message.get("from_parent_user_id") or contact.get("parent_user_id")),
            ),
        ]
    )


def _status(piece: Object, status: Object, judge: Judge) -> StatusUpdate | Notice:
    provider_id, word = _text(status.get("id")), _text(status.get("status"))
    known = _STATUSES.get(word)
    if known is None or not provider_id:
        return Notice("messages.status", provider_id, word, dict(status))
    verdict, code = None, ""
    if known == "failed":
        found = _dict(next(iter(_list(status.get("errors"))), None))
        number = _code(found.get("code"))
        verdict = judge(number, _explanation(found))
        code = "" if number is None else str(number)
    return StatusUpdate(
        provider_id=provider_id,
        status=known,
        at=_moment(status.get("timestamp"), piece.get("time")),
        reference=_text(status.get("biz_opaque_callback_data")) or None,
        verdict=verdict,
        code=code,
        pricing=_dict(status.get("pricing")) or None,
        recipients=_recipients(status, _dict(piece.get("contact"))),
    )


def _recipients(status: Object, contact: Object) -> Identifiers:
    parent = status.get("recipient_parent_user_id") or contact.get("parent_user_id")
    return _identifiers(
        [
            ("wa_id", _text(status.get("recipient_id") or contact.get("wa_id"))),
            ("bsuid", _text(status.get("recipient_user_id") or contact.get("user_id"))),
            ("parent_bsuid", _text(parent)),
        ]
    )


def _preference(piece: Object, preference: Object) -> Preference | Notice:
    wants = preference.get("value")
    if wants not in {"stop", "resume"}:
        about = _text(piece.get("sender"))
        return Notice("user_preferences", about, _text(wants), dict(preference))
    wa_id = _text(preference.get("wa_id"))
    return Preference(
        identifiers=_identifiers(
            [
                ("wa_id", wa_id),
                ("phone", _plus(wa_id)),
                ("bsuid", _text(preference.get("user_id"))),
                ("parent_bsuid", _text(preference.get("parent_user_id"))),
            ]
        ),
        wants=wants,
        at=_moment(preference.get("timestamp"), piece.get("time")),
    )


def _notice(piece: Object, value: Object) -> Notice:
    field = _text(piece.get("field"))
    if "new_quality_score" in value:
        field = "message_template_quality_update"
    if "errors" in value:
        return Notice(f"{field}.errors", _text(piece.get("sender")), "", dict(value))
    subject = next(
        (
            _text(value[name])
            for name in ("message_template_id", "entity_id", "display_phone_number")
            if value.get(name)
        ),
        _text(piece.get("sender")) or _text(piece.get("waba")),
    )
    event = next(
        (
            _text(value[name])
            for name in ("event", "decision", "new_quality_score", "new_category")
            if value.get(name)
        ),
        "",
    )
    return Notice(field, subject, event, dict(value))


# --- values of unknown type


def _dict(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _text(value: Json) -> str:
    """A string or a number as text: ids of templates come as both."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _code(value: Json) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value) if len(value) < 19 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _plus(wa_id: str) -> str:
    return f"+{wa_id.lstrip('+')}" if wa_id else ""


def _bare(address: str) -> str:
    """An address without the marks the provider tolerates and may drop."""
    return "".join(each for each in address if each.isalnum()).upper()


def _identifiers(found: list[tuple[str, str]]) -> Identifiers:
    return tuple(dict.fromkeys((kind, value) for kind, value in found if value))


def _moment(*candidates: Json) -> dt.datetime:
    """Read the first usable time, seconds or milliseconds; the epoch when there is none."""
    for candidate in candidates:
        seconds = _code(candidate) or 0
        if seconds > 100_000_000_000:
            seconds //= 1000
        if 0 < seconds < 100_000_000_000:
            return dt.datetime.fromtimestamp(seconds, dt.UTC)
    return EPOCH
