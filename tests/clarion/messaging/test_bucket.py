"""The bucket's arithmetic: never more than the rate in any second, and nearly all of it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.messaging import bucket
from clarion.messaging.bucket import Ask, Bucket

RATES = st.sampled_from([1, 2, 3, 7, 10, 15, 20, 64, 80, 250, 999, 1000])


def most_in_a_second(sends):
    """The most messages in any half-open second that begins with one of them."""
    most = 0
    for at, _ in sends:
        most = max(most, sum(n for when, n in sends if at <= when < at + 1))
    return most


def drive(rate, steps, first=1_700_000_000.0):
    """Ask again and again after so many seconds each; returns (when, how many)."""
    now, box, sends = first, Bucket(0.0), []
    for after, want, bulk, headroom in steps:
        now += after
        found = bucket.step(box, now, rate, Ask(want, bulk, headroom))
        box = found.bucket
        if found.count:
            sends.append((max(box.slice_at, now), found.count))
        else:
            now = max(now, found.again_at)
    return sends


STEPS = st.tuples(st.floats(0, 0.4), st.integers(1, 400), st.booleans(), st.booleans())


@settings(deadline=None)  # a busy machine is not wrong
@given(RATES, st.lists(STEPS, min_size=5, max_size=120))
def test_no_second_has_more_than_the_rate(rate, steps):
    assert most_in_a_second(drive(rate, steps)) <= rate


@settings(deadline=None)  # a busy machine is not wrong
@given(RATES.filter(lambda rate: rate >= 10), st.integers(1, 4))
def test_who_keeps_asking_gets_nearly_all_of_it(rate, askers):
    now, box, sends = 1_700_000_000.0, Bucket(0.0), []
    waits = [now] * askers
    while now < 1_700_000_020:
        who = waits.index(min(waits))
        now = max(now, waits[who])
        found = bucket.step(box, now, rate, Ask(400))
        box, waits[who] = found.bucket, max(found.again_at, now + 1e-4)
        if found.count:
            sends.append((box.slice_at, found.count))
    assert most_in_a_second(sends) <= rate
    seconds = sends[-1][0] - sends[0][0]
    assert sum(n for _, n in sends[:-1]) / seconds >= 0.975 * rate


@settings(deadline=None)  # a busy machine is not wrong
@given(st.sampled_from([10, 20, 80, 1000]))
def test_bulk_leaves_a_fifth_to_the_others(rate):
    steps = [(0.06, 400, True, True)] * 400
    sends = drive(rate, steps)
    seconds = sends[-1][0] - sends[0][0]
    assert sum(n for _, n in sends[:-1]) / seconds <= 0.8 * rate


def test_bulk_that_took_its_share_leaves_the_rest_of_the_slice_to_a_reply():
    now = 1_700_000_000.0
    bulk = bucket.step(Bucket(0.0), now, 80, Ask(400, bulk=True, headroom=True))
    reply = bucket.step(bulk.bucket, now + 0.001, 80, Ask(1, bulk=False))

    assert bulk.count == 6
    assert reply.count == 1
    assert reply.bucket.slice_at == bulk.bucket.slice_at


def test_a_late_slice_puts_off_the_next_ones():
    now = 1_700_000_000.0
    first = bucket.step(Bucket(0.0), now, 80, Ask(8))
    on_time = bucket.step(first.bucket, now + 0.08, 80, Ask(8))
    put_off = bucket.step(first.bucket, now + 0.08, 80, Ask(8, late=0.02))

    assert round(put_off.bucket.slice_at - on_time.bucket.slice_at, 3) == 0.02


@given(st.integers(1001, 100_000))
def test_a_fast_number_is_not_held_back_by_slices(rate):
    now = 1_700_000_000.0
    found = bucket.step(Bucket(0.0), now, rate, Ask(200))
    assert found.count >= 50
    assert found.again_at <= now + 0.1
