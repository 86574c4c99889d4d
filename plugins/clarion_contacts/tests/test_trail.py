"""What changes of contacts leave in the log of deeds: enough to see it, nobody's name."""

import json

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.tenancy import chain, deeds
from clarion.tenancy.actor import COMMAND, SYSTEM_JOB
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import account_scope, current_actor, system_scope
from clarion_contacts import service
from clarion_contacts.models import Contact
from clarion_contacts.service import Details, fields

SECRET = ("Ana", "Lima", "98123", "ana@", "Recife", "Olinda", "Bruno")
"""Parts of every name, number, address and value below."""


def entries(table=None):
    db.session().expire_all()
    query = select(AuditEntry).order_by(AuditEntry.at, AuditEntry.id)
    found = db.session().scalars(query).all()
    return [
        one for one in found if table is None or (one.row or "").partition(":")[0] == table
    ]


def said(found):
    return [(one.name, one.changes) for one in found if one.name.startswith("row.")]


@pytest.fixture
def ana(account):
    with db.transaction():
        service.add_field("City", "text")
        return service.add(
            Details(
                name="Ana Lima",
                first_name="Ana",
                last_name="Lima",
                phone="+5511981230001",
                email="ana@example.org",
                country="BR",
                attributes={"city": "Recife"},
            )
        ).id


def whole(account):
    """Seal and walk along the account's chain; lists what is wrong."""
    with system_scope(COMMAND), db.transaction() as orm:
        chain.seal(None)
        return [one.text for one in chain.verify(orm, account.id).found]


def test_an_edited_contact_shows_what_was_before_and_after(ana):
    with db.transaction():
        service.edit(
            ana,
            Details(
                name="Ana Lima",
                first_name="Ana",
                last_name="Lima",
                phone="+5511981230009",
                email="ana@example.org",
                country="PT",
                attributes={"city": "Olinda"},
            ),
        )

    [added, changed] = said(entries("contacts_contact"))

    assert added[0] == "row.added"
    assert added[1]["name"] == [None, "•••"]
    assert added[1]["country"] == [None, "BR"]
    assert changed == (
        "row.changed",
        {
            "attributes": ["•••", "•••"],
            "country": ["BR", "PT"],
            "phone": ["•••", "•••"],
        },
    )


def test_nothing_of_a_person_is_in_the_log_and_the_chain_holds(account, ana, run_jobs):
    """Through a life: edited, tagged, agreed, merged, parted, given a value, erased."""
    with db.transaction():
        other = service.add(Details(name="Bruno Lima", phone="+5511981230002")).id
        service.tag([ana, other], ["near"])
        consent = {"method": "shop", "source": "till 3", "wording": "Yes."}
        service.opt_in(ana, **consent)
    with db.transaction():
        stays = service.merge(ana, other)
    with db.transaction():
        service.undo_merge(service.merges_of(stays)[0].id)
    with db.transaction():
        fields.give([ana, other], "city", "Olinda")
        service.opt_out(ana)
        service.remove_field(fields.known()[0].id)
    run_jobs()
    with db.transaction():
        assert service.delete([ana, other]) == 2
    run_jobs()

    found = entries()
    kept = json.dumps([[one.row, one.changes] for one in found])

    assert {"row.added", "row.changed"} <= {one.name for one in found}
    assert {"contacts_contact", "contacts_merge", "identifier"} <= {
        (one.row or "").partition(":")[0] for one in found
    }
    assert [part for part in SECRET if part in kept] == []
    assert whole(account) == []


def test_a_list_in_the_worker_leaves_its_decisions_under_who_asked(take_in, run_jobs):
    """Its people are in the ledger of the import, not one by one in the log."""
    import_id = take_in("name,phone\nAna Lima,+5511981230001\nBruno,+5511981230002\n")

    mine = [one for one in entries("contacts_import") if one.name.startswith("row.")]
    states = [one.changes["state"][1] for one in mine if "state" in one.changes]

    me = current_actor().label
    assert mine[0].actor == me
    assert mine[-1].actor == f"job:{me}"
    assert states[:1] == ["uploaded"]
    assert states[-1] == "done"
    assert {one.row for one in mine} == {f"contacts_import:{import_id}"}
    assert said(entries("contacts_contact")) == []
    assert len(db.session().scalars(select(Contact.id)).all()) == 2


def test_what_a_job_does_by_itself_is_the_jobs(account, ana):
    """A watched row that the machine changes carries the machine as its actor."""
    with account_scope(account.id, SYSTEM_JOB), db.transaction():
        db.session().get(Contact, ana).country = "PT"

    changed = entries("contacts_contact")[-1]

    assert (changed.name, changed.changes) == ("row.changed", {"country": ["BR", "PT"]})
    assert changed.actor == SYSTEM_JOB.label


def test_the_log_has_words_for_a_contact(ana):
    rows, _after = deeds.page(deeds.Asked(name="row.added"))

    assert "Contact added" in {one.words for one in rows}
    assert "Field added" in {one.words for one in rows}
    assert "Address of a contact: many added at once" in {one.words for one in rows}


def test_only_one_row_of_the_log_is_found_by_its_name(ana):
    rows, _after = deeds.page(deeds.Asked(row=f"contacts_contact:{ana}"))

    assert [one.name for one in rows] == ["contacts.contact.added", "row.added"]
