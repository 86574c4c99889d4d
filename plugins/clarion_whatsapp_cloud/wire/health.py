"""What Meta's notices say about a template, number or account: may it be used? Data.

Each row: the field of the webhook, a word in it, and what follows. A word that is not
here changes nothing; it is still kept as a `Notice`.
"""

import datetime as dt
from collections.abc import Iterator, Mapping

from clarion.messaging.contract import Health
from clarion_whatsapp_cloud.wire.values import Object, as_code, as_dict, as_list, as_text

STATUS = frozenset(
    {"template_paused", "template_disabled", "template_missing", "template_syncing"}
)
QUALITY = frozenset({"template_quality_red"})
NUMBER = frozenset({"number_quality_red", "spam_restricted"})
ACCOUNT = frozenset(
    {"account_locked", "policy_restriction", "permission_missing", "template_misuse_limit"}
)

TEMPLATE: Mapping[str, str | frozenset[str]] = {
    "PAUSED": "template_paused",
    "DISABLED": "template_disabled",
    "DELETED": "template_missing",
    "PENDING_DELETION": "template_missing",
    "ARCHIVED": "template_missing",
    "APPROVED": STATUS,
    "REINSTATED": STATUS,
    "UNARCHIVED": STATUS,
    "UNPAUSED": STATUS,
}
SCORES: Mapping[str, str | frozenset[str]] = {
    "RED": "template_quality_red",
    "YELLOW": QUALITY,
    "GREEN": QUALITY,
}
NUMBERS: Mapping[str, str | frozenset[str]] = {
    "FLAGGED": "number_quality_red",
    "UNFLAGGED": NUMBER,
}
ACCOUNTS: Mapping[str, str | frozenset[str]] = {
    "ACCOUNT_DELETED": "account_locked",
    "ACCOUNT_OFFBOARDED": "permission_missing",
    "PARTNER_REMOVED": "permission_missing",
    "PARTNER_APP_UNINSTALLED": "permission_missing",
    "ACCOUNT_RECONNECTED": ACCOUNT,
}
BANS: Mapping[str, str | frozenset[str]] = {
    "DISABLE": "account_locked",
    "REINSTATE": ACCOUNT,
}
RESTRICTS = "RESTRICTED_BIZ_INITIATED_MESSAGING"


def health(field: str, value: Object) -> Iterator[Health]:
    """Read what one notice means for sending; nothing for most."""
    event = as_text(value.get("event"))
    if "new_quality_score" in value:
        score = as_text(value.get("new_quality_score"))
        yield from _template(SCORES.get(score), value, score.lower())
    elif field == "template_category_update":
        yield from _recategorised(value)
    elif field == "message_template_status_update":
        yield from _template(TEMPLATE.get(event), value)
    elif field == "phone_number_quality_update":
        number = as_text(value.get("display_phone_number"))
        found = NUMBERS.get(event)
        quality = {"FLAGGED": "red", "UNFLAGGED": "yellow"}.get(event, "")
        yield from _said(found, "sender", subject=number, quality=quality)
    elif field == "account_update":
        yield from _account(event, value)


def _template(
    found: str | frozenset[str] | None, value: Object, quality: str = ""
) -> Iterator[Health]:
    name = as_text(value.get("message_template_name"))
    language = as_text(value.get("message_template_language"))
    if name:
        yield from _said(
            found, "template", subject=name, language=language, quality=quality
        )


def _recategorised(value: Object) -> Iterator[Health]:
    """A template that was utility and is marketing: what runs was not meant to be that.

    With `correct_category` it is a notice of what will come, and nothing is stopped yet.
    """
    before = as_text(value.get("previous_category")).upper()
    now = as_text(value.get("new_category")).upper()
    if (before, now) == ("UTILITY", "MARKETING"):
        yield from _template("template_recategorised", value)


def _account(event: str, value: Object) -> Iterator[Health]:
    ban = as_text(as_dict(value.get("ban_info")).get("waba_ban_state"))
    if event == "DISABLED_UPDATE":
        yield from _said(BANS.get(ban), "channel")
    elif event == "ACCOUNT_RESTRICTION":
        for one in map(as_dict, as_list(value.get("restriction_info"))):
            if one.get("restriction_type") == RESTRICTS:
                yield Health(
                    "channel",
                    stops="policy_restriction",
                    until=_moment(one.get("expiration")),
                )
    else:
        yield from _said(ACCOUNTS.get(event), "channel")


def _said(
    found: str | frozenset[str] | None,
    scope: str,
    *,
    subject: str = "",
    language: str = "",
    quality: str = "",
) -> Iterator[Health]:
    if found is None:
        return
    stops = found if isinstance(found, str) else ""
    ends = frozenset() if isinstance(found, str) else found
    yield Health(
        scope,  # type: ignore[arg-type] # one of the three above
        subject,
        language,
        stops=stops,
        ends=ends,
        quality=quality,
    )


def _moment(given: object) -> dt.datetime | None:
    """Read an end that comes as seconds, in a number or a text; else none is known."""
    seconds = as_code(given)
    if seconds is None or not 0 < seconds < 100_000_000_000:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
