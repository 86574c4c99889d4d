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
        r'<select[^>]*name="(c\d+)"[^>]*>(.*?)</select>', page, re.DOTALL
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


def test_the_list_makes_as_many_queries_for_300_rows_as_for_3(visitor, tenant):
    for n in range(3):
        person(tenant, phone=f"+55119123400{n:02}")
    few = queries(visitor, "/contacts/?q=ana")
    for n in range(3, 300):
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
