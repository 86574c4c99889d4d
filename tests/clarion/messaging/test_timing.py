"""Windows, caps and late starts at the gate, with the database's clock moved."""

import datetime as dt
import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import literal, select, update
from tests.clarion.messaging.conftest import TEMPLATE, audience, number

from clarion.base import db
from clarion.base import settings as base_settings
from clarion.base.errors import Conflict, Invalid
from clarion.messaging import caps, hours, leases, ledger, orders, snapshot, windows
from clarion.messaging.hours import EVERY_DAY
from clarion.messaging.models import Message
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_sender

MONDAY = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)  # 09:00 in São Paulo


@pytest.fixture
def daytime(monkeypatch):
    """The hours an installation has unless its operator chooses others."""
    monkeypatch.setenv("CLARION_MARKETING_HOURS", "09:00-20:00")
    base_settings.settings.cache_clear()
    yield
    monkeypatch.undo()
    base_settings.settings.cache_clear()


@pytest.fixture
def sender(account):
    return make_sender(account)


@pytest.fixture
def at(later):
    """Make it another time."""
    later.set(MONDAY)
    return later.set


def begun(
    sender, people, *, zone="America/Sao_Paulo", country="", purpose="marketing", **how
):
    """Start an order for contacts of one place."""
    rows = [(one, number(n), "") for n, one in enumerate(people)]
    chosen = audience(rows).add_columns(
        literal(zone).label("zone"), literal(country).label("country")
    )
    with db.transaction():
        order = orders.create("Sale", purpose, sender, TEMPLATE, **how)
        orders.start(order.id, chosen)
    return order.id


def drained(order_id, size=200):
    """Do what a worker does before it calls anybody; return who may leave."""
    with db.transaction():
        token, claimed = leases.claim(order_id, size)
        ids = [one.id for one in claimed]
    return intended(order_id, token, ids)


def intended(order_id, token, ids):
    with db.transaction():
        ledger.lock_for_intent(order_id, ids)
        gone = ledger.intend(token, ids)
        kept = [one for one in ids if one not in gone]
        caps.put_off(token, kept)
        ledger.refuse(token, kept)
    return gone


def rows(order_id):
    with db.transaction():
        found = select(Message).where(Message.campaign_id == order_id)
        return list(db.session().scalars(found.order_by(Message.id)))


def become(state, ids, reason=""):
    with db.transaction():
        query = update(Message).where(Message.id.in_(ids), Message.account_id.isnot(None))
        db.session().execute(query.values(state=state, reason=reason))


def utc(day, hour, minute=0):
    return dt.datetime(2027, 3, day, hour, minute, tzinfo=dt.UTC)


# --- windows


@pytest.mark.usefixtures("daytime")
def test_marketing_waits_for_the_morning_of_each_zone(sender, at):
    at(utc(1, 2))  # 23:00 the evening before in São Paulo, 11:00 in Tokyo
    one, two = db.new_id(), db.new_id()

    brazil = begun(sender, [one])
    japan = begun(sender, [two], zone="", country="JP")

    assert drained(brazil) == []
    assert len(drained(japan)) == 1
    row = rows(brazil)[0]
    assert (row.state, row.not_before, row.not_after) == (
        "queued", utc(1, 12), utc(1, 22, 59),
    )  # fmt: skip
    assert row.day_from == utc(1, 3)
    at(utc(1, 12, 1))
    assert drained(brazil) == [row.id]


@pytest.mark.usefixtures("daytime")
def test_codes_and_replies_do_not_wait(sender, at):
    at(utc(1, 3))

    for purpose in ("auth", "service", "utility"):
        assert len(drained(begun(sender, [db.new_id()], purpose=purpose))) == 1


@pytest.mark.usefixtures("daytime")
def test_a_worker_that_slept_over_the_edge_sends_nothing(sender, at):
    at(utc(1, 22, 58))
    order = begun(sender, [db.new_id(), db.new_id()])
    with db.transaction():
        token, claimed = leases.claim(order, 10)
        ids = [one.id for one in claimed]
        awake = intended(order, token, ids[:1])

    at(utc(1, 22, 59) + dt.timedelta(seconds=1))  # the call has a minute before 20:00
    asleep = intended(order, token, ids[1:])

    assert (awake, asleep) == (ids[:1], [])
    left = next(row for row in rows(order) if row.id == ids[1])
    assert (left.state, left.reason, left.claims) == ("queued", "quiet_hours", 0)
    assert (left.not_before, left.not_after) == (utc(2, 12), utc(2, 22, 59))


@pytest.mark.usefixtures("daytime")
def test_what_has_no_window_before_the_end_expires(sender, at):
    at(utc(1, 23, 30))
    early = begun(sender, [db.new_id()], finish_by=utc(2, 11))
    at(utc(2, 12))
    late = begun(sender, [db.new_id()], finish_by=utc(2, 13))
    at(utc(2, 12, 59) + dt.timedelta(seconds=1))

    assert drained(late) == []
    for order in (early, late):
        assert [(r.state, r.reason) for r in rows(order)] == [("expired", "not_started")]


@pytest.mark.usefixtures("daytime")
def test_a_country_that_is_never_awake_at_once_is_left_out(account, sender, at):
    with db.transaction():
        hours.change(
            opens=720, closes=780, weekdays=EVERY_DAY, per_day=1, per_week=3,
            approve_above=None,
        )  # fmt: skip

    order = begun(sender, [db.new_id()], zone="", country="US")

    assert [(r.state, r.reason) for r in rows(order)] == [
        ("suppressed", "no_sending_hours")
    ]


@pytest.mark.usefixtures("daytime")
def test_days_without_sending_are_skipped(sender, at):
    with db.transaction():
        hours.change(
            opens=600, closes=1080, weekdays=EVERY_DAY - {0, 2}, per_day=1, per_week=3,
            approve_above=None,
        )  # fmt: skip
        hours.add_silent_day(dt.date(2027, 3, 2), "Carnival")

    row = rows(begun(sender, [db.new_id()]))[0]

    assert row.not_before == utc(4, 13)  # Thursday, 10:00


def test_a_time_on_everybodys_own_clock(sender, at):
    local = dt.datetime(2027, 3, 2, 9, 30)
    order = begun(sender, [db.new_id()], local_start=local)
    other = begun(sender, [db.new_id()], zone="Asia/Tokyo", local_start=local)

    assert [row.not_before for row in rows(order)] == [utc(2, 12, 30)]
    assert [row.not_before for row in rows(other)] == [utc(2, 0, 30)]


@pytest.mark.usefixtures("daytime")
def test_spread_people_leave_evenly_inside_the_windows(sender, at):
    people = [db.new_id() for _ in range(400)]

    order = begun(sender, people, spread_until=utc(2, 17, 30))  # 11 h, then 5.5 h

    leaving = [row.not_before for row in rows(order)]
    days = Counter(moment.date().day for moment in leaving)
    assert days[1] + days[2] == 400
    assert 230 < days[1] < 300
    assert all(12 <= moment.hour < 23 for moment in leaving)
    assert max(leaving) < utc(2, 17, 30)
    for day in (1, 2):  # steps of ten seconds from when the first could leave
        steps = {moment for moment in leaving if moment.day == day}
        assert {(moment - min(steps)).total_seconds() % 10 for moment in steps} == {0}
    assert len(set(leaving)) > 300
    assert {row.not_after for row in rows(order)} == {utc(1, 22, 59), utc(2, 22, 59)}


def test_an_order_that_is_late_does_not_begin(sender, at):
    with pytest.raises(Conflict) as refused:
        begun(sender, [db.new_id()], start_by=MONDAY - dt.timedelta(seconds=1))

    assert refused.value.code == "start_missed"


# --- caps


@pytest.fixture
def ana(at):
    return db.new_id()


def test_a_second_message_waits_for_the_next_day_on_the_persons_calendar(sender, ana, at):
    assert len(drained(begun(sender, [ana]))) == 1

    second = begun(sender, [ana])

    assert drained(second) == []
    row = rows(second)[0]
    assert (row.state, row.reason) == ("queued", "frequency_cap")
    assert row.not_before == utc(2, 3)  # midnight in São Paulo
    at(utc(2, 3, 1))
    assert drained(second) == [row.id]


def test_the_fourth_of_a_week_waits_for_monday(sender, ana, at):
    for day in (1, 2, 3):
        at(utc(day, 15))
        assert len(drained(begun(sender, [ana]))) == 1
    at(utc(4, 15))

    fourth = begun(sender, [ana])

    assert drained(fourth) == []
    assert rows(fourth)[0].not_before == utc(8, 3)


def test_what_would_come_too_late_is_left_out(sender, ana, at):
    drained(begun(sender, [ana]))

    second = begun(sender, [ana], finish_by=utc(2, 2))

    assert drained(second) == []
    assert [(r.state, r.reason) for r in rows(second)] == [("suppressed", "frequency_cap")]


def test_only_what_failed_for_sure_does_not_count(sender, at):
    ends = [
        ("failed", "undeliverable", True),
        ("failed", "outcome_unknown", False),
        ("unknown", "no_answer", False),
        ("read", "", False),
    ]
    for end, reason, again in ends:
        person = db.new_id()
        gone = drained(begun(sender, [person]))
        become("accepted" if end == "read" else end, gone, reason)

        assert bool(drained(begun(sender, [person]))) is again


def test_what_could_not_be_sent_does_not_count(sender, ana, at):
    order = begun(sender, [ana])
    with db.transaction():
        token, claimed = leases.claim(order, 1)
        ids = [one.id for one in claimed]
        assert ledger.intend(token, ids) == ids
        one = claimed[0]
    with db.transaction():
        ledger.record([ledger.Outcome(one.id, one.attempt, token, "queued", "not_sent")])

    assert len(drained(begun(sender, [ana]))) == 1


def test_codes_do_not_count_and_are_not_capped(sender, ana, at):
    for _ in range(3):
        assert len(drained(begun(sender, [ana], purpose="auth"))) == 1

    assert len(drained(begun(sender, [ana]))) == 1


def test_an_account_may_allow_more(sender, ana, at):
    with db.transaction():
        hours.change(
            opens=0, closes=1440, weekdays=EVERY_DAY, per_day=2, per_week=2,
            approve_above=None,
        )  # fmt: skip

    left = [len(drained(begun(sender, [ana]))) for _ in range(3)]

    assert left == [1, 1, 0]


@given(
    campaigns=st.lists(
        st.lists(st.integers(0, 3), min_size=1, unique=True), min_size=3, max_size=8
    ),
    per_day=st.integers(1, 2),
)
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_cap_is_exceeded_by_workers_side_by_side(
    account, sender, at, campaigns, per_day
):
    with db.transaction():
        hours.change(
            opens=0, closes=1440, weekdays=EVERY_DAY, per_day=per_day, per_week=3,
            approve_above=None,
        )  # fmt: skip
    contacts = [db.new_id() for _ in range(4)]
    made = [begun(sender, [contacts[n] for n in some]) for some in campaigns]
    together, left = threading.Barrier(len(made)), Counter()

    def work(order):
        with account_scope(account.id, account.actor):
            with db.transaction():
                token, claimed = leases.claim(order, 10)
                ids = [one.id for one in claimed]
            together.wait()
            gone = set(intended(order, token, ids))
            left.update(row.contact_id for row in rows(order) if row.id in gone)

    threads = [threading.Thread(target=work, args=(order,)) for order in made]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    wanted = Counter(n for some in campaigns for n in some)
    assert left == {contacts[n]: min(count, per_day) for n, count in wanted.items()}


# --- what an audience is summed up to


def test_a_digest_says_who_and_nothing_of_who_said_stop(sender, at):
    def chosen(*people):
        return audience([(one, number(n), why) for n, (one, why) in enumerate(people)])

    ana, rui, eva = (db.new_id() for _ in range(3))
    both = snapshot.digest_of(chosen((ana, ""), (rui, "")), "marketing")

    with db.transaction():
        order = orders.create("Sale", "marketing", sender, TEMPLATE)
        orders.start(order.id, chosen((ana, ""), (rui, "opted_out")))

    assert snapshot.digest_frozen(order.id) == both
    assert both != snapshot.digest_of(chosen((ana, "")), "marketing")
    assert both != snapshot.digest_of(chosen((ana, ""), (eva, "")), "marketing")
    assert both != snapshot.digest_of(chosen((ana, ""), (rui, "no_consent")), "marketing")


# --- the rules themselves


@pytest.mark.usefixtures("daytime")
@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("opens", {"opens": 480}),
        ("opens", {"closes": 1201}),
        ("opens", {"opens": 700, "closes": 700}),
        ("weekdays", {"weekdays": ()}),
        ("weekdays", {"weekdays": (7,)}),
        ("per_day", {"per_day": 0}),
        ("per_day", {"per_day": 4, "per_week": 3}),
        ("approve_above", {"approve_above": -1}),
    ],
)
def test_rules_that_make_no_sense_are_refused(account, field, given):
    fine = {
        "opens": 540,
        "closes": 1200,
        "weekdays": EVERY_DAY,
        "per_day": 1,
        "per_week": 3,
    }

    with pytest.raises(Invalid) as refused:
        hours.change(**{**fine, "approve_above": None, **given})

    assert refused.value.field == field


def test_days_are_listed_renamed_and_removed(account):
    day = dt.date(2027, 12, 25)
    with db.transaction():
        hours.add_silent_day(day, "Christmas")
        hours.add_silent_day(day, " Natal ")

    assert hours.silent_days(day) == [(day, "Natal")]
    with db.transaction():
        hours.remove_silent_day(day)
    assert hours.rules().silent == frozenset()


def test_rules_of_others_are_theirs(account, other_account):
    with account_scope(other_account.id, other_account.actor), db.transaction():
        hours.add_silent_day(dt.date(2027, 12, 25))
        hours.change(
            opens=0, closes=60, weekdays=(1,), per_day=9, per_week=9, approve_above=1
        )

    mine = hours.rules()

    assert (mine.per_day, mine.approve_above, mine.silent) == (1, None, frozenset())
    assert windows.known(mine.zone)
