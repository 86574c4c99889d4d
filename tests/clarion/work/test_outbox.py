"""The outbox: told with the change or not at all, rung once, kept while nobody listens."""

import datetime as dt
import threading
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import pytest
from redis.exceptions import RedisError
from sqlalchemy import select, text

from clarion.base import broker, db, settings
from clarion.tenancy.models import Preference
from clarion.work import events, jobs, outbox
from clarion.work.events import Event
from clarion.work.jobs import job
from clarion.work.models import Outbox


@job(queue="bulk", idempotent=True)
def note(thing_id: UUID, size: int = 0) -> None:
    """Do nothing, later."""


@job(queue="default", idempotent=True)
def count(thing_id: UUID) -> None:
    """Do nothing else, later."""


@dataclass(frozen=True, slots=True)
class ThingDone(Event):
    """Something happened."""

    name: ClassVar[str] = "testing.thing.done"
    thing_id: UUID
    size: int


def waiting():
    with db.apart(outbox.SYSTEM) as orm:
        return orm.execute(select(Outbox.__table__).order_by(Outbox.seq)).all()


def test_what_is_committed_waits_with_actor_and_account(account):
    thing = db.new_id()
    with db.transaction():
        note.later(thing, size=3)

    [row] = waiting()

    assert (row.queue, row.job) == ("bulk", note.path)
    assert row.payload["args"] == {"thing_id": str(thing), "size": 3}
    assert row.payload["actor"]["account_id"] == str(account.id)
    assert row.payload["actor"]["kind"] == "job"
    assert account.email not in str(row.payload)


def test_what_is_rolled_back_is_never_told(account):
    with pytest.raises(ZeroDivisionError), db.transaction() as orm:
        orm.add(Preference(plugin="p", name="n", value=1))
        note.later(db.new_id())
        orm.flush()
        1 / 0  # noqa: B018 -- fails

    assert waiting() == []


def test_nothing_is_rung_before_the_commit(account):
    with db.transaction() as orm:
        note.later(db.new_id())
        orm.flush()

        assert outbox.relay() == 0
    assert outbox.relay() == 1


def test_event_reaches_each_subscriber_once(account, monkeypatch):
    monkeypatch.setattr(events, "_subscribers", {})
    for one in (note, count, note):  # said twice, told once
        events.subscribe(ThingDone, one)
    with db.transaction():
        outbox.publish(ThingDone(db.new_id(), 7))

    assert [row.job for row in waiting()] == [note.path, count.path]
    assert {row.payload["args"]["size"] for row in waiting()} == {7}


def test_event_nobody_wants_leaves_nothing(account):
    with db.transaction():
        outbox.publish(ThingDone(db.new_id(), 7))

    assert waiting() == []


def test_events_are_named_and_plain():
    @dataclass(frozen=True, slots=True)
    class Badly(Event):
        name: ClassVar[str] = "done"

    @dataclass(frozen=True, slots=True)
    class Fat(Event):
        name: ClassVar[str] = "testing.thing.fat"
        row: Preference

    events.check(ThingDone)
    for one in (Badly, Fat):
        with pytest.raises(TypeError):
            events.check(one)


def test_relay_rings_each_job_once(account):
    with db.transaction():
        for _ in range(3):
            note.later(db.new_id())
        count.later(db.new_id())

    assert [outbox.relay(), outbox.relay()] == [4, 0]

    assert waiting() == []
    assert jobs.lengths() == {
        **dict.fromkeys(jobs.SENDING, 0),
        "intake": 0,
        "mail": 0,
        "default": 1,
        "bulk": 3,
    }


def test_relay_keeps_what_is_not_due(account):
    with db.transaction():
        note.after(dt.timedelta(minutes=1), db.new_id())

    assert outbox.relay() == 0
    assert len(waiting()) == 1
    assert outbox.waiting() == (0, None)


def test_relay_takes_as_many_as_it_is_told(account):
    with db.transaction():
        for _ in range(5):
            note.later(db.new_id())

    assert [outbox.relay(limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_many_relays_ring_each_job_once(account):
    with db.transaction():
        for _ in range(200):
            note.later(db.new_id())
    rung, lock = [], threading.Lock()

    def ring():
        while number := outbox.relay(limit=7):
            with lock:
                rung.append(number)

    relays = [threading.Thread(target=ring) for _ in range(4)]
    for one in relays:
        one.start()
    for one in relays:
        one.join()

    assert sum(rung) == 200 == jobs.lengths()["bulk"]
    assert waiting() == []


def test_rows_stay_while_the_broker_is_away(account, monkeypatch):
    with db.transaction():
        note.later(db.new_id())
    monkeypatch.setenv("CLARION_REDIS_URL", "redis://127.0.0.1:1/0")
    settings.settings.cache_clear()
    broker.reset()
    try:
        with pytest.raises((RedisError, OSError)):
            outbox.relay()
    finally:
        monkeypatch.undo()
        settings.settings.cache_clear()
        broker.reset()

    assert len(waiting()) == 1
    assert outbox.relay() == 1


def test_crash_after_ringing_rings_again(account):
    """At least once: the connection dies between the bell and the delete."""
    with db.transaction():
        note.later(db.new_id())
    ring = jobs.ring

    def ring_and_die(rows):
        ring(rows)
        with db.engine().connect() as other, other.begin():
            other.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = current_user AND pid <> pg_backend_pid()"
                    " AND state = 'idle in transaction'"
                )
            )

    jobs.ring = ring_and_die
    try:
        with pytest.raises(Exception, match=r"terminat|closed|connection"):
            outbox.relay()
    finally:
        jobs.ring = ring

    assert outbox.relay() == 1
    assert jobs.lengths()["bulk"] == 2


def test_waiting_says_how_many_and_since_when(account):
    with db.transaction():
        note.later(db.new_id())
        note.later(db.new_id())

    number, since = outbox.waiting()

    assert number == 2
    assert since.tzinfo is not None


def test_roles_write_and_only_the_relay_reads(account):
    with pytest.raises(Exception, match="permission denied"), db.transaction() as orm:
        orm.execute(select(Outbox.__table__))
