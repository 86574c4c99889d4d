"""The pages, asked like a browser asks: a list from file to undo, and the walls."""

import io
import re
from pathlib import Path

import pytest
from sqlalchemy import event, update

from clarion.base import db
from clarion.tenancy.models import Membership
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor
from clarion_contacts import service
from clarion_contacts.service import Details
from clarion_contacts.tests.workbooks import xlsx

DEMO = Path(__file__).parents[3] / "dev" / "demo_contacts.csv"
CONSENT = {
    "source": "web_form",
    "place": "https://casaverde.example/newsletter",
    "agreed_on": "2025-03-01",
    "wording": "I want news from Casa Verde by WhatsApp.",
    "typed_name": "Marina Lopes",
}


@pytest.fixture
def tenant(clean):
    return make_account(country="BR")


@pytest.fixture
def visitor(tenant):
    return Visitor(tenant)


def person(tenant, **details):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        return service.add(
            Details(**({"name": "Ana Lima", "phone": "+5511912340001"} | details))
        ).id


def uploaded(visitor, raw):
    answer = visitor.post("/contacts/imports/new", file=(io.BytesIO(raw), "clientes.csv"))
    assert answer.status_code == 302, answer.text[:2000]
    return answer.location.removesuffix("/match")


def matched(page):
    """Read the form of columns from the page, as a browser would send it."""
    fields = {}
    for name, inside in re.findall(
        r'<select[^>]*name="(c\d+(?:_kind)?)"[^>]*>(.*?)</select>', page, re.DOTALL
    ):
        chosen = re.search(r'value="([^"]*)" selected', inside)
        fields[name] = chosen[1] if chosen else ""
    fields.update(re.findall(r'name="(c\d+_new)"[^>]*value="([^"]*)"', page))
    return fields | {"country": "BR"}


def test_a_list_from_file_to_undo(visitor, run_jobs):
    address = uploaded(visitor, DEMO.read_bytes())
    page = visitor.get(f"{address}/match").text
    fields = matched(page)
    assert fields["c0"] == "phone"

    answer = visitor.post(f"{address}/match", **fields)
    assert answer.location == f"{address}/consent"
    answer = visitor.post(f"{address}/consent", **CONSENT)
    assert answer.location == f"{address}/check", answer.text
    assert "live-region" in visitor.get(f"{address}/check").text
    run_jobs()
    live = visitor.get(f"{address}/live")
    assert live.headers["X-Live"] == "done"
    assert "Import 1,700 people" in live.text

    rejected = visitor.get(f"{address}/rejected.csv").text
    assert rejected.count("\r\n") == 1 + 175 + 125

    assert visitor.post(f"{address}/start").status_code == 302
    run_jobs()
    result = visitor.get(f"{address}/result").text
    assert "The list was imported." in result
    assert "1,700 people" in visitor.get("/contacts/").text

    assert visitor.post(f"{address}/undo").status_code == 302
    run_jobs()
    assert "The import was taken back." in visitor.get(f"{address}/result").text
    assert "Nobody is here yet" in visitor.get("/contacts/").text


def test_a_changed_column_is_kept_and_drawn(visitor):
    address = uploaded(visitor, b"phone,name\n+5511912340001,Ana\n")

    clash = visitor.post(f"{address}/match/live", c0="phone", c1="phone")
    again = visitor.get(f"{address}/match").text

    assert "Used twice" in clash.text
    assert "<html" not in clash.text
    assert "Used twice" in again
    assert visitor.post(f"{address}/match", c0="phone", c1="phone").status_code == 422


def test_a_file_can_be_read_another_way(visitor):
    address = uploaded(visitor, "telefone;nome\n+5511912340001;João\n".encode("cp1252"))

    visitor.post(f"{address}/reread", encoding="cp850", delimiter=";", header="1")

    assert "DOS (850)" in visitor.get(f"{address}/match").text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source": ""}, "source"),
        ({"source": "bought"}, "source"),
        ({"place": ""}, "place"),
        ({"agreed_on": ""}, "agreed_on"),
        ({"agreed_on": "2999-01-01"}, "agreed_on"),
        ({"wording": "yes"}, "wording"),
        ({"typed_name": "Somebody Else"}, "typed_name"),
    ],
)
def test_each_missing_part_of_the_attestation_is_refused(visitor, change, field):
    address = uploaded(visitor, b"phone\n+5511912340001\n")
    visitor.post(f"{address}/match", c0="phone")

    answer = visitor.post(f"{address}/consent", **(CONSENT | change))

    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 [Content_Types].xml xl/", "workbook is damaged"),
        (b"phone,name\n", "no rows"),
        (b"%PDF-1.7", "no list of people"),
    ],
)
def test_bad_files_get_a_reason_and_change_nothing(visitor, raw, words):
    answer = visitor.post("/contacts/imports/new", file=(io.BytesIO(raw), "x.csv"))

    assert answer.status_code == 422
    assert words in answer.text
    assert "No list was imported yet" in visitor.get("/contacts/imports").text


def test_a_person_is_added_changed_tagged_and_deleted(visitor):
    visitor.post("/contacts/fields", title="City", kind="text")
    answer = visitor.post(
        "/contacts/new",
        phone="11 91234-0001",
        name="Ana Lima",
        **{"own-city": "Recife"},
        country="",
    )
    address = answer.location
    page = visitor.get(address).text
    assert "+55 11 91234-0001" in page
    assert "Recife" in page

    visitor.post(f"{address}/edit", phone="+55 11 91234-0002", name="Ana Reis", country="")
    visitor.post(f"{address}/tags", name="VIP")
    visitor.post(f"{address}/identifiers", kind="email", value="ana@example.org")
    visitor.post(
        f"{address}/consent",
        method="shop",
        source="Centro",
        wording="Yes, please write to me.",
    )
    page = visitor.get(address).text
    assert "+55 11 91234-0002" in page
    assert "VIP" in page
    assert "ana@example.org" in page
    assert "Yes, please write to me." in page

    visitor.post(f"{address}/opt-out")
    assert "Said STOP" in visitor.get(address).text
    assert visitor.post(f"{address}/delete").location == "/contacts/"
    assert visitor.get(address).status_code == 404


def test_a_number_that_is_taken_is_named_at_its_field(visitor, tenant):
    person(tenant)

    answer = visitor.post("/contacts/new", phone="+5511912340001", country="")

    assert answer.status_code == 422
    assert 'id="phone-error"' in answer.text
    assert "belongs to another contact" in answer.text


AGREED = {
    "phone": "+5511912340001", "name": "Ana", "country": "", "method": "paper",
    "agreed_on": "2025-03-01", "source": "Folder 7", "wording": "Yes, write to me.",
}  # fmt: skip


def test_a_person_is_added_with_the_day_they_agreed(visitor):
    page = visitor.get(visitor.post("/contacts/new", **AGREED).location).text

    assert "Yes, write to me." in page
    assert "agreed on Mar 1, 2025" in page


@pytest.mark.parametrize(
    ("change", "field"),
    [({"agreed_on": "2999-01-01"}, "agreed_on"), ({"method": ""}, "method")],
)
def test_a_person_whose_consent_proves_nothing_is_not_added(visitor, change, field):
    answer = visitor.post("/contacts/new", **AGREED | change)

    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert "Nobody is here yet" in visitor.get("/contacts/").text


def test_ticked_people_are_tagged_and_deleted(visitor, tenant):
    ids = [str(person(tenant, phone=f"+551191234000{n}")) for n in range(3)]

    asked = visitor.post("/contacts/bulk", action="tag", rowid=ids).location
    assert "Tag 3 people" in visitor.get(asked).text
    visitor.post(asked, name="novo")
    assert "3 people were changed." in visitor.get(asked).text
    assert visitor.get("/contacts/tags").text.count("novo") >= 1

    asked = visitor.post("/contacts/bulk", action="delete", rowid=ids).location
    assert visitor.post(asked, typed="2").status_code == 422
    assert "3 people" in visitor.get("/contacts/").text
    visitor.post(asked, typed="3")
    assert "Nobody is here yet" in visitor.get("/contacts/").text


def test_the_list_makes_as_many_queries_for_300_rows_as_for_60(visitor, tenant):
    for n in range(60):  # a page that shows everybody counts nobody
        person(tenant, phone=f"+5511912340{n:03}")
    few = queries(visitor, "/contacts/?q=ana")
    for n in range(60, 300):
        person(tenant, phone=f"+5511912340{n:03}")

    many = queries(visitor, "/contacts/?q=ana")

    assert few == many


def queries(visitor, address):
    seen = []

    def note(*args):
        seen.append(args[2])

    event.listen(db.engine(), "before_cursor_execute", note)
    try:
        assert visitor.get(address).status_code == 200
    finally:
        event.remove(db.engine(), "before_cursor_execute", note)
    return len(seen)


def test_another_account_sees_nothing(visitor, tenant, clean):
    contact = person(tenant)
    address = uploaded(visitor, b"phone\n+5511912340009\n")
    stranger = Visitor(make_account("Loja Norte"))

    assert stranger.get(f"/contacts/{contact}").status_code == 404
    assert stranger.post(f"/contacts/{contact}/delete").status_code == 404
    assert stranger.get(f"{address}/match").status_code == 404
    assert stranger.post(f"{address}/start").status_code == 404
    assert stranger.post(f"{address}/cancel").status_code == 404
    assert visitor.get(f"/contacts/{contact}").status_code == 200


def test_members_may_not_import_or_delete(tenant):
    contact = person(tenant)
    with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
        orm.execute(
            update(Membership).values(role="member").execution_options(audited=True)
        )
    member = Visitor(tenant)

    assert member.get("/contacts/").status_code == 200
    assert member.get("/contacts/imports/new").status_code == 403
    assert member.post(f"/contacts/{contact}/delete").status_code == 403


# --- lists of other kinds


def with_people(count=20):
    rows = [
        [11_987_654_300 + n, f"Person {n}", "Gold" if n % 2 else "Silver", n * 5]
        for n in range(count)
    ]
    return [["Celular", "Cliente", "Plano", "Pontos"], *rows]


def test_the_upload_page_names_every_kind_of_list(visitor):
    page = visitor.get("/contacts/imports/new").text

    for name in (".xlsx", ".ods", ".vcf", ".csv", ".tsv"):
        assert name in page


def test_a_workbook_shows_its_sheets_and_another_can_be_read(visitor):
    raw = xlsx(sheets={"Old": [["phone"], ["+5511987654321"]], "New": with_people()})
    address = uploaded(visitor, raw)

    page = visitor.get(f"{address}/match").text
    assert "Excel workbook" in page
    assert "“New” is read" in page
    assert 'name="encoding"' not in page
    assert 'name="delimiter"' not in page

    visitor.post(f"{address}/reread", sheet="0", header="1")

    assert "“Old” is read" in visitor.get(f"{address}/match").text


def test_what_a_new_field_holds_is_shown_and_can_be_changed(visitor):
    address = uploaded(visitor, xlsx(with_people()))
    page = visitor.get(f"{address}/match").text
    assert '<option value="choice" selected>Choice</option>' in page
    assert '<option value="number" selected>Number</option>' in page
    fields = matched(page) | {"c3_kind": "text"}

    live = visitor.post(f"{address}/match/live", **fields).text

    assert '<option value="number" selected>' not in live
    assert "<dt>Pontos</dt>" in live


def test_a_list_with_the_header_of_the_last_one_says_so_and_can_forget(visitor, run_jobs):
    first = uploaded(visitor, xlsx(with_people()))
    visitor.post(f"{first}/match", **matched(visitor.get(f"{first}/match").text))
    visitor.post(f"{first}/consent", **CONSENT)
    run_jobs()
    visitor.post(f"{first}/start")
    run_jobs()

    address = uploaded(visitor, xlsx(with_people(21)))
    page = visitor.get(f"{address}/match").text
    assert page.count("As last time") == 1 + 4
    visitor.post(f"{address}/match", **matched(page))
    consent = visitor.get(f"{address}/consent").text
    assert "As last time" in consent
    assert CONSENT["wording"] in consent
    assert f'value="{CONSENT["typed_name"]}"' not in consent

    visitor.post(f"{address}/reread", fresh="1", sheet="0")

    assert "As last time" not in visitor.get(f"{address}/match").text
    assert "As last time" not in visitor.get(f"{address}/consent").text


def test_what_was_left_out_is_named_on_the_page_and_in_a_file(visitor, run_jobs):
    rows = with_people()
    rows[5][3] = "many"
    address = uploaded(visitor, xlsx(rows))
    visitor.post(f"{address}/match", **matched(visitor.get(f"{address}/match").text))
    visitor.post(f"{address}/consent", **CONSENT)
    run_jobs()

    page = visitor.get(f"{address}/check").text
    text = visitor.get(f"{address}/left-out.csv").text

    sentence = "Row 6, column “Pontos”: “many” is no number we can be sure of."
    assert sentence in page
    assert text.count("\r\n") == 2
    assert sentence in text


def test_the_first_day_of_consent_cannot_be_after_the_last(visitor):
    address = uploaded(visitor, b"phone\n+5511912340001\n")
    visitor.post(f"{address}/match", c0="phone")

    wrong = visitor.post(f"{address}/consent", **CONSENT, agreed_from="2026-01-01")
    right = visitor.post(f"{address}/consent", **CONSENT, agreed_from="2024-01-01")

    assert wrong.status_code == 422
    assert 'id="agreed_from-error"' in wrong.text
    assert right.status_code == 302
