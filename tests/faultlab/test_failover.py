"""The database is lost, and a standby that lagged behind takes its place."""

import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import deeds
import psycopg
import pytest
from sqlalchemy import create_engine

from clarion.base import broker, db, migrate, places, servers, services
from clarion.base.settings import settings
from clarion.messaging import counts, dispatch, epoch, reconcile, restored, suppression
from clarion.plugging.manager import histories
from clarion.tenancy.models import Preference
from clarion.tenancy.preferences import SWITCH
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
KNOWN, LOST = 200, 300


class Pair:
    """A PostgreSQL of this test's own, and a standby that streams from it."""

    def __init__(self, running):
        self.running = running
        self.first = running._found.known["postgres"]
        place = running._found.where
        self.where = places.Place(
            place.folder / "second", place.folder / "second" / "run", place.keeper
        )
        for folder in (self.where.folder, self.where.sockets):
            folder.mkdir(mode=0o700)
            if place.keeper:
                os.chown(folder, place.keeper.uid, place.keeper.gid)
        self.second = servers.Postgres(self.where, self.first.program)

    def begin(self):
        """Copy the first as it is, and stream what comes."""
        words = [str(self.first.program.with_name("pg_basebackup")), "--write-recovery-conf",
                 "--checkpoint=fast", f"--pgdata={self.second.folder}", "--username=postgres",
                 f"--host={self.running.sockets}"]  # fmt: skip
        done = servers._run(self.where, words)
        assert done.returncode == 0, done.stdout
        self.second.launch()
        servers.await_up(self.second)

    def caught_up(self):
        """Wait until the standby has all that the first has."""
        there = self._ask(self.running.sockets, "SELECT pg_current_wal_lsn()")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{there}'"
        while not self._ask(self.where.sockets, query):
            time.sleep(0.02)

    def fail_over(self):
        """Lose the first for good, and promote the second."""
        os.kill(self.first.pid(), signal.SIGKILL)
        self.second.launch()
        servers.await_up(self.second)
        assert self._ask(self.where.sockets, "SELECT pg_promote()")

    def url(self):
        """The second's address, as the application signs in."""
        return services._urls(self.where.sockets, services.DATABASE).database_url

    def _ask(self, sockets, query):
        with psycopg.connect(
            host=str(sockets), dbname="postgres", user="postgres", autocommit=True
        ) as connection:
            return connection.execute(query).fetchone()[0]


@pytest.fixture
def pair(database, monkeypatch):
    """An installation with a database server of its own."""
    with tempfile.TemporaryDirectory(prefix="clarion-pair-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        running = services.start(folder / "home", only=["postgres"])
        monkeypatch.setenv("CLARION_DATABASE_URL", running.database_url)
        monkeypatch.setenv("CLARION_REDIS_URL", database.redis_url)
        monkeypatch.setenv("CLARION_EPOCH_PATHS", str(folder / "epoch"))
        monkeypatch.setenv("CLARION_JOURNAL_PATHS", str(folder / "journal"))
        settings.cache_clear()
        db.reset_engine()
        owner = create_engine(running.owner_url)
        migrate.Histories(histories()).upgrade(owner)
        owner.dispose()
        both = Pair(running)
        yield both
        db.session.remove()
        db.reset_engine()
        both.second.stop()
        running.remove()
        monkeypatch.undo()
        settings.cache_clear()
        broker.redis().flushall()


def test_a_standby_that_lagged_sends_nothing_again(pair, simulator):
    """The counts agree: only the timeline tells that this is not the database we left."""
    tenant = make_account()
    with account_scope(tenant.id, tenant.actor):
        with db.transaction() as orm:
            orm.add(Preference(plugin="contacts", name=SWITCH, value=False))
        sender = make_sender(tenant, simulator.url)
        restored.look()
        known = deeds.order(sender, 0, KNOWN)
        dispatch.drain(known)
        epoch.count()
        pair.begin()
        lost = deeds.order(sender, KNOWN, LOST)
        pair.caught_up()
        pair.second.stop()

        dispatch.drain(lost)
        with db.transaction():
            stopped = f"+55119{50_000_000 + KNOWN + LOST - 1}"
            suppression.suppress([("phone", stopped)], reason="stop")
        before = Counter(one["to"] for one in simulator.receipts())
        assert before.total() == len(before) == KNOWN + LOST
        pair.fail_over()
        come_back(pair)
        dispatch.drain(lost)
        reconcile.look()
        dispatch.drain(lost)

        assert Counter(one["to"] for one in simulator.receipts()) == before
        with db.transaction():
            assert epoch.standing().why == "promoted"
            assert counts.tally(known) == {"accepted": KNOWN}
            assert counts.tally(lost) == {"held": LOST - 1, "suppressed": 1}


def come_back(pair):
    """Be a process that starts after the failover."""
    db.session.remove()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLARION_DATABASE_URL", pair.url())
        settings.cache_clear()
        db.reset_engine()
        assert restored.look() is True
        db.engine()  # made while the address is the second's, and kept
    settings.cache_clear()
