"""Words for those whom the making of a list leaves out: part of what `outcomes` explains."""

from collections.abc import Mapping
from typing import NamedTuple

from clarion.base.words import Lazy
from clarion.base.words import lazy as _


class Row(NamedTuple):
    """What is said about a reason: title, why, what to do, and whether to try again."""

    title: Lazy
    why: Lazy
    todo: Lazy
    retry: bool = False


NOTHING = _("Nothing: this needs no action.")

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
