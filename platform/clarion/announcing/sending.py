"""Sending what was written: confirmed with its numbers, by two where it goes to many; taken back."""

from typing import Final
from uuid import UUID

from sqlalchemy import func, update

from clarion.announcing import audience, spreading, wording
from clarion.announcing.drafts import draft, locked, texts_of
from clarion.announcing.models import Announcement, AnnouncementNotice
from clarion.base import clock, db
from clarion.base.errors import Conflict, Forbidden, Invalid
from clarion.base.words import _
from clarion.tenancy import access, audit, devices
from clarion.tenancy.scope import current_actor

FEW: Final = 50
"""A mail to so many named accounts takes one person; to more, and by any rule, two."""

LONGEST: Final = 300

audit.label("console.announcement.asked", "Asked a colleague to send an announcement")
audit.label("console.announcement.approved", "Approved an announcement")
audit.label("console.announcement.sent", "Sent an announcement")
audit.label("console.announcement.returned", "Made an announcement a draft again")
audit.label("console.announcement.withdrawn", "Took an announcement back")


def send(announcement_id: UUID, accounts: int, mails: int) -> Announcement:
    """Send a draft, or ask a colleague to approve it where it is mailed to many.

    Args:
        announcement_id: of the draft.
        accounts: how many accounts the page said it reaches.
        mails: how many mails the page said that makes.

    Raises:
        Conflict: it would reach others than the page said (`announcement_counts`).
    """
    access.require("console.announcements_send")
    one = draft(announcement_id)
    _require_sendable(one)
    reached, written = audience.counts(one)
    if (reached, written) != (accounts, mails):
        text = _(
            "By now it reaches %(accounts)s accounts and makes %(mails)s mails. Confirm that.",
            accounts=reached,
            mails=written,
        )
        raise Conflict("announcement_counts", text)
    if not reached:
        raise Conflict("announcement_nobody", _("It would reach no account."))

    who = current_actor()
    one.asked_by, one.asked_name = who.label, who.name[:120]
    one.accounts, one.mails = reached, written
    one.two_people = takes_two(one, reached)
    if one.two_people:
        one.state = "waiting"
        audit.record("console.announcement.asked", one, accounts=reached, mails=written)
    else:
        _go(one)
    return one


def approve(announcement_id: UUID) -> None:
    """Let what a colleague asked for be sent; nobody approves their own."""
    access.require("console.announcements_approve")
    who = current_actor()
    one = locked(announcement_id)
    _require_waiting(one)
    asked = f"s:{one.asked_by.removeprefix('staff:')}"
    if one.asked_by == who.label or devices.shared(asked, f"s:{who.id}"):
        raise Forbidden("same_person", _("Somebody else has to approve this."))
    _require_sendable(one)
    one.approved_by, one.approved_name = who.label, who.name[:120]
    one.accounts, one.mails = audience.counts(one)
    audit.record("console.announcement.approved", one, asked_by=one.asked_by)
    _go(one)


def give_back(announcement_id: UUID) -> None:
    """Make what waits a draft again: one's own, or a colleague's that is not right."""
    access.require("console.announcements_edit")
    one = locked(announcement_id)
    _require_waiting(one)
    one.state, one.asked_by, one.asked_name = "draft", "", ""
    audit.record("console.announcement.returned", one)


def withdraw(announcement_id: UUID, reason: str) -> None:
    """Take back what was sent: its banner goes at once; what was mailed can be corrected."""
    access.require("console.announcements_send")
    words = " ".join(reason.split())
    if not words or len(words) > LONGEST:
        text = _("Say why, in %(most)s letters at most; customers read it.", most=LONGEST)
        raise Invalid("reason_missing", text, field="reason")
    wording.require_sober("terms", words, "reason")
    one = locked(announcement_id)
    if one.state != "sent":
        raise Conflict("announcement_not_sent", _("This is not sent, or not any more."))
    _take_back(one, words)


def takes_two(one: Announcement, accounts: int) -> bool:
    """Say whether it is mailed to so many that two have to agree; a correction as before."""
    if not one.mail:
        return False
    if one.corrects_id and db.session().get_one(Announcement, one.corrects_id).two_people:
        return True
    return one.audience in spreading.RULES or accounts > FEW


# --- pieces


def _require_waiting(one: Announcement) -> None:
    if one.state != "waiting":
        raise Conflict("announcement_not_waiting", _("This does not wait for anybody."))


def _require_sendable(one: Announcement) -> None:
    """Look again at what may have changed since it was written: time, and what is allowed."""
    if one.ends_at is not None and one.ends_at <= clock.now():
        raise Conflict("announcement_over", _("Its end has passed; change it first."))
    for language, words in texts_of(one.id).items():
        for name, text in zip(("title", "text"), words, strict=True):
            wording.require_sober(one.kind, text, f"{name}_{language}")


def _go(one: Announcement) -> None:
    one.state, one.sent_at = "sent", clock.now()
    db.session().flush()
    audit.record("console.announcement.sent", one, accounts=one.accounts, mails=one.mails)
    if one.corrects_id:
        wrong = locked(one.corrects_id)
        if wrong.state == "sent":
            _take_back(wrong, _("It was corrected."))
    spreading.spread.later(one.id)


def _take_back(one: Announcement, reason: str) -> None:
    """Close it for everybody in this transaction; a page of the worker waits for its lock."""
    one.state, one.withdrawn_at = "withdrawn", clock.now()
    one.withdrawn_reason, one.withdrawn_name = reason, current_actor().name[:120]
    db.session().flush()
    db.session().execute(
        update(AnnouncementNotice)
        .where(AnnouncementNotice.announcement_id == one.id)
        .values(withdrawn_at=func.clarion_now(), withdrawn_reason=reason)
        .execution_options(synchronize_session=False)
    )
    audit.record("console.announcement.withdrawn", one, why=reason)
