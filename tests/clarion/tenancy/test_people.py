"""Coming in, coming back, and the team: links work once, the last owner stays."""

import threading
from uuid import UUID

import pytest
from sqlalchemy import select

from clarion.base import clock, db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from clarion.tenancy import people, sessions, team
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import Account, AuditEntry, Membership, Person
from clarion.tenancy.scope import account_scope, anonymous_scope, system_scope
from clarion.testing.factories import PASSWORD, make_account

GOOD = "teal kayak at noon"
NET = "203.0.113.0"


@pytest.fixture
def outside(clean):
    with anonymous_scope():
        yield


def address():
    return f"somebody-{db.new_id().hex}@example.org"


def newcomer(**more):
    email = address()
    given = {"name": "Ana Lima", "password": GOOD, "account_name": "Ana Bikes", **more}
    return email, people.confirm(people.sign_up(email), **given)


# --- sign-up


def test_a_proven_address_makes_a_person_an_account_and_its_owner(outside):
    email, who = newcomer(country="br", timezone="America/Sao_Paulo")

    assert who.email == email
    assert [(s.account_name, s.role, s.timezone) for s in who.seats] == [
        ("Ana Bikes", "owner", "America/Sao_Paulo")
    ]
    assert people.check(email, GOOD, NET).id == who.id


def test_nothing_is_kept_before_the_address_is_proven(outside):
    email = address()
    people.sign_up(email)

    with system_scope(COMMAND), db.transaction() as orm:
        assert orm.scalar(select(Person.id).where(Person.email == email)) is None


def test_a_known_address_gets_no_link(outside):
    email, _who = newcomer()

    assert people.sign_up(email.upper()) is None


def test_a_link_works_once_and_looking_uses_nothing_up(outside):
    email = address()
    token = people.sign_up(email)

    assert people.confirming(token) == people.confirming(token) == email
    people.confirm(token, name="Ana", password=GOOD, account_name="Ana Bikes")
    with pytest.raises(Conflict):
        people.confirm(token, name="Ana", password=GOOD, account_name="Ana Bikes")


def test_a_newer_link_voids_the_older_one(outside):
    email = address()
    first, second = people.sign_up(email), people.sign_up(email)

    assert people.confirming(first) is None
    assert people.confirming(second) == email


def test_a_link_ends_with_its_time(outside):
    with clock.freeze():
        token = people.sign_up(address())
        clock.advance(hours=24, seconds=1)

        assert people.confirming(token) is None


def test_a_refused_field_leaves_the_link_good(outside):
    token = people.sign_up(address())

    with pytest.raises(Invalid):
        people.confirm(token, name="Ana", password="short", account_name="Ana Bikes")
    with pytest.raises(Invalid) as refused:
        people.confirm(token, name=" ", password=GOOD, account_name="Ana Bikes")
    assert refused.value.field == "name"
    with pytest.raises(Invalid):
        people.confirm(
            token, name="Ana", password=GOOD, account_name="Ana", timezone="Mars/Base"
        )

    assert people.confirming(token)


@pytest.mark.parametrize(
    "text", ["", "nobody", "a@b", "a b@c.example", "x@" + "y" * 300 + ".org"]
)
def test_what_is_no_address_is_refused(text, outside):
    with pytest.raises(Invalid):
        people.sign_up(text)


def test_two_confirmations_at_once_make_one_account(outside):
    email, made, refused = address(), [], []
    token = people.sign_up(email)

    def confirm():
        try:
            with anonymous_scope():
                made.append(
                    people.confirm(
                        token, name="Ana", password=GOOD, account_name="Ana Bikes"
                    )
                )
        except Conflict as e:
            refused.append(e)

    threads = [threading.Thread(target=confirm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(made), len(refused)) == (1, 3)


# --- sign-in


def test_unknown_wrong_and_disabled_say_the_same(outside):
    email, who = newcomer()
    with system_scope(COMMAND), db.transaction() as orm:
        other = address()
        orm.add(Person(email=other, name="Off", password_hash="", state="disabled"))
    said = set()
    for given in ((address(), GOOD), (email, "not the right one"), (other, GOOD)):
        with pytest.raises(Invalid) as refused:
            people.check(*given, NET)
        said.add((refused.value.code, refused.value.text, refused.value.field))

    assert len(said) == 1
    assert who.email == email


def test_wrong_passwords_are_throttled_for_a_pair_and_not_for_the_owner_at_home(outside):
    email, who = newcomer()
    _remember(who, "198.51.100.0")
    with pytest.raises(TooMany):
        for _ in range(people.PAIR.times + 1):
            with pytest.raises(Invalid):
                people.check(email, "not the right one", NET)

    assert people.check(email, GOOD, "198.51.100.0").id == who.id


def test_guessing_from_many_networks_is_throttled_but_a_known_network_stays_open(outside):
    email, who = newcomer()
    _remember(who, "198.51.100.0")
    with pytest.raises(TooMany):
        for n in range(people.EMAIL.times + 1):
            with pytest.raises(Invalid):
                people.check(email, "not the right one", f"203.0.{n}.0")

    assert people.check(email, GOOD, "198.51.100.0").id == who.id


def _remember(who, network):
    from clarion.tenancy.models import PortalSession

    with db.apart(sessions.SYSTEM) as orm:
        orm.add(
            PortalSession(
                id_hash=db.new_id().bytes,
                subject=f"p:{who.id}",
                data={},
                address=network,
                seen_at=clock.now(),
            )
        )


# --- a forgotten password


def test_reset_changes_the_password_once_and_raises_the_epoch(outside):
    email, who = newcomer()
    token, _language = people.request_reset(email)

    after = people.reset(token, "quiet lamp on tuesday")

    assert after.epoch == who.epoch + 1
    assert people.check(email, "quiet lamp on tuesday", NET)
    assert not people.resetting(token)
    with pytest.raises(Conflict):
        people.reset(token, "another quiet lamp here")


def test_a_reset_link_lasts_60_minutes_and_dies_with_a_change_of_password(outside):
    email, who = newcomer()
    with clock.freeze():
        token, _language = people.request_reset(email)
        clock.advance(minutes=61)
        assert not people.resetting(token)
    token, _language = people.request_reset(email)
    people.change_password(who.id, GOOD, "quiet lamp on tuesday")

    assert not people.resetting(token)


def test_nobody_gets_no_reset(outside):
    assert people.request_reset(address()) is None


def test_a_change_needs_the_present_password(outside):
    _email, who = newcomer()

    with pytest.raises(Invalid) as refused:
        people.change_password(who.id, "not the right one", "quiet lamp on tuesday")

    assert refused.value.field == "old"


# --- the team


def test_an_invitation_is_for_one_address_and_once(account, other_account):
    email = address()
    with db.transaction():
        token = team.invite(email, "manager")
    with pytest.raises(Forbidden):
        team.accept(token, other_account.person_id)

    who = team.accept_as_new(token, name="Rui Prado", password=GOOD)

    assert [(s.account_id, s.role) for s in who.seats] == [(account.id, "manager")]
    assert team.offered(token) is None
    with pytest.raises(Conflict):
        team.accept(token, who.id)


def test_somebody_known_joins_with_their_own_log_in(account, other_account):
    with db.transaction():
        token = team.invite(other_account.email, "member")
    assert team.offered(token).known
    with pytest.raises(Conflict):
        team.accept_as_new(token, name="Somebody else", password=GOOD)

    team.accept(token, other_account.person_id)

    assert len(people.find(str(other_account.person_id)).seats) == 2


def test_a_newer_invitation_and_a_withdrawal_close_the_link(account):
    email = address()
    with db.transaction():
        first, second = team.invite(email, "member"), team.invite(email, "member")
    assert team.offered(first) is None
    assert team.offered(second)
    with db.transaction():
        team.withdraw(team.listing()[1][0].id)

    assert team.offered(second) is None


def test_an_invitation_ends_after_a_day(account):
    with clock.freeze():
        with db.transaction():
            token = team.invite(address(), "member")
        clock.advance(hours=24, seconds=1)

        assert team.offered(token) is None


def test_members_and_managers_may_not_touch_the_team(account):
    for role in ("manager", "member"):
        with (
            account_scope(account.id, account.member(role)),
            db.transaction(),
            pytest.raises(Forbidden),
        ):
            team.invite(address(), "member")


def test_the_last_owner_can_neither_go_nor_step_down(account):
    (owner,), _invited = team.listing()

    with db.transaction():
        with pytest.raises(Conflict):
            team.remove(owner.id)
        with pytest.raises(Conflict):
            team.change_role(owner.id, "member")


def test_two_owners_removing_each_other_leave_one(account):
    with db.transaction():
        token = team.invite(address(), "owner")
    team.accept_as_new(token, name="Rui Prado", password=GOOD)
    members, _invited = team.listing()
    ready, results = threading.Barrier(2), []

    def remove(membership_id):
        with account_scope(account.id, account.actor):
            ready.wait()
            try:
                with db.transaction():
                    team.remove(membership_id)
                results.append("removed")
            except (Conflict, NotFound):
                results.append("refused")

    threads = [threading.Thread(target=remove, args=(m.id,)) for m in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == ["refused", "removed"]
    assert [m.role for m in team.listing()[0]] == ["owner"]


def test_another_accounts_members_do_not_exist(account, other_account):
    with account_scope(other_account.id, other_account.actor), db.transaction():
        (theirs,), _invited = team.listing()
    with db.transaction(), pytest.raises(NotFound):
        team.change_role(theirs.id, "member")


def test_a_person_is_a_door_of_their_own_accounts_only(account):
    who = people.find(str(account.person_id))

    assert who.seat(account.id).account_id == account.id
    assert who.seat(UUID(int=7)).account_id == account.id  # their only one
    assert people.find("not-an-id") is None


def test_a_closed_account_has_no_seat(clean):
    tenant = make_account(state="closed")

    assert people.find(str(tenant.person_id)).seats == ()


def test_deeds_are_logged_with_the_name_of_who_did_them(outside):
    _email, who = newcomer()
    account_id = who.seats[0].account_id

    with account_scope(account_id, COMMAND), db.transaction() as orm:
        rows = orm.execute(select(AuditEntry.name, AuditEntry.actor_name)).all()
        names = orm.scalar(select(Account.name)), orm.scalar(select(Membership.role))

    assert ("portal.account.created", "Ana Lima") in [tuple(r) for r in rows]
    assert names == ("Ana Bikes", "owner")


def test_the_factorys_password_is_the_one_people_type(clean):
    tenant = make_account()
    with anonymous_scope():
        assert people.check(tenant.email, PASSWORD, NET).id == tenant.person_id
