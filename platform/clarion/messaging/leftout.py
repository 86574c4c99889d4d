"""Words for those whom the making of a list leaves out: part of what `outcomes` explains."""

from collections.abc import Mapping

from clarion.base.words import lazy as _
from clarion.messaging.states import NOTHING, Row

CHOSEN: Mapping[tuple[str, str], Row] = {
    ("suppressed", "us_marketing"): Row(
        _("Number of the United States"),
        _("WhatsApp delivers no marketing messages to numbers of the United States."),
        _("Write to them by another way; other kinds of messages do arrive."),
    ),
    ("suppressed", "control_group"): Row(
        _("Control group"),
        _("Drawn by chance to get nothing, so that those who got it can be compared."),
        NOTHING,
        retry=True,
    ),
    ("suppressed", "no_budget"): Row(
        _("Not covered by the budget"),
        _("The budget of this campaign is used up by those who come before them."),
        _("Raise the budget, or write to them in a later campaign."),
        retry=True,
    ),
}
