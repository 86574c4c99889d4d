"""Search: the same people with the index as without, at once and for their own account."""

import re
from dataclasses import replace
from html import unescape

import pytest
from sqlalchemy import Text, cast, func, select, text

from clarion.base import db
from clarion.tenancy.scope import account_scope
from clarion.testing.visitor import Visitor
from clarion_contacts import jobs, service
from clarion_contacts.models import Contact, Import
from clarion_contacts.service import finding, searching

LIST = """phone;name;email
+5511912340001;Ana Lima;ana@example.org
+5511912340002;Bob Öz;bob_b@example.org
+5511912340003;Caí Ana;cai@example.org
"""


def names(words, **more):
    with db.transaction():
        return sorted(row.name for row in service.find(words, **more).rows)


def looked_up(*patterns):
    """What the index says: ids as text, None when it cannot say."""
    with db.transaction():
        query = select(cast(func.contacts_found(list(patterns), 10_000), Text))
        return db.session().scalar(query)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ana", ["Ana Lima", "Caí Ana"]),
        ("ANA lim", ["Ana Lima"]),
        ("aí", []),  # two letters: where a name begins
        ("ca", ["Caí Ana"]),
        ("öz", ["Bob Öz"]),
        ("ö", ["Bob Öz"]),
        ("12340002", ["Bob Öz"]),
        ("(11) 9-1234-0003", ["Caí Ana"]),
        ("b_b@", ["Bob Öz"]),
        ("a_a@", []),
        ("example ana", ["Ana Lima", "Caí Ana"]),
        ("nobody", []),
        ("'); DROP TABLE contacts_search; --", []),
    ],
)
def test_the_index_finds_whom_reading_everybody_finds(
    take_in, run_jobs, monkeypatch, words, found
):
    take_in(LIST)
    assert names(words) == found

    with monkeypatch.context() as without:
        without.setattr(searching, "_looked_up", lambda _patterns: text("NULL"))
        assert names(words) == found


def test_a_list_is_found_before_it_is_in_the_index(take_in, monkeypatch):
    monkeypatch.setattr(service, "make_searchable", lambda _id: False)
    take_in(LIST)

    assert names("lima") == ["Ana Lima"]
    assert not db.session().scalar(text("SELECT contacts_found('{%lima%}', 9)"))


def test_a_list_comes_into_the_index_page_by_page_and_once(take_in, monkeypatch, state_of):
    monkeypatch.setattr(searching, "STEP", 2)
    import_id = take_in(LIST)

    row = state_of(import_id)
    assert row.searchable_to == row.read_to
    for _again in range(2):
        jobs.make_searchable(import_id)
    ids = db.session().scalar(text("SELECT contacts_found('{%example%}', 9)"))
    assert sorted(ids) == sorted(db.session().scalars(select(Contact.id)))


def test_a_lost_worker_is_rung_again_for_the_index(take_in, run_jobs, state_of):
    from clarion.base import clock

    import_id = take_in(LIST)
    with db.transaction() as orm:
        orm.get(Import, import_id).searchable_to = 0

    with clock.freeze():
        clock.advance(minutes=3)
        jobs.resume_imports()
    run_jobs()

    assert state_of(import_id).searchable_to == state_of(import_id).read_to


def test_a_changed_name_is_found_and_an_erased_person_is_not(take_in):
    take_in(LIST)
    bob = db.session().scalar(select(Contact).where(Contact.name == "Bob Öz"))
    with db.transaction():
        service.edit(bob.id, service.Details(name="Robert", phone=bob.phone))
    assert names("robert") == ["Robert"]
    assert names("bob") == []

    with db.transaction():
        service.delete([bob.id])

    assert names("robert") == []
    assert db.session().scalar(text("SELECT contacts_found('{%robert%}', 9)")) == []


def test_nobody_finds_people_of_another_account(take_in, other_account):
    take_in(LIST)
    assert names("lima") == ["Ana Lima"]

    with account_scope(other_account.id, other_account.actor):
        assert names("lima") == []
        assert db.session().scalar(text("SELECT contacts_found('{%lima%}', 9)")) == []
        found = select(func.contacts_matching(["%lima%"], 9).column_valued())
        assert list(db.session().scalars(found)) == []


def test_many_are_counted_by_who_has_seen_the_page(take_in, monkeypatch):
    take_in(LIST)
    monkeypatch.setattr(searching, "MOST", 1)
    agreed = service.Filters(words="example", consent="opted_in")

    assert names("example") == ["Ana Lima", "Bob Öz", "Caí Ana"]
    with db.transaction():
        assert service.find("example", limit=2).people is None
        assert service.find("example").people.total == 3  # all are on the page
        assert service.count_found(agreed).total == 3
        monkeypatch.setattr(finding, "COUNT_TO", 2)
        assert service.count_found(agreed).more
        assert not service.count_found(replace(agreed, consent="opted_out")).more


def test_page_asks_for_the_number_it_did_not_wait_for(take_in, account, monkeypatch):
    people = [f"+551191234{n};Ana {n};ana{n}@example.org" for n in range(1000, 1060)]
    take_in("\n".join(["phone;name;email", *people]))
    monkeypatch.setattr(searching, "MOST", 1)
    visitor = Visitor(account)

    page = visitor.get("/contacts/?q=example&tag=&after=%FF&_external=1")
    address = unescape(re.search(r'hx-get="(/contacts/count[^"]+)"', page.text)[1])

    assert "More than 50 people" in page.text
    assert "All who match" in page.text
    assert visitor.get(address, fragment=True).text.strip() == "60 people"


def test_words_are_common_when_one_newest_of_a_hundred_has_them(take_in):
    """Only where there are enough people to tell; the others are counted at once."""
    people = [
        f"+551191{n:06};{'Ana' if n % 60 == 0 else 'Bob'} {n};b{n}@example.org"
        for n in range(100000, 105000)
    ]
    take_in("\n".join(["phone;name;email", *people[:4_990]]))
    assert looked_up("%ana%").count(",") == 82

    take_in("\n".join(["phone;name;email", *people[4_990:]]))
    assert looked_up("%ana%") == "{NULL}"
    with db.transaction():
        assert service.count_found(service.Filters(words="ana")).total == 83
