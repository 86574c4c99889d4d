"""The console as it is served, and staff with every kind of rights."""

import pytest
from tests.clarion.messaging.conftest import make_order  # noqa: F401 -- a fixture

from clarion.testing.console import Browser, make_staff


@pytest.fixture(scope="session")
def web(database):
    """Portal and console, joined and wrapped as in production."""
    from clarion.web import staff
    from clarion.web.app import joined, wrapped

    staff.sync()
    return wrapped(joined())


@pytest.fixture(scope="session")
def console(database):
    """The console alone, to walk its routes."""
    from clarion.web.console_app import create_console

    return create_console()


@pytest.fixture
def ada(web, clean):
    """Somebody who may everything."""
    return make_staff("Admin")


@pytest.fixture
def desk(web, ada):
    """A browser in which Ada is signed in."""
    return Browser(web).sign_in(ada)
