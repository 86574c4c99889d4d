"""A country the provider refuses: its people are left out, and nobody else."""

import pytest
from sqlalchemy import select
from tests.clarion.messaging.test_incoming import deliver, status

from clarion.base import db
from clarion.messaging import countries, counts, orders, reconcile
from clarion.messaging.models import Attempt, Channel, Message
from clarion.testing.visitor import Visitor

CUBA = [f"+53512345{n:02d}" for n in range(20)]
BRAZIL = [f"+55119876500{n:02d}" for n in range(20)]


def people(numbers):
    return [(db.new_id(), number, "") for number in numbers]


def refuse(simulator, prefix):
    fate = {"answer": "refuse", "code": 130497}
    match = {"prefix": prefix}
    simulator.post("rules", rules=[{"match": match, "fate": fate}], replace=True)


def reasons(order, state):
    with db.transaction():
        return {why: n for (why, _code), n in counts.reasons(order, state).items()}


def tally(order):
    with db.transaction():
        return counts.tally(order)


@pytest.fixture
def channel(account, make_order):
    with db.transaction():
        return db.session().scalars(select(Channel.id)).one()


@pytest.fixture
def refused(quiet_house, make_order, simulator, run_jobs, channel):
    """The provider has refused one person in Cuba, and that was noticed at once."""
    refuse(simulator, "+53")
    order, _ = make_order.start(people([CUBA[0], *BRAZIL[:3]]))
    run_jobs()
    assert tally(order) == {"failed": 1, "accepted": 3}
    with db.transaction():
        assert [stop.country for stop in countries.standing(channel)] == ["CU"]
    return order


def test_the_first_refusal_speaks_for_the_country(refused, make_order, simulator, run_jobs):
    before = len(simulator.receipts())

    order, _ = make_order.start(people([*CUBA[1:], *BRAZIL[3:]]), first=1)
    run_jobs()

    assert tally(order) == {"suppressed": 19, "accepted": 17}
    assert reasons(order, "suppressed") == {"country_restricted": 19}
    assert len(simulator.receipts()) - before == 17
    with db.transaction():
        words = orders.left_out(order)
    assert words == {"country_restricted": 19}


def test_those_who_wait_are_left_out_too(account, make_order, simulator, run_jobs, channel):
    first, _ = make_order.start(people([CUBA[0]]))
    run_jobs()
    waiting, _ = make_order.start(people([*CUBA[1:], *BRAZIL]))
    with db.transaction() as orm:
        orders.pause(waiting)
        wamid = orm.scalars(
            select(Attempt.provider_id).join(Message, Message.id == Attempt.message_id)
        ).one()

    deliver(account, status(wamid, "failed", errors=[{"code": 130497}]))
    run_jobs()

    assert tally(first) == {"failed": 1}
    assert tally(waiting) == {"suppressed": 19, "queued": 20}
    with db.transaction():
        assert [one.country for one in countries.standing(channel)] == ["CU"]


def test_countries_that_share_a_code_are_told_apart(
    account, make_order, simulator, run_jobs, channel
):
    canada = [f"+1416555010{n}" for n in range(4)]
    jamaica = [f"+1876555010{n}" for n in range(4)]
    with db.transaction():
        countries.refused(channel, [canada[0]])
    run_jobs()

    order, _ = make_order.start(people([*canada, *jamaica]))
    with db.transaction():
        orders.pause(order)  # its people are looked for before it goes on
    run_jobs()

    with db.transaction() as orm:
        query = select(Message.address).where(Message.state == "suppressed")
        assert sorted(orm.scalars(query)) == canada


def test_it_is_told_once_and_a_person_says_when_to_try_again(
    account, refused, make_order, simulator, run_jobs, channel
):
    from clarion.base.settings import settings

    letters = [p.read_text() for p in settings().mail_folder.glob("*.eml")]
    mine = [text for text in letters if account.email in text]
    assert len(mine) == 1
    assert "Cuba" in mine[0]

    visitor = Visitor(account)
    assert "Cuba" in visitor.get(f"/senders/{channel}").text
    simulator.post("rules", rules=[], replace=True)
    visitor.post(f"/senders/{channel}/country", country="CU")
    assert "Cuba" not in visitor.get(f"/senders/{channel}").text.replace(
        "people in Cuba", ""
    )
    reconcile.mend()  # the old refusal does not close it again
    order, _ = make_order.start(people(CUBA[5:]))
    run_jobs()
    assert tally(order) == {"accepted": 15}


def test_the_same_refusal_again_is_no_news(refused, channel):
    with db.transaction():
        assert countries.refused(channel, CUBA) == 0


def test_a_member_cannot_lift_it(account, refused, channel):
    from clarion.base.errors import Forbidden
    from clarion.tenancy.scope import account_scope

    with (
        account_scope(account.id, account.member("member")),
        pytest.raises(Forbidden),
        db.transaction(),
    ):
        countries.lift(channel, "CU")
