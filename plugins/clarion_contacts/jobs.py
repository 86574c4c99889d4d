"""Long work on lists, and what other rooms tell us about people."""

import datetime as dt
from uuid import UUID

from sqlalchemy import or_, select

from clarion.base import clock, db
from clarion.base.errors import ClarionError
from clarion.base.words import speaking
from clarion.tenancy import people
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope
from clarion.work.jobs import job, stopping
from clarion_contacts import service
from clarion_contacts.models import Import

STALE = dt.timedelta(minutes=2)


@job(queue="bulk", idempotent=True, alone=True)
def run_check(import_id: UUID) -> None:
    """Judge a list page by page, each in its own transaction; goes on after a crash."""
    with db.transaction():
        language = people.language_of(service.uploader(import_id))
    with speaking(language):
        _check(import_id)


def _check(import_id: UUID) -> None:
    try:
        with db.transaction():
            pages = service.reader(import_id)
        for page in pages:
            with db.transaction():
                if not service.stage(import_id, page):
                    return
                if stopping():
                    run_check.later(import_id)
                    return
        with db.transaction():
            service.settle(import_id)
    except ClarionError as refused:
        with db.transaction():
            service.fail(import_id, refused.text)


@job(queue="bulk", idempotent=True)
def run_import(import_id: UUID) -> None:
    """Turn checked rows into contacts, all or none."""
    service.apply(import_id)


@job(queue="bulk", idempotent=True)
def make_searchable(import_id: UUID) -> None:
    """Put the people of an import into the search, a page at a time."""
    if service.make_searchable(import_id):
        make_searchable.later(import_id)


@job(queue="bulk", idempotent=True)
def run_undo(import_id: UUID) -> None:
    """Take an import back, all of it or nothing."""
    service.take_back(import_id)


@job(queue="default", idempotent=True)
def mark_opted_out(contact_id: UUID, reason: str) -> None:
    """End a person's consent after a STOP. Twice or late: it looks at what is true now."""
    service.note_suppressed(contact_id, reason)


@job(queue="default", idempotent=True)
def mark_resumed(contact_id: UUID) -> None:
    """Take up a person's consent after a START. Twice or late: looks at what is true now."""
    service.note_resumed(contact_id)


@job(queue="default", idempotent=True, alone=True, system=True)
def forget_uploads() -> None:
    """Forget uploaded files after 24 hours, account by account."""
    with db.transaction() as orm:
        query = select(Import.account_id).where(
            Import.forgotten_at.is_(None), Import.created_at < clock.now() - service.KEPT
        )
        accounts = list(orm.scalars(query.distinct()))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            service.forget()


@job(queue="default", idempotent=True, alone=True, system=True)
def resume_imports() -> None:
    """Ring again for lists whose worker died: no sign of life for two minutes."""
    running = {
        "checking": run_check,
        "importing": run_import,
        "done": make_searchable,
        "undoing": run_undo,
    }
    with db.transaction() as orm:
        query = select(Import.id, Import.account_id, Import.state).where(
            Import.state.in_(running),
            or_(Import.state != "done", Import.searchable_to < Import.read_to),
            Import.beat_at < clock.now() - STALE,
        )
        lost = orm.execute(query).all()
    for import_id, account_id, state in lost:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            running[state].later(import_id)
