"""Reminders: the verbs, the pages, the veto, the job by the clock, and their end."""

import datetime as dt
from uuid import UUID, uuid4

import pytest
from clarion_reminders import jobs, service
from clarion_reminders.events import ReminderDue
from clarion_reminders.models import Reminder
from sqlalchemy import select

from clarion.base import clock, db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.messaging.models import Message
from clarion.tenancy import preferences
from clarion.tenancy.models import Account
from clarion.tenancy.scope import account_scope, current_account
from clarion.testing.console import Browser, make_role, make_staff, statements
from clarion.testing.visitor import Visitor
from clarion.work import events
from clarion.work.jobs import job


def add(contact, note="Call about the order", due_on=None, **more):
    with db.transaction():
        return service.add(contact, note, due_on or clock.now().date(), **more)


# --- the verbs


def test_reminder_is_listed_until_it_is_done(contact, in_days):
    later = add(contact, "Birthday", in_days(9))
    now = add(contact)

    assert [(r.note, r.due) for r in service.listing()] == [
        ("Call about the order", True),
        ("Birthday", False),
    ]
    with db.transaction():
        service.done(now.id)
    assert [r.id for r in service.listing()] == [later.id]


def test_done_twice_is_refused(contact):
    row = add(contact)
    with db.transaction():
        service.done(row.id)

    with pytest.raises(Conflict) as refused, db.transaction():
        service.done(row.id)

    assert refused.value.code == "reminder_done"


@pytest.mark.parametrize(
    ("note", "code"), [("  ", "note_missing"), ("x" * 201, "note_long")]
)
def test_note_without_words_or_end_is_refused(contact, note, code):
    with pytest.raises(Invalid) as refused:
        add(contact, note)

    assert (refused.value.code, refused.value.field) == (code, "note")
    assert service.listing() == []


def test_another_accounts_contact_and_reminder_are_unknown(contact, other_account):
    row = add(contact)
    with account_scope(other_account.id, other_account.actor):
        with pytest.raises(NotFound):
            add(contact)
        with pytest.raises(NotFound), db.transaction():
            service.done(row.id)
        assert service.listing() == []


def test_due_is_where_the_account_is(account, contact):
    """On the date line a day begins long before it does in Greenwich."""
    with db.transaction() as orm:
        orm.get(Account, account.id).timezone = "Pacific/Kiritimati"
    there = dt.datetime.now(dt.timezone(dt.timedelta(hours=14))).date()

    add(contact, "Today there", there)
    add(contact, "Tomorrow there", there + dt.timedelta(days=1))

    assert [r.note for r in service.listing(only_due=True)] == ["Today there"]


def test_list_makes_as_many_queries_for_many(make_contact):
    def queries():
        with statements() as found:
            service.listing()
        return len(found)

    add(make_contact())
    one = queries()
    for number in range(2, 6):
        add(make_contact(number=number))

    assert queries() == one


# --- the pages


def test_somebody_adds_and_ticks_off(account, contact, in_days):
    owner = Visitor(account)
    assert "Nothing to think of" in owner.get("/reminders/").text
    answer = owner.post(
        "/reminders/",
        contact=str(contact),
        note="Call",
        due_on=str(in_days(0)),
        call_first="y",
    )
    assert answer.status_code == 302

    page = owner.get("/reminders/").text
    assert "Call first" in page
    [row] = service.listing()
    answer = owner.post(f"/reminders/{row.id}/done")

    assert answer.status_code == 302
    assert "Nothing to think of" in owner.get("/reminders/").text


def test_bad_form_is_shown_again(account, contact):
    owner = Visitor(account)
    owner.get("/reminders/")

    answer = owner.post("/reminders/", contact=str(contact), note="", due_on="soon")

    assert answer.status_code == 422
    assert service.listing() == []


def test_foreign_contact_is_no_choice(account, contact, other_account, in_days):
    stranger = Visitor(other_account)
    stranger.get("/reminders/")

    answer = stranger.post(
        "/reminders/", contact=str(contact), note="Call", due_on=str(in_days(0))
    )

    assert answer.status_code == 422
    assert service.listing() == []


def test_overview_shows_what_is_due(account, contact, in_days):
    owner = Visitor(account)
    assert "Due today" not in owner.get("/").text
    add(contact, "Call about the order")
    add(contact, "Much later", in_days(30))

    page = owner.get("/").text

    assert "Call about the order" in page
    assert "Much later" not in page


# --- staff see counts


@pytest.fixture
def console(database):
    from clarion.web import staff
    from clarion.web.app import joined, wrapped

    staff.sync()
    return wrapped(joined())


def test_staff_see_how_many_and_never_what(account, contact, console):
    make_staff("Admin")
    add(contact, "secret words")
    colleague = make_staff(make_role("reminders.counts"))

    page = Browser(console).sign_in(colleague).get("/console/reminders/")

    assert page.status_code == 200
    assert account.name in page.text
    assert "secret words" not in page.text


def test_staff_without_the_permission_see_nothing(console, clean):
    make_staff("Admin")
    colleague = make_staff(make_role())

    assert Browser(console).sign_in(colleague).get("/console/reminders/").status_code == 403


def test_customers_may_not_count(account):
    with pytest.raises(Forbidden):
        service.counts()


# --- the veto


class Batch:
    """What the engine shows a veto: ids of messages it is about to send."""

    def __init__(self, *ids):
        self.ids = ids


def refused(*ids):
    query = service.to_be_called_first(Batch(*ids))
    return [] if query is None else db.session().execute(query).all()


@pytest.fixture
def message(account):
    """A message to a contact, as the ledger holds it."""
    from clarion.messaging import orders
    from clarion.testing.factories import make_sender

    sender_id = make_sender(account)

    def make(contact_id, purpose="marketing"):
        template = {"name": "x", "language": "en", "parts": [], "text": {"body": "Hi"}}
        with db.transaction() as orm:
            order = orders.create(f"Order {uuid4().hex}", purpose, sender_id, template)
            row = Message(
                campaign_id=order.id,
                contact_id=contact_id,
                sender_id=sender_id,
                address="+5511930000001",
                address_idx=b"x",
                purpose=purpose,
                state="queued",
                variables={},
            )
            orm.add(row)
        return row.id

    return make


def test_marketing_waits_for_the_call(contact, message, in_days):
    marketing, utility = message(contact), message(contact, "utility")
    assert refused(marketing, utility) == []
    row = add(contact, call_first=True)

    assert refused(marketing, utility) == [(marketing, "call_first")]

    with db.transaction():
        service.done(row.id)
    assert refused(marketing, utility) == []


def test_only_what_is_due_and_to_be_called_first_holds_back(contact, message, in_days):
    one = message(contact)
    add(contact, "Some day", in_days(3), call_first=True)
    add(contact, "No call")

    assert refused(one) == []


def test_two_reminders_refuse_a_message_once(contact, message):
    one = message(contact)
    add(contact, "Once", call_first=True)
    add(contact, "Twice", call_first=True)

    assert refused(one) == [(one, "call_first")]


def test_other_peoples_messages_are_not_held_back(make_contact, message):
    asha, bela = make_contact("Asha", 1), make_contact("Bela", 2)
    to_bela = message(bela)
    add(asha, call_first=True)

    assert refused(to_bela) == []


def test_account_may_choose_not_to_hold_back(contact, message):
    one = message(contact)
    add(contact, call_first=True)

    with db.transaction():
        preferences.store("reminders", {"hold_back": False})

    assert refused(one) == []


def test_campaign_leaves_the_person_out(account, make_contact, simulator, run_jobs):
    """All of it: a campaign to two, one of whom is to be called first; judged by receipts."""
    from clarion.messaging.contract import TemplateVerdict
    from clarion.testing.factories import make_sender
    from clarion_campaigns import service as campaigns
    from clarion_templates import service as templates
    from clarion_templates.rendering import Content

    asha = make_contact("Asha", 1)
    make_contact("Bela", 2)
    sender_id = make_sender(account, simulator.url)
    with db.transaction():
        words = Content(
            name="early", body="Early access.", category="marketing", samples={}
        )
        template = templates.create(words)
        templates.submit(template.id)
        templates.judge(template.id, TemplateVerdict(uuid4().hex, "approved"))
        draft = campaigns.create("Early access", uuid4().hex)
        campaigns.choose_message(draft.id, template.id, sender_id)
    add(asha, call_first=True)

    with db.transaction():
        campaigns.launch(draft.id, "once")
    run_jobs()

    assert [r["to"] for r in simulator.receipts()] == ["+5511930000002"]
    db.session().expire_all()
    held = db.session().scalars(select(Message).where(Message.contact_id == asha)).one()
    assert (held.state, held.reason) == ("suppressed", "call_first")


# --- by the clock


heard = []


@job(queue="default", idempotent=True)
def listen(reminder_id: UUID, contact_id: UUID) -> None:
    """Hear of a due reminder, as another plugin would."""
    heard.append((current_account(), reminder_id, contact_id))


@pytest.fixture
def told(account, run_jobs, monkeypatch):
    """Look for what is due, and say what this account's listeners heard."""
    monkeypatch.setattr(events, "_subscribers", {})
    events.subscribe(ReminderDue, listen)
    heard.clear()

    def look():
        jobs.tell_due()
        run_jobs()
        return [one[1:] for one in heard if one[0] == account.id]

    return look


def test_due_reminders_are_told_once(account, contact, in_days, told):
    due = add(contact)
    add(contact, "Later", in_days(4))

    assert [told() for _ in range(3)][-1] == [(due.id, contact)]


def test_nobody_is_told_while_the_plugin_is_off(contact, told):
    add(contact)
    with db.transaction():
        preferences.switch("reminders", to=False)

    assert told() == []


def test_reminders_go_with_their_contact(contact, make_contact, run_jobs):
    from clarion_contacts import contract as contacts

    other = make_contact("Bela", 2)
    add(contact)
    kept = add(other)

    with db.transaction():
        contacts.delete([contact])
    run_jobs()

    db.session().expire_all()
    assert [r.id for r in db.session().scalars(select(Reminder))] == [kept.id]


def test_reminders_follow_who_became_part_of_another_and_go_back(
    contact, make_contact, run_jobs
):
    from clarion_reminders import service

    from clarion_contacts import contract as contacts

    twin, third = make_contact("Asha P.", 2), make_contact("A. Pillai", 3)
    mine, theirs = add(contact), add(twin)
    where = {mine.id: contact, theirs.id: twin}

    def found():
        with db.transaction():
            db.session().expire_all()
            return {r.id: r.contact_id for r in db.session().scalars(select(Reminder))}

    with db.transaction():
        contacts.merge(contact, twin)
        contacts.merge(contact, third)
    run_jobs()
    for _again in range(2):
        with db.transaction():
            service.follow([twin, contact])
    assert found() == {mine.id: contact, theirs.id: contact}

    merges = undoable(contact)
    while merges:
        with db.transaction():
            contacts.undo_merge(merges[0])
        merges = undoable(contact)
    run_jobs()

    assert found() == where


def undoable(contact):
    """The merges of a contact that can be taken back now, as its page lists them."""
    from clarion_contacts import service

    with db.transaction():
        return [one.id for one in service.merges_of(contact)]
