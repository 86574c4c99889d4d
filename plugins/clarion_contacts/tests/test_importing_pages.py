"""Judged rows travel as columns: nothing is lost, moved or mixed up on the way."""

import json

from clarion_contacts.importing import Matching, judge, open_table, pages, rows_of

FIELDS = {0: "phone", 1: "name", 2: "email", 3: "tags", 4: "custom:own", 5: "consent"}
LIST = (
    "phone,name,e-mail,tags,own,agreed\n"
    '+5511912340001,Ana,ana@example.org,"VIP, novo","a ""quoted"" \\ cell",yes\n'
    "12,Bob,,,,\n"
    "+5511912340002,Caí \x1e\x1d,,vip,Ünï 😀,2024-03-01\n"
    ",,,,and enough letters to be taken for a text with two strange signs in it; "
    "more than one in a hundred would be too many for any list of people,\n"
)
RAW = LIST.encode()


def columns(size):
    table = open_table(RAW)
    chosen = Matching.of(table, FIELDS, region="BR")
    told = json.loads(json.dumps(pages.order(table, chosen, "BR", after=0, size=size)))
    return [pages.Page.of(frame) for frame in pages.judged(RAW, told)]


def cells(some, name):
    return [
        cell
        for page in some
        for cell in (page.columns.get(name) or pages.CELL * (page.count - 1)).split(
            pages.CELL
        )
    ]


def test_columns_say_what_the_verdicts_said():
    table = open_table(RAW)
    verdicts = list(
        judge(rows_of(RAW, table.shape), Matching.of(table, FIELDS, region="BR"), "BR", {})
    )

    for size in (1, 2, 100):
        some = columns(size)
        assert [int(one) for one in cells(some, "line")] == [one.line for one in verdicts]
        for name in ("phone", "reason", "sentence", "name"):
            assert cells(some, name) == [getattr(one, name) for one in verdicts]
        own = [json.loads(cell or "{}") for cell in cells(some, "attributes")]
        assert own == [one.attributes for one in verdicts]
        tags = [json.loads(cell or "[]") for cell in cells(some, "tags")]
        assert tags == [["vip", "novo"], [], ["vip"], []]
        assert cells(some, "said") == ["yes", "", "yes", ""]
        assert cells(some, "said_on") == ["", "", "2024-03-01", ""]
        assert some[-1].to == verdicts[-1].line


def test_a_tag_keeps_the_spelling_it_had_first():
    (page,) = columns(100)

    assert page.tags == {"vip": "VIP", "novo": "novo"}


def test_what_is_empty_everywhere_is_not_sent():
    (page,) = columns(100)

    assert "timezone" not in page.columns
    assert "email" in page.columns
