"""The doctor finds what is wrong, each with what to do; and nothing where nothing is."""

import psycopg
import pytest

from clarion import doctor, release
from clarion.base import broker, db, services
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
    return [finding.what for finding in doctor.examine() if "front end" not in finding.what]


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
