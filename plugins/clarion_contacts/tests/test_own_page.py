"""A person's own own: what it shows, what it changes, what it never reveals or lifts."""

import re

import pytest
from sqlalchemy import create_engine, event, func, select, text

from clarion.base import db
from clarion.base.errors import Invalid, NotFound
from clarion.messaging import suppression
from clarion.messaging.models import Suppression
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_sender
from clarion.testing.visitor import Visitor, portal
from clarion_contacts import service
from clarion_contacts.models import Consent
from clarion_contacts.records import Request
from clarion_contacts.service import Details

CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}
NUMBER = "+5511912340001"


@pytest.fixture
def client(database):
    return portal().test_client()


@pytest.fixture
def ana(account):
    with db.transaction():
        one = service.add(Details(name="Ana Lima", phone=NUMBER, email="ana@example.org"))
        service.opt_in(one.id, **CONSENT)
    return one.id


@pytest.fixture
def own(ana):
    return f"/contacts/you/{service.page_of(ana)}"


def last(contact_id):
    with db.transaction() as orm:
        query = select(Consent).where(Consent.contact_id == contact_id)
        return orm.scalars(query.order_by(Consent.created_at.desc())).first()


def quiet():
    with db.transaction():
        return suppression.is_suppressed("phone", NUMBER)


def test_it_says_who_writes_and_why_and_sets_no_cookie(client, own):
    answer = client.get(own)

    assert answer.status_code == 200
    assert "Casa Verde" in answer.text
    assert CONSENT["wording"] in answer.text
    assert NUMBER not in answer.text
    assert "+55•••01" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    tokens = re.findall(r'name="csrf[-_]token" (?:content|value)="([^"]*)"', answer.text)
    assert set(tokens) <= {""}


def test_everything_is_stopped_by_one_press(client, own, ana, run_jobs):
    answer = client.post(f"{own}/stop")
    run_jobs()

    assert answer.status_code == 302
    assert "Set-Cookie" not in answer.headers
    assert quiet()
    event_ = last(ana)
    assert (event_.action, event_.method) == ("object", "preferences")
    db.session().expire_all()
    assert service.get(ana).consent == "opted_out"
    with db.transaction() as orm:
        rows = orm.execute(select(Suppression.kind, Suppression.reason)).all()
        assert {tuple(row) for row in rows} == {
            ("phone", "unsubscribe"), ("email", "unsubscribe"),
        }  # fmt: skip
        assert orm.scalar(select(func.count()).select_from(Consent)) == 2


def test_a_mail_providers_click_stops_without_reading_anything(client, ana):
    """RFC 8058: a POST from anywhere with the one field; a GET only asks."""
    path = f"/contacts/stop/{service.sign('stop', ana)}"

    assert client.get(path).status_code == 200
    assert not quiet()
    answer = client.post(
        path,
        data="List-Unsubscribe=One-Click",
        content_type="application/x-www-form-urlencoded",
        headers={"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"},
    )

    assert (answer.status_code, answer.text) == (200, "")
    assert quiet()
    assert client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200


def test_a_multipart_click_stops_too(client, ana):
    path = f"/contacts/stop/{service.sign('stop', ana)}"

    answer = client.post(
        path, data={"List-Unsubscribe": "One-Click"}, content_type="multipart/form-data"
    )

    assert (answer.status_code, answer.text) == (200, "")
    assert quiet()


def test_a_stop_link_shows_nothing_of_the_person(client, ana):
    token = service.sign("stop", ana)

    shown = client.get(f"/contacts/stop/{token}").text

    assert "Ana" not in shown
    assert "+55" not in shown
    assert client.get(f"/contacts/you/{token}").status_code == 404


def test_topics_are_chosen_one_by_one(client, own, ana):
    with db.transaction():
        offers = service.keep_topic("Offers", "Now and then", ["offer_1", "offer_2"]).id
        news = service.keep_topic("News", "", []).id
    assert client.get(own).text.count("checked") == 2

    answer = client.post(f"{own}/topics", data={"topic": [str(news)]})

    assert answer.status_code == 302
    event_ = last(ana)
    assert (event_.action, event_.topic_id, event_.method) == (
        "withdraw",
        offers,
        "preferences",
    )
    assert not quiet()
    db.session().expire_all()
    assert service.get(ana).consent == "opted_in"
    with db.transaction():
        assert [(t.name, t.stopped) for t in service.topics()] == [
            ("News", 0),
            ("Offers", 1),
        ]
        assert service.compare(repair=False).differing == 0
    client.post(f"{own}/topics", data={"topic": [str(news), str(offers)]})
    assert (last(ana).action, last(ana).topic_id) == ("grant", offers)


def test_a_stopped_topic_is_not_sent(client, own, ana, account):
    from types import SimpleNamespace

    from clarion.messaging import orders, snapshot
    from clarion.messaging.models import Message
    from clarion_contacts.plugin import before_send

    with db.transaction():
        service.keep_topic("Offers", "", ["offer_1"])
        bo = service.add(Details(name="Bo", phone="+5511912340002")).id
        service.opt_in(bo, **CONSENT)
    client.post(f"{own}/topics", data={})
    sender = make_sender(account)
    refused = {}
    for template in ("offer_1", "news_1"):
        with db.transaction() as orm:
            order = orders.create(
                "Hello", "marketing", sender,
                {"name": template, "language": "en", "parts": [], "text": {}},
            )  # fmt: skip
            snapshot.freeze(order.id, service.audience(service.everyone(), {}, "marketing"))
            ids = orm.execute(
                select(Message.contact_id, Message.id).where(
                    Message.campaign_id == order.id
                )
            )
            ids = dict(ids.tuples().all())
            batch = SimpleNamespace(ids=tuple(ids.values()), campaign_id=order.id)
            rows = orm.execute(before_send(batch)).all()
            refused[template] = [(why, mid == ids[ana]) for mid, why in rows]

    assert refused == {"offer_1": [("topic_stopped", True)], "news_1": []}


@pytest.mark.parametrize("kind", ["copy", "correction", "erasure"])
def test_what_is_asked_reaches_the_account_with_a_day(client, own, ana, kind):
    answer = client.post(f"{own}/ask", data={"kind": kind, "note": "My name is Anna"})
    client.post(f"{own}/ask", data={"kind": kind, "note": "again"})

    assert answer.status_code == 302
    with db.transaction():
        (one,) = service.requests()
        assert (one.kind, one.note, one.state, one.name) == (
            kind, "My name is Anna", "open", "Ana Lima",
        )  # fmt: skip
        assert 29 <= (one.due_at - one.at).days <= 30
        assert service.waiting() == (1, 0)
    assert quiet() is (kind == "erasure")  # a stop waits for nobody
    assert "due" in client.get(own).text


def test_a_correction_says_what_is_wrong(client, own):
    assert client.post(f"{own}/ask", data={"kind": "correction"}).status_code == 422
    assert client.post(f"{own}/ask", data={"kind": "money"}).status_code == 422


def test_a_request_is_settled_and_its_words_forgotten(client, own, ana):
    client.post(f"{own}/ask", data={"kind": "copy", "note": "please"})
    with db.transaction():
        (one,) = service.requests()
        service.settle_request(one.id)

    with db.transaction() as orm:
        (done,) = service.requests(done=True)
        assert (done.state, done.done_by, done.note) == ("done", "Marina Lopes", "")
        assert service.waiting() == (0, 0)
        assert orm.scalars(select(Request.note)).all() == [None]


def test_erasure_is_done_when_the_person_is_gone(client, own, ana, run_jobs):
    client.post(f"{own}/ask", data={"kind": "erasure"})
    with db.transaction():
        (one,) = service.requests()
        with pytest.raises(Invalid) as refused:
            service.settle_request(one.id)
    assert refused.value.code == "request_not_done"

    with db.transaction():
        service.delete([ana])
    run_jobs()

    with db.transaction():
        assert service.requests() == []
        assert service.requests(done=True)[0].gone
    assert quiet()
    assert client.get(own).status_code == 404


def test_an_overdue_request_is_on_the_overview(client, own, account, database):
    client.post(f"{own}/ask", data={"kind": "copy"})
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE contacts_request SET due_at = now() - interval '1 h'")
        )
    engine.dispose()

    overview = Visitor(account).get("/").text

    assert "1 is overdue" in overview
    assert "/contacts/consent/requests" in overview


def test_a_foreign_or_old_link_shows_nothing(client, ana, account, other_account):
    import datetime as dt

    from clarion.base import clock

    with account_scope(other_account.id, other_account.actor):
        foreign = service.page_of(ana)
    old = service.sign("page", ana, until=clock.now() - dt.timedelta(seconds=1))
    answers = [client.get(f"/contacts/you/{one}") for one in (foreign, old, "", "zz")]

    assert {one.status_code for one in answers} == {404}
    assert not any("Ana" in one.text or "Casa Verde" in one.text for one in answers)
    for path in ("stop", "topics", "ask"):
        assert client.post(f"/contacts/you/{foreign}/{path}").status_code == 404
    assert not quiet()


def test_the_page_lifts_no_stop(client, own, ana, account):
    """An account's team can hold such a link, so it must not be a way around a STOP."""
    make_sender(account)
    with db.transaction():
        topic = service.keep_topic("Offers", "", []).id
        suppression.suppress([("phone", NUMBER)], reason="stop")
        before = db.session().execute(select(Suppression.idx, Suppression.until)).all()

    client.post(f"{own}/topics", data={"topic": [str(topic)]})
    client.post(f"{own}/topics", data={})
    client.post(f"{own}/topics", data={"topic": [str(topic)]})

    db.session().expire_all()
    with db.transaction() as orm:
        assert orm.execute(select(Suppression.idx, Suppression.until)).all() == before
    assert "wa.me/5511955500147?text=START" in client.get(own).text


def test_the_page_needs_as_many_queries_for_many_events(client, own, ana):
    def queries():
        seen = []
        from clarion.base.db import engine

        def note(_conn, _cursor, statement, *_rest):
            seen.append(statement)

        event.listen(engine(), "before_cursor_execute", note)
        try:
            assert client.get(own).status_code == 200
        finally:
            event.remove(engine(), "before_cursor_execute", note)
        return len(seen)

    first = queries()
    with db.transaction():
        for n in range(20):
            service.keep_topic(f"Topic {n}", "", []) if n < 18 else None
            service.opt_in(ana, **CONSENT)

    assert queries() == first


# --- topics, as the account keeps them


def test_a_template_is_about_one_topic(account):
    with db.transaction():
        offers = service.keep_topic("Offers", "", ["a", "b", "a"])
        assert offers.templates == ["a", "b"]
        with pytest.raises(Exception, match="topic_template_taken"):
            service.keep_topic("News", "", ["b"])


def test_a_retired_topic_comes_back_with_its_history(client, own, ana):
    with db.transaction():
        first = service.keep_topic("Offers", "", [])
    client.post(f"{own}/topics", data={})
    with db.transaction():
        service.retire_topic(first.id)
        assert service.topics() == []
        again = service.keep_topic("offers", "", [])
        assert again.id == first.id
        assert service.topics()[0].stopped == 1


def test_members_see_consent_and_change_nothing(account, ana):
    from clarion.base.errors import Forbidden

    with account_scope(account.id, account.member("member")), db.transaction():
        assert service.topics() == []
        for act in (
            lambda: service.keep_topic("Offers", "", []),
            lambda: service.close_signup(db.new_id()),
            lambda: service.settle_request(db.new_id()),
        ):
            with pytest.raises(Forbidden):
                act()


# --- the account's pages


def test_every_page_about_consent_opens(account, ana, client, own):
    sender = make_sender(account)
    client.post(f"{own}/ask", data={"kind": "copy", "note": "please"})
    visitor = Visitor(account)
    made = visitor.get("/contacts/consent/forms/new")
    assert made.status_code == 200
    words = "I want offers from Casa Verde by WhatsApp."
    fields = {"name": "Shop", "wording": words, "by_mail": "y", "word": "join"}
    saved = visitor.post("/contacts/consent/forms/new", sender_id=str(sender), **fields)
    assert saved.status_code == 302, saved.text
    listed = visitor.get("/contacts/consent/forms")
    assert "https://wa.me/5511955500147?text=JOIN" in listed.text
    address = re.search(r'href="[^"]*(/contacts/join/[^"]+)"', listed.text)[1]
    assert client.get(address).status_code == 200
    bad = visitor.post(
        "/contacts/consent/forms/new", sender_id=str(sender), **fields | {"wording": "Yes"}
    )
    assert bad.status_code == 422
    assert "does not name your business" in bad.text
    hint = visitor.post("/contacts/consent/words", fragment=True, wording="Yes")
    assert "does not name your business" in hint.text
    assert visitor.post("/contacts/consent/topics", name="Offers").status_code == 302
    for path in (
        "/contacts/consent", "/contacts/consent/topics", "/contacts/consent/requests",
        "/contacts/consent/requests?done=1", f"/contacts/{ana}/own-page", f"/contacts/{ana}",
    ):  # fmt: skip
        assert visitor.get(path).status_code == 200, path
    with db.transaction():
        topic, form = service.topics()[0], service.signups()[0]
        (asked,) = service.requests()
    assert visitor.get(f"/contacts/consent/topics/{topic.id}").status_code == 200
    renamed = visitor.post(f"/contacts/consent/topics/{topic.id}", name="News")
    assert renamed.status_code == 302
    assert visitor.get(f"/contacts/consent/forms/{form.id}").status_code == 200
    done = visitor.post(f"/contacts/consent/requests/{asked.id}/done", follow=True)
    assert done.status_code == 200
    assert visitor.post(f"/contacts/consent/topics/{topic.id}/retire").status_code == 302
    assert visitor.post(f"/contacts/consent/forms/{form.id}/close").status_code == 302
    assert client.get(address).status_code == 404


def test_a_complaint_silences_everything(account, ana):
    visitor = Visitor(account)
    visitor.get("/")

    assert visitor.post(f"/contacts/{ana}/complained").status_code == 302

    with db.transaction() as orm:
        assert suppression.is_suppressed("phone", NUMBER, "all")
        assert set(orm.scalars(select(Suppression.reason))) == {"complaint"}
        assert last(ana).action == "object"


def test_unknown_rows_are_not_found(account):
    with db.transaction():
        for act in (
            lambda: service.get_topic(db.new_id()),
            lambda: service.get_signup(db.new_id()),
            lambda: service.settle_request(db.new_id()),
            lambda: service.card(db.new_id()),
            lambda: service.own_page(db.new_id()),
            lambda: service.choose(db.new_id(), set()),
            lambda: service.stop_everything(db.new_id()),
        ):
            with pytest.raises(NotFound):
                act()
