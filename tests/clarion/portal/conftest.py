"""Visitors of the portal, and the links they are mailed."""

import re

import pytest

from clarion.base import db
from clarion.testing.visitor import Visitor


@pytest.fixture
def visitor(clean):
    """Somebody who is not signed in."""
    return Visitor()


@pytest.fixture
def owner(account):
    """The account's owner, signed in."""
    return Visitor(account)


@pytest.fixture
def address():
    """An e-mail address nobody has."""
    return f"somebody-{db.new_id().hex}@example.org"


@pytest.fixture
def link(mails):
    """Return the path in the last mail to an address."""

    def read(to):
        (path,) = re.findall(
            r"^https?://[^/\s]+(/\S+)\s*$", mails(to)[-1].get_content(), re.MULTILINE
        )
        return path

    return read
