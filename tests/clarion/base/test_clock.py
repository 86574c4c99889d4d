"""The clock: aware, in UTC, and stopped only inside a block."""

import datetime as dt

import pytest

from clarion.base import clock


def test_now_is_aware():
    assert clock.now().tzinfo is dt.UTC


def test_frozen_time_moves_only_when_told():
    begun = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)

    with clock.freeze(begun):
        assert clock.now() == begun
        clock.advance(minutes=5)
        assert clock.now() == begun + dt.timedelta(minutes=5)

    assert clock.now() != begun


def test_naive_time_is_refused():
    with pytest.raises(ValueError, match="zone"), clock.freeze(dt.datetime(2027, 3, 1)):
        pass


def test_time_that_runs_is_not_moved():
    with pytest.raises(RuntimeError):
        clock.advance(days=1)
