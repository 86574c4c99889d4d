"""The gate's rules of time: windows and frequency caps; what they hold back is put off.

SQL text, because the intent statement asks both in one piece. Whoever may not leave now
moves to the first instant that is allowed, or is left out when that would be too late.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from clarion.base import db
from clarion.messaging import hours, timing, windows
from clarion.messaging.hours import PER_DAY, PER_WEEK, Rules
from clarion.tenancy.scope import current_account

IN_WINDOW = "(m.not_after IS NULL OR m.not_after > clarion_now())"

# What left since the person's day and week began, or may have: all but what failed for
# sure; under the id of a contact that is part of this one too. Exact, because whoever commits an intent holds the person's lock.
_LEFT = """
  FROM message x WHERE x.account_id = m.account_id
    AND x.contact_id = ANY (m.contact_id || ARRAY(SELECT p.contact_id FROM contact_part p
      WHERE p.account_id = m.account_id AND p.into_id = m.contact_id))
    AND x.intent_at >= m.week_from AND x.id <> m.id AND x.purpose = m.purpose
    AND (x.state <> 'failed' OR x.reason = 'outcome_unknown')
"""
_TODAY = "count(*) FILTER (WHERE x.intent_at >= m.day_from)"
_PER = "coalesce((SELECT {0} FROM sending_rules WHERE account_id = :account), {1})"
_PER_DAY = _PER.format("per_day", PER_DAY)
_PER_WEEK = _PER.format("per_week", PER_WEEK)

UNDER_CAP = f"""(m.day_from IS NULL OR (
  SELECT {_TODAY} < {_PER_DAY} AND count(*) < {_PER_WEEK} {_LEFT}))"""


@dataclass(frozen=True, slots=True)
class _Held:
    """What one or more rows have in common that may not leave now."""

    key: str
    purpose: str
    expires_at: dt.datetime | None
    over_day: bool
    over_week: bool


def put_off(token: UUID, ids: Sequence[UUID]) -> None:
    """Settle claimed rows whose window is over or whose person had enough.

    The caller holds the locks of the people, and the intent has been refused. Rows that
    were refused for another reason are not touched.
    """
    if not ids:
        return
    groups: dict[_Held, list[str]] = defaultdict(list)
    asked = {"account": current_account(), "ids": list(ids), "token": token}
    for row in db.session().execute(_HELD, asked):
        groups[_Held(*row[1:6])].append(str(row[0]))
    if not groups:
        return
    rules, at = hours.rules(), timing.now()
    moves = [{"ids": some, **_move(held, rules, at)} for held, some in groups.items()]
    given = {"account": current_account(), "token": token, "moves": json.dumps(moves)}
    db.session().execute(_MOVE, given)


def _move(held: _Held, rules: Rules, at: dt.datetime) -> dict[str, str | None]:
    over = held.over_day or held.over_week
    since = at
    if held.over_week:
        since = windows.next_week(held.key, at)
    elif held.over_day:
        since = windows.next_day(held.key, at)
    found = None
    if held.purpose == "marketing":
        found = timing.opening(held.key, rules, since, held.expires_at)
    if found is None:
        late = ("suppressed", "frequency_cap") if over else ("expired", timing.LATE)
        state, reason = late if held.expires_at else ("suppressed", timing.NEVER)
        return {"state": state, "reason": reason}
    return {
        "state": "queued",
        "reason": "frequency_cap" if over else "quiet_hours",
        "opens": found.opens.isoformat(),
        "closes": (found.closes - timing.EDGE).isoformat(),
        "day_from": found.day_from.isoformat(),
        "week_from": found.week_from.isoformat(),
    }


_HELD = text(
    f"""
    SELECT * FROM (
      SELECT m.id, m.zone, m.purpose, m.expires_at,
        {IN_WINDOW} AND m.day_from IS NOT NULL
          AND (SELECT {_TODAY} >= {_PER_DAY} {_LEFT}) AS over_day,
        {IN_WINDOW} AND m.day_from IS NOT NULL
          AND (SELECT count(*) >= {_PER_WEEK} {_LEFT}) AS over_week,
        NOT {IN_WINDOW} AS closed
      FROM message m WHERE m.account_id = :account AND m.id = ANY(:ids)
        AND m.state = 'claimed' AND m.token = :token) h
    WHERE h.over_day OR h.over_week OR h.closed
    """  # noqa: S608 -- of constants
)
_MOVE = text(
    """
    UPDATE message m SET state = v.state, reason = v.reason, claims = 0, token = NULL,
      lease_until = NULL, state_since = clarion_now(),
      not_before = coalesce(v.opens, m.not_before),
      not_after = coalesce(v.closes, m.not_after),
      day_from = coalesce(v.day_from, m.day_from),
      week_from = coalesce(v.week_from, m.week_from)
    FROM jsonb_to_recordset(CAST(:moves AS jsonb)) AS v(
      ids uuid[], state text, reason text, opens timestamptz, closes timestamptz,
      day_from timestamptz, week_from timestamptz)
    WHERE m.account_id = :account AND m.id = ANY(v.ids)
      AND m.state = 'claimed' AND m.token = :token
    """
)
