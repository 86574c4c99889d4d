"""The words for each state of a message, and what several of the reasons have in common."""

from collections.abc import Mapping
from typing import NamedTuple

from clarion.base.words import Lazy
from clarion.base.words import lazy as _


class Row(NamedTuple):
    """What happened, why, what to do, and whether a later campaign can succeed."""

    title: Lazy
    why: Lazy
    todo: Lazy
    retry: bool = False


NOTHING = _("Nothing: this needs no action.")
CONTACT_FIX = _("Correct the number in Contacts, then send a new campaign to them.")
SENDER_FIX = _("Open Senders, solve what is named there, then resume.")
TEMPLATE_FIX = _("Open Templates, correct it and submit a new version.")
SUPPORT = _("Tell support the code; sending the same again will not help.")

STATES: Mapping[str, Row] = {
    "queued": Row(
        _("Waiting"), _("It is in line and leaves at the pace of the sender."), NOTHING
    ),
    "claimed": Row(_("Next in line"), _("A worker is about to send it."), NOTHING),
    "dispatching": Row(
        _("Being sent"), _("The request is on its way to the provider."), NOTHING
    ),
    "accepted": Row(
        _("Accepted"), _("The provider took it. A confirmation comes next."), NOTHING
    ),
    "sent": Row(
        _("Sent"),
        _("It left for the phone. A phone that is off gets it later."),
        NOTHING,
    ),
    "delivered": Row(_("Delivered"), _("It arrived on the phone."), NOTHING),
    "read": Row(_("Read"), _("It arrived and was opened."), NOTHING),
    "failed": Row(
        _("Not delivered"),
        _("The provider gave the reason “%(reason)s”, code %(code)s."),
        SUPPORT,
    ),
    "unknown": Row(
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
    "needs_decision": Row(
        _("Needs your decision"),
        _("Nobody can tell whether this message arrived."),
        _("Leave it, or send it again and accept that the person may get it twice."),
    ),
    "suppressed": Row(
        _("Left out"), _("A rule kept this message back: %(reason)s."), NOTHING
    ),
    "expired": Row(
        _("Too late"),
        _("Its time ran out before it was confirmed."),
        _("Send a new campaign to these people if it still matters."),
        retry=True,
    ),
    "cancelled": Row(
        _("Not sent: stopped"),
        _("The campaign was stopped before its turn came."),
        _("Send a new campaign to these people if they should still get it."),
        retry=True,
    ),
    "held": Row(
        _("Held by the provider"),
        _("The provider took the message but holds it back for a check."),
        _("Wait: it is released or refused, usually within an hour."),
    ),
    "paused": Row(_("Paused"), _("Sending was paused."), _("Resume when you are ready.")),
}
