"""Account, actor and database role of the present context; the second tenant wall."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from uuid import UUID

from sqlalchemy import event, false
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from clarion.base import db, telemetry
from clarion.base.errors import Misconfigured
from clarion.tenancy.actor import NOBODY, Actor
from clarion.tenancy.models import AccountBase

_actor: ContextVar[Actor] = ContextVar("actor", default=NOBODY)


def current_actor() -> Actor:
    """Say who is acting; `NOBODY` outside every scope."""
    return _actor.get()


def current_account() -> UUID:
    """Return the account of this context, or refuse: nothing may guess it."""
    account = _actor.get().account_id
    if account is None:
        raise Misconfigured("no_account", "This was called without an account.")
    return account


@contextmanager
def account_scope(account_id: UUID, actor: Actor) -> Iterator[Actor]:
    """Act inside one account as `clarion_app`, with an ORM session of its own.

    Staff who act as a person enter with their grant: when it ends, nothing is seen any more.
    """
    entry = db.Entry("clarion_app", account_id, actor.label)
    if actor.grant_id is not None:
        entry = replace(
            entry,
            grant_id=actor.grant_id,
            access_id=actor.access_id,
            read_only=actor.read_only,
        )
    with _scope(entry, actor, account_id) as who:
        yield who


@contextmanager
def staff_scope(actor: Actor) -> Iterator[Actor]:
    """Act as staff: operational tables of all accounts.

    A customer's content shows only with the entry of the access log written for this reading.
    """
    entry = db.Entry("clarion_staff", None, actor.label, access_id=actor.access_id)
    with _scope(entry, actor, None) as who:
        yield who


@contextmanager
def system_scope(actor: Actor) -> Iterator[Actor]:
    """Find across accounts, in the columns `clarion_system` is granted."""
    with _scope(db.Entry("clarion_system", None, actor.label), actor, None) as who:
        yield who


@contextmanager
def anonymous_scope(actor: Actor = NOBODY) -> Iterator[Actor]:
    """Act for nobody: `clarion_app` without an account sees no account's row."""
    with _scope(db.Entry("clarion_app", None, actor.label), actor, None) as who:
        yield who


@contextmanager
def _scope(entry: db.Entry, actor: Actor, account_id: UUID | None) -> Iterator[Actor]:
    who = replace(actor, account_id=account_id)
    entered = db.push_entry(entry)
    acting = _actor.set(who)
    with telemetry.bound(account=str(account_id or "-"), actor=who.label):
        try:
            yield who
        finally:
            _actor.reset(acting)
            db.pop_entry(entered)


@event.listens_for(Session, "do_orm_execute")
def _second_wall(state: ORMExecuteState) -> None:
    """Add the account to every ORM statement; row level security is the first wall.

    Staff and system read across accounts by role, so the criterion is for clarion_app.
    """
    entry = state.session.info.get("entry") or db.current_entry()
    if entry is None or entry.role != "clarion_app" or state.is_column_load:
        return
    if not (state.is_select or state.is_update or state.is_delete):
        return
    account = entry.account_id
    # two lambdas, each always the same SQL: SQLAlchemy caches them and binds `account`
    if account is None:
        wall = with_loader_criteria(AccountBase, lambda _: false(), include_aliases=True)
    else:
        wall = with_loader_criteria(
            AccountBase, lambda cls: cls.account_id == account, include_aliases=True
        )
    state.statement = state.statement.options(wall)
