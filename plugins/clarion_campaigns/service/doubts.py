"""What nobody knows about a campaign's messages, and what people decide about it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.messaging import decisions
from clarion.messaging.decisions import Decided
from clarion.messaging.doubts import RESTORED
from clarion.messaging.models import Message
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_campaigns.service.drafts import get

NEEDED = {"resend": "campaigns.launch", "leave": "campaigns.stop"}


@dataclass(frozen=True, slots=True)
class Doubts:
    """How many outcomes are unknown, how many are asked about, and since when.

    `asked_at` goes into the form that answers for all: what was open then is meant.
    """

    unknown: int
    to_decide: int
    oldest: dt.datetime | None
    asked_at: str


def doubts(order_id: UUID) -> Doubts:
    """Count what is in doubt in one query."""
    query = select(
        func.count().filter(Message.state == "unknown"),
        func.count().filter(Message.state == "needs_decision"),
        func.min(Message.state_since),
        func.max(Message.state_since).filter(Message.state == "needs_decision"),
    ).where(
        Message.account_id == current_account(),
        Message.campaign_id == order_id,
        Message.state.in_(("unknown", "needs_decision")),
        Message.reason != RESTORED,  # two people decide about those
    )
    unknown, to_decide, oldest, newest = db.session().execute(query).one()
    return Doubts(unknown, to_decide, oldest, newest.isoformat() if newest else "")


def decide(
    draft_id: UUID, choice: str, messages: Sequence[UUID] = (), asked_at: str = ""
) -> Decided:
    """Send unknown messages again at one's own risk, or leave them.

    Args:
        draft_id: the campaign.
        choice: `resend` (needs the right to send) or `leave`.
        messages: which; else all that were open at `asked_at`.
        asked_at: as `Doubts` gave it.

    Raises:
        Invalid: no such choice, nobody named.
        Conflict: to be sent again, but the campaign is over.
    """
    draft = get(draft_id)
    if choice not in NEEDED:
        raise Invalid("choice_unknown", _("There is no such choice."))
    access.require(NEEDED[choice])
    if draft.campaign_id is None:
        raise Invalid("nobody_chosen", _("Nothing of this campaign was sent yet."))
    moment = None if messages else _moment(asked_at)
    return decisions.decide(draft.campaign_id, choice, messages=messages, asked_at=moment)


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Invalid("nobody_chosen", _("Choose at least one person."))
    return found
