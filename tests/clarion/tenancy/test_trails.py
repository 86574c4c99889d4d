"""Statements past the unit of work: what each leaves in the log of deeds."""

import datetime as dt

import pytest
from sqlalchemy import Date, cast, delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from clarion.base import db
from clarion.base.db import Base
from clarion.base.trails import Trail
from clarion.messaging.hours import SendingRules, SilentDay
from clarion.messaging.models import Identifier
from clarion.messaging.shared import PortfolioWait
from clarion.tenancy import audit
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.records import AccountNote
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import statements
from clarion.testing.factories import make_account

FIRST = dt.date(2027, 1, 1)


def entries(name=None):
    query = select(AuditEntry).order_by(AuditEntry.at, AuditEntry.id)
    found = db.session().scalars(query.execution_options(populate_existing=True)).all()
    mine = [e for e in found if e.actor != COMMAND.label]  # which made the account
    return [e for e in mine if name is None or e.name == name]


def said(name=None):
    return [(e.name, e.row.partition(":")[0], e.changes) for e in entries(name)]


@pytest.fixture
def days(account):
    """Five silent days, whose own entries are not asked for."""
    with db.transaction() as orm:
        rows = [{"id": db.new_id(), "day": FIRST + dt.timedelta(n)} for n in range(5)]
        orm.execute(insert(SilentDay).execution_options(audited=True), rows)
    return [row["id"] for row in rows]


def test_an_update_of_many_is_read_before_and_after(days):
    with db.transaction() as orm:
        early = SilentDay.day < FIRST + dt.timedelta(2)
        orm.execute(update(SilentDay).where(early).values(name="Fair"))

    found = entries()

    assert [e.name for e in found] == ["row.changed"] * 2
    assert {e.row for e in found} == {f"silent_day:{one}" for one in days[:2]}
    assert [e.changes for e in found] == [{"name": ["", "Fair"]}] * 2


def test_what_the_database_works_out_is_read_too(days):
    with db.transaction() as orm:
        orm.execute(
            update(SilentDay)
            .where(SilentDay.id == days[0])
            .values(name=func.upper(literal("fair")))
        )

    assert said() == [("row.changed", "silent_day", {"name": ["", "FAIR"]})]


def test_what_a_statement_leaves_as_it_was_leaves_nothing(days):
    with db.transaction() as orm:
        orm.execute(update(SilentDay).values(name=""))

    assert said() == []


def test_more_than_are_read_leave_one_entry_with_their_number(days, monkeypatch):
    monkeypatch.setattr(audit, "BULK", 4)
    with db.transaction() as orm:
        orm.execute(update(SilentDay).values(name="Fair"))
        orm.execute(update(SilentDay).values(name=func.lower(SilentDay.name)))
        orm.execute(delete(SilentDay))

    assert [(name, row, changes) for name, row, changes in said()] == [
        ("row.changed_many", "silent_day", {"rows": [None, 5], "name": [None, "Fair"]}),
        ("row.changed_many", "silent_day", {"rows": [None, 5], "name": [None, "…"]}),
        ("row.removed_many", "silent_day", {"rows": [None, 5]}),
    ]


def test_the_number_is_there_when_a_statement_returns_rows(days, monkeypatch):
    monkeypatch.setattr(audit, "BULK", 4)
    with db.transaction() as orm:
        gone = orm.scalars(delete(SilentDay).returning(SilentDay.id)).all()

    assert len(gone) == 5
    assert said() == [("row.removed_many", "silent_day", {"rows": [None, 5]})]


def test_removed_rows_are_read_before(days):
    with db.transaction() as orm:
        orm.execute(delete(SilentDay).where(SilentDay.id == days[0]))

    assert said() == [
        ("row.removed", "silent_day", {"day": ["2027-01-01", None], "name": ["", None]})
    ]


def test_an_insert_from_a_select_leaves_its_number(days):
    rows = select(
        func.clarion_new_id(),
        func.clarion_account(),
        cast(SilentDay.day + 365, Date),
        literal("Again"),
    )
    with db.transaction() as orm:
        names = ["id", "account_id", "day", "name"]
        orm.execute(insert(SilentDay).from_select(names, rows, include_defaults=False))

    assert said() == [("row.added_many", "silent_day", {"rows": [None, 5]})]


@pytest.mark.parametrize("returning", [False, True])
@pytest.mark.parametrize("core", [False, True])
def test_an_insert_of_a_list_leaves_its_number(account, returning, core):
    new = insert(db.table_of(SilentDay) if core else SilentDay)
    if returning:
        new = new.returning(db.table_of(SilentDay).c.id if core else SilentDay.id)
    rows = [{"id": db.new_id(), "day": FIRST + dt.timedelta(n)} for n in range(3)]
    with db.transaction() as orm:
        result = orm.execute(new, rows)
        assert not returning or len(result.all()) == 3

    assert said() == [("row.added_many", "silent_day", {"rows": [None, 3]})]


def test_an_insert_of_several_values_leaves_its_number_and_none_nothing(days):
    rows = [{"id": db.new_id(), "day": FIRST + dt.timedelta(n)} for n in range(3, 8)]
    new = upsert(SilentDay).values(rows)
    new = new.on_conflict_do_nothing(index_elements=["account_id", "day"])
    with db.transaction() as orm:
        orm.execute(new)
        orm.execute(new)

    assert said() == [("row.added_many", "silent_day", {"rows": [None, 3]})]


def test_several_rows_by_key_leave_their_number(days):
    with db.transaction() as orm:
        orm.execute(update(SilentDay), [{"id": one, "name": "Fair"} for one in days])

    [(name, row, changes)] = said()

    assert (name, row, changes["rows"]) == ("row.changed_many", "silent_day", [None, 5])
    assert changes["name"] == [None, "…"]


def test_an_insert_or_update_of_one_row_says_which_it_was(account):
    def put(**given):
        row = upsert(SendingRules).values(id=db.new_id(), **given)
        return row.on_conflict_do_update(index_elements=["account_id"], set_=given)

    with db.transaction() as orm:
        orm.execute(put(per_day=2))
        orm.execute(put(per_day=2))
        orm.execute(put(per_day=3))

    added, changed = entries()

    assert (added.name, added.changes["per_day"]) == ("row.added", [None, 2])
    assert (changed.name, changed.changes) == ("row.changed", {"per_day": [2, 3]})
    assert added.row == changed.row


def test_one_row_with_its_key_is_read(account):
    key = db.new_id()
    with db.transaction() as orm:
        orm.execute(insert(SilentDay).values(id=key, day=FIRST, name="Fair"))

    [entry] = entries()

    assert (entry.name, entry.row) == ("row.added", f"silent_day:{key}")
    assert entry.changes["name"] == [None, "Fair"]


def test_a_condition_that_changes_something_is_not_read(days):
    """Reading it would do it twice: it is counted."""
    more = insert(db.table_of(SilentDay)).values(
        id=db.new_id(), day=FIRST + dt.timedelta(90)
    )
    new = more.returning(db.table_of(SilentDay).c.day).cte("new")
    with db.transaction() as orm:
        orm.execute(
            update(SilentDay)
            .where(SilentDay.day < new.c.day)
            .values(name="Fair")
            .execution_options(synchronize_session=False)
        )

    assert said() == [
        ("row.changed_many", "silent_day", {"rows": [None, 5], "name": [None, "Fair"]})
    ]


def test_columns_that_change_by_themselves_cost_no_statement(account):
    with db.transaction() as orm, statements() as seen:
        orm.execute(update(SendingRules).values(updated_at=func.clarion_now()))

    assert len(seen) == 1
    assert said() == []


def test_what_has_no_trail_costs_no_statement(account):
    with (
        db.transaction() as orm,
        statements() as seen,
        pytest.raises(Exception, match="denied"),
    ):
        orm.execute(delete(PortfolioWait))

    assert len(seen) == 1


def test_addresses_are_not_in_the_log(account):
    contact = db.new_id()
    key = db.new_id()
    with db.transaction() as orm:
        orm.execute(
            insert(Identifier).values(
                id=key,
                contact_id=contact,
                kind="phone",
                value="+5511987654321",
                idx=b"i" * 32,
                source="person",
            )
        )
        orm.execute(update(Identifier).values(value="+5511900000000"))
        orm.execute(delete(Identifier))

    added, changed, removed = entries()

    assert added.changes["value"] == [None, "•••"]
    assert changed.changes == {"value": ["•••", "•••"]}
    assert removed.changes["value"] == ["•••", None]
    for entry in entries():
        assert "+55" not in str(entry.changes)
        assert str(contact) not in str(entry.changes)


def test_what_an_account_may_not_see_stands_in_our_own_chain(account):
    with staff_scope(Actor("staff", id="7", name="Ada")), db.transaction() as orm:
        note = AccountNote(account_id=account.id, text="Called twice.", by="Ada")
        orm.add(note)
        orm.flush()
        row = f"account_note:{note.id}"

    assert entries() == []  # of the account
    with staff_scope(Actor("staff", id="7", name="Ada")):
        [entry] = [e for e in entries("row.added") if e.row == row]

    assert entry.account_id is None
    assert entry.changes["text"] == [None, "•••"]


def test_a_statement_of_both_people_and_staff_has_both_names(account, days):
    both = Actor(
        "person", id=str(account.person_id), name="Marina", role="owner",
        behind="staff:7 Ada Okafor", reason="ticket 4711",
    )  # fmt: skip
    with account_scope(account.id, both), db.transaction() as orm:
        orm.execute(update(SilentDay).where(SilentDay.id == days[0]).values(name="Fair"))

    [entry] = entries()

    assert (entry.actor_name, entry.behind) == ("Marina", "staff:7 Ada Okafor")
    assert entry.reason == "ticket 4711"


def test_a_statement_reads_and_logs_its_own_account_only(days):
    other = make_account("Other")
    with account_scope(other.id, other.actor), db.transaction() as orm:
        orm.execute(insert(SilentDay).values(id=db.new_id(), day=FIRST))
        orm.execute(update(SilentDay).values(name="Fair"))
        assert [e.name for e in entries()] == ["row.added", "row.changed"]

    assert said() == []


def test_a_model_that_says_nothing_is_watched():
    class Silent:
        __tablename__ = "never_mapped"

    assert audit._trail(type("Mute", (Base,), {"__abstract__": True})) == Trail()
    assert audit._trail(Silent) is None
