"""Staff are told by mail of what nobody has open on a page."""

from uuid import UUID

from clarion.base import db
from clarion.support.models import AccessGrant, AccessQuestion
from clarion.tenancy import resting
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import staff_scope
from clarion.work import mails
from clarion.work.jobs import job

MAY = "console.plugins_edit"


@job(queue="default", idempotent=True, alone=True, system=True)
def tell_of_rests() -> None:
    """Write to staff who may switch plugins off that a hook rests, or a veto fails."""
    with db.transaction():
        rests = resting.untold()
        readers = _readers(MAY) if rests else []
        for rest in rests:
            for address, name in readers:
                mails.post(
                    "veto_failing" if rest.guards else "hook_rests",
                    address,
                    name=name,
                    link=f"/console/plugins/{rest.plugin}",
                    plugin=rest.plugin,
                    hook=rest.hook,
                    why=rest.why,
                    until=f"{rest.until:%Y-%m-%d %H:%M} UTC",
                )


@job(queue="default", idempotent=True, alone=True, system=True)
def tell_of_question(question_id: UUID, grant_id: UUID) -> None:
    """Write to staff who may answer that a customer asks about an access."""
    with staff_scope(SYSTEM_JOB), db.transaction() as orm:
        asked = orm.get(AccessQuestion, question_id)
        grant = orm.get(AccessGrant, grant_id)
        if asked is None or grant is None or asked.answered_at:
            return
        for address, name in _readers("console.support_answer"):
            said = {"link": "/console/access/", "ticket": grant.ticket}
            mails.post("access_question", address, name=name, **said)


@job(queue="default", idempotent=True, alone=True, system=True)
def tell_of_emergency(grant_id: UUID) -> None:
    """Write to staff who may approve that a colleague asks for an emergency access."""
    with staff_scope(SYSTEM_JOB), db.transaction() as orm:
        grant = orm.get(AccessGrant, grant_id)
        if grant is None or grant.starts_at or grant.revoked_at:
            return
        for address, name in _readers("console.support_approve"):
            said = {"link": "/console/access/", "ticket": grant.ticket}
            mails.post("access_emergency", address, name=name, who=grant.staff_name, **said)


def _readers(permission: str) -> list[tuple[str, str]]:
    """List the e-mail addresses and names of active staff who may something."""
    from clarion.console import staffing  # brings FAB's tables, which no other job needs

    return staffing.who_may(permission)
