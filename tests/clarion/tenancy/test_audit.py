"""The log of deeds: before and after, both names, never changed, and what is missing shows."""

import datetime as dt
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from clarion.base import db
from clarion.tenancy import audit
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.models import (
    Account,
    AuditEntry,
    AuditLink,
    Invitation,
    Person,
    Preference,
)
from clarion.tenancy.scope import account_scope, anonymous_scope, staff_scope, system_scope


def entries(name=None):
    query = select(AuditEntry).order_by(AuditEntry.at, AuditEntry.id)
    found = db.session().scalars(query).all()
    mine = [e for e in found if e.actor != COMMAND.label]  # which made the account
    return [e for e in mine if name is None or e.name == name]


def invitation(**more):
    given = {
        "email": "ana@example.org",
        "role": "member",
        "token_hash": uuid4().bytes,
        "expires_at": dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
    }
    return Invitation(**given | more)


# --- what a change leaves behind


def test_change_keeps_before_and_after(account):
    with db.transaction() as orm:
        orm.get(Account, account.id).country = "BR"

    [entry] = entries("row.changed")

    assert entry.changes == {"country": ["", "BR"]}
    assert entry.row == f"account:{account.id}"
    assert (entry.account_id, entry.actor) == (account.id, f"person:{account.person_id}")
    assert entry.mac == audit.mac(
        {c.name: getattr(entry, c.name) for c in AuditEntry.__table__.columns}
    )


def test_new_row_shows_what_the_database_filled_in(account):
    with db.transaction() as orm:
        row = Preference(plugin="contacts", name="country", value="BR")
        orm.add(row)

    [entry] = entries("row.added")

    assert entry.row == f"preference:{row.id}"
    assert entry.changes["value"] == [None, "BR"]
    assert "id" not in entry.changes


def test_removed_row_shows_what_it_held(account):
    with db.transaction() as orm:
        row = Preference(plugin="contacts", name="country", value="BR")
        orm.add(row)
        orm.flush()
        orm.delete(row)

    [entry] = entries("row.removed")

    assert entry.changes["value"] == ["BR", None]


def test_masked_columns_say_only_that_they_changed(account):
    with db.transaction() as orm:
        orm.add(row := invitation())
        orm.flush()
        row.email = "someone.else@example.org"

    added, changed = entries("row.added")[0], entries("row.changed")[0]

    assert added.changes["email"] == [None, "•••"]
    assert changed.changes == {"email": ["•••", "•••"]}
    for entry in entries():
        assert "example.org" not in str(entry.changes)


def test_one_unit_of_work_leaves_one_entry_a_row(account):
    with db.transaction() as orm:
        made = [Preference(plugin="p", name=str(n), value=n) for n in range(3)]
        orm.add_all(made)
    with db.transaction() as orm:
        for row in orm.scalars(select(Preference).where(Preference.plugin == "p")):
            row.value += 10
        orm.get(Account, account.id).timezone = "America/Recife"

    changed = entries("row.changed")

    assert sorted(str(e.changes) for e in changed) == sorted(
        [f"{{'value': [{n}, {n + 10}]}}" for n in range(3)]
        + ["{'timezone': ['UTC', 'America/Recife']}"]
    )


def test_old_value_is_found_when_it_was_never_loaded(account):
    with db.transaction() as orm:
        row = orm.get(Account, account.id)
        orm.expire(row)
        row.language = "pt"

    [entry] = entries("row.changed")

    assert entry.changes == {"language": ["en", "pt"]}


def test_setting_the_same_value_leaves_nothing(account):
    with db.transaction() as orm:
        row = orm.get(Account, account.id)
        row.name = row.name

    assert entries() == []


def test_one_statement_for_many_rows_leaves_an_entry_for_each(account):
    with db.transaction() as orm:
        orm.add_all(Preference(plugin="p", name=str(n), value=n) for n in range(3))
    with db.transaction() as orm:
        mine = Preference.plugin == "p"
        orm.execute(update(Preference).where(mine, Preference.name != "0").values(value=7))
        orm.execute(delete(Preference).where(mine, Preference.name == "0"))

    changed, removed = entries("row.changed"), entries("row.removed")

    assert sorted(str(e.changes) for e in changed) == [
        "{'value': [1, 7]}",
        "{'value': [2, 7]}",
    ]
    assert [e.changes["value"] for e in removed] == [[0, None]]
    assert {e.account_id for e in (*changed, *removed)} == {account.id}
    assert {e.row.partition(":")[0] for e in changed} == {"preference"}


def test_a_statement_by_the_table_leaves_one_too_and_hides_secrets(account):
    with db.transaction() as orm:
        orm.execute(update(db.table_of(Account)).values(country="BR"))
        orm.add(invitation())
        orm.flush()
        orm.execute(update(Invitation).values(email="else@example.org", token_hash=b"x"))

    [of_account, of_invitation] = entries("row.changed")

    assert of_account.changes == {"country": ["", "BR"]}
    assert of_invitation.changes == {key: ["•••", "•••"] for key in ("email", "token_hash")}


def test_too_many_at_once_are_refused(account, monkeypatch):
    monkeypatch.setattr(audit, "BULK", 2)
    with db.transaction() as orm:
        orm.add_all(Preference(plugin="p", name=str(n), value=n) for n in range(3))

    with pytest.raises(audit.Unaudited, match="more than 2"), db.transaction() as orm:
        orm.execute(delete(Preference))


def test_an_insert_that_is_no_object_is_refused(account):
    row = insert(Preference).values(plugin="p", name="n", value=1)

    with pytest.raises(audit.Unaudited, match="without a trace"), db.transaction() as orm:
        orm.execute(row)


def test_one_statement_for_many_rows_needs_columns_nobody_watches_or_a_word(account):
    seen = update(Person).values(last_seen_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    with system_scope(COMMAND), db.transaction() as orm:
        orm.execute(seen.where(Person.id == account.person_id))
    with db.transaction() as orm:
        many = update(Account).values(country="BR")
        orm.execute(many.execution_options(audited=True, synchronize_session=False))
        audit.record("portal.settings.changed", country=1)

    assert [e.name for e in entries()] == ["portal.settings.changed"]


def test_several_rows_at_once_by_key_are_refused_too(account):
    with pytest.raises(audit.Unaudited), db.transaction() as orm:
        orm.execute(update(Account), [{"id": account.id, "country": "BR"}])


def test_what_is_rolled_back_was_never_done(account):
    with pytest.raises(ZeroDivisionError), db.transaction() as orm:
        orm.get(Account, account.id).name = "Other"
        audit.record("portal.settings.changed")
        orm.flush()
        1 / 0  # noqa: B018 -- fails

    assert entries() == []


def test_deed_names_row_and_facts(account):
    with db.transaction() as orm:
        row = Preference(plugin="p", name="n", value=1)
        orm.add(row)
        audit.record("portal.thing.done", row, count=3, when=dt.date(2026, 1, 2))

    [entry] = entries("portal.thing.done")

    assert entry.row == f"preference:{row.id}"
    assert entry.changes == {"count": [None, 3], "when": [None, "2026-01-02"]}


def test_both_names_when_staff_act_as_a_person(account):
    both = Actor(
        "person",
        id=str(account.person_id),
        name="Marina Lopes",
        role="owner",
        behind="staff:7 Ada Okafor",
        reason="ticket 4711",
        address="203.0.113.0",
        request_id="req_1",
    )
    with account_scope(account.id, both), db.transaction():
        audit.record("portal.thing.done")

    [entry] = entries("portal.thing.done")

    assert (entry.actor_name, entry.behind) == ("Marina Lopes", "staff:7 Ada Okafor")
    assert (entry.reason, entry.address) == ("ticket 4711", "203.0.113.0")
    assert entry.request_id == "req_1"


def test_deed_of_staff_is_in_the_accounts_log(account):
    with staff_scope(Actor("staff", id="7", name="Ada")), db.transaction() as orm:
        orm.get(Account, account.id).state = "suspended"

    [entry] = entries("row.changed")

    assert (entry.actor, entry.actor_name) == ("staff:7", "Ada")


def test_another_account_reads_none_of_it(account, other_account):
    with db.transaction():
        audit.record("portal.thing.done")

    with account_scope(other_account.id, other_account.actor):
        assert entries() == []
    with anonymous_scope():
        assert entries() == []


def test_words():
    audit.label("testing.thing.done", "Did a thing")

    assert audit.words("testing.thing.done") == "Did a thing"
    assert audit.words("testing.other_thing.done") == "testing · other thing · done"


# --- never changed


CHANGES = {
    "orm update": lambda orm: orm.execute(update(AuditEntry).values(name="x")),
    "orm delete": lambda orm: orm.execute(delete(AuditEntry)),
    "core update": lambda orm: orm.execute(update(AuditEntry.__table__).values(name="x")),
    "core delete": lambda orm: orm.execute(delete(AuditEntry.__table__)),
    "core insert": lambda orm: orm.execute(insert(AuditEntry.__table__).values(name="x")),
    "links": lambda orm: orm.execute(delete(AuditLink)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_program_cannot_change_the_log(account, change):
    with db.transaction():
        audit.record("portal.thing.done")

    with pytest.raises(audit.Unaudited), db.transaction() as orm:
        change(orm)

    assert len(entries("portal.thing.done")) == 1


def test_object_cannot_be_changed_either(account):
    with db.transaction():
        audit.record("portal.thing.done")

    with pytest.raises(audit.Unaudited), db.transaction() as orm:
        orm.scalars(select(AuditEntry)).first().name = "x"

    db.session().expire_all()
    assert len(entries("portal.thing.done")) == 1


@pytest.mark.parametrize("role", ["clarion_app", "clarion_staff", "clarion_system"])
@pytest.mark.parametrize("table", audit.LOG)
@pytest.mark.parametrize("verb", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
def test_roles_cannot_change_the_log(database, role, table, verb):
    column = "id" if table == "audit_entry" else "seq"
    sql = verb.format(table).replace("id = id", f"{column} = {column}")
    with db.engine().connect() as connection:
        connection.execute(db.ENTER, {"role": role, "account": "", "actor": ""})
        with pytest.raises(DBAPIError, match="permission denied"):
            connection.execute(text(sql))


@pytest.mark.parametrize("url", ["owner_url", "superuser_url"])
@pytest.mark.parametrize("table", audit.LOG)
def test_not_even_the_owner_by_mistake(database, url, table):
    engine = create_engine(getattr(database, url))
    try:
        with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
            connection.execute(text(f"DELETE FROM {table}"))
    finally:
        engine.dispose()
