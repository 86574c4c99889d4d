"""The log of deeds: before and after, both names, never changed, and what is missing shows."""

import datetime as dt
import threading
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from clarion.base import crypto, db
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


@pytest.fixture
def root(database):
    engine = create_engine(database.superuser_url)
    yield engine
    engine.dispose()


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


@pytest.mark.parametrize(
    "statement",
    [
        update(Account).values(country="BR"),
        update(Account).values(
            country="BR", updated_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        ),
        delete(Preference),
        insert(Preference).values(plugin="p", name="n", value=1),
        update(db.table_of(Account)).values(country="BR"),
    ],
    ids=["update", "some skipped", "delete", "insert", "by its table"],
)
def test_a_watched_row_is_not_changed_past_the_log(account, statement):
    with pytest.raises(audit.Unaudited, match="without a trace"), db.transaction() as orm:
        orm.execute(statement.execution_options(synchronize_session=False))


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
@pytest.mark.parametrize("table", ["audit_entry", "audit_link"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
def test_roles_cannot_change_the_log(database, role, table, verb):
    sql = verb.format(table).replace(
        "id = id", "entry_id = entry_id" if "link" in table else "id = id"
    )
    with db.engine().connect() as connection:
        connection.execute(db.ENTER, {"role": role, "account": "", "actor": ""})
        with pytest.raises(DBAPIError, match="permission denied"):
            connection.execute(text(sql))


@pytest.mark.parametrize("url", ["owner_url", "superuser_url"])
@pytest.mark.parametrize("table", ["audit_entry", "audit_link"])
def test_not_even_the_owner_by_mistake(database, url, table):
    engine = create_engine(getattr(database, url))
    try:
        with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
            connection.execute(text(f"DELETE FROM {table}"))
    finally:
        engine.dispose()


# --- the chain


@pytest.fixture
def chained(account):
    """The two deeds that made the account and five more, in its chain."""
    for number in range(5):
        with db.transaction():
            audit.record("portal.thing.done", number=number)
    assert audit.seal() >= 7
    return account


def broken(chain, known=None):
    with system_scope(COMMAND), db.transaction() as orm:
        return audit.broken(orm, chain, known)


def end_of(chain):
    with system_scope(COMMAND), db.transaction() as orm:
        return audit.head(orm, chain)


@pytest.fixture
def tamper(root, chained):
    """Do something to the tables as a superuser who switched the triggers off."""

    def run(*statements):
        with root.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in statements:
                connection.execute(text(statement), {"c": chained.id})

    return run


THIRD = "(SELECT entry_id FROM audit_link WHERE chain = :c AND seq = 3)"


def test_untouched_chain_holds(chained):
    assert broken(chained.id) is None
    assert end_of(chained.id)[0] == 7


def test_sealing_again_adds_nothing(chained):
    before = end_of(chained.id)

    audit.seal()
    audit.seal(window=None)

    assert end_of(chained.id) == before


def test_deleted_entry_is_found(tamper, chained):
    tamper(f"DELETE FROM audit_entry WHERE id = {THIRD}")

    assert broken(chained.id) == "entry 3 was deleted"


def test_deleted_link_is_found(tamper, chained):
    tamper("DELETE FROM audit_link WHERE chain = :c AND seq = 3")

    assert broken(chained.id) == "entry 3 is missing"


@pytest.mark.parametrize(
    "change",
    [
        "changes = '{}'", "actor_name = 'Somebody else'", "at = at + interval '1 s'",
        "name = 'portal.other.done'", "behind = 'staff:7'", "row = 'account:1'",
        "request_id = ''", "account_id = NULL",
    ],
)  # fmt: skip
def test_changed_entry_is_found(tamper, chained, change):
    set_ = change if "request_id" not in change else "request_id = 'req_2'"
    tamper(f"UPDATE audit_entry SET {set_} WHERE id = {THIRD}")

    assert broken(chained.id) == "entry 3 was changed"


def test_other_order_is_found(tamper, chained):
    tamper(
        "UPDATE audit_link SET seq = seq + 100 WHERE chain = :c AND seq IN (2, 3)",
        "UPDATE audit_link SET seq = CASE seq WHEN 102 THEN 3 ELSE 2 END"
        " WHERE chain = :c AND seq > 100",
    )

    assert broken(chained.id) == "entry 2 is not where it was"


def test_entry_in_anothers_place_is_found(tamper, chained):
    """A true entry with its true seal does not fit where another was."""
    tamper(
        "DELETE FROM audit_link WHERE chain = :c AND seq = 4",
        "UPDATE audit_link SET seq = 4 WHERE chain = :c AND seq = 5",
    )

    assert broken(chained.id) == "entry 4 is not where it was"


def test_cut_tail_is_found_with_the_end_that_was_kept(tamper, chained):
    """A chain alone does not show a cut-off tail; its end, kept elsewhere, does."""
    known = end_of(chained.id)
    tamper(
        "DELETE FROM audit_entry WHERE id IN"
        " (SELECT entry_id FROM audit_link WHERE chain = :c AND seq > 3)",
        "DELETE FROM audit_link WHERE chain = :c AND seq > 3",
    )

    assert broken(chained.id) is None
    assert broken(chained.id, known) == "what came after entry 3 was cut off"


def test_chain_written_anew_is_found_with_the_end_that_was_kept(tamper, chained):
    known = end_of(chained.id)
    tamper(
        f"DELETE FROM audit_entry WHERE id = {THIRD}",
        "DELETE FROM audit_link WHERE chain = :c",
    )
    audit.seal()
    with account_scope(chained.id, chained.actor), db.transaction():
        audit.record("portal.thing.done", number=9)
    audit.seal()

    assert broken(chained.id) is None
    assert broken(chained.id, known) == "entry 7 ended another chain"


def test_known_end_of_a_chain_that_grew(chained):
    known = end_of(chained.id)
    with db.transaction():
        audit.record("portal.thing.done")
    audit.seal()

    assert broken(chained.id, known) is None


def test_a_backlog_is_sealed_part_by_part(account, monkeypatch):
    audit.seal(window=None)
    monkeypatch.setattr(audit, "SEALED_AT_ONCE", 3)
    for number in range(7):
        with db.transaction():
            audit.record("portal.thing.done", number=number)

    assert [audit.seal_some() for _part in range(4)] == [3, 3, 1, 0]
    assert broken(account.id) is None
    assert end_of(account.id)[0] >= 7


def test_sealers_at_once_make_one_chain(account):
    """AUD-02: writers go on while many seal; no fork, no gap, nothing twice."""
    stop, errors = threading.Event(), []

    def sealing():
        while not stop.is_set():
            try:
                audit.seal()
            except Exception as error:
                errors.append(error)

    def writing():
        try:
            for _ in range(15):
                with account_scope(account.id, account.actor), db.transaction():
                    audit.record("portal.thing.done")
        except Exception as error:
            errors.append(error)

    sealers = [threading.Thread(target=sealing) for _ in range(3)]
    writers = [threading.Thread(target=writing) for _ in range(3)]
    for one in (*sealers, *writers):
        one.start()
    for one in writers:
        one.join()
    stop.set()
    for one in sealers:
        one.join()
    audit.seal()

    assert errors == []
    assert broken(account.id) is None
    assert end_of(account.id)[0] == 47


def test_deeds_of_no_account_have_a_chain_of_their_own(clean):
    with system_scope(COMMAND), db.transaction():
        audit.record("console.thing.done")
    audit.seal()

    assert broken(crypto.PLATFORM) is None
    assert end_of(crypto.PLATFORM)[0] >= 1
