"""Pages about who somebody is, asked like a browser asks."""

import re

import pytest
from sqlalchemy import event

from clarion.base import db
from clarion.messaging import identifiers, twins
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor
from clarion_contacts import service
from clarion_contacts.service import Details

OLD, NEW = "+5511981230001", "+5511981230002"


@pytest.fixture
def tenant(clean):
    return make_account(country="BR")


@pytest.fixture
def visitor(tenant):
    return Visitor(tenant)


def person(tenant, **details):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        return service.add(Details(**({"name": "Ana Lima", "phone": OLD} | details))).id


def phone_of(tenant, contact_id):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        return service.get(contact_id).phone


def identifier(tenant, contact_id, value):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        return next(i.id for i in identifiers.of(contact_id) if i.value == value)


def test_an_address_is_added_written_to_and_ended(visitor, tenant):
    ana = person(tenant)
    here = f"/contacts/{ana}"
    visitor.get(here)
    visitor.post(f"{here}/identifiers", kind="phone", value=NEW)
    new = identifier(tenant, ana, NEW)
    assert f"{here}/identifiers/{new}/write-to" in visitor.get(here).text

    assert visitor.post(f"{here}/identifiers/{new}/write-to").location == here
    assert phone_of(tenant, ana) == NEW
    old = identifier(tenant, ana, OLD)
    assert visitor.post(f"{here}/identifiers/{old}/retire").location == here

    page = visitor.get(here).text
    assert "1 former address" in page
    assert "by your team" in page
    assert visitor.post(f"{here}/identifiers/{old}/retire").status_code == 404


def test_a_new_number_by_hand(visitor, tenant):
    ana = person(tenant)
    here = f"/contacts/{ana}"
    assert visitor.get(f"{here}/number").status_code == 200
    assert visitor.post(f"{here}/number", number="12").status_code == 422

    answer = visitor.post(f"{here}/number", number="11 98123-0002")

    assert answer.location == here
    assert phone_of(tenant, ana) == NEW


def test_a_number_of_somebody_else_leads_to_the_question_whether_both_are_one(
    visitor, tenant
):
    ana, bob = person(tenant), person(tenant, name="Bob", phone=NEW)
    visitor.get(f"/contacts/{ana}/number")

    answer = visitor.post(f"/contacts/{ana}/number", number=NEW)

    assert answer.location == f"/contacts/duplicates/{ana}/{bob}"
    assert "stricter of both" in visitor.get(answer.location).text
    assert "Compare them" in visitor.get(f"/contacts/{bob}").text
    assert "One has a new number" in visitor.get("/contacts/duplicates").text


def test_two_contacts_are_compared_merged_and_parted(visitor, tenant):
    ana = person(tenant)
    twin = person(tenant, name="A. Lima", phone=NEW, email="ana@example.org")
    visitor.get(f"/contacts/{ana}/same")
    assert visitor.post(f"/contacts/{ana}/same", address="nobody@x.org").status_code == 422
    assert visitor.post(f"/contacts/{ana}/same", address="12").status_code == 422
    assert visitor.post(f"/contacts/{ana}/same", address=OLD).status_code == 422
    at = visitor.post(f"/contacts/{ana}/same", address="ANA@example.org").location
    assert at == f"/contacts/duplicates/{ana}/{twin}"
    page = visitor.get(at).text
    assert re.findall(r'name="field:(\w+)" value="other"', page) == ["name", "phone"]

    answer = visitor.post(f"{at}/merge", **{"field:name": "other", "field:phone": "one"})

    assert answer.location == f"/contacts/{ana}"
    page = visitor.get(answer.location).text
    assert "A. Lima</h1>" in page.replace("\n", "")
    assert visitor.get(f"/contacts/{twin}").location == f"/contacts/{ana}"
    [undo] = re.findall(r'action="(/contacts/merges/[^"]+/undo)"', page)
    assert visitor.post(undo).location == f"/contacts/{ana}"
    assert visitor.get(f"/contacts/{twin}").status_code == 200
    again = visitor.post(undo, follow=True)
    assert "Somebody has taken this back already." in again.text


def test_pairs_are_gone_through_one_after_another(visitor, tenant, run_jobs):
    for name in ("Ana Lima", "Bia Souza"):
        person(tenant, name=name, phone=f"+551198123{len(name):04d}")
        person(tenant, name=name, phone="", email=f"{name[:3].lower()}@example.org")
    visitor.get("/contacts/duplicates")
    assert "Nobody is here twice" in visitor.get("/contacts/duplicates").text
    assert visitor.post("/contacts/duplicates/search").location == "/contacts/duplicates"
    run_jobs()
    page = visitor.get("/contacts/duplicates").text
    assert "2 pairs may be one person" in page
    [first] = re.findall(r'href="(/contacts/duplicates/[^"]+)\?queue=1"', page)

    answer = visitor.post(f"{first}/merge", queue="1")
    second = answer.location
    assert second.endswith("?queue=1")
    assert second.removesuffix("?queue=1") != first
    answer = visitor.post(f"{second.removesuffix('?queue=1')}/apart", queue="1")

    assert answer.location == "/contacts/duplicates"
    assert "Nobody is here twice" in visitor.get("/contacts/duplicates").text


def test_another_accounts_contacts_are_not_found(visitor, tenant):
    ana = person(tenant)
    other = make_account("Other")
    theirs = person(other, phone=NEW)
    visitor.get(f"/contacts/{ana}")

    for path in (f"/contacts/duplicates/{ana}/{theirs}", f"/contacts/{theirs}/number"):
        assert visitor.get(path).status_code == 404
    assert visitor.post(f"/contacts/duplicates/{ana}/{theirs}/merge").status_code == 404
    assert visitor.post(f"/contacts/duplicates/{ana}/{theirs}/apart").status_code == 404


def test_the_pages_make_as_many_queries_for_many_as_for_few(visitor, tenant):
    ana, bob = person(tenant), person(tenant, name="Bob", phone=NEW)
    with account_scope(tenant.id, tenant.actor), db.transaction():
        twins.doubt(ana, bob, "named_both")
    pages = (
        "/contacts/duplicates",
        f"/contacts/{ana}",
        f"/contacts/duplicates/{ana}/{bob}",
    )
    for page in pages:
        visitor.get(page)
    few = [queries(visitor, page) for page in pages]
    with account_scope(tenant.id, tenant.actor), db.transaction():
        for n in range(30):
            other = service.add(Details(name=f"Cai {n}", phone=f"+55119812311{n:02d}")).id
            twins.doubt(bob, other, "named_both")
            service.add_identifier(ana, "phone", f"+55119812322{n:02d}")

    assert [queries(visitor, page) for page in pages] == few


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
