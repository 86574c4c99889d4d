"""What became of a message, in words: a title, why, what to do, and whether to try again.

Data: one row per reason. Each reason that the ledger or a transport's table of answers
can produce has its row here; `tests/clarion/messaging/test_outcomes.py` walks both. The
same words serve a failed message and a campaign, sender or channel that was paused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from clarion.base.words import Lazy
from clarion.base.words import lazy as _


@dataclass(frozen=True, slots=True)
class Words:
    """An outcome explained to the person who sent the campaign, in their language.

    Attributes:
        title: what happened, in a few words.
        why: one or two sentences about the cause.
        todo: the next action; says so when there is none.
        retry: whether a later campaign to the same people can succeed.
    """

    title: str
    why: str
    todo: str
    retry: bool = False


class _Row(NamedTuple):
    title: Lazy
    why: Lazy
    todo: Lazy
    retry: bool = False


def explain(state: str, reason: str = "", code: str = "") -> Words:
    """Answer the words for a state and reason of the ledger.

    Args:
        state: a message's state, or `paused` for a campaign, sender or channel.
        reason: the stable name of the cause; empty when the state says it all.
        code: the provider's own code, shown where it helps.

    A pair nobody has declared gets the words of its state, and the reason as it is: an
    outcome is never hidden because we have no sentence for it.
    """
    row = REASONS.get((state, reason)) or STATES.get(state, _UNHEARD_OF)
    if (state, reason) not in REASONS and reason:
        row = CAUSES.get(reason, row)
    values = {"code": code or "–", "reason": reason.replace("_", " ") or "–"}
    title, why, todo = (str(text) % values for text in row[:3])
    return Words(title, why, todo, retry=row.retry)


def declared(state: str, reason: str) -> bool:
    """Say whether a pair has words of its own."""
    return (
        (state, reason) in REASONS or reason in CAUSES or (not reason and state in STATES)
    )


def pairs() -> list[tuple[str, str]]:
    """List every state and reason that has words of its own."""
    causes = [("failed", reason) for reason in CAUSES]
    return [*((state, "") for state in STATES), *REASONS, *causes]


_NOTHING = _("Nothing: this needs no action.")
_CONTACT_FIX = _("Correct the number in Contacts, then send a new campaign to them.")
_SENDER_FIX = _("Open Senders, solve what is named there, then resume.")
_TEMPLATE_FIX = _("Open Templates, correct it and submit a new version.")
_SUPPORT = _("Tell support the code; sending the same again will not help.")

STATES: Mapping[str, _Row] = {
    "queued": _Row(
        _("Waiting"), _("It is in line and leaves at the pace of the sender."), _NOTHING
    ),
    "claimed": _Row(_("Next in line"), _("A worker is about to send it."), _NOTHING),
    "dispatching": _Row(
        _("Being sent"), _("The request is on its way to the provider."), _NOTHING
    ),
    "accepted": _Row(
        _("Accepted"), _("The provider took it. A confirmation comes next."), _NOTHING
    ),
    "sent": _Row(
        _("Sent"),
        _("It left for the phone. A phone that is off gets it later."),
        _NOTHING,
    ),
    "delivered": _Row(_("Delivered"), _("It arrived on the phone."), _NOTHING),
    "read": _Row(_("Read"), _("It arrived and was opened."), _NOTHING),
    "failed": _Row(
        _("Not delivered"),
        _("The provider gave the reason “%(reason)s”, code %(code)s."),
        _SUPPORT,
    ),
    "unknown": _Row(
        _("Outcome unknown"),
        _(
            "The connection ended before the provider answered. The message may have been"
            " sent, so it is not sent again by itself."
        ),
        _(
            "Wait: a confirmation usually settles it within minutes. After 72 hours you"
            " are asked what to do."
        ),
    ),
    "needs_decision": _Row(
        _("Needs your decision"),
        _("Nobody can tell whether this message arrived."),
        _("Leave it, or send it again and accept that the person may get it twice."),
    ),
    "suppressed": _Row(
        _("Left out"), _("A rule kept this message back: %(reason)s."), _NOTHING
    ),
    "expired": _Row(
        _("Too late"),
        _("Its time ran out before it was confirmed."),
        _("Send a new campaign to these people if it still matters."),
        retry=True,
    ),
    "cancelled": _Row(
        _("Not sent: stopped"),
        _("The campaign was stopped before its turn came."),
        _("Send a new campaign to these people if they should still get it."),
        retry=True,
    ),
    "held": _Row(
        _("Held by the provider"),
        _("The provider took the message but holds it back for a check."),
        _("Wait: it is released or refused, usually within an hour."),
    ),
    "paused": _Row(_("Paused"), _("Sending was paused."), _("Resume when you are ready.")),
}

REASONS: Mapping[tuple[str, str], _Row] = {
    # left out before sending
    ("suppressed", "opted_out"): _Row(
        _("Said STOP"),
        _("They asked not to get marketing messages. This cannot be overridden."),
        _NOTHING,
    ),
    ("suppressed", "erased"): _Row(
        _("Contact was deleted"),
        _("The contact was deleted before its turn came, so nothing was sent."),
        _NOTHING,
    ),
    ("suppressed", "no_consent"): _Row(
        _("No consent on record"),
        _("There is no proof that they agreed to get marketing messages."),
        _("Ask them to agree; record it under Contacts, with where and when."),
        retry=True,
    ),
    ("suppressed", "invalid_address"): _Row(
        _("No usable number"),
        _("The number is missing, or is not a complete phone number."),
        _CONTACT_FIX,
        retry=True,
    ),
    ("suppressed", "duplicate"): _Row(
        _("Same number as another contact"),
        _("Two contacts share this number; only the first gets the message."),
        _("Merge the two contacts."),
    ),
    ("suppressed", "missing_variable"): _Row(
        _("A value is missing"),
        _("The message needs a value this contact does not have, and has no fallback."),
        _("Fill in the value, or give the variable a fallback."),
        retry=True,
    ),
    ("suppressed", "vetoed"): _Row(
        _("Kept back by a rule"), _("A rule of your account refused it."), _NOTHING
    ),
    ("suppressed", "frequency_cap"): _Row(
        _("Had enough from you"),
        _("They got as many marketing messages as your account allows in a day or week."),
        _("Send to them in a later campaign, or change the limit in Settings."),
        retry=True,
    ),
    ("suppressed", "country_restricted"): _Row(
        _("Country not allowed"),
        _("The provider does not let your business write to people in this country."),
        _("Once the provider allows it, open Senders and let the country be tried again."),
        retry=True,
    ),
    ("suppressed", "no_sending_hours"): _Row(
        _("No hour suits their country"),
        _("Their country has several time zones, and no moment is allowed in all of them."),
        _("Give the contact a time zone, or allow longer hours in Settings."),
        retry=True,
    ),
    ("queued", "frequency_cap"): _Row(
        _("Waits: had enough for now"),
        _("They got as many marketing messages as your account allows. It leaves later."),
        _NOTHING,
    ),
    ("queued", "quiet_hours"): _Row(
        _("Waits for their morning"),
        _("It is outside the hours for marketing where they are."),
        _NOTHING,
    ),
    ("queued", "daily_limit"): _Row(
        _("Waits for the daily limit"),
        _("Your business has written to as many people today as the provider allows."),
        _("Nothing: it leaves when the next places come free, within a day."),
    ),
    ("queued", "pair_limit"): _Row(
        _("Waits a moment for this person"),
        _("The provider allows one message in six seconds from a number to one person."),
        _NOTHING,
    ),
    # after launch
    ("expired", "not_started"): _Row(
        _("Not sent in time"),
        _("The campaign's end was reached before its turn came. It was not sent."),
        _("Send a new campaign to these people if it still matters."),
        retry=True,
    ),
    ("expired", "undelivered"): _Row(
        _("Not delivered in time"),
        _("The phone was out of reach until the message ran out."),
        _("Send a new campaign to these people if it still matters."),
        retry=True,
    ),
    ("cancelled", "stopped"): STATES["cancelled"],
    ("cancelled", "cancelled"): STATES["cancelled"],
    ("cancelled", "duplicate_contact"): _Row(
        _("Merged with another contact"),
        _("Two contacts became one while the campaign ran; one message is enough."),
        _NOTHING,
    ),
    ("held", "provider_quality"): STATES["held"],
    ("held", "restored"): _Row(
        _("Held after a restore"),
        _("The database was restored; this message may have been sent before."),
        _("Wait for a report of the provider; after a day two people decide."),
    ),
    ("unknown", "no_answer"): STATES["unknown"],
    ("needs_decision", "no_answer"): STATES["needs_decision"],
    ("unknown", "restored"): _Row(
        _("Outcome unknown"),
        _(
            "It was on its way when the backup was made from which the database was restored."
        ),
        _("Wait for a report of the provider; later two people decide."),
    ),
    ("needs_decision", "restored"): _Row(
        _("Needs the decision of two people"),
        _("The database was restored; this message may have been sent before."),
        _("Decide on the campaign's page: one proposes, another confirms."),
    ),
    ("paused", "restored"): _Row(
        _("Held after a restore"),
        _(
            "The database was restored from a backup, and these messages may have been sent."
        ),
        _(
            "Wait for reports of the provider; after a day two people decide about the rest."
        ),
    ),
    ("needs_decision", "provider_quality"): _Row(
        _("Needs your decision"),
        _("The provider held the message for a check and never said what became of it."),
        _("Leave it, or send it again and accept that the person may get it twice."),
    ),
    # a pause somebody chose
    ("paused", "by_person"): STATES["paused"],
    ("paused", "paused_by_person"): STATES["paused"],
}

CAUSES: Mapping[str, _Row] = {
    # this person, for good
    "undeliverable": _Row(
        _("Cannot be reached on WhatsApp"),
        _("The number is not on WhatsApp, uses an old app, or has not accepted its terms."),
        _("Check the number; remove it when it fails again."),
    ),
    "per_user_limit": _Row(
        _("Had enough marketing for now"),
        _("WhatsApp limits how many marketing messages one person gets from everybody."),
        _("Do not repeat it today. After a day the campaign's page offers a follow-up."),
        retry=True,
    ),
    "experiment": _Row(
        _("In a test group of WhatsApp"),
        _("WhatsApp keeps some people free of marketing messages to measure their effect."),
        _("Send to them again in a later campaign."),
        retry=True,
    ),
    "sender_is_recipient": _Row(
        _("Your own number"),
        _("A number cannot write to itself."),
        _("Remove your sender's number from the contacts."),
    ),
    "not_in_test_list": _Row(
        _("Not in the test list"),
        _("A test number may only write to numbers listed at the provider."),
        _("Add the number to the list at the provider, or use a real sender."),
        retry=True,
    ),
    "expired": _Row(
        _("Ran out before it arrived"),
        _("The phone was out of reach for too long."),
        _("Send to them again if it still matters."),
        retry=True,
    ),
    "window_closed": _Row(
        _("The reply window is closed"),
        _("More than 24 hours have passed since the person wrote to you."),
        _("Use an approved template."),
        retry=True,
    ),
    "phone_needed": _Row(
        _("Phone number needed"),
        _("This kind of message cannot be sent to a user name."),
        _("Add the phone number to the contact, then send again."),
        retry=True,
    ),
    "identity_changed": _Row(
        _("Changed phone or account"),
        _("The person behind the number may be another one now."),
        _("Confirm the contact before writing again."),
    ),
    "country_restricted": _Row(
        _("Country not allowed"),
        _("The provider does not let your business write to this country."),
        _("Nothing: the other people of this country are left out from now on."),
    ),
    "stopped_marketing": _Row(
        _("Said stop in WhatsApp"),
        _("They switched off marketing from your business. We stopped writing to them."),
        _NOTHING,
    ),
    "blocked_by_business": _Row(
        _("Blocked by you"),
        _("Your business has blocked this person at the provider."),
        _("Unblock the person at the provider if that was a mistake."),
    ),
    "bad_address": _Row(
        _("Not a complete phone number"),
        _(
            "Without + and country code the message could reach a stranger. It was not sent."
        ),
        _CONTACT_FIX,
        retry=True,
    ),
    # this content
    "bad_content": _Row(
        _("The message did not fit the template"),
        _("A value is too long, or the provider expects other values. Code %(code)s."),
        _("Compare the variables with the approved template, then send again."),
        retry=True,
    ),
    "provider_code": _Row(
        _("Refused by the provider"),
        _("The provider refused it with a code we have no words for: %(code)s."),
        _SUPPORT,
    ),
    "provider_failure": _Row(
        _("Lost at the provider"),
        _("The provider took the message and then failed to deliver it. Code %(code)s."),
        _("Send to these people again."),
        retry=True,
    ),
    "not_begun": _Row(
        _("Waits for another try"),
        _("The worker was too busy to begin this call in time. Nothing was sent."),
        _NOTHING,
    ),
    "not_sent": _Row(
        _("Waits for another try"),
        _("The provider could not be reached. Nothing was sent, and it is tried again."),
        _NOTHING,
    ),
    "busy": _Row(
        _("The provider was too busy"),
        _("The provider took the message and dropped it under load. Code %(code)s."),
        _("Send to these people again, at a lower speed."),
        retry=True,
    ),
    "quarantined": _Row(
        _("Could not be handled"),
        _("Four attempts to prepare this message broke off. It was not sent."),
        _("Tell support; the other messages are not affected."),
    ),
    "outcome_unknown": _Row(
        _("Left undecided"),
        _("Nobody could tell whether it arrived, and somebody chose to leave it."),
        _NOTHING,
    ),
    # this template
    "template_missing": _Row(
        _("Template not found at the provider"),
        _("It is not approved there, or not in this language."),
        _("Check the template's state, submit it again if needed, then resume."),
        retry=True,
    ),
    "template_text_too_long": _Row(
        _("Text too long"),
        _("With its values filled in, the text is longer than the provider allows."),
        _TEMPLATE_FIX,
        retry=True,
    ),
    "template_policy": _Row(
        _("Template breaks a policy"),
        _("The provider refuses its wording."),
        _TEMPLATE_FIX,
        retry=True,
    ),
    "template_paused": _Row(
        _("Template paused by WhatsApp"),
        _("Too many people blocked or reported it. The first pause lasts three hours."),
        _("Wait for the end of the pause, and write to fewer people first."),
        retry=True,
    ),
    "template_recategorised": _Row(
        _("Template is marketing now"),
        _("WhatsApp changed its category from utility to marketing: it needs consent now."),
        _("Stop this campaign; send a new one, which goes only to those who agreed."),
        retry=True,
    ),
    "template_disabled": _Row(
        _("Template switched off by WhatsApp"),
        _("It was paused too often and cannot be used any more."),
        _("Write a new template."),
        retry=True,
    ),
    "flow_blocked": _Row(
        _("Form blocked"), _("The form behind a button is blocked."), _TEMPLATE_FIX
    ),
    "flow_throttled": _Row(
        _("Form used too much"),
        _("The form behind a button is slowed down by the provider."),
        _("Wait, then resume."),
        retry=True,
    ),
    "wrong_category": _Row(
        _("Wrong category"),
        _("The provider does not accept this kind of template on this way."),
        _TEMPLATE_FIX,
        retry=True,
    ),
    "marketing_route_closed": _Row(
        _("Marketing is switched off here"),
        _("Your WhatsApp account sends marketing only by another route."),
        _SENDER_FIX,
        retry=True,
    ),
    "template_syncing": _Row(
        _("Template not ready yet"),
        _("The provider is still making the template known."),
        _("Wait ten minutes, then resume."),
        retry=True,
    ),
    "marketing_not_eligible": _Row(
        _("Not allowed to send marketing"),
        _("Your WhatsApp account may not use this route."),
        _SENDER_FIX,
        retry=True,
    ),
    # this number
    "spam_restricted": _Row(
        _("Number restricted"),
        _("Too many people blocked or reported messages from this number."),
        _("Wait until WhatsApp lifts it; then send less, to people who expect it."),
        retry=True,
    ),
    "number_not_registered": _Row(
        _("Number not registered"),
        _("The sending number is not registered for the Cloud API."),
        _SENDER_FIX,
        retry=True,
    ),
    "number_not_verified": _Row(
        _("Number not verified"),
        _("The sending number has to be verified again."),
        _SENDER_FIX,
        retry=True,
    ),
    "display_name_not_approved": _Row(
        _("Display name not approved"),
        _("WhatsApp has not approved the name shown for this number."),
        _SENDER_FIX,
        retry=True,
    ),
    "number_missing": _Row(
        _("Number gone"),
        _("The sending number does not exist at the provider any more."),
        _SENDER_FIX,
        retry=True,
    ),
    # this connection
    "token_invalid": _Row(
        _("Access revoked"),
        _("The access token of this connection is not valid any more."),
        _("Open Senders, put in a new token, check the connection, then resume."),
        retry=True,
    ),
    "permission_missing": _Row(
        _("Permission missing"),
        _("The access token may not send from this account."),
        _("Give the token the permission at the provider, then resume."),
        retry=True,
    ),
    "policy_restriction": _Row(
        _("Account restricted"),
        _("The provider restricts your account for breaking a policy."),
        _("Read the provider's notice and appeal there."),
        retry=True,
    ),
    "account_locked": _Row(
        _("Account locked"),
        _("The provider locked your account."),
        _("Contact the provider."),
        retry=True,
    ),
    "payment_problem": _Row(
        _("Payment problem at the provider"),
        _("The provider cannot charge you for messages."),
        _("Check the payment method at the provider, then resume."),
        retry=True,
    ),
    "template_misuse_limit": _Row(
        _("Limited for wrong categories"),
        _("Marketing was sent as utility too often; the provider limits your account."),
        _("Wait until the provider lifts it."),
        retry=True,
    ),
    "payment_terms_pending": _Row(
        _("Terms not accepted"),
        _("The provider's payment terms are waiting for your consent."),
        _("Accept the terms at the provider, then resume."),
        retry=True,
    ),
    "bad_content_rate": _Row(
        _("Too many refusals"),
        _(
            "Nearly every message was refused for its content, so we stopped to protect you."
        ),
        _("Compare the variables with the approved template, then resume."),
        retry=True,
    ),
    "failure_rate": _Row(
        _("Too many failures"),
        _(
            "At least every fifth of the last 200 failed for a reason that is not the person."
        ),
        _("Look at the reasons for failing below, solve them, then resume."),
        retry=True,
    ),
    "opt_out_rate": _Row(
        _("Too many people said STOP"),
        _("Two in a hundred or more of those who got it do not want to hear from you."),
        _("Write to people who expect it, or say something else; resume if you are sure."),
        retry=True,
    ),
    "template_quality_red": _Row(
        _("Template in low quality"),
        _("WhatsApp reports that people block or report this template too often."),
        _("Wait until the quality recovers, or send a better template to fewer people."),
        retry=True,
    ),
    "number_quality_red": _Row(
        _("Number in low quality"),
        _("WhatsApp reports that people block or report this number too often."),
        _("Send nothing for some days; then write to people who expect it."),
        retry=True,
    ),
    "provider_down": _Row(
        _("The provider does not answer"),
        _("Five calls in a row got no usable answer; more would only become unknown."),
        _("Wait: one message is tried by itself every few minutes, then all goes on."),
        retry=True,
    ),
    "waba_missing": _Row(
        _("Business account missing"),
        _("The connection does not name the WhatsApp business account (WABA)."),
        _("Open Senders and add the id of the WhatsApp business account."),
        retry=True,
    ),
    "unreachable": _Row(
        _("Provider not reached"),
        _("The provider could not be reached; nothing was sent meanwhile."),
        _("Wait a little. If it lasts, check the connection under Senders."),
        retry=True,
    ),
    "account_suspended": _Row(
        _("Account suspended"),
        _("Your account may not send at the moment."),
        _("Contact support."),
    ),
}

_UNHEARD_OF = STATES["failed"]
