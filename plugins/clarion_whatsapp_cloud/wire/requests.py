"""What is sent to the Cloud API: messages, and templates to be reviewed."""

import re
from collections.abc import Mapping

from clarion.messaging.contract import (
    Message,
    Part,
    Rejected,
    TemplateButton,
    TemplateText,
    TemplateUse,
)
from clarion_whatsapp_cloud.wire.values import Json

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_VARIABLE = re.compile(r"\{\{([a-z0-9_]+)\}\}")


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
    if message.template is not None and message.template.name:
        body |= {"type": "template", "template": _template(message.template)}
    else:
        text = {"body": message.free_text, "preview_url": False}
        body |= {"type": "text", "text": text}
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
