"""What an account uses, against what it may: for its own people and for staff alike."""

import datetime as dt
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import Date, cast, func, select

from clarion.base import db
from clarion.messaging import quotas
from clarion.messaging.models import Sender
from clarion.misuse.models import MisuseCount, MisuseStanding
from clarion.tenancy import access
from clarion.tenancy.models import Account, Membership
from clarion.tenancy.records import QUOTAS, AccountPlan, AccountQuota, Plan
from clarion.tenancy.scope import current_account


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that may be limited: how much there is, and how much there may be.

    Attributes:
        kind: one of `QUOTAS`.
        have: how much there is; None where nobody has counted yet.
        at_most: how much there may be; None without a limit.
        of_plan: whether the plan says so; else staff set it.
        reason: why staff did.
        counted_at: when it was counted, where that was not just now.
    """

    kind: str
    have: int | None
    at_most: int | None
    of_plan: bool
    reason: str
    counted_at: dt.datetime | None = None

    @property
    def share(self) -> int | None:
        """How much of it is used, in hundredths, at most 100."""
        if self.at_most is None or self.have is None:
            return None
        return min(100, round(100 * self.have / self.at_most)) if self.at_most else 100

    @property
    def tone(self) -> str:
        """The colour of its meter."""
        share = self.share or 0
        return "bad" if share >= 100 else "warn" if share >= 80 else "ok"


@dataclass(frozen=True, slots=True)
class Usage:
    """Everything an account uses; `month` are messages since the first of the month."""

    plan: Plan | None
    since: dt.datetime | None
    lines: list[Line]
    members: int
    month: int
    month_began: dt.date


def mine() -> Usage:
    """Read what the present account uses, counted now."""
    access.require("portal.usage")
    return _usage(current_account(), quotas.have("people"))


def of_account(account_id: UUID) -> Usage:
    """Read what an account uses, as staff; its people were counted by the watch."""
    access.require("console.accounts")
    m = MisuseStanding
    counted = select(m.people, m.counted_at).where(m.account_id == account_id)
    people, at = db.session().execute(counted).one_or_none() or (None, None)
    return _usage(account_id, people, at)


def _usage(
    account_id: UUID, people: int | None, counted_at: dt.datetime | None = None
) -> Usage:
    orm = db.session()
    today = cast(func.timezone(Account.timezone, func.clarion_now()), Date)
    first = cast(func.date_trunc("month", today), Date)
    midnight = func.timezone(Account.timezone, func.date_trunc("month", today))
    month = (
        select(func.coalesce(func.sum(MisuseCount.left), 0))
        .where(MisuseCount.account_id == Account.id, MisuseCount.started_at >= midnight)
        .scalar_subquery()
    )
    members, senders = (
        select(func.count(one.id)).where(one.account_id == Account.id).scalar_subquery()
        for one in (Membership, Sender)
    )
    query = select(today, first, month, members, senders).where(Account.id == account_id)
    day, began, left, team, numbers = orm.execute(query).one()
    own = select(AccountQuota).where(AccountQuota.account_id == account_id)
    found = {row.kind: row for row in orm.scalars(own)}
    counted = found.get("messages")
    sent = counted.used if counted and counted.used_on == day else 0
    have = {"people": people, "senders": numbers, "messages": sent if counted else None}
    chosen = (
        select(Plan, AccountPlan.since)
        .join(AccountPlan, AccountPlan.plan_id == Plan.id)
        .where(AccountPlan.account_id == account_id)
    )
    plan, since = orm.execute(chosen).one_or_none() or (None, None)
    lines = [
        replace(
            _line(kind, have[kind], found.get(kind)),
            counted_at=counted_at if kind == "people" else None,
        )
        for kind in QUOTAS
    ]
    return Usage(plan, since, lines, team, int(left), began)


def _line(kind: str, have: int | None, row: AccountQuota | None) -> Line:
    if row is None:
        return Line(kind, have, None, of_plan=False, reason="")
    return Line(kind, have, row.at_most, of_plan=row.of_plan, reason=row.reason)
