"""Exports: complete, harmless to spreadsheets, and taken back in unchanged."""

import csv
import io
import json
import re
import zipfile
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, NotFound
from clarion.messaging import suppression
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account
from clarion_contacts import service
from clarion_contacts.importing import open_table, ours
from clarion_contacts.service import Details, Filters, bulk

CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}
FORMULAS = ("=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''=1", "=cmd|' /C calc'!A0")


def export(filters=None, form="csv"):
    with db.transaction():
        asked = service.ask("export", filters or Filters())
        service.go(asked.id, {})
    while service.get_bulk(asked.id).state == "running":
        with db.transaction():
            service.step(asked.id)
    with db.transaction():
        return b"".join(service.download(service.get_bulk(asked.id), form).chunks)


def table(raw):
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@pytest.fixture
def people(account):
    with db.transaction():
        service.add_field("Points", "number")
        service.add_field("Plan", "choice", ["basic", "g|old]: x"])
        news = service.add_list("News").id
        ana = service.add(
            Details(
                name="Ana Lima",
                phone="+5511912340001",
                email="ana@example.org",
                attributes={"points": "12.5", "plan": "g|old]: x", "city": "-Recife"},
            )
        ).id
        bob = service.add(Details(name="=HYPERLINK()", phone="+5511912340002")).id
        service.tag([ana], ["vip", "novo"])
        service.enlist([ana], news)
        service.opt_in(ana, **CONSENT, agreed_on=None)
        service.opt_out(bob)
    return ana, bob


def test_a_file_has_everything_and_no_formula(people):
    raw = export()

    one, two = table(raw)
    assert raw.startswith(b"\xef\xbb\xbf")
    assert one["phone"] == "+5511912340001"
    assert (one["tags"], one["lists"]) == ("novo, vip", "News")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", one["consent"])
    assert one["Points [points: number]"] == "12.5"
    assert one[r"Plan [plan: choice basic|g\|old\]\: x]"] == "g|old]: x"
    assert one["city [city: text]"] == "'-Recife"
    assert one["clarion_id"] == str(people[0])
    assert (two["name"], two["consent"]) == ("'=HYPERLINK()", "no")
    body = raw.decode("utf-8-sig").splitlines()
    assert all(re.fullmatch(r'"[^"]*"(,"[^"]*")*', line) for line in body)


def test_only_who_is_on_the_screen_is_in_the_file(people):
    assert [row["clarion_id"] for row in table(export(Filters(words="ana")))] == [
        str(people[0])
    ]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_a_text_and_comes_back_as_it_was(text):
    safe = ours.harmless(text)

    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r", "\0"))
    assert ours.plain(safe) == text


@given(st.text())
def test_marking_is_exactly_undone(text):
    safe = ours.harmless(text)

    assert safe[:1] not in ("=", "+", "-", "@", "\t", "\r", "\0")
    assert ours.plain(safe) == text


@given(st.text(max_size=20), st.booleans())
def test_only_a_whole_number_of_e164_is_left_alone(text, phone):
    for value in (text, f"+{text}", "+5511912340001" + text):
        written = ours.cell(value, phone)
        assert written == value or written == f"'{value}"
        if written[:1] in ("=", "+", "-", "@", "\t", "\r", "\0"):
            assert phone
            assert re.fullmatch(r"\+[1-9][0-9]{4,14}", written)


words = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\0"), min_size=1
).filter(str.strip)


@given(words, words, st.sampled_from(["text", "number", "date", "yes_no"]))
def test_a_heading_tells_its_field(title, key, kind):
    said = ours.Own(key, title, kind)

    assert ours.own(ours.heading(said)) == said
    assert ours.own(ours.harmless(ours.heading(said))) == said


@given(words, words, st.lists(words, min_size=1, max_size=4))
def test_a_heading_tells_its_choices(title, key, choices):
    said = ours.Own(key, title, "choice", tuple(choices))

    assert ours.own(ours.heading(said)) == said


def test_a_workbook_has_the_same_cells_and_not_one_formula(people):
    raw = export(form="xlsx")

    with zipfile.ZipFile(io.BytesIO(raw)) as packed:
        assert packed.testzip() is None
        sheet = packed.read("xl/worksheets/sheet1.xml")
    tree = ET.fromstring(sheet)  # noqa: S314 -- ours
    name = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    rows = [["".join(cell.itertext()) for cell in row] for row in tree.iter(f"{name}row")]
    assert tree.find(f".//{name}f") is None
    assert rows[0][:3] == ["phone", "name", "first_name"]
    assert rows[2][1] == "=HYPERLINK()"
    assert tree.find(f".//{name}row[3]/{name}c[2]").get("r") == "B3"


def test_our_own_reader_finds_the_same_in_both_kinds_of_file(people):
    sheet, text = open_table(export(form="xlsx")), open_table(export())

    names = [one.name for one in sheet.columns]
    assert names == [one.name for one in text.columns]
    marked = [[ours.plain(cell) for cell in cells] for _at, cells in text.head]
    assert [[*cells] for _at, cells in sheet.head[1:]] == marked[1:]


def test_people_who_are_gone_are_not_in_the_file(people, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    with db.transaction():
        asked = service.ask("export", Filters())
        service.go(asked.id, {})
        with pytest.raises(Conflict):
            service.download(service.get_bulk(asked.id), "csv")
        service.delete([people[0]])
    while service.get_bulk(asked.id).state == "running":
        with db.transaction():
            service.step(asked.id)

    with db.transaction():
        raw = b"".join(service.download(service.get_bulk(asked.id), "csv").chunks)
    assert [row["clarion_id"] for row in table(raw)] == [str(people[1])]


def test_a_file_is_for_who_asked_and_may(people, account):
    with db.transaction():
        asked = service.ask("export", Filters())
        service.go(asked.id, {})

    with account_scope(account.id, account.member("member")), pytest.raises(Forbidden):
        service.ask("export", Filters())
    stranger = make_account("Loja Norte")
    with account_scope(stranger.id, stranger.actor), pytest.raises(NotFound):
        service.get_bulk(asked.id)


def test_the_parts_are_sealed(people):
    with db.transaction() as orm:
        asked = service.ask("export", Filters())
        service.go(asked.id, {})
        body = (
            orm.connection()
            .exec_driver_sql("SELECT body FROM contacts_bulk_part")
            .scalar_one()
        )

    assert b"Ana" not in bytes(body)
    assert json.dumps("Ana Lima").encode() not in bytes(body)
    assert suppression.count() > 0
