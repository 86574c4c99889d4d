"""The command line: quick to ask, clear when it refuses."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from clarion.base import db
from clarion.base.settings import settings
from clarion.cli import clarion
from clarion.tenancy.models import Account
from clarion.tenancy.plugins import PluginGuard

HEAVY = ("sqlalchemy", "flask", "pydantic", "redis", "rq", "alembic", "aiohttp", "psycopg")


def commands(group, path=()):
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        yield (*path, name)
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))


def call(*words, **more):
    return CliRunner().invoke(clarion, list(words), prog_name="clarion", **more)


def test_asking_for_help_loads_nothing_heavy():
    code = f"import sys, clarion.cli; print([m for m in {HEAVY} if m in sys.modules])"

    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "[]"


def test_there_are_commands():
    assert {("web",), ("worker",), ("demo",), ("db", "upgrade")} <= set(commands(clarion))


@pytest.mark.parametrize("path", commands(clarion), ids=" ".join)
def test_every_command_explains_itself(path):
    told = call(*path, "--help")

    assert told.exit_code == 0
    assert told.output.startswith(f"Usage: clarion {' '.join(path)}")


def test_an_unknown_word_is_refused():
    told = call("dance")

    assert told.exit_code == 2
    assert "No such command 'dance'" in told.output


def test_a_plugins_word_is_a_command():
    told = subprocess.run(
        [sys.executable, "-m", "clarion.cli", "simulator", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0
    assert "--receipts" in told.stdout


def test_csv_is_for_the_check_only(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("phone\n")

    told = call("demo", "--csv", str(path))

    assert told.exit_code == 2
    assert "--csv belongs to --check" in told.output


# --- with a database


def test_upgrade_is_repeatable_and_stores_guards(database):
    call("db", "upgrade")

    told = call("db", "upgrade")

    assert told.exit_code == 0
    assert "Upgraded: nothing, it is of this release." in told.output
    with db.apart(db.Entry("clarion_system")) as orm:
        kept = {row.plugin: row.hooks for row in orm.scalars(select(PluginGuard))}
    assert kept["contacts"] == ["before_send"]


def test_nothing_is_pending_after_an_upgrade(database):
    call("db", "upgrade")

    told = call("db", "pending")

    assert (told.exit_code, told.output) == (0, "")


def test_a_revision_needs_an_owner_that_exists(database):
    told = call("db", "revision", "nobody", "add a table")

    assert told.exit_code == 2
    assert "one of clarion, " in told.output


def test_an_account_is_made_with_its_owner(clean):
    words = ("--name", "Porto Sul", "--owner", "olga@example.org", "--country", "BR")

    told = call("account", "create", *words, input="grey tiles, long rain\n" * 2)

    assert told.exit_code == 0, told.output
    made = UUID(told.output.splitlines()[-1].split()[0])
    with db.apart(db.Entry("clarion_system")) as orm:
        assert orm.scalar(select(Account.name).where(Account.id == made)) == "Porto Sul"


def test_staff_get_a_link_to_choose_a_password(clean):
    call("db", "upgrade")

    told = call("staff", "invite", "--email", "ada@example.org", "--name", "Ada Okafor")

    assert told.exit_code == 0, told.output
    assert told.output.startswith(f"{settings().public_url}/console/sign/start?token=")


def test_the_log_is_whole(account):
    with db.transaction() as orm:
        orm.get_one(Account, account.id).name = "Casa Verde e Azul"

    told = call("audit", "verify", "--account", str(account.id))

    assert told.exit_code == 0, told.output
    assert told.output.startswith(str(account.id))
    assert told.output.rstrip().endswith("Every chain is whole.")


# --- plugins


def test_plugins_are_listed_with_their_words(database):
    told = call("plugin", "list")

    lines = {line.split()[0]: line for line in told.output.splitlines()}
    assert {"portal", "console", "contacts", "templates", "campaigns"} <= lines.keys()
    assert "[commands: simulator]" in lines["whatsapp_cloud"]


@pytest.mark.parametrize("name", ["Reminders", "1st", "a-b", "x" * 31, "_x"])
def test_a_plugin_needs_a_usable_name(name, tmp_path):
    told = call("plugin", "new", "--to", str(tmp_path / "new"), "--", name)

    assert told.exit_code == 1
    assert told.exception.code == "plugin_name"
    assert not (tmp_path / "new").exists()


def test_a_plugin_of_that_name_is_not_made_twice(tmp_path):
    told = call("plugin", "new", "contacts", "--to", str(tmp_path / "new"))

    assert told.exception.code == "plugin_known"


def test_any_wsgi_server_gets_the_same_refusal_as_clarion_web():
    env = {k: v for k, v in os.environ.items() if not k.startswith("CLARION_")}
    told = subprocess.run(
        [sys.executable, "-c", "import wsgi"],
        cwd=Path(__file__).parents[2],
        env=env | {"CLARION_ENV": "production", "CLARION_SECRET_KEY": "short"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode != 0
    assert "CLARION_SECRET_KEY" in told.stderr
