"""Segments on screen and by their verbs: built, counted, saved, used, frozen."""

import re
from html import unescape
from uuid import uuid4

import pytest
from sqlalchemy import event, func, select

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor
from clarion_contacts import jobs, segments, service
from clarion_contacts.models import Contact
from clarion_contacts.portal import sketch
from clarion_contacts.records import Member
from clarion_contacts.segments import rules
from clarion_contacts.service import Details
from clarion_contacts.service import segments as saved

ANA = {"op": "field", "field": "name", "test": "starts", "value": "ana"}


@pytest.fixture
def tenant(clean):
    return make_account(country="BR")


@pytest.fixture
def visitor(tenant):
    return Visitor(tenant)


@pytest.fixture
def inside(tenant):
    with account_scope(tenant.id, tenant.actor):
        yield tenant


def people(*names):
    with db.transaction():
        return [
            service.add(Details(name=name, phone=f"+55119{10_000_000 + n}")).id
            for n, name in enumerate(names)
        ]


def save(rule=ANA, name="Anas", segment_id=None):
    with db.transaction():
        return service.save_segment(rule, name, "", segment_id)


def form_of(page):
    """Read the builder's form as a browser would send it."""
    form = re.search(r'<form class="card" id="segment".*?</form>', page, re.DOTALL)[0]
    fields = {
        name: unescape(value)
        for name, value in re.findall(r'<input[^>]* name="([^"]+)" value="([^"]*)"', form)
    }
    for name, inside in re.findall(
        r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL
    ):
        chosen = re.search(r'value="([^"]*)" selected', inside)
        first = re.search(r'value="([^"]*)"', inside)
        fields[name] = unescape((chosen or first)[1])
    return fields


def test_a_segment_is_built_without_javascript(visitor, inside):
    people("Ana Lima", "Anabel", "Bob")
    fields = form_of(visitor.get("/contacts/segments/new").text)
    fields["0.0:what"] = "field:name"

    page = visitor.post("/contacts/segments/build", **fields, act="refresh 0").text
    fields = form_of(page) | {"0.0:test": "starts", "0.0:value": "ana", "name": "Anas"}
    page = visitor.post("/contacts/segments/build", **fields, act="group 0").text
    fields = form_of(page)
    assert fields["0.1:group"] == "or"
    assert fields["name"] == "Anas"
    fields |= {"0.1.0:what": "suppressed"}
    fields = form_of(visitor.post("/contacts/segments/build", **fields, act="refresh").text)
    fields["0.1.0:test"] = "not_is"
    counted = visitor.post("/contacts/segments/people", **fields).text
    answer = visitor.post("/contacts/segments/new", **fields)

    assert answer.status_code == 302, answer.text[:3000]
    assert re.search(r'<span class="big num">2</span>', counted)
    assert "Anabel" in counted
    assert "Bob" not in counted
    view = service.get_segment(service.segment_lines()[0].id)
    assert view.rule == {
        "op": "and",
        "of": [
            {"op": "field", "field": "name", "test": "starts", "value": "ana"},
            {"op": "or", "of": [{"op": "suppressed", "not": True}]},
        ],
    }
    again = form_of(visitor.get(answer.location).text)
    again.pop("csrf_token")
    fields.pop("csrf_token")
    assert again == fields | {"segment": str(view.id)}


def test_an_unfinished_rule_is_named(visitor, inside):
    fields = form_of(visitor.get("/contacts/segments/new").text) | {"name": "x"}

    counted = visitor.post("/contacts/segments/people", **fields).text
    refused = visitor.post("/contacts/segments/new", **fields)

    assert "Rule 1, Field: Choose a field." in counted
    assert refused.status_code == 422
    assert 'class="rule is-wrong" id="r-0-0"' in refused.text
    assert service.segment_lines() == []


EVERY = [
    ANA,
    {"op": "field", "field": "added_on", "test": "last_days", "days": 7},
    {"op": "field", "field": "country", "test": "one_of", "value": "BR, PT"},
    {
        "op": "field",
        "field": "attributes.age",
        "kind": "number",
        "test": "between",
        "value": 1.5,
        "to": 3,
    },
    {
        "op": "field",
        "field": "attributes.born",
        "kind": "date",
        "test": "between",
        "value": "2020-01-01",
        "to": "2020-02-01",
    },
    {"op": "field", "field": "attributes.vip", "kind": "yes_no", "test": "no"},
    {"op": "tag", "tag": str(uuid4()), "not": True},
    {"op": "list", "list": str(uuid4())},
    {"op": "import", "import": str(uuid4())},
    {"op": "consent", "part": "state", "purpose": "utility", "value": "given", "not": True},
    {
        "op": "consent",
        "part": "source",
        "purpose": "marketing",
        "test": "contains",
        "value": "shop",
    },
    {
        "op": "campaign",
        "did": "failed",
        "campaign": str(uuid4()),
        "reason": "per_user_limit",
        "code": "131049",
        "days": 3,
        "times": 2,
    },
    {"op": "campaign", "did": "read", "not": True},
    {"op": "inbound", "test": "ever", "not": True},
    {"op": "inbound", "test": "before", "value": "2024-05-01"},
    {"op": "suppressed"},
    {"op": "share", "percent": 12.5, "seed": "abc"},
    {"op": "holdout", "percent": 5, "name": "2027", "not": True},
    {"op": "segment", "segment": str(uuid4())},
    {"op": "snapshot", "snapshot": str(uuid4())},
    {"op": "none", "of": [ANA, {"op": "or", "of": [ANA]}]},
]


@pytest.mark.parametrize("rule", EVERY)
def test_what_is_drawn_means_what_was_stored(rule):
    whole = {"op": "and", "of": [rule]}

    again = sketch.to_rule(sketch.of_rule(whole))

    assert rules.parse(again) == rules.parse(whole)


def test_every_rule_can_be_drawn(visitor, inside):
    with db.transaction():
        db.session().add(
            saved.Segment(
                id=db.new_id(), name="All", key="all", rule={"op": "and", "of": EVERY}
            )
        )
    segment = service.segment_lines()[0]

    page = visitor.get(f"/contacts/segments/{segment.id}")

    assert page.status_code == 200
    assert page.text.count('<li class="rule') == len(EVERY) + 3


def test_acts_on_rules():
    built = {"group": "and", "of": [{"what": "a"}, {"what": "b"}]}

    def do(act):
        return sketch.act(built, act)[1]

    assert do("copy 0.1") == "0.2"
    assert do("indent 0.0") == "0.0.0"
    assert do("add 0.0") == "0.0.1"
    assert do("up 0.2") == "0.1"
    assert built["of"][0] == {"group": "or", "of": [{"what": "a"}, {"what": ""}]}
    assert do("outdent 0.0.1") == "0.1"
    assert do("remove 0.0.0") == "0.0"
    assert [one["what"] for one in built["of"]] == ["", "b", "b"]
    assert do("down 0.0") == "0.1"
    assert do("remove 0") == do("up 0.9") == do("add x") == do("burn 0") == ""


def test_depth_and_size_of_a_form_are_limited():
    built = sketch.blank()
    for _ in range(200):
        sketch.act(built, "group 0.0")
        sketch.act(built, "indent 0.0")
        sketch.act(built, "add 0")

    assert sketch.size(built) == sketch.MOST
    assert rules.parse(sketch.to_rule(built) | {"of": []})
    deep = {f"0{'.0' * n}:group": "and" for n in range(50)}
    assert sketch._depth(sketch.read(deep)) == sketch.DEEPEST + 1


# --- verbs


def test_a_name_is_taken_once(inside):
    save()

    with pytest.raises(Conflict) as refused:
        save(name="ANAS")

    assert refused.value.code == "segment_exists"


def test_no_segment_contains_itself(inside):
    first = save()
    second = save({"op": "segment", "segment": str(first.id)}, "Second")

    with pytest.raises(Invalid) as refused:
        save({"op": "segment", "segment": str(second.id)}, "Anas", first.id)
    with pytest.raises(Invalid) as unknown:
        save({"op": "segment", "segment": str(uuid4())}, "Third")

    assert refused.value.code == "segment_circle"
    assert unknown.value.code == "segment_unknown"


def test_a_rule_that_speaks_of_what_is_gone_chooses_nobody(inside):
    people("Ana")
    gone = {"op": "none", "of": [{"op": "segment", "segment": str(uuid4())}]}

    assert service.people_in(gone) == 0


def test_what_is_used_stays(visitor, inside):
    first = save()
    second = save(
        {"op": "none", "of": [{"op": "segment", "segment": str(first.id)}]}, "Rest"
    )

    refused = visitor.post(f"/contacts/segments/{first.id}/delete", follow=True)

    assert "It is used by “Rest”." in unescape(refused.text)
    assert len(service.segment_lines()) == 2
    assert "Rest" in visitor.get(f"/contacts/segments/{first.id}").text
    visitor.post(f"/contacts/segments/{second.id}/delete")
    visitor.post(f"/contacts/segments/{first.id}/delete")
    assert service.segment_lines() == []


def test_a_copy_is_a_second_one(visitor, inside):
    first = save()

    for _ in range(2):
        visitor.post(f"/contacts/segments/{first.id}/copy")

    names = [row.name for row in service.segment_lines()]
    assert names == ["Anas", "Anas (copy)", "Anas (copy) 2"]


def test_counting_gives_up_and_leaves_the_transaction_well(inside, monkeypatch):
    people("Ana")
    with db.transaction():
        monkeypatch.setattr(
            segments, "condition", lambda _rule: func.pg_sleep(5).is_not(None)
        )
        assert service.people_in(ANA, patience_ms=50) is None
        monkeypatch.undo()
        assert service.people_in(ANA) == 1
        left = db.session().scalar(select(func.current_setting("statement_timeout")))

    assert left == "0"


def test_a_slow_count_says_so(visitor, inside, monkeypatch):
    people("Ana")
    view = save()
    asked = []

    def slow(_rule, patience_ms=0):
        asked.append(patience_ms)

    monkeypatch.setattr(service, "people_in", slow)
    page = visitor.get(f"/contacts/segments/{view.id}").text
    again = visitor.post(
        "/contacts/segments/people", **form_of(page), tried="1", fragment=True
    ).text
    number = visitor.get(f"/contacts/segments/{view.id}/count").text

    assert "Still counting" in page
    assert "Counting takes too long here." in again
    assert "Still counting" in number
    assert asked == [2_000, 20_000, 2_000]


def test_another_account_sees_nothing(visitor, inside, clean):
    view = save()
    stranger = make_account("Loja Norte")

    with account_scope(stranger.id, stranger.actor):
        with pytest.raises(NotFound):
            service.get_segment(view.id)
        rule = {"op": "segment", "segment": str(view.id)}
        assert service.people_in(rule) == 0
    assert Visitor(stranger).get(f"/contacts/segments/{view.id}").status_code == 404


def test_the_list_asks_the_same_for_many(visitor, inside):
    def queries():
        seen = []
        listen = lambda *args: seen.append(args[2])  # noqa: E731
        event.listen(db.engine(), "before_cursor_execute", listen)
        page = visitor.get("/contacts/segments").text
        event.remove(db.engine(), "before_cursor_execute", listen)
        return len(seen), page.count("row-main")

    first = save()
    few, one = queries()
    for n in range(5):
        save({"op": "segment", "segment": str(first.id)}, f"More {n}")
    many, six = queries()

    assert (one, six) == (1, 6)
    assert few == many


# --- snapshots


def test_a_segment_is_frozen_and_compared(visitor, inside, run_jobs):
    ana, _bob = people("Ana", "Bob")
    view = save()

    visitor.post(f"/contacts/segments/{view.id}/freeze")
    assert "Being written down" in visitor.get(f"/contacts/segments/{view.id}").text
    run_jobs()
    frozen = service.snapshots()[0]
    jobs.write_snapshot(frozen.id)
    assert frozen.people == 1
    with db.transaction():
        service.edit(ana, Details(name="Zoe", phone="+5511910000000"))
        service.add(Details(name="Anabel", phone="+5511977770000"))
    page = visitor.get(f"/contacts/segments/snapshots/{frozen.id}").text
    compared = service.turnover(frozen.id)

    assert (compared.still, compared.came, compared.went) == (1, 1, 1)
    assert [one.name for one in compared.newcomers] == ["Anabel"]
    assert [one.name for one in compared.leavers] == ["Zoe"]
    assert not compared.changed
    assert "Zoe" in page
    then = {"op": "snapshot", "snapshot": str(frozen.id)}
    assert service.count(then, {}, "utility").reached == 1


def test_who_is_erased_leaves_snapshots(inside, run_jobs):
    ana, _other = people("Ana", "Ana Lima")
    view = save()
    with db.transaction():
        snapshot_id = service.freeze(view.id)
    run_jobs()

    with db.transaction():
        service.delete([ana])

    compared = service.turnover(snapshot_id)
    assert (compared.line.people, compared.still) == (2, 1)
    assert db.session().scalar(select(func.count()).select_from(Member)) == 1


def test_a_lost_snapshot_is_written_later(inside, run_jobs):
    people("Ana")
    view = save()
    with db.transaction():
        snapshot_id = service.freeze(view.id)
        row = db.session().get(saved.Snapshot, snapshot_id)
        row.created_at = func.clarion_now() - func.make_interval(0, 0, 0, 1)

    jobs.resume_snapshots()
    run_jobs()

    assert service.snapshots()[0].people == 1


def test_what_uses_a_snapshot_keeps_it(inside, run_jobs):
    view = save()
    with db.transaction():
        snapshot_id = service.freeze(view.id)
    run_jobs()
    save({"op": "snapshot", "snapshot": str(snapshot_id)}, "As they were")

    with pytest.raises(Conflict), db.transaction():
        service.delete_snapshot(snapshot_id)
    with pytest.raises(Conflict), db.transaction():
        service.delete_segment(view.id)

    assert service.snapshots_of(view.id)[0].id == snapshot_id


# --- chance


def test_a_share_is_steady_and_even(inside):
    with db.transaction():
        db.session().add_all(Contact(id=db.new_id(), name=f"P{n}") for n in range(2_000))

    def drawn(percent, seed):
        rule = {"op": "share", "percent": percent, "seed": seed}
        query = select(Contact.id).where(segments.condition(rule))
        return set(db.session().scalars(query))

    tenth, more, other = drawn(10, "a"), drawn(30, "a"), drawn(10, "b")

    assert tenth == drawn(10, "a")
    assert tenth < more
    assert tenth != other
    assert 140 <= len(tenth) <= 260
    assert 520 <= len(more) <= 680
    assert drawn(100, "c") == set(db.session().scalars(select(Contact.id)))
