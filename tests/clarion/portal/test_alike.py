"""AUTH-12: an answer tells nobody who has a log-in. Every byte of it, cookies and headers too."""

import re

import pytest

from clarion.base import db
from clarion.tenancy import people
from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor

RANDOM = (  # what is new in every answer: keys, tokens, challenges, its own name
    re.compile(r"(?<=clarion=)[\w-]+"),
    re.compile(r'(?<=csrf-token" content=")[^"]+'),
    re.compile(r'(?<=csrf_token" value=")[^"]+'),
    re.compile(r"(?<=challenge&#34;: &#34;)[\w-]+"),
)


def nobody():
    """An address nobody has, as long as those of the factory."""
    return f"owner-{db.new_id().hex}@example.org"


def plain(text, email):
    for pattern in RANDOM:
        text = pattern.sub("…", text)
    return text.replace(email, "somebody").replace(email.replace("@", "%40"), "somebody")


def every_byte(answer, email):
    """Status, headers with their cookies, and text; what is random aside."""
    headers = [(k, plain(v, email)) for k, v in answer.headers if k != "Date"]
    return answer.status_code, headers, plain(answer.text, email)


def answer_of(path, email, times=1, **more):
    """Send a form so often from a browser that nobody knows; the last answer."""
    visitor = Visitor()
    for _n in range(times):
        visitor.get(path)
        answer = visitor.post(path, email=email, **more)
    return every_byte(answer, email)


@pytest.mark.parametrize("path", ["/sign-up", "/forgot"])
@pytest.mark.parametrize("times", [1, 2, 6])
def test_what_goes_by_mail_is_answered_alike_also_when_it_is_asked_again(
    account, path, times
):
    """Once, once more, and until that is too often."""
    known, unknown = answer_of(path, account.email, times), answer_of(path, nobody(), times)

    assert known == unknown
    assert known[0] == (422 if times == 6 else 302)


@pytest.mark.parametrize("times", [1, 11])
def test_a_wrong_password_is_answered_alike(account, times):
    wrong = {"password": "not the right one"}
    known = answer_of("/sign-in", account.email, times, **wrong)
    unknown = answer_of("/sign-in", nobody(), times, **wrong)

    assert known == unknown
    assert ("too often" in known[2]) == (times == 11)


def test_who_is_disabled_or_has_a_factor_is_answered_alike(clean):
    from clarion.testing.authenticator import registered

    with_passkey, disabled = make_account(), make_account()
    registered(f"p:{with_passkey.person_id}", with_passkey.email)
    with people.as_system() as orm:
        orm.get(people.Person, disabled.person_id).state = "disabled"
    emails = (with_passkey.email, disabled.email, nobody())

    for path, more in (("/sign-in", {"password": "wrong"}), ("/forgot", {})):
        one, two, three = (answer_of(path, email, **more) for email in emails)
        assert one == two == three, path


def test_an_invitation_is_answered_alike(account, other_account):
    """Whom an owner invites may have a log-in or not."""
    seen = []
    for email in (other_account.email, nobody()):
        visitor = Visitor(account)
        visitor.get("/team/")
        answer = visitor.post("/team/invite", email=email, role="member")
        seen.append(every_byte(answer, email))

    assert seen[0] == seen[1]
    assert seen[0][0] == 302
