"""Who has a message in hand: claims, leases, and what becomes of rows that lost theirs.

Part of the ledger; the same rules hold. A claim is a lease on queued rows: a worker that
ends without a word loses it, and the row is there for the others again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from clarion.base import db
from clarion.base.settings import settings
from clarion.messaging.ledger import uuids
from clarion.tenancy.scope import current_account

LOST_TOGETHER = 2  # leases lost with others, then a row is under suspicion
LOST_ALONE = 2  # and with nothing else in hand, then it is given up
MAX_CLAIMS = LOST_TOGETHER + LOST_ALONE


@dataclass(frozen=True, slots=True)
class Claimed:
    """One message in this worker's hands. It may leave once `ledger.intend` has named its id."""

    id: UUID
    attempt: int  # the number its next attempt will have
    token: UUID
    address: str
    address_kind: str
    variables: dict[str, Any]


def claim(
    campaign_id: UUID, size: int, *, suspect: bool = False
) -> tuple[UUID, list[Claimed]]:
    """Take a lease on up to `size` queued rows; returns the token and what they hold.

    Rows whose lease was lost twice already may be what kills workers: they are claimed
    only when asked for (`suspect`), one at a time, so that what is lost then is lost by
    them alone: twice, because a worker may end for reasons of its own.

    A claim need not survive the database's own crash: then the rows are queued again and
    this token moves nothing. So it does not wait for the disk; the intent does.
    """
    token = uuid4()
    rows = _CLAIM(
        token=token,
        account=current_account(),
        campaign=campaign_id,
        size=1 if suspect else size,
        lease=settings().lease_seconds,
        **_claims(suspect=suspect),
    )
    return token, [
        Claimed(UUID(message_id), number, token, address, kind, variables)
        for message_id, number, address, kind, variables in rows[0].claimed or ()
    ]


def any_due(campaign_id: UUID, *, suspect: bool = False) -> bool:
    """Say whether there is anything to claim, before a share of the rate is taken for it."""
    account, lost = current_account(), _claims(suspect=suspect)
    return bool(_ANY_DUE(account=account, campaign=campaign_id, **lost)[0].any_due)


def _claims(*, suspect: bool) -> dict[str, int]:
    """How often rows may have been claimed in vain: the suspects' or everybody else's."""
    if suspect:
        return {"least": LOST_TOGETHER, "most": 2**15 - 1}
    return {"least": 0, "most": LOST_TOGETHER - 1}


_DUE = """
    account_id = :account AND campaign_id = :campaign
    AND state = 'queued' AND not_before <= clarion_now()
    AND claims BETWEEN :least AND :most
"""
_ANY_DUE = db.Direct(f"SELECT EXISTS (SELECT FROM message WHERE {_DUE}) AS any_due")  # noqa: S608 -- of constants

# Rows are found by their ids alone, wherever they are known: the states change so fast
# that statistics are always old, and a plan made by them reads every row there is
# (measured). `state || ''` keeps indexes of states out of such plans.
_CLAIM = db.Direct(
    f"""
    WITH soon AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
    picked AS MATERIALIZED (
      SELECT id FROM message WHERE {_DUE}
      ORDER BY not_before LIMIT :size FOR UPDATE SKIP LOCKED),
    mine AS (
      UPDATE message m SET state = 'claimed', token = :token, claims = m.claims + 1,
        lease_until = clarion_now() + make_interval(secs => :lease),
        state_since = clarion_now()
      WHERE m.account_id = :account AND m.id = ANY(ARRAY(SELECT id FROM picked))
      RETURNING m.id, m.attempt + 1 AS number, m.address, m.address_kind, m.variables)
    SELECT json_agg(json_build_array(id, number, address, address_kind, variables))
      AS claimed FROM mine, soon
    """  # noqa: S608 -- of constants
)


def unclaim(token: UUID, wait_seconds: float = 0.0) -> None:
    """Give back what was claimed but not intended: nothing of it has left."""
    db.session().execute(
        text(
            """
            UPDATE message SET state = 'queued', token = NULL, lease_until = NULL,
              claims = greatest(claims - 1, 0), state_since = clarion_now(),
              not_before = clarion_now() + make_interval(secs => :wait)
            WHERE account_id = :account AND state = 'claimed' AND token = :token
            """
        ),
        {"account": current_account(), "token": token, "wait": wait_seconds},
    )


def set_aside(token: UUID, ids: Sequence[UUID], wait_seconds: float = 30.0) -> None:
    """Put claimed rows back that could not be written, their claims counted.

    After the last time they are quarantined: something is wrong with the row itself.
    """
    db.session().execute(
        text(
            """
            UPDATE message SET
              state = CASE WHEN claims >= :claims THEN 'failed' ELSE 'queued' END,
              reason = CASE WHEN claims >= :claims THEN 'quarantined' ELSE '' END,
              not_before = clarion_now() + make_interval(secs => :wait),
              token = NULL, lease_until = NULL, state_since = clarion_now()
            WHERE account_id = :account AND id = ANY(CAST(:ids AS uuid[]))
              AND state || '' = 'claimed' AND token = :token
            """
        ),
        {
            "account": current_account(),
            "ids": uuids(ids),
            "token": token,
            "claims": MAX_CLAIMS,
            "wait": wait_seconds,
        },
    )


def reclaim() -> int:
    """Settle leases that ran out in this account; return how many rows moved.

    Claimed rows go back to queued (or are quarantined after the last time); a row whose
    intent was committed becomes unknown, because its bytes may have left.
    """
    rows = db.session().execute(
        text(
            """
            UPDATE message SET
              state = CASE WHEN state = 'dispatching' THEN 'unknown'
                WHEN claims >= :claims THEN 'failed' ELSE 'queued' END,
              reason = CASE WHEN state = 'dispatching' THEN 'no_answer'
                WHEN claims >= :claims THEN 'quarantined' ELSE '' END,
              token = NULL, lease_until = NULL, state_since = clarion_now()
            WHERE account_id = :account AND state IN ('claimed', 'dispatching')
              AND lease_until < clarion_now()
            RETURNING id
            """
        ),
        {"account": current_account(), "claims": MAX_CLAIMS},
    )
    return len(rows.all())
