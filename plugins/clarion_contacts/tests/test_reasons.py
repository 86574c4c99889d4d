"""Why one person is not in an audience: every kind of rule says it in words."""

import pytest

from clarion.base import db
from clarion_contacts import service
from clarion_contacts.segments import rules
from clarion_contacts.service import Details, reasons


@pytest.fixture
def ana(account):
    with db.transaction():
        service.add_field("City", "text")
        return service.add(
            Details(
                name="Ana",
                phone="+5511912340001",
                country="BR",
                attributes={"city": "Natal"},
            )
        ).id


NOBODY = "00000000-0000-7000-8000-000000000000"
GONE = "The rule speaks of a segment that was deleted, so it chooses nobody."
NOT_SO = {
    "tag": ({"op": "tag", "tag": NOBODY}, "They do not have the tag “deleted”."),
    "list": ({"op": "list", "list": NOBODY}, "They are not on the list “deleted”."),
    "import": (
        {"op": "import", "import": NOBODY},
        "They did not come with the import “deleted”.",
    ),
    "own field": (
        {"op": "field", "field": "attributes.city", "test": "is", "value": "Recife"},
        "The rule asks: City is “Recife”. Theirs is “Natal”.",
    ),
    "field they lack": (
        {"op": "field", "field": "email", "test": "filled"},
        "The rule asks: E-mail has a value. They have none.",
    ),
    "consent": (
        {"op": "consent", "value": "given"},
        "Their consent for marketing is not: given.",
    ),
    "wording": (
        {"op": "consent", "part": "wording", "value": NOBODY},
        (
            "In their consent for marketing, the words they agreed to is not what the rule"
            " asks for."
        ),
    ),
    "campaign": (
        {"op": "campaign", "did": "read", "days": 30, "times": 2},
        (
            "No campaign's message is as the rule asks: was read by them, in the last 30"
            " days, at least 2 times."
        ),
    ),
    "inbound": ({"op": "inbound"}, "They never wrote to you."),
    "suppressed": ({"op": "suppressed"}, "They did not say STOP."),
    "share": (
        {"op": "share", "seed": "x", "percent": 0.01},
        "The draw of 0.01 % did not choose them.",
    ),
    "holdout": (
        {"op": "holdout", "name": "Control", "percent": 0.01},
        "They are not in the holdout “Control”.",
    ),
    "segment": (
        {"op": "segment", "segment": NOBODY},
        "They are not in the segment “deleted”.",
    ),
    "snapshot": (
        {"op": "snapshot", "snapshot": NOBODY},
        "They were not in the snapshot “deleted”.",
    ),
    "outcome": (
        {"op": "outcome", "campaign": NOBODY, "reason": "blocked"},
        "Their message of “deleted” did not fail for the reason named.",
    ),
}


@pytest.mark.parametrize("kind", NOT_SO)
def test_a_rule_says_in_words_what_is_missing(ana, kind):
    rule, said = NOT_SO[kind]

    assert reasons.why_not(rule, ana) == [said]
    turned = reasons.why_not({"op": "none", "of": [rule]}, ana)
    assert turned == ([] if kind != "segment" else [GONE])


def test_every_kind_of_rule_has_words():
    assert {node for node in rules.Node.__args__ if node is not rules.Group} == set(
        reasons._LEAVES
    )


def test_groups_name_what_decided(ana):
    brazil = {"op": "field", "field": "country", "test": "is", "value": "BR"}
    stop, wrote = {"op": "suppressed"}, {"op": "inbound"}

    found = reasons.why_not(
        {"op": "and", "of": [brazil, {"op": "or", "of": [stop, wrote]}]}, ana
    )
    assert found == [
        "They did not say STOP.",
        "They never wrote to you.",
        "One of these would be enough.",
    ]
    assert reasons.why_not({"op": "none", "of": [brazil, stop]}, ana) == [
        "The rule asks: Country is “BR”. Theirs is “BR”. Who is so is left out."
    ]
    assert reasons.why_not({"op": "and", "of": [brazil]}, ana) == []


def test_a_segment_in_a_rule_is_explained_too(ana):
    with db.transaction():
        saved = service.save_segment({"op": "inbound"}, "Writers")

    assert reasons.why_not({"op": "segment", "segment": str(saved.id)}, ana) == [
        "They are not in the segment “Writers”.",
        "They never wrote to you.",
    ]
