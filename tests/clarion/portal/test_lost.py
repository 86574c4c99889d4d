"""AUTH-06 for customers: every second factor is lost; two staff, 72 hours, and ways to stop it."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from clarion.base import clock, db
from clarion.base.errors import Conflict
from clarion.console import recoveries
from clarion.tenancy import factors, recovery, totp
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.changes import Recovery
from clarion.tenancy.scope import staff_scope, system_scope
from clarion.testing.console import acting, make_staff
from clarion.testing.factories import PASSWORD
from clarion.testing.visitor import Visitor
from clarion.web.staff import sync
from clarion.work import recovering


@pytest.fixture
def subject(account):
    return f"p:{account.person_id}"


@pytest.fixture
def secret(subject):
    """The account's owner has an app, since a while, and ten codes on paper."""
    made = factors.begin_app(subject)
    with clock.freeze(at=clock.now()):
        clock.advance(minutes=-5)
        factors.confirm_app(subject, totp.code(made, totp.step_at(clock.now())))
    factors.new_codes(subject)
    return made


@pytest.fixture
def staff(database):
    """Two colleagues who decide."""
    sync()
    return make_staff("support"), make_staff("compliance")


@pytest.fixture
def asked(account, secret, subject):
    """The owner gave the password, and said that everything is lost."""
    visitor = halfway(account)
    assert "The recovery codes are lost, too" in visitor.get("/sign-in/second").text
    visitor.get("/sign-in/lost")
    assert visitor.post("/sign-in/lost", words="The phone is gone.").status_code == 303
    return mine(subject)


def halfway(account):
    visitor = Visitor().knows(account)
    visitor.get("/sign-in")
    visitor.post("/sign-in", email=account.email, password=PASSWORD)
    return visitor


def mine(subject):
    with factors.as_system() as orm:
        return (
            orm.query(Recovery)
            .filter_by(subject=subject)
            .order_by(Recovery.created_at.desc())
            .first()
        )


def settle():
    with system_scope(SYSTEM_JOB):
        recovering.settle()


def agree(row, *colleagues):
    for one in colleagues:
        with staff_scope(acting(one)), db.transaction():
            recoveries.agree(row.id, "Called the number of the contract.")


def subjects(mails, account):
    return [m["Subject"] for m in mails(account.email)]


def test_two_agree_and_after_72_hours_the_factors_are_gone(
    account, subject, asked, staff, mails
):
    with clock.freeze():
        agree(asked, *staff)
        mails(account.email)
        for hours in (47, 2, 22):
            clock.advance(hours=hours)
            settle()
            mails(account.email)
        assert factors.of(subject).any
        clock.advance(hours=1, minutes=1)
        settle()
        assert not factors.of(subject).any
        assert factors.of(subject).codes_left == 0
        told = subjects(mails, account)

    assert told[-4:] == [
        "Somebody says you have lost every second factor",
        "Your second factors will be removed",
        "Tomorrow your second factors will be removed",
        "Your second factors were removed",
    ]


def test_afterwards_the_password_alone_opens_nothing(account, subject, asked, staff, mails):
    with clock.freeze():
        known = Visitor().knows(account)
        agree(asked, *staff)
        for hours in (49, 24):
            clock.advance(hours=hours)
            settle()
        known.get("/sign-in")
        answer = known.post("/sign-in", email=account.email, password=PASSWORD)

    assert answer.location == "/sign-in/device"


def test_one_is_not_enough_and_nobody_agrees_twice(account, subject, asked, staff):
    with clock.freeze():
        agree(asked, staff[0])
        with pytest.raises(Conflict) as refused:
            agree(asked, staff[0])
        clock.advance(hours=100)
        settle()

    assert refused.value.code == "two_needed"
    assert factors.of(subject).any
    assert mine(subject).state == "asked"


@pytest.mark.parametrize(
    "change",
    [
        "first_by = 'staff:1', second_by = 'staff:1'",
        "first_by = 'staff:1', second_by = 'staff:2', second_at = clarion_now(),"  # noqa: ISC004 -- one change
        " due_at = clarion_now() + interval '71 hours', state = 'approved'",
        "state = 'approved'",
        "state = 'done', ended_at = clarion_now()",
    ],
)
def test_the_table_itself_holds_to_two_and_to_the_wait(asked, staff, change):
    change = f"UPDATE recovery SET {change} WHERE id = :id"
    with (
        staff_scope(acting(staff[0])),
        pytest.raises(DBAPIError) as refused,
        db.transaction() as orm,
    ):
        orm.execute(text(change), {"id": asked.id})

    assert "ck_recovery_" in str(refused.value)


@pytest.mark.parametrize("stage", ["asked", "agreed once", "approved"])
def test_the_link_of_every_mail_stops_it(
    account, subject, asked, staff, link, mails, stage
):
    agree(asked, *staff[: {"asked": 0, "agreed once": 1, "approved": 2}[stage]])
    path = link(account.email)
    visitor = Visitor()
    assert "Stop it" in visitor.get(path).text
    assert mine(subject).state != "stopped"  # looking stops nothing

    assert visitor.post(path).status_code == 303

    assert mine(subject).state == "stopped"
    assert factors.of(subject).any
    assert subjects(mails, account)[-1] == "Your second factors stay"
    assert visitor.get(path).status_code == 404


def test_an_older_mails_link_stops_it_as_well(account, subject, asked, staff, link, mails):
    path = link(account.email)
    agree(asked, *staff)
    mails(account.email)
    visitor = Visitor()
    visitor.get(path)

    visitor.post(path)

    assert mine(subject).state == "stopped"


def test_signing_in_with_a_factor_stops_it(account, subject, secret, asked, staff):
    agree(asked, *staff)
    visitor = halfway(account)
    visitor.get("/sign-in/second")

    code = totp.code(secret, totp.step_at(clock.now()))
    assert visitor.post("/sign-in/second", code=code).status_code == 302

    assert mine(subject).state == "stopped"


def test_one_of_staff_can_refuse_after_two_agreed(account, subject, asked, staff, mails):
    agree(asked, *staff)
    with staff_scope(acting(staff[0])), db.transaction():
        recoveries.refuse(asked.id)

    assert mine(subject).state == "refused"
    assert subjects(mails, account)[-1] == "Your second factors stay"


def test_what_nobody_decides_is_over_after_14_days(account, subject, asked, mails):
    with clock.freeze():
        clock.advance(days=14, minutes=1)
        settle()
        told = subjects(mails, account)

    assert mine(subject).state == "lapsed"
    assert told[-1] == "Your second factors stay"


def test_who_was_not_warned_waits_longer(account, subject, asked, staff, mails):
    """Nothing ran for four days: the warning comes first, the end twelve hours later."""
    with clock.freeze():
        agree(asked, *staff)
        clock.advance(days=4)
        settle()
        settle()
        assert factors.of(subject).any
        clock.advance(hours=12, minutes=1)
        settle()

    assert not factors.of(subject).any


def test_only_who_gave_the_password_may_ask(account, secret, visitor):
    assert visitor.get("/sign-in/lost").location == "/sign-in"
    visitor.get("/sign-in")
    assert visitor.post("/sign-in/lost", words="Let me in").location == "/sign-in"


def test_asking_twice_is_refused_and_asking_is_rare(account, subject, asked):
    visitor = halfway(account)
    shown = visitor.get("/sign-in/lost").text
    assert "Two of our staff have to agree" in shown

    again = visitor.post("/sign-in/lost", words="Hello?")

    assert again.status_code == 422
    for _n in range(recovery.ASKED.times):
        answer = visitor.post("/sign-in/lost", words="Hello?")
    assert "too often" in answer.text


def test_the_wait_says_when_it_ends(account, asked, staff):
    agree(asked, *staff)

    page = halfway(account).get("/sign-in/lost").text

    assert "Two of our staff have agreed" in page
    assert re.search(r"<time[^>]+datetime", page)


def test_telling_twice_writes_one_mail(account, asked, mails):
    before = len(mails(account.email))
    with factors.as_system():
        recovering.tell.function(asked.id, "asked")
        recovering.tell.function(asked.id, "asked")

    assert len(mails(account.email)) == before


def test_staff_cannot_write_a_password(account, staff):
    change = text("UPDATE person SET password_hash = 'x' WHERE id = :id")
    with (
        staff_scope(acting(staff[0])),
        pytest.raises(DBAPIError) as refused,
        db.transaction() as orm,
    ):
        orm.execute(change, {"id": account.person_id})

    assert "permission denied" in str(refused.value)
