"""Another e-mail address: by a link at the new one, taken back at the old one."""

import re

import pytest

from clarion.base import clock, db
from clarion.tenancy import factors, people, team, totp
from clarion.testing.factories import PASSWORD
from clarion.testing.visitor import Visitor

NEW = "quiet lamp on tuesday"


def asked_for(owner, link, address):
    """Ask for another address; returns the path of the link there."""
    owner.get("/security/address")
    assert owner.post("/security/address", email=address).status_code == 303
    return link(address)


def moved(owner, link, address):
    path = asked_for(owner, link, address)
    owner.get(path)
    assert owner.post(path).status_code == 303


def person(account):
    return people.find(str(account.person_id))


def inside(visitor):
    return visitor.get("/team/").status_code == 200


def give_password(email, visitor=None, password=PASSWORD):
    visitor = visitor or Visitor()
    visitor.get("/sign-in")
    return visitor, visitor.post("/sign-in", email=email, password=password)


def test_the_link_at_the_new_address_changes_it(owner, account, address, link, mails):
    other = Visitor(account)
    path = asked_for(owner, link, address)
    assert account.email in owner.get(path).text
    assert person(account).email == account.email  # looking changes nothing

    assert owner.post(path).status_code == 303

    assert person(account).email == address
    assert inside(owner)
    assert not inside(other)
    assert mails(account.email)[-1]["Subject"] == "Your e-mail address was changed"
    assert mails(address)[-1]["Subject"] == "How you sign in was changed"
    assert owner.get(path).status_code == 404


def test_the_link_alone_is_no_proof(owner, account, other_account, address, link):
    """Mistyped, it reaches a stranger; signed in as somebody else it does nothing either."""
    path = asked_for(owner, link, address)

    assert Visitor().get(path).location.startswith("/sign-in")
    stranger = Visitor(other_account)
    assert stranger.get(path).status_code == 404
    stranger.get("/team/")
    assert stranger.post(path).status_code == 404

    assert person(account).email == account.email


def test_it_asks_for_a_proof_first(account):
    with clock.freeze():
        owner = Visitor(account)
        clock.advance(minutes=11)
        answer = owner.get("/security/address")

    assert answer.location == "/security/again?next=/security/address"


def test_a_link_lasts_an_hour_and_dies_with_a_newer_one(owner, address, link):
    first = asked_for(owner, link, address)
    second = asked_for(owner, link, f"x{address}")

    assert owner.get(first).status_code == 404
    with clock.freeze():
        clock.advance(minutes=61)
        assert owner.get(second).status_code == 404


def test_a_link_dies_with_a_change_of_password(owner, account, address, link):
    path = asked_for(owner, link, address)
    owner.get("/profile")
    assert owner.post("/profile/password", old=PASSWORD, new=NEW).status_code == 302

    assert owner.get(path).status_code == 404


def test_an_open_reset_is_void_after_it(owner, account, address, link):
    """AUTH-13: the link to a new password that went to the old address opens nothing."""
    stranger = Visitor()
    stranger.get("/forgot")
    stranger.post("/forgot", email=account.email)
    reset = link(account.email)
    assert stranger.get(reset).status_code == 200

    moved(owner, link, address)

    assert stranger.get(reset).status_code == 404


def test_an_invitation_stays_with_its_address(owner, account, other_account, address, link):
    """AUTH-13: who had the address when they were invited cannot take it with another one."""
    from clarion.base.errors import Forbidden
    from clarion.tenancy.actor import COMMAND
    from clarion.tenancy.scope import account_scope

    with account_scope(other_account.id, COMMAND), db.transaction():
        token = team.invite(account.email, "member")
    moved(owner, link, address)

    with pytest.raises(Forbidden) as refused:
        team.accept(token, account.person_id)

    assert refused.value.code == "invitation_not_yours"


def test_a_known_address_looks_the_same_and_its_owner_is_told(
    owner, account, other_account, address, mails
):
    seen = []
    for email in (address, other_account.email):
        owner.get("/security/address")
        answer = owner.post("/security/address", email=email)
        seen.append((answer.status_code, answer.headers["Location"], answer.text))

    assert seen[0] == seen[1]
    told = mails(other_account.email)[-1]
    assert told["Subject"] == "Somebody wants to use your address"
    assert mails(address)[-1]["Subject"] == "Confirm your new e-mail address"


@pytest.mark.parametrize("email", ["", "no address", "a@b", "x" * 300 + "@example.org"])
def test_what_is_no_address_is_said(owner, email):
    owner.get("/security/address")

    answer = owner.post("/security/address", email=email)

    assert answer.status_code == 422


# --- taken back


def test_the_old_address_takes_it_back(owner, account, address, link, mails):
    moved(owner, link, address)
    path = link(account.email)
    visitor = Visitor()
    assert address in visitor.get(path).text
    assert person(account).email == address  # looking changes nothing

    assert visitor.post(path).location == "/forgot"

    assert person(account).email == account.email
    assert not inside(owner)
    subjects = [m["Subject"] for m in mails(account.email)]
    assert subjects[-1] == "Your e-mail address is the old one again"
    assert visitor.get(path).status_code == 404


def test_a_thief_who_changed_everything_loses_it_again(
    owner, account, address, link, mails
):
    """Address, password and a factor of their own, then a second address: all in vain."""
    subject = f"p:{account.person_id}"
    moved(owner, link, address)
    back = link(account.email)
    secret = factors.begin_app(subject)
    factors.confirm_app(subject, totp.code(secret, totp.step_at(clock.now())))
    people.change_password(account.person_id, PASSWORD, NEW)
    thief = Visitor().knows(account)
    give_password(address, thief, NEW)
    thief.get("/sign-in/second")
    with clock.freeze():
        clock.advance(minutes=1)
        code = totp.code(secret, totp.step_at(clock.now()))
        assert thief.post("/sign-in/second", code=code).status_code == 302
        moved(thief, link, address.replace("somebody", "anybody"))
    later = link(address)
    visitor = Visitor()
    visitor.get(back)

    assert visitor.post(back).location == "/forgot"

    assert person(account).email == account.email
    assert not factors.of(subject).any
    assert not inside(thief)
    _again, answer = give_password(account.email, thief, NEW)
    assert answer.location == "/sign-in/device"  # whose code goes to the old address
    assert visitor.get(later).status_code == 404


def test_after_a_week_it_stays(owner, account, address, link):
    moved(owner, link, address)
    path = link(account.email)
    with clock.freeze():
        clock.advance(days=7, minutes=1)
        assert Visitor().get(path).status_code == 404


def test_notices_go_to_the_old_address_as_well_while_it_may_take_it_back(
    owner, account, address, link, mails
):
    moved(owner, link, address)
    owner.get("/security/")
    owner.post("/security/app/new")
    owner.get("/security/app")
    secret = factors.unconfirmed(f"p:{account.person_id}")
    owner.post("/security/app", code=totp.code(secret, totp.step_at(clock.now())))

    for to in (account.email, address):
        assert re.search("authenticator app", mails(to)[-1].get_content()), to


def test_a_device_code_goes_to_the_present_address_alone(
    owner, account, address, link, mails
):
    moved(owner, link, address)
    before = len(mails(account.email))

    _visitor, answer = give_password(address)

    assert answer.location == "/sign-in/device"
    assert mails(address)[-1]["Subject"].startswith("Your code: ")
    assert len(mails(account.email)) == before
