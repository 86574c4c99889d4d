"""Events of consent are added, never changed; and who changes one all the same is seen."""

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import DBAPIError

from clarion.base import db
from clarion.tenancy.scope import account_scope
from clarion_contacts import jobs, service
from clarion_contacts.models import Consent, Contact
from clarion_contacts.records import ConsentCheck, ConsentLink
from clarion_contacts.service import Details, chain

CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}


@pytest.fixture
def people(account):
    """Three people who agreed, one after the other."""
    made = []
    with db.transaction():
        for n in range(3):
            one = service.add(Details(name=f"Ana {n}", phone=f"+551191234000{n}"))
            service.opt_in(one.id, **CONSENT, evidence=f"paper {n}")
            made.append(one.id)
    return made


@pytest.fixture
def owner(database):
    """The database's owner, whom no wall and, if he likes, no trigger stops."""
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def behind_the_triggers(database):
    """Run a statement as the owner, with the table's own guards off for its length."""

    def run(statement, **values):
        engine = create_engine(database.superuser_url)
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            count = connection.execute(text(statement), values).rowcount
        engine.dispose()
        return count

    return run


def sealed():
    with db.transaction():
        return service.seal()


def walked():
    db.session().expire_all()
    with db.transaction():
        return service.verify()


def event_of(contact_id):
    with db.transaction() as orm:
        return orm.scalar(select(Consent.id).where(Consent.contact_id == contact_id))


def test_events_are_sealed_once_and_in_order(people):
    assert sealed() == 3
    assert sealed() == 0

    found = walked()

    assert (found.events, found.waiting, found.broken) == (3, 0, "")
    with db.transaction() as orm:
        seqs = orm.scalars(select(ConsentLink.seq).order_by(ConsentLink.seq)).all()
    assert seqs == [1, 2, 3]


def test_the_job_seals_what_is_loose_in_every_account(people, account, other_account):
    with account_scope(other_account.id, other_account.actor), db.transaction():
        theirs = service.add(Details(name="Bo", phone="+5511912340009"))
        service.opt_in(theirs.id, **CONSENT)

    from clarion.tenancy.actor import SYSTEM_JOB
    from clarion.tenancy.scope import system_scope

    with system_scope(SYSTEM_JOB):
        jobs.seal_consents()

    with account_scope(account.id, account.actor), db.transaction():
        assert service.verify().waiting == 0
    with account_scope(other_account.id, other_account.actor), db.transaction():
        mine = service.verify()
    assert (mine.events, mine.waiting, mine.broken) == (1, 0, "")


CHANGES = {
    "the words pointed at": "UPDATE contacts_consent SET wording_id = NULL WHERE id = :id",
    "where": "UPDATE contacts_consent SET source = 'elsewhere' WHERE id = :id",
    "when": "UPDATE contacts_consent SET created_at = created_at - interval '1 day'"
    " WHERE id = :id",
    "what": "UPDATE contacts_consent SET action = 'withdraw' WHERE id = :id",
    "who": "UPDATE contacts_consent SET created_by = 'somebody' WHERE id = :id",
    "evidence": "UPDATE contacts_consent SET evidence = NULL WHERE id = :id",
    "addresses": "UPDATE contacts_consent SET idxs = '{}' WHERE id = :id",
    "topic": "UPDATE contacts_consent SET channel = 'email' WHERE id = :id",
}


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_a_changed_event_is_seen(people, behind_the_triggers, what):
    sealed()
    second = event_of(people[1])

    assert behind_the_triggers(CHANGES[what], id=second) == 1

    assert walked().broken == "event 2 was changed"
    with db.transaction():
        seals = chain.states([event_of(one) for one in people])
    assert list(seals.values()) == ["sealed", "broken", "sealed"]


def test_changed_words_are_seen(people, behind_the_triggers):
    sealed()

    behind_the_triggers(
        "UPDATE contacts_wording SET text = 'I want everything' WHERE id = "
        "(SELECT wording_id FROM contacts_consent WHERE id = :id)",
        id=event_of(people[0]),
    )

    assert walked().broken == "event 1 was changed"


def test_a_deleted_event_is_seen_and_an_erased_person_is_none(people, behind_the_triggers):
    sealed()
    with db.transaction():
        service.delete([people[0]])
    found = walked()
    assert (found.events, found.erased, found.broken) == (3, 1, "")

    behind_the_triggers(
        "DELETE FROM contacts_consent WHERE id = :id", id=event_of(people[1])
    )

    assert walked().broken == "event 2 was deleted"


def test_a_deleted_event_of_somebody_who_was_merged_is_seen(people, behind_the_triggers):
    """Who became part of another is there all the same: their event cannot go unseen."""
    sealed()
    with db.transaction():
        gone = event_of(people[1])
        assert service.merge(people[0], people[1]) == people[0]
    assert walked().broken == ""

    behind_the_triggers("DELETE FROM contacts_consent WHERE id = :id", id=gone)

    assert walked().broken == "event 2 was deleted"


def test_a_missing_link_and_a_cut_end_are_seen(people, behind_the_triggers, account):
    sealed()
    with db.transaction():
        found = service.verify()
        db.session().add(
            ConsentCheck(id=db.new_id(), events=found.events, erased=0, head=found.head)
        )
    drop = "DELETE FROM contacts_consent_link WHERE account_id = :a AND seq = :n"

    behind_the_triggers(drop, a=account.id, n=3)
    assert walked().broken == "what came after event 2 was cut off"

    behind_the_triggers(drop, a=account.id, n=1)
    assert walked().broken == "event 1 was deleted"


def test_links_of_two_events_cannot_be_swapped(people, behind_the_triggers, account):
    sealed()

    behind_the_triggers(
        "UPDATE contacts_consent_link SET seq = CASE seq WHEN 1 THEN -2 ELSE -1 END"
        " WHERE account_id = :a AND seq IN (1, 2)",
        a=account.id,
    )
    behind_the_triggers(
        "UPDATE contacts_consent_link SET seq = -seq WHERE account_id = :a AND seq < 0",
        a=account.id,
    )

    assert walked().broken == "events 1 to 2 are not where they were"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE contacts_consent SET source = 'x' WHERE account_id = :a",
        "DELETE FROM contacts_consent WHERE account_id = :a",
        "TRUNCATE contacts_consent",
    ],
)
def test_the_database_itself_refuses_changes(people, owner, account, statement):
    with pytest.raises(DBAPIError, match="never changed"):
        owner.execute(text(statement), {"a": account.id})
    owner.rollback()
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Consent)) == 3


def test_erasing_a_person_takes_their_events_along(people):
    with db.transaction():
        service.delete([people[0], people[1]])

    with db.transaction() as orm:
        left = orm.scalars(select(Consent.contact_id)).all()
    assert left == [people[2]]


def test_an_import_is_sealed_row_by_row(take_in):
    take_in("phone;name\n+5511912340001;Ana\n+5511912340002;Bo\n")

    assert sealed() == 2
    assert walked().broken == ""
    with db.transaction() as orm:
        one = orm.scalars(select(Consent)).first()
        phone = orm.scalar(select(Contact.phone_idx).where(Contact.id == one.contact_id))
    assert one.idxs == [phone]


def test_a_changed_statement_of_a_list_is_seen(take_in, behind_the_triggers):
    import_id = take_in("phone;name\n+5511912340001;Ana\n")
    sealed()

    behind_the_triggers(
        "UPDATE contacts_import SET attested_by = 'Somebody Else' WHERE id = :id",
        id=import_id,
    )

    assert walked().broken == "event 1 was changed"


def test_no_event_of_an_unattested_list_gets_in(people, owner, account):
    """ATT-02: not even written past every verb."""
    insert = text(
        "INSERT INTO contacts_consent (id, account_id, contact_id, action, purpose, method,"
        " import_id) VALUES (gen_random_uuid(), :a, :c, 'import_attested', 'marketing',"
        " 'web_form', :i)"
    )
    with pytest.raises(DBAPIError, match="not attested"):
        owner.execute(insert, {"a": account.id, "c": people[0], "i": None})
    owner.rollback()


def test_the_command_says_what_is_broken(people, behind_the_triggers, account):
    sealed()
    assert [
        (f.broken, c.differing) for _, f, c in jobs.examine(account.id, repair=False)
    ] == [("", 0)]

    behind_the_triggers(CHANGES["where"], id=event_of(people[0]))

    (_, found, _), *_ = jobs.examine(account.id, repair=False)
    assert found.broken == "event 1 was changed"
