"""What the provider's codes mean: one table for answers and for failed statuses.

The code decides, never the HTTP status or the title. Codes that are not here are
refusals by a code we have no word for. What Meta changes is changed here only.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from clarion.messaging.contract import Busy, Halted, Rejected, Verdict

Make = Callable[[str, str], Verdict]


def _rejected(reason: str, suppress: Literal["marketing", "all"] | None = None) -> Make:
    return lambda code, detail: Rejected(reason, code, suppress=suppress, detail=detail)


def _busy(
    scope: Literal["sender", "pair", "token"],
    retry_after: float,
    *,
    throttles: bool = False,
) -> Make:
    return lambda code, _detail: Busy(scope, retry_after, code, throttles=throttles)


def _halted(scope: Literal["template", "sender", "channel"], reason: str) -> Make:
    return lambda code, detail: Halted(scope, reason, code, detail)


UNCLEAR: frozenset[int] = frozenset({1, 2, 131000, 131016, 133004})
"""The provider does not say whether it took the message: nobody may send it again."""

CODES: Mapping[int, Make] = {
    # Not now: the scope slows down, the message waits. Seconds.
    130429: _busy("sender", 3, throttles=True),  # throughput of the number
    131057: _busy("sender", 90),  # maintenance, or moved to a higher throughput
    80007: _busy("token", 60),  # calls of the business account
    613: _busy("sender", 60),
    133008: _busy("sender", 300),
    133009: _busy("sender", 300),
    133016: _busy("sender", 3600),
    4: _busy("token", 300),  # calls of the app
    131056: _busy("pair", 6),  # this number to this person; the engine lets it grow
    # Not to this person, for good.
    131026: _rejected("undeliverable"),
    131049: _rejected("per_user_limit"),
    130472: _rejected("experiment"),
    131021: _rejected("sender_is_recipient"),
    131030: _rejected("not_in_test_list"),
    131043: _rejected("expired"),
    131047: _rejected("window_closed"),
    131062: _rejected("phone_needed"),
    137000: _rejected("identity_changed"),
    130497: _rejected("country_restricted"),
    131050: _rejected("stopped_marketing", suppress="marketing"),
    130403: _rejected("blocked_by_business", suppress="all"),
    # Not with this content.
    100: _rejected("bad_content"),
    131008: _rejected("bad_content"),
    131009: _rejected("bad_content"),
    131051: _rejected("bad_content"),
    131053: _rejected("bad_content"),
    132000: _rejected("bad_content"),
    132008: _rejected("bad_content"),
    132012: _rejected("bad_content"),
    132018: _rejected("bad_content"),
    135000: _rejected("bad_content"),
    # Not with this template.
    132001: _halted("template", "template_missing"),
    132005: _halted("template", "template_text_too_long"),
    132007: _halted("template", "template_policy"),
    132015: _halted("template", "template_paused"),
    132016: _halted("template", "template_disabled"),
    132068: _halted("template", "flow_blocked"),
    132069: _halted("template", "flow_throttled"),
    131055: _halted("template", "wrong_category"),
    134100: _halted("template", "wrong_category"),
    131063: _halted("template", "marketing_route_closed"),
    134101: _halted("template", "template_syncing"),
    134102: _halted("template", "marketing_not_eligible"),
    # Not from this number.
    131048: _halted("sender", "spam_restricted"),
    131045: _halted("sender", "number_not_registered"),
    133010: _halted("sender", "number_not_registered"),
    133006: _halted("sender", "number_not_verified"),
    131037: _halted("sender", "display_name_not_approved"),
    33: _halted("sender", "number_missing"),
    # Not with this token or provider account.
    0: _halted("channel", "token_invalid"),
    190: _halted("channel", "token_invalid"),
    3: _halted("channel", "permission_missing"),
    10: _halted("channel", "permission_missing"),
    131005: _halted("channel", "permission_missing"),
    368: _halted("channel", "policy_restriction"),
    131031: _halted("channel", "account_locked"),
    131042: _halted("channel", "payment_problem"),
    131064: _halted("channel", "template_misuse_limit"),
    134011: _halted("channel", "payment_terms_pending"),
}

RANGES: tuple[tuple[range, Make], ...] = (
    (range(200, 300), _halted("channel", "permission_missing")),
    (range(2388000, 2389000), _rejected("bad_content")),  # about a template's text
)


SOURCE = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes"
"""Meta's own list."""


def listed() -> dict[str, Verdict | None]:
    """Make the verdict of every code there is a line for, and of each range, as answers."""
    single = {code: refused(code) for code in sorted({*CODES, *UNCLEAR})}
    found = {str(code): verdict for code, verdict in single.items()}
    return found | {
        f"{codes.start}–{codes.stop - 1}": make(str(codes.start), "")
        for codes, make in RANGES
    }


def explained(code: int, detail: str) -> Verdict | None:
    """Make the verdict of a code with the provider's own explanation, else `None`."""
    make = CODES.get(code)
    if make is None:
        make = next((made for codes, made in RANGES if code in codes), None)
    return make(str(code), detail) if make else None


def refused(code: int, detail: str = "") -> Verdict | None:
    """Judge a well-formed refusal. `None`: the code leaves open what happened."""
    if code in UNCLEAR:
        return None
    return explained(code, detail) or Rejected("provider_code", str(code), detail=detail)


def failed(code: int | None, detail: str = "") -> Verdict:
    """Judge a failed status. The message was accepted once and is lost for certain."""
    if code is None:
        return Rejected("provider_code", detail=detail)
    if code in UNCLEAR:
        return Rejected("provider_failure", str(code), detail=detail)
    return explained(code, detail) or Rejected("provider_code", str(code), detail=detail)
