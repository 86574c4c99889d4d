"""What the team is told about campaigns while nobody looks: by mail, each thing once."""

import datetime as dt
from collections.abc import Mapping
from uuid import UUID

from clarion.base.words import Lazy, _, lazy, ngettext
from clarion.messaging.prices import Quote
from clarion.work import notices
from clarion.work.notices import Notice
from clarion_campaigns.models import Draft

WHYS: Mapping[str, Lazy] = {
    "restored": lazy(
        "It was launched before the database was restored, and may have been sent since."
        " Nothing was sent from here."
    ),
    "template_not_approved": lazy(
        "It was launched, but its template was not approved any more. Nothing was sent."
    ),
    "category_changed": lazy(
        "It did not begin: WhatsApp has changed its template's category, and it counts as"
        " marketing now. That needs consent, and costs more. Nothing was sent. Look at who"
        " gets it, then launch it again."
    ),
    "start_missed": lazy(
        "It did not begin: something held it up until it was too late. Nothing was sent."
        " Choose another time if it still matters."
    ),
    "approval_late": lazy(
        "It did not begin: nobody approved it before it was too late. Nothing was sent."
        " Choose another time if it still matters."
    ),
    "changed_since_approved": lazy(
        "It did not begin: it is not what was approved any more. Nothing was sent. Look at"
        " it and submit it again."
    ),
    "approval_missing": lazy(
        "It did not begin: it has grown to so many people that a second person has to"
        " approve it. Nothing was sent."
    ),
}
"""Why a launched campaign is a draft again: on its page, and in the mail about it."""


def not_started(row: Draft, why: str) -> None:
    """Tell those who may launch it that a campaign did not begin, and why."""

    def write(account: str) -> Notice:
        return Notice(
            _("%(account)s: “%(name)s” did not begin", account=account, name=row.name),
            (
                str(WHYS[why]),
                _("It is a draft again, with everything you chose. Look at it here:"),
            ),
        )

    notices.tell(write, needs="campaigns.launch", link=_page(row.id, "/step/review"))


def approval_wanted(row: Draft, who: str, name: str) -> None:
    """Tell those who may approve a campaign, but not who asked, that it waits for one."""

    def write(account: str) -> Notice:
        people = ngettext(
            "%(who)s wants to send “%(name)s” to %(num)s person.",
            "%(who)s wants to send “%(name)s” to %(num)s people.",
            row.people or 0,
            who=name,
            name=row.name,
        )
        return Notice(
            _("%(account)s: “%(name)s” waits for approval", account=account, name=row.name),
            (
                people,
                _("So many people need a second person's approval. Nothing leaves before."),
                _("Look at it, and approve it or leave it, here:"),
            ),
        )

    notices.tell(write, needs="campaigns.approve", link=_page(row.id), but=who)


def follow_up(
    row: Draft,
    people: int,
    expected: int | None,
    price: Quote | None,
    until: dt.datetime,
) -> None:
    """Tell those who may launch it that a follow-up makes sense, and what to expect."""

    def write(account: str) -> Notice:
        some = ngettext(
            "WhatsApp kept %(num)s person from “%(name)s”, because people get only so much"
            " marketing. A day later it may get through.",
            "WhatsApp kept %(num)s people from “%(name)s”, because people get only so much"
            " marketing. A day later it may get through.",
            people,
            name=row.name,
        )
        gain = _("How many of them get it is not known yet: it is your first follow-up.")
        if expected is not None:
            gain = ngettext(
                "By your earlier follow-ups, about %(num)s of them gets it.",
                "By your earlier follow-ups, about %(num)s of them get it.",
                expected,
            )
        cost = _("What it costs is not known: there is no price list.")
        if price is not None:
            amount = f"{price.currency} {price.amount:.2f}"
            cost = _("It costs %(amount)s at most.", amount=amount)
        end = _("The offer ends on %(day)s (UTC).", day=f"{until:%Y-%m-%d %H:%M}")
        return Notice(
            _("%(account)s: a follow-up of “%(name)s”?", account=account, name=row.name),
            (
                some,
                f"{gain} {cost} {end}",
                _("Nothing is sent by itself. Prepare it, or leave it, here:"),
            ),
        )

    notices.tell(write, needs="campaigns.launch", link=_page(row.id, "#follow-up"))


def _page(draft_id: UUID, rest: str = "") -> str:
    return f"/campaigns/{draft_id}{rest}"
