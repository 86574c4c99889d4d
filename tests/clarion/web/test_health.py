"""Up, ready, and what is wrong: strangers learn the least."""

import pytest
from sqlalchemy import create_engine, text

from clarion.base import broker, db
from clarion.base.settings import settings


@pytest.fixture
def no_database(monkeypatch):
    """The database's address leads nowhere."""
    monkeypatch.setenv("CLARION_DATABASE_URL", "postgresql://clarion@127.0.0.1:1/clarion")
    settings.cache_clear()
    db.reset_engine()
    yield
    monkeypatch.undo()
    settings.cache_clear()
    db.reset_engine()


@pytest.fixture
def no_broker(monkeypatch):
    monkeypatch.setenv("CLARION_REDIS_URL", "redis://127.0.0.1:1")
    settings.cache_clear()
    broker.reset()
    yield
    monkeypatch.undo()
    settings.cache_clear()
    broker.reset()


HERE = {"REMOTE_ADDR": "127.0.0.1"}
FAR = {"REMOTE_ADDR": "198.51.100.7"}


def test_alive_and_ready(stranger):
    assert stranger.ask("/healthz").text == "ok\n"
    assert stranger.ask("/readyz", environ_base=FAR).text == "ok\n"
    assert stranger.ask("/readyz", environ_base=HERE).json["ok"] is True


def test_without_database_nobody_is_sent_here(stranger, no_database):
    far = stranger.ask("/readyz", environ_base=FAR)
    here = stranger.ask("/readyz", environ_base=HERE)

    assert stranger.ask("/healthz").status_code == 200
    assert (far.status_code, far.text) == (503, "not ok\n")
    assert "database" in here.json["findings"]


def test_pending_migrations_keep_visitors_away(stranger, database):
    owner = create_engine(database.superuser_url)
    table = "alembic_version_contacts"
    with owner.begin() as connection:
        [known] = connection.scalars(text(f"SELECT version_num FROM {table}"))
        connection.execute(text(f"UPDATE {table} SET version_num = '0000'"))
    try:
        here = stranger.ask("/readyz", environ_base=HERE)
        far = stranger.ask("/readyz", environ_base=FAR)
    finally:
        with owner.begin() as connection:
            connection.execute(text(f"UPDATE {table} SET version_num = '{known}'"))
        owner.dispose()

    assert here.status_code == 503
    assert here.json["findings"] == {
        "migrations": "pending for contacts; run clarion db upgrade"
    }
    assert (far.status_code, far.text) == (503, "not ok\n")
    assert stranger.ask("/readyz", environ_base=FAR).status_code == 200


def test_without_broker_pages_still_work(stranger, no_broker):
    here = stranger.ask("/readyz", environ_base=HERE)

    assert here.status_code == 200
    assert "broker" in here.json["findings"]


def test_a_page_without_database_says_so(stranger, no_database):
    stranger.client.set_cookie("clarion", "some-key", domain="127.0.0.1")
    answer = stranger.ask("/team/")

    assert answer.status_code == 503
    assert "database does not answer" in answer.text


def test_metrics_are_for_the_machine_itself(stranger):
    here = stranger.ask("/metrics", environ_base=HERE)
    forwarded = stranger.ask(
        "/metrics", environ_base=HERE, headers={"X-Forwarded-For": "198.51.100.7"}
    )

    assert "process_cpu_seconds_total" in here.text
    assert stranger.ask("/metrics", environ_base=FAR).status_code == 404
    assert forwarded.status_code == 404


def test_health_takes_no_posts(stranger):
    assert stranger.ask("/healthz", "POST").status_code == 405
