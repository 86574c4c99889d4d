"""The account's log on screen: filtered, compared, taken out, proven; nobody else's."""

import csv
import datetime as dt
import io
import json
import re

import pytest
from sqlalchemy import create_engine, insert, text

from clarion.base import db
from clarion.tenancy import audit, chain, verifier
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import Account, AuditEntry
from clarion.tenancy.scope import account_scope, system_scope
from clarion.testing.console import statements
from clarion.testing.visitor import Visitor


@pytest.fixture
def owner(account):
    return Visitor(account)


def deed(account, name, **facts):
    with account_scope(account.id, account.actor), db.transaction():
        audit.record(name, **facts)


def taken(visitor, path, **fields):
    visitor.get("/activity")
    answer = visitor.post(path, **fields)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def many(account, count):
    """As many entries as a year leaves, without their chain."""
    when = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    rows = [
        {
            "id": db.new_id(), "account_id": account.id, "at": when + dt.timedelta(seconds=n),
            "name": "portal.thing.done", "row": None, "actor": "job", "actor_name": "",
            "address": "", "request_id": "", "changes": {}, "mac": b"x",
        }
        for n in range(count)
    ]  # fmt: skip
    with system_scope(COMMAND), db.transaction() as orm, audit.writing():
        orm.connection().execute(insert(db.table_of(AuditEntry)), rows)


FILTERS = {
    "what": ("name=campaigns.", "Campaign"),
    "who": ("actor=marina", "Marina"),
    "since": ("since=2026-01-01", "Changed settings"),
    "rows": ("name=row.", "Account changed"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_keep_what_fits(owner, account, name):
    query, shown = FILTERS[name]
    deed(account, "campaigns.campaign.created")
    deed(account, "portal.settings.changed")
    with account_scope(account.id, account.actor), db.transaction() as orm:
        orm.get_one(Account, account.id).country = "BR"

    assert shown in owner.get(f"/activity?{query}").text
    page = owner.get("/activity?actor=nobody-like-that&until=2020-01-01").text
    assert "Nothing matches" in page
    assert owner.get("/activity?since=tomorrow").status_code == 422


def test_before_and_after_stand_side_by_side(owner, account):
    with account_scope(account.id, account.actor), db.transaction() as orm:
        orm.get_one(Account, account.id).country = "BR"
    with account_scope(account.id, account.actor), db.transaction() as orm:
        orm.get_one(Account, account.id).country = "IN"

    page = owner.get("/activity?all=1").text

    assert re.search(r"<del>BR</del></dd><dd class=\"new\">.*?IN", page)


def test_what_is_shown_is_taken_out_and_that_is_in_the_log(owner, account, other_account):
    deed(account, "portal.settings.changed", note="=cmd()")
    deed(other_account, "portal.settings.changed", note="theirs")

    table = taken(owner, "/activity/export", form="csv", name="portal.settings")
    lines = taken(owner, "/activity/export", form="json", name="portal.", all="1")

    [row] = csv.DictReader(io.StringIO(table.lstrip("\ufeff")))
    assert row["what"] == "Changed settings"
    assert json.loads(row["after"]) == {"note": "=cmd()"}
    names = [json.loads(line)["name"] for line in lines.splitlines()]
    assert names[0] == "portal.log.exported"
    assert "theirs" not in table + lines
    owner.get("/activity")
    assert owner.post("/activity/export", form="exe").status_code == 422


def test_the_whole_log_is_taken_out_and_holds_elsewhere(owner, account):
    chain.seal(window=None)
    with system_scope(COMMAND), db.transaction() as orm:
        head = chain.sign(orm, account.id)

    log = taken(owner, "/activity/chain")
    program = owner.get("/activity/clarion_verify.py")

    length, found = verifier.check(log.splitlines(), [head])
    assert (length >= head.seq, found) == (True, [])
    assert program.headers["Content-Disposition"].endswith('"clarion_verify.py"')
    assert "def check(" in program.get_data(as_text=True)
    assert "Signed last" in owner.get("/activity").text


def test_only_owners_take_it_out(owner, account, database):
    assert "Download the whole log" in owner.get("/activity").text

    with create_engine(database.superuser_url).begin() as connection:
        connection.execute(
            text("UPDATE membership SET role = 'manager' WHERE person_id = :p"),
            {"p": account.person_id},
        )

    assert "Download the whole log" not in owner.get("/activity").text
    assert owner.post("/activity/chain").status_code == 403


def test_pages_ask_as_often_at_many_rows(owner, account):
    def count(path):
        with statements() as run:
            assert owner.get(path).status_code == 200
        return len(run)

    paths = ("/activity?all=1", "/activity?actor=job", "/activity?name=portal.")
    for path in paths:
        owner.get(path)
    few = [count(path) for path in paths]
    many(account, 2_000)

    assert [count(path) for path in paths] == few
