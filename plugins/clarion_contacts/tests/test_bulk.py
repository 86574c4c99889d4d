"""Many people at once: frozen when asked, done in parts, once, and taken back."""

import datetime as dt

import pytest
from sqlalchemy import delete, func, select, update

from clarion.base import db
from clarion.base.errors import ClarionError, Conflict, Forbidden, Invalid, NotFound
from clarion.messaging import suppression
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import account_scope, system_scope
from clarion.work import outbox
from clarion.work.models import Outbox
from clarion_contacts import jobs, service
from clarion_contacts.models import Consent, Contact
from clarion_contacts.records import Bulk, BulkPart, Deed
from clarion_contacts.service import Details, Filters, bulk

CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}


@pytest.fixture
def ids(account):
    with db.transaction():
        return [
            service.add(Details(name=f"P{n}", phone=f"+55119123400{n:02}")).id
            for n in range(7)
        ]


@pytest.fixture
def small(monkeypatch):
    """Parts of three people, and a click that waits for two."""
    monkeypatch.setattr(bulk, "SIZE", 3)
    monkeypatch.setattr(bulk, "AT_ONCE", 2)


def asked(action, chosen=None):
    with db.transaction():
        return service.ask(action, chosen or Filters(words="P")).id


def go(bulk_id, typed="", **arguments):
    with db.transaction():
        return service.go(bulk_id, arguments, typed=typed)


def state_of(bulk_id):
    db.session().expire_all()
    return service.get_bulk(bulk_id)


def names(filters):
    return [row.name for row in service.find(filters, sort="oldest").rows]


def test_who_comes_in_later_is_not_touched(ids, small, run_jobs):
    bulk_id = asked("tag")
    with db.transaction():
        late = service.add(Details(name="P late", phone="+5511912349999")).id
        gone = service.delete([ids[0]])
    go(bulk_id, name="novo")
    run_jobs()

    done = state_of(bulk_id)
    assert (gone, done.state, done.total, done.progress, done.changed) == (
        1,
        "done",
        7,
        7,
        6,
    )
    tag = service.tag_names()[0].id
    assert names(Filters(tags=(tag,))) == [f"P{n}" for n in range(1, 7)]
    assert service.show(late).tags == []


def test_people_keep_what_they_had_when_it_is_taken_back(ids, small, run_jobs):
    with db.transaction():
        service.tag(ids[:2], ["novo"])
    bulk_id = go(asked("tag"), name="NOVO").id
    run_jobs()
    assert state_of(bulk_id).changed == 5

    with db.transaction():
        service.undo_bulk(bulk_id)
    run_jobs()
    run_jobs()

    assert (state_of(bulk_id).state, state_of(bulk_id).changed) == ("undone", 5)
    assert names(Filters(tags=(service.tag_names()[0].id,))) == ["P0", "P1"]
    with pytest.raises(Conflict), db.transaction():
        service.undo_bulk(bulk_id)


def test_untag_and_lists_go_both_ways(ids, small, run_jobs):
    with db.transaction():
        service.tag(ids[:4], ["novo"])
        news = service.add_list("News").id
        service.enlist(ids[:1], news)
    off = go(asked("untag"), name="novo").id
    on = go(asked("list"), list=str(news)).id
    run_jobs()
    assert (state_of(off).changed, state_of(on).changed) == (4, 6)
    assert len(names(Filters(on_list=news))) == 7

    with db.transaction():
        service.undo_bulk(off)
        service.undo_bulk(on)
    run_jobs()
    away = go(asked("unlist"), list=str(news)).id
    run_jobs()

    assert names(Filters(tags=(service.tag_names()[0].id,))) == ["P0", "P1", "P2", "P3"]
    assert state_of(away).changed == 1
    assert names(Filters(on_list=news)) == []


def test_a_field_is_set_and_emptied(ids, small, run_jobs):
    with db.transaction():
        service.add_field("Points", "number")
    one = go(asked("field"), field="points", value="12").id
    run_jobs()
    assert (state_of(one).changed, service.get(ids[3]).attributes) == (7, {"points": 12})

    again = go(asked("field"), field="points", value="12").id
    run_jobs()
    none = go(asked("field", Filters(ids=(ids[0],))), field="points", value="").id
    run_jobs()

    assert (state_of(again).changed, state_of(none).changed) == (0, 1)
    assert service.get(ids[0]).attributes == {}


def test_a_field_that_changed_its_kind_stops_the_rest(ids, small, run_jobs):
    with db.transaction():
        field = service.add_field("Points", "number")
    bulk_id = go(asked("field"), field="points", value="12").id
    with db.transaction():
        service.change_field(field.id, "Points", "date")
    run_jobs()

    stopped = state_of(bulk_id)
    assert (stopped.state, stopped.progress) == ("failed", 0)
    assert stopped.problem


def test_opting_out_is_proof_and_silence(ids, small, run_jobs):
    with db.transaction():
        service.opt_in(ids[0], **CONSENT)
        service.add_identifier(ids[0], "email", "ana@example.org")
        service.opt_out(ids[1])
    bulk_id = go(asked("opt_out"), reason="They called us").id
    run_jobs()
    run_jobs()

    assert state_of(bulk_id).changed == 6
    assert suppression.is_suppressed("email", "ana@example.org")
    assert len(names(Filters(consent="suppressed"))) == 7
    query = select(Consent.action, Consent.source, Consent.method).where(
        Consent.contact_id == ids[0]
    )
    assert db.session().execute(query.order_by(Consent.created_at.desc())).first() == (
        "withdraw", "They called us", "team",
    )  # fmt: skip
    one = service.get(ids[0])
    assert (one.consent, one.consent_at is not None) == ("opted_out", True)
    entries = select(func.count()).where(AuditEntry.name == "contacts.contact.opted_out")
    assert db.session().scalar(entries) == 7


def test_deleting_asks_for_the_number_and_spares_who_came_later(ids, small, run_jobs):
    bulk_id = asked("delete")
    with db.transaction():
        late = service.add(Details(name="P late", phone="+5511912349999")).id
    for typed in ("", "8", "seven"):
        with pytest.raises(Invalid) as refused:
            go(bulk_id, typed=typed)
        assert refused.value.field == "typed"
    go(bulk_id, typed=" 7 ")
    run_jobs()

    assert state_of(bulk_id).changed == 7
    assert [row.id for row in service.find().rows] == [late]
    with pytest.raises(Conflict), db.transaction():
        service.undo_bulk(bulk_id)


def test_each_part_is_done_once_whatever_happens(ids, small):
    bulk_id = go(asked("tag"), name="novo").id
    with db.transaction():
        assert service.step(bulk_id)
    with pytest.raises(RuntimeError), db.transaction():  # killed in the second part
        service.step(bulk_id)
        raise RuntimeError
    assert state_of(bulk_id).progress == 3

    for _time in range(3):
        jobs.run_bulk(bulk_id)

    done = state_of(bulk_id)
    assert (done.state, done.progress, done.changed) == ("done", 7, 7)
    with db.transaction():
        assert not service.step(bulk_id)


def test_work_whose_worker_died_is_taken_up_again(ids, small, run_jobs):
    bulk_id = go(asked("tag"), name="novo").id
    with db.transaction() as orm:
        orm.execute(update(Bulk).values(beat_at=func.clarion_now() - dt.timedelta(hours=1)))
    with db.apart(outbox.SYSTEM) as orm:
        orm.execute(delete(Outbox))  # what was rung is lost
    run_jobs()
    assert state_of(bulk_id).state == "running"

    with system_scope(SYSTEM_JOB):
        jobs.resume_bulks()
    run_jobs()

    assert state_of(bulk_id).state == "done"


def test_after_a_day_nobody_is_named_any_more(ids, small, run_jobs):
    bulk_id, unasked = go(asked("tag"), name="novo").id, asked("delete")
    run_jobs()
    with db.transaction() as orm:
        orm.execute(update(Bulk).values(expires_at=func.clarion_now() - dt.timedelta(1)))
        assert service.forget_bulks() == 2
        assert service.forget_bulks() == 0

    assert db.session().scalar(select(func.count()).select_from(BulkPart)) == 0
    for one in (bulk_id, unasked):
        with pytest.raises(NotFound):
            service.get_bulk(one)
    assert db.session().scalar(select(func.count()).select_from(Contact)) == 7


@pytest.mark.parametrize(
    ("action", "arguments", "field"),
    [
        ("untag", {"name": "nobody's"}, "name"),
        ("tag", {"name": ""}, "name"),
        ("list", {"list": "x"}, "list"),
        ("field", {"field": "x"}, "field"),
        ("opt_out", {"reason": " "}, "reason"),
    ],
)
def test_what_is_missing_is_named(ids, action, arguments, field):
    bulk_id = asked(action)

    with pytest.raises(ClarionError) as refused:
        go(bulk_id, **arguments)

    assert refused.value.field == field
    assert state_of(bulk_id).state == "asked"


def test_it_is_seen_by_who_asked_and_done_by_who_may(ids, account, other_account):
    bulk_id = asked("tag")
    with pytest.raises(Invalid), db.transaction():
        service.ask("tag", Filters(words="nobody at all"))
    with pytest.raises(Invalid), db.transaction():
        service.ask("sell", Filters())
    with account_scope(account.id, account.member("member")), db.transaction():
        for action in ("delete", "export"):
            with pytest.raises(Forbidden):
                service.ask(action, Filters())
    with account_scope(other_account.id, other_account.actor), pytest.raises(NotFound):
        service.get_bulk(bulk_id)

    with db.transaction():
        service.throw_away(bulk_id)
    with pytest.raises(NotFound):
        service.get_bulk(bulk_id)


def test_what_many_got_at_once_is_on_the_timeline_of_each(ids, small, run_jobs):
    with db.transaction():
        service.tag(ids[:1], ["novo"])
    bulk_id = go(asked("tag"), name="novo").id
    run_jobs()
    with db.transaction():
        service.undo_bulk(bulk_id)
    run_jobs()

    def told(contact_id):
        return [
            (one.title, one.text, one.by)
            for one in service.timeline(contact_id).moments
            if "tag" in one.title
        ]

    by = "Marina Lopes"
    assert told(ids[0]) == [("Got the tag", "“novo”", by)]
    assert told(ids[6]) == [("Lost the tag", "“novo”", by), ("Got the tag", "“novo”", by)]
    with db.transaction():
        service.delete([ids[6]])
    assert db.session().scalar(select(func.count()).where(Deed.contact_id == ids[6])) == 0
