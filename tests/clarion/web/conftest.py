"""The whole web application, as WSGI, against the real database."""

import re
from functools import cache
from html import unescape

import pytest
from werkzeug.test import Client

from clarion.web.app import ByPath, joined, wrapped


class Browser:
    """Asks like a browser: keeps cookies, knows where a form came from."""

    def __init__(self, app):
        self.client = Client(app)
        self.token = ""

    def ask(self, path, method="GET", **more):
        headers = {"Accept": "text/html", "Host": "127.0.0.1", **more.pop("headers", {})}
        answer = self.client.open(path, method=method, headers=headers, **more)
        found = re.search(r'name="csrf-token" content="([^"]+)"', answer.text)
        self.token = unescape(found[1]) if found else self.token
        return answer

    def send(self, path, data=None, **more):
        given = {"csrf_token": self.token, **(data or {})}
        headers = {"Sec-Fetch-Site": "same-origin", **more.pop("headers", {})}
        return self.ask(path, "POST", data=given, headers=headers, **more)


@cache
def _joined() -> ByPath:
    return joined()


@pytest.fixture
def apps(clean):
    """Portal and console, for their maps."""
    return _joined()


@pytest.fixture
def app(apps):
    """Everything a request meets."""
    return wrapped(apps)


@pytest.fixture
def stranger(app):
    return Browser(app)


@pytest.fixture
def owner(app, account):
    """A browser in which the account's owner is signed in."""
    from clarion.testing.factories import PASSWORD
    from clarion.testing.visitor import known_browser

    mine = Browser(app)
    known_browser(mine.client, f"p:{account.person_id}", domain="127.0.0.1")
    mine.ask("/sign-in")
    answer = mine.send("/sign-in", {"email": account.email, "password": PASSWORD})
    assert (answer.status_code, answer.location) == (302, "/")
    mine.ask("/")
    return mine
