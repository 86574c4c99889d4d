"""Second factors and devices as a customer meets them, and as somebody else would try them."""

import re
from html import unescape

import pytest
from click.testing import CliRunner

from clarion.base import clock, db
from clarion.cli import clarion
from clarion.tenancy import devices, factors, people, team, totp
from clarion.testing.authenticator import (
    PRESENT,
    VERIFIED,
    Authenticator,
    options_in,
    registered,
)
from clarion.testing.factories import PASSWORD
from clarion.testing.visitor import Visitor

NEW = "quiet lamp on tuesday"


@pytest.fixture
def subject(account):
    return f"p:{account.person_id}"


@pytest.fixture
def secret(subject):
    """The account's owner has an app, since a while."""
    made = factors.begin_app(subject)
    with clock.freeze(at=clock.now()):
        clock.advance(minutes=-5)
        factors.confirm_app(subject, totp.code(made, totp.step_at(clock.now())))
    return made


@pytest.fixture
def device(subject, account):
    """The account's owner has a passkey."""
    return registered(subject, account.email)


def present(secret):
    return totp.code(secret, totp.step_at(clock.now()))


def give_password(account, visitor=None, password=PASSWORD):
    """Give the right password, on a known browser unless another one is given."""
    visitor = visitor or Visitor().knows(account)
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", email=account.email, password=password)
    return visitor, answer


def inside(visitor):
    return visitor.get("/team/").status_code == 200


def mailed_code(mails, account):
    """The code of the last mail that has one."""
    with_code = [m for m in mails(account.email) if m["Subject"].startswith("Your code: ")]
    return with_code[-1]["Subject"].removeprefix("Your code: ")


# --- AUTH-04: codes of an app and on paper


def test_a_password_alone_opens_nothing(account, secret):
    visitor, answer = give_password(account)

    assert answer.headers["Location"] == "/sign-in/second"
    for path in ("/", "/team/", "/security/", "/profile", "/accounts"):
        shown = visitor.get(path)
        assert shown.status_code == 302 or "Sign out" not in shown.text, path


def test_a_code_of_the_app_opens_and_only_once(account, secret):
    with clock.freeze():
        visitor, _answer = give_password(account)
        visitor.get("/sign-in/second")
        assert visitor.post("/sign-in/second", code="000000").status_code == 422
        assert visitor.post("/sign-in/second", code=present(secret)).status_code == 302
        assert inside(visitor)

        thief, _answer = give_password(account)
        thief.get("/sign-in/second")
        assert thief.post("/sign-in/second", code=present(secret)).status_code == 422
        assert not inside(thief)


def test_a_code_without_the_password_opens_nothing(account, secret):
    visitor = Visitor().knows(account)
    visitor.get("/sign-in")

    answer = visitor.post("/sign-in/second", code=present(secret))

    assert answer.headers["Location"] == "/sign-in"
    assert not inside(visitor)


def test_a_recovery_code_stands_for_the_second_factor_alone(
    account, secret, subject, mails
):
    codes = factors.new_codes(subject)
    stranger = Visitor()
    stranger.get("/sign-in")
    assert stranger.post("/sign-in/second", recovery=codes[0]).location == "/sign-in"

    visitor, _answer = give_password(account)
    visitor.get("/sign-in/second")
    answer = visitor.post("/sign-in/second", recovery=codes[0])

    assert answer.status_code == 302
    assert "You have 9 recovery codes left." in visitor.get("/security/").text
    assert mails(account.email)[-1]["Subject"] == "How you sign in was changed"
    again, _answer = give_password(account)
    again.get("/sign-in/second")
    assert again.post("/sign-in/second", recovery=codes[0]).status_code == 422


def test_a_half_open_door_closes_after_a_quarter_of_an_hour(account, secret):
    with clock.freeze():
        visitor, _answer = give_password(account)
        visitor.get("/sign-in/second")
        clock.advance(minutes=16)
        answer = visitor.post("/sign-in/second", code=present(secret))

    assert answer.headers["Location"] == "/sign-in"


def test_a_changed_password_closes_half_open_doors(account, secret):
    visitor, _answer = give_password(account)
    visitor.get("/sign-in/second")
    people.change_password(account.person_id, PASSWORD, NEW)

    answer = visitor.post("/sign-in/second", code=present(secret))

    assert answer.headers["Location"] == "/sign-in"
    assert not inside(visitor)


def test_connecting_an_app_shows_picture_and_codes_once(owner, account, subject, mails):
    other = Visitor(account)
    owner.get("/security/")
    assert owner.post("/security/app/new").location == "/security/app"
    page = owner.get("/security/app")
    assert '<svg class="qr"' in page.text
    shown = re.search(r"<code>([A-Z2-7 ]+)</code>", page.text)[1]
    secret = factors.unconfirmed(subject)
    assert totp.shown(secret) == shown

    assert owner.post("/security/app", code="000000").status_code == 422
    assert factors.unconfirmed(subject) == secret
    answer = owner.post("/security/app", code=present(secret))

    assert len(re.findall(r"<code>(\w{4}-\w{4}-\w{4})</code>", answer.text)) == 10
    assert not re.search(r"<code>\w{4}-\w{4}-\w{4}</code>", owner.get("/security/").text)
    assert inside(owner)
    assert not inside(other)  # AUTH-09: a change of factor ends all other sessions
    assert mails(account.email)[-1]["Subject"] == "How you sign in was changed"


# --- AUTH-03: passkeys


def show(visitor, device, path="/sign-in", to="/sign-in/passkey", **bent):
    """Press the passkey button of a page; `bent` says how the answer is wrong."""
    options = options_in(visitor.get(path).text)
    return visitor.post(to, credential=device.get(options, **bent))


def test_a_passkey_opens_the_door_by_itself(account, device):
    visitor = Visitor()

    assert show(visitor, device).status_code == 302
    assert inside(visitor)


def test_a_passkey_is_the_second_factor_too(account, device):
    visitor, answer = give_password(account, Visitor())  # and the device is unknown
    assert answer.headers["Location"] == "/sign-in/second"

    answer = show(visitor, device, "/sign-in/second", "/sign-in/second")

    assert answer.headers["Location"] == "/"
    assert inside(visitor)


@pytest.mark.parametrize(
    "bent",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"host": "evil.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"user": b"p:00000000-0000-7000-8000-000000000000"},
    ],
)
def test_each_deviation_is_refused(account, device, bent):
    visitor = Visitor()

    answer = show(visitor, device, **bent)

    assert answer.status_code == 422
    assert "was not accepted" in answer.text
    assert not inside(visitor)


def test_a_challenge_is_good_once_and_in_its_own_session(account, device):
    visitor = Visitor()
    options = options_in(visitor.get("/sign-in").text)
    answer = device.get(options)
    assert visitor.post("/sign-in/passkey", credential=answer).status_code == 302

    visitor.get("/")
    visitor.post("/sign-out")
    visitor.get("/sign-in")
    assert visitor.post("/sign-in/passkey", credential=answer).status_code == 422

    thief = Visitor()
    thief.get("/sign-in")
    fresh = device.get(options_in(Visitor().get("/sign-in").text))
    assert thief.post("/sign-in/passkey", credential=fresh).status_code == 422


def test_a_challenge_is_good_for_half_an_hour(account, device):
    with clock.freeze():
        visitor = Visitor()
        options = options_in(visitor.get("/sign-in").text)
        clock.advance(minutes=31)
        answer = visitor.post("/sign-in/passkey", credential=device.get(options))

    assert answer.status_code == 422
    assert "open for too long" in answer.text


def test_a_counter_that_goes_back_alarms_its_owner(account, device, mails):
    assert show(Visitor(), device).status_code == 302
    assert show(Visitor(), device).status_code == 302

    answer = show(Visitor(), device, back=1)

    assert answer.status_code == 422
    subjects = [m["Subject"] for m in mails(account.email)]
    assert "A passkey of yours may have been copied" in subjects


def test_a_signature_of_another_key_is_refused(account, device):
    other = Authenticator(device.origin)
    other.id, other.user = device.id, device.user

    assert show(Visitor(), other).status_code == 422


@pytest.mark.parametrize(
    "odd", ["", "{}", "[]", "null", '{"response": {}}', '{"response": []}', "x" * 20_000,
            '{"id": 5, "response": {"clientDataJSON": "e30"}}',
            '{"id": "AA", "response": {"clientDataJSON": 7}}']
)  # fmt: skip
def test_odd_answers_are_refused(account, odd):
    visitor = Visitor()
    visitor.get("/sign-in")

    assert visitor.post("/sign-in/passkey", credential=odd).status_code == 422


def test_somebody_elses_passkey_is_no_second_factor(account, secret, other_account):
    theirs = registered(f"p:{other_account.person_id}", other_account.email)
    visitor, _answer = give_password(account)
    visitor.get("/sign-in")  # shows a challenge for any passkey
    options = options_in(visitor.get("/sign-in").text)

    answer = visitor.post("/sign-in/second", credential=theirs.get(options))

    assert answer.status_code == 422
    assert not inside(visitor)


def test_a_passkey_of_staff_opens_no_portal(account):
    staff = registered("s:999999999", "ada@example.org")  # nobody's number

    assert show(Visitor(), staff).status_code == 422


def test_making_naming_and_removing_passkeys(owner, account, subject, mails):
    page = owner.get("/security/passkey").text
    mine = Authenticator("http://localhost:8000")
    answer = owner.post(
        "/security/passkey", credential=mine.create(options_in(page)), name="Blue key"
    )
    assert len(re.findall(r"<code>(\w{4}-\w{4}-\w{4})</code>", answer.text)) == 10
    (one,) = factors.of(subject).passkeys
    assert one.name == "Blue key"

    owner.get("/security/")
    assert owner.post(f"/security/factors/{one.id}/name", name="Red key").status_code == 303
    assert "Red key" in owner.get("/security/").text
    assert owner.post(f"/security/factors/{one.id}/remove").status_code == 303
    assert not factors.of(subject).any
    assert len([m for m in mails(account.email) if "How you sign in" in m["Subject"]]) == 2


def test_a_passkey_made_without_verifying_anybody_is_refused(owner, subject):
    options = options_in(owner.get("/security/passkey").text)
    mine = Authenticator("http://localhost:8000")

    answer = owner.post(
        "/security/passkey", credential=mine.create(options, flags=PRESENT), name="Key"
    )

    assert answer.status_code == 422
    assert not factors.of(subject).any


# --- AUTH-05: a device that is not known


def test_an_unknown_device_needs_the_code_of_the_mail(account, mails):
    visitor, answer = give_password(account, Visitor())
    assert answer.headers["Location"] == "/sign-in/device"
    assert not inside(visitor)
    code = mailed_code(mails, account)
    visitor.get("/sign-in/device")
    assert visitor.post("/sign-in/device", code="0000 0000").status_code == 422

    assert visitor.post("/sign-in/device", code=code).status_code == 302

    assert inside(visitor)
    assert mails(account.email)[-1]["Subject"] == "A new device signed in"
    visitor.post("/sign-out")
    _again, answer = give_password(account, visitor)
    assert answer.headers["Location"] == "/"


def test_the_code_works_in_the_browser_that_began(account, mails):
    began, _answer = give_password(account, Visitor())
    code = mailed_code(mails, account)
    other, _answer = give_password(account, Visitor())
    other.get("/sign-in/device")

    assert other.post("/sign-in/device", code=code).status_code == 422
    began.get("/sign-in/device")
    assert began.post("/sign-in/device", code=code).status_code == 302


def test_a_stolen_password_causes_no_mail_while_there_is_a_second_factor(
    account, secret, mails
):
    thief, _answer = give_password(account, Visitor())
    thief.get("/sign-in/second")
    thief.post("/sign-in/second", code="000000")
    assert thief.get("/sign-in/device").location == "/sign-in/second"

    assert mails(account.email) == []


def test_after_the_app_an_unknown_device_still_needs_the_mail(account, secret, mails):
    visitor, _answer = give_password(account, Visitor())
    visitor.get("/sign-in/second")
    answer = visitor.post("/sign-in/second", code=present(secret))
    assert answer.headers["Location"] == "/sign-in/device"
    visitor.get("/sign-in/device")

    assert (
        visitor.post("/sign-in/device", code=mailed_code(mails, account)).status_code == 302
    )
    assert inside(visitor)


def test_another_mail_ends_the_first_code(account, mails):
    visitor, _answer = give_password(account, Visitor())
    first = mailed_code(mails, account)
    visitor.get("/sign-in/device")
    visitor.post("/sign-in/device/again")
    second = mailed_code(mails, account)
    visitor.get("/sign-in/device")

    assert visitor.post("/sign-in/device", code=first).status_code == 422
    assert visitor.post("/sign-in/device", code=second).status_code == 302


def test_mailed_codes_are_few(account):
    visitor, _answer = give_password(account, Visitor())
    for _n in range(devices.MAILS.times):
        visitor.get("/sign-in/device")
        answer = visitor.post("/sign-in/device/again")

    assert answer.status_code == 429


def test_the_device_cookie_is_kept_from_scripts_and_other_sites(account, mails):
    visitor, _answer = give_password(account, Visitor())
    visitor.get("/sign-in/device")
    answer = visitor.post("/sign-in/device", code=mailed_code(mails, account))
    (cookie,) = [
        c for c in answer.headers.getlist("Set-Cookie") if c.startswith("clarion-device=")
    ]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


# --- AUTH-08, AUTH-11: proofs grow old


def test_a_stale_session_asks_again_and_leads_back_undone(owner, account, address):
    with clock.freeze():
        owner = Visitor(account)
        clock.advance(minutes=11)
        owner.get("/team/")
        answer = owner.client.post(
            "/team/invite",
            data={"csrf_token": owner.token, "email": address, "role": "member"},
            headers={"Referer": "http://localhost/team/"},
        )
        assert answer.headers["Location"] == "/security/again?next=/team/"
        page = owner.get(answer.headers["Location"])
        assert "Nothing was done yet." in page.text
        assert (
            owner.post("/security/again?next=/team/", password="wrong").status_code == 422
        )
        before = owner.client.get_cookie("clarion").value
        answer = owner.post("/security/again?next=/team/", password=PASSWORD)
        assert answer.headers["Location"] == "/team/"
        assert owner.client.get_cookie("clarion").value != before

        shown = owner.get("/team/").text
        assert address not in shown
        assert owner.post("/team/invite", email=address, role="member").status_code == 302
        assert address in owner.get("/team/").text


def test_who_has_an_app_proves_that_and_not_the_password(account, secret):
    with clock.freeze():
        visitor, _answer = give_password(account)
        visitor.get("/sign-in/second")
        visitor.post("/sign-in/second", code=present(secret))
        clock.advance(minutes=11)
        visitor.get("/security/again")
        assert visitor.post("/security/again", password=PASSWORD).status_code == 422
        assert visitor.post("/security/again", code=present(secret)).status_code == 303


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil"])
def test_a_proof_never_leads_elsewhere(owner, target):
    owner.get("/security/again")
    answer = owner.client.post(
        "/security/again",
        query_string={"next": target},
        data={"csrf_token": owner.token, "password": PASSWORD},
    )

    assert answer.headers["Location"] == "/"


def test_guessing_at_the_second_door_is_stopped(account):
    with clock.freeze():
        owner = Visitor(account)
        clock.advance(minutes=11)
        owner.get("/security/again")
        for _n in range(people.PAIR.times):
            assert owner.post("/security/again", password="wrong").status_code == 422
        answer = owner.post("/security/again", password=PASSWORD)
        assert "too often" in answer.text
        owner.get("/team/")
        assert (
            owner.post("/team/invite", email="a@b.example", role="member").status_code
            == 303
        )


def test_form_pages_ask_before_they_are_filled_in(account):
    with clock.freeze():
        owner = Visitor(account)
        clock.advance(minutes=11)
        answer = owner.get("/senders/connect")

    assert answer.headers["Location"] == "/security/again?next=/senders/connect"


# --- AUTH-13: a mailed link keeps the second factor


def test_a_reset_keeps_the_second_factor(account, secret, link):
    visitor = Visitor()
    visitor.get("/forgot")
    visitor.post("/forgot", email=account.email)
    path = link(account.email)
    visitor.get(path)
    visitor.post(path, password=NEW)
    _same, answer = give_password(account, visitor, NEW)

    assert answer.headers["Location"] == "/sign-in/second"
    assert not inside(visitor)


def test_after_a_reset_this_browser_is_known(account, link):
    visitor = Visitor()
    visitor.get("/forgot")
    visitor.post("/forgot", email=account.email)
    path = link(account.email)
    visitor.get(path)
    visitor.post(path, password=NEW)
    _same, answer = give_password(account, visitor, NEW)

    assert answer.headers["Location"] == "/"


# --- AUTH-12: the door says the same


def test_who_has_a_second_factor_nobody_learns(account, secret, other_account):
    seen = []
    for tenant in (account, other_account):
        visitor = Visitor()
        visitor.get("/sign-in")
        answer = visitor.post("/sign-in", email=tenant.email, password="not the right one")
        text = unescape(answer.text).replace(tenant.email, "x")
        text = re.sub(r'(csrf[-_]token" (?:content|value)=")[^"]+', r"\1", text)
        seen.append((answer.status_code, re.sub(r'("challenge": ")[\w-]+', r"\1", text)))

    assert seen[0] == seen[1]


# --- an owner may ask it of the team


def required(account, **ahead):
    with clock.freeze():
        if ahead:
            clock.advance(**ahead)
        with db.transaction():
            people.require_second_factor(clock.now())


def test_a_team_that_asks_for_it_opens_to_who_has_it(account, subject):
    required(account)
    without = Visitor(account)
    for path in ("/", "/team/", "/contacts/", "/settings/"):
        assert without.get(path).location == "/security/", path
    assert (
        without.post("/team/invite", email="a@b.example", role="member").status_code == 403
    )
    page = without.get("/security/")
    assert "Set up a second factor first" in page.text

    without.post("/security/app/new")
    without.get("/security/app")
    without.post("/security/app", code=present(factors.unconfirmed(subject)))

    assert inside(without)


def test_before_its_day_it_only_says_so(account):
    required(account, days=7)

    assert inside(Visitor(account))


def test_the_setting_is_the_owners(owner, account):
    page = owner.get("/settings/security")
    assert page.status_code == 200
    answer = owner.post("/settings/security", required="y", since="2030-01-01")
    assert answer.status_code == 302
    assert "2030" in owner.get("/settings/security").text

    owner.post("/settings/security", since="")
    assert 'value="2030' not in owner.get("/settings/security").text


def test_only_who_manages_the_team_may_ask_it(account, address, link):
    with db.transaction():
        team.invite(address, "manager")
    guest = Visitor()
    with db.transaction():
        token = team.invite(address, "manager")
    guest.get(f"/invitation/{token}")
    guest.post(f"/invitation/{token}", name="Rui Prado", password=NEW)

    assert guest.get("/settings/security").status_code in (403, 404)


def test_who_is_invited_into_such_a_team_sets_one_up_first(account, address):
    """No way goes round it: an invitation, a new password, another account of theirs."""
    required(account)
    with db.transaction():
        token = team.invite(address, "manager")
    guest = Visitor()
    guest.get(f"/invitation/{token}")
    joined = guest.post(f"/invitation/{token}", name="Rui Prado", password=NEW)

    assert joined.status_code == 302
    assert guest.get("/team/").location == "/security/"
    assert "Set up a second factor first" in guest.get("/security/").text


def test_a_new_password_is_no_way_round_the_teams_second_factor(account, link):
    required(account)
    visitor = Visitor()
    visitor.get("/forgot")
    visitor.post("/forgot", email=account.email)
    path = link(account.email)
    visitor.get(path)
    visitor.post(path, password=NEW)
    _same, answer = give_password(account, visitor, NEW)

    assert answer.status_code == 302
    assert visitor.get("/team/").location == "/security/"


def test_removing_the_last_one_in_such_a_team_is_refused(account, device, subject):
    required(account)
    visitor = Visitor()
    show(visitor, device)
    visitor.get("/security/")
    (one,) = factors.of(subject).passkeys

    assert visitor.post(f"/security/factors/{one.id}/remove").status_code == 409
    assert factors.of(subject).any


# --- LIM-01: a browser one is known in stays open, whatever others type beside it


def test_who_guesses_in_the_same_network_shuts_nobody_out_of_a_known_browser(account):
    mine = Visitor().knows(account)
    for _n in range(people.PAIR.times + 1):
        _thief, answer = give_password(account, Visitor(), "not the right one")
    assert "too often" in answer.text
    assert give_password(account, mine)[1].status_code == 302


def test_a_known_browser_is_not_open_to_guessing_either(account):
    mine = Visitor().knows(account)
    for _n in range(people.PAIR.times):
        _mine, answer = give_password(account, mine, "not the right one")
        assert "too often" not in answer.text
    _mine, answer = give_password(account, mine)

    assert "too often" in answer.text


# --- AUTH-16: whoever takes something out is seen


def test_taking_the_log_out_is_told_to_owners(owner, account, mails):
    owner.get("/activity/")
    assert owner.post("/activity/export", form="csv").status_code == 200

    told = mails(account.email)[-1]

    assert told["Subject"] == "Something was taken out of Clarion: part of the log"
    assert "just downloaded this: part of the log." in told.get_content()


# --- lost


def test_the_command_line_removes_lost_factors(account, secret, subject, mails):
    other = Visitor().knows(account)
    done = CliRunner().invoke(
        clarion,
        ["person", "reset-factors", "--email", account.email],
        catch_exceptions=False,
    )

    assert done.output == "1 removed.\n"
    assert not factors.of(subject).any
    assert mails(account.email)[-1]["Subject"] == "How you sign in was changed"
    _other, answer = give_password(account, other)
    assert answer.location == "/"
