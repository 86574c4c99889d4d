"""What became of a message, in words: a title, why, what to do, and whether to try again.

Data: one row per reason. Each reason that the ledger or a transport's table of answers
can produce has its row here; `tests/clarion/messaging/test_outcomes.py` walks both. The
same words serve a failed message and a campaign, sender or channel that was paused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from clarion.base.words import lazy as _
from clarion.messaging.leftout import CHOSEN
from clarion.messaging.states import (
    CONTACT_FIX,
    NOTHING,
    SENDER_FIX,
    STATES,
    SUPPORT,
    TEMPLATE_FIX,
    Row,
)


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


def explain(state: str, reason: str = "", code: str = "") -> Words:
    """Answer the words for a state and reason of the ledger.

    Args:
        state: a message's state, or `paused` for a campaign, sender or channel.
        reason: the stable name of the cause; empty when the state says it all.
        code: the provider's own code, shown where it helps.

    A pair nobody has declared gets the words of its state, and the reason as it is.
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


def stands_for(reason: str) -> tuple[str, str]:
    """Say why something stands still: a title, and the reason if it has words of its own."""
    if not reason or not declared("paused", reason):
        return reason, ""
    return explain("paused", reason).title, reason


def pairs() -> list[tuple[str, str]]:
    """List every state and reason that has words of its own."""
    causes = [("failed", reason) for reason in CAUSES]
    return [*((state, "") for state in STATES), *REASONS, *causes]


REASONS: Mapping[tuple[str, str], Row] = {
    **CHOSEN,
    # left out before sending
    ("suppressed", "opted_out"): Row(
        _("Said STOP"),
        _("They asked not to get marketing messages. This cannot be overridden."),
        NOTHING,
    ),
    ("suppressed", "erased"): Row(
        _("Contact was deleted"),
        _("The contact was deleted before its turn came, so nothing was sent."),
        NOTHING,
    ),
    ("suppressed", "no_consent"): Row(
        _("No consent on record"),
        _("There is no proof that they agreed to get marketing messages."),
        _("Ask them to agree; record it under Contacts, with where and when."),
        retry=True,
    ),
    ("suppressed", "consent_unproven"): Row(
        _("Consent without proof"),
        _(
            "Their contact says that they agreed, but there is no event that shows when and"
            " how. What cannot be shown does not count."
        ),
        _("Ask them to agree again; record it under Contacts, with where and when."),
        retry=True,
    ),
    ("suppressed", "topic_stopped"): Row(
        _("Stopped this topic"), _("They stopped what this template is about."), NOTHING
    ),
    ("suppressed", "invalid_address"): Row(
        _("No usable number"),
        _("The number is missing, or is not a complete phone number."),
        CONTACT_FIX,
        retry=True,
    ),
    ("suppressed", "duplicate"): Row(
        _("Same number as another contact"),
        _("Two contacts share this number; only the first gets the message."),
        _("Merge the two contacts."),
    ),
    ("suppressed", "number_changed"): Row(
        _("Has another number now"),
        _(
            "Their number changed before the turn of this message came. It was not sent:"
            " the old number may be a stranger's."
        ),
        _("Send a new campaign to them: it goes to the new number."),
        retry=True,
    ),
    ("suppressed", "identity_doubt"): Row(
        _("May be somebody who must not be written to"),
        _(
            "Their address came with that of another contact, who is silent or has not"
            " agreed. Until you decide whether both are one person, what is stricter holds."
        ),
        _("Open Contacts, Duplicates, and decide; then send a new campaign to them."),
        retry=True,
    ),
    ("suppressed", "missing_variable"): Row(
        _("A value is missing"),
        _("The message needs a value this contact does not have, and has no fallback."),
        _("Fill in the value, or give the variable a fallback."),
        retry=True,
    ),
    ("suppressed", "vetoed"): Row(
        _("Kept back by a rule"), _("A rule of your account refused it."), NOTHING
    ),
    ("suppressed", "frequency_cap"): Row(
        _("Had enough from you"),
        _("They got as many marketing messages as your account allows in a day or week."),
        _("Send to them in a later campaign, or change the limit in Settings."),
        retry=True,
    ),
    ("suppressed", "country_restricted"): Row(
        _("Country not allowed"),
        _("The provider does not let your business write to people in this country."),
        _("Once the provider allows it, open Senders and let the country be tried again."),
        retry=True,
    ),
    ("suppressed", "no_sending_hours"): Row(
        _("No hour suits their country"),
        _("Their country has several time zones, and no moment is allowed in all of them."),
        _("Give the contact a time zone, or allow longer hours in Settings."),
        retry=True,
    ),
    ("queued", "frequency_cap"): Row(
        _("Waits: had enough for now"),
        _("They got as many marketing messages as your account allows. It leaves later."),
        NOTHING,
    ),
    ("queued", "quiet_hours"): Row(
        _("Waits for their morning"),
        _("It is outside the hours for marketing where they are."),
        NOTHING,
    ),
    ("queued", "daily_limit"): Row(
        _("Waits for the daily limit"),
        _("Your business has written to as many people today as the provider allows."),
        _("Nothing: it leaves when the next places come free, within a day."),
    ),
    ("queued", "quota"): Row(
        _("Waits for tomorrow"),
        _("Your account has sent as many messages today as it may."),
        _("Nothing: it leaves when the next day begins. Ask us if you need more."),
    ),
    ("queued", "pair_limit"): Row(
        _("Waits a moment for this person"),
        _("The provider allows one message in six seconds from a number to one person."),
        NOTHING,
    ),
    # after launch
    ("expired", "not_started"): Row(
        _("Not sent in time"),
        _("The campaign's end was reached before its turn came. It was not sent."),
        _("Send a new campaign to these people if it still matters."),
        retry=True,
    ),
    ("expired", "undelivered"): Row(
        _("Not delivered in time"),
        _("The phone was out of reach until the message ran out."),
        _("Send a new campaign to these people if it still matters."),
        retry=True,
    ),
    ("cancelled", "stopped"): STATES["cancelled"],
    ("cancelled", "cancelled"): STATES["cancelled"],
    ("cancelled", "duplicate_contact"): Row(
        _("Merged with another contact"),
        _("Two contacts became one while the campaign ran; one message is enough."),
        NOTHING,
    ),
    ("held", "provider_quality"): STATES["held"],
    ("held", "restored"): Row(
        _("Held after a restore"),
        _("The database was restored; this message may have been sent before."),
        _("Wait for a report of the provider; after a day two people decide."),
    ),
    ("unknown", "no_answer"): STATES["unknown"],
    ("needs_decision", "no_answer"): STATES["needs_decision"],
    ("unknown", "restored"): Row(
        _("Outcome unknown"),
        _(
            "It was on its way when the backup was made from which the database was restored."
        ),
        _("Wait for a report of the provider; later two people decide."),
    ),
    ("needs_decision", "restored"): Row(
        _("Needs the decision of two people"),
        _("The database was restored; this message may have been sent before."),
        _("Decide on the campaign's page: one proposes, another confirms."),
    ),
    ("paused", "restored"): Row(
        _("Held after a restore"),
        _(
            "The database was restored from a backup, and these messages may have been sent."
        ),
        _(
            "Wait for reports of the provider; after a day two people decide about the rest."
        ),
    ),
    ("paused", "misuse_review"): Row(
        _("Held for a review"),
        _("What was measured looks unusual, so somebody of ours looks at it first."),
        _("Open Review: read what was measured, and answer. Nothing is lost meanwhile."),
    ),
    ("paused", "held_by_staff"): Row(
        _("Held by us"),
        _("Somebody of ours stopped this campaign; their words stand on its page."),
        _("Read why, and answer us if it is a mistake. Nothing is lost meanwhile."),
    ),
    ("needs_decision", "provider_quality"): Row(
        _("Needs your decision"),
        _("The provider held the message for a check and never said what became of it."),
        _("Leave it, or send it again and accept that the person may get it twice."),
    ),
    # a pause somebody chose
    ("paused", "by_person"): STATES["paused"],
    ("paused", "paused_by_person"): STATES["paused"],
}

CAUSES: Mapping[str, Row] = {
    # this person, for good
    "undeliverable": Row(
        _("Cannot be reached on WhatsApp"),
        _("The number is not on WhatsApp, uses an old app, or has not accepted its terms."),
        _("Check the number; remove it when it fails again."),
    ),
    "per_user_limit": Row(
        _("Had enough marketing for now"),
        _("WhatsApp limits how many marketing messages one person gets from everybody."),
        _("Do not repeat it today. After a day the campaign's page offers a follow-up."),
        retry=True,
    ),
    "experiment": Row(
        _("In a test group of WhatsApp"),
        _("WhatsApp keeps some people free of marketing messages to measure their effect."),
        _("Send to them again in a later campaign."),
        retry=True,
    ),
    "sender_is_recipient": Row(
        _("Your own number"),
        _("A number cannot write to itself."),
        _("Remove your sender's number from the contacts."),
    ),
    "not_in_test_list": Row(
        _("Not in the test list"),
        _("A test number may only write to numbers listed at the provider."),
        _("Add the number to the list at the provider, or use a real sender."),
        retry=True,
    ),
    "expired": Row(
        _("Ran out before it arrived"),
        _("The phone was out of reach for too long."),
        _("Send to them again if it still matters."),
        retry=True,
    ),
    "window_closed": Row(
        _("The reply window is closed"),
        _("More than 24 hours have passed since the person wrote to you."),
        _("Use an approved template."),
        retry=True,
    ),
    "phone_needed": Row(
        _("Phone number needed"),
        _("This kind of message cannot be sent to a user name."),
        _("Add the phone number to the contact, then send again."),
        retry=True,
    ),
    "identity_changed": Row(
        _("Changed phone or account"),
        _("The person behind the number may be another one now."),
        _("Confirm the contact before writing again."),
    ),
    "country_restricted": Row(
        _("Country not allowed"),
        _("The provider does not let your business write to this country."),
        _("Nothing: the other people of this country are left out from now on."),
    ),
    "stopped_marketing": Row(
        _("Said stop in WhatsApp"),
        _("They switched off marketing from your business. We stopped writing to them."),
        NOTHING,
    ),
    "blocked_by_business": Row(
        _("Blocked by you"),
        _("Your business has blocked this person at the provider."),
        _("Unblock the person at the provider if that was a mistake."),
    ),
    "bad_address": Row(
        _("Not a complete phone number"),
        _(
            "Without + and country code the message could reach a stranger. It was not sent."
        ),
        CONTACT_FIX,
        retry=True,
    ),
    # this content
    "bad_content": Row(
        _("The message did not fit the template"),
        _("A value is too long, or the provider expects other values. Code %(code)s."),
        _("Compare the variables with the approved template, then send again."),
        retry=True,
    ),
    "provider_code": Row(
        _("Refused by the provider"),
        _("The provider refused it with a code we have no words for: %(code)s."),
        SUPPORT,
    ),
    "provider_failure": Row(
        _("Lost at the provider"),
        _("The provider took the message and then failed to deliver it. Code %(code)s."),
        _("Send to these people again."),
        retry=True,
    ),
    "not_begun": Row(
        _("Waits for another try"),
        _("The worker was too busy to begin this call in time. Nothing was sent."),
        NOTHING,
    ),
    "not_sent": Row(
        _("Waits for another try"),
        _("The provider could not be reached. Nothing was sent, and it is tried again."),
        NOTHING,
    ),
    "busy": Row(
        _("The provider was too busy"),
        _("The provider took the message and dropped it under load. Code %(code)s."),
        _("Send to these people again, at a lower speed."),
        retry=True,
    ),
    "quarantined": Row(
        _("Could not be handled"),
        _("Four attempts to prepare this message broke off. It was not sent."),
        _("Tell support; the other messages are not affected."),
    ),
    "outcome_unknown": Row(
        _("Left undecided"),
        _("Nobody could tell whether it arrived, and somebody chose to leave it."),
        NOTHING,
    ),
    # this template
    "template_missing": Row(
        _("Template not found at the provider"),
        _("It is not approved there, or not in this language."),
        _("Check the template's state, submit it again if needed, then resume."),
        retry=True,
    ),
    "template_text_too_long": Row(
        _("Text too long"),
        _("With its values filled in, the text is longer than the provider allows."),
        TEMPLATE_FIX,
        retry=True,
    ),
    "template_policy": Row(
        _("Template breaks a policy"),
        _("The provider refuses its wording."),
        TEMPLATE_FIX,
        retry=True,
    ),
    "template_paused": Row(
        _("Template paused by WhatsApp"),
        _("Too many people blocked or reported it. The first pause lasts three hours."),
        _("Wait for the end of the pause, and write to fewer people first."),
        retry=True,
    ),
    "template_recategorised": Row(
        _("Template is marketing now"),
        _("WhatsApp changed its category from utility to marketing: it needs consent now."),
        _("Stop this campaign; send a new one, which goes only to those who agreed."),
        retry=True,
    ),
    "template_disabled": Row(
        _("Template switched off by WhatsApp"),
        _("It was paused too often and cannot be used any more."),
        _("Write a new template."),
        retry=True,
    ),
    "flow_blocked": Row(
        _("Form blocked"), _("The form behind a button is blocked."), TEMPLATE_FIX
    ),
    "flow_throttled": Row(
        _("Form used too much"),
        _("The form behind a button is slowed down by the provider."),
        _("Wait, then resume."),
        retry=True,
    ),
    "wrong_category": Row(
        _("Wrong category"),
        _("The provider does not accept this kind of template on this way."),
        TEMPLATE_FIX,
        retry=True,
    ),
    "marketing_route_closed": Row(
        _("Marketing is switched off here"),
        _("Your WhatsApp account sends marketing only by another route."),
        SENDER_FIX,
        retry=True,
    ),
    "template_syncing": Row(
        _("Template not ready yet"),
        _("The provider is still making the template known."),
        _("Wait ten minutes, then resume."),
        retry=True,
    ),
    "marketing_not_eligible": Row(
        _("Not allowed to send marketing"),
        _("Your WhatsApp account may not use this route."),
        SENDER_FIX,
        retry=True,
    ),
    # this number
    "spam_restricted": Row(
        _("Number restricted"),
        _("Too many people blocked or reported messages from this number."),
        _("Wait until WhatsApp lifts it; then send less, to people who expect it."),
        retry=True,
    ),
    "number_not_registered": Row(
        _("Number not registered"),
        _("The sending number is not registered for the Cloud API."),
        SENDER_FIX,
        retry=True,
    ),
    "number_not_verified": Row(
        _("Number not verified"),
        _("The sending number has to be verified again."),
        SENDER_FIX,
        retry=True,
    ),
    "display_name_not_approved": Row(
        _("Display name not approved"),
        _("WhatsApp has not approved the name shown for this number."),
        SENDER_FIX,
        retry=True,
    ),
    "number_missing": Row(
        _("Number gone"),
        _("The sending number does not exist at the provider any more."),
        SENDER_FIX,
        retry=True,
    ),
    # this connection
    "token_invalid": Row(
        _("Access revoked"),
        _("The access token of this connection is not valid any more."),
        _("Open Senders, put in a new token, check the connection, then resume."),
        retry=True,
    ),
    "permission_missing": Row(
        _("Permission missing"),
        _("The access token may not send from this account."),
        _("Give the token the permission at the provider, then resume."),
        retry=True,
    ),
    "policy_restriction": Row(
        _("Account restricted"),
        _("The provider restricts your account for breaking a policy."),
        _("Read the provider's notice and appeal there."),
        retry=True,
    ),
    "account_locked": Row(
        _("Account locked"),
        _("The provider locked your account."),
        _("Contact the provider."),
        retry=True,
    ),
    "payment_problem": Row(
        _("Payment problem at the provider"),
        _("The provider cannot charge you for messages."),
        _("Check the payment method at the provider, then resume."),
        retry=True,
    ),
    "template_misuse_limit": Row(
        _("Limited for wrong categories"),
        _("Marketing was sent as utility too often; the provider limits your account."),
        _("Wait until the provider lifts it."),
        retry=True,
    ),
    "payment_terms_pending": Row(
        _("Terms not accepted"),
        _("The provider's payment terms are waiting for your consent."),
        _("Accept the terms at the provider, then resume."),
        retry=True,
    ),
    "bad_content_rate": Row(
        _("Too many refusals"),
        _(
            "Nearly every message was refused for its content, so we stopped to protect you."
        ),
        _("Compare the variables with the approved template, then resume."),
        retry=True,
    ),
    "failure_rate": Row(
        _("Too many failures"),
        _(
            "At least every fifth of the last 200 failed for a reason that is not the person."
        ),
        _("Look at the reasons for failing below, solve them, then resume."),
        retry=True,
    ),
    "opt_out_rate": Row(
        _("Too many people said STOP"),
        _("Two in a hundred or more of those who got it do not want to hear from you."),
        _("Write to people who expect it, or say something else; resume if you are sure."),
        retry=True,
    ),
    "template_quality_red": Row(
        _("Template in low quality"),
        _("WhatsApp reports that people block or report this template too often."),
        _("Wait until the quality recovers, or send a better template to fewer people."),
        retry=True,
    ),
    "number_quality_red": Row(
        _("Number in low quality"),
        _("WhatsApp reports that people block or report this number too often."),
        _("Send nothing for some days; then write to people who expect it."),
        retry=True,
    ),
    "provider_down": Row(
        _("The provider does not answer"),
        _("Five calls in a row got no usable answer; more would only become unknown."),
        _("Wait: one message is tried by itself every few minutes, then all goes on."),
        retry=True,
    ),
    "waba_missing": Row(
        _("Business account missing"),
        _("The connection does not name the WhatsApp business account (WABA)."),
        _("Open Senders and add the id of the WhatsApp business account."),
        retry=True,
    ),
    "unreachable": Row(
        _("Provider not reached"),
        _("The provider could not be reached; nothing was sent meanwhile."),
        _("Wait a little. If it lasts, check the connection under Senders."),
        retry=True,
    ),
    "throttled": Row(
        _("Slowed down"),
        _("The provider said that it was too fast."),
        _("Nothing: it gets faster again by itself."),
        retry=True,
    ),
    "account_suspended": Row(
        _("Account suspended"),
        _("Your account may not send at the moment."),
        _("Contact support."),
    ),
}

_UNHEARD_OF = STATES["failed"]
