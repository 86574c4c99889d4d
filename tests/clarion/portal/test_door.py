"""The door, as people meet it: the same answer for everybody, links that work once."""

import re

import pytest
from sqlalchemy import select

from clarion.base import clock
from clarion.tenancy import people
from clarion.tenancy.models import AuditEntry
from clarion.testing.factories import PASSWORD
from clarion.testing.visitor import Visitor

GOOD = "teal kayak at noon"
NEW = "quiet lamp on tuesday"
HOME = {"name": "Ana Lima", "password": GOOD, "account_name": "Ana Bikes"}
PLACE = {"country": "BR", "timezone": "America/Sao_Paulo"}


def sign_up(visitor, address, link):
    visitor.get("/sign-up")
    assert visitor.post("/sign-up", email=address).status_code == 302
    path = link(address)
    visitor.get(path)
    return visitor.post(path, **HOME, **PLACE)


# --- a new account


def test_from_an_address_to_an_account(visitor, address, link):
    answer = sign_up(visitor, address, link)
    home = visitor.get("/")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert "Welcome to Clarion, Ana Lima." in home.text
    assert "Ana Bikes" in home.text
    assert "Overview" in home.text


def test_a_used_link_says_so_and_offers_a_new_one(visitor, address, link):
    sign_up(visitor, address, link)
    path = link(address)
    answer = Visitor().get(path)

    assert answer.status_code == 404
    assert "used already or is too old" in answer.text
    assert "/sign-up" in answer.text


def test_looking_at_a_link_uses_nothing_up(visitor, address, link):
    visitor.get("/sign-up")
    visitor.post("/sign-up", email=address)
    path = link(address)
    for _ in range(3):
        assert Visitor().get(path).status_code == 200
    visitor.get(path)

    assert visitor.post(path, **HOME, **PLACE).status_code == 302


def test_mistakes_are_named_at_their_fields_and_the_link_stays_good(visitor, address, link):
    visitor.get("/sign-up")
    visitor.post("/sign-up", email=address)
    path = link(address)
    visitor.get(path)
    answer = visitor.post(path, **{**HOME, "password": "password1234"}, **PLACE)

    assert answer.status_code == 422
    assert "attackers try first" in answer.text
    assert 'aria-describedby="password-help password-error"' in answer.text
    assert "password1234" not in answer.text
    assert visitor.post(path, **HOME, **PLACE).status_code == 302


def test_what_is_no_address_is_refused_at_its_field(visitor):
    visitor.get("/sign-up")
    answer = visitor.post("/sign-up", email="nobody")

    assert answer.status_code == 422
    assert "This is not an e-mail address." in answer.text


# --- who is known here, nobody learns


def answers_alike(path, known, unknown, **more):
    """Send a form for both addresses from fresh visitors and compare every byte."""
    seen = []
    for email in (known, unknown):
        visitor = Visitor()
        visitor.get(path)
        answer = visitor.post(path, email=email, **more)
        headers = {
            k: re.sub(r"clarion=[^;]+", "clarion=…", v)
            for k, v in answer.headers.items()
            if k not in ("Date", "Content-Length")
        }
        headers.pop("Set-Cookie", None)
        text = answer.text.replace(email, "somebody").replace(visitor.token, "token")
        text = re.sub(r'(csrf[-_]token" (?:content|value)=")[^"]+', r"\1…", text)
        text = re.sub(r"(challenge&#34;: &#34;)[\w-]+", r"\1…", text)
        seen.append((answer.status_code, headers, text))
    return seen[0] == seen[1]


def test_sign_up_answers_alike(account, address):
    assert answers_alike("/sign-up", account.email, address)


def test_reset_answers_alike(account, address):
    assert answers_alike("/forgot", account.email, address)


def test_sign_in_answers_alike(account, address):
    assert answers_alike("/sign-in", account.email, address, password="not the right one")


def test_the_outcome_of_a_sign_up_goes_by_mail(account, mails, link):
    visitor = Visitor()
    visitor.get("/sign-up")
    visitor.post("/sign-up", email=account.email)

    (mail,) = mails(account.email)

    assert mail["Subject"] == "You have an account already"
    assert link(account.email) == "/sign-in"


def test_nobody_gets_a_mail_about_a_reset_they_cannot_have(visitor, address, mails):
    visitor.get("/forgot")
    visitor.post("/forgot", email=address)

    assert mails(address) == []


def test_no_mail_waits_in_clear(visitor, address):
    from sqlalchemy import select

    from clarion.base import db
    from clarion.work.models import Outbox
    from clarion.work.outbox import SYSTEM

    visitor.get("/sign-up")
    visitor.post("/sign-up", email=address)
    with db.apart(SYSTEM) as orm:
        waiting = str(orm.scalars(select(Outbox.payload)).all())

    assert "closed" in waiting
    assert address not in waiting


# --- in and out


def test_a_wrong_password_lets_nobody_in(visitor, account):
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", email=account.email, password="not the right one")

    assert answer.status_code == 422
    assert "is not right" in answer.text
    assert visitor.get("/team/").status_code == 302


def test_signing_in_leads_where_the_person_wanted_to_go(account):
    visitor = Visitor().knows(account)
    asked = visitor.get("/team/")
    assert asked.headers["Location"] == "/sign-in?next=/team/"
    visitor.get(asked.headers["Location"])
    answer = visitor.post("/sign-in?next=/team/", email=account.email, password=PASSWORD)

    assert answer.headers["Location"] == "/team/"


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example"]
)
def test_signing_in_never_leads_elsewhere(account, target):
    visitor = Visitor().knows(account)
    visitor.get("/sign-in")
    answer = visitor.client.post(
        "/sign-in",
        query_string={"next": target},
        data={"csrf_token": visitor.token, "email": account.email, "password": PASSWORD},
    )

    assert answer.headers["Location"] == "/"


def test_a_session_begins_with_a_new_key(account):
    visitor = Visitor()
    visitor.get("/sign-in")
    before = visitor.client.get_cookie("clarion").value
    visitor.post("/sign-in", email=account.email, password=PASSWORD)
    after = visitor.client.get_cookie("clarion")

    assert after.value != before
    assert after.http_only
    assert after.same_site == "Lax"


def test_a_copied_cookie_dies_with_signing_out(owner, account):
    key = owner.client.get_cookie("clarion").value
    thief = Visitor()
    thief.client.set_cookie("clarion", key)
    assert thief.get("/team/").status_code == 200

    owner.post("/sign-out")

    assert owner.get("/team/").status_code == 302
    assert thief.get("/team/").status_code == 302
    assert thief.get("/team/").status_code == 302
    with people.as_system() as orm:
        entries = orm.scalars(
            select(AuditEntry).where(AuditEntry.name == "portal.session.refused")
        ).all()
    mine = [e for e in entries if e.changes["of"] == [None, f"p:{account.person_id}"]]
    assert len(mine) == 1  # however often the copy is tried


def test_signing_out_is_a_post(owner):
    assert owner.get("/sign-out").status_code == 405
    assert owner.get("/team/").status_code == 200


def test_a_session_ends_when_it_is_idle_and_after_30_days(account):
    with clock.freeze():
        idle, busy = Visitor(account), Visitor(account)
        clock.advance(hours=11)
        assert busy.get("/team/").status_code == 200
        clock.advance(hours=2)
        assert idle.get("/team/").status_code == 302
        for _ in range(30 * 24 // 11):
            assert busy.get("/team/").status_code == 200
            clock.advance(hours=11)
        clock.advance(hours=11)
        assert busy.get("/team/").status_code == 302


def test_too_many_tries_are_told_to_wait(account):
    visitor = Visitor()
    for _ in range(people.PAIR.times + 1):
        visitor.get("/sign-in")
        answer = visitor.post("/sign-in", email=account.email, password="not the right one")

    assert answer.status_code == 422
    assert "too often" in answer.text


def test_mails_to_one_address_are_few(visitor, address):
    for _ in range(6):
        visitor.get("/sign-up")
        answer = visitor.post("/sign-up", email=address)

    assert answer.status_code == 422
    assert "too often" in answer.text


# --- a forgotten password


def test_a_new_password_by_mail_ends_every_session(owner, account, link, mails):
    visitor = Visitor()
    visitor.get("/forgot")
    visitor.post("/forgot", email=account.email)
    path = link(account.email)
    visitor.get(path)
    answer = visitor.post(path, password=NEW)

    assert answer.headers["Location"] == "/sign-in"
    assert owner.get("/team/").status_code == 302
    assert visitor.get(path).status_code == 404
    assert mails(account.email)[-1]["Subject"] == "Your password was changed"
    visitor.get("/sign-in")
    again = visitor.post("/sign-in", email=account.email, password=NEW)
    assert again.status_code == 302


# --- invitations


def test_somebody_new_joins_by_an_invitation(owner, account, address, link):
    owner.get("/team/")
    assert owner.post("/team/invite", email=address, role="member").status_code == 302
    path = link(address)
    guest = Visitor()
    shown = guest.get(path)
    assert account.name in shown.text
    answer = guest.post(path, name="Rui Prado", password=GOOD)

    assert answer.status_code == 302
    assert account.name in guest.get("/").text
    assert "Rui Prado" in owner.get("/team/").text


def test_somebody_known_signs_in_first_and_then_accepts(owner, other_account, link):
    owner.get("/team/")
    owner.post("/team/invite", email=other_account.email, role="manager")
    path = link(other_account.email)
    stranger = Visitor()
    assert "Sign in to accept" in stranger.get(path).text
    guest = Visitor(other_account)
    guest.get(path)
    answer = guest.post(f"{path}/accept")

    assert answer.status_code == 302
    assert "Loja Norte" in guest.get("/accounts").text
    assert "Casa Verde" in guest.get("/accounts").text


def test_an_invitation_is_no_door_for_others(owner, account, address, link, other_account):
    owner.get("/team/")
    owner.post("/team/invite", email=address, role="owner")
    path = link(address)
    other = Visitor(other_account)
    shown = other.get(path)

    assert "Sign out, then open the link again" in shown.text
    assert other.post(f"{path}/accept").status_code == 403
    assert account.name not in other.get("/accounts").text


# --- one's own


def test_a_changed_password_ends_other_devices_and_keeps_this_one(owner, account):
    other = Visitor(account)
    owner.get("/profile")
    answer = owner.post("/profile/password", old=PASSWORD, new=NEW)

    assert answer.status_code == 302
    assert owner.get("/team/").status_code == 200
    assert other.get("/team/").status_code == 302


def test_a_password_is_changed_by_who_knows_it(owner):
    owner.get("/profile")
    answer = owner.post("/profile/password", old="not the right one", new=NEW)

    assert answer.status_code == 422
    assert "This is not your password." in answer.text


def test_devices_are_listed_and_ended(owner, account):
    other = Visitor(account)
    page = owner.get("/security/")
    (path,) = re.findall(r'action="(/security/devices/[0-9a-f-]{36}/end)"', page.text)

    assert "This device" in page.text
    assert owner.post(path).status_code == 303
    assert other.get("/team/").status_code == 302
    assert owner.get("/team/").status_code == 200


def test_every_other_device_ends_at_once(owner, account):
    others = [Visitor(account), Visitor(account)]
    owner.get("/security/")
    owner.post("/security/devices/end-others")

    assert [one.get("/team/").status_code for one in others] == [302, 302]
    assert owner.get("/team/").status_code == 200


def test_somebody_elses_device_cannot_be_ended(owner, other_account):
    other = Visitor(other_account)
    third = Visitor(other_account)
    (path,) = re.findall(
        r'action="(/security/devices/[0-9a-f-]{36}/end)"', other.get("/security/").text
    )
    owner.get("/security/")

    assert owner.post(path).status_code == 404
    assert third.get("/team/").status_code == 200


def test_a_profile_is_changed(owner):
    owner.get("/profile")
    owner.post("/profile", name="Marina L. Lopes", language="")

    assert "Marina L. Lopes" in owner.get("/profile").text


def test_a_person_with_two_accounts_chooses_one(owner, account, other_account, link):
    owner.get("/team/")
    owner.post("/team/invite", email=other_account.email, role="member")
    path = link(other_account.email)
    guest = Visitor(other_account)
    guest.get(path)
    guest.post(f"{path}/accept")
    guest.post("/sign-out")
    guest = Visitor().knows(other_account)
    guest.get("/sign-in")
    guest.post("/sign-in", email=other_account.email, password=PASSWORD)

    assert guest.get("/").headers["Location"] == "/accounts"
    guest.get("/accounts")
    assert guest.post(f"/accounts/{account.id}").status_code == 302
    assert account.name in guest.get("/").text
    assert guest.post("/accounts/0192f0a0-0000-7000-8000-000000000000").status_code == 404
