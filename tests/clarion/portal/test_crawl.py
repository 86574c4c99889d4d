"""Whatever is put into an address or a form, the portal never answers with a 5xx."""

from contextlib import suppress

import pytest
from werkzeug.routing import BuildError, ValidationError

from clarion.testing.visitor import Visitor, portal

NASTY = (
    "\x00",
    "' OR 1=1 -- %",
    "9" * 40,
    "<script>{{7*7}}</script>../../etc/passwd",
    "\u202eé" * 200,
    "0192f0a0-0000-7000-8000-000000000000",
)
FIELDS = (
    *("name", "email", "password", "role", "to", "next", "language", "timezone", "country"),
    *(
        "number",
        "provider_id",
        "rate_per_s",
        "transport",
        "after",
        "before",
        "page",
        "sort",
    ),
    *(
        "q",
        "tag",
        "state",
        "consent",
        "reason",
        "key",
        "rowid",
        "action",
        "revision",
        "limit",
    ),
)
UNKNOWN = "0192f0a0-0000-7000-8000-000000000000"


def addresses(method, value):
    app = portal()
    bound = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if method in rule.methods and rule.endpoint != "auth.sign_out":
            filled = {
                name: UNKNOWN
                if type(rule._converters[name]).__name__ == "UUIDConverter"
                else value
                for name in rule.arguments
            }
            with suppress(
                BuildError, ValidationError
            ):  # this value is none for this address
                yield bound.build(rule.endpoint, filled, method=method)


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("known", [True, False])
def test_no_value_in_any_address_breaks_a_page(value, known, account):
    visitor = Visitor(account if known else None)
    for path in addresses("GET", value):
        answer = visitor.client.get(path, query_string=dict.fromkeys(FIELDS, value))
        assert answer.status_code < 500, path


@pytest.mark.parametrize("value", NASTY)
def test_no_value_in_any_form_breaks_a_page(value, account):
    visitor = Visitor(account)
    for path in addresses("POST", value):
        answer = visitor.post(path, **dict.fromkeys(FIELDS, value))
        assert answer.status_code < 500, path
        if answer.status_code in (302, 303) and "/sign-in" in answer.headers["Location"]:
            visitor = Visitor(account)
