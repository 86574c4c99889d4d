"""An account with content, staff who may be let in, and both applications."""

import pytest

from clarion.base import db
from clarion.support import grants, windows
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import Browser, acting, make_staff
from clarion.testing.factories import make_account


@pytest.fixture(scope="session")
def web(database):
    """Portal and console, joined and wrapped as in production."""
    from clarion.web import staff
    from clarion.web.app import joined, wrapped

    staff.sync()
    return wrapped(joined())


@pytest.fixture
def tenant(clean):
    return make_account("Casa Verde")


@pytest.fixture
def ada(web, clean):
    return make_staff("Admin", name="Ada Okafor")


@pytest.fixture
def bob(web, clean):
    return make_staff("Admin", name="Bob Lima")


@pytest.fixture
def desk(web, ada):
    return Browser(web).sign_in(ada)


@pytest.fixture
def let_in(tenant):
    """Open a window, and a grant of somebody inside it; answers the grant's id."""

    def make(colleague, *, scope="view", minutes=30):
        with account_scope(tenant.id, tenant.actor), db.transaction():
            windows.open_window(1, scope)
        with staff_scope(acting(colleague)), db.transaction():
            asked = grants.Asked("support", "T-4821", "import fails", minutes, scope)
            return grants.ask(tenant.id, asked).id

    return make
