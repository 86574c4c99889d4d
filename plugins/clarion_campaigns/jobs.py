"""Start launched campaigns, and close their books."""

import datetime as dt
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from clarion.base import db
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope
from clarion.work.jobs import job
from clarion_campaigns import service
from clarion_campaigns.models import Check, Draft

LATE = dt.timedelta(minutes=1)
LONGEST = dt.timedelta(days=1)


@job(queue="default", idempotent=True)
def start(draft_id: UUID) -> None:
    """Freeze the audience and hand the campaign to the engine; a second run finds it done.

    Before its time it rings itself again, at the planned instant.
    """
    if (wait := service.start(draft_id)) is not None:
        start.after(min(wait, LONGEST), draft_id)


@job(queue="default", idempotent=True, when_off=True)
def tally(campaign_id: UUID) -> None:
    """Write the result into the log, once: called twice, the second finds it written."""
    service.close(campaign_id)


@job(queue="default", idempotent=True, alone=True, system=True)
def look_for_follow_ups() -> None:
    """Find accounts with campaigns whose follow-up may make sense, and plan there."""
    query = select(Draft.account_id).where(service.worth_a_follow_up()).distinct()
    with db.transaction():
        found = list(db.session().scalars(query))
    for account_id in found:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            plan_follow_ups.later()


@job(queue="default", idempotent=True)
def plan_follow_ups() -> None:
    """Propose the follow-ups of one account; a second run finds them proposed."""
    service.plan_follow_ups()


@job(queue="bulk", idempotent=True)
def look_at_everybody(check_id: UUID) -> None:
    """Make a dry run of a big audience; a second run finds it made."""
    service.fill_check(check_id)


@job(queue="bulk", idempotent=True, when_off=True)
def forget_list(check_id: UUID) -> None:
    """Delete a page of a list nobody needs, and ring for the next; safe to repeat."""
    if service.forget_page(check_id):
        forget_list.later(check_id)


@job(queue="default", idempotent=True, alone=True, system=True, when_off=True)
def forget_lists() -> None:
    """Find accounts with dry runs that are old, and forget their lists there."""
    old = select(Check.account_id).where(
        Check.state != "gone", Check.created_at < func.clarion_now() - service.KEPT
    )
    with db.transaction():
        found = list(db.session().scalars(old.distinct()))
    for account_id in found:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            service.forget_old()


@job(queue="default", idempotent=True, alone=True, system=True)
def start_late() -> None:
    """Ring for campaigns whose time has come, and for those whose start was not heard."""
    unheard = and_(Draft.state == "starting", Draft.updated_at < func.clarion_now() - LATE)
    due = and_(
        Draft.state.in_(("scheduled", "submitted")), Draft.starts_at <= func.clarion_now()
    )
    waiting = select(Draft.account_id, Draft.id).where(or_(unheard, due))
    with db.transaction():
        found = [tuple(row) for row in db.session().execute(waiting)]
    for account_id, draft_id in found:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            start.later(draft_id)
