"""What can be done with reminders: every write, whoever asks for it."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Date, Select, cast, delete, func, literal, select

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging.models import Message
from clarion.tenancy import access, audit, preferences
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts import contract as contacts
from clarion_reminders.events import ReminderDue
from clarion_reminders.models import LONGEST, Reminder

SYSTEM = db.Entry("clarion_system", None, "plugin:reminders")
SHOWN = 200

audit.label("reminders.reminder.added", "Added a reminder")
audit.label("reminders.reminder.done", "Ticked a reminder off")


@dataclass(frozen=True, slots=True)
class Line:
    """A reminder as the list shows it."""

    id: UUID
    contact_id: UUID
    note: str
    due_on: dt.date
    call_first: bool
    due: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """How many reminders an account has open, and how many of them are due."""

    account_id: UUID
    name: str
    open: int
    due: int


def add(
    contact_id: UUID, note: str, due_on: dt.date, *, call_first: bool = False
) -> Reminder:
    """Remember something about a contact until a day.

    Raises `Invalid` (`note_missing`, `note_long`), and `NotFound` for a contact that this
    account does not have.
    """
    access.require("reminders.edit")
    words = note.strip()
    if not words:
        raise Invalid("note_missing", _("Say what to remember."), field="note")
    if len(words) > LONGEST:
        raise Invalid("note_long", _("This is too long."), field="note")
    contact = contacts.get(contact_id)

    row = Reminder(contact_id=contact.id, note=words, due_on=due_on, call_first=call_first)
    db.session().add(row)
    audit.record("reminders.reminder.added", row, call_first=call_first)
    return row


def done(reminder_id: UUID) -> Reminder:
    """Tick a reminder off. Raises `Conflict` (`reminder_done`) when somebody has."""
    access.require("reminders.edit")
    row = _locked(reminder_id)
    if row.done_at is not None:
        raise Conflict("reminder_done", _("Somebody has ticked this off already."))

    row.done_at = clock.now()
    audit.record("reminders.reminder.done", row)
    return row


def listing(*, only_due: bool = False) -> list[Line]:
    """List what is open, what is due first; one query."""
    access.require("reminders.view")
    due = (Reminder.due_on <= _today()).label("due")
    query = (
        select(
            Reminder.id,
            Reminder.contact_id,
            Reminder.note,
            Reminder.due_on,
            Reminder.call_first,
            due,
        )
        .join(Account, Account.id == Reminder.account_id)
        .where(Reminder.account_id == current_account(), Reminder.done_at.is_(None))
        .order_by(Reminder.due_on, Reminder.id)
        .limit(SHOWN)
    )
    if only_due:
        query = query.where(due)
    return [Line(*row) for row in db.session().execute(query)]


def tell_due() -> int:
    """Tell once about each reminder of this account whose day has come; return how many."""
    query = (
        select(Reminder)
        .join(Account, Account.id == Reminder.account_id)
        .where(
            Reminder.account_id == current_account(),
            Reminder.done_at.is_(None),
            Reminder.told_at.is_(None),
            Reminder.due_on <= _today(),
        )
        .order_by(Reminder.id)
        .with_for_update(of=Reminder, skip_locked=True)
    )
    rows = db.session().scalars(query).all()
    for row in rows:
        row.told_at = clock.now()
        outbox.publish(ReminderDue(row.id, row.contact_id))
    return len(rows)


def forget(contact_id: UUID) -> None:
    """Delete what is remembered about a contact: the person was erased."""
    query = delete(Reminder).where(
        Reminder.account_id == current_account(), Reminder.contact_id == contact_id
    )
    db.session().execute(query.execution_options(synchronize_session=False))


def follow(contact_ids: Iterable[UUID]) -> None:
    """Let reminders follow contacts that became one, and go back when they part again.

    Asks contacts who is part of whom now, so that being called twice or late is harmless.
    """
    query = select(Reminder).where(
        Reminder.account_id == current_account(),
        Reminder.contact_id.in_(list(contact_ids)),
    )
    rows = db.session().scalars(query.with_for_update()).all()
    now = contacts.survivors({row.written_for or row.contact_id for row in rows})
    for row in rows:
        first = row.written_for or row.contact_id
        row.written_for, row.contact_id = first, now.get(first, row.contact_id)


def to_be_called_first(batch: Any) -> Select[Any] | None:
    """Name the marketing messages of a batch whose person is to be called first, today."""
    if not preferences.value("reminders", "hold_back"):
        return None
    return (
        select(Message.id, literal("call_first"))
        .join(
            Reminder,
            (Reminder.account_id == Message.account_id)
            & (Reminder.contact_id == Message.contact_id),
        )
        .join(Account, Account.id == Message.account_id)
        .where(
            Message.account_id == current_account(),
            Message.id.in_(batch.ids),
            Message.purpose == "marketing",
            Reminder.call_first,
            Reminder.done_at.is_(None),
            Reminder.due_on <= _today(),
        )
        .distinct()
    )


# --- across accounts: ids and counts, never a text


def accounts_with_due() -> list[UUID]:
    """List accounts that may have something due: the widest day there is on earth."""
    tomorrow = clock.now().date() + dt.timedelta(days=1)
    query = select(Reminder.account_id).where(
        Reminder.done_at.is_(None),
        Reminder.told_at.is_(None),
        Reminder.due_on <= tomorrow,
    )
    with db.apart(SYSTEM) as orm:
        return list(orm.scalars(query.distinct()))


def counts() -> list[Counted]:
    """Count open reminders by account, for staff."""
    access.require("reminders.counts")
    due = func.count().filter(Reminder.due_on <= _today())
    query = (
        select(Account.id, Account.name, func.count(), due)
        .join(Reminder, Reminder.account_id == Account.id)
        .where(Reminder.done_at.is_(None))
        .group_by(Account.id)
        .order_by(func.count().desc(), Account.name)
        .limit(SHOWN)
    )
    with db.apart(SYSTEM) as orm:
        return [Counted(*row) for row in orm.execute(query)]


def _today() -> ColumnElement[dt.date]:
    """Say which day it is where the account is, by the database's clock."""
    return cast(func.timezone(Account.timezone, func.clarion_now()), Date)


def _locked(reminder_id: UUID) -> Reminder:
    query = select(Reminder).where(
        Reminder.account_id == current_account(), Reminder.id == reminder_id
    )
    row = db.session().scalar(query.with_for_update())
    if row is None:
        raise NotFound("reminder_unknown", _("There is no such reminder."))
    return row
