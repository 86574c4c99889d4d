"""Routes say who may open them; forms take refusals back; fragments know what is new."""

import time

import pytest
from flask import Flask
from flask_wtf.csrf import generate_csrf
from itsdangerous import TimestampSigner
from wtforms import StringField

from clarion.base import db
from clarion.base.errors import Forbidden, Invalid
from clarion.tenancy.models import Preference
from clarion.web.pages import (
    Form,
    Pages,
    Unguarded,
    fragment,
    local,
    needs,
    person,
    public,
    signed_in,
)


def test_a_route_without_a_guard_cannot_be_registered():
    pages = Pages("sample", __name__)

    with pytest.raises(Unguarded, match="sample: /open"):

        @pages.get("/open")
        def open_to_all():
            return "x"

    with pytest.raises(Unguarded):
        pages.add_url_rule("/none")


@pytest.mark.parametrize("guard", [public, signed_in, person, needs("sample.view")])
def test_every_guard_lets_a_route_be_registered(guard):
    pages = Pages("sample", __name__)

    @pages.get("/")
    @guard
    def view():
        return "x"

    assert view.guard


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\tevil",
        "/a\nb",
        " /a",
        "javascript:alert(1)",
        "evil.example",
        "",
        None,
        "http:/evil",
    ],
)
def test_only_paths_of_ours_are_followed(target):
    assert local(target, "/home") == "/home"


@pytest.mark.parametrize("target", ["/", "/campaigns/7?tab=log&x=%20", "/a#b"])
def test_paths_of_ours_are_followed(target):
    assert local(target, "/home") == target


def test_a_fragment_is_sent_once_and_says_when_it_is_done():
    app = Flask(__name__)
    app.add_url_rule("/live", view_func=lambda: fragment("<p>62%</p>", done=True))
    client = app.test_client()

    first = client.get("/live")
    again = client.get("/live", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, first.headers["X-Live"]) == (200, "done")
    assert (again.status_code, again.text) == (304, "")


def test_a_fragment_with_forms_is_the_same_a_second_later(monkeypatch):
    app = Flask(__name__)
    app.secret_key = "only here"
    app.add_url_rule("/live", view_func=lambda: fragment(generate_csrf()))
    client = app.test_client()

    first = client.get("/live")
    now = int(time.time())
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now + 60)
    again = client.get("/live", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code) == (200, 304)


class NameForm(Form):
    name = StringField("Name")


@pytest.fixture
def form():
    app = Flask(__name__)
    app.secret_key = "only here"
    with app.test_request_context("/", method="POST", data={"name": "  Ana  "}):
        yield NameForm()


def test_texts_lose_the_blanks_around_them(form):
    assert form.name.data == "Ana"


@pytest.mark.parametrize("busy", [True, False])
def test_a_refused_attempt_undoes_its_rows_and_names_its_field(form, account, busy):
    with db.transaction() as orm:
        if busy:
            orm.add(Preference(plugin="sample", name="before", value=1))
            orm.flush()
        with form.attempt():
            orm.add(Preference(plugin="sample", name="inside", value=1))
            orm.flush()
            raise Invalid("name_taken", "This name is taken.", field="name")
    names = {row.name for row in orm.query(Preference)}

    assert names == ({"before"} if busy else set())
    assert form.name.errors == ["This name is taken."]


def test_a_refusal_without_a_field_stands_above_the_form(form, account):
    with db.transaction(), form.attempt():
        raise Invalid("too_late", "Too late.")

    assert form.errors == {"": ["Too late."]}


def test_what_a_role_may_not_do_is_no_mistake_in_a_form(form, account):
    with pytest.raises(Forbidden), db.transaction(), form.attempt():
        raise Forbidden("not_allowed", "No.")
