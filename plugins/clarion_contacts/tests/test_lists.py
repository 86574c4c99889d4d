"""Lists: made, changed, removed; people on and off them; and the import's own verbs."""

import pytest
from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.tenancy.scope import account_scope
from clarion_contacts import service
from clarion_contacts.models import Contact, Import, Listing
from clarion_contacts.service import Details, Filters, lists


@pytest.fixture
def ids(account):
    with db.transaction():
        return [service.add(Details(phone=f"+551191234000{n}")).id for n in range(4)]


def made(name, **more):
    with db.transaction():
        return service.add_list(name, **more)


def test_people_are_put_on_a_list_and_taken_off(ids):
    news = made("News", about="Once a week")

    with db.transaction():
        assert service.enlist(ids[:3], news.id) == ids[:3]
        assert service.enlist(ids, news.id) == [ids[3]]
        assert service.delist([ids[0]], news.id) == [ids[0]]
        assert service.delist([ids[0]], news.id) == []

    assert [(one.name, one.people) for one in service.all_lists()] == [("News", 3)]
    found = service.find(Filters(on_list=news.id), sort="oldest")
    assert [row.id for row in found.rows] == ids[1:]
    assert found.rows[0].lists == ("News",)
    assert service.show(ids[1]).lists == [(news.id, "News")]


def test_a_list_is_changed_and_removed_and_the_people_stay(ids):
    news, other = made("News"), made("Other", purpose="utility")
    with db.transaction():
        service.enlist(ids, news.id)
        service.change_list(news.id, "The  news", purpose="utility", about=" x ")
        with pytest.raises(Conflict):
            service.change_list(other.id, "THE NEWS", purpose="utility")
        with pytest.raises(Conflict):
            service.add_list("the news")
        service.change_list(news.id, "The News", purpose="marketing")
        service.remove_list(other.id)
    assert [(one.name, one.purpose, one.about) for one in service.all_lists()] == [
        ("The News", "marketing", "")
    ]

    with db.transaction():
        service.remove_list(news.id)

    assert service.all_lists() == []
    assert service.find().people.total == 4


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a;b"}, "name"),
        ({"name": "a|b"}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "x", "purpose": "spam"}, "purpose"),
        ({"name": "x", "about": "y" * 301}, "about"),
    ],
)
def test_bad_lists_are_named(account, given, field):
    with pytest.raises(Invalid) as refused, db.transaction():
        service.add_list(**given)

    assert refused.value.field == field


def test_an_import_keeps_lists_in_sets_and_takes_them_back(ids, take_in):
    import_id = take_in("phone\n+5511912349999\n")
    everybody = select(Contact.id).where(Contact.account_id == func.clarion_account())
    mine = made("Mine")

    with db.transaction():
        service.enlist(ids[:1], mine.id)
        keys = lists.keep_lists({"news": "News", "mine": "MINE"}, import_id)
        assert keys["mine"] == mine.id
        assert lists.keep(keys["news"], everybody, import_id) == 5
        assert lists.keep(keys["news"], everybody, import_id) == 0
        assert lists.keep(mine.id, ids[:2], import_id) == 1
    assert [(one.name, one.people) for one in service.all_lists()] == [
        ("Mine", 2), ("News", 5),
    ]  # fmt: skip

    with db.transaction():
        lists.take_back(import_id)

    assert [(one.name, one.people) for one in service.all_lists()] == [("Mine", 1)]
    assert db.session().scalar(select(func.count()).select_from(Import)) == 1


def test_others_lists_are_out_of_reach(ids, other_account):
    news = made("News")

    with account_scope(other_account.id, other_account.actor), db.transaction():
        for verb in (
            lambda: service.enlist(ids, news.id),
            lambda: service.remove_list(news.id),
            lambda: service.get_list(news.id),
        ):
            with pytest.raises(NotFound):
                verb()
        own = service.add_list("News")
        assert service.enlist(ids, own.id) == []
    assert db.session().scalar(select(func.count()).select_from(Listing)) == 0
