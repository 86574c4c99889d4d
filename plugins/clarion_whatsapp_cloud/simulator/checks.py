"""Validates a message request the way the Cloud API does: what it refuses and how."""

import re
from dataclasses import dataclass, field
from typing import Any

from clarion_whatsapp_cloud.simulator.world import Number, Template, World

ENVELOPE = frozenset(
    {
        "messaging_product",
        "recipient_type",
        "to",
        "recipient",
        "type",
        "biz_opaque_callback_data",
        "context",
        "recipient_identity_key_hash",
        "product_policy",
        "message_activity_sharing",
    }
)
KINDS = frozenset(
    {
        "text",
        "template",
        "image",
        "video",
        "audio",
        "document",
        "sticker",
        "reaction",
        "location",
        "contacts",
        "interactive",
    }
)
BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
TOLERATED = str.maketrans("", "", " -()")
# Status by code; everything else is 400. Nobody should rely on it.
HTTP = {
    0: 401,
    190: 401,
    3: 403,
    10: 403,
    131005: 403,
    368: 403,
    131031: 403,
    132001: 404,
    4: 429,
    80007: 429,
    130429: 429,
    131048: 429,
    131056: 429,
    133016: 429,
    1: 500,
    131000: 500,
    131057: 500,
    2: 503,
    131016: 503,
    133004: 503,
}
TITLES = {
    4: "Application request limit reached",
    100: "Invalid parameter",
    190: "Invalid OAuth access token - Cannot parse access token",
    130429: "Rate limit hit",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131026: "Message undeliverable",
    131047: "Re-engagement message",
    131049: "This message was not delivered to maintain healthy ecosystem engagement.",
    131050: "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    131062: "Business-scoped user id is not supported for this message",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
    132005: "Translated text too long",
    132012: "Parameter format does not match format in the created template",
    132015: "Template is paused",
    132016: "Template is disabled",
    132018: "There is an issue with the parameters in your template",
}
CODES = {"PAUSED": 132015, "DISABLED": 132016}


class Refusal(Exception):
    """An error of the provider's kind."""

    def __init__(
        self, code: int, details: str = "", *, http: int = 0, retry_after: int = 0
    ) -> None:
        super().__init__(code, details)
        self.code, self.details, self.retry_after = code, details, retry_after
        self.http = http or HTTP.get(code, 400)

    def body(self) -> dict[str, Any]:
        title = TITLES.get(self.code, "Error")
        error: dict[str, Any] = {
            "message": f"(#{self.code}) {title}",
            "type": "OAuthException",
            "code": self.code,
            "fbtrace_id": "AsIm_0000000000000000000",
        }
        if self.details:
            error["error_data"] = {
                "messaging_product": "whatsapp",
                "details": self.details,
            }
        return {"error": error}


@dataclass(slots=True)
class Outgoing:
    """A message that passed all checks. `person` is how the recipient is known here."""

    to: str
    given: str
    kind: str
    person: str
    reference: str
    bsuid: bool = False
    template: Template | None = None
    params: dict[str, dict[str, str]] = field(default_factory=dict)
    text: str = ""


def read(body: Any, number: Number, world: World) -> Outgoing:
    """Check a request and find out to whom and what. Raises `Refusal`."""
    if not isinstance(body, dict):
        raise Refusal(100, "The request body is not a JSON object.")
    if body.get("messaging_product") != "whatsapp":
        raise Refusal(100, "The parameter messaging_product is required.")
    kind = body.get("type", "text")
    if kind not in KINDS:
        raise Refusal(100, f"Param type must be one of {', '.join(sorted(KINDS))}.")
    unknown = body.keys() - ENVELOPE - {kind}
    if unknown:
        raise Refusal(100, f"Unexpected key {min(unknown)!r} on param message.")
    if body.get("recipient_type", "individual") != "individual":
        raise Refusal(100, "Param recipient_type must be individual.")
    reference = body.get("biz_opaque_callback_data", "")
    if not isinstance(reference, str) or len(reference) > 512:
        raise Refusal(100, "Param biz_opaque_callback_data must be at most 512 characters.")
    content = body.get(kind)
    outgoing = _recipient(body, kind, reference, number)
    if kind == "contacts" and isinstance(content, list) and content:
        return outgoing
    if not content or not isinstance(content, dict):
        raise Refusal(131008, f"Required parameter {kind} is missing.")
    if kind == "template":
        _template(outgoing, content, number, world)
    elif kind == "text":
        _text(outgoing, content)
    return outgoing


def _recipient(body: dict[str, Any], kind: str, reference: str, number: Number) -> Outgoing:
    given = body.get("to")
    if given:
        if not isinstance(given, str):
            raise Refusal(100, "Param to must be a string.")
        digits = given.translate(TOLERATED)
        plus, digits = digits[:1] == "+", digits.lstrip("+")
        if not (digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 20):
            raise Refusal(131009, "Parameter value is not valid: to")
        if not plus:  # the trap of the real one: it may become a stranger's number
            digits = number.display[:1] + digits
        if digits == number.display:
            raise Refusal(131021, "Sender and recipient are the same.")
        return Outgoing("+" + digits, given, kind, digits, reference)
    given = body.get("recipient")
    if not given:
        raise Refusal(100, "Either to or recipient is required.")
    if not isinstance(given, str) or not BSUID.fullmatch(given):
        raise Refusal(131009, "Parameter value is not valid: recipient")
    return Outgoing(given, given, kind, given, reference, bsuid=True)


def _text(outgoing: Outgoing, content: dict[str, Any]) -> None:
    unknown = content.keys() - {"body", "preview_url"}
    if unknown:
        raise Refusal(100, f"Unexpected key {min(unknown)!r} on param text.")
    text = content.get("body")
    if not isinstance(text, str) or not text:
        raise Refusal(131008, "Required parameter text['body'] is missing.")
    if len(text) > 4096:
        raise Refusal(100, "Param text['body'] must be at most 4096 characters long.")
    outgoing.text = text


def _template(
    outgoing: Outgoing, content: dict[str, Any], number: Number, world: World
) -> None:
    unknown = content.keys() - {"name", "language", "components", "namespace"}
    if unknown:
        raise Refusal(100, f"Unexpected key {min(unknown)!r} on param template.")
    name, language = content.get("name"), content.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    if not (isinstance(name, str) and isinstance(code, str)):
        raise Refusal(131008, "Required parameter template name or language is missing.")
    template = world.templates.get((number.waba, name, code))
    if template is None or template.status not in {"APPROVED", "PAUSED", "DISABLED"}:
        raise Refusal(132001, f"template name ({name}) does not exist in {code}")
    if template.status != "APPROVED":
        raise Refusal(CODES[template.status], f"template {name} ({code})")
    if template.category == "AUTHENTICATION" and outgoing.bsuid:
        raise Refusal(131062)
    outgoing.template = template
    outgoing.params = _params(template, content.get("components") or [])


def _params(template: Template, components: Any) -> dict[str, dict[str, str]]:
    if not isinstance(components, list):
        raise Refusal(100, "Param template['components'] must be an array.")
    found: dict[str, dict[str, str]] = {}
    for component in components:
        if not isinstance(component, dict):
            raise Refusal(100, "Param template['components'] holds something else.")
        kind = str(component.get("type", "")).lower()
        parameters = component.get("parameters", [])
        if kind in {"header", "body"}:
            expected = template.header if kind == "header" else template.body
            found[kind] = _filled(kind, expected, parameters, named=template.named)
        elif kind == "button":
            at = _position(component.get("index", 0))
            names = template.urls.get(at, ())
            found[f"button{at}"] = _pressed(template, at, names, component)
        else:
            raise Refusal(132012, f"component type {kind!r} is not in the template")
    for kind, expected in (("header", template.header), ("body", template.body)):
        if expected and kind not in found:
            raise _mismatch(kind, 0, len(expected))
    for at in template.urls:
        if f"button{at}" not in found:
            raise Refusal(
                131008, f"buttons: Button at index {at} of type Url requires a parameter"
            )
    return found


def _position(value: Any) -> int:
    """Position of a button; the real one takes text and number alike."""
    if str(value).isascii() and str(value).isdigit():
        return int(str(value)[:3])
    raise Refusal(100, "Param index must be the position of a button.")


def _filled(
    kind: str, expected: tuple[str, ...], parameters: Any, *, named: bool
) -> dict[str, str]:
    if not isinstance(parameters, list):
        raise Refusal(100, f"Param {kind} parameters must be an array.")
    texts = [p for p in parameters if isinstance(p, dict) and p.get("type") == "text"]
    media = [p for p in parameters if p not in texts]
    if media and kind == "body" and not all(_fallback(p) for p in media):
        raise Refusal(132012, "body: only text, currency and date_time are possible")
    if kind == "header" and media and not expected:
        return {"media": str(media[0].get("type"))}
    values = [_clean(p) for p in parameters]
    if len(values) != len(expected):
        raise _mismatch(kind, len(values), len(expected))
    if not named:
        if any("parameter_name" in p for p in texts):
            raise Refusal(132012, f"{kind}: the template's parameters have no names")
        return dict(zip(expected, values, strict=True))
    names = [p.get("parameter_name") for p in texts]
    if sorted(map(str, names)) != sorted(expected):
        raise Refusal(100, f"Parameter name is missing or empty: {kind}")
    return dict(zip(map(str, names), values, strict=True))


def _pressed(
    template: Template, at: int, names: tuple[str, ...], component: dict[str, Any]
) -> dict[str, str]:
    sub_type = str(component.get("sub_type", "")).lower()
    parameters = component.get("parameters", [])
    if not isinstance(parameters, list) or not all(isinstance(p, dict) for p in parameters):
        raise Refusal(100, "Param buttons parameters must be an array of objects.")
    if at >= len(template.buttons):
        raise Refusal(132012, f"buttons: there is no button at index {at}")
    if sub_type == "url":
        if len(parameters) != len(names):
            raise _mismatch("buttons", len(parameters), len(names))
        return dict(zip(names, (_clean(p) for p in parameters), strict=True))
    key = {"quick_reply": "payload", "copy_code": "coupon_code"}.get(sub_type, "action")
    return {key: str(parameters[0].get(key, "")) if parameters else ""}


def _clean(parameter: Any) -> str:
    if not isinstance(parameter, dict):
        raise Refusal(100, "A parameter is not an object.")
    text = parameter.get("text", _fallback(parameter))
    if not isinstance(text, str) or not text:
        raise Refusal(131008, "Required parameter text is missing.")
    if len(text) > 1024:
        raise Refusal(132005, "Translated text too long")
    if "\n" in text or "\t" in text or "     " in text:
        raise Refusal(
            132018,
            "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
        )
    return text


def _fallback(parameter: Any) -> str:
    """Text of a currency or date parameter."""
    kind = parameter.get("type") if isinstance(parameter, dict) else ""
    if kind not in {"currency", "date_time"}:
        return ""
    value = parameter.get(kind)
    return str(value.get("fallback_value", "")) if isinstance(value, dict) else ""


def _mismatch(kind: str, given: int, expected: int) -> Refusal:
    return Refusal(
        132000,
        f"{kind}: number of localizable_params ({given}) does not match the expected number of params ({expected})",
    )
