"""The pytest plugin: real servers, a migrated database, accounts, jobs run to the end."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from clarion.base.services import Running
    from clarion.testing.clock import DatabaseClock
    from clarion.testing.factories import Tenant
    from clarion.testing.simulator import Simulator

NAME = "clarion_test"
MEMORY, ROOM_GB = Path("/dev/shm"), 6  # noqa: S108 -- a folder of our own is made in it


@pytest.fixture(scope="session")
def servers() -> Iterator["Running"]:
    """PostgreSQL and Valkey of this test session, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="clarion-", dir=_memory()) as folder:
        home = Path(folder)
        home.chmod(0o755)
        os.environ["CLARION_HOME"] = str(home / "home")
        os.environ["CLARION_ENV"] = "test"
        os.environ["CLARION_MARKETING_HOURS"] = "00:00-24:00"  # tests run at night too
        for name in ("CLARION_DATABASE_URL", "CLARION_DATABASE_OWNER_URL"):
            os.environ.pop(name, None)
        from clarion.base import crypto, services, settings

        settings.settings.cache_clear()
        crypto.forget_keys()  # read before from another folder, they do not fit this one's
        running = services.start(home / "home")
        try:
            yield running
        finally:
            running.remove()


def _memory() -> Path | None:
    """Where servers are as durable as ever and no disk is waited for; None: too little."""
    try:
        place, machine = os.statvfs(MEMORY), Path("/proc/meminfo").read_text()
    except OSError:
        return None
    available = int(machine.partition("MemAvailable:")[2].split()[0]) << 10
    free = min(place.f_bavail * place.f_frsize, available)
    return MEMORY if free > ROOM_GB << 30 else None


@pytest.fixture(scope="session")
def database(servers: "Running") -> "Running":
    """A migrated database, with every plugin loaded; the process is set up like a worker."""
    from clarion import boot
    from clarion.base import db, migrate, settings
    from clarion.plugging import manager
    from clarion.plugging.manager import histories
    from clarion.tenancy import hooktimes

    settings.settings.cache_clear()
    # tests count statements; verbs say when to look again
    manager.LOOK_SECONDS = hooktimes.EVERY_SECONDS = 3600.0
    db.reset_engine()
    engine = migrate.owner_engine()
    migrate.Histories(histories()).upgrade(engine)
    engine.dispose()
    boot.boot()
    return servers


@pytest.fixture
def clean(database: "Running") -> None:
    """Empty what tests would leave to each other: outbox, limits, the broker."""
    from sqlalchemy import delete

    from clarion.base import broker, db
    from clarion.base.limits import LimitCounter
    from clarion.work.models import Outbox
    from clarion.work.outbox import SYSTEM

    broker.redis().flushall()
    with db.apart(SYSTEM) as orm:
        orm.execute(delete(Outbox))
        orm.execute(delete(LimitCounter))


@pytest.fixture
def account(clean: None) -> Iterator["Tenant"]:
    """An account, entered as its owner for the length of the test."""
    from clarion.tenancy.scope import account_scope
    from clarion.testing.factories import make_account

    tenant = make_account()
    with account_scope(tenant.id, tenant.actor):
        yield tenant


@pytest.fixture
def other_account(clean: None) -> "Tenant":
    """Another account, with the same kind of rows; not entered."""
    from clarion.testing.factories import make_account

    return make_account("Loja Norte")


@pytest.fixture
def quiet_house(database: "Running", clean: None) -> None:
    """Nothing that earlier tests left running: whoever looks after every account is idle."""
    from sqlalchemy import create_engine, text

    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE campaign SET state = 'paused' WHERE state IN ('running','pausing')"
            )
        )
        connection.execute(
            text("UPDATE message SET state = 'unknown' WHERE state = 'dispatching'")
        )
    engine.dispose()


@pytest.fixture
def later(database: "Running", quiet_house: None) -> "Iterator[DatabaseClock]":
    """The database's clock, to be moved on: `later.forward(hours=72)`."""
    from clarion.testing.clock import database_clock

    with database_clock(database.superuser_url) as clock:
        yield clock


@pytest.fixture
def run_jobs(clean: None) -> Callable[[], int]:
    """Run the jobs in the outbox in this process until none is due; errors are raised."""

    def run(limit: int = 1_000) -> int:
        done = 0
        while done < limit:
            batch = _due()
            if not batch:
                return done
            for path, payload in batch:
                _run(path, payload)
                done += 1
        raise AssertionError(f"more than {limit} jobs: something rings itself for ever")

    return run


@pytest.fixture
def mails(run_jobs: Callable[[], int]) -> Callable[[str], list[Any]]:
    """Run what waits and return the mails an address got, oldest first."""
    import email
    import email.policy

    from clarion.base.settings import settings

    def read(to: str) -> list[Any]:
        run_jobs()
        found = []
        for path in settings().mail_folder.glob("*.eml"):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if to in str(mail["To"]):
                found.append((path.stat().st_mtime_ns, mail))
        return [mail for _at, mail in sorted(found, key=lambda pair: pair[0])]

    return read


def _due() -> list[tuple[str, Any]]:
    from sqlalchemy import delete, func, select

    from clarion.base import db
    from clarion.work.models import Outbox
    from clarion.work.outbox import SYSTEM

    with db.apart(SYSTEM) as orm:
        rows = orm.execute(
            select(Outbox.seq, Outbox.job, Outbox.payload)
            .where(Outbox.not_before <= func.clarion_now())
            .order_by(Outbox.seq)
        ).all()
        orm.execute(delete(Outbox).where(Outbox.seq.in_([r.seq for r in rows])))
    return [(r.job, r.payload) for r in rows]


def _run(path: str, payload: dict[str, Any]) -> None:
    from clarion.work import jobs

    jobs.run(path, payload, raises=True)


@pytest.fixture(scope="session")
def simulator_process(
    database: "Running", tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Simulator"]:
    """A Cloud API on this machine; outbound calls may reach it and nothing else private."""
    from clarion.base import settings
    from clarion.testing.simulator import Simulator

    folder = tmp_path_factory.mktemp("simulator")
    words = ("--any-template", "--token", "test-token", "--waba", "9900")
    running = Simulator.start(folder, *words)
    os.environ["CLARION_HTTP_ALLOW"] = f"127.0.0.1:{running.port}"
    settings.settings.cache_clear()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def simulator(simulator_process: "Simulator", clean: None) -> "Simulator":
    """The simulator, with nothing received and no rules yet."""
    simulator_process.post("rules", rules=[], replace=True)
    simulator_process.post("reset", receipts=True)
    return simulator_process


@pytest.fixture
def after_restore(clean: None) -> Iterator[None]:
    """The database was restored a moment ago: what waited is held, nothing is sent."""
    from sqlalchemy import func, select

    from clarion.base import db
    from clarion.messaging import epoch
    from clarion.messaging.instance import InstanceEpoch

    epoch.check()
    with db.apart(epoch.SYSTEM) as orm:
        row = orm.scalars(select(InstanceEpoch)).one()
        row.restored_at = row.held_at = func.clarion_now()
        row.restored_why, row.released_at = "older", None
    yield
    with db.apart(epoch.SYSTEM) as orm:
        row = orm.scalars(select(InstanceEpoch)).one()
        row.restored_at = row.held_at = row.released_at = row.people_asked_at = None
        row.asked_by = row.asked_at = row.released_by = None
        row.restored_why = ""
