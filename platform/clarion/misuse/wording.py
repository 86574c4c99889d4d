"""What rules and quotas are called, and what a measure says: for staff and owners alike."""

from dataclasses import dataclass
from typing import Any

from clarion.base.words import _, figure, share


@dataclass(frozen=True, slots=True)
class Said:
    """One part of a score in words."""

    rule: str
    title: str
    found: str
    points: int


def of(part: dict[str, Any]) -> Said:
    """Put a part of a score into words: what was found, and what is usual."""
    title, found = _words(part)
    return Said(part["rule"], title, found, part["points"])


def _words(part: dict[str, Any]) -> tuple[str, str]:
    rule, found, norm = part["rule"], part["found"], part["norm"]
    if rule in SHARES:
        return _(SHARES[rule]), _share(part)
    if rule in COUNTED:
        title, what = COUNTED[rule]
        return _(title), _(what, found=int(found))
    if rule == "ramp":
        return _("Many people for a new account"), _(
            "%(found)s people in a day; up to %(norm)s are usual at this age",
            found=figure(round(found)),
            norm=figure(round(norm)),
        )
    if rule == "invalid_rows":
        return _("An uploaded list has many rows without a number"), _(
            "%(found)s of %(of)s rows", found=share(found), of=figure(part["of"])
        )
    if rule == "in_sequence":
        return _("An uploaded list has numbers in sequence"), _(
            "%(found)s of its numbers are followed by the next one", found=share(found)
        )
    return rule, f"{found} / {norm}"  # of rules that are not ours any more


def N_(text: str) -> str:  # noqa: N802 -- the name gettext's extraction looks for
    """Mark a text to be translated where it is shown."""
    return text


SHARES = {
    "opt_outs": N_("Many opt-outs"),
    "blocks": N_("Many blocks and complaints"),
    "failures": N_("Many numbers that cannot be reached"),
}
COUNTED = {
    "countries": (
        N_("An uploaded list has numbers of many countries"),
        N_("%(found)s countries"),
    ),
    "same_list": (
        N_("Other accounts have uploaded the same list"),
        N_("Accounts with it: %(found)s"),
    ),
    "links": (
        N_("Links of a template hide where they lead"),
        N_("Such links: %(found)s"),
    ),
    "no_consent": (
        N_("Nobody said where the people of that list agreed"),
        N_("It was uploaded without consent"),
    ),
    "quality": (
        N_("WhatsApp grades a number low, or has stopped something"),
        N_("See senders and log"),
    ),
}


def quota(kind: str) -> tuple[str, str]:
    """Name a quota, and say what it does."""
    return {
        "people": (_("People"), _("How many contacts the account may have.")),
        "messages": (
            _("Messages a day"),
            _("What is above it waits for the next day of the account's calendar."),
        ),
        "senders": (_("Numbers"), _("How many numbers the account may connect.")),
    }[kind]


def _share(part: dict[str, Any]) -> str:
    return _(
        "%(found)s of %(of)s; %(norm)s is usual",
        found=share(part["found"], 2),
        of=figure(part["of"]),
        norm=share(part["norm"], 2),
    )
