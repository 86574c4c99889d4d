"""What each state is called on screen, and which tone it has: data, for every list alike.

A tone is a meaning, not a colour: ok, info, warn, bad, or idle (nothing to say). A
theme may choose the colours; it never changes which state means what. "live" makes the
dot beat, for what is happening right now.
"""

from typing import Final


def N_(text: str) -> str:  # noqa: N802 -- the name gettext's extraction looks for
    """Mark a sentence for translation; it is translated where it is shown."""
    return text


STATES: Final[dict[str, tuple[str, str]]] = {
    # a message in the ledger
    "queued": ("idle", N_("Waiting")),
    "claimed": ("idle", N_("Next in line")),
    "dispatching": ("info live", N_("Being sent")),
    "accepted": ("info", N_("Accepted")),
    "sent": ("info", N_("Sent")),
    "delivered": ("ok", N_("Delivered")),
    "read": ("ok", N_("Read")),
    "failed": ("bad", N_("Failed")),
    "unknown": ("warn", N_("Outcome unknown")),
    "needs_decision": ("warn", N_("Needs your decision")),
    "suppressed": ("idle", N_("Kept out")),
    "expired": ("idle", N_("Expired")),
    "cancelled": ("idle", N_("Cancelled")),
    "held": ("warn", N_("Held")),
    # a campaign
    "draft": ("idle", N_("Draft")),
    "withdrawn": ("warn", N_("Taken back")),
    "over": ("idle", N_("Over")),
    "submitted": ("warn", N_("Waits for approval")),
    "scheduled": ("info", N_("Scheduled")),
    "starting": ("info live", N_("Starting")),
    "running": ("info live", N_("Sending")),
    "pausing": ("warn", N_("Pausing")),
    "paused": ("warn", N_("Paused")),
    "finished": ("ok", N_("Finished")),
    "stopped": ("idle", N_("Stopped")),
    # a part of the system
    "fine": ("ok", N_("OK")),
    "look": ("warn", N_("Look")),
    # a template
    "in_review": ("info", N_("In review")),
    "approved": ("ok", N_("Approved")),
    "rejected": ("bad", N_("Rejected")),
    "disabled": ("bad", N_("Disabled")),
    "archived": ("idle", N_("Archived")),
    # a channel, a sender, an account, a person
    "active": ("ok", N_("Active")),
    "blocked": ("bad", N_("Blocked")),
    "revoked": ("bad", N_("Access revoked")),
    "disconnected": ("bad", N_("Disconnected")),
    "suspended": ("bad", N_("Suspended")),
    "closing": ("warn", N_("Closing")),
    "closed": ("idle", N_("Closed")),
    "invited": ("info", N_("Invited")),
    "unconfirmed": ("warn", N_("E-mail not confirmed")),
    "green": ("ok", N_("High quality")),
    "yellow": ("warn", N_("Medium quality")),
    "red": ("bad", N_("Low quality")),
    # an import, and a row of one
    "uploaded": ("idle", N_("Uploaded")),
    "matched": ("idle", N_("Columns matched")),
    "attested": ("idle", N_("Consent stated")),
    "checking": ("info live", N_("Checking")),
    "checked": ("info", N_("Checked")),
    "importing": ("info live", N_("Importing")),
    "undoing": ("warn live", N_("Being undone")),
    "undone": ("idle", N_("Undone")),
    "new": ("ok", N_("New")),
    "changed": ("info", N_("Changed")),
    "same": ("idle", N_("No change")),
    "duplicate": ("warn", N_("Duplicate")),
    "invalid": ("bad", N_("Not usable")),
    # a matched column
    "sure": ("ok", N_("Sure")),
    "check": ("warn", N_("Please check")),
    "yours": ("info", N_("Your choice")),
    "clash": ("bad", N_("Used twice")),
    "left_out": ("idle", N_("Left out")),
    # a case of the watch for misuse, and an appeal
    "open": ("warn", N_("Undecided")),
    "allowed": ("ok", N_("Allowed")),
    "limited": ("warn", N_("Limited")),
    "appealed": ("info", N_("Appealed")),
    "answered": ("info", N_("Answered")),
    "granted": ("ok", N_("Granted")),
    "refused": ("bad", N_("Refused")),
    # an access of support
    "live": ("warn live", N_("Going on")),
    "ended": ("idle", N_("Ended")),
    # a role in an account
    "owner": ("info", N_("Owner")),
    "manager": ("idle", N_("Manager")),
    "member": ("idle", N_("Member")),
    # consent, and the work of the machine
    "opted_in": ("ok", N_("Agreed")),
    "opted_out": ("bad", N_("Said STOP")),
    "none": ("idle", N_("Not asked")),
    "waiting": ("idle", N_("Waiting")),
    "done": ("ok", N_("Done")),
    "on": ("ok", N_("On")),
    "off": ("idle", N_("Off")),
    "broken": ("bad", N_("Broken")),
}


def state_of(value: object) -> tuple[str, str]:
    """Answer tone and English label; a word nobody declared reads as it is, idle."""
    word = str(getattr(value, "value", value))
    plain = word.replace("_", " ").capitalize()
    return STATES.get(word) or STATES.get(word.lower()) or ("idle", plain)
