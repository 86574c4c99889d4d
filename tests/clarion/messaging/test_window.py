"""The number of calls on the wire follows what the provider can take."""

from clarion.base import db
from clarion.messaging import window
from clarion.messaging.window import LEAST, MOST, Window


def fed(one: Window, seconds, answers=2_000):
    """Answer that often, with as many calls on the wire as the limit allows."""
    for _ in range(answers):
        one.answered(seconds(one.limit), one.limit)
    return one.limit


def test_it_grows_while_answers_come_as_quickly_as_before():
    assert fed(Window(), lambda _calls: 0.2, answers=20_000) == MOST


def test_it_stays_where_a_provider_begins_to_queue():
    """A provider that answers a hundred at once in 0.1 s: what is more only waits."""
    settled = fed(Window(), lambda calls: 0.1 * max(1.0, calls / 100), answers=20_000)

    assert 100 <= settled < 250


def test_it_shrinks_when_a_provider_slows_down_and_recovers():
    one = Window()
    before = fed(one, lambda _calls: 0.1)

    slowed = min(fed(one, lambda _calls: 2.0, answers=100) for _ in range(5))
    assert slowed < before / 2

    assert fed(one, lambda _calls: 0.1, answers=20_000) > slowed * 2


def test_it_does_not_grow_while_something_else_is_the_limit():
    one = Window()
    start = one.limit
    for _ in range(2_000):
        one.answered(0.1, 3)

    assert one.limit == start


def test_calls_that_were_not_answered_bring_it_down_at_once_but_never_to_none():
    one = Window()
    start = one.limit
    one.lost()
    assert one.limit < start
    for _ in range(100):
        one.lost()
    assert one.limit == LEAST


def test_a_sender_is_remembered_by_its_process_but_not_for_ever():
    first = db.new_id()
    known = window.of(first)
    known.lost()
    assert window.of(first) is known

    for _ in range(window.REMEMBERED):
        window.of(db.new_id())
    assert window.of(first) is not known
