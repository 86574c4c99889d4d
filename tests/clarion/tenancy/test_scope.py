"""Scopes: who is acting, for which account, and that nothing of it stays behind."""

import threading

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from clarion.base import db
from clarion.base.errors import Misconfigured
from clarion.tenancy.actor import COMMAND, NOBODY, Actor
from clarion.tenancy.models import Account, Membership, Preference
from clarion.tenancy.scope import (
    account_scope,
    anonymous_scope,
    current_account,
    current_actor,
    staff_scope,
    system_scope,
)

WHERE = text(
    "SELECT current_user, current_setting('app.account_id'), current_setting('app.actor_id')"
)


def test_nobody_acts_outside_every_scope():
    assert current_actor() == NOBODY
    with pytest.raises(Misconfigured) as refused:
        current_account()
    assert refused.value.code == "no_account"


def test_scopes_enter_role_account_and_actor(account):
    ada = Actor("staff", id="7", name="Ada")
    seen = []
    for scope in (
        account_scope(account.id, account.actor),
        staff_scope(ada),
        system_scope(COMMAND),
        anonymous_scope(),
    ):
        with scope, db.transaction() as orm:
            seen.append(tuple(orm.execute(WHERE).one()))

    assert seen == [
        ("clarion_app", str(account.id), f"person:{account.person_id}"),
        ("clarion_staff", "", "staff:7"),
        ("clarion_system", "", "command"),
        ("clarion_app", "", "nobody"),
    ]


def test_the_actor_of_a_scope_has_its_account(account, other_account):
    """Whatever the actor said before: the scope decides."""
    with account_scope(account.id, other_account.actor) as who:
        assert who.account_id == account.id == current_account()
    with staff_scope(account.actor) as who:
        assert who.account_id is None


def test_inner_scope_ends_and_the_outer_goes_on(account, other_account):
    assert current_account() == account.id
    with account_scope(other_account.id, other_account.actor):
        assert current_account() == other_account.id
        with db.transaction() as orm:
            assert [a.id for a in orm.scalars(select(Account))] == [other_account.id]
    assert current_account() == account.id
    with db.transaction() as orm:
        assert [a.id for a in orm.scalars(select(Account))] == [account.id]


def test_what_was_not_committed_is_gone_with_its_scope(account):
    with account_scope(account.id, account.actor):
        db.session().add(Preference(plugin="p", name="n", value=1))
        db.session().flush()

    assert db.session().scalars(select(Preference)).all() == []


def test_inner_transaction_joins_the_outer(account):
    with pytest.raises(ZeroDivisionError), db.transaction() as orm:
        with db.transaction() as inner:
            assert inner is orm
            inner.add(Preference(plugin="p", name="n", value=1))
        1 / 0  # noqa: B018 -- fails

    assert db.session().scalars(select(Preference)).all() == []


def test_apart_is_not_taken_back_with_the_caller(account):
    entry = db.Entry("clarion_app", account.id, "test")
    with pytest.raises(ZeroDivisionError), db.transaction():
        with db.apart(entry) as other:
            other.add(Preference(plugin="p", name="n", value=1))
        1 / 0  # noqa: B018 -- fails

    assert len(db.session().scalars(select(Preference)).all()) == 1


def test_a_session_without_scope_may_nothing(database):
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        db.transaction() as orm,
    ):
        orm.execute(select(Membership))


def test_threads_have_scopes_of_their_own(account):
    """WALL-10: what one context entered is nothing to another."""
    told = {}

    def look():
        told["actor"] = current_actor()
        told["entry"] = db.current_entry()

    one = threading.Thread(target=look)
    one.start()
    one.join()

    assert told == {"actor": NOBODY, "entry": None}
    assert current_actor().account_id == account.id


def test_scope_ends_when_the_block_fails(account):
    with pytest.raises(ZeroDivisionError), staff_scope(COMMAND):
        1 / 0  # noqa: B018 -- fails

    assert current_account() == account.id


def test_job_of_an_actor_names_who_caused_it(account):
    job = account.actor.as_job()

    assert job.label == f"job:person:{account.person_id}"
    assert job.as_job().label == job.label
    assert Actor.from_json(account.actor.to_json()).account_id == account.id


def test_payload_of_an_actor_carries_no_name(account):
    said = str(account.actor.to_json())

    assert account.email not in said
    assert "Marina" not in said
    assert account.name not in said
