"""Whom a campaign reaches, and why others are left out."""

from types import SimpleNamespace

import pytest
from sqlalchemy import select, text

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.messaging import ledger, orders, snapshot, suppression
from clarion.messaging.models import Message
from clarion.testing.factories import make_sender
from clarion_contacts import service
from clarion_contacts.service import Details, by_tags, everyone

TEMPLATE = {"name": "hello", "language": "en", "parts": [], "text": {}}
FIRST = {"first": {"source": "first_name", "fallback": ""}}
CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}


@pytest.fixture
def people(account):
    """Six people, each with another reason to be reached or not."""
    with db.transaction():
        ids = {
            "ana": service.add(Details(name="Ana Lima", phone="+5511912340001")).id,
            "bob": service.add(Details(name="", phone="+5511912340002")).id,
            "cai": service.add(Details(name="Cai", phone="+5511912340003")).id,
            "dee": service.add(Details(name="Dee", phone="+5511912340004")).id,
            "eli": service.add(Details(name="Eli", email="eli@example.org")).id,
            "fay": service.add(Details(name="Fay", phone="+5511912340006")).id,
        }
        for who in ("ana", "bob", "cai", "eli", "fay"):
            service.opt_in(ids[who], **CONSENT)
        service.tag([ids["fay"], ids["ana"]], ["VIP"])
        suppression.suppress([("phone", "+5511912340003")], reason="stop")
    return ids


def launch(account, segment, variables, purpose="marketing"):
    sender = make_sender(account)
    with db.transaction():
        order = orders.create("Hello", purpose, sender, TEMPLATE)
        snapshot.freeze(order.id, service.audience(segment, variables, purpose))
        rows = db.session().scalars(select(Message).where(Message.campaign_id == order.id))
        return {row.contact_id: row for row in rows}


def test_each_person_has_a_reason(account, people):
    rows = launch(account, everyone(), FIRST)

    assert {who: rows[one].reason for who, one in people.items()} == {
        "ana": "",
        "bob": "missing_variable",
        "cai": "opted_out",
        "dee": "no_consent",
        "eli": "invalid_address",
        "fay": "",
    }
    ana = rows[people["ana"]]
    assert (ana.state, ana.address, ana.variables) == (
        "queued",
        "+5511912340001",
        {"first": "Ana"},
    )
    assert ana.consent_id == service.get(people["ana"]).consent_id


def test_count_says_the_same(account, people):
    counted = service.count(everyone(), FIRST, "marketing")

    assert (counted.total, counted.reached) == (6, 2)
    assert counted.left_out == {
        "missing_variable": 1, "opted_out": 1, "no_consent": 1, "invalid_address": 1
    }  # fmt: skip


def test_fallback_fills_what_is_missing(account, people):
    filled = {"first": {"source": "first_name", "fallback": "friend: 100% %(x)s"}}

    rows = launch(account, everyone(), filled)

    assert rows[people["bob"]].variables == {"first": "friend: 100% %(x)s"}
    assert rows[people["bob"]].reason == ""


def test_utility_messages_need_no_marketing_consent(account, people):
    rows = launch(account, everyone(), {}, "utility")

    assert rows[people["dee"]].reason == ""
    assert rows[people["cai"]].reason == ""
    assert rows[people["eli"]].reason == "invalid_address"


def test_tags_include_and_exclude(account, people):
    vip = service.tags()[0].id

    chosen = service.count(by_tags([vip]), {}, "marketing")
    others = service.count(by_tags((), [vip]), {}, "marketing")

    assert (chosen.total, others.total) == (2, 4)
    assert service.tags_in(by_tags([vip], [vip])) == ([vip], [vip])


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"op": "sql"},
        {"op": "tag", "tag": "x"},
        {"op": "not", "of": []},
        {"op": "and", "of": 3},
    ],
)
def test_strange_rules_are_refused(account, rule):
    with pytest.raises(Invalid) as refused:
        service.audience(rule, {}, "marketing")

    assert refused.value.code == "segment_invalid"


def test_unknown_source_is_refused(account):
    with pytest.raises(Invalid) as refused:
        service.audience(everyone(), {"a": {"source": "password_hash"}}, "marketing")

    assert refused.value.code == "variable_source_unknown"


def test_own_fields_are_placeholders(account):
    with db.transaction():
        service.add(
            Details(name="Ana", phone="+5511912340001", attributes={"city": "Recife"})
        )

    found = [one.source for one in service.placeholders()]
    sample = service.sample(everyone(), {"c": {"source": "attributes.city"}}, "utility")

    assert found[0] == "first_name"
    assert found[-1] == "attributes.city"
    assert sample[0].variables == {"c": "Recife"}


def test_consent_that_ended_after_launch_vetoes(account, people):
    rows = launch(account, everyone(), FIRST)
    token = db.new_id()
    ids = [row.id for row in rows.values() if row.state == "queued"]
    with db.transaction() as orm:
        orm.execute(
            text("UPDATE message SET state = 'claimed', token = :t WHERE id = ANY(:ids)"),
            {"t": token, "ids": ids},
        )
        service.delete([people["fay"]])  # erased people cannot have agreed
        batch = SimpleNamespace(ids=tuple(ids), campaign_id=db.new_id(), token=token)

        refused = orm.execute(service.without_consent(batch)).all()

    assert [tuple(one) for one in refused] == [(rows[people["fay"]].id, "no_consent")]


def test_veto_runs_inside_the_ledger(account, people):
    rows = launch(account, everyone(), FIRST)
    token = db.new_id()
    ids = [row.id for row in rows.values() if row.state == "queued"]
    with db.transaction() as orm:
        orm.execute(
            text("UPDATE message SET state = 'claimed', token = :t WHERE id = ANY(:ids)"),
            {"t": token, "ids": ids},
        )
        orm.execute(
            text(
                "UPDATE contacts_contact SET consent = 'none', consent_id = NULL WHERE id = :id"
            ),
            {"id": people["ana"]},
        )
        batch = SimpleNamespace(ids=tuple(ids), campaign_id=db.new_id(), token=token)

        refused = ledger.veto(service.without_consent(batch), ids, token)

    assert refused == 1
    with db.transaction() as orm:
        row = orm.scalar(
            select(Message)
            .where(Message.id == rows[people["ana"]].id)
            .execution_options(populate_existing=True)
        )
        assert (row.state, row.reason) == ("suppressed", "no_consent")
