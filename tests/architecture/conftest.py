"""Two accounts with everything in them, and everybody who has no business there: made once."""

from functools import partial
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, select, text, update
from tests.architecture.attack import ROLES, Caller, openers
from tests.architecture.world import (
    DEVICES,
    SYSTEM,
    Browser,
    StaffBrowser,
    demote,
    make_world,
    network,
)

from clarion.base import db
from clarion.support import acting, grants, windows
from clarion.tenancy import factors
from clarion.tenancy.models import ConsoleSession, PortalSession
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.authenticator import registered
from clarion.testing.console import acting as acting_as
from clarion.testing.console import make_role, make_staff
from clarion.testing.factories import make_account
from clarion.web.staff import sync


def lived_in(database, canary):
    """A world whose owner is signed in somewhere, and has a passkey."""
    world = make_world(database, canary)
    browser, subject = Browser().sign_in(world.tenant), f"p:{world.person_id}"
    assert browser.get("/").status_code == 200
    with db.apart(SYSTEM) as orm:
        query = select(PortalSession.id).where(PortalSession.subject == subject)
        world.ids["session_id"] = orm.scalars(query).first()
    DEVICES[world.person_id] = registered(subject, world.tenant.email)
    world.ids["factor_id"] = factors.of(subject).passkeys[0].id
    return world


@pytest.fixture(scope="session")
def worlds(database):
    """The victim, and a bystander whom staff may do something to."""
    return SimpleNamespace(
        victim=lived_in(database, "zqvictim"), bystander=lived_in(database, "zqbystand")
    )


@pytest.fixture(scope="session")
def host(database):
    """An account that has let support in, and whose own people try what they may not."""
    return lived_in(database, "zqhost")


@pytest.fixture(scope="session")
def root(database):
    engine = create_engine(database.superuser_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def callers(database, worlds, host):
    """Everybody who has no business in the victim's account."""

    def member(role):
        tenant = make_account("Mallory and friends")
        if role != "owner":
            demote(database, tenant, role)
        return Browser(network()).sign_in(tenant)

    def ended():
        mine = Browser(network()).sign_in(worlds.victim.tenant)
        kept = mine.client.get_cookie("clarion", domain="127.0.0.1").value
        assert mine.ask("POST", "/sign-out").status_code in (302, 303)
        again = Browser(mine.address)
        again.client.set_cookie("clarion", kept, domain="127.0.0.1")
        return again

    def staff(*names):
        colleague = make_staff(*names)
        return StaffBrowser(network()).sign_in(colleague)

    def too_old(browser, model):
        """Let the newest session of its kind be one that nobody has used for a month."""
        newest = select(model.id).order_by(model.created_at.desc()).limit(1)
        month = text("interval '31 days'")
        with db.apart(SYSTEM) as orm:
            row = orm.get(model, orm.scalar(newest))
            then = {
                "seen_at": model.seen_at - month,
                "created_at": model.created_at - month,
            }
            orm.execute(update(model).where(model.id == row.id).values(then))
        return browser

    def expired():
        return too_old(Browser(network()).sign_in(worlds.victim.tenant), PortalSession)

    def staff_expired():
        return too_old(staff("Admin"), ConsoleSession)

    def let_in(world_tenant, scope, role="Admin"):
        """Staff with a live grant in an account; answers who, and the grant."""
        colleague = make_staff(role)
        with account_scope(world_tenant.id, world_tenant.actor), db.transaction():
            windows.open_window(1, scope)
        with staff_scope(acting_as(colleague)), db.transaction():
            asked = grants.Asked("support", "T-1", "looks", 30, scope)
            return colleague, grants.ask(world_tenant.id, asked).id

    def with_grant(tenant=None, scope="act", role="Admin"):
        tenant = tenant or make_account("Hosts of support")
        colleague, _grant_id = let_in(tenant, scope, role)
        return StaffBrowser(network()).sign_in(colleague)

    def behind(scope, *, over=False, tenant=None, role="Admin"):
        """Staff in the portal as a person of an account, another one than the victim's."""
        guests = tenant or make_account("Mallory's guests")
        colleague, grant_id = let_in(guests, scope, role)
        with staff_scope(acting_as(colleague)), db.transaction():
            ticket = acting.ticket(guests.id, guests.person_id, "their browser")
        mine, path = Browser(network()), f"/support/enter/{ticket}"
        word = mine.get(path).headers["Location"].rpartition("/")[2]
        with staff_scope(acting_as(colleague)), db.transaction():
            proof = acting.vouch(ticket, word, "their browser")
        answer = mine.ask("POST", path, form={"proof": proof})
        assert answer.status_code == 303, answer.text
        mine._token = None
        assert mine.get("/").status_code == 200
        assert mine.token
        if over:
            with account_scope(guests.id, guests.actor), db.transaction():
                windows.revoke(grant_id)
        return mine

    sync()
    staff("Admin")  # somebody must always be left who may manage staff

    return {
        "anonymous": Caller(lambda: Browser(network())),
        "member": Caller(lambda: member("member")),
        "owner": Caller(lambda: member("owner")),
        "manager": Caller(lambda: member("manager")),
        "ended session": Caller(ended),
        "expired session": Caller(expired),
        "expired staff session": Caller(staff_expired),
        "staff with a grant elsewhere": Caller(with_grant),
        "view as, to look": Caller(lambda: behind("view")),
        "view as, to act": Caller(lambda: behind("act")),
        "view as, over": Caller(lambda: behind("view", over=True)),
        "staff": Caller(lambda: staff("Admin")),
        "staff without permissions": Caller(lambda: staff(make_role())),
        **{
            f"{scope} as {role}": Caller(
                partial(behind, scope, tenant=host.tenant, role=role)
            )
            for scope in ("view", "act")
            for role in openers()
        },
        **{
            f"{scope} by {role}": Caller(partial(with_grant, host.tenant, scope, role))
            for scope in ("view", "act")
            for role in openers()
        },
    } | {f"role {name}": Caller(partial(staff, name)) for name in ROLES}
