"""What Meta allows: its words for rates and daily limits, as numbers.

The numbers are Meta's and change; `messaging` keeps the latest with its date.
"""

import datetime as dt
from collections.abc import Mapping

from clarion.messaging.contract import UNLIMITED, Limits
from clarion_whatsapp_cloud.wire.values import Json, Object, as_code, as_dict, as_text

RATES: Mapping[str, int] = {"STANDARD": 80, "HIGH": 1000}
SHARED_RATE = 20
"""Of a number that is used in the phone app as well."""
TIERS: Mapping[str, int] = {
    "TIER_50": 50,
    "TIER_250": 250,
    "TIER_1K": 1_000,
    "TIER_2K": 2_000,
    "TIER_10K": 10_000,
    "TIER_100K": 100_000,
    "TIER_UNLIMITED": UNLIMITED,
}


def of_number(answer: Object, business: str = "") -> Limits:
    """Read the limits out of a number's own fields."""
    level = as_text(as_dict(answer.get("throughput")).get("level")).upper()
    shared = answer.get("is_on_biz_app") is True
    tier = answer.get("whatsapp_business_manager_messaging_limit")
    return Limits(
        number=as_text(answer.get("id")),
        rate_per_s=SHARED_RATE if shared else RATES.get(level),
        people_per_day=people(tier or answer.get("messaging_limit_tier")),
        business=business,
    )


def of_notice(field: str, value: Object, at: dt.datetime | None) -> Limits | None:
    """Read the limits out of a webhook's value; None when it says nothing about any.

    `at` is when it was said: webhooks come late, and twice.
    """
    if field not in {"phone_number_quality_update", "business_capability_update"}:
        return None
    named = ("max_daily_conversations_per_business", "current_limit")
    said = next((value[name] for name in named if value.get(name) is not None), None)
    faster = as_text(value.get("event")).upper() == "THROUGHPUT_UPGRADE"
    found = Limits(
        number=as_text(value.get("display_phone_number")),
        rate_per_s=RATES["HIGH"] if faster else None,
        people_per_day=people(said),
        at=at,
    )
    return found if found.rate_per_s or found.people_per_day else None


def people(said: Json) -> int | None:
    """Read a daily limit: a tier's name, a number, -1 for unlimited; None for no word."""
    known = TIERS.get(as_text(said).upper())
    if known is not None:
        return known
    number = as_code(said)
    if number == UNLIMITED:
        return UNLIMITED
    return number if number and number > 0 else None
