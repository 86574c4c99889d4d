import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

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
