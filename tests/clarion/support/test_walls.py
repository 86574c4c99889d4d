"""What the database itself says about content: a live grant and a committed entry, or nothing."""

import pytest
from sqlalchemy import create_engine, func, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from clarion.base import db, walls
from clarion.support import entries, grants, windows
from clarion.support.models import AccessEntry, AccessGrant, SupportWindow
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing import rows
from clarion.testing.console import acting
from clarion.testing.factories import make_account


def content():
    """Every table of content, once the plugins are loaded."""
    found = {
        name: one for name, one in walls.models().items() if one.wall.kind == "content"
    }
    assert "contacts_contact" in found
    return found


@pytest.fixture
def root(database):
    engine = create_engine(database.superuser_url)
    yield engine
    engine.dispose()


@pytest.fixture
def full(root, tenant):
    """The account has a row in each table of content."""
    with root.begin() as connection:
        filler = rows.Filler(connection, tenant.id, "looked")
        for model in content().values():
            filler.add(model.__table__)


def entry(colleague, grant_id, tenant):
    with staff_scope(acting(colleague)), db.transaction():
        held = entries.Held(grant_id, tenant.id, colleague.id, delayed=False)
        return entries.note(held, "screen", "/a/page")


def seen(colleague, access_id):
    """How many rows of each table of content raw SQL shows this staff member."""
    with db.apart(
        db.Entry("clarion_staff", None, f"staff:{colleague.id}", access_id=access_id)
    ) as orm:
        return {
            name: orm.scalar(text(f"SELECT count(*) FROM {name}")) for name in content()
        }


def sql(root, statement, **values):
    with root.begin() as connection:
        connection.execute(text(statement), values)


def test_a_live_grant_and_a_committed_entry_open_content(full, tenant, ada, let_in):
    grant = let_in(ada)

    found = seen(ada, entry(ada, grant, tenant))

    assert min(found.values()) >= 1
    assert len(found) > 10


STALE = {
    "expired": "UPDATE access_grant SET starts_at = starts_at - interval '2 hours',"
    " ends_at = ends_at - interval '2 hours' WHERE id = :id",
    "revoked": "UPDATE access_grant SET revoked_at = now() WHERE id = :id",
    "future": "UPDATE access_grant SET starts_at = starts_at + interval '1 hour',"
    " ends_at = ends_at + interval '1 hour' WHERE id = :id",
    "not begun": "UPDATE access_grant SET starts_at = NULL, ends_at = NULL WHERE id = :id",
    "window closed": "UPDATE support_window SET revoked_at = now() WHERE id ="
    " (SELECT window_id FROM access_grant WHERE id = :id)",
    "more than the window": "UPDATE access_grant SET scope = 'act' WHERE id = :id",
    "entry a minute old": "UPDATE access_entry SET created_at = created_at"
    " - interval '61 seconds' WHERE grant_id = :id",
}


def test_nothing_else_opens_content(full, root, tenant, ada, bob, let_in):
    """STAFF-01, STAFF-10: in raw SQL, for every table; each state is put right again."""
    grant = let_in(ada)
    good = entry(ada, grant, tenant)
    other = make_account("Loja Norte")
    assert sum(seen(ada, good).values()) > 0

    shown = {"no entry": seen(ada, None), "other staff": seen(bob, good)}
    for name, statement in STALE.items():
        with root.connect() as connection:  # seen by the same connection, then taken back
            connection.execute(text(statement), {"id": grant})
            given = {"role": "clarion_staff", "account": "", "actor": f"staff:{ada.id}"}
            connection.execute(db.ENTER, given)
            connection.execute(db.UNDER, {"grant": "", "access": str(good)})
            shown[name] = {
                table: connection.scalar(text(f"SELECT count(*) FROM {table}"))
                for table in content()
            }
            connection.rollback()
    with db.apart(
        db.Entry("clarion_staff", None, f"staff:{ada.id}", access_id=good)
    ) as orm:
        accounts = {
            one for name in content()
            for one in orm.scalars(text(f"SELECT DISTINCT account_id FROM {name}"))
        }  # fmt: skip

    assert {name: sum(found.values()) for name, found in shown.items()} == dict.fromkeys(
        shown, 0
    )
    assert accounts == {tenant.id}
    assert other.id not in accounts
    assert sum(seen(ada, good).values()) > 0


def test_an_entry_that_is_not_committed_opens_nothing(full, tenant, ada, let_in):
    """Not even to the transaction that wrote it."""
    grant = let_in(ada)
    key = db.new_id()
    with db.apart(db.Entry("clarion_staff", None, f"staff:{ada.id}", access_id=key)) as orm:
        orm.execute(
            text(
                "INSERT INTO access_entry (id, account_id, grant_id, staff_id, deed, what)"
                " VALUES (:id, :account, :grant, :staff, 'screen', 'x')"
            ),
            {"id": key, "account": tenant.id, "grant": grant, "staff": ada.id},
        )
        inside = orm.scalar(text("SELECT count(*) FROM contacts_contact"))

    assert inside == 0
    assert seen(ada, key)["contacts_contact"] > 0


def test_an_entry_stays_when_the_reading_is_taken_back(tenant, ada, let_in):
    let_in(ada)
    with (
        staff_scope(acting(ada)),
        pytest.raises(ZeroDivisionError),
        db.transaction(),
        entries.looking(tenant.id, "/contacts"),
    ):
        raise ZeroDivisionError

    with account_scope(tenant.id, tenant.actor):
        m = AccessEntry
        assert db.session().scalar(select(func.count()).where(m.what == "/contacts")) == 1


def test_staff_change_nothing_and_forge_no_entry(full, tenant, ada, let_in):
    good = entry(ada, let_in(ada), tenant)
    as_ada = db.Entry("clarion_staff", None, f"staff:{ada.id}", access_id=good)
    for statement in (
        "UPDATE contacts_contact SET name = 'x'",
        "DELETE FROM contacts_contact",
        "UPDATE access_entry SET what = 'nothing'",
        "DELETE FROM access_entry",
        "DELETE FROM access_grant",
        "UPDATE access_grant SET told_at = told_at + interval '1 day'",
        "UPDATE access_grant SET allowed_by = 'the owner'",
        "INSERT INTO access_entry (id, written_in) VALUES (gen_random_uuid(), 1)",
    ):
        with pytest.raises(DBAPIError) as error, db.apart(as_ada) as orm:
            orm.execute(text(statement))
        assert error.value.orig.sqlstate == "42501", statement


def behind(tenant, grant_id, access_id, *, read_only=False):
    return db.Entry(
        "clarion_app",
        tenant.id,
        f"person:{tenant.person_id}",
        grant_id=grant_id,
        access_id=access_id,
        read_only=read_only,
    )


def test_behind_a_person_content_closes_in_the_instant(full, root, tenant, ada, let_in):
    """STAFF-04: the grant ends between two statements of one transaction."""
    grant = let_in(ada)
    good = entry(ada, grant, tenant)
    count = text("SELECT count(*) FROM contacts_contact")
    with db.apart(behind(tenant, grant, good)) as orm:
        before = orm.scalar(count)
        sql(root, "UPDATE access_grant SET revoked_at = now() WHERE id = :id", id=grant)
        after = orm.scalar(count)
        changed = orm.execute(text("UPDATE contacts_contact SET name = 'x'")).rowcount
    with db.apart(behind(tenant, grant, None)) as orm:
        without = orm.scalar(count)

    assert before > 0
    assert (after, changed, without) == (0, 0, 0)


def test_who_may_look_only_cannot_write(full, tenant, ada, let_in):
    grant = let_in(ada)
    good = entry(ada, grant, tenant)
    for statement in (
        "UPDATE contacts_contact SET name = 'x'",
        "SET transaction_read_only = off",
    ):
        with (
            pytest.raises(DBAPIError),
            db.apart(behind(tenant, grant, good, read_only=True)) as orm,
        ):
            assert orm.scalar(text("SELECT count(*) FROM contacts_contact")) > 0
            orm.execute(text(statement))


# --- what a grant may be: the database refuses the rest

PLAIN = {
    "purpose": "support", "scope": "view", "kind": "request", "reason": "why", "ticket": "T-1",
}  # fmt: skip
BEGUN = {"starts_at": "now()", "ends_at": "now() + interval '15 minutes'"}


@pytest.mark.parametrize(
    "given",
    [
        {"purpose": "curiosity"},
        {"scope": "look"},
        {"minutes": 45},
        {"minutes": 240},
        {"kind": "emergency", "minutes": 241},
        {"kind": "emergency", "minutes": 240, "scope": "act"},
        {"reason": ""},
        {"ticket": ""},
        {"kind": "window"},
        BEGUN,
        {"kind": "emergency", **BEGUN},
        {"kind": "emergency", "approved_by": "same", **BEGUN},
        {
            "allowed_by": "Marina",
            "starts_at": "now()",
            "ends_at": "now() + interval '31 minutes'",
        },
        {"told_at": "now() + interval '1 day'"},
        {"kind": "emergency", "told_at": "now() + interval '1 day'"},
        {
            "kind": "emergency",
            "purpose": "misuse_investigation",
            "told_at": "now() + interval '15 days'",
        },
    ],
    ids=str,
)
def test_the_database_refuses_other_grants(root, tenant, ada, given):
    values = {**PLAIN, **given}
    if values.get("approved_by") == "same":
        values["approved_by"] = ada.id
    moments = {k: v for k, v in values.items() if k.endswith("_at")}
    plain = {k: v for k, v in values.items() if k not in moments}
    plain |= {
        "account_id": tenant.id,
        "staff_id": ada.id,
        "staff_name": "Ada",
        "id": db.new_id(),
    }
    names = [*plain, *moments]
    places = [*(f":{name}" for name in plain), *moments.values()]
    statement = (
        f"INSERT INTO access_grant ({', '.join(names)}) VALUES ({', '.join(places)})"
    )

    with pytest.raises(IntegrityError) as error:
        sql(root, statement, **plain)

    assert error.value.orig.sqlstate == "23514"


def test_what_is_told_later_is_not_seen_before(root, tenant, ada, bob, later):
    """ACC-03: an investigation publishes itself, to the second, by the database's clock."""
    with staff_scope(acting(ada)), db.transaction():
        grant = grants.ask(
            tenant.id,
            grants.Asked("misuse_investigation", "M-1", "bait", 60, "view", True, 14),
        )
    with staff_scope(acting(bob)), db.transaction():
        grants.approve(grant.id)
    shown = select(func.count()).select_from(AccessGrant)
    noted = select(func.count()).select_from(AccessEntry)

    def visible():
        with account_scope(tenant.id, tenant.actor):
            return db.session().scalar(shown), db.session().scalar(noted)

    now = visible()
    later.forward(days=13, hours=23, minutes=59)
    almost = visible()
    later.forward(minutes=2)
    due = visible()

    assert (now, almost, due) == ((0, 0), (0, 0), (1, 3))


def test_closing_the_window_ends_what_goes_on(tenant, ada, let_in):
    grant = let_in(ada)
    with account_scope(tenant.id, tenant.actor), db.transaction() as orm:
        windows.close_window(orm.scalars(select(SupportWindow.id)).one())

    with staff_scope(acting(ada)), db.transaction() as orm:
        assert entries.held(tenant.id) is None
        assert orm.get(AccessGrant, grant).revoked_by == "Marina Lopes"
        assert orm.execute(update(AccessGrant).values(revoked_at=None)).rowcount
        assert entries.held(tenant.id) is None  # the window itself is closed
