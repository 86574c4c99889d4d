"""The list, the wizard and the page of a campaign, asked like a browser asks."""

import re
import threading
from uuid import uuid4

import pytest
from sqlalchemy import event, text, update

from clarion.base import db
from clarion.messaging.models import Message
from clarion.testing.visitor import Visitor
from clarion_campaigns import jobs, service
from clarion_contacts import contract as contacts


@pytest.fixture
def visitor(shop):
    return Visitor(shop.tenant)


def hidden(page, name):
    return re.search(rf'name="{name}"[^>]* value="([^"]*)"', page.text)[1]


def started(shop, people=3):
    draft = shop.launched(people)
    with db.transaction():
        jobs.start(draft.id)
    return draft


def settle(state, reason="", count=100, code=""):
    """Let some waiting messages end, as the engine would; the walls of state are its own."""
    with db.transaction() as orm:
        ids = list(
            orm.scalars(
                text("SELECT id FROM message WHERE state = 'queued' LIMIT :n"), {"n": count}
            )
        )
        steps = ["claimed", "dispatching"] + (
            [state] if state != "delivered" else ["accepted", state]
        )
        for step in steps:
            orm.execute(
                update(Message)
                .where(Message.id.in_(ids))
                .values(state=step, reason=reason if step == state else "")
            )


def test_an_empty_list_says_what_to_do(visitor):
    page = visitor.get("/campaigns/")

    assert "Send your first campaign" in page.text
    assert page.text.count("<h1") == 1


def test_from_the_name_to_the_launch_by_forms_alone(shop, visitor):
    shop.people(3, tag="vip")
    shop.people(2, first=20_000_000, consent=False)
    new = visitor.get("/campaigns/new")
    at = visitor.post(
        "/campaigns/new", name="Early access", key=hidden(new, "key")
    ).location
    page = visitor.get(at)
    assert "early_access · en_US" in page.text

    fields = {
        "name": "Early access!",
        "template": shop.template_id,
        "sender": shop.sender_id,
    }
    at = visitor.post(at, **fields).location
    assert "vip" in visitor.get(at).text
    at = visitor.post(at, include=[str(contacts.tags()[0].id)]).location
    assert 'value="first_name" selected' in visitor.get(at).text
    at = visitor.post(
        at, **{"source-first_name": "first_name", "fallback-first_name": "friend"}
    ).location
    assert "When it begins" in visitor.get(at).text
    at = visitor.post(at, when="now", zone="UTC", late="120").location
    page = visitor.get(at)
    assert at.endswith("/step/review")
    assert "Send to 3 people…" in page.text
    assert "Send “Early access!” to 3 people from +5511955500147?" in page.text
    assert "Hi Ana! Early access is open today." in page.text.replace("<mark>", "").replace(
        "</mark>", ""
    )

    launch = at.replace("/step/review", "/launch")
    fields = {"key": hidden(page, "key"), "people": hidden(page, "people")}
    first = visitor.post(launch, **fields)
    assert "is on its way" in visitor.get(first.location).text
    again = visitor.post(launch, **fields)
    other = visitor.post(launch, **{**fields, "key": "another"})

    assert (first.status_code, again.status_code, other.status_code) == (302, 302, 409)
    assert "launched already" in other.text


def test_a_double_click_is_one_campaign(shop, visitor):
    shop.people(2)
    draft = shop.draft()
    page = visitor.post(f"/campaigns/{draft.id}/who", to="review", follow=True)
    fields = {"key": hidden(page, "key"), "people": hidden(page, "people")}
    answers, start = [], threading.Barrier(3)

    def click():
        start.wait()
        answers.append(visitor.post(f"/campaigns/{draft.id}/launch", **fields).status_code)

    threads = [threading.Thread(target=click) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert answers == [302, 302, 302]
    assert (
        len([d for d in service.activity(service.get(draft.id)) if "launched" in d.name])
        == 1
    )


def test_a_change_is_saved_as_it_is_made(shop, visitor):
    shop.people(2, name="")
    draft = shop.draft()

    page = visitor.post(
        f"/campaigns/{draft.id}/step/variables",
        fragment=True,
        at="1",
        **{"source-first_name": "text", "fallback-first_name": "friend"},
    )

    assert page.status_code == 200
    assert "<html" not in page.text
    assert "Saved" in page.text
    assert "Hi friend!" in page.text
    assert service.get(draft.id).variables["first_name"]["source"] == "text"


def test_a_bad_value_is_told_and_changes_nothing(shop, visitor):
    draft = shop.draft()
    fields = {"source-first_name": "ssn", "fallback-first_name": ""}

    page = visitor.post(f"/campaigns/{draft.id}/step/variables", **fields)
    quiet = visitor.post(f"/campaigns/{draft.id}/step/variables", fragment=True, **fields)

    assert (page.status_code, quiet.status_code) == (422, 422)
    assert "“ssn” is nothing a contact has." in page.text
    assert "nothing a contact has" in quiet.headers["HX-Trigger"]
    assert service.get(draft.id).variables == draft.variables


def test_review_leads_to_what_is_missing(visitor):
    at = visitor.post("/campaigns/new", name="Empty", key="k").location

    page = visitor.get(at.replace("message", "review"))

    assert "Choose a template." in page.text
    assert "Nobody is in this audience" in page.text
    assert "Send to" not in page.text
    launch = at.replace("/step/message", "/launch")
    refused = visitor.post(launch, key="k")
    assert refused.status_code == 422
    assert "Nothing was sent." in refused.text


def test_a_person_can_be_leafed_through(shop, visitor):
    shop.people(1, name="Ana Lima")
    shop.people(1, first=20_000_000, name="Rui Prado")
    draft = shop.draft()

    names = [
        visitor.get(f"/campaigns/{draft.id}/rail?at={n}", fragment=True).text
        for n in (0, 1, 99)
    ]

    assert ["Hi Ana" in names[0], "Hi Rui" in names[1], "Hi Rui" in names[2]] == [True] * 3


def test_a_draft_is_copied_and_deleted(shop, visitor):
    draft = shop.draft()
    copy = visitor.post(f"/campaigns/{draft.id}/duplicate", key="k").location
    assert "Early access (copy)" in visitor.get(copy).text

    assert visitor.post(f"/campaigns/{draft.id}/delete").status_code == 302
    assert visitor.get(f"/campaigns/{draft.id}").status_code == 404


def test_the_page_of_a_running_campaign(shop, visitor):
    shop.people(2, first=20_000_000, consent=False)
    draft = started(shop, 5)
    settle("delivered", count=2)
    settle("failed", "per_user_limit", 1)
    settle("unknown", "no_answer", 1)

    page = visitor.get(f"/campaigns/{draft.id}")

    assert page.status_code == 200
    assert "<title>80% · Early access" in page.text
    assert page.text.count("<h1") == 1
    assert "Had enough marketing for now" in page.text
    assert "Do not repeat it today." in page.text
    assert "1 message with an unknown outcome" in page.text
    assert "2 people were left out" in page.text
    assert "Launched the campaign" in page.text
    assert "Pause" in page.text


def test_the_live_part_is_the_same_template_and_rests(shop, visitor):
    draft = started(shop)
    url = f"/campaigns/{draft.id}/live"

    first = visitor.get(url, fragment=True)
    again = visitor.get(url, fragment=True, If_None_Match=first.headers["ETag"])
    with db.transaction():
        service.cancel(draft.id)
    last = visitor.get(url, fragment=True, If_None_Match=first.headers["ETag"])

    assert (first.status_code, again.status_code, last.status_code) == (200, 304, 200)
    assert "X-Live" not in first.headers
    assert last.headers["X-Live"] == "done"
    assert "<html" not in first.text


@pytest.mark.parametrize("act", ["pause", "cancel"])
def test_buttons_do_what_they_say(shop, visitor, act):
    draft = started(shop)

    answer = visitor.post(f"/campaigns/{draft.id}/{act}", follow=True)
    again = visitor.post(f"/campaigns/{draft.id}/{act}")

    assert answer.status_code == 200
    assert again.status_code == 409
    assert service.results(draft.id).state in ("paused", "cancelled")


def test_a_paused_campaign_goes_on(shop, visitor):
    draft = started(shop)
    visitor.post(f"/campaigns/{draft.id}/pause")

    assert "Resume" in visitor.get(f"/campaigns/{draft.id}").text
    visitor.post(f"/campaigns/{draft.id}/resume")

    assert service.results(draft.id).state == "running"


def test_people_are_listed_by_state_and_reason(shop, visitor):
    draft = started(shop, 3)
    settle("failed", "undeliverable", 1)

    page = visitor.get(f"/campaigns/{draft.id}/people?state=failed&reason=undeliverable")
    none = visitor.get(f"/campaigns/{draft.id}/people?state=read")

    assert page.text.count("<bdi") == 1
    assert "Cannot be reached on WhatsApp" in page.text
    assert "Nobody matches." in none.text


def test_a_list_costs_the_same_for_many(shop, visitor):
    started(shop)
    visitor.get("/campaigns/")
    seen = []
    event.listen(db.engine(), "before_cursor_execute", lambda *a: seen.append(a[2]))
    visitor.get("/campaigns/")
    one = len(seen)
    for name in ("Spring", "Summer", "Autumn"):
        shop.draft(name)
    seen.clear()

    page = visitor.get("/campaigns/")

    assert "Autumn" in page.text
    assert len(seen) == one


def test_a_member_sees_but_cannot_send(shop, visitor):
    from clarion.tenancy.models import Membership

    shop.people(1)
    draft = shop.draft()
    with db.apart(db.Entry("clarion_staff")) as orm:
        orm.execute(
            update(Membership)
            .where(Membership.account_id == shop.id)
            .values(role="member")
            .execution_options(audited=True)
        )

    page = visitor.post(f"/campaigns/{draft.id}/who", to="review", follow=True)

    assert "An owner or manager of this account can send it." in page.text
    assert visitor.post(f"/campaigns/{draft.id}/launch", key="k").status_code == 403


def test_another_accounts_campaign_is_not_there(shop, other_shop, visitor):
    with other_shop.inside():
        foreign = started(other_shop)
        before = service.results(foreign.id)
    reads = ["", "/step/message", "/step/review", "/rail", "/live", "/people"]
    writes = ["/step/message", "/step/audience", "/step/variables", "/launch", "/delete",
              "/duplicate", "/pause", "/resume", "/cancel"]  # fmt: skip

    assert [visitor.get(f"/campaigns/{foreign.id}{p}").status_code for p in reads] == [
        404
    ] * 6
    assert [
        visitor.post(f"/campaigns/{foreign.id}{p}", key="k").status_code for p in writes
    ] == [404] * 9
    with other_shop.inside():
        assert service.results(foreign.id) == before


@pytest.mark.parametrize(
    "path",
    [
        "/step/nonsense",
        "/people?after=x",
        "/people?state=x",
        "/rail?at=-1",
        "/rail?at=99999999999",
    ],
)
def test_a_strange_address_is_no_error(shop, visitor, path):
    draft = shop.draft()

    assert visitor.get(f"/campaigns/{draft.id}{path}").status_code in (200, 404)


def test_strangers_are_sent_to_the_door(shop):
    for path in ("/campaigns/", "/campaigns/new", f"/campaigns/{uuid4()}"):
        assert "/sign-in" in Visitor().get(path).location
