"""Forms are read as a browser reads them."""

import pytest

from clarion.demo.visitor import Lost, Page, link_in

HTML = """
<main>
<input name="early" value="from outside" form="two">
<form id="one" action="/first" method="get"><input name="q" value="x"></form>
<form id="two" action="go" method="post">
  <input type="hidden" name="csrf_token" value="t&amp;1">
  <input name="off" value="1" disabled>
  <input type="checkbox" name="tag" value="a" checked>
  <label><input type="checkbox" name="tag" value="b"> Second</label>
  <label><input type="radio" name="kind" value="r1"> Round <b>one</b></label>
  <select name="place"><option value="">Choose</option><option value="p1" selected>Porto</option></select>
  <select name="first"><option value="f0">Zero</option><option>One</option></select>
  <textarea name="text">
line &lt;1&gt;
</textarea>
  <input type="file" name="file">
  <button>Save</button><button name="then" value="submit">Submit</button>
</form>
<input name="late" value="also outside" form="two">
</main>
"""


@pytest.fixture
def page():
    return Page("http://127.0.0.1:1/some/page", 200, {}, HTML)


def test_what_stands_in_a_form_is_read(page):
    form = page.form("csrf_token")

    assert form.action == "http://127.0.0.1:1/some/go"
    assert form.method == "post"
    assert form.fields == [
        ("early", "from outside"),
        ("csrf_token", "t&1"),
        ("tag", "a"),
        ("place", "p1"),
        ("first", "f0"),
        ("text", "line <1>\n"),
        ("late", "also outside"),
    ]
    assert form.buttons == [("then", "submit")]
    assert form.files == {"file"}


def test_choices_are_found_by_their_words(page):
    form = page.form("place")

    assert form.option("place", "Porto") == "p1"
    assert form.option("kind", "Round one") == "r1"
    assert form.option("first", "One") == "One"


def test_a_missing_form_is_said(page):
    with pytest.raises(Lost) as refused:
        page.form("password")

    assert refused.value.code == "form_missing"


def test_forms_are_found_by_where_they_go(page):
    assert page.form_to("/first").names == {"q"}


def test_a_link_is_found_in_a_mail():
    text = "Hello\nhttp://127.0.0.1:8000/confirm/abc-1\nBye"

    assert link_in(text, "/confirm/") == "http://127.0.0.1:8000/confirm/abc-1"
