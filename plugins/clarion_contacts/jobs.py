"""Long work on lists, and what other rooms tell us about people."""

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import func, or_, select

from clarion.base import clock, db
from clarion.base.errors import ClarionError
from clarion.base.words import speaking
from clarion.messaging import heard
from clarion.tenancy import people, preferences
from clarion.tenancy.actor import COMMAND, SYSTEM_JOB
from clarion.tenancy.models import Account
from clarion.tenancy.scope import account_scope, system_scope
from clarion.work.jobs import job, stopping
from clarion_contacts import service
from clarion_contacts.models import Import, Merge
from clarion_contacts.records import Bulk, Joining, Snapshot

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
            gauge.later(import_id)
    except ClarionError as refused:
        with db.transaction():
            service.fail(import_id, refused.text)


@job(queue="default", idempotent=True)
def gauge(import_id: UUID) -> None:
    """Tell the watch for misuse what a checked list is like. Twice tells the same."""
    service.gauge(import_id)


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


@job(queue="bulk", idempotent=True, alone=True)
def run_bulk(bulk_id: UUID) -> None:
    """Do something with many people, part by part, each in its own transaction."""
    try:
        while True:
            with db.transaction():
                if not service.step(bulk_id):
                    return
                if stopping():
                    run_bulk.later(bulk_id)
                    return
    except ClarionError as refused:
        with db.transaction():
            service.fail_bulk(bulk_id, refused.text)


@job(queue="bulk", idempotent=True)
def write_snapshot(snapshot_id: UUID) -> None:
    """Write down who is in a snapshot, all or nothing."""
    service.write_members(snapshot_id)


@job(queue="default", idempotent=True, when_off=True)
def mark_opted_out(contact_id: UUID, reason: str) -> None:
    """End a person's consent after a STOP. Twice or late: it looks at what is true now."""
    service.note_suppressed(contact_id, reason)


@job(queue="default", idempotent=True, when_off=True)
def mark_resumed(contact_id: UUID) -> None:
    """Take up a person's consent after a START. Twice or late: looks at what is true now."""
    service.note_resumed(contact_id)


@job(queue="default", idempotent=True, when_off=True)
def follow_number(contact_id: UUID, what: str) -> None:  # noqa: ARG001 -- a field of the event
    """Write to a person's new number. Twice or late: it looks at what is true now."""
    service.note_changed(contact_id)


@job(queue="bulk", idempotent=True)
def find_duplicates() -> None:
    """Look for contacts that are alike. Twice finds the same."""
    service.search()


@job(queue="bulk", idempotent=True)
def find_new_duplicates(import_id: UUID) -> None:  # noqa: ARG001 -- a field of the event
    """Look again after a list was taken in."""
    service.search()


@job(queue="default", idempotent=True, alone=True, system=True)
def find_all_duplicates() -> None:
    """Ring for a search in every account, once a night."""
    with db.transaction() as orm:
        accounts = list(orm.scalars(select(Account.id).where(Account.state == "active")))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            if preferences.switched_on("contacts"):
                find_duplicates.later()


@job(queue="default", idempotent=True, alone=True, system=True, when_off=True)
def forget_merges() -> None:
    """Forget what merged contacts were before, after 30 days, account by account."""
    with db.transaction() as orm:
        query = select(Merge.account_id).where(
            Merge.kept, Merge.created_at <= func.clarion_now() - service.UNDOABLE
        )
        accounts = list(orm.scalars(query.distinct()))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            service.forget_merges()


@job(queue="default", idempotent=True)
def hear(inbound_id: UUID) -> None:
    """Take what a person wrote as a step of a sign-up. Twice: a form asks once a day."""
    if (said := heard.read(inbound_id)) is not None:
        service.listen(said)


@job(queue="default", idempotent=True, when_off=True)
def settle_erasure(contact_id: UUID) -> None:
    """Note that a request for erasure is done. Twice or late: it looks who is still there."""
    service.note_erased(contact_id)


@job(queue="default", idempotent=True, alone=True, system=True, when_off=True)
def seal_consents() -> None:
    """Seal what was written down since, account by account."""
    with db.transaction():
        accounts = service.accounts_with_loose()
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            service.seal()


@job(queue="bulk", idempotent=True, alone=True, system=True, when_off=True)
def tend_consents() -> None:
    """Each night: end consent by age, compare copies with events, walk every chain."""
    with db.transaction() as orm:
        accounts = list(orm.scalars(select(Account.id)))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            service.tend()


def examine(
    only: UUID | None, *, repair: bool
) -> Iterator[tuple[UUID, service.Verdict, service.Compared]]:
    """Seal, walk and compare by hand, account by account: for the command line."""
    with system_scope(COMMAND), db.transaction() as orm:
        accounts = [only] if only else list(orm.scalars(select(Account.id)))
    for account_id in accounts:
        with account_scope(account_id, COMMAND), db.transaction():
            service.seal(window=None)
            yield account_id, service.verify(), service.compare(repair=repair)


@job(queue="default", idempotent=True, alone=True, system=True, when_off=True)
def expire_joinings() -> None:
    """Forget the addresses of who never confirmed, account by account."""
    late = Joining.expires_at <= clock.now()
    with db.transaction() as orm:
        query = select(Joining.account_id).where(Joining.state == "pending", late)
        accounts = list(orm.scalars(query.distinct()))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            service.expire_joinings()


@job(queue="default", idempotent=True, alone=True, system=True, when_off=True)
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


@job(queue="default", idempotent=True, alone=True, system=True, when_off=True)
def forget_bulks() -> None:
    """Forget exports and who was chosen for a bulk act after a day, account by account."""
    with db.transaction() as orm:
        query = select(Bulk.account_id).where(
            Bulk.forgotten_at.is_(None), Bulk.expires_at < clock.now()
        )
        accounts = list(orm.scalars(query.distinct()))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            service.forget_bulks()


@job(queue="default", idempotent=True, alone=True, system=True)
def resume_bulks() -> None:
    """Ring again for bulk acts whose worker died: no sign of life for two minutes."""
    with db.transaction() as orm:
        query = select(Bulk.id, Bulk.account_id).where(
            Bulk.state.in_(("running", "undoing")), Bulk.beat_at < clock.now() - STALE
        )
        lost = orm.execute(query).all()
    for bulk_id, account_id in lost:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            run_bulk.later(bulk_id)


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


@job(queue="default", idempotent=True, alone=True, system=True)
def resume_snapshots() -> None:
    """Ring again for snapshots whose worker died: not written after some minutes."""
    with db.transaction() as orm:
        query = select(Snapshot.id, Snapshot.account_id).where(
            Snapshot.frozen_at.is_(None), Snapshot.created_at < clock.now() - 5 * STALE
        )
        lost = orm.execute(query).all()
    for snapshot_id, account_id in lost:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            write_snapshot.later(snapshot_id)
