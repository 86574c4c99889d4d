"""Search: the same people with the index as without, at once and for their own account."""

import pytest
from sqlalchemy import func, select, text

from clarion.base import db
from clarion.tenancy.scope import account_scope
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
        query = select(func.cast(func.contacts_found(list(patterns), 10_000), text("text")))
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


def test_many_are_not_counted_to_the_end(take_in, monkeypatch):
    take_in(LIST)
    monkeypatch.setattr(searching, "MOST", 1)

    assert names("example") == ["Ana Lima", "Bob Öz", "Caí Ana"]
    with db.transaction():
        assert service.find("example").more
        monkeypatch.setattr(finding, "COUNT_TO", 2)
        assert service.find(service.Filters(words="example", consent="opted_in")).more
        assert not service.find(service.Filters(words="example", consent="opted_out")).more
