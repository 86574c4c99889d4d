"""Jobs: with the caller's account, again after a failure, buried where staff can see it."""

from uuid import UUID

import pytest
from sqlalchemy import select, text

from clarion.base import broker, db
from clarion.base.errors import Invalid, NotFound, Unavailable
from clarion.tenancy.models import Preference
from clarion.tenancy.scope import account_scope, current_account, current_actor
from clarion.work import jobs, outbox
from clarion.work.jobs import job
from clarion.work.models import DeadJob, Outbox
from clarion.worker import Worker

seen = []


@pytest.fixture(autouse=True)
def nothing_seen(clean):
    seen.clear()


@job(queue="default", idempotent=True)
def remember(thing_id: UUID, word: str = "") -> None:
    """Note who runs and with what."""
    who = db.session().scalar(text("SELECT current_user"))
    seen.append((current_account(), current_actor().label, thing_id, word, who))


@job(queue="default", idempotent=True)
def change(preference_id: UUID) -> None:
    """Change a row, if it is there."""
    row = db.session().get(Preference, preference_id)
    if row is None:
        raise NotFound("preference_unknown", "There is no such choice.")
    row.value = "changed"


@job(queue="default", idempotent=True)
def half(thing_id: UUID) -> None:
    """Write, then fail."""
    db.session().add(Preference(plugin="p", name="half", value=1))
    db.session().flush()
    raise Unavailable("provider_away", "Nobody answers.")


@job(queue="default", idempotent=True)
def hopeless() -> None:
    """Fail in a way that does not get better."""
    raise Invalid("thing_wrong", "This is wrong.")


@job(queue="default", idempotent=True, system=True)
def across() -> None:
    """Look across accounts."""
    seen.append(db.session().scalar(text("SELECT current_user")))


@job(queue="default", idempotent=True, alone=True)
def alone() -> None:
    """Open transactions of its own."""
    seen.append(db.session().in_transaction())
    with db.transaction() as orm:
        orm.add(Preference(plugin="p", name="alone", value=1))


def work():
    """Relay, then let a real worker run what it finds, until nothing is left."""
    outbox.relay()
    worker = Worker(jobs.queues(), connection=broker.redis(), serializer="json")
    worker.work(burst=True, with_scheduler=False, logging_level="ERROR")


def waiting():
    with db.apart(outbox.SYSTEM) as orm:
        return orm.execute(select(Outbox.__table__).order_by(Outbox.seq)).all()


def buried():
    with db.apart(outbox.SYSTEM) as orm:
        return orm.execute(select(DeadJob.__table__).order_by(DeadJob.id)).all()


def test_worker_runs_a_job_as_its_caller(account):
    thing = db.new_id()
    with db.transaction():
        remember.later(thing, "hello")

    work()

    label = f"job:person:{account.person_id}"
    assert seen == [(account.id, label, thing, "hello", "clarion_app")]


def test_job_of_a_job_is_still_its_callers(account):
    payload = {"actor": account.actor.as_job().to_json(), "args": {"thing_id": None}}

    jobs.run(remember.path, payload, raises=True)

    assert seen[0][1] == f"job:person:{account.person_id}"


def test_nothing_of_the_job_stays_in_the_worker(account, other_account):
    for tenant in (account, other_account):
        with account_scope(tenant.id, tenant.actor), db.transaction():
            remember.later(db.new_id())

    work()

    assert [one[0] for one in seen] == [account.id, other_account.id]
    assert current_account() == account.id


def test_another_accounts_id_is_no_row(account, other_account):
    """WALL-11: the job fails loudly, and nothing was changed."""
    with account_scope(other_account.id, other_account.actor), db.transaction() as orm:
        theirs = Preference(plugin="p", name="n", value="theirs")
        orm.add(theirs)
    payload = {"actor": account.actor.to_json(), "args": {"preference_id": str(theirs.id)}}

    jobs.run(change.path, payload)

    assert "preference_unknown" in buried()[-1].error
    with account_scope(other_account.id, other_account.actor):
        assert db.session().get(Preference, theirs.id).value == "theirs"


def test_failed_job_leaves_nothing_and_comes_again(account):
    payload = {"actor": account.actor.to_json(), "args": {"thing_id": str(db.new_id())}}

    jobs.run(half.path, payload)

    [row] = waiting()
    assert row.job == "clarion.work.jobs:retry"
    assert row.payload["args"]["attempt"] == 2
    assert row.payload["args"]["payload"] == payload
    with db.apart(outbox.SYSTEM) as orm:
        later = orm.scalar(
            text("SELECT extract(epoch FROM :at - clarion_now())"), {"at": row.not_before}
        )
    assert 0 < later <= 3
    assert db.session().scalars(select(Preference)).all() == []


def test_fifth_failure_buries_the_job(account):
    before = len(buried())
    payload = {"actor": account.actor.to_json(), "args": {"thing_id": str(db.new_id())}}
    waits = []

    for attempt in range(1, jobs.TRIES + 1):
        jobs.run(half.path, payload, attempt)
        waits.append(len(waiting()))

    assert waits == [1, 2, 3, 4, 4]
    [dead] = buried()[before:]
    assert (dead.job, dead.account_id) == (half.path, account.id)
    assert dead.error.startswith("Unavailable: provider_away")


def test_retry_runs_with_the_first_ones_account(account):
    payload = {
        "actor": account.actor.to_json(),
        "args": {"thing_id": None, "word": "again"},
    }

    jobs.retry(remember.path, payload, 2)

    assert seen[0][0] == account.id


def test_hopeless_job_is_not_tried_again(account):
    before = len(buried())

    jobs.run(hopeless.path, {"actor": account.actor.to_json(), "args": {}})

    assert waiting() == []
    assert [row.job for row in buried()[before:]] == [hopeless.path]


def test_argument_that_is_gone_is_left_out(account):
    """An event grew or lost a field between two releases."""
    args = {"thing_id": str(db.new_id()), "word": "w", "unknown": 1}

    jobs.run(remember.path, {"actor": account.actor.to_json(), "args": args}, raises=True)

    assert seen[0][3] == "w"


def test_system_job_has_no_account(account):
    with db.transaction():
        across.later()

    work()

    assert seen == ["clarion_system"]


def test_job_that_is_alone_has_no_transaction_around_it(account):
    with db.transaction():
        alone.later()

    work()

    assert seen == [False]
    assert len(db.session().scalars(select(Preference)).all()) == 1


def test_running_three_times_is_harmless_here(account):
    thing = db.new_id()
    payload = {"actor": account.actor.to_json(), "args": {"thing_id": str(thing)}}

    for _ in range(3):
        jobs.run(remember.path, payload, raises=True)

    assert {one[2] for one in seen} == {thing}


@pytest.mark.parametrize(
    "path", ["os:system", "clarion.work.jobs:run", "clarion.work.jobs:nothing", "os:"]
)
def test_only_declared_jobs_are_run(path):
    with pytest.raises(TypeError, match="is not a job"):
        jobs.resolve(path)


def test_a_job_says_that_it_may_run_twice():
    with pytest.raises(TypeError):
        job(queue="default", idempotent=False)


def test_job_is_called_like_the_function_it_is(account):
    with db.transaction():
        remember(db.new_id(), "now")

    assert seen[0][3] == "now"
    assert remember.__doc__ == "Note who runs and with what."
