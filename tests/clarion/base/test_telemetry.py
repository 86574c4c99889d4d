"""Logs hold no person and no secret; a line is a line; metrics are declared once."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.base import telemetry

log = telemetry.logger("tests.telemetry")


@pytest.fixture
def lines():
    """What is logged in a test, as JSON objects; the process's own handlers return after."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    out = io.StringIO()
    telemetry.configure(level="debug", json_lines=True, stream=out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:], root.level = before, level


def test_fields_and_what_is_bound_appear(lines):
    with telemetry.bound(request="r1", account="a1"):
        log.info("message.sent", ms=31)
    log.info("after")

    first, second = lines()
    assert first["event"] == "message.sent"
    assert (first["ms"], first["request"], first["account"]) == (31, "r1", "a1")
    assert first["level"] == "info"
    assert "request" not in second


@pytest.mark.parametrize(
    "leak",
    [
        "+919876543210",
        "919876543210",
        "+91 98765-43210",
        "(020) 7946 0958 12",
        "%2B919876543210",
        "asha.rao@example.in",
        "Bearer abcdef1234567890",
        "clk_live_abcd1234_0123456789",
        "EAAGm0PX4ZCpsBAKZBxxxxxxxx",
        "hunter22",
    ],
)
def test_people_and_secrets_are_masked_wherever_they_stand(lines, leak):
    texts = (
        [f"refused {leak}.", f"to={leak}&x=1", f'{{"a": "{leak}"}}']
        if leak != "hunter22"
        else []
    )
    log.info("here", password="hunter22", details=texts)
    log.info("nested", deep={"inner": [{"note": text} for text in texts]})
    logging.getLogger("library").warning("said %s", " ".join(texts))
    try:
        raise ValueError(f"redis://name:hunter22@host {' '.join(texts)}")
    except ValueError:
        log.exception("broken")

    written = json.dumps(lines())
    assert len(lines()) == 4
    assert leak not in written


@pytest.mark.parametrize(
    "key", ["phone", "to", "email", "text", "body", "last_name", "address"]
)
def test_personal_fields_are_masked_by_name(lines, key):
    log.info("here", **{key: "Asha Rao, hello"})

    assert lines()[0][key] == "[personal]"


@pytest.mark.parametrize(
    "harmless",
    [
        "018f2c3d-1234-7123-8123-123456789012",
        "01812345-1234-7123-8123-123456789012",
        "2026-09-01T10:00:00.123456",
        "clarion_campaigns.jobs:start",
        "18.6.3",
    ],
)
def test_harmless_values_stay_readable(lines, harmless):
    log.info("here", value=harmless)

    assert lines()[0]["value"] == harmless


def test_statement_values_are_masked(lines):
    log.info(
        "db", error="INSERT [SQL: x]\n[parameters: {'n': 'Asha Rao'}]\nDETAIL:  Key (Asha)"
    )

    assert "Asha" not in lines()[0]["error"]


@given(st.text())
def test_crafted_values_give_one_line(text):
    out = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        telemetry.configure(json_lines=True, stream=out)
        log.info("here", value=text)
        telemetry.configure(json_lines=False, stream=out)
        log.info("here", value=text)
    finally:
        root.handlers[:], root.level = before, level

    assert len(out.getvalue().splitlines()) == 2


def test_endless_values_are_cut(lines):
    log.info("here", value="word " * 10_000)

    assert len(lines()[0]["value"]) < 2_100


def test_a_value_that_cannot_be_shown_does_not_stop_work(lines):
    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    log.info("here", value=Broken())

    assert lines()[0]["event"] == "log.unreadable"


def test_metrics_are_declared_once():
    telemetry.counter("tests_things_total", "Things", ("kind",)).labels("a").inc()
    telemetry.counter("tests_things_total", "Things", ("kind",)).labels("a").inc(2)

    text, kind = telemetry.exposition()

    assert b'tests_things_total{kind="a"} 3.0' in text
    assert kind.startswith("text/plain")
