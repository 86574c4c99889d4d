"""Quotas as staff set them: how many people, messages a day, numbers; each with a reason.

What staff set for one account stands above its plan; lifted, the plan's own holds again.
"""

from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid
from clarion.base.words import _
from clarion.messaging import quotas
from clarion.misuse import measures
from clarion.tenancy import access, audit
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.records import QUOTAS, AccountPlan, AccountQuota, PlanLimit
from clarion.tenancy.scope import account_scope, current_actor
from clarion.work.jobs import job

MOST = 2_000_000_000
audit.label("console.quota.set", "Set a quota")
audit.label("console.quota.lifted", "Lifted a quota")


def put(account_id: UUID, kind: str, at_most: int, reason: str) -> None:
    """Allow an account so much and no more, from its next message on."""
    access.require("console.accounts_limit")
    words = measures.said(reason)
    _known(kind)
    if not 0 <= at_most <= MOST:
        raise Invalid("quota_invalid", _("Give a number from 0 up."), field="at_most")
    account = measures.locked(account_id)
    by = current_actor().name[:120]
    values = {"at_most": at_most, "reason": words, "by": by, "of_plan": False}
    row = insert(AccountQuota).values(
        id=db.new_id(), account_id=account_id, kind=kind, **values
    )
    db.session().execute(
        row.on_conflict_do_update(
            index_elements=["account_id", "kind"],
            set_={**values, "set_at": func.clarion_now()},
        )
    )
    audit.record("console.quota.set", account, kind=kind, at_most=at_most, why=words)
    wake.later(account_id)


def lift(account_id: UUID, kind: str) -> None:
    """Allow an account as much as its plan says, or as the others, again."""
    access.require("console.accounts_limit")
    _known(kind)
    account = measures.locked(account_id)
    mine = AccountQuota.account_id == account_id, AccountQuota.kind == kind
    own = select(AccountQuota.at_most, AccountQuota.of_plan).where(*mine)
    row = db.session().execute(own.with_for_update()).first()
    if row is None:
        return
    if row.of_plan:
        raise Conflict(
            "quota_of_plan", _("The plan says so. Choose another plan, or set a quota.")
        )
    planned = (
        select(PlanLimit.at_most)
        .join(AccountPlan, AccountPlan.plan_id == PlanLimit.plan_id)
        .where(AccountPlan.account_id == account_id, PlanLimit.kind == kind)
    )
    most = db.session().scalar(planned)
    # today's messages stay counted, so that lifting is no way around the plan
    values = {"at_most": most, "of_plan": True, "reason": "", "set_at": func.clarion_now()}
    change = delete(AccountQuota) if most is None else update(AccountQuota).values(**values)
    db.session().execute(change.where(*mine).execution_options(synchronize_session=False))
    audit.record("console.quota.lifted", account, kind=kind, at_most=row.at_most)
    wake.later(account_id)


def of(account_id: UUID) -> dict[str, AccountQuota]:
    """Read an account's quotas by kind."""
    query = select(AccountQuota).where(AccountQuota.account_id == account_id)
    fresh = query.execution_options(populate_existing=True)
    return {row.kind: row for row in db.session().scalars(fresh)}


@job(queue="default", idempotent=True, alone=True, system=True)
def wake(account_id: UUID) -> None:
    """Let what waits for tomorrow look at the new quota."""
    with account_scope(account_id, SYSTEM_JOB), db.transaction():
        quotas.wake()


def _known(kind: str) -> None:
    if kind not in QUOTAS:
        raise Invalid("quota_unknown", _("There is no such quota."), field="kind")
