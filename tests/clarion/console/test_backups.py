"""The way back after a restore: two staff, not one."""

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.messaging import epoch
from clarion.messaging.instance import InstanceEpoch
from clarion.testing.console import Browser, make_staff


@pytest.fixture
def bob(web, ada):
    return Browser(web).sign_in(make_staff("Admin"))


def shut():
    with db.apart(epoch.SYSTEM) as orm:
        return orm.scalars(select(InstanceEpoch)).one().released_at is None


def test_a_sound_database_may_send(desk):
    assert "it may send" in desk.get("/console/backups/").text


def test_one_asks_and_another_lets_it_send(desk, bob, after_restore):
    page = desk.get("/console/backups/").text
    assert "This database was restored; nothing is sent" in page
    assert "The database was restored from a backup" in desk.get("/console/").text

    assert desk.post("/console/backups/ask").status_code == 302
    assert (
        "A second staff member has to confirm it here."
        in desk.get("/console/backups/").text
    )
    assert desk.post("/console/backups/release").status_code == 409
    assert shut()

    assert bob.post("/console/backups/release").status_code == 302
    assert not shut()
    assert "it may send" in bob.get("/console/backups/").text


def test_a_wish_can_be_refused(desk, bob, after_restore):
    desk.post("/console/backups/ask")
    bob.post("/console/backups/refuse")

    assert desk.post("/console/backups/release").status_code == 409
    assert shut()
