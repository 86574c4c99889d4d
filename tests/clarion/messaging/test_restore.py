"""Backups restored, promoted, cloned: nothing is sent again, and no STOP is forgotten."""

import shutil
import time
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from sqlalchemy import create_engine, select, update

from clarion import backup
from clarion.base import broker, clock, db, epochs, migrate, services
from clarion.base.errors import Conflict, NotFound, Unavailable
from clarion.base.settings import settings
from clarion.messaging import (
    advance,
    counts,
    dispatch,
    doubts,
    epoch,
    identifiers,
    journal,
    leases,
    ledger,
    orders,
    reconcile,
    restored,
    suppression,
)
from clarion.messaging.instance import InstanceEpoch
from clarion.messaging.models import Campaign, Message
from clarion.plugging.manager import histories
from clarion.tenancy.actor import SYSTEM_JOB, Actor
from clarion.tenancy.models import Preference
from clarion.tenancy.preferences import SWITCH
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender

SIZE, BEFORE = 12, 4
CLEANING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'autovacuum worker'"
)
NAME, KEPT, CLONE = "vault", "vault_kept", "vault_clone"


class Vault:
    """An installation with a database of its own, which a test may lose and restore."""

    def __init__(self, running, folder, simulator):
        self.running, self.folder, self.simulator = running, folder, simulator
        self.file, self.tenant = folder / "backup.dump", None

    def sql(self, statement):
        """Change something as the server's master."""
        url = settings().backup_url.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    def tally(self, order):
        with db.transaction():
            return counts.tally(order)

    def spare(self, order, ready):
        """Let only so many of an order's people be due; the rest is for later."""
        with db.transaction() as orm:
            some = select(Message.id).where(Message.campaign_id == order)
            ids = list(orm.scalars(some.order_by(Message.id).offset(ready)))
            orm.execute(
                update(Message)
                .where(Message.id.in_(ids))
                .values(not_before=Message.not_before + epoch.EVERY * 999)
            )

    def all_due(self, order):
        with db.transaction() as orm:
            orm.execute(
                update(Message)
                .where(Message.campaign_id == order, Message.state == "queued")
                .values(not_before=Message.created_at)
            )

    def send(self, order):
        """What the relay and a worker do."""
        dispatch.drain(order)
        epoch.count()

    def keep(self):
        """Keep the database as it is now, as a disk's snapshot would."""
        self._copy(NAME, KEPT)

    def go_back(self):
        """Put back what was kept, and come up again; returns how that stands."""
        self._copy(KEPT, NAME)
        self.restart()
        with db.transaction():
            return epoch.standing()

    def _copy(self, source, name):
        db.session.remove()
        db.reset_engine()
        services.fresh_database(self.running, name, source)

    def restart(self):
        """Come back as new processes: no connection, no cache; look as they do."""
        db.session.remove()
        db.reset_engine()
        return restored.look()

    def receipts(self):
        return [r["to"] for r in self.simulator.receipts()]

    def person(self, key):
        return Actor("person", id=str(key), account_id=self.tenant.id, role="owner")


@pytest.fixture(scope="module")
def place(database):
    """A small database of this module's own: tests copy it, lose it, put it back."""
    urls = services.fresh_database(database, NAME)
    engine = create_engine(urls.owner_url)
    migrate.Histories(histories()).upgrade(engine)
    engine.dispose()
    yield urls
    for left in (NAME, KEPT, CLONE):
        services.drop_database(database, left)


@pytest.fixture
def vault(place, database, simulator, tmp_path, monkeypatch):
    """An installation nobody has ever sent from: a new instance, without copies."""
    monkeypatch.setenv("CLARION_DATABASE_URL", place.database_url)
    monkeypatch.setenv("CLARION_DATABASE_OWNER_URL", place.owner_url)
    monkeypatch.setenv("CLARION_BACKUP_URL", place.superuser_url)
    monkeypatch.setenv("CLARION_EPOCH_PATHS", str(tmp_path / "epoch"))
    monkeypatch.setenv("CLARION_JOURNAL_PATHS", str(tmp_path / "journal"))
    settings.cache_clear()
    db.reset_engine()
    one = Vault(database, tmp_path, simulator)
    one.sql("DELETE FROM instance_epoch")
    with ExitStack() as stack:
        one.tenant = make_account()
        stack.enter_context(account_scope(one.tenant.id, one.tenant.actor))
        with db.transaction() as orm:
            for plugin in ("campaigns", "contacts"):
                orm.add(Preference(plugin=plugin, name=SWITCH, value=False))
        yield one
        db.session.remove()
    db.reset_engine()
    monkeypatch.undo()
    settings.cache_clear()
    broker.redis().flushall()


@pytest.fixture
def order(vault, make_audience):
    """An order in the middle: some are sent, the rest waits."""
    sender = make_sender(vault.tenant, vault.simulator.url)
    people = [(db.new_id(), f"+55119{70_000_000 + i}", "") for i in range(SIZE)]
    restored.look()
    with db.transaction():
        identifiers.attach_many([(c, "phone", n) for c, n, _ in people], "test")
        made = orders.create("Restored", "marketing", sender, make_audience.TEMPLATE)
        orders.start(made.id, make_audience.audience(people))
    vault.people, vault.make = people, make_audience
    vault.spare(made.id, BEFORE)
    vault.send(made.id)
    assert len(vault.receipts()) == BEFORE
    return made.id


@pytest.fixture
def lost(vault, order):
    """That moment is kept; then everybody else gets it, and the database is lost."""
    vault.keep()
    everybody_else(vault, order)
    return order


def everybody_else(vault, order):
    vault.all_due(order)
    with db.transaction():
        vault.stopped = vault.people[-1][1]
        suppression.suppress([("phone", vault.stopped)], reason="stop")
    vault.send(order)
    assert len(vault.receipts()) == SIZE - 1
    db.session.remove()


@pytest.mark.parametrize("copies", ["copies", "no copies"])
def test_a_restored_backup_sends_nothing_again(vault, order, copies):
    """The whole way: `clarion backup`, the rest is sent, somebody says STOP, `restore`."""
    backup.dump(vault.file)
    everybody_else(vault, order)
    if copies == "no copies":
        shutil.rmtree(vault.folder / "epoch")
        broker.redis().flushall()

    found = backup.load(vault.file)

    assert (found.shut, found.why, found.replayed) == (
        True,
        "older" if copies == "copies" else "no_copy",
        1,
    )
    dispatch.drain(order)
    reconcile.look()
    dispatch.drain(order)
    assert len(vault.receipts()) == len(set(vault.receipts())) == SIZE - 1
    assert vault.tally(order) == {
        "accepted": BEFORE,
        "held": SIZE - BEFORE - 1,
        "suppressed": 1,
    }


def test_a_stop_after_the_backup_is_put_back(vault, lost):
    assert vault.go_back().replayed == 1
    with db.transaction():
        assert suppression.is_suppressed("phone", vault.stopped)


def test_who_said_start_after_the_stop_is_not_silenced(vault, order):
    vault.keep()
    number = vault.people[-1][1]
    with db.transaction():
        suppression.suppress([("phone", number)], reason="stop")
    with db.transaction():
        suppression.resume([("phone", number)], lifts=("stop",))

    assert vault.go_back().replayed == 0


def test_a_stop_that_was_rolled_back_is_not_in_the_journal(vault):
    with pytest.raises(ZeroDivisionError), db.transaction():
        suppression.suppress([("phone", "+5511970000000")], reason="stop")
        raise ZeroDivisionError
    with db.transaction():
        suppression.suppress([("phone", "+5511970000001")], reason="stop")

    lines = journal.read()[vault.tenant.id]
    with db.transaction():
        wanted = identifiers.index("phone", "+5511970000001")
    assert [one.idx for one in lines] == [wanted]


def test_the_journal_names_nobody(vault):
    with db.transaction():
        suppression.suppress([("phone", "+5511970000001")], reason="stop")

    assert "70000001" not in (vault.folder / "journal").read_text()


def test_what_was_launched_after_the_backup_is_not_there_to_be_sent(vault, order):
    vault.keep()
    later, _people = launch(vault, order, 5)
    vault.send(later)
    assert len(vault.receipts()) == BEFORE + 5

    assert vault.go_back().shut
    with pytest.raises(NotFound):
        dispatch.drain(later)
    dispatch.drain(order)

    assert len(vault.receipts()) == BEFORE + 5


def test_a_clone_is_held_and_the_first_goes_on(vault, order):
    db.session.remove()
    db.reset_engine()
    urls = services.fresh_database(vault.running, CLONE, NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLARION_DATABASE_URL", urls.database_url)
        settings.cache_clear()
        assert vault.restart() is True
        dispatch.drain(order)
        with db.transaction():
            assert epoch.standing().why == "other_database"
        release_all()
        db.session.remove()
        db.reset_engine()
    settings.cache_clear()

    assert vault.restart() is False
    vault.all_due(order)
    vault.send(order)
    assert sorted(vault.receipts()) == sorted(n for _, n, _ in vault.people)


def test_a_normal_restart_goes_on(vault, order):
    assert vault.restart() is False

    vault.all_due(order)
    vault.send(order)

    assert len(vault.receipts()) == SIZE


def test_a_flushed_broker_is_no_restore(vault, order):
    broker.redis().flushall()

    assert vault.restart() is False


def test_a_lost_folder_is_no_restore_while_the_broker_knows(vault, order):
    shutil.rmtree(vault.folder / "epoch")

    assert vault.restart() is False


def test_a_cut_between_count_and_copies_is_no_restore(vault, order):
    vault.sql("UPDATE instance_epoch SET epoch = epoch + 1")

    assert vault.restart() is False


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("server = '1'", "other_server"),
        ("database = 1", "other_database"),
        ("timeline = 99", "promoted"),
        ("epoch = 0", "older"),
    ],
)
def test_each_sign_of_another_database_shuts(vault, order, column, why):
    vault.sql(f"UPDATE instance_epoch SET {column}")

    assert vault.restart() is True

    with db.transaction():
        assert epoch.standing().why == why
        assert restored.doubt(order).held == SIZE - BEFORE


def test_a_synchronous_failover_goes_on_when_nothing_is_missing(vault, order, monkeypatch):
    monkeypatch.setenv("CLARION_FAILOVER", "synchronous")
    settings.cache_clear()
    vault.sql("UPDATE instance_epoch SET timeline = 99")

    assert vault.restart() is False
    assert vault.restart() is False

    vault.sql("UPDATE instance_epoch SET timeline = 99, epoch = epoch - 1")
    assert vault.restart() is True


def test_a_new_connection_is_asked_about_at_the_gate(vault, order):
    """A worker that lost its database: nobody restarts it, its pool connects again."""
    vault.all_due(order)
    vault.sql("UPDATE instance_epoch SET epoch = 0")
    db.reset_engine()

    with pytest.raises(Unavailable), db.transaction():
        epoch.require()
    dispatch.drain(order)

    assert len(vault.receipts()) == BEFORE


def test_the_gate_itself_refuses_while_it_is_shut(vault, order):
    vault.all_due(order)
    with db.transaction():
        token, claimed = leases.claim(order, SIZE)
        ids = [one.id for one in claimed]
    vault.sql("UPDATE instance_epoch SET restored_at = clarion_now()")

    with db.transaction():
        assert ledger.intend(token, ids) == []


def test_the_relay_finds_a_database_restored_behind_its_back(vault, order):
    vault.sql("UPDATE instance_epoch SET epoch = 0, raised_at = '2020-01-01'")

    assert epoch.count() is False


def test_it_counts_every_ten_seconds_and_only_while_something_is_sent(vault, order):
    before = counted()
    assert epoch.count() is True
    assert counted() == before

    vault.sql("UPDATE instance_epoch SET raised_at = raised_at - interval '11 s'")
    vault.sql("UPDATE campaign SET drained_at = clarion_now()")
    epoch.count()
    assert counted() == before + 1

    vault.sql("UPDATE instance_epoch SET raised_at = raised_at + interval '1 h'")
    epoch.count()
    assert counted() == before + 1


def test_copies_are_never_lowered(vault, order):
    with db.transaction():
        instance = str(epoch.standing().instance)
    high = max(one.epoch for one in epochs.read(instance).values()) + 5
    epochs.write(epochs.Copy(instance, high))

    epochs.write(epochs.Copy(instance, 1))

    assert {one.epoch for one in epochs.read(instance).values()} == {high}


# --- what becomes of what is held


def test_late_events_settle_what_was_sent_after_the_backup(vault, lost):
    with db.transaction() as orm:
        sent = orm.scalars(select(Message.id).where(Message.state == "accepted")).all()
    vault.go_back()

    with db.transaction():
        done = advance.advance(
            [advance.Advance(f"wamid.{i}", "delivered", clock.now(), i, 1) for i in sent]
        )

    assert done.unknown == frozenset()
    assert vault.tally(lost) == {"delivered": SIZE - 1, "suppressed": 1}


def test_after_a_day_people_are_asked_and_orders_without_doubt_finish(vault, lost):
    vault.go_back()
    restored.tend()
    assert "needs_decision" not in vault.tally(lost)

    a_day_later(vault)

    assert vault.tally(lost)["needs_decision"] == SIZE - BEFORE - 1
    with db.transaction() as orm:
        orm.execute(
            update(Message).where(Message.state == "needs_decision").values(state="read")
        )
    restored.tend()
    with db.transaction():
        assert orders.progress(lost).state == "finished"


def test_two_people_release_an_order(vault, lost):
    vault.go_back()
    a_day_later(vault)
    release_all()
    ana, rui = vault.person(db.new_id()), vault.person(db.new_id())

    with account_scope(vault.tenant.id, ana):
        with db.transaction():
            restored.propose(lost, "resend")
        with pytest.raises(Conflict) as refused, db.transaction():
            restored.confirm(lost, "resend")
    assert refused.value.code == "second_person_needed"
    assert vault.tally(lost)["needs_decision"] == SIZE - BEFORE - 1

    before = counted()
    with account_scope(vault.tenant.id, rui), db.transaction():
        assert restored.confirm(lost, "resend") == SIZE - BEFORE - 1
    assert counted() > before
    vault.send(lost)

    # once more, because two people said so; and never to who said STOP
    assert len(vault.receipts()) == SIZE - 1 + SIZE - BEFORE - 1
    assert vault.stopped not in vault.receipts()
    assert vault.restart() is False


def test_two_people_leave_it(vault, lost):
    vault.go_back()
    a_day_later(vault)
    ana, rui = vault.person(db.new_id()), vault.person(db.new_id())

    with account_scope(vault.tenant.id, ana), db.transaction():
        restored.propose(lost, "leave")
    with account_scope(vault.tenant.id, rui), db.transaction():
        restored.confirm(lost, "leave")

    assert vault.tally(lost)["failed"] == SIZE - BEFORE - 1
    assert len(vault.receipts()) == SIZE - 1
    with db.transaction():
        assert orders.progress(lost).state == "finished"


def test_a_proposal_can_be_taken_back(vault, lost):
    vault.go_back()
    a_day_later(vault)
    rui = vault.person(db.new_id())
    with db.transaction():
        restored.propose(lost, "resend")
        restored.withdraw(lost)

    with account_scope(vault.tenant.id, rui), db.transaction():
        with pytest.raises(Conflict):
            restored.confirm(lost, "resend")
        restored.propose(lost, "leave")


def test_sending_opens_again_by_two_people_only(vault, lost):
    vault.go_back()
    with pytest.raises(Conflict):
        epoch.open_again("staff:2")

    epoch.ask_to_open("staff:1")
    with pytest.raises(Conflict) as refused:
        epoch.open_again("staff:1")
    assert refused.value.code == "second_person_needed"
    assert epoch.check().shut

    epoch.open_again("staff:2")

    assert vault.restart() is False
    later, people = launch(vault, lost, 3)
    vault.send(later)
    assert {n for _, n, _ in people} <= set(vault.receipts())
    assert vault.tally(lost)["held"] == SIZE - BEFORE - 1


def test_an_interrupted_hold_is_finished_by_the_next(vault, lost):
    vault.go_back()
    vault.sql("UPDATE instance_epoch SET held_at = NULL")
    vault.sql("UPDATE suppression SET until = created_at")

    assert vault.restart() is True

    with db.transaction():
        assert suppression.is_suppressed("phone", vault.stopped)
        assert epoch.standing().held


def test_what_was_on_the_wire_is_unknown(vault, order):
    vault.all_due(order)
    with db.transaction():
        token, claimed = leases.claim(order, 2)
        ids = [one.id for one in claimed]
        ledger.intend(token, ids)
    vault.sql("UPDATE instance_epoch SET epoch = 0")

    vault.restart()

    with db.transaction():
        doubt = restored.doubt(order)
        assert (doubt.unknown, doubt.held) == (2, SIZE - BEFORE - 2)
        assert doubts.settled() == []


# --- backup and restore as commands


def test_a_backup_is_older_than_its_copies_from_birth(vault, order):
    counted_to = backup.dump(vault.file)

    assert counted() == counted_to
    assert vault.file.stat().st_mode & 0o077 == 0
    db.session.remove()
    assert backup.load(vault.file).epoch == counted_to - 1


def test_a_backup_never_overwrites(vault):
    vault.file.write_text("precious")

    with pytest.raises(Conflict):
        backup.dump(vault.file)

    assert vault.file.read_text() == "precious"


def test_a_file_that_is_no_backup_changes_nothing(vault, order):
    vault.file.write_text("not a dump")
    db.session.remove()

    with pytest.raises(Conflict):
        backup.load(vault.file)

    assert vault.tally(order)["accepted"] == BEFORE


def test_a_database_in_use_is_not_replaced(vault, order):
    backup.dump(vault.file)
    db.session.remove()
    url = settings().database_url.replace("+psycopg", "")
    with psycopg.connect(url), pytest.raises(Conflict) as refused:
        backup.load(vault.file)

    assert refused.value.code == "database_in_use"


def test_the_servers_own_cleaning_is_nobody_in_the_way(vault, order):
    """Autovacuum comes when it likes; it is no program that has to be stopped."""
    backup.dump(vault.file)
    db.session.remove()
    with slow_cleaning(vault):
        assert backup.load(vault.file).shut


# --- deeds


@contextmanager
def slow_cleaning(vault):
    """Have autovacuum work in this database until the end."""
    vault.sql("CREATE TABLE dirt AS SELECT n FROM generate_series(1, 100_000) n")
    vault.sql(
        "ALTER TABLE dirt SET (autovacuum_vacuum_cost_delay = 100,"
        " autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_scale_factor = 0)"
    )
    vault.sql("DELETE FROM dirt")
    vault.sql("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    vault.sql("SELECT pg_reload_conf()")
    url = settings().backup_url.replace("+psycopg", "")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            while not connection.execute(CLEANING).fetchone():
                time.sleep(0.05)
        yield
    finally:
        vault.sql("ALTER SYSTEM RESET autovacuum_naptime")
        vault.sql("SELECT pg_reload_conf()")
        vault.sql("DROP TABLE dirt")


def launch(vault, order, size):
    """Another order, started now, to new people."""
    people = [(db.new_id(), f"+55119{80_000_000 + i}", "") for i in range(size)]
    with db.transaction() as orm:
        sender = orm.scalars(select(Campaign.sender_id).where(Campaign.id == order)).one()
        made = orders.create("Later", "marketing", sender, vault.make.TEMPLATE)
        orders.start(made.id, vault.make.audience(people))
    return made.id, people


def counted():
    with db.transaction() as orm:
        return orm.scalars(select(InstanceEpoch.epoch)).one()


def a_day_later(vault):
    vault.sql("UPDATE instance_epoch SET restored_at = restored_at - interval '25 h'")
    with account_scope(vault.tenant.id, SYSTEM_JOB):
        restored.tend()


def release_all():
    epoch.ask_to_open("staff:1")
    epoch.open_again("staff:2")
