"""The broker: bells ring once, and its absence stops nothing."""

import os

import pytest

from clarion.base import broker, services


@pytest.fixture
def running(tmp_path, monkeypatch):
    up = services.start(tmp_path, only=["valkey"])
    monkeypatch.setenv("CLARION_REDIS_URL", up.redis_url)
    services.forget()
    yield up
    up.remove()
    monkeypatch.undo()
    services.forget()


def test_ten_rings_are_one(running):
    for _ in range(10):
        assert broker.ring("relay")

    assert broker.wait("relay", 1)
    assert not broker.wait("relay", 0.05)


def test_a_child_gets_a_client_of_its_own(running):
    mine = broker.redis()
    child = os.fork()
    if not child:
        os._exit(0 if broker.redis() is not mine and broker.reachable() else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert broker.redis() is mine


def test_a_lost_broker_stops_nothing(running):
    assert broker.reachable()
    running.stop()
    os.environ["CLARION_REDIS_URL"] = running.redis_url
    services.forget()

    assert not broker.ring("relay")
    assert not broker.wait("relay", 0.05)
    assert not broker.reachable()
