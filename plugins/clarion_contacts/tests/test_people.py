"""People, their addresses, tags and consent: the verbs, and who may not call them."""

import datetime as dt

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from clarion.base import clock, db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.messaging import identifiers, suppression
from clarion.messaging.models import Identifier, Suppression
from clarion.tenancy.scope import account_scope
from clarion_contacts import jobs, service
from clarion_contacts.models import Consent, Contact
from clarion_contacts.service import Count, Details, Filters

CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}


@pytest.fixture
def ana(account):
    with db.transaction():
        return service.add(
            Details(name="Ana Lima", phone="+5511912340001", email="ana@example.org")
        ).id


def fresh(contact_id):
    db.session().expire_all()
    return service.get(contact_id)


def test_a_number_is_read_as_people_write_it(account):
    with db.transaction():
        one = service.add(Details(phone="(11) 91234-0001", country="br", first_name="Ana"))

    assert (one.phone, one.country, one.name) == ("+5511912340001", "BR", "Ana")
    assert identifiers.find("phone", "+5511912340001") == one.id


@pytest.mark.parametrize(
    ("details", "code", "field"),
    [
        ({}, "contact_empty", "phone"),
        ({"phone": "12"}, "phone_no_country", "phone"),
        ({"phone": "+55119"}, "phone_too_short", "phone"),
        ({"email": "ana"}, "email_malformed", "email"),
        ({"phone": "+5511912340002", "country": "XX"}, "country_unknown", "country"),
    ],
)
def test_bad_details_are_named_at_their_field(account, details, code, field):
    with pytest.raises(Invalid) as refused, db.transaction():
        service.add(Details(**details))

    assert (refused.value.code, refused.value.field) == (code, field)
    assert db.session().scalar(select(func.count()).select_from(Contact)) == 0


@pytest.mark.parametrize("number", ["+5511981234567", "+55 11 8123-4567"])
def test_a_number_belongs_to_one_person(account, number):
    with db.transaction():
        service.add(Details(phone="+5511981234567"))

    with pytest.raises(Conflict) as refused, db.transaction():
        service.add(Details(phone=number))  # the second: as it was spelled before 2012

    assert (refused.value.code, refused.value.field) == ("contact_exists", "phone")


def test_a_new_number_keeps_the_stop_of_the_old(ana, run_jobs):
    with db.transaction():
        suppression.suppress([("phone", "+5511912340001")], reason="stop")

    with db.transaction():
        service.edit(ana, Details(name="Ana", phone="+5511912340009"))

    assert suppression.is_suppressed("phone", "+5511912340009")
    assert service.show(ana).suppressed == "stop"
    assert [i.value for i in identifiers.of(ana)] == ["+5511912340009"]


def test_a_number_that_said_stop_before_it_had_a_contact(account):
    with db.transaction():
        suppression.suppress([("phone", "+5511912340005")], reason="stop")
        one = service.add(Details(phone="+5511912340005"))

    assert service.show(one.id).suppressed == "stop"
    with pytest.raises(Conflict) as refused, db.transaction():
        service.opt_in(one.id, **CONSENT)
    assert refused.value.code == "contact_suppressed"


def test_more_addresses_of_one_person(ana, account):
    with db.transaction():
        service.add_identifier(ana, "phone", "+5511912340002")
        bob = service.add(Details(email="bob@example.org")).id
        service.add_identifier(bob, "phone", "+5511912340003")
        cai = service.add(Details(phone="+5511912340004")).id
        service.add_identifier(cai, "email", "CAI@example.org")

    assert {i.value for i in service.show(ana).identifiers} == {
        "+5511912340001", "+5511912340002", "ana@example.org",
    }  # fmt: skip
    assert fresh(bob).phone == "+5511912340003"
    assert fresh(cai).email == "cai@example.org"
    for kind, value, code in (
        ("phone", "+5511912340001", "identifier_taken"),
        ("fax", "1", "identifier_kind"),
        ("email", "x", "email_malformed"),
    ):
        with pytest.raises((Conflict, Invalid)) as refused, db.transaction():
            service.add_identifier(bob, kind, value)
        assert refused.value.code == code


def test_deleting_keeps_only_the_wish_for_silence(ana, run_jobs):
    with db.transaction():
        service.opt_in(ana, **CONSENT)
        service.tag([ana], ["vip"])
        suppression.suppress([("phone", "+5511912340001")], reason="stop")
    run_jobs()

    with db.transaction():
        assert service.delete([ana]) == 1

    for model in (Contact, Consent, Identifier):
        assert db.session().scalar(select(func.count()).select_from(model)) == 0
    assert db.session().scalar(select(func.count()).select_from(Suppression)) > 0
    assert suppression.is_suppressed("phone", "+5511912340001")
    assert service.tags()[0].people == 0
    with pytest.raises(NotFound):
        service.get(ana)


def test_opt_in_keeps_the_exact_words(ana):
    with db.transaction():
        event_id = service.opt_in(ana, agreed_on=dt.date(2025, 3, 1), **CONSENT)
        service.opt_in(ana, purpose="utility", **CONSENT)

    shown = service.show(ana)
    assert (fresh(ana).consent, fresh(ana).consent_id) == ("opted_in", event_id)
    assert shown.state == "opted_in"
    assert {one.wording for one in shown.consents} == {CONSENT["wording"]}
    assert {one.purpose for one in shown.consents} == {"marketing", "utility"}
    assert shown.consents[-1].agreed_on == dt.date(2025, 3, 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"method": "import"}, "consent_method"),
        ({"source": " "}, "consent_source"),
        ({"wording": ""}, "consent_wording"),
        ({"wording": "x" * 4001}, "consent_wording_long"),
        ({"agreed_on": dt.date(2999, 1, 1)}, "consent_date"),
    ],
)
def test_consent_without_proof_is_refused(ana, change, code):
    with pytest.raises(Invalid) as refused, db.transaction():
        service.opt_in(ana, **(CONSENT | change))

    assert refused.value.code == code
    assert fresh(ana).consent == "none"


def test_a_day_has_come_when_it_has_where_it_comes_first(ana):
    with clock.freeze(dt.datetime(2026, 5, 1, 9, 59, tzinfo=dt.UTC)):
        with pytest.raises(Invalid) as refused, db.transaction():
            service.opt_in(ana, agreed_on=dt.date(2026, 5, 2), **CONSENT)
        clock.advance(minutes=1)
        with db.transaction():
            service.opt_in(ana, agreed_on=dt.date(2026, 5, 2), **CONSENT)

    assert refused.value.code == "consent_date"
    assert service.show(ana).consents[0].agreed_on == dt.date(2026, 5, 2)


def test_opt_out_silences_every_address(ana, run_jobs):
    with db.transaction():
        service.add_identifier(ana, "phone", "+5511912340002")
        service.opt_in(ana, **CONSENT)
        service.opt_out(ana, source="told us by phone")
    run_jobs()

    assert fresh(ana).consent == "opted_out"
    assert suppression.is_suppressed("phone", "+5511912340002")
    assert [one.action for one in service.show(ana).consents] == ["withdraw", "grant"]


def test_stop_and_start_in_any_order_end_in_the_truth(ana, run_jobs):
    with db.transaction():
        service.opt_in(ana, **CONSENT)
        suppression.suppress([("phone", "+5511912340001")], reason="stop")
    run_jobs()
    assert fresh(ana).consent == "opted_out"
    for _again in range(3):
        with db.transaction():
            jobs.mark_opted_out(ana, "stop")
    assert len(service.show(ana).consents) == 2

    with db.transaction():
        suppression.resume([("phone", "+5511912340001")], lifts=("stop",))
        jobs.mark_opted_out(ana, "stop")  # an old event, late
    run_jobs()
    for _again in range(3):
        with db.transaction():
            jobs.mark_resumed(ana)

    assert fresh(ana).consent == "opted_in"
    assert [one.action for one in service.show(ana).consents] == [
        "grant",
        "withdraw",
        "grant",
    ]


def test_start_is_no_consent_for_who_never_agreed(ana, run_jobs):
    with db.transaction():
        service.opt_out(ana)
        suppression.resume([("phone", "+5511912340001")], lifts=("manual",))
    run_jobs()

    assert fresh(ana).consent == "opted_out"
    with db.transaction():
        jobs.mark_resumed(db.new_id())  # a contact that was deleted meanwhile


def test_consent_events_cannot_be_changed(ana):
    with db.transaction():
        service.opt_in(ana, **CONSENT)

    for statement in (
        "UPDATE contacts_consent SET source = 'x'",
        "DELETE FROM contacts_consent",
    ):
        with pytest.raises(DBAPIError, match="permission denied"), db.transaction() as orm:
            orm.execute(text(statement))


def test_search_by_part_of_name_number_or_mail(account):
    with db.transaction():
        for number, name in enumerate(("Ana Lima", "Bob 50%", "Çağla Öz"), 1):
            service.add(
                Details(name=name, phone=f"+551191234000{number}", email=f"n{number}@x.org")
            )

    def names(words, **more):
        return [row.name for row in service.find(words, **more).rows]

    assert names("") == ["Çağla Öz", "Bob 50%", "Ana Lima"]
    assert names("lim an") == ["Ana Lima"]
    assert names("34-0002") == ["Bob 50%"]
    assert names("50%") == ["Bob 50%"]
    assert names("çağ") == ["Çağla Öz"]
    assert names("N1@X") == ["Ana Lima"]
    assert names("%") == ["Bob 50%"]
    assert names("nobody") == []


def test_filters_and_pages_by_key(account):
    with db.transaction():
        ids = [
            service.add(Details(name=f"P{n}", phone=f"+55119123400{n:02}")).id
            for n in range(7)
        ]
        service.tag(ids[:2], ["vip", "VIP "])
        service.opt_in(ids[0], **CONSENT)
        suppression.suppress([("phone", "+5511912340003")], reason="stop")
    vip = service.tags()[0]

    assert vip.people == 2
    assert [r.name for r in service.find(Filters(tags=(vip.id,))).rows] == ["P1", "P0"]
    assert [r.name for r in service.find(Filters(consent="opted_in")).rows] == ["P0"]
    assert [r.name for r in service.find(Filters(consent="suppressed")).rows] == ["P3"]
    assert service.find(Filters(consent="suppressed")).rows[0].state == "opted_out"

    first = service.find(limit=3)
    second = service.find(limit=3, after=first.next)
    third = service.find(limit=3, after=second.next)
    back = service.find(limit=3, before=second.previous)
    assert [r.name for p in (first, second, third) for r in p.rows] == [
        f"P{n}" for n in (6, 5, 4, 3, 2, 1, 0)
    ]
    assert (first.previous, third.next, first.people) == (None, None, Count(7))
    assert [r.name for r in back.rows] == ["P6", "P5", "P4"]
    assert back.previous is None
    assert back.next == back.rows[-1].id


def test_tags_are_one_by_any_spelling(ana):
    with db.transaction():
        one = service.add_tag("  New   People ")
        assert service.add_tag("new people") == one
        other = service.add_tag("Old")
        with pytest.raises(Conflict):
            service.rename_tag(other, "NEW people")
        service.rename_tag(other, "Former")
        service.tag([ana], ["Former"])
        assert service.untag([ana], [other]) == 1
        service.remove_tag(other)

    assert [t.name for t in service.tags()] == ["New People"]
    for name in ("", "a,b", "x" * 61):
        with pytest.raises(Invalid), db.transaction():
            service.add_tag(name)
    with pytest.raises(NotFound), db.transaction():
        service.remove_tag(other)


def test_members_may_look_and_edit_not_delete(ana, account):
    with account_scope(account.id, account.member("member")):
        assert service.find("ana").people == Count(1)
        for verb, args in (
            (service.delete, ([ana],)),
            (service.upload, ("x.csv", b"phone\n+5511912340001\n")),
            (service.listing, ()),
        ):
            with pytest.raises(Forbidden), db.transaction():
                verb(*args)


def test_other_accounts_see_and_change_nothing(ana, account, other_account):
    with db.transaction():
        tag = service.add_tag("vip")

    with account_scope(other_account.id, other_account.actor):
        assert service.find().people == Count(0)
        assert service.tags() == []
        with db.transaction():
            assert service.delete([ana]) == 0
            assert service.tag([ana], ["mine"]) == 0
        for verb, args in (
            (service.show, (ana,)),
            (service.edit, (ana, Details(phone="+5511912340009"))),
            (service.opt_out, (ana,)),
            (service.rename_tag, (tag, "x")),
        ):
            with pytest.raises(NotFound), db.transaction():
                verb(*args)
        with db.transaction():  # the same number is another person there
            service.add(Details(phone="+5511912340001"))

    assert fresh(ana).name == "Ana Lima"
    assert service.show(ana).tags == []
