"""Lanes: paused, drained, gone on with; jobs looked at and run again; workers obey."""

import json
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import create_engine, delete, func, select, text
from sqlalchemy.exc import IntegrityError
from tests.clarion.messaging.conftest import TEMPLATE, audience, number

from clarion.base import broker, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.console import queues
from clarion.messaging import dispatch, identifiers, lanes, orders, reconcile, slots
from clarion.messaging.models import Message
from clarion.tenancy import preferences
from clarion.tenancy.actor import Actor
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import Browser, acting, make_role, make_staff, statements
from clarion.testing.factories import make_account, make_sender
from clarion.work import jobs, outbox, presence, stops, webhooks
from clarion.work.jobs import job
from clarion.work.models import DeadJob, LaneStop, Outbox
from clarion.worker import Worker

NUMBER, MAIL = "+55" + "11987" + "654321", "ana" + "@" + "example.org"
TEXT, SECRET = " ".join(["meet", "me", "at", "nine"]), "EAA" + "x" * 30
CANARIES = (NUMBER, NUMBER[1:], MAIL, TEXT, SECRET)
seen = []
broken = []


@job(queue="bulk", idempotent=True)
def long_work(thing_id: UUID) -> None:
    """Note that it ran."""
    seen.append(("bulk", thing_id))


@job(queue="default", idempotent=True)
def short_work(thing_id: UUID) -> None:
    """Note that it ran."""
    seen.append(("default", thing_id))


@job(queue="default", idempotent=True)
def tell(contact_id: UUID, to: str, mail: str, words: str, token: str) -> None:
    """Fail with everything in its error, while it is broken."""
    if broken:
        raise RuntimeError(f"cannot tell {to} {mail} {words} {token}")
    seen.append(("told", contact_id))


@pytest.fixture(autouse=True)
def open_lanes(clean):
    seen.clear()
    broken.clear()
    yield
    with staff_scope(Actor("staff", "1", "Test")), db.transaction() as orm:
        orm.execute(delete(LaneStop))
    stops.look(now=True)


@pytest.fixture
def ada_acts(ada):
    """Ada, in a scope of her own: for verbs without a page."""
    with staff_scope(acting(ada)):
        yield ada


def stop(verb, lane):
    with db.transaction():
        verb(lane, "the provider asked us to")
    stops.look(now=True)


def go_on(lane):
    with db.transaction():
        queues.resume(lane)
    stops.look(now=True)


def work(names=jobs.QUEUES):
    """Relay, then let a real worker run what it finds, until nothing is left."""
    outbox.relay()
    worker = Worker(jobs.queues(names), connection=broker.redis(), serializer="json")
    worker.work(burst=True, with_scheduler=False, logging_level="CRITICAL")


def ring(*what):
    tenant = make_account()
    with account_scope(tenant.id, tenant.actor), db.transaction():
        for one in what:
            one.later(db.new_id())
    return tenant


def names():
    return [one[0] for one in seen]


def deeds(name):
    with staff_scope(Actor("staff", "1", "Test")):
        query = select(AuditEntry).where(AuditEntry.name == name)
        return db.session().scalars(query.order_by(AuditEntry.at, AuditEntry.id)).all()


def lane(name):
    return next(one for one in queues.look().lanes if one.name == name)


# --- stopping


def test_a_worker_takes_nothing_from_a_paused_lane_and_all_of_it_afterwards(ada_acts):
    ring(long_work, short_work)
    outbox.relay()  # both are in the broker already
    stop(queues.pause, "bulk")
    ring(long_work)

    work()

    assert names() == ["default"]
    assert jobs.lengths()["bulk"] == 1
    assert (lane("bulk").waiting, lane("bulk").ahead) == (2, 1)

    go_on("bulk")
    work()

    assert names() == ["default", "bulk", "bulk"]
    assert lane("bulk").waiting == 0


def test_a_drained_lane_is_worked_off_and_takes_nothing_new(ada_acts):
    ring(long_work)
    outbox.relay()
    stop(queues.drain, "bulk")
    ring(long_work, short_work)

    work()

    assert sorted(names()) == ["bulk", "default"]
    assert jobs.lengths()["bulk"] == 0
    assert (lane("bulk").waiting, lane("bulk").ahead) == (1, 0)

    go_on("bulk")
    work()

    assert sorted(names()) == ["bulk", "bulk", "default"]


def test_another_process_obeys_too_and_after_a_restart(ada_acts):
    """Rows are the truth: a worker that was just started has never heard of the pause."""
    with db.transaction():
        jobs.resolve("clarion.work.purging:forget_dead_jobs").later()
        jobs.resolve("clarion.messaging.reconcile:close_books").later()
    outbox.relay()
    stop(queues.pause, "bulk")
    command = [Path(sys.executable).with_name("clarion"), "worker", "--burst"]

    for _ in range(2):
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert (jobs.lengths()["bulk"], jobs.lengths()["default"]) == (1, 0)

    go_on("bulk")
    subprocess.run(command, capture_output=True, timeout=120, check=True)

    assert jobs.lengths()["bulk"] == 0


def test_a_worker_that_waits_hears_of_a_pause_and_of_its_end(ada_acts):
    """As in `worker.run`: it listens, does not start what was rung, and starts it later."""
    worker = Worker(jobs.queues(jobs.OTHERS), connection=broker.redis(), serializer="json")
    worker.heartbeat()
    assert [q.name for q in worker._ordered_queues] == list(jobs.OTHERS)

    stop(queues.pause, "default")
    worker.heartbeat()
    assert [q.name for q in worker._ordered_queues] == ["intake", "mail", "bulk"]

    go_on("default")
    worker.heartbeat()
    assert [q.name for q in worker._ordered_queues] == list(jobs.OTHERS)


def test_a_paused_lane_sends_nothing_and_then_each_message_once(
    ada, simulator, quiet_house
):
    tenant = make_account("Paused")
    people = [(db.new_id(), number(47_000_000 + i), "") for i in range(5)]
    with account_scope(tenant.id, tenant.actor):
        with db.transaction():
            for name in ("campaigns", "contacts"):
                preferences.switch(name, to=False)
        sender = make_sender(tenant, simulator.url)
        with db.transaction():
            identifiers.attach_many([(c, "phone", n) for c, n, _ in people], "test")
            order = orders.create("Held up", "marketing", sender, TEMPLATE)
            orders.start(order.id, audience(people))
    with staff_scope(acting(ada)):
        stop(queues.pause, "campaigns")

    def tally():
        with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
            query = select(Message.state, func.count()).group_by(Message.state)
            return dict(orm.execute(query).tuples().all())

    outbox.relay()
    assert jobs.lengths()["fresh"] == 0  # its bell stays in the outbox
    with account_scope(tenant.id, tenant.actor):
        dispatch.drain(order.id)  # somebody calls it all the same
        reconcile.mend()
    with db.apart(stops.SYSTEM) as orm:
        bells = orm.scalar(select(func.count(Outbox.seq)).where(Outbox.queue == "fresh"))
    assert tally() == {"queued": 5}
    assert bells == 1  # and nobody piles up more

    with staff_scope(acting(ada)):
        go_on("campaigns")
    outbox.relay()
    assert jobs.lengths()["fresh"] == 1
    with account_scope(tenant.id, tenant.actor):
        dispatch.drain(order.id)
        dispatch.drain(order.id)

    assert tally() == {"accepted": 5}
    mine = {n.lstrip("+") for _c, n, _w in people}
    got = [to for one in simulator.receipts() if (to := one["to"].lstrip("+")) in mine]
    assert sorted(got) == sorted(mine)


def test_slots_leave_a_paused_lane_alone(ada_acts):
    tenant = make_account()
    with account_scope(tenant.id, tenant.actor), db.transaction():
        dispatch.drain.on("fresh").later(db.new_id())
        dispatch.drain.on("utility").later(db.new_id())
    outbox.relay()
    stop(queues.pause, "campaigns")
    mine = slots.Slots(lambda: True)

    mine._take()

    assert [wish.queue for wish in mine.waiting] == ["utility"]
    assert jobs.lengths()["fresh"] == 1
    assert (mine.crowded("fresh"), lanes.paused(lanes.BULK)) == (True, True)
    assert not lanes.paused(lanes.UTILITY)


def test_reports_wait_while_a_stop_does_not(ada_acts, monkeypatch):
    applied = []
    monkeypatch.setattr(
        webhooks,
        "_handlers",
        {"t": lambda found: applied.extend(one.kind for one in found)},
    )
    tenant = make_account()
    monkeypatch.setattr(webhooks, "pending", lambda _lane: [tenant.id])
    pieces = [Piece("a", "status"), Piece("b", "inbound")]
    stop(queues.pause, "status")
    webhooks.receive("t", tenant.id, db.new_id(), pieces)

    assert webhooks.work("inbound") and not webhooks.work("status")
    assert applied == ["inbound"]

    go_on("status")
    webhooks.work("status")

    assert applied == ["inbound", "status"]


class Piece:
    """A part of a webhook."""

    def __init__(self, key, kind):
        self.key, self.kind, self.payload = f"{key}-{db.new_id()}", kind, {"key": key}


def test_what_people_write_is_never_paused(desk, ada, database):
    page = desk.get("/console/queues/lanes/inbound").text
    assert "this lane has no pause" in page
    assert "/lanes/inbound/pause" not in page

    answer = desk.post("/console/queues/lanes/inbound/pause", "/console/", reason="why")
    assert answer.status_code == 303
    assert "a STOP must not wait" in desk.get("/console/queues/lanes/inbound").text
    with staff_scope(acting(ada)), db.transaction(), pytest.raises(Conflict):
        queues.drain("inbound", "why")
    engine = create_engine(database.superuser_url)
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(
            text(
                "INSERT INTO lane_stop (lane, state, reason, stopped_by)"
                " VALUES ('inbound', 'paused', 'x', 'y')"
            )
        )
    engine.dispose()


def test_the_page_says_who_paused_it_when_and_why(desk):
    where = "/console/queues/lanes/bulk"
    assert "Nothing waits" in desk.get(where).text

    assert desk.post(f"{where}/pause", where, reason="  disk is\nfull ").status_code == 303

    for page in (desk.get(where).text, desk.get("/console/queues/").text):
        assert "Ada Okafor" in page and "disk is full" in page
    deed = deeds("console.lane.paused")[-1]
    assert deed.changes["lane"][1] == "bulk"
    assert desk.post(f"{where}/resume", where).status_code == 303
    assert "disk is full" not in desk.get(where).text
    assert deeds("console.lane.resumed")[-1].changes["lane"][1] == "bulk"


def test_a_pause_needs_a_reason_a_lane_and_happens_once(ada_acts):
    for reason in ("", " \n", "x" * 301):
        with pytest.raises(Invalid) as refused:
            queues.pause("bulk", reason)
        assert refused.value.field == "reason"
    with pytest.raises(NotFound):
        queues.pause("no such lane", "why")
    with pytest.raises(Conflict, match="lane_not_stopped"):
        queues.resume("bulk")
    with pytest.raises(Conflict, match="lane_not_drainable"):
        queues.drain("status", "why")
    with db.transaction():
        queues.drain("bulk", "why")
        queues.pause("bulk", "at once, then")
        with pytest.raises(Conflict, match="lane_stopped"):
            queues.pause("bulk", "why")


def test_nothing_by_the_clock_is_rung_into_a_stopped_lane(ada_acts):
    from clarion.work import schedule

    entry = next(one for one in schedule.entries() if one.job.queue == "bulk")
    assert schedule.runs(entry)
    stop(queues.pause, "bulk")
    assert not schedule.runs(entry)


# --- workers


def test_a_worker_tells_what_it_does_and_how_much_it_did(desk):
    tenant = make_account("Told Of")
    presence._done.clear()  # what other tests did in this process
    with presence.doing("bulk", "clarion_contacts.jobs:run_import", tenant.id):
        presence.count("bulk", 10)
        presence.tell("host:4711", time.monotonic() - 300, relay=True)

    page = desk.get("/console/queues/").text

    assert "host:4711" in page and "clarion_contacts.jobs:run_import" in page
    assert "Told Of" in page
    assert 2.0 <= presence.rates()["bulk"] <= 2.5

    presence.tell("host:4711", time.monotonic(), relay=False)
    assert "waits for work" in desk.get("/console/queues/").text


def test_a_worker_that_is_gone_is_forgotten():
    presence.tell("host:1", time.monotonic(), relay=False)
    state = json.loads(broker.redis().hget("clarion:workers", "host:1"))

    def told(seconds):
        then = {**state, "at": time.time() - seconds}
        broker.redis().hset("clarion:workers", "host:1", json.dumps(then))

    told(60)
    assert presence.living() == []
    assert [one.name for one in presence.workers()] == ["host:1"]
    told(3600)
    assert presence.workers() == []
    assert broker.redis().hlen("clarion:workers") == 0


# --- jobs that were given up


def fail(tenant, contact=None):
    """Give a job up whose error and arguments are full of what nobody may see."""
    broken.append(1)
    args = {
        "contact_id": str(contact or db.new_id()), "to": NUMBER, "mail": MAIL,
        "words": TEXT, "token": SECRET,
    }  # fmt: skip
    payload = {"actor": tenant.actor.to_json(), "args": args}
    jobs.run(tell.path, payload, jobs.TRIES)
    broken.clear()
    with db.apart(stops.SYSTEM) as orm:
        query = select(DeadJob.id).where(DeadJob.account_id == tenant.id)
        return orm.scalars(query.order_by(DeadJob.id.desc()).limit(1)).one()


def test_nothing_of_a_persons_shows_on_any_page_about_a_job(desk, database):
    tenant, contact = make_account("Masked GmbH"), db.new_id()
    dead = fail(tenant, contact)
    broken.append(1)
    payload = {"actor": tenant.actor.to_json(), "args": {
        "contact_id": str(contact), "to": NUMBER, "mail": MAIL, "words": TEXT,
        "token": SECRET}}  # fmt: skip
    jobs.run(tell.path, payload, 2)  # it will be tried again: waits in the outbox
    with db.apart(stops.SYSTEM) as orm:
        seq = orm.scalars(select(Outbox.seq).order_by(Outbox.seq.desc()).limit(1)).one()
    later = [f"/console/queues/waiting/{seq}", "/console/queues/lanes/default"]
    shown = [*later, f"/console/queues/failed/{dead}", "/console/queues/failed"]

    for path in shown:
        page = desk.get(path)
        assert page.status_code == 200, path
        assert [one for one in CANARIES if one in page.text] == [], path
        assert tell.path in page.text and "Masked GmbH" in page.text, path

    page = desk.get(f"/console/queues/failed/{dead}").text
    assert str(contact) in page and str(tenant.id) in page
    assert "RuntimeError: cannot tell" in page
    assert " in tell" in page  # the trace
    assert "Tries" in page
    assert " in tell" in desk.get(later[0]).text
    # nor is any of it kept beside the arguments
    engine = create_engine(database.superuser_url)
    with engine.connect() as connection:
        query = text("SELECT error || trace FROM dead_job WHERE id = :i")
        kept = connection.scalar(query, {"i": dead})
    engine.dispose()
    assert [one for one in CANARIES if one in kept] == []


def test_a_job_in_the_broker_can_be_looked_at(desk):
    ring(long_work)
    outbox.relay()
    [one] = jobs.listed("bulk", 5)

    page = desk.get(f"/console/queues/waiting/{one.id}").text

    assert long_work.path in page and "Waits for a worker" in page
    assert desk.get("/console/queues/waiting/no-such-job").status_code == 404
    assert desk.get("/console/queues/waiting/99999999").status_code == 404


def test_a_given_up_job_runs_again_once_as_who_it_was(desk):
    tenant = make_account()
    dead = fail(tenant)
    where = f"/console/queues/failed/{dead}"

    assert desk.post(f"{where}/retry", where).status_code == 303
    assert desk.post(f"{where}/retry", where).status_code == 303
    assert "Somebody has run it again already" in desk.get(where).text
    work()

    assert names() == ["told"]
    page = desk.get(where).text
    assert "ran again" in page and "Ada Okafor" in page
    assert [one.changes["dead"][1] for one in deeds("console.job.retried")].count(
        str(dead)
    ) == 1


def test_all_of_a_kind_run_again_and_no_other(desk, ada):
    one, two = make_account(), make_account()
    fail(one), fail(one), fail(two)
    other = DeadJob(job=long_work.path, error="x", queue="bulk", payload=None)
    with db.apart(stops.SYSTEM) as orm:
        orm.add(other)

    page = desk.get(f"/console/queues/failed?job={tell.path}").text
    assert "Run all again" in page
    desk.post("/console/queues/failed/retry", "/console/queues/", job=tell.path)
    work()

    assert len(names()) >= 3 and set(names()) == {"told"}
    ran = len(names())
    desk.post("/console/queues/failed/retry", "/console/queues/", job=tell.path)
    work()
    assert len(names()) == ran
    with staff_scope(acting(ada)), pytest.raises(Conflict, match="job_without_payload"):
        queues.retry(other.id)
    with staff_scope(acting(ada)), pytest.raises(Conflict, match="job_gone"):
        queues.retry_all("clarion_gone.jobs:nothing")


def test_a_job_that_fails_again_is_given_up_again(desk):
    tenant = make_account()
    dead = fail(tenant)
    where = f"/console/queues/failed/{dead}"
    desk.post(f"{where}/retry", where)
    broken.append(1)
    work()

    with db.apart(stops.SYSTEM) as orm:
        row = orm.execute(
            select(Outbox.payload).where(Outbox.job == jobs.retry.path)
        ).scalar_one()
    assert row["args"]["attempt"] == 2  # with its five tries before it


# --- who may, and how often the database is asked


def test_who_may_look_may_not_change(web, ada):
    role = make_role("console.queues")
    guest = Browser(web).sign_in(make_staff(role))
    dead = fail(make_account())

    assert guest.get("/console/queues/").status_code == 200
    page = guest.get("/console/queues/lanes/bulk").text
    assert "/pause" not in page and "/drain" not in page
    assert "/retry" not in guest.get(f"/console/queues/failed/{dead}").text
    for path in ("lanes/bulk/pause", "lanes/bulk/drain", "lanes/bulk/resume",
                 "failed/retry", f"failed/{dead}/retry"):  # fmt: skip
        answer = guest.post(f"/console/queues/{path}", "/console/queues/", reason="x")
        assert answer.status_code == 403, path


@pytest.mark.parametrize(
    ("role", "may"), [("owner", True), ("operations", True), ("support", False)]
)
def test_roles(web, ada, role, may):
    colleague = Browser(web).sign_in(make_staff(role))
    where = "/console/queues/lanes/bulk"
    assert (colleague.get(where).status_code == 200) is may
    answer = colleague.post(f"{where}/pause", where if may else "/console/", reason="x")
    assert answer.status_code == (303 if may else 403)


def test_lists_ask_as_often_for_many_as_for_one(desk):
    paths = ["/console/queues/", "/console/queues/failed", "/console/queues/lanes/bulk"]

    def count(path):
        desk.get(path)
        with statements() as run:
            assert desk.get(path).status_code == 200
        return len(run)

    ring(long_work)
    fail(make_account())
    before = {path: count(path) for path in paths}
    for _ in range(5):
        ring(long_work, long_work)
        fail(make_account())

    assert {path: count(path) for path in paths} == before


def test_a_long_list_is_read_by_key(ada_acts, monkeypatch):
    monkeypatch.setattr(queues, "PAGE", 2)
    job_name = f"clarion.test:{db.new_id().hex[:8]}"
    with db.apart(stops.SYSTEM) as orm:
        orm.add_all([DeadJob(job=job_name, error=str(n), queue="bulk") for n in range(5)])

    found, after = list[str](), None
    while True:
        rows, after = queues.dead(after, job_name)
        found += [one.error for one in rows]
        if after is None:
            break

    assert sorted(found) == list("01234")
    assert len(found) == 5
