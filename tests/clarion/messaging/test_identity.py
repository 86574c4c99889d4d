"""Who somebody is: aliases, names that prove nothing, numbers that changed hands."""

import json

import pytest
from sqlalchemy import select

from clarion.base import clock, db
from clarion.messaging import channels, counts, identifiers, suppression, twins
from clarion.messaging.contract import RawWebhook
from clarion.messaging.models import Channel, InboundMessage, Message, Suppression
from clarion.messaging.twins import IdentityDoubt
from clarion.work import webhooks

SENDER = "5550147"
OLD, NEW = "+5511981000001", "+5511981000002"
ID, NEWER_ID = "BR.13491208655302741918", "BR.23491208655302741918"


def deliver(account, *changes):
    """Store and apply (field, value) changes of one webhook, as the intake would."""
    said = [{"field": field, "value": value} for field, value in changes]
    entry = [{"id": "9900", "time": 1_790_000_000, "changes": said}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()
    with db.transaction():
        channel = db.session().scalar(select(Channel))
    pieces = channels.transports()["whatsapp_cloud"].split(RawWebhook(body, {}))
    new = webhooks.receive("messaging", account.id, channel.id, list(pieces))
    webhooks.apply_now(account.id)
    return new


def wrote(text="Hi", *, wamid="wamid.1", phone="", bsuid="", username="", at=1_790_000_000):
    """A message somebody wrote, naming themselves in some of the ways there are."""
    profile = {"name": "Ana"} | ({"username": username} if username else {})
    contact, message = {"profile": profile}, {"id": wamid, "timestamp": str(at)}
    if phone:
        contact["wa_id"] = message["from"] = phone.lstrip("+")
    if bsuid:
        contact["user_id"] = message["from_user_id"] = bsuid
    message |= {"type": "text", "text": {"body": text}}
    return "messages", {
        "metadata": {"phone_number_id": SENDER},
        "contacts": [contact],
        "messages": [message],
    }


def changed_number(old=OLD, new=NEW, wamid="wamid.system"):
    """What WhatsApp says when somebody moves to another number."""
    system = {
        "type": "user_changed_number",
        "wa_id": new.lstrip("+"),
        "body": "Ana changed from one number to another",
    }
    message = {
        "id": wamid,
        "from": old.lstrip("+"),
        "timestamp": "1790000000",
        "type": "system",
        "system": system,
    }
    return "messages", {
        "metadata": {"phone_number_id": SENDER},
        "messages": [message],
    }


def changed_id(previous=ID, current=NEWER_ID, phone=""):
    """What WhatsApp says when somebody's business-scoped id changes."""
    one = {"user_id": {"previous": previous, "current": current}, "timestamp": "1790000000"}
    if phone:
        one["wa_id"] = phone.lstrip("+")
    return "user_id_update", {
        "metadata": {"phone_number_id": SENDER},
        "user_id_update": [one],
    }


@pytest.fixture
def ana(account, make_order):
    """A contact with a number and a business-scoped id."""
    contact = db.new_id()
    with db.transaction():
        identifiers.attach(contact, [("phone", OLD), ("bsuid", ID)], "test")
    return contact


def known(contact):
    with db.transaction():
        return {(one.kind, one.value) for one in identifiers.of(contact)}


def owner(kind, value):
    with db.transaction():
        return identifiers.find(kind, value)


def silent(kind, value, scope="marketing"):
    with db.transaction():
        return suppression.is_suppressed(kind, value, scope)


def open_doubts():
    with db.transaction():
        return [({one.contact_id, one.other_id}, one.reason) for one in twins.waiting()]


def last_owner():
    query = select(InboundMessage.contact_id).order_by(InboundMessage.id.desc()).limit(1)
    with db.transaction():
        return db.session().scalar(query)


# --- names that prove nothing


def test_a_user_name_alone_makes_nobody_known(account, ana):
    """It can pass to somebody else: their id must not become Ana's."""
    with db.transaction():
        identifiers.attach(ana, [("username", "ana")], "team")

    deliver(account, wrote(bsuid=NEWER_ID, username="ana"))

    assert owner("bsuid", NEWER_ID) is None
    assert last_owner() is None


def test_a_stop_under_a_user_name_silences_and_a_start_lifts_nothing(account, ana):
    with db.transaction():
        identifiers.attach(ana, [("username", "ana")], "team")
    deliver(account, wrote("STOP", bsuid=NEWER_ID, username="ana"))
    assert silent("phone", OLD)

    deliver(account, wrote("START", wamid="wamid.2", bsuid=NEWER_ID, username="ana"))

    assert silent("phone", OLD)


def test_a_user_name_is_shown_with_who_wrote_under_it_last(account, ana):
    other = db.new_id()
    with db.transaction():
        identifiers.attach(other, [("bsuid", NEWER_ID)], "test")

    deliver(account, wrote(bsuid=ID, username="Ana.Lima"))
    assert ("username", "ana.lima") in known(ana)
    deliver(account, wrote(wamid="wamid.2", bsuid=ID, username="ana2"))
    assert {v for k, v in known(ana) if k == "username"} == {"ana2"}
    deliver(account, wrote(wamid="wamid.3", bsuid=NEWER_ID, username="ana2"))

    assert ("username", "ana2") in known(other)
    assert {v for k, v in known(ana) if k == "username"} == set()
    assert open_doubts() == []


# --- what is learnt from what people write


def test_a_stop_by_an_unknown_id_holds_once_it_is_known_whose_it_is(account, ana):
    """SUP-01: told by one identifier, kept from the other."""
    deliver(account, wrote("STOP", bsuid=NEWER_ID))
    assert not silent("phone", OLD)

    deliver(account, wrote(wamid="wamid.2", phone=OLD, bsuid=NEWER_ID))

    assert silent("phone", OLD)
    assert silent("bsuid", ID)


KINDS = [("phone", OLD), ("wa_id", OLD[1:]), ("bsuid", ID)]


@pytest.mark.parametrize("told", KINDS)
@pytest.mark.parametrize("asked", KINDS)
def test_a_stop_by_any_identifier_silences_all(account, ana, told, asked):
    name = {"bsuid": "bsuid"}.get(told[0], "phone")
    deliver(account, wrote("STOP", **{name: told[1]}))

    assert silent(*asked)


def test_an_event_that_names_two_contacts_asks_whether_they_are_one(account, ana):
    other = db.new_id()
    with db.transaction():
        identifiers.attach(other, [("phone", NEW)], "test")

    deliver(account, wrote(phone=NEW, bsuid=ID))
    deliver(account, wrote(wamid="wamid.2", phone=NEW, bsuid=ID))

    assert open_doubts() == [({ana, other}, "named_both")]
    assert (owner("bsuid", ID), owner("phone", NEW)) == (ana, other)


# --- numbers and ids that change


def test_a_new_number_is_the_persons_and_the_old_is_nobodys(account, ana):
    deliver(account, changed_number())

    assert known(ana) == {("phone", NEW), ("bsuid", ID)}
    assert owner("phone", OLD) is None
    with db.transaction():
        history = identifiers.history(ana)
    assert {(i.value, i.valid_to is None, i.source) for i in history} == {
        (OLD, False, "test"), (ID, True, "test"), (NEW, True, "provider"),
    }  # fmt: skip


def test_a_new_id_is_the_persons(account, ana):
    deliver(account, changed_id(phone=OLD))

    assert known(ana) == {("phone", OLD), ("bsuid", NEWER_ID)}


def test_told_twice_and_both_at_once_it_is_the_same(account, ana):
    deliver(account, changed_number(), changed_id())
    deliver(account, changed_id())
    deliver(account, changed_number(wamid="wamid.other"))

    assert known(ana) == {("phone", NEW), ("bsuid", NEWER_ID)}
    assert open_doubts() == []


def test_the_wish_for_silence_moves_to_the_new_number_at_once(account, ana):
    with db.transaction():
        suppression.suppress([("bsuid", ID)], scope="all", reason="stop")

    deliver(account, changed_number(), changed_id())

    for kind, value in (("phone", NEW), ("bsuid", NEWER_ID), ("phone", OLD)):
        assert silent(kind, value, "all"), value


def test_a_strangers_wish_for_silence_moves_with_them_too(account, make_order, run_jobs):
    deliver(account, wrote("STOP", phone=OLD))

    deliver(account, changed_number())
    order, _ = make_order.start([(db.new_id(), NEW, "")])
    run_jobs()

    with db.transaction():
        assert counts.tally(order) == {"suppressed": 1}


def test_a_pause_moves_with_its_end(account, ana):
    now = int(clock.now().timestamp())
    deliver(account, wrote("please stop writing me", phone=OLD, at=now))

    deliver(account, changed_number())

    with db.transaction():
        until = set(db.session().scalars(select(Suppression.until)).all())
    assert len(until) == 1
    assert None not in until
    assert silent("phone", NEW)


def test_nothing_that_waits_goes_to_a_number_that_may_be_a_strangers(
    account, ana, make_order, run_jobs, simulator
):
    make_order.start([(ana, OLD, "")], attach=False)

    deliver(account, changed_number())
    run_jobs()

    with db.transaction():
        rows = db.session().execute(select(Message.state, Message.reason)).all()
    assert [tuple(row) for row in rows] == [("suppressed", "number_changed")]
    assert simulator.receipts() == []


def test_a_new_number_that_is_somebodys_merges_nobody(account, ana):
    other = db.new_id()
    with db.transaction():
        identifiers.attach(other, [("phone", NEW)], "test")

    deliver(account, changed_number())

    assert (known(ana), known(other)) == ({("bsuid", ID)}, {("phone", NEW)})
    assert open_doubts() == [({ana, other}, "number_changed")]


def test_a_doubt_that_is_decided_is_raised_again_by_news_only(account, ana):
    other = db.new_id()
    with db.transaction():
        identifiers.attach(other, [("phone", NEW)], "test")
    deliver(account, wrote(phone=NEW, bsuid=ID))
    with db.transaction():
        assert twins.settle(ana, other, "different")
        assert not twins.settle(ana, other, "different")

    deliver(account, wrote(wamid="wamid.2", phone=NEW, bsuid=ID))
    assert open_doubts() == []
    deliver(account, changed_number())

    assert open_doubts() == [({ana, other}, "number_changed")]


def test_who_is_forgotten_leaves_no_doubt(account, ana):
    other = db.new_id()
    with db.transaction():
        identifiers.attach(other, [("phone", NEW)], "test")
    deliver(account, wrote(phone=NEW, bsuid=ID))

    with db.transaction():
        identifiers.forget([other])

    with db.transaction():
        assert db.session().scalars(select(IdentityDoubt)).all() == []


def test_a_number_without_ninth_digit_is_the_person_imported_with_it(account, ana):
    """The id of an older account in Brazil lacks it; so does what it writes."""
    deliver(account, wrote("STOP", phone="551181000001"))

    assert last_owner() == ana
    assert silent("phone", OLD)
