"""Nothing changes without a trace: each table says what it leaves in the log of deeds."""

import re
from pathlib import Path

import pytest

from clarion.base import walls
from clarion.base.db import Base
from clarion.base.trails import NoTrail, Trail
from clarion.tenancy import audit
from clarion.testing import catalogue

TOP = Path(__file__).resolve().parents[2]
WRITES = re.compile(
    r"\b(?:INSERT INTO|DELETE FROM|UPDATE) ([a-z_]+)\b(?:(?: [a-z])?\s+SET\s+(.*?)"
    r"(?=\bWHERE\b|\bFROM\b|\bRETURNING\b|\"\"\"|\Z))?",
    re.DOTALL,
)
ASSIGNED = re.compile(r"\b([a-z_]+)\s*=(?![=>])")
BY_HAND = {
    ("identifiers.py", "identifier"): "says their number by `audit.counted`",
}
"""SQL text that changes watched tables, which no listener sees, and how it is told."""


@pytest.fixture(scope="module")
def models(database):
    return walls.models()


def test_every_table_has_a_trail_or_a_reason(models):
    """As `test_tables` asks too; here with what there must be at least."""
    assert [e for m in models.values() for e in catalogue.trail(m)] == []
    watched = {name for name, m in models.items() if isinstance(m.trail, Trail)}

    assert {
        "contacts_contact", "contacts_field", "contacts_list", "contacts_tag",
        "contacts_topic", "contacts_segment", "contacts_view", "contacts_signup",
        "contacts_import", "contacts_merge", "identifier", "campaigns_draft",
        "campaigns_approval", "campaigns_occurrence", "templates_template", "channel",
        "sender", "support_window", "misuse_flag", "misuse_flag_appeal", "account_note",
        "account_quota", "account_measure", "sending_hold", "campaign_hold",
        "announcement", "plugin_switch", "plugin_setting", "lane_stop", "preference",
        "account", "person", "membership", "invitation", "staff_profile",
    } <= watched  # fmt: skip


def test_what_was_watched_whole_is_refused_in_bulk(models):
    strict = {
        name
        for name, m in models.items()
        if isinstance(m.trail, Trail) and m.trail.many == "refused"
    }

    assert strict == {
        "account", "person", "membership", "invitation", "staff_profile", "preference",
        "console_network",
    }  # fmt: skip


def mapped(declared):
    return type(
        "Thing",
        (),
        {"__table__": walls.models()["account_note"].__table__, "trail": declared},
    )


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (None, "does not say"),
        (NoTrail(""), "gives no reason"),
        (Trail(), "no word for a row"),
        (Trail("Note", skip=("beat_at",)), "names beat_at, which is no column"),
        (Trail("Note", mask=("nobody",)), "names nobody, which is no column"),
    ],
)
def test_the_walk_finds_what_is_wrong(models, declared, words):
    [wrong] = catalogue.trail(mapped(declared))

    assert words in wrong


def test_the_default_of_the_base_is_no_declaration(models):
    assert "trail" not in vars(Base)
    assert audit.noun("account_note") == "Note about an account"
    assert audit.noun("nothing_of_ours") == ""


def test_sql_text_changes_no_watched_table_unseen(models):
    """What is written as text passes every listener: only columns nobody watches."""
    found, seen = set(), set()
    for path in sorted(
        [*TOP.glob("platform/clarion/**/*.py"), *TOP.glob("plugins/*/**/*.py")]
    ):
        if {"tests", "testing", "migrations", "demo", "simulator"} & {*path.parts}:
            continue
        for table, assigned in WRITES.findall(path.read_text("utf-8")):
            seen.add(table)
            trail = getattr(models.get(table), "trail", None)
            names = {*ASSIGNED.findall(assigned)}
            if isinstance(trail, Trail) and not (names and names <= {*trail.skip}):
                found.add((path.name, table))

    assert {"message", "attempt", "identifier", "campaign"} <= seen
    assert found == set(BY_HAND)


def test_nothing_goes_around_the_session():
    """A connection of the session, or the driver, would tell nobody."""
    around = re.compile(r"connection\(\)\.execute\(\s*(?:insert|update|delete)\b")
    found = {
        path.name
        for path in [*TOP.glob("platform/clarion/**/*.py"), *TOP.glob("plugins/*/**/*.py")]
        if not {"tests", "testing", "migrations"} & {*path.parts}
        and around.search(path.read_text("utf-8"))
    }

    assert found == {"audit.py", "chain.py"}  # which write the log itself
