"""Our own rules: each finds its bad sample, passes its good one, and all of us keep them."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def load():
    """The rules live in a tool's folder, which is no package."""
    spec = importlib.util.spec_from_file_location("lint_rules", TOP / "dev/lint/rules.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


rules = load()


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_good_sample_passes(rule):
    assert list(rule.find(rule.good)) == []


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_bad_sample_is_found(rule):
    assert list(rule.find(rule.bad))


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("sql-text", "orm.execute('DELETE FROM message')"),
        ("sql-text", "connection.exec_driver_sql('SELECT 1')"),
        ("second-wall", "select(func.count()).where(Tag.key == key)"),
        ("second-wall", "select(literal(1)).where(Tag.key == key)"),
        ("session-set", "text('SELECT 1; SET SESSION app.account_id = 3')"),
        ("session-set", "text(\"SELECT set_config('role', 'x', false)\")"),
        ("session-set", "text(f'SET {name} = 3')".replace("{name}", "app.account_id")),
        ("clock", "dt.date.today()"),
        ("clock", "datetime.utcnow()"),
        ("environment", "from os import environ"),
        ("environment", "os.getenv('X')"),
        ("enqueue", "q.enqueue_many([])"),
        ("markup", "markupsafe.Markup('<b>')"),
        ("inline", "<div\n  style='color: red'>"),
        ("inline", "<script>alert(1)</script>"),
        ("safe", "{{ x|safe }}"),
        ("ledger-clock", "text('UPDATE t SET at = CURRENT_TIMESTAMP')"),
    ],
)
def test_other_ways_to_write_it_are_found(name, sample):
    rule = next(rule for rule in rules.RULES if rule.name == name)

    assert list(rule.find(sample))


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_we_keep_the_rule(rule):
    assert [str(one) for one in rules.findings((rule,))] == []
