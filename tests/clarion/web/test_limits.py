"""Budgets at the doors and for everything that changes something: LIM-02 to LIM-05."""

import pytest
from tests.clarion.web.test_health import no_broker  # noqa: F401 -- a fixture

from clarion.base import broker, clock, db
from clarion.base.limits import Limit
from clarion.tenancy import credentials, people
from clarion.testing.console import Browser, make_staff
from clarion.testing.visitor import Visitor
from clarion.web import console_app, portal_app, staff
from clarion.web.app import joined, wrapped

WRONG = "not the right one"


@pytest.fixture
def web(database):
    staff.sync()
    return wrapped(joined())


def guess(visitor, email, network):
    visitor.get("/sign-in")
    return visitor.client.post(
        "/sign-in",
        data={"csrf_token": visitor.token, "email": email, "password": WRONG},
        environ_base={"REMOTE_ADDR": network},
    )


def test_guessing_at_many_from_many_networks_has_one_budget(clean, monkeypatch):
    """LIM-02: spread so thin that no name and no network sees more than one try."""
    monkeypatch.setattr(credentials, "matches", lambda *_: False)  # only the count matters
    name = f"everywhere {db.new_id()}"
    monkeypatch.setattr(people, "EVERYWHERE", Limit(name, 5, 60))
    visitor = Visitor()

    with clock.freeze():
        told = [
            "too often" in guess(visitor, f"n{n}@example.org", f"203.0.{n}.9").text
            for n in range(7)
        ]

    assert told == [False] * 5 + [True] * 2


def test_what_a_stranger_forwards_is_not_their_address(web, monkeypatch):
    """LIM-03: without a proxy that is configured, the peer's address counts."""
    monkeypatch.setattr(credentials, "matches", lambda *_: False)
    email = f"{db.new_id().hex}@example.org"
    browser, answers = Browser(web, "198.51.100.77"), []
    with clock.freeze():
        for n in range(people.PAIR.times + 1):
            token = browser.token("/sign-in")
            answer = browser.client.post(
                "/sign-in",
                data={"csrf_token": token, "email": email, "password": WRONG},
                environ_base={"REMOTE_ADDR": "198.51.100.77"},
                headers={"X-Forwarded-For": f"203.0.{n}.9"},
            )
            answers.append("too often" in answer.text)

    assert answers == [False] * people.PAIR.times + [True]


def test_without_the_broker_all_budgets_hold(account, web, monkeypatch, no_broker):  # noqa: F811
    """LIM-04: they are counted in PostgreSQL; the broker holds none of them."""
    assert not broker.reachable()
    owner, browser = Visitor(account), Browser(web, "198.51.100.78")
    owner.get("/profile")
    monkeypatch.setattr(credentials, "matches", lambda *_: False)
    email = f"{db.new_id().hex}@example.org"

    with clock.freeze():
        doors = [
            "too often" in guess(Visitor(), email, "203.0.113.99").text
            for _n in range(people.PAIR.times + 1)
        ]
        for app in (portal_app, console_app):
            monkeypatch.setattr(app, "WRITES", Limit(f"writes {db.new_id()}", 2, 60))
        writes = [
            owner.post("/profile", name="Ana", language="").status_code for _n in range(3)
        ]
        staff_door = [
            browser.post("/console/sign/in", "/console/sign/in", email=email).status_code
            for _n in range(3)
        ]

    assert doors == [False] * people.PAIR.times + [True]
    assert writes == [302, 302, 429]
    assert staff_door[-1] == 429


def test_everything_that_changes_something_has_a_budget_in_the_portal(account, monkeypatch):
    """LIM-05: of the application itself, so that no route is without."""
    owner = Visitor(account)
    owner.get("/profile")
    monkeypatch.setattr(portal_app, "WRITES", Limit(f"writes {db.new_id()}", 2, 60))

    with clock.freeze():
        codes = [
            owner.post("/profile", name="Ana", language="").status_code for _n in range(3)
        ]

    assert codes == [302, 302, 429]


def test_everything_that_changes_something_has_a_budget_in_the_console(web, monkeypatch):
    browser = Browser(web).sign_in(make_staff("support"))
    monkeypatch.setattr(console_app, "WRITES", Limit(f"writes {db.new_id()}", 2, 60))
    page = "/console/security/"

    with clock.freeze():
        codes = [
            browser.post("/console/security/devices/end-others", page).status_code
            for _n in range(3)
        ]

    assert codes == [303, 303, 429]
