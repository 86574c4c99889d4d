"""One order's turn under a daily limit: who may be written to today, who waits, till when."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update

from clarion.base import db
from clarion.messaging import counts, pacing, portfolio
from clarion.messaging.models import Campaign, Channel
from clarion.tenancy.scope import current_account

REASON = "daily_limit"
STUCK = 3
"""After so many batches in a row without a single slot the order waits as a whole."""


class Budget:
    """The slots of a portfolio, as one order asks for them during its turn.

    Attributes:
        stuck: whether nobody of the last batches may be written to today.
    """

    def __init__(self, portfolio_id: UUID, campaign: Campaign) -> None:
        self._portfolio_id = portfolio_id
        self._campaign_id, self._priority = campaign.id, campaign.priority
        self._waits = campaign.waits_for == REASON
        self._misses = 0
        self._soonest: dt.datetime | None = None

    @property
    def stuck(self) -> bool:
        """Whether nobody of the last batches may be written to today."""
        return self._misses >= STUCK

    def admit(self, token: UUID, ids: Sequence[UUID]) -> list[UUID]:
        """Take slots for claimed rows; who gets none goes back until one comes free."""
        with db.transaction():
            people = portfolio.people(self._portfolio_id, ids)
        ask = portfolio.Ask(self._campaign_id, self._priority, people)
        refused = portfolio.reserve(self._portfolio_id, ask).refused
        if refused:
            with db.transaction():
                pacing.put_off(token, refused, REASON)
        admitted = [one for one in ids if one not in refused]
        self._misses = 0 if admitted else self._misses + 1
        self._soonest = min(refused.values(), default=None)
        return admitted

    def close(self) -> float:
        """Write down whether the order waits; returns for how many seconds.

        Called in the transaction that ends the turn.
        """
        waits = self._soonest is not None
        if not (waits or self._waits):
            return 0.0
        changed = (
            update(Campaign)
            .where(Campaign.account_id == current_account())
            .where(Campaign.id == self._campaign_id)
            .values(waits_until=self._soonest, waits_for=REASON if waits else "")
            .execution_options(synchronize_session=False)
        )
        db.session().execute(changed)
        if not waits:
            portfolio.waits_no_more(self._campaign_id)
            return 0.0
        left = counts.tally(self._campaign_id).get("queued", 0)
        portfolio.waits(self._portfolio_id, self._campaign_id, self._priority, left)
        wait = select(func.extract("epoch", self._soonest - func.clarion_now()))
        return max(0.0, float(db.session().scalar(wait) or 0)) if self.stuck else 0.0


def of(campaign: Campaign, channel: Channel) -> Budget | None:
    """Return an order's budget, or None when its portfolio has no limit."""
    if channel.portfolio_id is None or not portfolio.limited(channel.portfolio_id):
        return None
    return Budget(channel.portfolio_id, campaign)
