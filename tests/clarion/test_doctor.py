"""The doctor finds what is wrong, each with what to do; and nothing where nothing is."""

import datetime as dt
import os

import psycopg
import pytest

from clarion import doctor, release
from clarion.base import broker, catalogue, clock, db, ground, servers, services
from clarion.base.errors import Misconfigured
from clarion.base.settings import settings


@pytest.fixture(scope="module", autouse=True)
def built(database):
    """The release step has run, as it has where web and worker are started."""
    release.upgrade()


@pytest.fixture
def master(database):
    """The server's master, who may break things."""
    url = database.superuser_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def elsewhere(database, monkeypatch):
    """Point the settings at another database."""

    def point(url):
        monkeypatch.setenv("CLARION_DATABASE_URL", url)
        settings.cache_clear()
        db.reset_engine()

    yield point
    monkeypatch.undo()
    settings.cache_clear()
    db.reset_engine()


def told():
    return [
        finding.what
        for finding in doctor.examine()
        if finding.grave and "front end" not in finding.what
    ]


def test_a_sound_installation_has_no_findings():
    assert told() == []


def test_every_finding_says_what_to_do(elsewhere):
    elsewhere("postgresql://nobody@127.0.0.1:1/none")

    assert all(finding.todo.endswith((".", ";")) for finding in doctor.examine())


def test_a_database_that_is_away(elsewhere):
    elsewhere("postgresql://nobody@127.0.0.1:1/none")

    assert told()[0].startswith("The database does not answer: ")


def test_a_database_without_tables(database, elsewhere):
    new = services.fresh_database(database, "doctor_empty")
    elsewhere(new.database_url)

    found = told()

    assert found == [
        "The tables are not of this release: clarion, contacts, templates, campaigns."
    ]


def test_a_login_that_is_master(database, elsewhere):
    elsewhere(database.superuser_url)

    found = told()

    assert "The login role postgres is a superuser." in found
    assert "The login role postgres passes row level security." in found


def test_a_login_that_owns_the_tables(database, elsewhere):
    elsewhere(database.owner_url)

    assert any("owns the tables" in one for one in told())


@pytest.mark.parametrize(
    ("break_it", "repair", "what"),
    [
        (
            "ALTER ROLE clarion INHERIT",
            "ALTER ROLE clarion NOINHERIT",
            "The login role clarion inherits the rights of its roles at all times.",
        ),
        (
            "ALTER ROLE clarion_app BYPASSRLS",
            "ALTER ROLE clarion_app NOBYPASSRLS",
            "The role clarion_app has more rights than it needs.",
        ),
        (
            "REVOKE clarion_staff FROM clarion",
            "GRANT clarion_staff TO clarion",
            "The login role may not enter clarion_staff.",
        ),
        (
            "ALTER TABLE message NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE message FORCE ROW LEVEL SECURITY",
            "The table message has no wall between accounts.",
        ),
        (
            "CREATE TABLE of_a_removed_plugin (account_id uuid)",
            "DROP TABLE of_a_removed_plugin",
            "The table of_a_removed_plugin has no wall between accounts.",
        ),
        (
            "ALTER ROLE clarion SET synchronous_commit = off",
            "ALTER ROLE clarion RESET synchronous_commit",
            "The database may lose what it said it stored: synchronous_commit is off.",
        ),
    ],
)
def test_what_somebody_changed_in_the_database(master, break_it, repair, what):
    master.execute(break_it)
    try:
        found = told()
    finally:
        master.execute(repair)

    assert what in found
    assert told() == []


def test_a_broker_that_throws_jobs_away():
    broker.redis().config_set("maxmemory-policy", "allkeys-lru")
    try:
        found = told()
    finally:
        broker.redis().config_set("maxmemory-policy", "noeviction")

    assert found == ["The broker may throw jobs away: its eviction policy is allkeys-lru."]


def test_production_refuses_what_is_convenient(monkeypatch):
    monkeypatch.setenv("CLARION_ENV", "production")
    monkeypatch.setenv("CLARION_HTTP_ALLOW", "127.0.0.1:1")

    found = [finding.todo for finding in doctor.examine()]

    assert any("CLARION_SECRET_KEY" in one for one in found)
    assert any("CLARION_HTTP_ALLOW" in one for one in found)


def test_a_start_is_refused_with_every_reason(monkeypatch):
    monkeypatch.setenv("CLARION_ENV", "production")

    with pytest.raises(Misconfigured) as refused:
        doctor.require()

    assert refused.value.code == "doctor_refused"
    assert refused.value.text.count("\n- ") >= 3


# --- what production refuses about the ground it stands on


def findings():
    return {one.what: one.todo for one in doctor.examine()}


@pytest.mark.parametrize(
    ("break_it", "repair", "todo"),
    [
        (
            "ALTER ROLE clarion SET synchronous_commit = off",
            "ALTER ROLE clarion RESET synchronous_commit",
            "Run: ALTER ROLE clarion RESET synchronous_commit;",
        ),
        (
            "ALTER ROLE clarion IN DATABASE clarion SET synchronous_commit = off",
            "ALTER ROLE clarion IN DATABASE clarion RESET synchronous_commit",
            "Run: ALTER ROLE clarion IN DATABASE clarion RESET synchronous_commit;",
        ),
    ],
)
def test_it_says_where_a_loose_commit_was_set(master, break_it, repair, todo):
    master.execute(break_it)
    try:
        found = findings()
    finally:
        master.execute(repair)

    what = "The database may lose what it said it stored: synchronous_commit is off."
    assert found[what] == todo


def test_a_loose_commit_in_the_address(database, elsewhere):
    elsewhere(f"{database.database_url}&options=-csynchronous_commit%3Doff")

    what = "The database may lose what it said it stored: synchronous_commit is off."
    assert findings()[what].startswith(
        "Take synchronous_commit out of CLARION_DATABASE_URL"
    )


def test_a_server_that_does_not_write_through(tmp_path, monkeypatch):
    """All reasons at once: of a server, nothing can be switched while it runs."""
    loose = dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit"), "off")
    monkeypatch.setattr(servers, "CONFIGURATION", servers.CONFIGURATION | loose)
    tmp_path.chmod(0o755)
    home = tmp_path / "home"
    running = services.start(home, only=("postgres",))
    monkeypatch.setenv("CLARION_DATABASE_URL", running.database_url)
    settings.cache_clear()
    try:
        found = [one.what for one in ground.look(catalogue.durability)]
    finally:
        monkeypatch.undo()
        running.remove()
        settings.cache_clear()

    assert sorted(found) == [
        f"The database may lose what it said it stored: {name} is off."
        for name in sorted(loose)
    ]


def test_a_clock_that_is_wrong():
    with clock.freeze(clock.now() + dt.timedelta(seconds=90)):
        ahead = told()
    with clock.freeze(clock.now() - dt.timedelta(seconds=90)):
        behind = told()
    with clock.freeze(clock.now() + dt.timedelta(seconds=30)):
        assert told() == []

    assert len(ahead) == len(behind) == 1
    assert " ahead of the database's" in ahead[0]
    assert " behind the database's" in behind[0]


def test_copies_on_the_disk_of_the_data_only(database, monkeypatch):
    what = "The epoch is kept on the same disk as the database only."
    assert what in findings()

    here = os.stat(database.home).st_dev
    other = next(d for d in ("/dev/shm", "/var/tmp") if os.stat(d).st_dev != here)  # noqa: S108
    monkeypatch.setenv("CLARION_EPOCH_PATHS", f"{database.home}/epoch,{other}/epoch")
    settings.cache_clear()
    there = what in findings()
    monkeypatch.undo()
    settings.cache_clear()

    assert not there


def test_a_failover_that_nobody_waits_for(monkeypatch):
    monkeypatch.setenv("CLARION_FAILOVER", "synchronous")
    settings.cache_clear()
    found = told()
    monkeypatch.undo()
    settings.cache_clear()

    assert found == [
        "CLARION_FAILOVER is synchronous, but the database waits for no standby."
    ]


def test_several_reasons_are_told_together(master, elsewhere, database):
    master.execute("ALTER TABLE message NO FORCE ROW LEVEL SECURITY")
    elsewhere(f"{database.database_url}&options=-csynchronous_commit%3Doff")
    broker.redis().config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(Misconfigured) as refused:
            doctor.require()
    finally:
        broker.redis().config_set("maxmemory-policy", "noeviction")
        master.execute("ALTER TABLE message FORCE ROW LEVEL SECURITY")

    for part in ("synchronous_commit", "no wall", "allkeys-lru"):
        assert part in refused.value.text


def test_development_warns_and_starts(caplog, elsewhere, database):
    elsewhere(f"{database.database_url}&options=-csynchronous_commit%3Doff")

    ground.warn(None)

    assert "synchronous_commit is off" in caplog.text
