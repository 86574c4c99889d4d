"""Two contacts that are one person: nothing is lost, nothing gets looser, and back again."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from clarion.base import db
from clarion.base.errors import Conflict, NotFound
from clarion.messaging import counts, identifiers, orders, suppression, twins
from clarion.messaging.models import Identifier, Message, Suppression
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.scope import system_scope
from clarion.testing.factories import make_sender
from clarion_contacts import jobs, service
from clarion_contacts.models import (
    Consent,
    Contact,
    List,
    Listing,
    Merge,
    Tagging,
)
from clarion_contacts.records import Likeness
from clarion_contacts.service import Details

CONSENT = {"method": "shop", "source": "till 3", "wording": "Yes, write to me."}
TEMPLATE = {
    "name": "for_who_was_merged",
    "language": "en",
    "parameter_format": "named",
    "parts": [],
    "text": {"header": "", "body": "Hi!", "footer": "", "buttons": []},
}


@pytest.fixture
def ana(account):
    with db.transaction():
        return service.add(
            Details(
                name="Ana Lima",
                phone="+5511981230001",
                email="ana@example.org",
                attributes={"city": "Recife", "size": "M"},
            )
        ).id


@pytest.fixture
def twin(ana):
    with db.transaction():
        return service.add(
            Details(
                name="A. Lima",
                last_name="Lima",
                phone="+5511981230002",
                attributes={"city": "Olinda", "dog": "Rex"},
            )
        ).id


def fresh(contact_id):
    db.session().expire_all()
    return service.get(contact_id)


def merged(one, other, **more):
    with db.transaction():
        stays = service.merge(one, other, **more)
        return stays, service.merges_of(stays)[0].id


def undo(merge_id):
    with db.transaction():
        return service.undo_merge(merge_id)


def state(contact_id):
    """Everything about a contact that a merge could change, but silence."""
    db.session().expire_all()
    with db.transaction():
        contact = service.get(contact_id)
        proof = (
            db.session().get(Consent, contact.consent_id) if contact.consent_id else None
        )
        held = [
            {
                tuple(row)
                for row in db.session().execute(
                    select(model.id, key, model.import_id, model.created_at).where(
                        model.contact_id == contact_id
                    )
                )
            }
            for model, key in ((Tagging, Tagging.tag_id), (Listing, Listing.list_id))
        ]
        history = {
            (i.id, i.kind, i.value, bytes(i.idx), i.source, i.created_at, i.valid_to)
            for i in identifiers.history(contact_id)
        }
        fields = {key: getattr(contact, key) for key in FIELDS}
        why = proof and (proof.action, proof.method, proof.source, proof.wording_id)
        return fields, history, held, contact.consent, contact.consent_at, why


FIELDS = (
    "name", "first_name", "last_name", "phone", "phone_idx", "email", "language", "country",
    "timezone", "attributes", "merged_into",
)  # fmt: skip


# --- side by side


def test_the_preview_says_what_every_field_will_be(ana, twin):
    with db.transaction():
        service.tag([twin], ["vip"])
    view = service.preview(twin, ana)

    assert (view.one.id, view.other.id) == (ana, twin)
    assert {c.key: (c.one, c.other, c.theirs_first) for c in view.choices if c.differs} == {
        "name": ("Ana Lima", "A. Lima", False),
        "last_name": ("", "Lima", True),
        "phone": ("+5511981230001", "+5511981230002", False),
        "email": ("ana@example.org", "", False),
        "attributes.city": ("Recife", "Olinda", False),
        "attributes.size": ("M", "", False),
        "attributes.dog": ("", "Rex", True),
    }
    assert (view.consent, view.silent, view.tags) == ("none", False, ["vip"])


def test_fields_are_as_they_were_chosen(ana, twin):
    stays, _ = merged(twin, ana, take=["name", "phone", "attributes.city"])

    one = fresh(ana)
    assert stays == ana
    assert (one.name, one.last_name, one.phone) == ("A. Lima", "Lima", "+5511981230002")
    assert one.email == "ana@example.org"
    assert one.attributes == {"city": "Olinda", "size": "M", "dog": "Rex"}
    assert {i.value for i in identifiers.of(ana)} == {
        "+5511981230001", "+5511981230002", "ana@example.org",
    }  # fmt: skip


def test_who_became_part_of_another_is_in_no_list_and_no_audience(account, ana, twin):
    with db.transaction():
        service.tag([ana, twin], ["vip"])
    merged(ana, twin)

    with pytest.raises(NotFound):
        service.get(twin)
    assert [line.id for line in service.find().rows] == [ana]
    assert service.find().people.total == 1
    assert service.count(service.everyone(), {}, "utility").total == 1
    assert [tag.people for tag in service.tags()] == [1]
    assert service.survivors([twin, ana]) == {twin: ana, ana: ana}
    with pytest.raises(NotFound), db.transaction():
        service.merge(ana, twin)
    with pytest.raises(Conflict), db.transaction():
        service.merge(ana, ana)


# --- consent and silence


STATES = ("none", "opted_in", "opted_out")


def be(contact_id, consent):
    if consent != "none":
        service.opt_in(contact_id, **CONSENT)
    if consent == "opted_out":  # took it back, without asking for silence
        contact = service.get(contact_id)
        event = Consent(
            id=db.new_id(),
            contact_id=contact_id,
            action="withdraw",
            purpose="marketing",
            method="team",
        )
        db.session().add(event)
        contact.consent, contact.consent_id = "opted_out", event.id
        db.session().flush()


@pytest.mark.parametrize("one", STATES)
@pytest.mark.parametrize("other", STATES)
def test_consent_stays_only_where_both_had_it(ana, twin, one, other):
    """CON-05."""
    with db.transaction():
        be(ana, one)
        be(twin, other)
        proof = service.get(ana).consent_id
        said = service.preview(ana, twin).consent

    merged(ana, twin)

    now = fresh(ana)
    assert now.consent == said
    assert (now.consent == "opted_in") is (one == other == "opted_in")
    assert (now.consent == "opted_out") is ("opted_out" in (one, other))
    if one == other:
        assert now.consent_id == proof


@pytest.mark.parametrize("scope", ["marketing", "all"])
@pytest.mark.parametrize("who", ["one", "other"])
def test_silence_of_either_is_silence_of_both_and_stays(ana, twin, scope, who):
    with db.transaction():
        be(ana, "opted_in")
        be(twin, "opted_in")
        number = service.get(ana if who == "one" else twin).phone
        suppression.suppress([("phone", number)], scope=scope, reason="stop")
        assert service.preview(ana, twin).silent
    _, merge_id = merged(ana, twin)
    assert fresh(ana).consent == "opted_out"
    for value in ("+5511981230001", "+5511981230002"):
        assert suppression.is_suppressed("phone", value, scope)
    with db.transaction():
        service.change_number(ana, "+5511981230009")
    assert suppression.is_suppressed("phone", "+5511981230009", scope)

    undo(merge_id)

    for value in ("+5511981230001", "+5511981230002", "+5511981230009"):
        assert suppression.is_suppressed("phone", value, scope)
    for contact in (ana, twin):
        assert service.show(contact).suppressed


def test_a_stop_while_they_were_one_stays_with_both(ana, twin, run_jobs):
    with db.transaction():
        be(ana, "opted_in")
        be(twin, "opted_in")
    _, merge_id = merged(ana, twin)
    with db.transaction():
        suppression.suppress([("phone", "+5511981230002")], reason="stop")
    run_jobs()

    undo(merge_id)

    for contact in (ana, twin):
        assert (fresh(contact).consent, bool(service.show(contact).suppressed)) == (
            "opted_out", True,
        )  # fmt: skip


# --- messages


def start(account, simulator, purpose="marketing"):
    with db.transaction():
        sender = make_sender(account, simulator.url)
        order = orders.create("Offer", purpose, sender, TEMPLATE)
        orders.start(order.id, service.audience(service.everyone(), {}, purpose))
        return order.id


def test_one_person_is_counted_once_where_people_are_written_down(ana, twin):
    """INSERT … SELECT is not asked by the session's rule: it has to say so itself."""
    merged(ana, twin)

    with db.transaction():
        assert service.ask("tag", service.Filters()).total == 1
        segment = service.save_segment(service.everyone(), "Everybody")
        snapshot_id = service.freeze(segment.id)
        assert service.write_members(snapshot_id) == 1
        bulk = service.ask("export", service.Filters())
        service.go(bulk.id, {})
    with db.transaction():
        file = b"".join(service.download(service.get_bulk(bulk.id), "csv").chunks)
    assert len(file.decode().splitlines()) == 2  # headings, and one person


def told(contact_id):
    with db.transaction():
        return [m for m in service.timeline(contact_id).moments if m.kind == "message"]


def test_what_left_stays_in_its_campaign_and_is_on_the_page_of_the_merged(
    account, ana, twin, simulator, run_jobs
):
    order = start(account, simulator, "utility")
    run_jobs()
    with db.transaction():
        before = counts.tally(order)
        rows = set(db.session().execute(select(Message.id, Message.contact_id)).all())

    _, merge_id = merged(ana, twin)

    with db.transaction():
        assert counts.tally(order) == before == {"accepted": 2}
        assert set(db.session().execute(select(Message.id, Message.contact_id))) == rows
    assert len(told(ana)) == 2
    undo(merge_id)
    assert len(told(ana)) == len(told(twin)) == 1


def test_two_messages_that_wait_for_one_person_become_one(
    account, ana, twin, simulator, run_jobs
):
    with db.transaction():
        be(ana, "opted_in")
        be(twin, "opted_in")
    start(account, simulator)

    merged(ana, twin)
    run_jobs()

    with db.transaction():
        states = db.session().execute(
            select(Message.contact_id, Message.state, Message.reason)
        )
        assert {tuple(row) for row in states} == {
            (ana, "accepted", ""), (twin, "cancelled", "duplicate_contact"),
        }  # fmt: skip
    assert len(simulator.receipts()) == 1


def test_where_one_was_left_out_what_waits_for_the_other_is_not_sent(
    account, ana, twin, simulator, run_jobs
):
    """Ana had not agreed: the key of the ledger keeps the twin's message under its own id."""
    with db.transaction():
        be(twin, "opted_in")
    start(account, simulator)
    with db.transaction():
        waiting = select(Message.contact_id).where(Message.state == "queued")
        assert db.session().scalars(waiting).all() == [twin]

    merged(ana, twin)
    run_jobs()

    with db.transaction():
        states = db.session().execute(select(Message.contact_id, Message.state))
        assert {tuple(row) for row in states} == {(ana, "suppressed"), (twin, "suppressed")}
    assert simulator.receipts() == []


def test_what_waits_under_the_other_id_asks_for_the_consent_of_the_merged(
    account, ana, twin, simulator, run_jobs
):
    with db.transaction():
        be(ana, "opted_in")
        be(twin, "opted_in")
        service.tag([twin], ["vip"])
        vip = service.by_tags([service.tags()[0].id])
        sender = make_sender(account, simulator.url)
        order = orders.create("Offer", "marketing", sender, TEMPLATE)
        orders.start(order.id, service.audience(vip, {}, "marketing"))

    _, merge_id = merged(ana, twin)
    with db.transaction():
        assert db.session().scalars(select(Message.contact_id)).all() == [ana]
    undo(merge_id)
    with db.transaction():
        assert db.session().scalars(select(Message.contact_id)).all() == [twin]
    merged(ana, twin)
    with db.transaction():
        service.opt_out(ana)
    run_jobs()

    with db.transaction():
        assert db.session().scalars(select(Message.state)).all() == ["suppressed"]
    assert simulator.receipts() == []


def test_erasing_the_merged_erases_both(ana, twin, run_jobs):
    with db.transaction():
        be(twin, "opted_in")
        suppression.suppress([("phone", "+5511981230002")], reason="stop")
    merged(ana, twin)

    with db.transaction():
        service.delete([ana])

    with db.transaction() as orm:
        assert orm.scalars(select(db.table_of(Contact).c.id)).all() == []
        for model in (Identifier, Consent, Merge):
            assert orm.scalars(select(model.id)).all() == []
    assert suppression.is_suppressed("phone", "+5511981230001")
    assert suppression.is_suppressed("phone", "+5511981230002")


# --- taking back


def test_what_was_changed_since_stays_with_the_one_that_stayed(ana, twin):
    _, merge_id = merged(ana, twin, take=["name", "phone"])
    with db.transaction():
        one = service.get(ana)
        one.name = "Ana Maria Lima"
        one.attributes = {**one.attributes, "city": "Natal"}
        service.add_identifier(ana, "email", "new@example.org")

    assert undo(merge_id) == (ana, twin)

    one, other = fresh(ana), fresh(twin)
    assert (one.name, one.phone) == ("Ana Maria Lima", "+5511981230001")
    assert one.attributes == {"city": "Natal", "size": "M"}
    assert (other.name, other.phone) == ("A. Lima", "+5511981230002")
    assert other.attributes == {"city": "Olinda", "dog": "Rex"}
    assert "new@example.org" in {i.value for i in identifiers.of(ana)}


def test_a_number_that_was_lost_while_they_were_one_does_not_come_back(ana, twin):
    _, merge_id = merged(ana, twin)
    with db.transaction():
        line = [a for a in service.addresses(service.get(ana)) if a.value.endswith("2")]
        service.retire_address(ana, line[0].id)

    undo(merge_id)

    assert fresh(twin).phone is None
    assert identifiers.of(twin) == []


def test_it_can_be_taken_back_once_and_for_thirty_days(ana, twin, later):
    _, merge_id = merged(ana, twin)
    undo(merge_id)
    with pytest.raises(Conflict) as refused:
        undo(merge_id)
    assert refused.value.code == "merge_undone"
    _, merge_id = merged(ana, twin)

    later.forward(days=29, hours=23)
    with system_scope(COMMAND):
        jobs.forget_merges()
    assert service.merges_of(ana)
    later.forward(hours=2)

    assert service.merges_of(ana) == []
    with pytest.raises(Conflict) as refused:
        undo(merge_id)
    assert refused.value.code == "merge_old"
    with system_scope(COMMAND):
        jobs.forget_merges()
    with db.transaction():
        row = db.session().get(Merge, merge_id)
        assert (row.before, row.kept) == (None, False)
    assert fresh(ana).name == "Ana Lima"


def test_later_merges_are_taken_back_first(ana, twin):
    with db.transaction():
        third = service.add(Details(name="Third", email="third@example.org")).id
    _, first = merged(ana, twin)
    _, second = merged(ana, third)

    with pytest.raises(Conflict) as refused:
        undo(first)
    assert refused.value.code == "merge_covered"
    undo(second)
    undo(first)

    assert [service.get(one).name for one in (ana, twin, third)] == [
        "Ana Lima", "A. Lima", "Third",
    ]  # fmt: skip


def test_one_that_is_part_of_another_cannot_be_parted(account, ana, twin):
    with db.transaction():
        older = service.add(Details(name="Older", email="older@example.org")).id
        db.session().execute(
            update(Contact)
            .where(Contact.id == older)
            .values(created_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        )
    _, first = merged(ana, twin)
    stays, second = merged(ana, older)

    assert stays == older
    assert service.survivors([twin]) == {twin: older}
    with pytest.raises(NotFound):
        undo(first)
    undo(second)
    undo(first)
    assert fresh(twin).name == "A. Lima"


def test_two_spellings_kept_by_an_earlier_release_become_one_contact_and_two_again(
    account, run_jobs
):
    """Made before the ninth digit was folded: the second is known by nobody's index."""
    with db.transaction():
        one = service.add(Details(name="Ana", phone="+5511981234567")).id
        other = Contact(id=db.new_id(), name="Ana", phone="+551181234567")
        other.phone_idx = identifiers.index("phone", "+5511981234567")
        db.session().add(other)
        old = other.id
    with db.transaction():
        assert service.search() == 1
    [pair] = service.duplicates().rows
    assert pair.why == "spelling"
    before = state(one), state(old)

    _, merge_id = merged(pair.one_id, pair.other_id)
    assert fresh(one).phone == "+5511981234567"
    undo(merge_id)

    assert (state(one), state(old)) == before


# --- merges in any order


PEOPLE = st.lists(
    st.fixed_dictionaries(
        {
            "consent": st.sampled_from(STATES),
            "silent": st.sampled_from(["", "", "marketing", "all"]),
            "tags": st.sets(st.sampled_from(["a", "b"])),
            "listed": st.booleans(),
            "city": st.sampled_from(["", "Recife", "Olinda"]),
            "phones": st.integers(0, 2),
        }
    ),
    min_size=3,
    max_size=4,
)


@settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a merge is slow to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(people=PEOPLE, seed=st.randoms(use_true_random=False), take=st.booleans())
def test_any_order_of_merges_is_as_strict_as_the_strictest_and_can_be_taken_back(
    account, people, seed, take
):
    ids = _made(people)
    numbers = {one: _numbers(one) for one in ids}
    before = {one: state(one) for one in ids}
    order, undoable, left = [], [], list(ids)
    while len(left) > 1:
        one, other = seed.sample(left, 2)
        stays, merge_id = merged(one, other, take=["name", "phone"] if take else [])
        left.remove(other if stays == one else one)
        undoable.append(merge_id)
        order.append({one, other})
    [last] = left

    agreed = fresh(last).consent
    assert (agreed == "opted_in") is (
        all(p["consent"] == "opted_in" for p in people)
        and not any(
            p["silent"] and numbers[one] for one, p in zip(ids, people, strict=True)
        )
    )
    for one, person in zip(ids, people, strict=True):
        if person["silent"] and numbers[one]:
            for number in (n for all_ in numbers.values() for n in all_):
                assert suppression.is_suppressed("phone", number, person["silent"])

    for merge_id in reversed(undoable):
        undo(merge_id)

    assert {one: state(one) for one in ids} == before
    for one, person in zip(ids, people, strict=True):
        for number in numbers[one]:
            if person["silent"]:
                assert suppression.is_suppressed("phone", number, person["silent"])


_made_before = iter(range(100, 10**6))


def _made(people):
    ids = []
    with db.transaction():
        chosen = db.session().scalar(select(List).where(List.key == "news"))
        if chosen is None:
            chosen = List(id=db.new_id(), name="News", key="news")
            db.session().add(chosen)
            db.session().flush()
        for person in people:
            n = next(_made_before)
            attributes = {"city": person["city"]} if person["city"] else {}
            one = service.add(
                Details(
                    name=f"Person {n}",
                    email=f"p{n}@example.org",
                    phone=f"+55119{80_000_000 + n * 10}" if person["phones"] else "",
                    attributes=attributes,
                )
            ).id
            if person["phones"] > 1:
                service.add_identifier(one, "phone", f"+55119{80_000_001 + n * 10}")
            be(one, person["consent"])
            if person["tags"]:
                service.tag([one], person["tags"])
            if person["listed"]:
                db.session().add(Listing(contact_id=one, list_id=chosen.id))
            ids.append(one)
    with db.transaction():
        for one, person in zip(ids, people, strict=True):
            number = service.get(one).phone
            if person["silent"] and number:
                suppression.suppress(
                    [("phone", number)], scope=person["silent"], reason="stop"
                )
    return ids


def _numbers(contact_id):
    with db.transaction():
        return [i.value for i in identifiers.of(contact_id) if i.kind == "phone"]


# --- finding them


def test_those_who_look_alike_are_found_and_those_decided_are_not_asked_again(account):
    def add(name, phone="", email=""):
        return service.add(Details(name=name, phone=phone, email=email)).id

    with db.transaction():
        mail = [add("Ana", "+5511981230001"), add("Ana L", "+5511981230002")]
        for one in mail:
            service.get(one).email = "same@example.org"  # as a list may leave it
        name = [add("Bia Souza", "+5521981230003"), add("bia souza", email="b@example.org")]
        near = [add("Cai", "+5511987654321"), add("cai", "+5521987654321")]
        add("Bia", "+5531981230004")
        add("Dora", "+5531981230005")
        assert service.search() == 3

    found = {(frozenset((p.one_id, p.other_id)), p.why) for p in service.duplicates().rows}
    assert found == {
        (frozenset(mail), "email"), (frozenset(name), "name"), (frozenset(near), "name_phone"),
    }  # fmt: skip
    assert service.duplicates().total == 3

    with db.transaction():
        service.tell_apart(*near)
        service.merge(*mail)
        service.search()
    left = {frozenset((p.one_id, p.other_id)) for p in service.duplicates().rows}
    assert left == {frozenset(name)}


def test_a_search_runs_when_asked_and_after_a_list(account, take_in, run_jobs):
    with db.transaction():
        service.add(Details(name="Ana Lima", email="ana@example.org"))
    take_in("name,phone\nana lima,+5511981230001\n")

    with db.transaction():
        assert [pair.why for pair in service.duplicates().rows] == ["name"]
        db.session().execute(delete(Likeness))
        service.look_for_duplicates()
    run_jobs()

    with db.transaction():
        assert [pair.why for pair in service.duplicates().rows] == ["name"]


def test_a_crowd_of_one_address_is_no_pair(account):
    with db.transaction():
        for n in range(12):
            one = service.add(Details(name=f"Clerk {n}", phone=f"+551198123{n:04d}"))
            one.email = "office@example.org"
        assert service.search() == 0


def test_a_merge_settles_what_was_asked(ana, twin):
    with db.transaction():
        twins.doubt(ana, twin, "named_both")
    assert service.twins_of(ana) == [twin]

    _, merge_id = merged(ana, twin)
    undo(merge_id)

    assert service.twins_of(ana) == []
    assert db.session().scalars(select(Suppression.id)).all() == []
