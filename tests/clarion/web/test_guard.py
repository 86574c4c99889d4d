"""What every answer carries, and what every unsafe request must bring."""

import time

import pytest
from flask import session
from tests.clarion.web.conftest import Browser
from werkzeug.test import Client

from clarion.web.guard import HEADERS, LONGEST, PARTS
from clarion.web.pages import Pages, public


def carries_everything(answer):
    missing = {name for name in HEADERS if name not in answer.headers}
    return not missing and answer.headers["X-Request-Id"].startswith("req_")


# --- headers


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sign-in",
        "/team/",
        "/no-such-page",
        "/healthz",
        "/readyz",
        "/metrics",
        "/console/",
        "/console/no-such-page",
        "/in/whatsapp_cloud/not-a-uuid",
        "/in/nobody/0192f0a0-0000-7000-8000-000000000000",
        "/ui/dist/no-such-file.js",
    ],
)
def test_every_answer_carries_the_headers(path, stranger):
    assert carries_everything(stranger.ask(path))


def test_static_files_do_too(stranger):
    import re

    (address,) = re.findall(r'src="(/ui/dist/app-[^"]+\.js)"', stranger.ask("/").text)
    answer = stranger.ask(address)

    assert answer.status_code == 200
    assert carries_everything(answer)
    assert "Set-Cookie" not in answer.headers


def test_every_page_of_both_realms_does(stranger, apps):
    for app in (apps.portal, apps.console):
        for rule in app.url_map.iter_rules():
            if "GET" in rule.methods and not rule.arguments:
                assert carries_everything(stranger.ask(rule.rule)), rule


def test_the_policy_allows_nothing_inline_and_nobody_else(stranger):
    policy = stranger.ask("/").headers["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.startswith("default-src 'none'")


def test_a_failure_shows_an_id_and_no_trace(apps, app):
    answer = Browser(app).ask("/sign-in?next=/x", headers={"Cookie": "clarion=\x00x"})

    assert answer.status_code < 500
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(apps.portal.view_functions, "auth.sign_in", _fails)
        answer = Browser(app).ask("/sign-in")
    assert answer.status_code == 500
    assert carries_everything(answer)
    assert answer.headers["X-Request-Id"] in answer.text
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text


def _fails():
    raise RuntimeError("a secret detail")


# --- caches


def test_pages_of_people_are_kept_nowhere(owner, stranger):
    assert owner.ask("/").headers["Cache-Control"] == "no-store"
    assert "Cookie" in owner.ask("/").headers["Vary"]
    assert "Set-Cookie" not in stranger.ask("/").headers  # no session for a look


def test_signing_out_clears_what_the_browser_kept(owner):
    answer = owner.send("/sign-out")

    assert "cache" in answer.headers["Clear-Site-Data"]


# --- who asks


def unsafe_routes(app):
    for rule in app.url_map.iter_rules():
        if "POST" in rule.methods:
            values = dict.fromkeys(rule.arguments, "0192f0a0-0000-7000-8000-000000000000")
            adapter = app.url_map.bind("127.0.0.1")
            try:
                yield adapter.build(rule.endpoint, values, method="POST")
            except Exception:
                yield adapter.build(
                    rule.endpoint, dict.fromkeys(rule.arguments, 1), method="POST"
                )


BY_LINK = ("/contacts/join/", "/contacts/you/", "/contacts/stop/", "/contacts/decline/")
"""Pages of people without an account: what they may is signed into the address."""


def test_no_unsafe_route_takes_a_request_without_a_token(owner, apps):
    for path in unsafe_routes(apps.portal):
        if path.startswith(BY_LINK):
            continue
        owner.token = ""
        assert owner.send(path).status_code == 403, path


def test_pages_by_link_rest_on_their_address_and_start_no_session(stranger, apps):
    """A mail provider's one click comes without cookie and token, from anywhere."""
    tried = [path for path in unsafe_routes(apps.portal) if path.startswith(BY_LINK)]
    assert len(tried) > 5
    for path in tried:
        stranger.token = ""
        answer = stranger.send(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 404, path  # as for every wrong link
        assert "Set-Cookie" not in answer.headers, path
        assert answer.headers["Cache-Control"] == "no-store"


def test_no_unsafe_route_of_the_console_does_either(stranger, apps):
    for path in unsafe_routes(apps.console):
        stranger.token = ""
        assert stranger.send(path).status_code in (302, 403), path


def test_another_sessions_token_is_none(owner, app):
    other = Browser(app)
    other.ask("/sign-in")
    owner.token = other.token

    assert owner.send("/profile").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
    ],
)
def test_another_site_cannot_send_our_forms(owner, headers):
    assert owner.send("/profile", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1.evil.example"}, False),
        ({"Referer": "https://evil.example/x"}, False),
        ({"Origin": "http://127.0.0.1"}, True),
        ({"Referer": "http://127.0.0.1/profile"}, True),
        ({}, True),
    ],
)
def test_older_browsers_are_asked_for_their_origin(owner, headers, taken):
    owner.ask("/profile")
    given = {"csrf_token": owner.token, "name": "Marina Lopes", "language": ""}
    answer = owner.ask("/profile", "POST", data=given, headers=headers)

    assert (answer.status_code == 302) is taken


def test_looking_changes_nothing_even_when_asked_by_get(owner):
    assert owner.ask("/sign-out").status_code == 405
    assert owner.ask("/").status_code == 200


# --- hosts, sizes, twice the same


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil"]
)
def test_unknown_hosts_are_refused(stranger, host):
    for path in ("/", "/sign-in", "/console/"):
        answer = stranger.ask(path, headers={"Host": host})
        assert answer.status_code == 400
        assert carries_everything(answer)


def test_a_body_beyond_the_limit_is_refused_unread(owner):
    length = {"CONTENT_LENGTH": str(LONGEST + 1)}
    answer = owner.ask("/profile", "POST", environ_overrides=length)

    assert answer.status_code == 413
    assert carries_everything(answer)


def test_a_field_beyond_the_limit_is_refused(owner):
    assert owner.send("/profile", {"name": "x" * 1_100_000}).status_code == 413


def test_more_parts_than_any_form_has_are_refused(owner):
    body = "--b\r\n" + "--b\r\n".join(
        f'Content-Disposition: form-data; name="n{n}"\r\n\r\nx\r\n' for n in range(2_100)
    )
    answer = owner.ask(
        "/profile",
        "POST",
        data=body + "--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert answer.status_code in (403, 413)


def test_more_fields_than_any_form_has_are_refused(owner):
    """LIM-06: before a field of them is read."""
    owner.ask("/profile")
    fields = {f"n{n}": "" for n in range(PARTS)}

    began = time.monotonic()
    answer = owner.send("/profile", fields)

    assert answer.status_code == 413
    assert time.monotonic() - began < 1
    assert owner.send("/profile", {"name": "Ana", "language": ""}).status_code == 302


@pytest.mark.parametrize("path", ["/sign-in/passkey", "/console/sign/in/passkey"])
@pytest.mark.parametrize("depth", [900, 5_000, 200_000])
def test_json_nested_without_end_is_no_passkey(app, path, depth):
    """LIM-06: whatever a stranger sends there, it is refused and nothing fails."""
    stranger = Browser(app)
    stranger.ask("/console/sign/in" if "console" in path else "/sign-in")

    began = time.monotonic()
    answer = stranger.send(path, {"credential": "[" * depth})

    assert answer.status_code in (302, 303, 422)
    assert time.monotonic() - began < 1


def test_a_field_that_comes_twice_is_refused(owner):
    owner.ask("/profile")
    answer = owner.send("/profile", {"name": ["Ana", "Eve"], "language": ""})

    assert answer.status_code == 422
    assert "came twice" in answer.text


def test_fields_that_are_lists_may_come_twice(apps, owner):
    pages = apps.portal.blueprints["portal"]

    assert pages.lists["portal.profile"] == {"rowid"}
    made = Pages("sample", __name__)

    @made.post("/", lists=("tag",))
    @public
    def view():
        return ""

    assert made.lists["sample.view"] == {"rowid", "tag"}


def test_a_wrong_cookie_is_no_session(app):
    client = Client(app)
    client.set_cookie("clarion", "not-a-key", domain="127.0.0.1")

    answer = client.get("/team/", headers={"Host": "127.0.0.1", "Accept": "text/html"})

    assert answer.status_code == 302
    assert "/sign-in" in answer.headers["Location"]


def test_sessions_are_ours_and_not_signed_cookies(apps):
    with apps.portal.test_request_context("/"):
        assert type(session._get_current_object()).__module__ == "clarion.web.login"
