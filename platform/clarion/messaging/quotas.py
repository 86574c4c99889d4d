"""What staff allow an account at most: people, messages a day, numbers; kept at the gate.

Messages are counted in the transaction that commits their intents, under the lock of the
quota's row. Accounts without a quota pay nothing for that: an order learns at the
beginning of its turn whether there is one.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Date, and_, case, cast, func, or_, select, update

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.base.words import _
from clarion.messaging import pacing
from clarion.messaging.models import Campaign, Message, Sender
from clarion.tenancy.models import Account
from clarion.tenancy.records import AccountQuota
from clarion.tenancy.scope import current_account
from clarion.work.jobs import job

REASON = "quota"
_counts: dict[str, Callable[[], int]] = {}


def counted(kind: str, count: Callable[[], int]) -> None:
    """Say how what a quota limits is counted: whoever keeps it knows."""
    _counts[kind] = count


def have(kind: str) -> int | None:
    """Count what a quota limits in this account; None where nobody keeps any."""
    return _counts[kind]() if kind in _counts else None


def of(kind: str) -> int | None:
    """Return how much this account may have or do at most; None without a quota."""
    query = select(AccountQuota.at_most).where(
        AccountQuota.account_id == current_account(), AccountQuota.kind == kind
    )
    return db.session().scalar(query)


def require(kind: str, *, have: int, more: int = 1) -> None:
    """Refuse what goes over a quota. What is there already stays.

    Args:
        kind: `people` or `senders`.
        have: how many there are.
        more: how many would be added.
    """
    most = of(kind)
    if most is None or more <= 0 or have + more <= most:
        return
    words = {
        "people": _("This account may have %(most)s people at most.", most=most),
        "senders": _("This account may have %(most)s numbers at most.", most=most),
    }
    raise Conflict("quota_reached", words[kind] + " " + _("Ask us if you need more."))


def alone(kind: str) -> None:
    """Let nobody else add what a quota of this account limits until the transaction ends."""
    account = current_account()  # for numbers, the key that the trigger locks
    key = str(account) if kind == "senders" else f"{kind} {account}"
    db.session().execute(select(func.pg_advisory_xact_lock(4, func.hashtext(key))))


def require_senders(more: int) -> None:
    """Refuse numbers above the quota; a trigger in the database refuses them as well."""
    if of("senders") is None:
        return
    alone("senders")
    count = select(func.count()).where(Sender.account_id == current_account())
    require("senders", have=db.session().scalar(count) or 0, more=more)


# --- messages a day, in the intent's transaction


def spent(campaign: Campaign) -> bool:
    """Say whether today's quota is used up; the order then waits as a whole till tomorrow."""
    full = AccountQuota.used >= AccountQuota.at_most
    query = (
        select(_tomorrow())
        .join(AccountQuota, Account.id == AccountQuota.account_id)
        .where(
            AccountQuota.account_id == current_account(),
            AccountQuota.kind == "messages",
            or_(and_(AccountQuota.used_on == _today(), full), AccountQuota.at_most == 0),
        )
    )
    tomorrow = db.session().scalar(query)
    if tomorrow is None:
        return False
    campaign.waits_until, campaign.waits_for = tomorrow, REASON
    return True


def admit(token: UUID, ids: Sequence[UUID]) -> list[UUID]:
    """Let through as many claimed rows as today's quota has left; others wait for tomorrow.

    Locks the quota's row until the transaction ends; `count` then adds what really left.
    """
    today = _today()
    query = (
        select(
            AccountQuota.at_most,
            AccountQuota.used,
            AccountQuota.used_on == today,
            _tomorrow(),
        )
        .join(Account, Account.id == AccountQuota.account_id)
        .where(
            AccountQuota.account_id == current_account(), AccountQuota.kind == "messages"
        )
        .with_for_update(of=AccountQuota)
    )
    row = db.session().execute(query).one_or_none()
    if row is None:
        return list(ids)  # it was lifted in between
    most, used, same_day, tomorrow = row
    left = max(0, most - (used if same_day else 0))
    late = ids[left:]
    if late:
        pacing.put_off(token, dict.fromkeys(late, tomorrow), REASON)
    return list(ids[:left])


def count(left: int) -> None:
    """Add what has left to today's messages; the row is locked by `admit`."""
    if not left:
        return
    today = select(_today()).where(Account.id == current_account()).scalar_subquery()
    same_day = AccountQuota.used_on == today
    db.session().execute(
        update(AccountQuota)
        .where(
            AccountQuota.account_id == current_account(), AccountQuota.kind == "messages"
        )
        .values(used=case((same_day, AccountQuota.used), else_=0) + left, used_on=today)
        .execution_options(synchronize_session=False)
    )


@job(queue="default", idempotent=True)
def wake() -> None:
    """Let what waits for tomorrow look again: the quota was changed or lifted."""
    from clarion.messaging import orders

    waited = (
        update(Campaign)
        .where(Campaign.account_id == current_account(), Campaign.waits_for == REASON)
        .values(waits_until=None, waits_for="")
        .returning(Campaign.id)
        .execution_options(synchronize_session=False)
    )
    ring = set(db.session().scalars(waited))
    due = (
        update(Message)
        .where(Message.account_id == current_account(), Message.state == "queued")
        .where(Message.reason == REASON)
        .values(not_before=func.clarion_now())
        .returning(Message.campaign_id)
        .execution_options(synchronize_session=False)
    )
    for campaign_id in sorted(ring | set(db.session().scalars(due))):
        orders.ring(campaign_id)


def _today() -> ColumnElement[dt.date]:
    return cast(func.timezone(Account.timezone, func.clarion_now()), Date)


def _tomorrow() -> ColumnElement[dt.datetime]:
    """When the next day of the account's calendar begins."""
    midnight = func.date_trunc("day", func.timezone(Account.timezone, func.clarion_now()))
    return func.timezone(Account.timezone, midnight + dt.timedelta(days=1))
