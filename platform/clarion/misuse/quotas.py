"""Quotas as staff set them: how many people, messages a day, numbers; each with a reason."""

from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.messaging import quotas
from clarion.misuse import measures
from clarion.tenancy import access, audit
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.records import QUOTAS, AccountQuota
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
    values = {"at_most": at_most, "reason": words, "by": current_actor().name[:120]}
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
    """Allow an account as much as the others again."""
    access.require("console.accounts_limit")
    _known(kind)
    account = measures.locked(account_id)
    gone = delete(AccountQuota).where(
        AccountQuota.account_id == account_id, AccountQuota.kind == kind
    )
    row = db.session().execute(gone.returning(AccountQuota.at_most)).first()
    if row is not None:
        audit.record("console.quota.lifted", account, kind=kind, at_most=row.at_most)
        wake.later(account_id)


def of(account_id: UUID) -> dict[str, AccountQuota]:
    """Read an account's quotas by kind."""
    query = select(AccountQuota).where(AccountQuota.account_id == account_id)
    return {row.kind: row for row in db.session().scalars(query)}


@job(queue="default", idempotent=True, alone=True, system=True)
def wake(account_id: UUID) -> None:
    """Let what waits for tomorrow look at the new quota."""
    with account_scope(account_id, SYSTEM_JOB), db.transaction():
        quotas.wake()


def _known(kind: str) -> None:
    if kind not in QUOTAS:
        raise Invalid("quota_unknown", _("There is no such quota."), field="kind")
