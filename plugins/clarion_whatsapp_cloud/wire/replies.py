"""What the Cloud API answers: an id, an error, a template, a number."""

from collections.abc import Mapping
from typing import Literal

from clarion.messaging.contract import Accepted, TemplateVerdict
from clarion_whatsapp_cloud.wire.values import (
    Object,
    as_code,
    as_dict,
    as_list,
    as_text,
    explanation,
)

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


def accepted(answer: Object, to: str) -> Accepted | None:
    """Find the provider's id of the one message we sent. `None`: there is no such thing.

    An answer that names another recipient is not an answer to us.
    """
    messages = as_list(answer.get("messages"))
    if len(messages) != 1:
        return None
    message = as_dict(messages[0])
    provider_id = as_text(message.get("id"))
    contact = as_dict(next(iter(as_list(answer.get("contacts"))), None))
    named = as_text(contact.get("input"))
    if not provider_id or (named and named != to and _bare(named) != _bare(to)):
        return None
    held = message.get("message_status") not in {None, "accepted"}
    return Accepted(provider_id, held=held)


def problem(answer: Object) -> tuple[int, str] | None:
    """Find the error code and its explanation. `None`: the answer is no error of theirs."""
    found = as_dict(answer.get("error")) or as_dict(
        next(iter(as_list(answer.get("errors"))), None)
    )
    code = as_code(found.get("code"))
    return None if code is None else (code, explanation(found))


def number(answer: Object) -> dict[str, str]:
    """Read what the provider says about a sending number; empty text where it is silent.

    `limit` is how many people may be written to in a day, in the provider's own words.
    """
    limit = answer.get("whatsapp_business_manager_messaging_limit")
    return {
        "name": as_text(answer.get("verified_name")),
        "phone": as_text(answer.get("display_phone_number")),
        "quality": as_text(answer.get("quality_rating")).lower(),
        "name_status": as_text(answer.get("name_status")).lower(),
        "verification": as_text(answer.get("code_verification_status")).lower(),
        "throughput": as_text(as_dict(answer.get("throughput")).get("level")).lower(),
        "limit": as_text(limit or answer.get("messaging_limit_tier")),
    }


def business(account: Object, numbers: Object, number_id: str) -> str:
    """Name the business that a number belongs to; empty unless its account lists it.

    What an account says about itself is believed only with a token that may read its
    numbers, the asked one among them: nobody shares a business's limit by claiming so.
    """
    mine = {as_text(as_dict(one).get("id")) for one in as_list(numbers.get("data"))}
    if number_id not in mine:
        return ""
    owner = as_text(as_dict(account.get("owner_business_info")).get("id"))
    return f"business:{owner}" if owner else f"account:{as_text(account.get('id'))}"


def template_verdict(answer: Object) -> TemplateVerdict | None:
    """Read what the provider says about a template. `None`: the answer names none.

    A status we do not know is no permission: it counts as under review.
    """
    provider_id = as_text(answer.get("id"))
    if not provider_id:
        return None
    body = next(
        (
            as_text(part.get("text"))
            for part in map(as_dict, as_list(answer.get("components")))
            if as_text(part.get("type")).upper() == "BODY"
        ),
        "",
    )
    reason = as_text(answer.get("rejected_reason"))
    return TemplateVerdict(
        provider_id=provider_id,
        status=_TEMPLATE_STATES.get(as_text(answer.get("status")).upper(), "in_review"),
        reason="" if reason == "NONE" else reason,
        category=as_text(answer.get("category")).lower(),
        body=body,
    )


def find_template(answer: Object, name: str, language: str) -> TemplateVerdict | None:
    """Find one template in a list: names are searched by their beginning."""
    for found in map(as_dict, as_list(answer.get("data"))):
        same = as_text(found.get("language")).replace("-", "_") == language
        if same and as_text(found.get("name")) == name:
            return template_verdict(found)
    return None


def _bare(address: str) -> str:
    """An address without the marks the provider tolerates and may drop."""
    return "".join(each for each in address if each.isalnum()).upper()
