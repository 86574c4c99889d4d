"""The state machine: every pair of states, every late answer."""

import contextlib
import datetime as dt
import itertools
import threading
import time
from uuid import UUID

import pytest
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from clarion.base import db
from clarion.messaging import (
    dispatch,
    leases,
    ledger,
    orders,
    outcomes,
    pacing,
    suppression,
)
from clarion.messaging.ledger import Outcome
from clarion.messaging.models import STATES, Attempt, Message, MessageEvent
from clarion.tenancy.scope import account_scope


@pytest.fixture
def accepted(make_order, run_jobs):
    """One message that the provider took: (message id, its attempt's row)."""
    make_order.start(1)
    run_jobs()
    with db.transaction() as orm:
        attempt = orm.scalars(select(Attempt)).one()
        orm.expunge(attempt)
    return attempt


def state_of(message_id):
    return db.session().scalar(select(Message.state).where(Message.id == message_id))


# --- the table of moves


def test_the_database_refuses_every_move_that_is_not_in_the_table(
    make_order, database, account
):
    make_order.start(1)
    with db.transaction() as orm:
        message_id = orm.scalar(select(Message.id))
    engine = create_engine(database.superuser_url)
    wrong = []
    with engine.begin() as connection:
        for old, new in itertools.product(STATES, STATES):
            allowed = old == new or new in ledger.MOVES[old].split()
            if allowed != moves(connection, message_id, old, new):
                wrong.append((old, new))
        connection.rollback()
    engine.dispose()

    assert wrong == []
    assert set(ledger.MOVES) == set(STATES)


def moves(connection, message_id, old, new):
    """Say whether the trigger lets a row go from one state to another."""
    go = update(Message).where(Message.id == message_id)
    connection.execute(text("SET session_replication_role = replica"))  # no trigger
    connection.execute(go.values(state=old))
    connection.execute(text("SET session_replication_role = origin"))
    trial = connection.begin_nested()
    try:
        connection.execute(go.values(state=new))
    except IntegrityError as refused:
        assert f"{old} may not become {new}" in str(refused)
        trial.rollback()
        return False
    trial.rollback()
    return True


def test_each_step_is_in_the_history(accepted):
    with db.transaction() as orm:
        steps = orm.execute(
            select(MessageEvent.from_state, MessageEvent.to_state).order_by(
                MessageEvent.seq
            )
        ).all()

    assert [tuple(step) for step in steps] == [
        ("claimed", "dispatching"),
        ("dispatching", "accepted"),
    ]


# --- claims, leases, answers


def claimed(order, size):
    with db.transaction():
        return leases.claim(order, size)


def intended(order, size):
    token, rows = claimed(order, size)
    ids = [row.id for row in rows]
    with db.transaction():
        ledger.lock_for_intent(order, ids)
        assert sorted(ledger.intend(token, ids)) == sorted(ids)
    return token, rows


@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_claim_takes_no_more_than_it_may(make_order, size):
    order, _ = make_order.start(60)

    for n in range(1, 4):
        if n * size > 60:
            break
        _, ids = claimed(order, size)
        assert len(ids) == size
        with db.transaction():
            assert orders.progress(order).queued == 60  # claimed ones included
            found = db.session().scalars(
                select(Message.id).where(Message.state == "claimed")
            )
            assert len(found.all()) == n * size


def test_a_claim_that_slept_past_its_lease_commits_no_intent(make_order):
    order, _ = make_order.start(5)
    token, rows = claimed(order, 5)
    ids = [row.id for row in rows]
    run_out()

    with db.transaction():
        ledger.lock_for_intent(order, ids)
        assert ledger.intend(token, ids) == []


@pytest.mark.parametrize("reason", ["opted_out", "erased"])
def test_what_waits_for_a_person_says_why_it_is_not_sent(make_order, reason):
    order, people = make_order.start(2)

    with db.transaction():
        ledger.lock_contacts([people[0][0]])
        assert ledger.silence([people[0][0]], "all", reason) == 1

    rows = db.session().execute(
        select(Message.state, Message.reason).where(Message.campaign_id == order)
    )
    assert sorted(tuple(row) for row in rows) == [("queued", ""), ("suppressed", reason)]
    assert (
        outcomes.explain("suppressed", "erased").title
        != outcomes.explain("suppressed", "opted_out").title
    )


LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
NEVER = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)


def lose(order, size=50, **how):
    """Claim and lose the lease; returns the ids of the rows."""
    with db.transaction():
        _, rows = leases.claim(order, size, **how)
    run_out()
    with db.transaction():
        assert leases.reclaim() >= len(rows)
    return {row.id for row in rows}


def test_a_second_lease_lost_alone_is_the_end(make_order):
    order, _ = make_order.start(1)
    for suspect in (False, False, True):
        assert len(lose(order, suspect=suspect)) == 1
    assert ended() == ("queued", "")  # one worker may have been killed for another reason

    assert len(lose(order, suspect=True)) == 1

    assert ended() == ("failed", "quarantined")


def ended():
    with db.transaction() as orm:
        return tuple(orm.execute(select(Message.state, Message.reason)).one())


def test_who_lost_every_lease_but_the_last_is_sent(make_order):
    order, _ = make_order.start(1)
    for suspect in (False, False, True):
        lose(order, suspect=suspect)

    token, rows = suspected(order)

    with db.transaction():
        ledger.lock_for_intent(order, [rows[0].id])
        assert ledger.intend(token, [rows[0].id]) == [rows[0].id]


def test_who_shared_two_lost_leases_is_claimed_alone(make_order):
    """Further losses are one row's own: its batch-mates are not given up with it."""
    order, _ = make_order.start(4)
    with db.transaction() as orm:
        late = orm.scalar(select(Message.id).limit(1))
        orm.execute(update(Message).where(Message.id == late).values(not_before=NEVER))
    shared = lose(order)
    assert len(shared) == 3
    assert lose(order) == shared
    with db.transaction() as orm:
        orm.execute(update(Message).where(Message.id == late).values(not_before=LONG_AGO))
    with db.transaction():
        assert [one.id for one in leases.claim(order, 50)[1]] == [late]
        assert not leases.claim(order, 50)[1]

    poison = lose(order, 50, suspect=True)
    with db.transaction() as orm:  # it is the first again
        again = update(Message).where(Message.id.in_(poison))
        orm.execute(again.values(not_before=LONG_AGO))
    assert lose(order, 50, suspect=True) == poison

    assert len(poison) == 1
    assert poison < shared
    with db.transaction() as orm:
        failed = orm.scalars(select(Message.id).where(Message.state == "failed")).all()
        assert set(failed) == poison
    token, rows = suspected(order)
    with db.transaction() as orm:
        ledger.lock_for_intent(order, [rows[0].id])
        assert ledger.intend(token, [rows[0].id]) == [rows[0].id]
        assert orm.scalar(select(Message.claims).where(Message.id == rows[0].id)) == 0


def suspected(order):
    with db.transaction():
        return leases.claim(order, 50, suspect=True)


def test_a_row_that_came_to_the_gate_is_under_no_suspicion(make_order):
    order, _ = make_order.start(1)
    with db.transaction() as orm:
        orm.execute(text("UPDATE sender SET state = 'paused'"))
    for _ in range(4):
        token, rows = claimed(order, 1)
        ids = [row.id for row in rows]
        with db.transaction():
            ledger.lock_for_intent(order, ids)
            assert ledger.intend(token, ids) == []
            ledger.refuse(token, ids)

    assert len(claimed(order, 1)[1]) == 1


def test_a_row_that_cannot_be_written_is_given_up_after_four_times(make_order):
    order, _ = make_order.start(2)
    for suspect in (False, False, True, True):
        with db.transaction() as orm:
            token, rows = leases.claim(order, 1, suspect=suspect)
            leases.set_aside(token, [rows[0].id])
            # it is due again, and before the other one
            orm.execute(
                update(Message).where(Message.claims > 0).values(not_before=LONG_AGO)
            )

    with db.transaction() as orm:
        rows = orm.execute(select(Message.state, Message.reason)).all()
    assert sorted(map(tuple, rows)) == [("failed", "quarantined"), ("queued", "")]


@pytest.mark.parametrize(
    ("answer", "end"),
    [("accepted", "accepted"), ("held", "held"), ("failed", "failed"),
     ("queued", "unknown"), ("unknown", "unknown")],
)  # fmt: skip
def test_an_answer_after_the_lease_settles_what_it_can(make_order, answer, end):
    """What was heard is known; but nothing that may have left is queued by a machine."""
    order, _ = make_order.start(1)
    _, intents = intended(order, 1)
    run_out()
    with db.transaction():
        leases.reclaim()
        assert state_of(intents[0].id) == "unknown"

    with db.transaction():
        one = intents[0]
        ledger.record([Outcome(one.id, one.attempt, one.token, answer)])
        assert state_of(one.id) == end


def test_an_answer_of_somebody_elses_attempt_changes_nothing(make_order):
    order, _ = make_order.start(1)
    _, intents = intended(order, 1)
    one = intents[0]
    with db.transaction():
        ledger.record([Outcome(one.id, one.attempt, UUID(int=1), "accepted")])
        assert state_of(one.id) == "dispatching"
        ledger.record([Outcome(one.id, one.attempt + 1, one.token, "accepted")])
        assert state_of(one.id) == "dispatching"


def run_out():
    with db.transaction() as orm:
        orm.execute(
            text(
                "UPDATE message SET lease_until = clarion_now() - interval '1 second'"
                " WHERE lease_until IS NOT NULL"
            )
        )


# --- pace


def test_workers_that_share_a_number_never_exceed_its_rate(make_order, account):
    """They wait for each other's row, but what time it is, the latest one knows."""
    with db.transaction() as orm:
        orm.execute(text("UPDATE sender SET rate_per_s = 100"))
    granted, seconds = [], 1.5
    end = time.monotonic() + seconds

    def take():
        with account_scope(account.id, account.actor):
            while time.monotonic() < end:
                with db.transaction():
                    granted.append(pacing.take(make_order.sender_id, 7).count)

    workers = [threading.Thread(target=take) for _ in range(6)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()

    assert (
        0 < sum(granted) <= 100 * seconds + 3 * 10
    )  # slices at both ends, and the last wait


def test_a_drain_takes_no_more_than_its_pace(make_order, simulator):
    with db.transaction() as orm:
        orm.execute(text("UPDATE sender SET rate_per_s = 50"))
    order, _ = make_order.start(60)

    dispatch.drain.function(order)

    stamps = sorted(receipt["at"] for receipt in simulator.receipts())
    assert len(stamps) == 60
    assert stamps[-1] - stamps[0] >= 0.9


def test_a_worker_suspended_at_the_gate_does_not_keep_a_stop_waiting(
    make_order, account, monkeypatch
):
    monkeypatch.setattr(ledger, "HELD_SECONDS", 1)
    order, [(_, number, _)] = make_order.start(1)
    with db.transaction():
        token, (row,) = leases.claim(order, 1)
    locked, awake, came_of = threading.Event(), threading.Event(), []

    def suspended():
        with (
            account_scope(account.id, account.actor),
            contextlib.suppress(OperationalError),
            db.transaction(),
        ):
            ledger.lock_for_intent(order, [row.id])
            locked.set()
            awake.wait(30)
            came_of.extend(ledger.intend(token, [row.id]))

    worker = threading.Thread(target=suspended)
    worker.start()
    assert locked.wait(30)
    with db.transaction():
        suppression.suppress([("phone", number)], reason="stop")
    awake.set()
    worker.join()

    assert came_of == []
    with db.transaction() as orm:
        assert orm.scalar(select(Message.state)) == "suppressed"
