"""After a restore: two people decide about held messages, and vouch for older drafts."""

import datetime as dt
from uuid import UUID

from sqlalchemy import func

from clarion.base import db
from clarion.base.errors import Conflict, Invalid
from clarion.base.words import _
from clarion.messaging import epoch, restored
from clarion.tenancy import access, audit
from clarion_campaigns.models import Draft
from clarion_campaigns.service.drafts import DraftView, get, open_draft, view

audit.label("campaigns.campaign.vouched", "Vouched that the draft was not sent yet")


def propose(draft_id: UUID, choice: str) -> None:
    """Propose to send held messages again, or to leave them; another person confirms.

    Raises `Conflict` while nothing is to be decided, or another proposal is open.
    """
    access.require("campaigns.launch")
    restored.propose(_order(draft_id), _choice(choice))


def confirm(draft_id: UUID, choice: str) -> int:
    """Do what another person proposed; return for how many people.

    Raises `Conflict` for one's own proposal, or when it is gone.
    """
    access.require("campaigns.launch")
    return restored.confirm(_order(draft_id), _choice(choice))


def withdraw(draft_id: UUID) -> None:
    """Take a proposal back; the messages stay held."""
    access.require("campaigns.launch")
    restored.withdraw(_order(draft_id))


def vouch(draft_id: UUID) -> DraftView:
    """Say that a draft older than a restore was not sent since its backup was made."""
    access.require("campaigns.launch")
    row = open_draft(draft_id)
    row.vouched_at, row.state_reason = func.clarion_now(), ""
    db.session().flush()
    db.session().refresh(row)
    audit.record("campaigns.campaign.vouched", row)
    return view(row)


def doubted(row: DraftView | Draft, moment: dt.datetime | None) -> bool:
    """Say whether what somebody did at `moment` is older than the last restore.

    It may have been sent since the backup was made, by the database that was lost.
    """
    since = epoch.restored_at()
    if since is None or (row.vouched_at is not None and row.vouched_at > since):
        return False
    return moment is not None and moment < since


def _order(draft_id: UUID) -> UUID:
    found = get(draft_id).campaign_id
    if found is None:
        raise Conflict("campaign_not_running", _("This campaign is not being sent."))
    return found


def _choice(text: str) -> restored.Choice:
    if text == "resend":
        return "resend"
    if text == "leave":
        return "leave"
    raise Invalid("choice_unknown", _("There is no such choice."))
