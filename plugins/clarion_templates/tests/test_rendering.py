"""The tokenizer and the checks: what a provider would refuse is said before it is sent."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.base.errors import Invalid
from clarion_templates import rendering
from clarion_templates.rendering import Button, Content

GOOD = Content(
    name="early_access",
    language="en_US",
    category="marketing",
    header="Hello {{first_name}}",
    body="Hi {{first_name}}, use {{code}} until midnight and save a lot today.",
    footer="Reply STOP to opt out",
    buttons=(Button("quick_reply", "Tell me more"), Button("url", "Shop", "https://a.example/{{code}}")),
    samples={"first_name": "Ana", "code": "VERDE30"},
)  # fmt: skip


def bad(**changes):
    content = Content(**{**{f: getattr(GOOD, f) for f in GOOD.__slots__}, **changes})
    return {(c.field, c.text) for c in rendering.problems(content) if c.level == "bad"}


def fields(**changes):
    return {field for field, _ in bad(**changes)}


def test_a_good_template_has_nothing_against_it():
    assert bad() == set()
    assert {c.level for c in rendering.checks(GOOD)} == {"ok", "warn"}


def test_variables_are_named_once_in_order():
    assert rendering.variables(GOOD) == ("first_name", "code")
    assert rendering.parts(GOOD) == [
        {"kind": "header", "variables": ["first_name"]},
        {"kind": "body", "variables": ["first_name", "code"]},
        {"kind": "button", "index": 1, "button": "url", "variables": ["code"]},
    ]


def test_a_text_is_filled_in():
    assert rendering.render("Hi {{ name }}!", {"name": "Ana"}) == "Hi Ana!"
    assert rendering.preview("Hi {{name}} {{x}}", {"name": "Ana"}) == "Hi Ana {{x}}"
    assert rendering.canonical("Hi {{ name }}") == "Hi {{name}}"


def test_a_value_is_not_read_again():
    assert rendering.render("Hi {{a}}!", {"a": "{{b}}", "b": "no"}) == "Hi {{b}}!"


@pytest.mark.parametrize(
    "text", ["Hi {{", "Hi }} you", "Hi {{Name}} you", "{{ 1 }}", "{{}}", "{{a.b}}"]
)
def test_a_mark_that_is_none_is_refused(text):
    with pytest.raises(Invalid) as refused:
        rendering.render(text, {"a": "1"})

    assert refused.value.code == "template_mark"
    assert "body" in fields(body=f"Well, {text} and on")


def test_a_missing_value_is_refused_by_name():
    with pytest.raises(Invalid) as refused:
        rendering.render("Hi {{name}}!", {})

    assert refused.value.code == "variable_missing"
    assert "name" in refused.value.text


def test_nothing_is_ever_executed():
    text = "Hi {{ config }} {% set x = 1 %} {{ 7*7 }} ${x} %s"

    assert "49" not in rendering.preview(text, {"config": "c"})
    assert "{% set x = 1 %}" in rendering.preview(text, {"config": "c"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Early Access"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a" * 513}, "name"),
        ({"language": "xx"}, "language"),
        ({"category": "authentication"}, "category"),
        ({"header": "x" * 61}, "header"),
        ({"header": "{{first_name}} {{code}}"}, "header"),
        ({"header": "a\nb"}, "header"),
        ({"body": ""}, "body"),
        ({"body": "   "}, "body"),
        ({"body": "x" * 1025}, "body"),
        ({"body": "{{first_name}}, hello there"}, "body"),
        ({"body": "Hello there {{first_name}} "}, "body"),
        ({"body": "Hello {{first_name}} {{code}} and so on"}, "body"),
        ({"footer": "x" * 61}, "footer"),
        ({"footer": "Bye {{first_name}} now"}, "footer"),
        ({"buttons": tuple(Button("quick_reply", f"b{i}") for i in range(11))}, "buttons"),
        ({"buttons": tuple(Button("url", f"b{i}", "https://a.example") for i in range(3))}, "buttons"),
        ({"buttons": (Button("quick_reply", "a"), Button("url", "b", "https://a.example"), Button("quick_reply", "c"))}, "buttons"),
        ({"buttons": (Button("quick_reply", "Yes"), Button("quick_reply", "yes"))}, "buttons"),
        ({"buttons": (Button("quick_reply", ""),)}, "buttons"),
        ({"buttons": (Button("quick_reply", "x" * 26),)}, "buttons"),
        ({"buttons": (Button("quick_reply", "Hi {{first_name}}"),)}, "buttons"),
        ({"buttons": (Button("url", "Go", "javascript:alert(1)"),)}, "buttons"),
        ({"buttons": (Button("url", "Go", "https://[bad"),)}, "buttons"),
        ({"buttons": (Button("url", "Go", "https://{{code}}.example/x"),)}, "buttons"),
        ({"samples": {"first_name": "Ana"}}, "samples"),
        ({"samples": {"first_name": "Ana", "code": "a\nb"}}, "samples"),
    ],
)  # fmt: skip
def test_what_the_provider_refuses_names_its_field(changes, field):
    assert field in fields(**changes)


def test_limits_themselves_are_allowed():
    assert bad(header="x" * 60, body="x" * 1024, footer="x" * 60) == set()
    assert bad(buttons=(Button("quick_reply", "x" * 25),)) == set()


def test_marketing_without_a_way_out_is_warned_about():
    quiet = Content(name="a", body="Hello there", category="marketing")

    assert any(c.level == "warn" and c.field == "footer" for c in rendering.checks(quiet))


@given(st.text(alphabet="{}ab_ \n%#" + string.digits, max_size=200))
def test_any_text_is_cut_into_pieces_that_make_it_up(text):
    found = list(rendering.tokens(text))

    shown = "".join(
        f"{{{{{t.value}}}}}" if t.kind == "variable" else t.value for t in found
    )
    assert shown == rendering.canonical(text)
    assert rendering.canonical(shown) == shown
    assert all(t.value for t in found)


def test_a_long_row_of_braces_takes_no_time():
    list(rendering.tokens("{{" * 200_000))
    list(rendering.tokens("{{a" * 200_000))
