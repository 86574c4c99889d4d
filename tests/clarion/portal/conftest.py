"""Visitors of the portal, and the mails they get."""

import email
import email.policy
import re

import pytest

from clarion.base import db
from clarion.base.settings import settings
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
def mails(run_jobs):
    """Run what waits and return the mails an address got, oldest first."""

    def read(to):
        run_jobs()
        found = []
        for path in settings().mail_folder.glob("*.eml"):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if to in str(mail["To"]):
                found.append((path.stat().st_mtime_ns, mail))
        return [mail for _at, mail in sorted(found, key=lambda pair: pair[0])]

    return read


@pytest.fixture
def link(mails):
    """Return the path in the last mail to an address."""

    def read(to):
        (path,) = re.findall(
            r"^https?://[^/\s]+(/\S+)\s*$", mails(to)[-1].get_content(), re.MULTILINE
        )
        return path

    return read
