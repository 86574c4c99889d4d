"""What rules and quotas are called, and what a measure says: for staff and owners alike."""

from dataclasses import dataclass
from typing import Any

from clarion.base.words import _


@dataclass(frozen=True, slots=True)
class Said:
    """One part of a score in words."""

    rule: str
    title: str
    found: str
    points: int


def of(part: dict[str, Any]) -> Said:
    """Put a part of a score into words: what was found, and what is usual."""
    rule, found, norm = part["rule"], part["found"], part["norm"]
    said = {
        "ramp": lambda: (
            _("Many people for a new account"),
            _("%(found)s people in a day; up to %(norm)s are usual at this age",
              found=f"{found:,.0f}", norm=f"{norm:,.0f}"),
        ),
        "opt_outs": lambda: (_("Many opt-outs"), _share(part)),
        "blocks": lambda: (_("Many blocks and complaints"), _share(part)),
        "failures": lambda: (_("Many numbers that cannot be reached"), _share(part)),
        "invalid_rows": lambda: (
            _("An uploaded list has many rows without a number"),
            _("%(found)s of %(of)s rows", found=f"{found:.0%}", of=f"{part['of']:,}"),
        ),
        "in_sequence": lambda: (
            _("An uploaded list has numbers in sequence"),
            _("%(found)s of its numbers are followed by the next one",
              found=f"{found:.0%}"),
        ),
        "countries": lambda: (
            _("An uploaded list has numbers of many countries"),
            _("%(found)s countries", found=int(found)),
        ),
        "same_list": lambda: (
            _("Other accounts have uploaded the same list"),
            _("%(found)s other accounts", found=int(found)),
        ),
        "no_consent": lambda: (
            _("Nobody said where the people of that list agreed"),
            _("It was uploaded without consent"),
        ),
        "quality": lambda: (
            _("WhatsApp grades a number low, or has stopped something"),
            _("See senders and log"),
        ),
        "links": lambda: (
            _("Links of a template hide where they lead"),
            _("%(found)s links", found=int(found)),
        ),
    }.get(rule, lambda: (rule, f"{found} / {norm}"))()  # fmt: skip
    return Said(rule, *said, points=part["points"])


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
        found=f"{part['found']:.2%}",
        of=f"{part['of']:,}",
        norm=f"{part['norm']:.2%}",
    )
