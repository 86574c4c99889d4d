"""A model of sending: any order of steps, crashes and events keeps what was promised."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from lab import deeds
from sqlalchemy import select, text

from clarion.base import clock, db
from clarion.messaging import leases, ledger, orders, suppression
from clarion.messaging.advance import Advance, advance
from clarion.messaging.ledger import Outcome
from clarion.messaging.models import Message
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
PEOPLE = 6
ANSWERS = ("accepted", "refused", "lost", "taken_and_lost")
RANK = {"accepted": 1, "sent": 2, "failed": 3, "delivered": 4, "read": 5}
FINAL = {"failed", "unknown", "suppressed", "cancelled", *RANK}
STILL = {"queued", "claimed", "suppressed", "cancelled"}


@dataclass
class Hand:
    """What one worker holds: claimed rows, calls on the wire, answers not written yet."""

    token: object
    claimed: list
    calls: list = field(default_factory=list)
    answers: list = field(default_factory=list)


class Sending(RuleBasedStateMachine):
    """One order for a few people; workers that come and go; a provider; a person."""

    @initialize()
    def begin(self):
        self.account = make_account()
        self.scope = account_scope(self.account.id, self.account.actor)
        self.scope.__enter__()
        self.order = deeds.order(make_sender(self.account), 0, PEOPLE)
        with db.transaction() as orm:
            rows = orm.execute(select(Message.id, Message.address)).all()
        self.address = {row.id: row.address for row in rows}
        self.hands, self.receipts = [], Counter()
        self.gone = []  # every call that reached the provider: (id, attempt)
        self.stopped, self.highest = set(), {}

    def teardown(self):
        if not hasattr(self, "scope"):
            return
        try:
            self.finish()
        finally:
            self.scope.__exit__(None, None, None)

    # --- workers

    @rule(size=st.integers(1, PEOPLE), suspect=st.booleans())
    def claim(self, size, suspect):
        with db.transaction():
            token, rows = leases.claim(self.order, size, suspect=suspect)
        if rows:
            self.hands.append(Hand(token, rows))

    @precondition(lambda self: any(hand.claimed for hand in self.hands))
    @rule(data=st.data())
    def intend(self, data):
        hand = data.draw(st.sampled_from([h for h in self.hands if h.claimed]))
        ids = [row.id for row in hand.claimed]
        with db.transaction():
            ledger.lock_for_intent(self.order, ids)
            gone = set(ledger.intend(hand.token, ids))
            ledger.refuse(hand.token, [one for one in ids if one not in gone])
        assert not {self.address[one] for one in gone} & self.stopped, "STOP came first"
        hand.calls += [row for row in hand.claimed if row.id in gone]
        hand.claimed = []

    @precondition(lambda self: any(hand.calls for hand in self.hands))
    @rule(data=st.data(), answer=st.sampled_from(ANSWERS))
    def call(self, data, answer):
        hand = data.draw(st.sampled_from([h for h in self.hands if h.calls]))
        row = hand.calls.pop()
        if answer in ("accepted", "taken_and_lost"):
            self.receipts[row.id] += 1
            self.gone.append((row.id, row.attempt))
        state, reason = {
            "accepted": ("accepted", ""),
            "refused": ("failed", "not_on_whatsapp"),
        }.get(answer, ("unknown", "no_answer"))
        said = Outcome(row.id, row.attempt, row.token, state, reason)
        if state == "accepted":
            said = Outcome(
                row.id,
                row.attempt,
                row.token,
                state,
                provider_id=wamid(row.id, row.attempt),
            )
        hand.answers.append(said)

    @precondition(lambda self: any(hand.answers for hand in self.hands))
    @rule(data=st.data())
    def record(self, data):
        hand = data.draw(st.sampled_from([h for h in self.hands if h.answers]))
        with db.transaction():
            ledger.record(hand.answers)
        hand.answers = []

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def kill(self, data):
        """A worker is gone, with all it held and had not written."""
        self.hands.remove(data.draw(st.sampled_from(self.hands)))

    @rule()
    def lose_leases(self):
        """So much time passes that every lease is over; the reconciler looks."""
        with db.transaction() as orm:
            orm.execute(
                text(
                    "UPDATE message SET lease_until = lease_until - interval '1 hour'"
                    " WHERE account_id = :account AND lease_until IS NOT NULL"
                ),
                {"account": self.account.id},
            )
            leases.reclaim()

    # --- the provider

    @precondition(lambda self: self.gone)
    @rule(
        data=st.data(),
        words=st.lists(
            st.sampled_from(["sent", "delivered", "read", "failed"]), min_size=1
        ),
        by_token=st.booleans(),
    )
    def tell(self, data, words, by_token):
        """Statuses of one call, in any order, any number of times."""
        message_id, number = data.draw(st.sampled_from(self.gone))
        told = [
            Advance(
                wamid(message_id, number),
                word,
                clock.now(),
                message_id if by_token else None,
                number if by_token else None,
                "undeliverable" if word == "failed" else "",
                "131026" if word == "failed" else "",
            )
            for word in words
        ]
        with db.transaction():
            advance(told)

    # --- people

    @rule(data=st.data())
    def stop(self, data):
        address = data.draw(st.sampled_from(sorted(self.address.values())))
        with db.transaction():
            suppression.suppress([("phone", address)], reason="stop")
        self.stopped.add(address)

    @precondition(lambda self: self.state_of_order() == "running")
    @rule()
    def pause(self):
        with db.transaction():
            orders.pause(self.order)

    @precondition(lambda self: self.state_of_order() in ("paused", "pausing"))
    @rule()
    def resume(self):
        with db.transaction():
            orders.resume(self.order)

    @rule()
    def settle(self):
        with db.transaction():
            orders.settle(self.order)

    def state_of_order(self):
        with db.transaction():
            return orders.progress(self.order).state

    # --- what holds after every step

    @invariant()
    def promises(self):
        if not hasattr(self, "order"):
            return
        rows = self.rows()
        assert len(rows) == PEOPLE
        assert max(self.receipts.values(), default=0) <= 1, "somebody was written to twice"
        for row in rows:
            rank = RANK.get(row.state, 0)
            assert rank >= self.highest.get(row.id, 0), "the rank fell"
            self.highest[row.id] = max(rank, self.highest.get(row.id, 0))
            if row.state in STILL:
                assert not self.receipts[row.id], row.state
            if row.state in ("accepted", "sent", "delivered", "read"):
                assert self.receipts[row.id], f"{row.state} and nobody got it"

    def rows(self):
        with db.transaction() as orm:
            return orm.execute(select(Message.id, Message.state, Message.reason)).all()

    def finish(self):
        """Let everything come to its end: each row has one that is explained."""
        if self.state_of_order() in ("paused", "pausing"):
            self.resume()
        self.hands.clear()
        self.lose_leases()
        for suspect in (False, True) * PEOPLE:
            with db.transaction():
                token, rows = leases.claim(self.order, PEOPLE, suspect=suspect)
                ids = [row.id for row in rows]
                ledger.lock_for_intent(self.order, ids)
                gone = set(ledger.intend(token, ids))
                ledger.refuse(token, [one for one in ids if one not in gone])
            for row in rows:
                if row.id in gone:
                    self.receipts[row.id] += 1
            with db.transaction():
                ledger.record(
                    [
                        Outcome(r.id, r.attempt, r.token, "accepted", provider_id=r.id.hex)
                        for r in rows
                        if r.id in gone
                    ]
                )
        self.promises()
        assert {row.state for row in self.rows()} <= FINAL
        with db.transaction():
            assert orders.settle(self.order) == "finished"


def wamid(message_id, number):
    return f"wamid.{message_id.hex}.{number}"


def test_no_order_of_steps_breaks_a_promise(quiet_house, clean):
    run_state_machine_as_test(
        Sending,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
