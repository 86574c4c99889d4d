"""Numbers as staff see them: masked, with quality, limits, stops, answers and what waits."""

import pytest
from sqlalchemy import func, select, update

from clarion.base import db
from clarion.base.errors import Forbidden, NotFound
from clarion.console import senders
from clarion.messaging import breakers, grades
from clarion.messaging.models import Sender
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import statements
from clarion.testing.factories import make_account, make_sender

ADA = Actor("staff", "9001", "Ada", permissions=frozenset({"console.senders"}))


def read(sender_id):
    with staff_scope(ADA), db.transaction():
        return senders.read(sender_id)


def test_one_number_with_everything_about_it(
    desk, account, make_order, run_jobs, simulator
):
    simulator.post("rules", rules=[
        {"match": {"suffix": "01"}, "fate": {"answer": "refuse", "code": 131026}},
    ], replace=True)  # fmt: skip
    order, people = make_order.start(3)
    run_jobs()
    simulator.post("rules", rules=[], replace=True)
    make_order.start(2, first=60_000_000)
    with db.transaction() as orm:
        row = orm.scalars(select(Sender)).one()
        for grade in ("green", "green", "yellow"):
            grades.note(row, grade)
            orm.flush()
        breakers.open_("sender", str(row.id), "spam_restricted")
    one = read(make_order.sender_id)

    assert [grade for grade, _at in one.grades] == ["yellow", "green"]
    assert (one.waiting, one.quality, one.state) == (2, "yellow", "paused")
    assert [(s.kind, s.reason, s.title) for s in one.stops] == [
        ("sender", "spam_restricted", "Number restricted")
    ]
    counted = {(a.state, a.reason, a.code): a.count for a in one.answers}
    assert counted == {("accepted", "", ""): 2, ("failed", "undeliverable", "131026"): 1}
    page = desk.get(f"/console/senders/{make_order.sender_id}").text
    assert "+55••••0147" in page
    assert "+5511955500147" not in page
    assert not [number for _c, number, _w in people if number in page]
    assert 'href="/console/codes/whatsapp_cloud/131026"' in page
    assert 'href="/console/codes/reason/spam_restricted"' in page
    assert order is not None


def test_the_list_leads_to_it_and_is_narrowed(desk, clean):
    here, there = make_account("Narrow Street"), make_account("Wide Avenue")
    mine, other = make_sender(here), make_sender(there)
    with account_scope(here.id, here.actor), db.transaction() as orm:
        later = func.clarion_now() + func.make_interval(0, 0, 0, 0, 1)
        orm.execute(update(Sender).values(slow_until=later, slow_reason="unreachable"))

    for query, seen in (
        ("?account=narrow+str", True),
        (f"?account={here.id}&reach=unreachable", True),
        (f"?account={here.id}&reach=slow", True),
        (f"?account={there.id}&reach=unreachable", False),
    ):
        page = desk.get(f"/console/senders/{query}").text
        assert (f"/console/senders/{mine}" in page) is seen, query
        assert f"/console/senders/{other}" not in page, query
    assert desk.get("/console/senders/?reach=moon").status_code == 422


def test_as_many_statements_for_a_busy_number_as_for_a_quiet_one(
    account, make_order, run_jobs
):
    make_order.start(1)
    run_jobs()

    def asked():
        with staff_scope(ADA), db.transaction(), statements() as found:
            senders.read(make_order.sender_id)
        return len(found)

    before = asked()
    for first in (61_000_000, 62_000_000, 63_000_000):
        make_order.start(2, first=first)
    assert asked() == before


def test_others_may_not_and_what_is_not_there_is_not_found(clean):
    with staff_scope(Actor("staff", "9002", "Ben")), pytest.raises(Forbidden):
        senders.read(db.new_id())
    with pytest.raises(NotFound):
        read(db.new_id())
