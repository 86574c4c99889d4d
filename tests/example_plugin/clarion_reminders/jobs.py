"""What happens later: due reminders, and what becomes of a contact."""

from uuid import UUID

from clarion.base import db
from clarion.tenancy import preferences
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope
from clarion.work.jobs import job
from clarion_reminders import service


@job(queue="default", idempotent=True, alone=True, system=True)
def tell_due() -> None:
    """Find accounts with something due, and tell each. Twice tells nothing twice."""
    for account_id in service.accounts_with_due():
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            if preferences.switched_on("reminders"):
                service.tell_due()


@job(queue="default", idempotent=True, when_off=True)
def forget(contact_id: UUID) -> None:
    """Delete an erased contact's reminders. Twice or late: there is nothing left to delete."""
    service.forget(contact_id)


@job(queue="default", idempotent=True, when_off=True)
def follow(contact_id: UUID, merged_id: UUID) -> None:
    """Follow a contact that became part of another. Twice or late: asks what is true now."""
    service.follow([contact_id, merged_id])


@job(queue="default", idempotent=True, when_off=True)
def go_back(contact_id: UUID, parted_id: UUID) -> None:
    """Go back to a contact that is one of its own again. Asks what is true now as well."""
    service.follow([contact_id, parted_id])
