"""Addresses that come and go, numbers that change, and two contacts that may be one."""

import json

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.messaging import channels, identifiers, identity, suppression, twins
from clarion.messaging.contract import RawWebhook
from clarion.messaging.models import Channel, InboundMessage, Message
from clarion.testing.factories import make_sender
from clarion.work import webhooks
from clarion_contacts import jobs, service
from clarion_contacts.models import Contact
from clarion_contacts.service import Details

OLD, NEW, THIRD = "+5511981230001", "+5511981230002", "+5511981230003"
CONSENT = {"method": "shop", "source": "till 3", "wording": "Yes, write to me."}


@pytest.fixture
def ana(account):
    with db.transaction():
        one = service.add(Details(name="Ana Lima", phone=OLD, email="ana@example.org")).id
        service.opt_in(one, **CONSENT)
    return one


@pytest.fixture
def bob(account):
    with db.transaction():
        return service.add(Details(name="Bob", phone=NEW)).id


def fresh(contact_id):
    db.session().expire_all()
    return service.get(contact_id)


def at(contact_id, value):
    """The present or former address of this value."""
    found = [a for a in service.addresses(fresh(contact_id)) if a.value == value]
    return found[0]


def reasons(purpose="marketing"):
    with db.transaction():
        rows = db.session().execute(service.audience(service.everyone(), {}, purpose))
        return {row.contact_id: row.reason for row in rows}


def tell(account, before, after):
    """A provider says that somebody has other identifiers; then our jobs run."""
    with db.transaction():
        return identity.change(before, after, source="provider")


# --- addresses


def test_addresses_tell_where_they_came_from_and_which_is_written_to(ana):
    with db.transaction():
        service.add_identifier(ana, "phone", THIRD)
        service.add_identifier(ana, "username", "@Ana.Lima")

    said = [
        (a.kind, a.value, a.source, a.written_to) for a in service.addresses(fresh(ana))
    ]

    assert said == [
        ("phone", OLD, "team", True),
        ("email", "ana@example.org", "team", False),
        ("phone", THIRD, "team", False),
        ("username", "ana.lima", "team", False),
    ]


def test_another_number_can_be_the_one_written_to(ana):
    with db.transaction():
        service.add_identifier(ana, "phone", THIRD)
        service.write_to(ana, at(ana, THIRD).id)

    assert fresh(ana).phone == THIRD
    assert {i.value for i in identifiers.of(ana)} >= {OLD, THIRD}
    with pytest.raises(Conflict) as refused, db.transaction():
        service.write_to(ana, at(ana, "ana@example.org").id)
    assert refused.value.code == "identifier_no_phone"


def test_a_retired_address_stays_in_the_history_and_can_be_somebodys(ana):
    with db.transaction():
        service.add_identifier(ana, "phone", THIRD)
        service.retire_address(ana, at(ana, OLD).id)

    assert fresh(ana).phone == THIRD
    assert at(ana, OLD).until is not None
    with db.transaction():
        assert service.add(Details(name="Cai", phone=OLD)).phone == OLD
    with pytest.raises(NotFound), db.transaction():
        service.retire_address(ana, at(ana, OLD).id)


def test_a_retired_email_is_shown_nowhere_else(ana):
    with db.transaction():
        service.retire_address(ana, at(ana, "ana@example.org").id)

    assert fresh(ana).email == ""


def test_who_may_not_edit_changes_no_address(account, ana):
    from clarion.tenancy.actor import Actor
    from clarion.tenancy.scope import account_scope

    line = service.addresses(fresh(ana))[0]
    nobody = Actor("person", str(account.person_id), role="guest")
    with account_scope(account.id, nobody), db.transaction():
        for verb in (
            lambda: service.write_to(ana, line.id),
            lambda: service.retire_address(ana, line.id),
            lambda: service.change_number(ana, NEW),
            lambda: service.merge(ana, db.new_id()),
            lambda: service.undo_merge(db.new_id()),
            lambda: service.tell_apart(ana, db.new_id()),
        ):
            with pytest.raises(Forbidden):
                verb()


# --- a new number, by hand


def test_consent_and_silence_follow_a_person_to_a_new_number(ana):
    with db.transaction():
        assert service.change_number(ana, "(11) 98123-0003") is None

    assert (fresh(ana).phone, fresh(ana).consent) == (THIRD, "opted_in")
    assert reasons() == {ana: ""}
    with db.transaction():
        suppression.suppress([("phone", THIRD)], reason="stop")
        service.change_number(ana, NEW)
    assert suppression.is_suppressed("phone", NEW)
    assert reasons() == {ana: "opted_out"}


def test_a_number_that_said_stop_silences_who_gets_it(ana):
    with db.transaction():
        suppression.suppress([("phone", THIRD)], reason="stop")
        service.change_number(ana, THIRD)

    assert reasons() == {ana: "opted_out"}


@pytest.mark.parametrize("number", ["12", "+55 11", "nobody"])
def test_a_bad_number_is_named_at_its_field(ana, number):
    with pytest.raises(Invalid) as refused, db.transaction():
        service.change_number(ana, number)

    assert refused.value.field == "number"
    assert fresh(ana).phone == OLD


def test_a_new_number_that_is_somebodys_merges_nobody(ana, bob):
    with db.transaction():
        assert service.change_number(ana, NEW) == bob

    assert (fresh(ana).phone, fresh(bob).phone) == (OLD, NEW)
    [pair] = service.duplicates().rows
    assert ({pair.one_id, pair.other_id}, pair.why) == ({ana, bob}, "number_changed")
    assert pair.told


# --- a new number, told by the provider


def test_messages_go_to_the_number_the_provider_told(account, ana, run_jobs):
    tell(account, [("phone", OLD)], [("phone", NEW)])
    run_jobs()
    for _again in range(2):
        with db.transaction():
            jobs.follow_number(ana, "number")

    assert fresh(ana).phone == NEW
    assert reasons() == {ana: ""}


def test_a_job_that_is_late_changes_nothing(account, ana, run_jobs):
    tell(account, [("phone", OLD)], [("phone", NEW)])
    with db.transaction():
        service.add_identifier(ana, "phone", THIRD)
        service.write_to(ana, at(ana, THIRD).id)

    run_jobs()

    assert fresh(ana).phone == THIRD


def test_what_was_frozen_meanwhile_does_not_go_to_the_old_number(
    account, ana, simulator, run_jobs
):
    """The provider tells, and a campaign is frozen before our copy of the number follows."""
    from clarion.messaging import orders

    tell(account, [("phone", OLD)], [("phone", NEW)])
    assert fresh(ana).phone == OLD
    with db.transaction():
        sender = make_sender(account, simulator.url)
        order = orders.create("Offer", "utility", sender, _template())
        orders.start(order.id, service.audience(service.everyone(), {}, "utility"))

    run_jobs()

    with db.transaction():
        states = db.session().execute(select(Message.state, Message.reason)).all()
    assert [tuple(one) for one in states] == [("suppressed", "number_changed")]
    assert simulator.receipts() == []


def _template():
    return {
        "name": "early_access",
        "language": "en",
        "parameter_format": "named",
        "parts": [],
        "text": {"header": "", "body": "Hi!", "footer": "", "buttons": []},
    }


# --- the stricter of both until somebody decides


def test_until_it_is_decided_the_stricter_of_both_holds(account, ana, bob):
    with db.transaction():
        twins.doubt(ana, bob, "number_changed")
    assert reasons() == {ana: "identity_doubt", bob: "no_consent"}
    assert reasons("utility") == {ana: "", bob: ""}

    with db.transaction():
        service.opt_in(bob, **CONSENT)
    assert reasons() == {ana: "", bob: ""}
    with db.transaction():
        suppression.suppress([("phone", NEW)], scope="all", reason="stop")
    assert reasons("utility") == {ana: "identity_doubt", bob: "opted_out"}

    with db.transaction():
        service.tell_apart(ana, bob)
    assert reasons() == {ana: "", bob: "opted_out"}
    assert service.duplicates().rows == []


def test_a_doubt_that_came_after_the_audience_was_frozen_holds_too(
    account, ana, bob, simulator, run_jobs
):
    from clarion.messaging import orders

    with db.transaction():
        sender = make_sender(account, simulator.url)
        order = orders.create("Offer", "marketing", sender, _template())
        orders.start(order.id, service.audience(service.everyone(), {}, "marketing"))
    with db.transaction():
        twins.doubt(ana, bob, "named_both")

    run_jobs()

    with db.transaction():
        states = db.session().execute(select(Message.state, Message.reason)).all()
    assert ("suppressed", "identity_doubt") in [tuple(one) for one in states]
    assert simulator.receipts() == []


def test_names_of_nobody_are_told_apart_from_nobody(ana):
    with pytest.raises(NotFound), db.transaction():
        service.tell_apart(ana, db.new_id())


# --- one person, several spellings


SPELLINGS = [
    ("+5511981234567", "551181234567", "+55 11 8123-4567"),  # Brazil's ninth digit
    ("+525512345678", "5215512345678", "+52 1 55 1234 5678"),  # Mexico's 1
    ("+5491123456789", "541123456789", "+54 11 2345-6789"),  # Argentina's 9
    ("+5491123456789", "5491123456789", "+54 9 11 15 2345-6789"),  # … and its 15
]


@pytest.mark.parametrize(("whole", "wa_id", "written"), SPELLINGS)
def test_who_was_imported_is_who_writes_and_who_is_typed(
    account, take_in, whole, wa_id, written, simulator
):
    take_in(f"name,phone\nAna,{whole}\n")
    with db.transaction():
        [imported] = db.session().scalars(select(Contact.id)).all()
        make_sender(account, simulator.url)

    _writes(account, "STOP", wa_id)

    with db.transaction():
        assert db.session().scalars(select(InboundMessage.contact_id)).all() == [imported]
        assert suppression.is_suppressed("phone", whole)
    with pytest.raises(Conflict) as refused, db.transaction():
        service.add(Details(phone=written))
    assert refused.value.code == "contact_exists"


@pytest.mark.parametrize(("whole", "wa_id", "written"), SPELLINGS)
def test_a_list_with_both_spellings_makes_one_contact(
    account, take_in, whole, wa_id, written
):
    take_in(f'name,phone\nAna,{whole}\nAna Lima,"{written}"\n', country="")
    take_in(f"name,phone\nAna L.,+{wa_id}\n", country="")

    with db.transaction():
        found = db.session().scalars(select(Contact)).all()
    assert [one.phone for one in found] == [whole]


@pytest.mark.parametrize(("whole", "wa_id", "written"), SPELLINGS)
def test_who_was_typed_is_who_writes(account, whole, wa_id, written, simulator):
    with db.transaction():
        one = service.add(Details(name="Ana", phone=written))
        make_sender(account, simulator.url)
        assert one.phone == whole

    _writes(account, "Hello", wa_id)

    with db.transaction():
        assert db.session().scalars(select(InboundMessage.contact_id)).all() == [one.id]


def _writes(account, text, wa_id):
    value = {
        "metadata": {"phone_number_id": "5550147"},
        "contacts": [{"wa_id": wa_id, "profile": {"name": "Ana"}}],
        "messages": [
            {
                "from": wa_id,
                "id": f"wamid.{db.new_id()}",
                "timestamp": "1790000000",
                "type": "text",
                "text": {"body": text},
            }
        ],
    }
    entry = [{"id": "9900", "changes": [{"field": "messages", "value": value}]}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()
    with db.transaction():
        channel = db.session().scalar(select(Channel))
    pieces = channels.transports()["whatsapp_cloud"].split(RawWebhook(body, {}))
    webhooks.receive("messaging", account.id, channel.id, list(pieces))
    webhooks.apply_now(account.id)
