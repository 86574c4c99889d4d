"""What stays unknown, on screen: two buttons, a list, and one person's whole story."""

import re
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, event, select, text, update

from clarion.base import db
from clarion.base.errors import Forbidden
from clarion.messaging import outcomes, suppression
from clarion.messaging.models import STATES, Campaign, Decision, Message
from clarion.testing.visitor import Visitor
from clarion_campaigns import jobs, service


@pytest.fixture
def asked(sending_shop, simulator, run_jobs):
    """A campaign with three people: one got it, two are asked about."""
    rule = {"match": {}, "fate": {"answer": "reset"}, "times": 2}
    simulator.post("rules", rules=[rule], replace=True)
    draft = sending_shop.launched(3)
    run_jobs()
    with db.transaction() as orm:
        orm.execute(
            update(Message).where(Message.state == "unknown").values(state="needs_decision")
        )
        query = select(Message.id).where(Message.state == "needs_decision")
        ids = sorted(orm.scalars(query))
    assert len(ids) == 2
    return draft, ids


def fields(page, action):
    form = re.search(
        rf'<form[^>]*decide"[^>]*>(?:(?!</form>).)*value="{action}".*?</form>',
        page,
        re.DOTALL,
    )[0]
    return dict(re.findall(r'name="(action|asked_at|rowid)" value="([^"]*)"', form))


def test_the_page_asks_and_both_answers_are_one_click(
    asked, sending_shop, simulator, run_jobs
):
    draft, _ids = asked
    visitor = Visitor(sending_shop.tenant)
    page = visitor.get(f"/campaigns/{draft.id}").text
    assert "2 messages need your decision" in page
    assert "some people may get the message twice" in page

    done = visitor.post(f"/campaigns/{draft.id}/decide", **fields(page, "resend"))
    said = visitor.get(done.location).text
    again = visitor.post(f"/campaigns/{draft.id}/decide", **fields(page, "leave"))
    run_jobs()

    assert "2 messages are sent again. Decided by Marina Lopes." in said
    assert (
        "2 messages are sent again. Decided by Marina Lopes."
        in visitor.get(again.location).text
    )
    assert len(simulator.receipts()) == 3


def test_one_by_one_in_the_list_and_on_the_page_of_a_person(asked, sending_shop):
    draft, ids = asked
    visitor = Visitor(sending_shop.tenant)
    listed = visitor.get(f"/campaigns/{draft.id}/people?state=needs_decision").text
    assert listed.count('name="rowid"') == 2
    assert "Leave it, or send it again" in listed

    url = f"/campaigns/{draft.id}/decide"
    done = visitor.post(url, action="leave", rowid=[str(ids[0])])
    assert done.location.endswith("people?state=needs_decision")
    assert "1 message is left as it is." in visitor.get(done.location).text
    page = visitor.get(f"/campaigns/message/{ids[1]}").text
    visitor.post(url, **fields(page, "leave"))

    with db.transaction() as orm:
        assert sorted(orm.scalars(select(Decision.message_id))) == ids


@pytest.mark.parametrize(
    "given", [{}, {"action": "leave"}, {"action": "leave", "asked_at": "soon"},
    {"action": "twice", "asked_at": "2026-11-22T10:00:00+00:00"}]
)  # fmt: skip
def test_nonsense_is_refused_in_words(asked, sending_shop, given):
    draft, _ids = asked
    answer = Visitor(sending_shop.tenant).post(f"/campaigns/{draft.id}/decide", **given)

    assert answer.status_code == 422


def test_who_may_not_send_may_not_send_again(asked, sending_shop):
    draft, ids = asked
    with sending_shop.inside("member"):
        for choice in ("resend", "leave"):
            with pytest.raises(Forbidden), db.transaction():
                service.decide(draft.id, choice, [ids[0]])


def test_the_list_filters_by_reason(asked, sending_shop):
    draft, _ids = asked
    visitor = Visitor(sending_shop.tenant)
    page = visitor.get(f"/campaigns/{draft.id}/people").text

    assert '<option value="no_answer">Needs your decision (2)</option>' in page
    chosen = visitor.get(f"/campaigns/{draft.id}/people?reason=no_answer").text
    assert chosen.count("/campaigns/message/") == 2


# --- why did they, or did they not, get it?


def test_the_story_of_who_got_it_and_who_did_not(asked, sending_shop, run_jobs):
    draft, ids = asked
    with db.transaction() as orm:
        got = orm.scalar(select(Message.id).where(Message.state == "accepted"))
        service.decide(draft.id, "resend", [ids[0]])
    run_jobs()
    with db.transaction():
        one, other = service.story(got), service.story(ids[0])

    assert (one.got, len(one.tries), one.consent.wording) == ("maybe", 1, "Yes, please")
    assert "passed every check" in one.gate
    assert [t.number for t in other.tries] == [1, 2]
    assert [t.outcome for t in other.tries] == ["unknown", "accepted"]
    assert [(c, by) for c, by, _ in other.decided] == [("resend", "Marina Lopes")]
    page = Visitor(sending_shop.tenant).get(f"/campaigns/message/{ids[0]}").text
    assert "Why did they, or did they not, get" in page
    assert "Ordered to be sent again" in page
    assert "“Yes, please”" in page


def test_the_story_of_who_was_kept_out_and_who_waits(shop):
    shop.people(1, first=20_000_000, consent=False)
    draft = shop.launched(2)
    with db.transaction():
        jobs.start(draft.id)
        rows = dict(db.session().execute(select(Message.state, Message.id)).tuples().all())
        kept, waits = service.story(rows["suppressed"]), service.story(rows["queued"])
        db.session().execute(
            update(Campaign).values(state="paused", state_reason="token_invalid")
        )
        db.session().flush()
        paused = service.story(rows["queued"])

    assert (kept.got, kept.tries) == ("no", [])
    assert kept.gate == "It was kept back before sending: No consent on record."
    assert (waits.got, waits.consent is not None) == ("later", True)
    assert "in line" in waits.gate
    assert "Access revoked" in paused.gate


def test_the_story_says_who_must_not_be_written_to_today(asked, sending_shop):
    _draft, ids = asked
    with db.transaction() as orm:
        number = orm.scalar(select(Message.address).where(Message.id == ids[0]))
        assert service.story(ids[0]).blocked == ""
        suppression.suppress([("phone", number)], reason="stop")

        assert service.story(ids[0]).blocked == "Said STOP"


def test_every_state_and_reason_renders_an_answer_in_one_query(
    asked, sending_shop, database
):
    """SND-27: whatever the ledger can hold, the page has an answer, from one query."""
    _draft, ids = asked
    visitor = Visitor(sending_shop.tenant)
    shown, root = set(), create_engine(database.superuser_url)
    for state, reason in [(s, "") for s in STATES] + outcomes.pairs():
        if state not in STATES or (state, reason) in shown:
            continue
        shown.add((state, reason))
        put(root, ids[0], state, reason)
        with db.transaction() as orm, counted(orm.get_bind()) as queries:
            found = service.story(ids[0])
        asked_for = [q for q in queries if "FROM message" in q]
        assert len(asked_for) == 1
        assert found.words.title
        assert found.words.why
        assert found.words.todo
        assert found.got in ("yes", "no", "maybe", "later")
    root.dispose()
    assert visitor.get(f"/campaigns/message/{ids[0]}").status_code == 200


@contextmanager
def counted(engine):
    """Write down the statements that are sent while a block runs."""
    queries = []

    def note(*args):
        queries.append(args[2])

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield queries
    finally:
        event.remove(engine, "before_cursor_execute", note)


def put(engine, message_id, state, reason):
    """Put a message into a state, past the trigger: the page is what is tested here."""
    with engine.begin() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(
            update(Message)
            .where(Message.id == message_id)
            .values(state=state, reason=reason)
        )


def test_somebody_elses_message_has_no_story(asked, other_shop):
    _draft, ids = asked

    assert Visitor(other_shop.tenant).get(f"/campaigns/message/{ids[0]}").status_code == 404
