"""Who of an audience gets an order: asked of all at once, however many are on lists."""

import re

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from clarion.base import db
from clarion.messaging import countries, judging, orders, snapshot, suppression
from clarion.messaging.models import Campaign, Message
from clarion.testing.factories import make_sender

AMERICANS = ["+12125550123", "+16465550123", "+18005550123"]
NEIGHBOURS = ["+14165550123", "+18765550123", "+12425550123", "+17875550123"]


class Made:
    """Orders, and audiences of numbers."""

    def __init__(self, account, made):
        self.sender_id, self.audience, self.template = (
            make_sender(account), made.audience, made.TEMPLATE,
        )  # fmt: skip

    def order(self, purpose="marketing"):
        return orders.create("Judged", purpose, self.sender_id, self.template)

    def people(self, numbers):
        return self.audience([(db.new_id(), number, "") for number in numbers])


@pytest.fixture
def made(account, make_audience):
    return Made(account, make_audience)


def plan_of(statement):
    """The plan of a statement, as PostgreSQL writes it."""
    compiled = statement.compile(
        dialect=db.engine().dialect, compile_kwargs={"render_postcompile": True}
    )
    known = compiled._bind_processors
    values = {
        key: known[key](value) if key in known else value
        for key, value in compiled.construct_params().items()
    }
    driver = db.session().connection().connection.driver_connection
    rows = driver.execute("EXPLAIN (VERBOSE) " + str(compiled), values).fetchall()
    return "\n".join(row[0] for row in rows)


def test_the_do_not_contact_list_is_read_once_and_not_for_each_person(made):
    with db.transaction():
        judging.plan_for_sets()
        plan = plan_of(snapshot._rows(made.order(), made.people(["+5511990000000"])))

    asked = re.findall(r"(?:hashed )?SubPlan (\d+)\)", plan)
    hashed = re.findall(r"hashed SubPlan (\d+)\)", plan)
    assert asked
    assert sorted(asked) == sorted(hashed)


def test_nobody_in_the_states_gets_marketing_and_their_neighbours_do(made):
    with db.transaction() as orm:
        one = made.order()
        orders.start(one.id, made.people([*AMERICANS, *NEIGHBOURS]))
        query = select(Message.address, Message.reason).where(Message.campaign_id == one.id)
        found = dict(orm.execute(query).tuples().all())

    assert found == {
        **dict.fromkeys(AMERICANS, countries.AMERICAN),
        **dict.fromkeys(NEIGHBOURS, ""),
    }


def test_other_messages_reach_the_states(made):
    with db.transaction():
        one = made.order("utility")
        orders.start(one.id, made.people(AMERICANS))
        assert orders.left_out(one.id) == {}


@pytest.mark.parametrize(("scope", "purpose", "left_out"), [
    ("marketing", "marketing", True),
    ("marketing", "utility", False),
    ("all", "utility", True),
    ("all", "marketing", True),
])  # fmt: skip
def test_a_stop_holds_for_what_it_was_said_about(made, scope, purpose, left_out):
    with db.transaction():
        suppression.suppress([("phone", "+5511990000000")], scope=scope, reason="stop")
        one = made.order(purpose)
        audience = made.people(["+5511990000000"])
        orders.start(one.id, audience)
        assert orders.left_out(one.id) == ({"opted_out": 1} if left_out else {})


def test_a_message_belongs_to_an_order_of_its_own_number(made):
    """One key holds what three held: no row for another account's order or number."""
    with db.transaction():
        one = made.order()
        orders.start(one.id, made.people(["+5511990000000"]))
    for change in (
        "sender_id = gen_random_uuid()", "campaign_id = gen_random_uuid()",
        "campaign_id = NULL",
    ):  # fmt: skip
        with pytest.raises(IntegrityError), db.transaction() as orm:
            orm.execute(text(f"UPDATE message SET {change}"))
    with pytest.raises(IntegrityError), db.transaction() as orm:
        orm.execute(text("DELETE FROM campaign"))


def test_freezing_twice_adds_nobody(made):
    with db.transaction() as orm:
        one = made.order()
        assert snapshot.freeze(one.id, made.people(["+5511990000000"])) == 1
        assert snapshot.freeze(one.id, made.people(["+5511990000001"])) == 1
        orm.get(Campaign, one.id).state = "running"
        orm.flush()
        assert snapshot.freeze(one.id, made.people(["+5511990000002"])) == 1
        assert orm.scalar(select(func.count()).select_from(Message)) == 1
