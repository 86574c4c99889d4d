"""Fields of one's own: their kinds, what a change carries over, and what it puts aside."""

import datetime as dt

import pytest

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.tenancy.scope import account_scope
from clarion_contacts import service
from clarion_contacts.importing import kinds
from clarion_contacts.models import Contact
from clarion_contacts.service import Details, Filters


def made(title, kind, choices=()):
    with db.transaction():
        return service.add_field(title, kind, choices)


def person(number, **attributes):
    with db.transaction():
        details = Details(phone=f"+55119123400{number:02}", attributes=attributes)
        return service.add(details).id


def values(contact_id):
    db.session().expire_all()
    return service.get(contact_id).attributes


def store(contact_id, **attributes):
    """Put values into a row as an older release left them."""
    with db.transaction() as orm:
        orm.get(Contact, contact_id).attributes = attributes


@pytest.mark.parametrize(
    ("kind", "said", "kept"),
    [
        ("text", " Recife ", "Recife"),
        ("number", "12.50", 12.5),
        ("number", "-3", -3),
        ("date", "2024-02-29", "2024-02-29"),
        ("yes_no", "JA", True),
        ("yes_no", "não", False),
        ("choice", "gold", "gold"),
    ],
)
def test_a_value_is_kept_in_the_form_of_its_kind(account, kind, said, kept):
    made("Thing", kind, ["basic", "gold"])

    one = person(1, thing=said)

    assert values(one) == {"thing": kept}
    assert type(values(one)["thing"]) is type(kept)
    assert kinds.read(kind, ["basic", "gold"], kinds.written(kept)) == kept


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("number", "1,234"),
        ("number", "007"),
        ("number", "1e5"),
        ("number", "1234567890123456"),
        ("number", "٣"),
        ("date", "2023-02-29"),
        ("date", "31.12.2024"),
        ("yes_no", "maybe"),
        ("choice", "Gold"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_input(account, kind, said):
    made("Thing", kind, ["basic", "gold"])

    with pytest.raises(Invalid) as refused:
        person(1, thing=said)

    assert (refused.value.code, refused.value.field) == ("field_value", "own-thing")


@pytest.mark.parametrize(
    ("title", "kind", "choices", "field"),
    [
        ("", "text", (), "title"),
        ("x" * 81, "text", (), "title"),
        ("x", "rune", (), "kind"),
        ("x", "choice", (" ", ""), "choices"),
        ("x", "choice", ("y" * 121,), "choices"),
    ],
)
def test_bad_fields_are_named(account, title, kind, choices, field):
    with pytest.raises(Invalid) as refused:
        made(title, kind, choices)

    assert refused.value.field == field


def test_a_key_comes_from_the_title_and_stays(account):
    one = made("Straße & Nº", "text")
    two = made("strasse n", "text")
    with pytest.raises(Conflict):
        made("STRASSE N", "text")

    with db.transaction():
        service.change_field(one.id, "Street", "text")
        service.move_field(two.id, -1)
        service.move_field(two.id, -1)  # at the top already

    assert len({one.key, two.key}) == 2
    assert [(f.title, f.key) for f in service.all_fields()] == [
        ("strasse n", two.key), ("Street", one.key),
    ]  # fmt: skip


def test_a_change_of_kind_turns_all_values_over(account):
    field = made("Points", "text")
    ids = [person(n, points=said) for n, said in enumerate(["12", "3.5", "0"])]
    none = person(9)

    with db.transaction():
        service.change_field(field.id, "Points", "number")

    assert [values(one)["points"] for one in ids] == [12, 3.5, 0]
    assert values(none) == {}
    with db.transaction():
        service.change_field(field.id, "Points", "text")
    assert [values(one)["points"] for one in ids] == ["12", "3.5", "0"]


def test_yes_and_no_survive_the_way_to_text_and_back(account):
    field = made("Vip", "yes_no")
    ids = [person(1, vip="yes"), person(2, vip="no")]

    with db.transaction():
        service.change_field(field.id, "Vip", "text")
    assert [values(one)["vip"] for one in ids] == ["yes", "no"]
    with db.transaction():
        service.change_field(field.id, "Vip", "yes_no")

    assert [values(one)["vip"] for one in ids] == [True, False]


def test_what_would_not_fit_is_counted_and_nothing_changes(account):
    field = made("Born", "text")
    ids = [person(n, born=d) for n, d in enumerate(["2000-01-31", "soon", "soon", "?"])]

    with pytest.raises(Conflict) as refused, db.transaction():
        service.change_field(field.id, "Born", "date")
    told = service.loss(field.id, "date")

    assert refused.value.code == "field_misfits"
    assert (told.people, told.misfits, told.samples) == (4, 3, [("soon", 2), ("?", 1)])
    assert [values(one)["born"] for one in ids] == ["2000-01-31", "soon", "soon", "?"]
    assert service.get_field(field.id).kind == "text"


def test_what_does_not_fit_is_put_aside_and_not_lost(account):
    field = made("Born", "text")
    ids = [person(n, born=d) for n, d in enumerate(["2000-01-31", "soon", "?"])]

    with db.transaction():
        service.change_field(field.id, "Born", "date", aside=True)

    assert [values(one) for one in ids] == [
        {"born": "2000-01-31"}, {"born_before": "soon"}, {"born_before": "?"},
    ]  # fmt: skip
    assert [(f.title, f.kind) for f in service.all_fields()] == [
        ("Born", "date"), ("Born (before)", "text"),
    ]  # fmt: skip


def test_a_removed_choice_says_how_many_have_it(account):
    field = made("Plan", "choice", ["basic", "gold"])
    one, two = person(1, plan="gold"), person(2, plan="basic")

    assert service.loss(field.id, "choice", ["basic"]).samples == [("gold", 1)]
    with pytest.raises(Conflict), db.transaction():
        service.change_field(field.id, "Plan", "choice", ["basic"])
    with db.transaction():
        service.change_field(field.id, "Plan", "choice", ["basic", "free"], aside=True)

    assert (values(one), values(two)) == ({"plan_before": "gold"}, {"plan": "basic"})


def test_keys_nobody_described_wait_to_be_adopted(account):
    one = person(1, city="Recife", note="x")
    assert service.unknown_keys() == ["city", "note"]

    with db.transaction():
        field = service.adopt("city")
        with pytest.raises(NotFound):
            service.adopt("city")

    assert (field.key, field.kind, service.unknown_keys()) == ("city", "text", ["note"])
    assert values(one) == {"city": "Recife", "note": "x"}
    assert [o.title for o in service.show(one).own] == ["city", "note"]


def test_a_new_field_never_takes_over_values_it_was_not_made_for(account):
    person(1, points="many")

    field = made("Points", "number")

    assert field.key == "points_2"


def test_removing_a_field_takes_its_values(account):
    field = made("Plan", "text")
    one = person(1, plan="gold", city="Recife")

    with db.transaction():
        assert service.people_with("plan") == 1
        assert service.remove_field(field.id) == 1

    assert values(one) == {"city": "Recife"}
    with pytest.raises(NotFound):
        service.get_field(field.id)


def test_very_many_values_are_turned_over_in_the_background(account, run_jobs, monkeypatch):
    monkeypatch.setattr("clarion_contacts.service.bulk.CONVERTED_AT_ONCE", 1)
    field = made("Points", "text")
    ids = [person(n, points=str(n)) for n in range(3)]

    with db.transaction():
        bulk = service.change_field(field.id, "Points", "number")
    assert values(ids[2]) == {"points": "2"}
    run_jobs()
    run_jobs()

    assert values(ids[2]) == {"points": 2}
    assert service.get_bulk(bulk.id).state == "done"


def test_the_list_is_filtered_by_fields(account):
    made("City", "text")
    made("Points", "number")
    made("Born", "date")
    made("Vip", "yes_no")
    ana = person(1, city="Recife", points="12", born="2000-01-31", vip="yes")
    bob = person(2, city="recife antigo", points="7.5", born="1990-05-01", vip="no")
    cai = person(3)

    def found(field, test, value=""):
        page = service.find(Filters(field=field, test=test, value=value), sort="oldest")
        return [row.id for row in page.rows]

    assert found("city", "contains", "RECIFE") == [ana, bob]
    assert found("city", "empty") == [cai]
    assert found("points", "is", "7.5") == [bob]
    assert found("points", "ge", "8") == [ana]
    assert found("born", "before", "2000-01-01") == [bob]
    assert found("born", "on", "2000-01-31") == [ana]
    assert found("vip", "no") == [bob]
    assert found("vip", "filled") == [ana, bob]
    assert found("points", "ge", "many") == [ana, bob, cai]  # half said: no filter


def test_others_have_fields_of_their_own(account, other_account):
    field = made("City", "text")

    with account_scope(other_account.id, other_account.actor), db.transaction():
        assert service.all_fields() == []
        with pytest.raises(NotFound):
            service.change_field(field.id, "x", "text")
        service.add_field("City", "number")

    assert [f.kind for f in service.all_fields()] == ["text"]
    assert kinds.day("2000-01-31") == dt.date(2000, 1, 31)
    assert kinds.day("soon") is None
