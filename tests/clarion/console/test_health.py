"""The page about health says what is, in three words, and what to do; from the doctor's facts."""

import json
import time
from importlib.metadata import version

import pytest
from sqlalchemy import create_engine, delete, insert, text

from clarion import backup
from clarion.base import broker, db, vitals
from clarion.base.errors import Forbidden
from clarion.console import console_operations, health
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import staff_scope
from clarion.testing.console import statements
from clarion.web.health import findings
from clarion.work import presence, schedule
from clarion.work.models import LaneStop, Outbox

ADA = Actor("staff", "9001", "Ada", permissions=frozenset({"console.health"}))


def looked():
    with staff_scope(ADA), db.transaction():
        return {line.part: line for group in health.look() for line in group.lines}


@pytest.fixture
def root(database):
    engine = create_engine(database.superuser_url)
    yield engine
    engine.dispose()


def test_every_part_is_there_with_its_state_and_what_to_do(clean):
    lines = looked()

    assert {
        "Tables", "Connections", "Longest transaction", "Replication", "Clock", "Broker",
        "Its memory", "Outbox", "Queues", "Jobs given up", "By the clock", "Webhooks",
        "Mails", "Sealing", "Heads signed", "Chain checked", "Last backup", "Restore",
        "Versions", "Last check of a backup", "Size",
    } <= lines.keys()  # fmt: skip
    assert (lines["Tables"].state, lines["Clock"].state) == ("fine", "fine")
    assert all(line.todo for line in lines.values() if line.state != "fine")
    leads = {line.to for line in lines.values() if line.to}
    assert leads <= console_operations.PAGES.keys()


def test_the_worst_stands_first_and_names_the_whole():
    lines = [health.Line("a", "look", ""), health.Line("b", "fine", "")]
    bad = health.Group("x", [health.Line("c", "broken", "")])

    assert health.worst([health.Group("y", lines)]) == "look"
    assert health.worst([health.Group("y", lines), bad]) == "broken"
    assert health.worst([]) == "fine"


def test_a_broker_that_is_gone_is_a_line_and_no_error_page(clean, monkeypatch):
    def gone():
        raise ConnectionError("refused")

    monkeypatch.setattr(broker, "facts", gone)
    line = looked()["Broker"]

    assert line.state == "broken"
    assert "does not answer" in line.fact


def test_a_broker_that_may_forget_is_broken_here_and_for_the_doctor(clean, monkeypatch):
    from clarion import doctor

    said = broker.Facts("8.0", 1, 0, "allkeys-lru", 3)
    monkeypatch.setattr(broker, "facts", lambda: said)

    assert looked()["Eviction"].state == "broken"
    assert "allkeys-lru" in doctor._broker()[0].what


def test_late_jobs_are_named(clean, monkeypatch, root):
    entry = schedule.Entry("never.rung", "* * * * *", next(iter(schedule.entries())).job)
    monkeypatch.setitem(schedule._entries, "never.rung", entry)
    line = looked()["By the clock"]

    assert line.state == "broken"
    assert "never.rung" in line.fact


def test_what_waits_for_a_stopped_lane_is_no_fault_of_the_relay(clean, root):
    late = {
        "queue": "bulk",
        "job": "none:no",
        "payload": {},
        "not_before": text("now() - interval '1 hour'"),
    }
    stop = {
        "lane": "bulk",
        "state": "paused",
        "reason": "The disk.",
        "stopped_by": "staff:1",
    }
    with root.begin() as connection:
        connection.execute(delete(Outbox))
        connection.execute(insert(Outbox).values(**late))
    assert looked()["Outbox"].state == "broken"
    assert "relay" in findings()

    with root.begin() as connection:
        connection.execute(insert(LaneStop).values(**stop))
    try:
        line = looked()["Outbox"]
        assert (line.state, "staff have stopped" in line.todo) == ("look", True)
        assert "relay" not in findings()
    finally:
        with root.begin() as connection:
            connection.execute(delete(LaneStop))
            connection.execute(delete(Outbox))


def test_a_long_transaction_is_seen(clean, monkeypatch):
    def aged(connection):
        now = vitals.Database("17", 1, 1, 100, 4_000.0, 2, ())
        assert connection is not None
        return now

    monkeypatch.setattr(vitals, "database", aged)

    assert looked()["Longest transaction"].state == "broken"


def test_vitals_are_asked_of_the_database(clean):
    with db.engine().connect() as connection:
        found = vitals.database(connection)

    assert found.bytes > 1_000_000
    assert 0 < found.connections <= found.most
    assert found.longest_seconds >= 0


def test_a_backup_and_its_check_are_remembered(clean, tmp_path, root):
    file = tmp_path / "one.dump"
    backup.dump(file)
    assert backup.check(file) == file.stat().st_size

    lines = looked()
    assert lines["Last backup"].state == "fine"
    assert lines["Last check of a backup"].state == "fine"
    with root.begin() as connection:
        kinds = connection.execute(
            text("SELECT kind FROM backup_run ORDER BY at DESC LIMIT 2")
        )
        assert [row[0] for row in kinds] == ["check", "dump"]


def test_a_broken_file_is_no_backup(clean, tmp_path):
    from clarion.base.errors import Conflict

    file = tmp_path / "broken.dump"
    file.write_bytes(b"PGDMP and then nothing")
    with pytest.raises(Conflict):
        backup.check(file)


def told(name, **changed):
    """Let a worker tell, and change what it said."""
    presence.tell(name, time.monotonic(), relay=False)
    state = json.loads(broker.redis().hget("clarion:workers", name))
    broker.redis().hset("clarion:workers", name, json.dumps(state | changed))


def test_workers_are_seen_with_their_release(clean):
    told("here:6")
    told("here:7", release="0.0.1")
    told("here:8", at=time.time() - 300)
    with staff_scope(ADA), db.transaction():
        lines = list(health._workers())

    assert [line.state for line in lines] == ["fine", "look", "look"]
    assert version("clarion") in lines[0].fact
    assert "0.0.1" in lines[1].fact
    assert "Restart it" in lines[1].todo
    assert "gone" in lines[2].todo
    broker.redis().delete("clarion:workers")
    assert looked()["Workers"].state == "broken"


def test_the_page_and_who_may_see_it(desk, clean):
    page = desk.get("/console/health/").text

    assert "What to do" in page
    assert "Longest transaction" in page
    with staff_scope(Actor("staff", "9002", "Ben")), pytest.raises(Forbidden):
        health.look()


def test_as_many_statements_whatever_waits(clean, run_jobs):
    def asked():
        with staff_scope(ADA), db.transaction(), statements() as found:
            health.look()
        return len(found)

    asked()  # what a process reads once is read
    assert asked() == asked()
