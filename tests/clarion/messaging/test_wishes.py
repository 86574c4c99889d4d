"""Stop and resume at the provider: what was said last holds, in whatever order it arrives."""

import datetime as dt
import itertools

import pytest
from sqlalchemy import select
from tests.clarion.messaging.conftest import number
from tests.clarion.messaging.test_incoming import deliver, reply, status

from clarion.base import db
from clarion.messaging import identifiers, suppression, wishes
from clarion.messaging.models import Attempt
from clarion.messaging.references import reference

BEGAN = 1_790_000_000
SAID = [(wants, at) for wants in ("stop", "resume") for at in (1, 2)]
ORDERS = [one for many in (2, 3, 4) for one in itertools.permutations(SAID, many)]


def moment(seconds):
    return dt.datetime.fromtimestamp(BEGAN + seconds, dt.UTC)


def tell(named, wants, at):
    act = wishes.stop if wants == "stop" else wishes.resume
    act(named, at=moment(at))


def preference(to, wants, at):
    one = {
        "wa_id": to.lstrip("+"),
        "category": "marketing_messages",
        "value": wants,
        "timestamp": BEGAN + at,
    }
    return {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": "5550147"},
        "user_preferences": [one],
    }


def silent(to):
    with db.transaction():
        return suppression.is_suppressed("phone", to)


def test_any_order_of_arrival_ends_as_the_order_in_which_it_was_said(account):
    ends, should = {}, {}
    with db.transaction():
        for n, order in enumerate(ORDERS):
            named = [("phone", number(50_000_000 + n))]
            for wants, at in order:
                tell(named, wants, at)
            ends[order] = suppression.is_suppressed(*named[0])
            last = max(order, key=lambda said: (said[1], said[0] == "stop"))
            should[order] = last[0] == "stop"

    assert ends == should
    assert set(should.values()) == {True, False}


def test_it_is_the_person_who_said_it_by_whichever_address(account):
    phone, wa_id, bsuid = number(1), ("wa_id", "551188000001"), ("bsuid", "BR.123456789")
    with db.transaction():
        contact = db.new_id()
        identifiers.attach_many([(contact, "phone", phone), (contact, *bsuid)], "test")
        tell([bsuid], "stop", 2)
        tell([("phone", phone)], "resume", 1)
        assert suppression.is_suppressed("phone", phone)
        tell([("phone", phone), wa_id], "resume", 3)
        assert not suppression.is_suppressed("phone", phone)
        assert not suppression.is_suppressed(*bsuid)


def test_an_event_that_comes_late_lifts_nothing(account, make_order):
    _order, ((_contact, to, _why),) = make_order.start(1)
    deliver(account, preference(to, "stop", 20))
    deliver(account, preference(to, "resume", 10))
    assert silent(to)

    deliver(account, preference(to, "resume", 30))
    assert not silent(to)

    deliver(account, preference(to, "stop", 25))
    assert not silent(to)


def test_a_refused_message_is_a_stop_too(account, make_order, run_jobs):
    _order, ((_contact, to, _why),) = make_order.start(1)
    run_jobs()
    with db.transaction() as orm:
        one = orm.scalars(select(Attempt)).one()
    token = reference(one.message_id, one.number)
    failed = {"at": BEGAN + 20, "errors": [{"code": 131050}]}
    deliver(account, status(one.provider_id, "failed", token, **failed))

    deliver(account, preference(to, "resume", 10))

    assert silent(to)


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        (["provider stop", "STOP", "provider resume"], True),
        (["STOP", "provider stop", "provider resume"], True),
        (["STOP", "provider stop", "START"], True),
        (["provider stop", "STOP", "START"], True),
        (["provider stop", "STOP", "provider resume", "START"], False),
        (["provider stop", "STOP", "START", "provider resume"], False),
    ],
)
def test_neither_way_of_saying_it_lifts_the_other(account, make_order, told, ends):
    _order, ((_contact, to, _why),) = make_order.start(1)
    for at, said in enumerate(told):
        if said.startswith("provider"):
            deliver(account, preference(to, said.split()[1], at))
        else:
            deliver(account, reply(said, to, f"wamid.{at}", BEGAN + at))

    assert silent(to) is ends
