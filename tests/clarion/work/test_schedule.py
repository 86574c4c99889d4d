"""What runs by the clock: each slot once, however many look at the clock."""

import datetime as dt
import threading

import pytest
from sqlalchemy import func, select

from clarion.base import clock, db
from clarion.work import outbox, schedule
from clarion.work.jobs import job
from clarion.work.models import Outbox, ScheduleSlot

NOON = dt.datetime(2031, 5, 5, 12, 0, 0, tzinfo=dt.UTC)


@job(queue="default", idempotent=True, system=True)
def strike() -> None:
    """Do nothing, by the clock."""


@pytest.fixture(autouse=True)
def only_ours(clean, monkeypatch):
    monkeypatch.setattr(schedule, "_entries", {})
    with db.apart(outbox.SYSTEM) as orm:
        for row in orm.scalars(select(ScheduleSlot).where(ScheduleSlot.slot >= NOON)):
            orm.delete(row)


def rung():
    with db.apart(outbox.SYSTEM) as orm:
        return orm.scalar(select(func.count()).select_from(Outbox))


def after(**more):
    return NOON + dt.timedelta(**more)


def test_slot_is_rung_once():
    schedule.every("strike", "*/5 * * * *", strike)

    told = [schedule.tick(at) for at in (NOON, NOON, after(minutes=4, seconds=59))]

    assert told == [1, 0, 0]
    assert rung() == 1


def test_next_slot_is_rung_again():
    schedule.every("strike", "*/5 * * * *", strike)

    told = [schedule.tick(after(minutes=m)) for m in (0, 5, 9, 10)]

    assert told == [1, 1, 0, 1]


def test_many_schedulers_ring_a_slot_once():
    schedule.every("strike", "* * * * * */5", strike)
    schedule.every("other", "* * * * *", strike)
    told, lock, gate = [], threading.Lock(), threading.Barrier(4)

    def look():
        gate.wait()
        for seconds in range(20):
            number = schedule.tick(after(seconds=seconds))
            with lock:
                told.append(number)

    clocks = [threading.Thread(target=look) for _ in range(4)]
    for one in clocks:
        one.start()
    for one in clocks:
        one.join()

    assert sum(told) == 4 + 1 == rung()


def test_slots_missed_while_nobody_looked_are_not_made_up_for():
    schedule.every("strike", "* * * * *", strike)
    schedule.tick(NOON)

    assert schedule.tick(after(hours=3)) == 1


def test_job_by_the_clock_runs_as_the_schedule():
    schedule.every("strike", "* * * * *", strike)
    schedule.tick(NOON)

    with db.apart(outbox.SYSTEM) as orm:
        row = orm.execute(select(Outbox.job, Outbox.payload)).one()

    assert row.job == strike.path
    assert row.payload["actor"]["account_id"] is None


@pytest.mark.parametrize("cron", ["", "every minute", "61 * * * *", "* * * *"])
def test_nonsense_is_refused(cron):
    with pytest.raises(ValueError, match="not a cron expression"):
        schedule.every("strike", cron, strike)


def test_same_name_is_one_entry():
    schedule.every("strike", "* * * * *", strike)
    schedule.every("strike", "*/2 * * * *", strike)

    assert [one.cron for one in schedule.entries()] == ["*/2 * * * *"]


def test_old_slots_are_forgotten():
    schedule.every("strike", "* * * * *", strike)
    schedule.tick(clock.now() - dt.timedelta(days=3))
    schedule.tick(clock.now())

    schedule.purge()

    with db.apart(outbox.SYSTEM) as orm:
        found = orm.scalars(select(ScheduleSlot.slot).where(ScheduleSlot.name == "strike"))
        ages = [clock.now() - slot for slot in found if slot < NOON]
    assert len(ages) == 1
    assert ages[0] < dt.timedelta(hours=1)
