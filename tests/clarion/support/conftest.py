"""An account with content, staff who may be let in, and both applications."""

import re
from urllib.parse import parse_qs, urlsplit

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


TICKET = re.compile(r'href="[^"]*(/support/enter/[^"]+)"')


@pytest.fixture
def ticket(tenant):
    """Ask for a ticket in a colleague's browser; answers the path it leads to."""

    def make(browser, person_id=None):
        page = f"/console/access/accounts/{tenant.id}"
        answer = browser.post(
            f"{page}/view-as", page, person_id=str(person_id or tenant.person_id)
        )
        return TICKET.search(answer.text)[1]

    return make


def vouched(browser, path):
    """Follow a ticket over the console and back, as a browser does; answers the last page."""
    answer = browser.get(path)
    while answer.status_code == 303:
        place = urlsplit(answer.headers["Location"])
        path = f"{place.path}?{place.query}"
        answer = browser.get(path)
    return answer, path


def go_in(browser, path):
    """Follow a ticket, and press the button; answers what the portal says."""
    page, where = vouched(browser, path)
    assert page.status_code == 200, page.text
    proof = parse_qs(urlsplit(where).query)["proof"][0]
    return browser.post(path, where, proof=proof)
