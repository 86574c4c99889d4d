"""The list of people in its pages: filters, order, columns, views, many at once, no script."""

import csv
import datetime as dt
import io
import json
import re
from dataclasses import replace

import pytest
from sqlalchemy import event, update

from clarion.base import clock, db
from clarion.base.errors import NotFound
from clarion.messaging.models import InboundMessage
from clarion.tenancy.models import Membership
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor
from clarion_contacts import service
from clarion_contacts.service import Details, Filters


@pytest.fixture
def tenant(clean):
    return make_account(country="BR")


@pytest.fixture
def visitor(tenant):
    return Visitor(tenant)


def acting(tenant):
    return account_scope(tenant.id, tenant.actor)


def person(tenant, number, name="Ana", **more):
    with acting(tenant), db.transaction():
        details = Details(name=name, phone=f"+5511912340{number:03}", **more)
        return service.add(details).id


def names(page):
    return re.findall(r'class="row-main" href="/contacts/[0-9a-f-]{36}">([^<]*)<', page)


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


def heard(tenant, contact_id, days_ago):
    with acting(tenant), db.transaction() as orm:
        orm.add(
            InboundMessage(
                provider_id=f"wamid.{contact_id}",
                contact_id=contact_id,
                address_idx=b"x",
                kind="text",
                body=b"x",
                sent_at=clock.now() - dt.timedelta(days=days_ago),
            )
        )


@pytest.mark.parametrize("sort", ["newest", "oldest", "name", "heard"])
def test_every_order_pages_by_key_forth_and_back(tenant, sort):
    ids = [person(tenant, n, name=f"P{n * 7 % 10}") for n in range(10)]
    for days, contact in enumerate(ids[:5]):
        heard(tenant, contact, days)
    with acting(tenant):
        whole = [row.id for row in service.find(sort=sort, limit=50).rows]
        pages, page = [], service.find(sort=sort, limit=3)
        while True:
            pages.append(page)
            if page.next is None:
                break
            page = service.find(sort=sort, limit=3, after=page.next)
        back = service.find(sort=sort, limit=3, before=pages[2].previous)

    assert [row.id for one in pages for row in one.rows] == whole
    assert len(set(whole)) == 10
    assert [row.id for row in back.rows] == [row.id for row in pages[1].rows]
    assert (
        whole[:5]
        == {
            "newest": ids[:4:-1],
            "oldest": ids[:5],
            "name": [ids[n] for n in (0, 3, 6, 9, 2)],
            "heard": ids[:5],
        }[sort]
    )


def test_a_page_begins_again_when_its_first_person_is_gone(tenant):
    ids = [person(tenant, n, name=f"P{n}") for n in range(4)]
    with acting(tenant), db.transaction():
        service.delete([ids[1]])
        page = service.find(sort="name", limit=2, after=ids[1])

    assert [row.name for row in page.rows] == ["P0", "P2"]


def test_filters_of_every_kind_narrow_the_list(visitor, tenant):
    ana = person(tenant, 1, name="Ana", country="BR")
    person(tenant, 2, name="Bob")
    with acting(tenant), db.transaction():
        field = service.add_field("Points", "number")
        service.edit(
            ana, Details(name="Ana", phone="+5511912340001", attributes={"points": "7"})
        )
        news = service.add_list("News")
        service.enlist([ana], news.id)
        service.tag([ana], ["vip", "novo"])
        tags = [one.id for one in service.tag_names()]
        service.opt_out(ana)

    for query in (
        f"list={news.id}",
        f"tag={tags[0]}&tag={tags[1]}",
        "consent=suppressed",
        "consent=opted_out",
        f"field={field.key}&test=ge&value=7",
        "q=an",
    ):
        assert names(visitor.get(f"/contacts/?{query}").text) == ["Ana"], query
    page = visitor.get("/contacts/?country=BR&q=&field=points&test=ge&value=8").text
    assert names(page) == []
    assert "Nobody matches." in page
    assert names(visitor.get("/contacts/?tag=x&list=y&country=zz9&sort=up").text) == [
        "Bob", "Ana",
    ]  # fmt: skip


def test_columns_are_of_ones_choice(visitor, tenant):
    with acting(tenant), db.transaction():
        service.add_field("Member", "yes_no")
        service.add_field("Plan", "choice", ["gold"])
    person(tenant, 1, email="ana@example.org", attributes={"member": "yes", "plan": "gold"})

    page = visitor.get("/contacts/?q=&col=email&col=own.member&col=own.plan&col=heard").text

    head = re.findall(r'<th scope="col">\s*([^<]+?)\s*</th>', page)
    assert head == ["Name", "E-mail", "Member", "Plan", "Last heard"]
    cells = re.findall(r"<td>\s*(.*?)\s*</td>", page, re.DOTALL)
    text = [re.sub(r"<[^>]+>", "", one).strip() for one in cells]
    assert text[-4:] == ["ana@example.org", "Yes", "gold", "–"]


def test_the_list_makes_as_many_queries_for_200_rows_as_for_61(visitor, tenant):
    with acting(tenant), db.transaction():
        service.add_field("Points", "number")
        news = service.add_list("News").id
    address = (
        f"/contacts/?list={news}&sort=heard&col=lists&col=tags&col=own.points&col=heard"
    )
    for n in range(200):
        person(tenant, n, attributes={"points": str(n)})
        if n in (60, 199):
            with acting(tenant), db.transaction():
                everybody = [row.id for row in service.find(limit=300).rows]
                service.enlist(everybody, news)
                service.tag(everybody, ["vip", "novo"])
        if n == 60:
            few = queries(visitor, address)

    assert queries(visitor, address) == few


def test_a_person_costs_as_many_queries_whatever_happened(visitor, tenant):
    ana = person(tenant, 1)
    few = queries(visitor, f"/contacts/{ana}")
    with acting(tenant), db.transaction():
        for n in range(40):
            service.tag([ana], [f"t{n}"])
            service.edit(ana, Details(name=f"Ana {n}", phone="+5511912340001"))

    assert queries(visitor, f"/contacts/{ana}") == few


def test_the_timeline_tells_everything_once_page_by_page(tenant):
    ana = person(tenant, 1)
    with acting(tenant), db.transaction():
        for n in range(30):
            service.edit(ana, Details(name="Ana", phone=f"+55119123410{n:02}"))
        service.opt_out(ana, source="a call")
    heard(tenant, ana, 400)
    with acting(tenant):
        pages, before = [], ""
        while True:
            pages.append(service.timeline(ana, before, limit=10))
            before = pages[-1].next
            if not before:
                break

    found = [one for page in pages for one in page.moments]
    assert len({one.id for one in found}) == len(found)
    assert found == sorted(found, key=lambda one: (one.at, one.id), reverse=True)
    kinds = [one.kind for one in found]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "deed": 31, "address": 30, "consent": 1, "reply": 1,
    }  # fmt: skip
    assert found[-1].kind == "reply"
    assert {one.by for one in found if one.kind == "deed"} == {tenant.actor.name}


def test_a_view_is_saved_opened_changed_and_removed(visitor, tenant):
    person(tenant, 1, name="Ana")
    person(tenant, 2, name="Bob")
    fields = {
        "chosen": json.dumps({"words": "ana"}),
        "sort": "name",
        "columns": "email\r\ntags",
    }
    saved = visitor.post("/contacts/views", name="Anas", **fields)
    view = saved.location
    assert visitor.post("/contacts/views", name="anas", **fields).status_code == 422

    page = visitor.get(view).text
    assert names(page) == ["Ana"]
    assert 'value="ana"' in page
    own = view.replace("?view=", "views/")
    visitor.post(f"{own}/first", first="1")
    assert names(visitor.get("/contacts/").text) == ["Ana"]
    assert names(visitor.get("/contacts/?view=all").text) == ["Bob", "Ana"]
    changed = visitor.get(f"{view}&q=bob").text
    assert names(changed) == ["Bob"]
    assert "Save in “Anas”" in changed

    visitor.post(own, **(fields | {"chosen": json.dumps({"words": "bob"})}))
    assert names(visitor.get("/contacts/").text) == ["Bob"]
    visitor.post(f"{own}/first")
    assert names(visitor.get("/contacts/").text) == ["Bob", "Ana"]
    visitor.post(f"{own}/remove")
    assert "Anas" not in visitor.get("/contacts/").text


def test_a_view_is_ones_own_unless_it_is_shared(tenant):
    other = replace(tenant.member("member"), id=str(db.new_id()))
    with acting(tenant), db.transaction():
        mine = service.save_view("Mine", Filters(words="a"))
        ours = service.save_view("Ours", Filters(words="b"), shared=True)
    with account_scope(tenant.id, other), db.transaction():
        assert [(one.name, one.mine) for one in service.views()] == [("Ours", False)]
        service.open_with(ours)
        assert [one.first for one in service.views()] == [True]
        for verb in (service.remove_view, service.open_with):
            with pytest.raises(NotFound):
                verb(mine)
        with pytest.raises(NotFound):
            service.change_view(ours, Filters())

    with acting(tenant), db.transaction():
        assert [one.first for one in service.views()] == [False, False]
        service.remove_view(ours)
    with account_scope(tenant.id, other):
        assert service.views() == []


def test_many_at_once_without_a_script(visitor, tenant):
    ids = [str(person(tenant, n, name=f"P{n}")) for n in range(3)]
    page = visitor.get("/contacts/").text
    assert page.count('form="action_form"') == 3
    assert '<option value="tag">' in page

    asked = visitor.post(
        "/contacts/bulk", action="tag", rowid=ids[:1], chosen="{}"
    ).location
    visitor.post(asked, name="vip")
    every = visitor.post("/contacts/bulk", action="tag", all="1", chosen="{}").location
    assert "Tag 3 people" in visitor.get(every).text
    visitor.post(every, name="vip")
    assert "For 1 it was so already." in visitor.get(every).text
    visitor.post(f"{every}/undo")
    assert "It was taken back for 2 people." in visitor.get(every).text
    assert (
        visitor.post("/contacts/bulk", action="tag", chosen="{}").location == "/contacts/"
    )
    left = visitor.post("/contacts/bulk", action="tag", rowid=ids[:1], chosen="{}").location
    assert visitor.post(f"{left}/cancel").location == "/contacts/"
    assert visitor.get(left).status_code == 404


def test_much_work_shows_how_far_it_is(visitor, tenant, run_jobs, monkeypatch):
    monkeypatch.setattr("clarion_contacts.service.bulk.AT_ONCE", 0)
    person(tenant, 1)
    asked = visitor.post("/contacts/bulk", action="opt_out", all="1", chosen="{}").location
    assert visitor.post(asked, reason="").status_code == 422
    visitor.post(asked, reason="A letter")

    page = visitor.get(asked).text
    assert "live-region" in page
    assert "X-Live" not in visitor.get(f"{asked}/live").headers
    run_jobs()
    live = visitor.get(f"{asked}/live")
    assert live.headers["X-Live"] == "done"
    assert "1 person was changed." in live.text


def test_an_export_is_downloaded_by_who_asked(visitor, tenant):
    person(tenant, 1, name="=Ana")
    asked = visitor.post("/contacts/bulk", action="export", all="1", chosen="{}").location
    assert "The file is ready" in visitor.get(asked).text

    answer = visitor.post(f"{asked}/contacts.csv")
    assert answer.headers["Content-Disposition"].startswith(
        "attachment; filename=contacts-"
    )
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows[0]["name"] == "'=Ana"
    assert visitor.post(f"{asked}/contacts.xlsx").data[:2] == b"PK"
    assert visitor.post(f"{asked}/contacts.exe").status_code == 404
    stranger = Visitor(make_account("Loja Norte"))
    assert stranger.post(f"{asked}/contacts.csv").status_code == 404


def test_members_may_not_export_or_delete(tenant):
    person(tenant, 1)
    with acting(tenant), db.transaction() as orm:
        orm.execute(
            update(Membership).values(role="member").execution_options(audited=True)
        )
    member = Visitor(tenant)

    page = member.get("/contacts/").text
    assert 'data-bulk="tag"' in page
    assert 'data-bulk="export"' not in page
    for action in ("export", "delete"):
        answer = member.post("/contacts/bulk", action=action, all="1", chosen="{}")
        assert answer.status_code == 403


def test_tags_and_lists_of_one_person_change_without_the_page(visitor, tenant):
    ana = person(tenant, 1)
    with acting(tenant), db.transaction():
        news = service.add_list("News").id
    address = f"/contacts/{ana}"

    tagged = visitor.post(f"{address}/tags", name="vip", fragment=True)
    assert tagged.status_code == 200
    assert "<html" not in tagged.text
    assert "vip" in tagged.text
    listed = visitor.post(f"{address}/lists", list=str(news))
    assert listed.location == address
    page = visitor.get(address).text
    assert "Take off the list News" in page
    visitor.post(f"{address}/lists/{news}/remove")
    assert "Take off the list News" not in visitor.get(address).text


def test_fields_are_made_adopted_changed_and_removed_on_their_page(visitor, tenant):
    person(tenant, 1, attributes={"born": "soon", "city": "Recife"})
    assert "Make it a field" in visitor.get("/contacts/fields").text
    place = visitor.post("/contacts/fields/adopt", key="born").location

    refused = visitor.post(place, title="Birthday", kind="date", choices="")
    assert refused.status_code == 422
    assert "1 value would not fit" in refused.text
    assert "soon" in refused.text
    assert visitor.post(place, title="Birthday", kind="date", aside="y").status_code == 302
    visitor.post(f"{place}/move", to="down")
    page = visitor.get("/contacts/fields").text
    assert page.index("Birthday (before)") > 0
    assert "1 person has a value here" not in visitor.get(f"{place}/remove").text
    assert visitor.post(f"{place}/remove", people="3").status_code == 409
    visitor.post(f"{place}/remove", people="0")
    assert visitor.get(place).status_code == 404


def test_a_value_that_does_not_fit_is_named_at_its_input(visitor, tenant):
    visitor.post("/contacts/fields", title="Points", kind="number")

    answer = visitor.post(
        "/contacts/new", phone="+5511912340001", country="", **{"own-points": "many"}
    )

    assert answer.status_code == 422
    assert 'id="own-points-error"' in answer.text
    assert 'value="many"' in answer.text


def test_lists_are_made_and_changed_on_their_page(visitor, tenant):
    assert "No lists yet" in visitor.get("/contacts/lists").text
    visitor.post("/contacts/lists", name="News", purpose="marketing", about="")
    assert (
        visitor.post("/contacts/lists", name="news", purpose="marketing").status_code == 422
    )
    with acting(tenant):
        news = service.list_names()[0][0]

    visitor.post(f"/contacts/lists/{news}", name="The news", purpose="utility", about="x")
    assert "The news" in visitor.get("/contacts/lists").text
    visitor.post(f"/contacts/lists/{news}/delete")
    assert "No lists yet" in visitor.get("/contacts/lists").text
