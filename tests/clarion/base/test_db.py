import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from clarion.base import db
from clarion.base.settings import settings

SYSTEM = db.Entry("clarion_system", None, "test")


@pytest.fixture
def small(database, monkeypatch):
    """A process with many threads that keeps one connection."""
    monkeypatch.setenv("CLARION_DATABASE_POOL", "1")
    monkeypatch.setenv("CLARION_WEB_THREADS", "16")
    settings.cache_clear()
    db.reset_engine()
    yield settings()
    monkeypatch.undo()
    settings.cache_clear()
    db.reset_engine()


def test_every_thread_may_take_a_second_connection_inside_its_transaction(small):
    all_inside = threading.Barrier(small.web_threads)

    def request(_number):
        with db.apart(SYSTEM) as outer:
            outer.execute(text("SELECT 1"))
            all_inside.wait(timeout=60)  # now each thread holds its first
            with db.apart(SYSTEM) as inner:
                return inner.scalar(text("SELECT 1"))

    with ThreadPoolExecutor(small.web_threads) as threads:
        assert list(threads.map(request, range(small.web_threads))) == [1] * 16
    assert db.engine().pool.checkedout() == 0


@pytest.mark.parametrize(("pool", "threads", "most"), [(1, 1, 6), (5, 8, 10), (5, 64, 66)])
def test_there_are_more_connections_than_threads(small, monkeypatch, pool, threads, most):
    monkeypatch.setenv("CLARION_DATABASE_POOL", str(pool))
    monkeypatch.setenv("CLARION_WEB_THREADS", str(threads))
    settings.cache_clear()

    assert db._most() == most


def test_a_direct_statement_fails_as_any_other(account):
    wrong = db.Direct("SELECT nothing FROM account WHERE id = :id")

    with pytest.raises(ProgrammingError), db.transaction():
        wrong(id=account.id)

    with db.transaction():
        assert db.Direct("SELECT '5 %' AS share, :n + 1 AS more")(n=1) == [("5 %", 2)]


def test_a_connection_lost_under_a_direct_statement_is_not_lent_again(account, database):
    superuser = create_engine(database.superuser_url, isolation_level="AUTOCOMMIT")
    ask = db.Direct("SELECT pg_backend_pid() AS pid")
    with db.transaction():
        pid = ask()[0].pid

    with pytest.raises(OperationalError), db.transaction():
        assert ask()[0].pid == pid
        with superuser.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        ask()

    with db.transaction():
        assert ask()[0].pid != pid
    superuser.dispose()
