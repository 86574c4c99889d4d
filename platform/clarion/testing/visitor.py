"""A person at the portal without a browser: signs in, reads pages, sends their forms."""

import re
from functools import cache
from html import unescape
from typing import Any

from clarion.testing.factories import PASSWORD, Tenant


@cache
def portal() -> Any:
    """Make the portal once per test process; it needs the `database` fixture."""
    from clarion.web.portal_app import create_portal

    app = create_portal()
    app.testing = False  # refusals become pages, as for a person
    return app


def known_browser(
    client: Any, subject: str, cookie: str = "clarion-device", **more: str
) -> None:
    """Let a client be a browser in which somebody has signed in before."""
    from clarion.tenancy import devices

    key = devices.remember(subject, "", device="Firefox on Linux", address="127.0.0.0")
    client.set_cookie(cookie, key, **more)


class Visitor:
    """Keeps cookies and the token of forms between requests."""

    def __init__(self, tenant: Tenant | None = None) -> None:
        self.client = portal().test_client()
        self.token = ""
        if tenant is not None:
            self.sign_in(tenant)

    def sign_in(self, tenant: Tenant) -> None:
        """Come in by the door, with the factory's password, in a browser that is known."""
        self.knows(tenant)
        self.get("/sign-in")
        answer = self.post("/sign-in", email=tenant.email, password=PASSWORD)
        if answer.status_code not in (302, 303):
            raise AssertionError(f"the door stayed shut: {answer.status_code}")
        self.get("/")

    def knows(self, tenant: Tenant) -> "Visitor":
        """Be a browser in which they have signed in before."""
        known_browser(self.client, f"p:{tenant.person_id}")
        return self

    def get(self, path: str, *, fragment: bool = False, **headers: str) -> Any:
        """Read a page; remembers its token."""
        answer = self.client.get(path, headers=_headers(fragment, headers))
        found = re.search(r'name="csrf-token" content="([^"]+)"', answer.text)
        self.token = unescape(found[1]) if found else self.token
        return answer

    def post(
        self, path: str, *, fragment: bool = False, follow: bool = False, **fields: Any
    ) -> Any:
        """Send a form with the last page's token; names with a dash go by `**{}`."""
        return self.client.post(
            path,
            data={"csrf_token": self.token, **fields},
            headers=_headers(fragment, {}),
            follow_redirects=follow,
        )


def _headers(fragment: bool, more: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {**({"HX-Request": "true"} if fragment else {}), **named}
