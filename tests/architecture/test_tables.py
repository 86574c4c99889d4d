"""The tenant wall, table by table: what is declared, what PostgreSQL has, what it refuses."""

import random
import re
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Uuid,
    create_engine,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import aliased

from clarion.base import db, migrate, walls
from clarion.base.db import Base
from clarion.messaging.models import Campaign, Identifier, Message, Sender
from clarion.plugging.manager import histories
from clarion.tenancy import audit
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import AccountBase, Preference
from clarion.tenancy.scope import account_scope, anonymous_scope, staff_scope, system_scope
from clarion.testing import catalogue, rows

ROLES = catalogue.ROLES


@pytest.fixture(scope="module")
def root(database):
    """The superuser: sees what no role of ours may."""
    engine = create_engine(database.superuser_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def models(database):
    return dict(sorted(walls.models().items()))


@pytest.fixture
def superuser(root):
    """A connection of the superuser; what it does is taken back."""
    with root.connect() as connection:
        yield connection
        connection.rollback()


def walled(models):
    return {n: m for n, m in models.items() if m.wall.kind != "platform"}


def own(models):
    """Account tables whose rows have the account of the setting by default."""
    return {n: m for n, m in walled(models).items() if issubclass(m, AccountBase)}


@contextmanager
def entered(connection, role, account=None):
    """Enter a role the way the application does, and take everything back."""
    try:
        connection.execute(
            db.ENTER, {"role": role, "account": str(account or ""), "actor": "test"}
        )
        yield connection
    finally:
        connection.rollback()


@contextmanager
def login(url):
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def refused(connection, statement, **values):
    """Run a statement in a savepoint; answer whether PostgreSQL refused it."""
    trial = connection.begin_nested()
    try:
        connection.execute(
            text(statement) if isinstance(statement, str) else statement, values
        )
    except ProgrammingError as error:
        return error.orig.sqlstate == "42501"
    else:
        return False
    finally:
        trial.rollback()


# --- WALL-01, WALL-02, WALL-03, PD-01: the declarations, and the catalogue beside them


def test_every_table_is_somebodys(superuser, models):
    """Ours with a wall, FAB's, or a history of migrations; nothing else."""
    names = superuser.scalars(
        text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ).all()

    strangers = [
        n
        for n in names
        if n not in models and not n.startswith(("ab_", "alembic_version_"))
    ]

    assert strangers == []
    assert set(models) <= set(names)


def test_every_model_declares_its_wall_and_its_columns(models):
    assert [wrong for model in models.values() for wrong in catalogue.declared(model)] == []


def test_the_database_has_the_wall_that_is_declared(superuser, models):
    found = [
        wrong for model in models.values() for wrong in catalogue.shape(superuser, model)
    ]

    assert found == []


def test_the_walk_finds_what_is_wrong(superuser, models):
    """The walk itself: a sentence for each hole."""
    for hole in (
        "ALTER TABLE sender NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE sender ALTER account_id DROP DEFAULT, ALTER account_id DROP NOT NULL",
        "CREATE POLICY hole ON sender TO clarion_app USING (true)",
        "GRANT DELETE ON sender TO clarion_staff",
        "CREATE UNIQUE INDEX ON sender (provider_id) WHERE false",
        "ALTER TABLE sender ADD FOREIGN KEY (channel_id) REFERENCES channel (id)",
    ):
        superuser.execute(text(hole))

    found = "\n".join(catalogue.shape(superuser, models["sender"]))

    for words in (
        "not forced",
        "may be empty",
        "by default",
        "hole",
        "DELETE for clarion_staff",
        "(provider_id) does not start",
        "does not carry the account",
    ):
        assert words in found


def test_customers_have_no_right_on_staff_tables(superuser):
    granted = superuser.execute(
        text(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee IN ('clarion_app', 'PUBLIC', 'clarion')"
            " AND table_schema = 'public' AND table_name LIKE 'ab\\_%'"
        )
    ).all()

    assert granted == []


def test_nobody_else_has_rights(superuser):
    """Neither the login role nor PUBLIC holds a privilege of its own."""
    query = """
        SELECT c.relname, x.grantee::regrole::text, x.privilege_type
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
             aclexplode(c.relacl) x
        WHERE n.nspname = 'public'
          AND (x.grantee = 0 OR x.grantee = 'clarion'::regrole)
    """
    assert superuser.execute(text(query)).all() == []


def test_same_values_in_two_accounts(superuser, models):
    """WALL-03: a key that is taken in one account is free in every other."""
    first = rows.Filler(superuser, rows.account(superuser, "One"), "samesame")
    second = first.twin(rows.account(superuser, "Two"))
    single = {table for table, *_ in catalogue.UNIQUE}

    for name, model in walled(models).items():
        row = first.add(model.__table__)
        assert row["account_id"] == first.account_id
        if name not in single:
            second.add(model.__table__)


GOES_WITH = {
    ("campaigns_draft", "campaign_id"): {"state": "launched"},
    ("access_grant", "window_id"): {"kind": "window"},
}
"""What a check constraint wants beside a column, so that the foreign key is what refuses."""


def test_references_to_another_account_are_refused(superuser, models):
    """WALL-02: one attempt per foreign key between tables of accounts."""
    mine, theirs = (
        rows.Filler(superuser, rows.account(superuser, name), name)
        for name in ("mine", "theirs")
    )
    tried = 0
    for model in own(models).values():
        for key in model.__table__.foreign_key_constraints:
            local = [c.name for c in key.columns if c.name != "account_id"]
            if not local or key.referred_table.name not in walled(models):
                continue
            foreign = theirs.parent(key.referred_table)["id"]
            more = GOES_WITH.get((model.__tablename__, local[-1]), {})
            with pytest.raises(IntegrityError) as error, superuser.begin_nested():
                mine.add(model.__table__, **{local[-1]: foreign}, **more)
            assert error.value.orig.sqlstate == "23503"
            tried += 1
    assert tried > 10


# --- WALL-04: nothing entered, nothing allowed


def test_without_entering_every_table_refuses(database, models):
    with login(database.database_url) as connection:
        for name in models:
            for statement in (
                f"SELECT 1 FROM {name} LIMIT 1",
                f"DELETE FROM {name}",
                f"INSERT INTO {name} DEFAULT VALUES",
            ):
                assert refused(connection, statement), statement


def test_without_an_account_nothing_is_seen_and_nothing_stored(superuser, models):
    """With a row in every table, so that something could have been seen."""
    filler = rows.Filler(superuser, rows.account(superuser, "Seen"), "wall04")
    for model in walled(models).values():
        stored = filler.add(model.__table__)
        with _as_app(superuser, None):
            if not _may(model, "SELECT"):
                continue
            assert _count(superuser, model) == 0
        with _as_app(superuser, filler.account_id):
            assert _count(superuser, model) >= 1
        if not _may(model, "INSERT"):
            continue
        table, trial = model.__table__, superuser.begin_nested()
        superuser.execute(db.ENTER, {"role": "clarion_app", "account": "", "actor": ""})
        values = dict(stored) | {"id": db.new_id()}
        values.pop("seq", None)
        with pytest.raises(ProgrammingError) as error, audit.writing():
            superuser.execute(insert(table).values(values).inline())
        assert error.value.orig.sqlstate == "42501"
        trial.rollback()


def test_an_account_sees_and_stores_its_own_only(superuser, models):
    mine, theirs = (
        rows.Filler(superuser, rows.account(superuser, name), name)
        for name in ("mine", "theirs")
    )
    for model in own(models).values():
        table = model.__table__
        foreign = theirs.add(table)["id"]
        mine.add(table)
        with _as_app(superuser, mine.account_id):
            if _may(model, "SELECT"):
                ids = superuser.scalars(select(table.c.account_id)).all()
                assert set(ids) == {mine.account_id}
            if _may(model, "DELETE") and _may(model, "SELECT"):
                gone = superuser.execute(delete(table).where(table.c.id == foreign))
                assert gone.rowcount == 0
        with _as_app(superuser, mine.account_id):
            if _may(model, "UPDATE") and _may(model, "SELECT"):
                same = update(table).values(account_id=mine.account_id)
                assert superuser.execute(same.where(table.c.id == foreign)).rowcount == 0
        with _as_app(superuser, mine.account_id):
            if _may(model, "UPDATE"):
                with pytest.raises(ProgrammingError), superuser.begin_nested():
                    superuser.execute(update(table).values(account_id=theirs.account_id))


def test_what_machines_and_staff_write_is_walled_too(superuser, models):
    """Tables of accounts that are filled by others: each account reads its own only."""
    mine, theirs = (
        rows.Filler(superuser, rows.account(superuser, name), name)
        for name in ("mine", "theirs")
    )
    others = {n: m for n, m in walled(models).items() if n not in own(models)}
    tried = 0
    for model in others.values():
        table = model.__table__
        mine.add(table)
        theirs.add(table)
        with _as_app(superuser, mine.account_id):
            if _may(model, "SELECT"):
                ids = superuser.scalars(select(table.c.account_id)).all()
                assert set(ids) <= {mine.account_id}
                tried += 1
    assert tried == len([m for m in others.values() if _may(m, "SELECT")]) > 0


def test_content_of_every_plugin_is_tried(models):
    """The walks over tables go over those of the core and of all plugins that have any."""
    content = {n for n, m in models.items() if m.wall.kind == "content"}
    owners = {n.partition("_")[0] for n in content}
    assert {"message", "contacts", "campaigns", "templates"} <= owners
    top = Path(__file__).resolve().parents[2] / "plugins"
    having = {p.parent.name.removeprefix("clarion_") for p in top.glob("*/models.py")}
    assert having <= owners


# --- WALL-15: what policies ask is answered once


def test_policies_ask_once_in_a_statement(superuser, models):
    """In every table: never in a filter, where each row would ask."""
    wrong, tried = [], 0
    for name, model in walled(models).items():
        for role in ("clarion_app", "clarion_staff"):
            reads = role == "clarion_staff" and model.wall.kind == "content"
            if not (reads or _may(model, "SELECT")) or (
                role == "clarion_staff" and not reads
            ):
                continue
            with superuser.begin_nested() as trial:
                entry = {"role": role, "account": str(uuid4()), "actor": "staff:1"}
                superuser.execute(db.ENTER, entry)
                plan = superuser.scalars(
                    text(f"EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM {name}")
                ).all()
                trial.rollback()
            tried += 1
            assert any("InitPlan" in line for line in plan), name
            wrong += [f"{name} as {role}: {line}" for line in _for_each_row(plan)]
    assert wrong == []
    assert tried > 40


def _for_each_row(plan):
    return [line for line in plan if re.search(r"Filter:.*(clarion_\w+\(|_setting)", line)]


def test_a_policy_that_asks_for_each_row_is_found(superuser):
    with superuser.begin_nested() as trial:
        superuser.execute(
            text("ALTER POLICY behind ON identifier USING (clarion_grant_ok())")
        )
        superuser.execute(db.ENTER, {"role": "clarion_app", "account": "", "actor": ""})
        plan = superuser.scalars(text("EXPLAIN (VERBOSE) SELECT id FROM identifier")).all()
        trial.rollback()

    assert _for_each_row(plan)


def test_a_statement_over_many_rows_asks_once(superuser):
    """Counted by the server itself; each of two statements asks once."""
    filler = rows.Filler(superuser, rows.account(superuser, "Many"), "wall15")
    for _n in range(100):
        filler.add(Identifier.__table__)
    superuser.execute(text("SET LOCAL track_functions = 'all'"))
    calls = text(
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_xact_user_functions"
        " WHERE funcname = 'clarion_grant_ok'"
    )
    with _as_app(superuser, filler.account_id):
        before = superuser.scalar(calls)
        counts = [_count(superuser, Identifier) for _n in "12"]
        asked = superuser.scalar(calls) - before

    assert counts == [100, 100]
    assert asked == 2


# --- STAFF-09: two people, and the table itself says so

TWO = {
    "access_grant": "approved_by = staff_id",
    "account_measure": "state = 'done', decided_by = created_by",
    "announcement": "state = 'sent', sent_at = now(), two_people = true, mail = false,"
    " banner = true, ends_at = now() + interval '1 day', asked_by = {a}, approved_by = {b}",
    "campaigns_approval": "approved_at = now(), submitted_by = {a}, approved_by = {b}",
    "instance_epoch": "released_at = now(), asked_by = {a}, released_by = {b}",
    "misuse_flag": "state = 'suspended', decided_at = now(), shown_at = now(), asked_by = {a}, decided_by = {b}",
    "misuse_flag_appeal": "state = 'refused', against = {a}, decided_by = {b}",
    "plugin_switch": "state = 'off', asked_by = {a}, decided_by = {b}",
    "recovery": "first_by = {a}, second_by = {b}",
    "restore_release": "asked_by = {a}, decided_by = {b}",
}
"""What nobody may do alone, as somebody would write it who tried."""
ALONE = {
    "instance_epoch": "released_at = now(), asked_by = NULL, released_by = {b}",
    "announcement": TWO["announcement"].replace("{a}", "''"),
    "misuse_flag": TWO["misuse_flag"].replace("{a}", "''"),
}
"""The same, without saying who asked."""


def test_every_rule_of_two_people_is_tried(superuser):
    """The catalogue's checks that compare two people, and no others."""
    found = superuser.scalars(
        text(
            "SELECT DISTINCT conrelid::regclass::text FROM pg_constraint WHERE contype = 'c'"
            " AND pg_get_constraintdef(oid) ~"
            r" '[a-z_]+\)?(::[a-z]+)? <> \(*[a-z_]+'"
        )
    ).all()

    assert set(found) == set(TWO)


@pytest.mark.parametrize(
    ("table", "given"),
    [*TWO.items(), *ALONE.items()],
    ids=[*TWO, *(f"{n} alone" for n in ALONE)],
)
def test_nobody_is_the_second_person_for_themselves(superuser, models, table, given):
    filler = rows.Filler(superuser, rows.account(superuser, "Two"), "staff09")
    there = superuser.scalar(text(f"SELECT count(*) FROM {table}"))
    if table != "instance_epoch" or not there:  # of that one there is one at most
        filler.add(models[table].__table__)
    same = given.format(a="'staff:1'", b="'staff:1'")

    with pytest.raises(IntegrityError) as error, superuser.begin_nested():
        superuser.execute(text(f"UPDATE {table} SET {same}"))

    assert error.value.orig.sqlstate == "23514"
    rule = error.value.orig.diag.constraint_name
    assert re.search(
        r"_(two|two_people|four_eyes|another_one|somebody_else|two_for_a_suspension)$", rule
    ), rule
    if "{a}" in given:
        two = given.format(a="'staff:1'", b="'staff:2'")
        assert superuser.execute(text(f"UPDATE {table} SET {two}")).rowcount


def test_staff_read_no_content(superuser, models):
    """STAFF-01 without a grant; with one, and with bad ones: tests/clarion/support."""
    content = {n: m for n, m in models.items() if m.wall.kind == "content"}
    filler = rows.Filler(superuser, rows.account(superuser, "Content"), "staff01")
    for model in content.values():
        filler.add(model.__table__)
    with superuser.begin_nested() as trial:
        superuser.execute(
            db.ENTER, {"role": "clarion_staff", "account": "", "actor": "staff:1"}
        )
        for name, model in content.items():
            assert _count(superuser, model) == 0
            assert refused(superuser, f"DELETE FROM {name}"), name
        trial.rollback()
    assert len(content) > 10


@contextmanager
def _as_app(connection, account):
    """Enter inside the superuser's transaction, so that its rows are there to be seen."""
    trial = connection.begin_nested()
    connection.execute(
        db.ENTER, {"role": "clarion_app", "account": str(account or ""), "actor": ""}
    )
    try:
        yield
    finally:
        trial.rollback()


def _may(model, verb):
    return verb in model.wall.app


def _count(connection, model):
    return connection.scalar(select(func.count()).select_from(model.__table__))


# --- WALL-06: the login role is a nobody


def test_roles_hold_no_power(superuser):
    query = """
        SELECT rolname FROM pg_roles WHERE rolname LIKE 'clarion%' AND
          (rolsuper OR rolbypassrls OR rolreplication OR rolcreatedb
           OR (rolcreaterole AND rolname <> 'clarion_owner'))
    """
    inherits = "SELECT rolinherit FROM pg_roles WHERE rolname = 'clarion'"

    assert superuser.scalars(text(query)).all() == []
    assert superuser.scalar(text(inherits)) is False


@pytest.mark.parametrize("role", [None, *ROLES])
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE message ADD COLUMN mine int",
        "ALTER TABLE message OWNER TO clarion",
        "ALTER TABLE message DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE message NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE message DISABLE TRIGGER ALL",
        "CREATE POLICY mine ON message USING (true)",
        "DROP POLICY app ON message",
        "DROP TABLE message",
        "TRUNCATE message",
        "TRUNCATE audit_entry",
        "CREATE TABLE mine (id int)",
        "CREATE FUNCTION clarion_account2() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
        (
            "CREATE OR REPLACE FUNCTION clarion_account() RETURNS uuid LANGUAGE sql"
            " AS 'SELECT NULL::uuid'"
        ),
        "SET LOCAL ROLE clarion_owner",
        "SET LOCAL ROLE postgres",
        "SET LOCAL SESSION AUTHORIZATION clarion_owner",
        "SET LOCAL session_replication_role = replica",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "ALTER ROLE clarion BYPASSRLS",
    ],
)
def test_login_role_cannot(database, role, statement):
    with login(database.database_url) as connection:
        if role:
            connection.execute(db.ENTER, {"role": role, "account": "", "actor": ""})
        with pytest.raises(ProgrammingError) as error:
            connection.execute(text(statement))

    assert error.value.orig.sqlstate == "42501"


def test_rights_cannot_be_given_away(database):
    """PostgreSQL warns and gives nothing: the roles hold no grant option."""
    query = "SELECT has_table_privilege('clarion_staff', 'message', 'UPDATE')"
    with login(database.database_url) as connection, entered(connection, "clarion_app"):
        connection.execute(text("GRANT UPDATE ON message TO PUBLIC"))

        assert connection.scalar(text(query)) is False


def test_row_security_cannot_be_waived(database):
    """Switched off, it refuses instead of showing."""
    with login(database.database_url) as connection, entered(connection, "clarion_app"):
        connection.execute(text("SET LOCAL row_security = off"))
        with pytest.raises(ProgrammingError):
            connection.execute(text("SELECT id FROM identifier"))


# --- WALL-05: what is entered ends with the transaction


def test_nothing_stays_on_a_pooled_connection(database, account):
    with db.transaction() as orm:
        orm.execute(select(Identifier))
    query = "SELECT current_user, current_setting('role'), " + ", ".join(
        f"coalesce(current_setting('app.{name}', true), '')"
        for name in ("account_id", "actor_id", "grant_id", "access_entry")
    )

    for _ in range(db.engine().pool.size() + 1):
        with db.engine().connect() as connection:
            assert connection.execute(text(query)).one() == (
                "clarion",
                "none",
                "",
                "",
                "",
                "",
            )


WHAT = ("read", "write", "fail", "refused", "died", "nested")


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(WHAT)), max_size=25),
)
def test_accounts_that_alternate_on_a_small_pool_never_meet(three, seed, steps):
    """Threads share two connections; transactions fail, are refused, lose their server."""
    chance, met, lock = random.Random(seed), [], threading.Lock()
    orders = [chance.sample(steps, len(steps)) for _ in range(3)]

    def run(mine):
        for who, what in mine:
            try:
                _step(three[who], what, met, lock)
            except Exception as error:
                with lock:
                    met.append(repr(error))

    threads = [threading.Thread(target=run, args=(order,)) for order in orders]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert met == []


class Broke(Exception):
    pass


def _step(account, what, met, lock):
    with (
        account_scope(account, COMMAND),
        suppress(Broke, DBAPIError),
        db.transaction() as orm,
    ):
        if what in ("write", "fail"):
            orm.add(Preference(plugin="canary", name=db.new_id().hex, value=str(account)))
        seen = set(orm.scalars(select(Preference.__table__.c.value)).all())
        with lock:
            met += [f"{account} saw {one}" for one in seen - {str(account)}]
        if what == "fail":
            raise Broke
        if what == "refused":
            orm.execute(text("SELECT * FROM one_time_token"))
        if what == "died":
            orm.connection().invalidate()
            raise Broke
        if what == "nested":
            with db.apart(db.Entry("clarion_system")) as other:
                other.execute(select(Sender.id))
            again = orm.scalar(text("SELECT current_setting('app.account_id')"))
            if again != str(account):
                met.append(f"{account} became {again}")


@pytest.fixture
def three(clean, monkeypatch):
    """Three accounts with a canary each, and a pool of two connections."""
    from clarion.testing.factories import make_account

    made = [make_account(name).id for name in ("One", "Two", "Three")]
    for one in made:
        with account_scope(one, COMMAND), db.transaction() as orm:
            orm.add(Preference(plugin="canary", name="first", value=str(one)))
    small = create_engine(db.settings().database_url, pool_size=2, max_overflow=4)
    monkeypatch.setattr(db, "engine", lambda: small)
    yield made
    small.dispose()


# --- WALL-09: the second wall, with the first one down


@pytest.fixture(scope="module")
def no_first_wall(database):
    """A database of its own with row level security off; this process works on it."""
    from clarion.base import services

    with pytest.MonkeyPatch.context() as patch:
        urls = services.fresh_database(database, "clarion_second_wall")
        _migrated(urls)
        engine = create_engine(urls.superuser_url)
        with engine.begin() as connection:
            for name in walls.models():
                connection.execute(text(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"))
        scratch = create_engine(urls.database_url)
        patch.setattr(db, "engine", lambda: scratch)
        yield engine
        db.session.remove()
    scratch.dispose()
    engine.dispose()
    services.drop_database(database, "clarion_second_wall")


@pytest.fixture
def two(no_first_wall):
    """Mine and theirs: a sender each, ids of both; entered as mine."""
    with no_first_wall.begin() as connection:
        mine, theirs = (
            rows.Filler(connection, rows.account(connection, name), name)
            for name in ("mine", "theirs")
        )
        pair = mine.add(Sender.__table__), theirs.add(Sender.__table__)
        for filler in (mine, theirs):
            filler.add(Campaign.__table__)
            filler.add(Message.__table__)
            filler.add(Preference.__table__)
    with account_scope(mine.account_id, COMMAND):
        yield pair


def test_first_wall_is_really_down(two):
    """Otherwise the tests below would prove nothing: a Core table shows everything."""
    with db.transaction() as orm:
        seen = set(orm.scalars(select(Sender.__table__.c.id)).all())

    assert {row["id"] for row in two} <= seen


S2 = aliased(Sender)
SHAPES = {
    "select": lambda: select(Sender),
    "columns": lambda: select(Sender.id, Sender.name),
    "aliased": lambda: select(S2),
    "subquery": lambda: select(select(Sender.id).subquery()),
    "scalar subquery": lambda: select(select(func.max(Sender.name)).scalar_subquery()),
    "union": lambda: union_all(select(Sender.id), select(S2.id)),
    "join": lambda: select(Message.id).join(Sender, Sender.id == Message.sender_id),
    "in": lambda: select(Campaign.id).where(Campaign.sender_id.in_(select(Sender.id))),
    "cte": lambda: select(select(Sender.id).cte("chosen")),
    "order and limit": lambda: select(Sender.id).order_by(Sender.id.desc()).limit(9),
}


@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES.keys())
def test_orm_shows_own_rows_only(two, make):
    _mine, theirs = two
    with db.transaction() as orm:
        found = [str(v) for row in orm.execute(make()) for v in _flat(row)]

    assert found
    assert str(theirs["id"]) not in found
    assert not [v for v in found if "theirs" in v]


def test_orm_counts_own_rows_only(two):
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Sender)) == 1
        assert orm.scalar(select(func.count(Sender.id))) == 1


def test_orm_exists_and_get_find_own_rows_only(two):
    mine, theirs = two
    with db.transaction() as orm:
        for row, there in ((mine, True), (theirs, False)):
            found = select(Sender.id).where(Sender.id == row["id"])
            assert orm.scalar(select(found.exists())) is there
            assert (
                orm.scalar(select(exists(Sender.id).where(Sender.id == row["id"]))) is there
            )
            assert (orm.get(Sender, row["id"]) is not None) is there


UNCOVERED = {
    "exists": lambda: select(exists().where(S2.id.is_not(None), S2.name == "theirs")),
    "count": lambda: select(func.count()).where(Sender.name == "theirs"),
}


@pytest.mark.parametrize("make", UNCOVERED.values(), ids=UNCOVERED.keys())
def test_shapes_the_second_wall_does_not_see(two, make):
    """SQLAlchemy adds criteria to what is selected from, not to what WHERE alone names.

    Row level security holds here too; the lint rule `second-wall` refuses the shapes. When
    this fails SQLAlchemy has learnt it, and the rule may go.
    """
    with db.transaction() as orm:
        assert orm.scalar(make())


def test_orm_changes_own_rows_only(two, no_first_wall):
    _mine, theirs = two
    with db.transaction() as orm:
        changed = orm.execute(update(Sender).values(name="changed")).rowcount
        theirs_changed = orm.execute(
            update(Sender).where(Sender.id == theirs["id"]).values(name="changed")
        ).rowcount
        gone = orm.execute(delete(Preference).execution_options(audited=True)).rowcount

    assert (changed, theirs_changed, gone) == (1, 0, 1)
    with no_first_wall.connect() as connection:
        table = Sender.__table__
        left = connection.scalar(select(table.c.name).where(table.c.id == theirs["id"]))
        kept = connection.scalars(select(Preference.__table__.c.account_id)).all()
    assert left != "changed"
    assert theirs["account_id"] in kept


def test_without_account_the_orm_shows_nothing(two):
    with anonymous_scope(), db.transaction() as orm:
        assert orm.scalars(select(Sender)).all() == []
        assert orm.get(Sender, two[0]["id"]) is None


def test_what_one_context_loaded_is_not_in_another(two):
    """WALL-10: each context has an ORM session of its own."""
    mine, _theirs = two
    loaded = db.session().get(Sender, mine["id"])
    other = db.new_id()

    with account_scope(other, COMMAND):
        assert db.session().get(Sender, mine["id"]) is None

    assert loaded is not None


def test_staff_and_system_read_across_accounts(two):
    """Their wall is the role and what it was granted; the criterion is not for them."""
    for scope in (staff_scope, system_scope):
        with scope(COMMAND), db.transaction() as orm:
            assert len(set(orm.scalars(select(Sender.account_id)).all())) >= 2


def _flat(row):
    for value in row:
        yield from (value.id, value.name) if isinstance(value, Sender) else (value,)


# --- the models are the migrations


def _migrated(urls):
    engine = create_engine(urls.owner_url)
    migrate.Histories(histories()).upgrade(engine)
    engine.dispose()


def _owners():
    return ["clarion", *histories()]


def test_autogenerate_finds_nothing(database):
    engine = migrate.owner_engine()
    try:
        with engine.connect() as connection:
            for owner in _owners():
                command.check(migrate.Histories(histories()).config(owner, connection))
    finally:
        engine.dispose()


def test_tables_made_from_the_models_are_the_migrated_ones(database, root):
    """What autogenerate does not compare: defaults, checks, deferral, partial indexes."""
    from clarion.base import services

    urls = services.fresh_database(database, "clarion_from_models")
    engine = create_engine(urls.superuser_url)
    try:
        with engine.begin() as connection:
            connection.execute(text(walls.PREAMBLE))
            connection.execute(text("CREATE EXTENSION pg_trgm"))
            Base.metadata.create_all(connection)
            made = _anatomy(connection)
        with root.connect() as connection:
            migrated = _anatomy(connection)
    finally:
        engine.dispose()
        services.drop_database(database, "clarion_from_models")

    assert sorted(made - migrated) == []
    assert sorted(migrated - made) == []


def _anatomy(connection):
    """Columns, constraints and indexes of our tables, as PostgreSQL words them.

    FAB's own are made by FAB's migrations in its own way: ids that the client draws.
    """
    ours = "c.relnamespace = 'public'::regnamespace AND c.relname !~ '^(alembic|ab)_'"
    parts = (
        (
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,"
            " a.attidentity::text, coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attcollation::text"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
            " LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)"
            f" WHERE {ours} AND c.relkind = 'r' AND NOT a.attisdropped"
        ),
        (
            "SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)"
            f" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE {ours}"
        ),
        (
            "SELECT c.relname, pg_get_indexdef(i.indexrelid)"
            f" FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE {ours}"
        ),
    )
    return {tuple(row) for part in parts for row in connection.execute(text(part))}


def test_every_history_goes_down_and_up_again(database):
    """A plugin is removed with its tables, and comes back; the core stays."""
    from clarion.base import services

    urls = services.fresh_database(database, "clarion_down")
    _migrated(urls)
    engine, h = create_engine(urls.owner_url), migrate.Histories(histories())
    try:
        for owner in reversed(list(histories())):
            h.downgrade(engine, owner)
        with engine.connect() as connection:
            assert set(h.pending(connection)) == set(histories())
            left = connection.scalars(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            ).all()
        h.upgrade(engine)
        with engine.connect() as connection:
            assert list(h.pending(connection)) == []
    finally:
        engine.dispose()
        services.drop_database(database, "clarion_down")

    for owner in histories():
        assert [t for t in left if t.startswith(f"{owner}_")] == []


def test_ids_are_uuids(models):
    """A row has its name before it is stored, and nobody can count rows by it."""
    wrong = [
        name
        for name, model in walled(models).items()
        if not isinstance(model.__table__.c.id.type, Uuid)
    ]

    assert wrong == []
