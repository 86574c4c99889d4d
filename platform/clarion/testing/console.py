"""Staff and browsers for tests: people who may something, and pages asked as they ask."""

import re
from collections.abc import Iterable
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, event
from werkzeug.test import Client, TestResponse

from clarion.base import db
from clarion.console import roles, staffing
from clarion.plugging.manager import plugins
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.scope import staff_scope
from clarion.testing.authenticator import Authenticator, options_in, registered
from clarion.testing.factories import Tenant
from clarion.testing.visitor import known_browser

PASSWORD = "the moon is made of green cheese"
TOKEN = re.compile(r'name="csrf-token" content="([^"]*)"')


class Colleague:
    """A staff member as a test holds them."""

    def __init__(self, user_id: int, email: str, device: Authenticator | None) -> None:
        self.id, self.email, self.device = user_id, email, device

    @property
    def subject(self) -> str:
        """As sessions and factors name them."""
        return f"s:{self.id}"


def make_staff(*names: str, name: str = "Ada Okafor", passkey: bool = True) -> Colleague:
    """Make a staff member with roles, `PASSWORD` and a passkey, through the verbs."""
    email = f"staff-{db.new_id().hex}@example.org"
    with staff_scope(COMMAND), db.transaction():
        user = staffing.add(email, name, names)
        link = staffing.new_link(user.id)
        user_id = int(user.id)
    staffing.set_password(link.partition("token=")[2], PASSWORD, PASSWORD)
    device = registered(f"s:{user_id}", email) if passkey else None
    return Colleague(user_id, email, device)


def acting(colleague: Colleague, name: str = "Ada Okafor") -> Actor:
    """Say who a staff member is who may everything, without a request."""
    may = frozenset(plugins().permissions("console"))
    return Actor("staff", str(colleague.id), name, permissions=may)


def make_role(*permissions: str) -> str:
    """Make a role that may exactly this; returns its name."""
    name = f"role {db.new_id().hex[-12:]}"
    with staff_scope(COMMAND), db.transaction():
        role = roles.create_role(name)
        roles.change_permissions(role.id, permissions)
    return name


class Browser:
    """A browser with cookies that fills in the hidden token of the page it posts from."""

    def __init__(self, app: Any, address: str = "203.0.113.9") -> None:
        self.client = Client(app)
        self.address = address

    def get(self, path: str, **headers: str) -> TestResponse:
        """Ask for a page; redirects are not followed."""
        return self.client.get(
            path, headers=self._headers(headers), environ_base=self._from
        )

    def post(self, path: str, page: str = "", **form: Any) -> TestResponse:
        """Post a form with the token of `page` (the path itself when left out)."""
        form["csrf_token"] = self.token(page or path)
        return self.client.post(
            path, data=form, headers=self._headers({}), environ_base=self._from
        )

    def token(self, page: str) -> str:
        """Read the token that a page gives its forms."""
        found = TOKEN.search(self.get(page).text)
        return found.group(1) if found else ""

    def sign_in(self, who: Colleague) -> "Browser":
        """Sign in to the console with their passkey."""
        assert who.device is not None
        page = self.get("/console/sign/in").text
        answer = self.client.post(
            "/console/sign/in/passkey",
            data={
                "csrf_token": TOKEN.search(page)[1],  # type: ignore[index]
                "credential": who.device.get(options_in(page)),
            },
            headers=self._headers({}),
            environ_base=self._from,
        )
        assert answer.status_code == 302, answer.text
        return self

    def knows(self, who: Colleague) -> "Browser":
        """Be a browser in which they have signed in before."""
        known_browser(self.client, who.subject, "clarion-console-device")
        return self

    def knows_customer(self, tenant: Tenant) -> "Browser":
        """Be a browser in which a customer has signed in before."""
        known_browser(self.client, f"p:{tenant.person_id}")
        return self

    def cookie(self, name: str) -> str | None:
        """Return a cookie's value."""
        found = self.client.get_cookie(name)
        return found.value if found else None

    @property
    def _from(self) -> dict[str, str]:
        return {"REMOTE_ADDR": self.address}

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/130.0 Safari/537.36"
        return {"User-Agent": agent, "Accept": "text/html", **more}


def link_path(link: str) -> str:
    """Return path and query of a link, as a browser asks for it."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


@contextmanager
def statements() -> Any:
    """Collect the SQL that runs meanwhile, without what enters a role."""
    found: list[str] = []

    def note(_conn: Any, _cursor: Any, text: str, *_: Any) -> None:
        if "set_config('role'" not in text:
            found.append(text)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def writes(found: Iterable[str]) -> list[str]:
    """Keep the statements that change something."""
    return [sql for sql in found if sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))]
