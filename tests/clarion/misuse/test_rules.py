"""Points for what is unusual, and none for what is not: pure arithmetic."""

import pytest

from clarion.base import words
from clarion.misuse import facts, rules, wording
from clarion.misuse.rules import Facts, ListFacts, Norms

USUAL = Norms(opt_outs=0.005, blocks=0.002, failures=0.05)
GOOD_LIST = ListFacts(rows=5_000, invalid=90, in_row=3, countries=4, attested=True)


def points(**found):
    return {p.rule: p.points for p in rules.judge(Facts(**found), USUAL)}


def test_a_good_customer_has_no_points():
    assert points(age_days=400, asked=900_000, left=900_000, delivered=870_000,
                  failed=20_000, stopped=5_000, blocked=1_000, lists=[GOOD_LIST],
                  quality="green") == {}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"age_days": 0.5, "asked": 1_000}, {}),
        ({"age_days": 0.5, "asked": 4_000}, {"ramp": 50}),
        ({"age_days": 8, "asked": 100_001}, {"ramp": 20}),
        ({"age_days": 31, "asked": 10_000_000}, {}),
        ({"delivered": 199, "stopped": 199}, {}),  # too few to say
        ({"delivered": 1_000, "stopped": 9}, {}),
        ({"delivered": 1_000, "stopped": 10}, {"opt_outs": 15}),
        ({"delivered": 1_000, "stopped": 40}, {"opt_outs": 45}),
        ({"delivered": 1_000, "blocked": 8}, {"blocks": 30}),
        ({"left": 1_000, "failed": 400}, {"failures": 45}),
        ({"lists": [ListFacts(1_000, 250, 0, 2, True)]}, {"invalid_rows": 15}),
        ({"lists": [ListFacts(1_000, 0, 600, 2, False)]}, {"in_sequence": 70, "no_consent": 10}),
        ({"lists": [ListFacts(1_000, 0, 0, 2, True, twins=1)]}, {"same_list": 25}),
        ({"lists": [ListFacts(99, 99, 999, 99, False, twins=9)]}, {}),  # too short to say
        ({"quality": "yellow", "stops": ["spam_restricted"]}, {"quality": 45}),
        ({"odd_links": 1}, {"links": 20}),
    ],
)  # fmt: skip
def test_points(found, expected):
    assert points(**found) == expected


def test_the_score_is_the_sum_of_its_parts_up_to_a_hundred():
    parts = rules.judge(Facts(delivered=1_000, stopped=90, blocked=90, odd_links=2), USUAL)

    assert sum(p.points for p in parts) == 130
    assert rules.score(parts) == 100


@pytest.mark.parametrize(
    ("link", "word"),
    [
        ("https://shop.example/sale?x=1", ""),
        ("https://bit.ly/3xyz", "shortened"),
        ("https://203.0.113.7/pay", "numeric_host"),
        ("https://[2001:db8::1]/pay", "numeric_host"),
        ("https://xn--pypal-4ve.example/", "look_alike"),
        ("https://paypa\u0142.example/", "look_alike"),
        ("https://bank.example@evil.example/", "user_name"),
        ("https://shop.example:8443/", "port"),
        ("http://shop.example/", "not_encrypted"),
        ("https://shop.example:x/", "unreadable"),
    ],
)
def test_odd_links(link, word):
    assert facts.oddness(link) == word


def test_numbers_in_sequence():
    assert facts.in_sequence([f"+55119{i:08d}" for i in range(500)]) == 998
    assert facts.in_sequence([f"+55119{i * 7:08d}" for i in range(500)]) == 0


def test_the_likeness_of_a_list_gives_no_number_away(database):
    numbers = sorted(f"+55119{i * 7:08d}" for i in range(200))
    one = facts.likeness(numbers, 200)

    assert one == facts.likeness(list(numbers), 200)
    assert one != facts.likeness(numbers[1:], 199)
    assert len(one) == 32


@pytest.mark.parametrize(
    ("language", "ramp", "opt_outs"),
    [
        ("en", ("90,000", "1,000"), ("2.14%", "48,210", "0.50%")),
        ("de", ("90.000", "1.000"), ("2,14\N{NO-BREAK SPACE}%", "48.210", "0,50\N{NO-BREAK SPACE}%")),
    ],
)  # fmt: skip
def test_figures_are_written_as_the_reader_writes_them(language, ramp, opt_outs):
    people = {"rule": "ramp", "points": 50, "found": 90_000, "norm": 1_000, "of": 90_000}
    stops = {"rule": "opt_outs", "points": 30, "found": 0.0214, "norm": 0.005, "of": 48_210}
    with words.speaking(language):
        said = wording.of(people).found, wording.of(stops).found

    assert all(one in said[0] for one in ramp), said
    assert all(one in said[1] for one in opt_outs), said
