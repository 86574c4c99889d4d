"""The side journal gets shorter, and never forgets who must not be written to."""

import threading
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from clarion.base.settings import settings
from clarion.messaging import journal

ACCOUNT = UUID(int=7)
PEOPLE = [bytes([n]) * 16 for n in range(3)]


@pytest.fixture
def paths(account, tmp_path, monkeypatch):
    """Two journals on two disks, of which nothing is too small to be written anew."""
    found = [tmp_path / name / "journal" for name in ("one", "two")]
    monkeypatch.setenv("CLARION_JOURNAL_PATHS", ",".join(map(str, found)))
    monkeypatch.setattr(journal, "SMALL", 0)
    settings.cache_clear()
    yield found
    monkeypatch.undo()
    settings.cache_clear()


def stop(idx, scope="marketing", reason="stop"):
    journal._append([journal._line(idx, kind="phone", scope=scope, reason=reason)])


def lift(idx, *reasons):
    journal._append([journal._line(idx, lifts=list(reasons))])


def standing():
    return {
        (account, one.idx, one.scope, one.reason)
        for account, entries in journal.read().items()
        for one in journal.standing(entries)
    }


def clear(paths):
    for path in paths:
        path.unlink(missing_ok=True)


DEEDS = st.lists(
    st.one_of(
        st.tuples(
            st.just("stop"),
            st.sampled_from(PEOPLE),
            st.sampled_from(["marketing", "all"]),
            st.sampled_from(["stop", "provider_stop", "manual"]),
        ),
        st.tuples(
            st.just("lift"),
            st.sampled_from(PEOPLE),
            st.sampled_from([("stop",), ("provider_stop",), ("stop", "maybe")]),
        ),
        st.just(("compact",)),
    ),
    max_size=25,
)


@hypothesis(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(DEEDS)
def test_what_stands_is_the_same_whenever_it_is_written_anew(paths, deeds):
    clear(paths)
    for deed in deeds:
        if deed[0] == "stop":
            stop(*deed[1:])
        elif deed[0] == "lift":
            lift(deed[1], *deed[2])
    wanted = standing()

    clear(paths)
    for deed in deeds:
        if deed[0] == "stop":
            stop(*deed[1:])
        elif deed[0] == "lift":
            lift(deed[1], *deed[2])
        else:
            journal.compact()
    journal.compact()

    assert standing() == wanted
    there = [path.read_text() for path in paths if path.exists()]
    assert there in ([], there[:1] * 2)  # both say the same


def test_what_was_lifted_or_said_twice_is_gone(paths):
    for _ in range(50):
        stop(PEOPLE[0])
        stop(PEOPLE[1])
        lift(PEOPLE[1], "stop")

    assert journal.compact() == 298
    assert len(paths[0].read_text().splitlines()) == 2  # how long it was, and one person
    assert journal.compact() == 0  # it has not doubled since


def test_a_journal_that_lost_lines_gets_them_back(paths):
    for idx in PEOPLE:
        stop(idx)
    paths[1].write_text("")

    journal.compact()

    assert paths[0].read_text() == paths[1].read_text()
    assert len(standing()) == 3


def test_nobody_is_lost_who_says_stop_meanwhile(paths):
    """Threads append while the file is taken away under them."""
    people = [n.to_bytes(16, "big") for n in range(400)]
    done = threading.Event()
    account = journal.current_account()

    def say(some):
        from clarion.tenancy.actor import COMMAND
        from clarion.tenancy.scope import account_scope

        with account_scope(account, COMMAND):
            for idx in some:
                stop(idx)

    def shorten():
        while not done.is_set():
            journal.compact()

    writers = [threading.Thread(target=say, args=(people[n::4],)) for n in range(4)]
    shortener = threading.Thread(target=shorten)
    shortener.start()
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    done.set()
    shortener.join()
    journal.compact()

    assert {idx for _a, idx, _s, _r in standing()} == set(people)
    assert not list(paths[0].parent.glob("*.part"))


def test_a_small_journal_is_left_alone(paths, monkeypatch):
    monkeypatch.setattr(journal, "SMALL", 256 * 1024)
    stop(PEOPLE[0])
    before = paths[0].stat().st_ino

    assert journal.compact() == 0
    assert paths[0].stat().st_ino == before


@pytest.mark.parametrize("told", [("stop", "provider_stop"), ("provider_stop", "stop")])
def test_what_a_provider_was_told_does_not_replace_what_we_were_told(paths, told):
    for reason in told:
        stop(PEOPLE[0], reason=reason)
    lift(PEOPLE[0], "provider_stop")
    left = {(account, idx, reason) for account, idx, _scope, reason in standing()}
    journal.compact()

    assert [one[1:] for one in left] == [(PEOPLE[0], "stop")]
    assert len(standing()) == 1
