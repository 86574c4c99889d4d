"""Sessions as rows: what a key opens, and what ends it."""

import datetime as dt
from types import SimpleNamespace

import pytest
from flask import Flask, flash, get_flashed_messages, session
from flask_login import encode_cookie
from sqlalchemy import func, select, update
from werkzeug.test import Client

from clarion.base import clock, crypto, db, settings
from clarion.tenancy.models import Account, ConsoleSession, PortalSession
from clarion.testing.console import statements, writes
from clarion.web import login

SYSTEM = db.Entry("clarion_system")
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/130.0 Safari/537.36"


def make_app(kind="portal", epochs=None):
    people = epochs if epochs is not None else {"42": 0}
    app = Flask("test", static_folder=None)
    app.secret_key = "k" * 32
    app.session_interface = (
        login.portal_sessions() if kind == "portal" else login.console_sessions()
    )

    def load(key):
        return SimpleNamespace(key=key) if key in people else None

    login.Logins("p" if kind == "portal" else "s", load, lambda w: people[w.key]).init_app(
        app
    )

    @app.get("/in")
    def enter():
        login.sign_in(SimpleNamespace(key="42"), "42")
        return "in"

    @app.get("/out")
    def leave():
        login.sign_out()
        return "out"

    @app.get("/who")
    def who():
        return getattr(login.current(), "key", "nobody")

    @app.get("/flash")
    def say():
        flash("hello")
        return "said"

    @app.get("/read")
    def read():
        return ",".join(get_flashed_messages())

    @app.get("/fails")
    def fails():
        session["kept"] = "yes"
        db.session().add(Account(name="never"))
        raise RuntimeError

    @app.get("/kept")
    def kept():
        return session.get("kept", "no")

    @app.errorhandler(RuntimeError)
    def failed(_error):
        return "failed", 500

    return app


def ask(client, path, address="203.0.113.9", **headers):
    return client.get(
        path,
        headers={"User-Agent": CHROME, **headers},
        environ_base={"REMOTE_ADDR": address},
    )


@pytest.fixture
def app(clean):
    return make_app()


@pytest.fixture
def client(app):
    client = Client(app)
    ask(client, "/in")
    return client


def row_of(client, model=PortalSession, name="clarion"):
    key = client.get_cookie(name).value
    with db.apart(SYSTEM) as orm:
        return orm.scalar(select(model).where(model.id_hash == crypto.digest(key)))


def test_sign_in_keeps_a_hash_a_device_and_a_network(client):
    row = row_of(client)

    assert row.subject == "p:42"
    assert row.device == "Chrome on Windows"
    assert row.address == "203.0.113.0"
    assert row.data["_user_id"] == "p:42:0"


def test_a_copied_cookie_dies_with_signing_out(client, app):
    key = client.get_cookie("clarion").value
    thief = Client(app)
    thief.set_cookie("clarion", key)
    assert ask(thief, "/who").text == "42"

    answer = ask(client, "/out")

    assert ask(thief, "/who").text == "nobody"
    assert client.get_cookie("clarion") is None
    assert "clarion=;" in answer.headers["Set-Cookie"]


def test_a_raised_epoch_ends_every_session(clean):
    epochs = {"42": 0}
    app = make_app(epochs=epochs)
    first, second = Client(app), Client(app)
    ask(first, "/in")
    ask(second, "/in")
    assert [ask(c, "/who").text for c in (first, second)] == ["42", "42"]

    epochs["42"] = 1

    assert [ask(c, "/who").text for c in (first, second)] == ["nobody", "nobody"]


def test_a_preset_cookie_is_replaced(app):
    client = Client(app)
    client.set_cookie("clarion", "chosen-by-somebody-else")

    ask(client, "/in")

    assert client.get_cookie("clarion").value != "chosen-by-somebody-else"


def test_signing_in_again_gives_a_new_key_and_kills_the_old(client, app):
    old = client.get_cookie("clarion").value

    ask(client, "/in")

    thief = Client(app)
    thief.set_cookie("clarion", old)
    assert client.get_cookie("clarion").value != old
    assert ask(thief, "/who").text == "nobody"


def test_a_key_of_one_realm_opens_nothing_in_the_other(clean):
    portal, console = make_app("portal"), make_app("console")
    customer, member = Client(portal), Client(console)
    ask(customer, "/in")
    ask(member, "/in")
    key = customer.get_cookie("clarion").value
    staff_key = member.get_cookie("clarion-console").value

    for app, name, value in (
        (console, "clarion-console", key),
        (console, "clarion", key),
        (portal, "clarion", staff_key),
        (portal, "clarion-console", staff_key),
    ):
        visitor = Client(app)
        visitor.set_cookie(name, value)
        assert ask(visitor, "/who").text == "nobody"


def test_a_login_id_of_the_other_realm_is_nobody(client, app):
    row = row_of(client)
    with db.apart(SYSTEM) as orm:
        orm.execute(
            update(PortalSession)
            .where(PortalSession.id == row.id)
            .values(data={"_user_id": "s:42:0"})
        )

    assert ask(client, "/who").text == "nobody"


@pytest.mark.parametrize("forged", ["p:42:0", "s:42:0", "42"])
def test_a_remember_token_signs_nobody_in(app, forged):
    with app.app_context():
        token = encode_cookie(forged, key=app.secret_key)
    client = Client(app)
    client.set_cookie("remember_token", token)

    assert ask(client, "/who").text == "nobody"


def test_idle_and_absolute_ends(clean):
    for kind, idle, end in (
        ("portal", dt.timedelta(hours=12), dt.timedelta(days=30)),
        ("console", dt.timedelta(minutes=30), dt.timedelta(hours=12)),
    ):
        app = make_app(kind)
        with clock.freeze():
            client = Client(app)
            ask(client, "/in")
            clock.advance(seconds=idle.total_seconds() - 5)
            assert ask(client, "/who").text == "42"
            clock.advance(seconds=idle.total_seconds() + 5)
            assert ask(client, "/who").text == "nobody"

        with clock.freeze():
            client = Client(app)
            ask(client, "/in")
            for _ in range(int(end / (idle / 2)) - 1):
                clock.advance(seconds=idle.total_seconds() / 2)
                assert ask(client, "/who").text == "42"
            clock.advance(seconds=idle.total_seconds() / 2 + 5)
            assert ask(client, "/who").text == "nobody"


def test_seen_at_is_written_once_a_minute(client):
    with clock.freeze():
        clock.advance(seconds=61)
        ask(client, "/who")
        with statements() as run:
            for _ in range(5):
                ask(client, "/who")
        assert writes(run) == []

        clock.advance(seconds=61)
        with statements() as run:
            ask(client, "/who")
        assert len(writes(run)) == 1


def test_a_stranger_leaves_no_row(app):
    with statements() as run:
        answer = ask(Client(app), "/who")

    assert run == []
    assert answer.headers["Vary"] == "Cookie"
    assert "Set-Cookie" not in answer.headers


def test_two_notices_are_both_kept(client):
    ask(client, "/flash")
    ask(client, "/flash")

    assert ask(client, "/read").text == "hello,hello"
    assert ask(client, "/read").text == ""


def test_a_session_is_saved_apart_from_a_failed_request(client):
    assert ask(client, "/fails").status_code == 500

    db.session.remove()
    assert ask(client, "/kept").text == "yes"
    with db.apart(SYSTEM) as orm:
        assert orm.scalar(select(func.count()).where(Account.name == "never")) == 0


def test_the_cookie_over_tls_carries_its_prefix(clean, monkeypatch):
    monkeypatch.setenv("CLARION_PUBLIC_URL", "https://clarion.example")
    settings.settings.cache_clear()
    try:
        app = make_app("console")
        client = Client(app)
        words = client.get("/in", base_url="https://clarion.example").headers["Set-Cookie"]
    finally:
        monkeypatch.undo()
        settings.settings.cache_clear()

    assert words.startswith("__Host-clarion-console=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(words.split("; "))
    assert "Domain" not in words


def test_without_tls_the_cookie_has_no_prefix(client):
    words = ask(client, "/in").headers["Set-Cookie"]

    assert words.startswith("clarion=")
    assert "Secure" not in words
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(words.split("; "))


def test_sessions_of_staff_stand_in_their_own_table(clean):
    client = Client(make_app("console"))
    ask(client, "/in")

    assert row_of(client, ConsoleSession, "clarion-console").subject == "s:42"


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (CHROME, "Chrome on Windows"),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/130.0 Safari/537.36 Edg/130.0",
            "Edge on macOS",
        ),
        ("curl/8.0", ""),
        ("", ""),
        (None, ""),
        ("Linux" * 10_000, "Linux"),
    ],
)
def test_device_family(agent, family):
    assert login.device_family(agent) == family


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("not an address", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_truncated(address, network):
    assert login.truncated(address) == network
