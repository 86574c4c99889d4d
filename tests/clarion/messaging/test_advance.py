"""Status events: every order, any repetition, late answers, lost attempts; one end."""

import datetime as dt
import itertools
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update

from clarion.base import db
from clarion.messaging import incoming, leases, ledger, references
from clarion.messaging.advance import Advance, advance
from clarion.messaging.ledger import Outcome
from clarion.messaging.models import Attempt, Channel, Message, MessageEvent, Orphan
from clarion.tenancy.scope import account_scope
from clarion.work.webhooks import Stored

NOON = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)
RANK = {"accepted": 1, "sent": 2, "failed": 3, "delivered": 4, "read": 5}


class Enough(Exception):
    """Takes back what an example did."""


@pytest.fixture
def accepted(make_order, run_jobs):
    """One message that the provider took: its attempt's row."""
    make_order.start(1)
    run_jobs()
    with db.transaction() as orm:
        attempt = orm.scalars(select(Attempt)).one()
        orm.expunge(attempt)
    return attempt


def state_of(message_id):
    return db.session().scalar(select(Message.state).where(Message.id == message_id))


def intended(order):
    """Take the order's one message as far as the wire."""
    with db.transaction():
        token, rows = leases.claim(order, 1)
        ledger.lock_for_intent(order, [rows[0].id])
        assert ledger.intend(token, [rows[0].id]) == [rows[0].id]
        return rows[0]


@pytest.mark.parametrize(
    "words", itertools.permutations(["sent", "failed", "delivered", "read"])
)
@pytest.mark.parametrize("by", ["token", "provider_id"])
def test_every_order_of_four_statuses_ends_in_read(accepted, words, by):
    with db.transaction():
        for word in words:
            advance([event(accepted, word, by)])

        assert state_of(accepted.message_id) == "read"


@given(
    batches=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["sent", "delivered", "read", "failed"]),
                st.sampled_from(["token", "provider_id"]),
            ),
            max_size=6,
        ),
        max_size=5,
    )
)
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_order_any_repetition_any_batch_gives_the_same_end(accepted, batches):
    """The highest rank wins; `failed` after `delivered` changes nothing."""
    highest = max([RANK[w] for batch in batches for w, _ in batch], default=1)

    with pytest.raises(Enough), db.transaction() as orm:
        for batch in batches:
            events = [event(accepted, word, by) for word, by in batch]
            assert advance(events).unknown == frozenset()
        row = orm.execute(
            select(Message.state, Message.reason, Attempt.status, Attempt.code)
            .join(Attempt, Attempt.message_id == Message.id)
            .where(Message.id == accepted.message_id)
        ).one()
        failed = highest == RANK["failed"]
        assert RANK[row.state] == highest
        assert row.reason == ("not_on_whatsapp" if failed else "")
        assert row.status == (row.state if highest > 1 else "")
        assert row.code == ("131026" if failed else "")
        raise Enough


def test_failed_counts_for_the_current_attempt_only(accepted):
    with db.transaction() as orm:
        orm.execute(update(Message).values(attempt=2, state="accepted"))
        orm.execute(
            text(
                "INSERT INTO attempt (id, account_id, message_id, number, sender_id)"
                " SELECT clarion_new_id(), account_id, id, 2, sender_id FROM message"
            )
        )

        advance([event(accepted, "failed", "token")])
        assert state_of(accepted.message_id) == "accepted"
        advance([event(accepted, "delivered", "token")])
        assert state_of(accepted.message_id) == "delivered"


def test_what_matches_nothing_is_said_and_nothing_moves(accepted):
    stranger = Advance("wamid.elsewhere", "read", NOON)
    with db.transaction():
        done = advance([stranger, event(accepted, "sent", "token")])

        assert done.unknown == {0}
        assert done.moved == 1


def event(attempt, word, by):
    token = by == "token"
    return Advance(
        attempt.provider_id,
        word,
        NOON + dt.timedelta(seconds=RANK[word]),
        message_id=attempt.message_id if token else None,
        number=attempt.number if token else None,
        reason="not_on_whatsapp" if word == "failed" else "",
        code="131026" if word == "failed" else "",
    )


def test_a_status_that_overtook_the_answer_stays(make_order):
    order, _ = make_order.start(1)
    one = intended(order)
    early = Advance(
        "wamid.1", "failed", NOON, one.id, one.attempt, "not_on_whatsapp", "131026"
    )
    with db.transaction() as orm:
        advance([early])
        ledger.record(
            [Outcome(one.id, one.attempt, one.token, "accepted", provider_id="wamid.1")]
        )
        row = orm.execute(select(Message.state, Attempt.code, Attempt.outcome).join(
            Attempt, Attempt.message_id == Message.id)).one()  # fmt: skip

    assert tuple(row) == ("failed", "131026", "accepted")


# --- with answers that come late, or never


@given(
    steps=st.lists(
        st.sampled_from(
            [
                *itertools.product(
                    ["sent", "delivered", "read", "failed", "held_by_moon"], ["token", "id"]
                ),
                ("answer", ""),
                ("lease", ""),
            ]
        ),
        max_size=8,
    )
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_late_answers_and_lost_leases_end_as_the_model_says(wire, steps):
    """The model: the highest status heard; else the answer; else unknown, if the lease ended."""
    intent, channel_id = wire
    words = {word for word, _by in steps}

    with pytest.raises(Enough), db.transaction():
        for word, by in steps:
            if word == "answer":
                said = Outcome(
                    intent.id,
                    intent.attempt,
                    intent.token,
                    "accepted",
                    provider_id="wamid.1",
                )
                ledger.record([said])
            elif word == "lease":
                db.session().execute(
                    text("UPDATE message SET lease_until = clarion_now() - interval '1 s'"
                         " WHERE lease_until IS NOT NULL")
                )  # fmt: skip
                leases.reclaim()
            else:
                incoming.apply([stored(channel_id, intent, word, by)])
        known = "answer" in words or any(
            by == "token" and word in RANK for word, by in steps
        )
        if known:
            incoming.adopt_orphans()
        heard = [w for w, by in steps if w in RANK and (known or by == "token")]
        fallback = "accepted" if "answer" in words else "dispatching"
        if fallback == "dispatching" and "lease" in words:
            fallback = "unknown"
        assert state_of(intent.id) == max(heard, key=RANK.get, default=fallback)
        raise Enough


@pytest.fixture
def wire(make_order):
    """A message on the wire: (its intent, the channel's id)."""
    order, _ = make_order.start(1)
    with db.transaction() as orm:
        channel_id = orm.scalar(select(Channel.id))
    return intended(order), channel_id


def stored(channel_id, intent, word, by):
    said = {"id": "wamid.1", "status": word, "timestamp": "1790000000"}
    if by == "token":
        token = references.reference(intent.id, intent.attempt)
        said["biz_opaque_callback_data"] = token
    if word == "failed":
        said["errors"] = [{"code": 131026}]
    return Stored(channel_id, "status", {"field": "messages", "status": said})


# --- what is gone, and what should be there


def test_an_event_for_a_purged_message_makes_nothing(accepted):
    """The message and its attempts are purged: our token names nothing any more."""
    with db.transaction() as orm:
        channel_id = orm.scalar(select(Channel.id))
        gone = leases.Claimed(db.new_id(), 1, db.new_id(), "", "phone", {})
        before = orm.scalar(select(func.count()).select_from(MessageEvent))
        incoming.apply([stored(channel_id, gone, word, "token") for word in RANK])

        assert orm.scalars(select(Orphan)).all() == []
        assert orm.scalar(select(func.count()).select_from(Attempt)) == 1
        assert orm.scalar(select(func.count()).select_from(MessageEvent)) == before
        assert state_of(accepted.message_id) == "accepted"


def test_a_status_moves_a_message_whose_attempt_a_restored_database_lost(
    make_order, database
):
    order, _ = make_order.start(1)
    with db.transaction() as orm:
        message_id = orm.scalar(select(Message.id))
        lost = Advance("wamid.9", "sent", NOON, message_id, 1)
        done = advance([lost, lost])

        assert (done.moved, done.unknown, done.restored) == (1, frozenset(), {0, 1})
        assert state_of(message_id) == "sent"
        assert leases.claim(order, 1)[1] == []
        one = orm.scalars(select(Attempt)).one()
        assert (one.number, one.status, one.provider_id) == (1, "sent", "wamid.9")
        assert advance([Advance("wamid.9", "read", NOON)]).moved == 1


def test_failures_are_told_once(accepted):
    with db.transaction():
        first = advance([event(accepted, "failed", "token")] * 3)
        again = advance([event(accepted, "failed", "provider_id")])

    assert len(first.failed) == 1
    assert again.failed == frozenset()


def test_the_same_page_fifty_times_at_once_is_applied_once(account, make_order, run_jobs):
    make_order.start(20)
    run_jobs()
    with db.transaction() as orm:
        attempts = orm.scalars(select(Attempt)).all()
        pages = [
            [event(one, word, by) for one in attempts]
            for word, by in (
                ("sent", "token"),
                ("delivered", "provider_id"),
                ("read", "token"),
            )
        ]
        orm.expunge_all()

    def say(n):
        with account_scope(account.id, account.actor), db.transaction():
            advance(pages[n % 3][:: -1 if n % 2 else 1])

    callers = [threading.Thread(target=say, args=(n,)) for n in range(50)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()

    with db.transaction() as orm:
        states = orm.scalars(select(Message.state)).all()
        reads = select(func.count()).where(MessageEvent.to_state == "read")
        assert orm.scalar(reads) == 20
    assert states == ["read"] * 20
