"""Every state and reason the ledger or the answer table can produce has words."""

import re
from pathlib import Path

import pytest

from clarion.messaging import outcomes
from clarion.messaging.contract import Busy
from clarion.messaging.models import STATES
from clarion_whatsapp_cloud import answers

ROOM = Path(outcomes.__file__).parent
LEDGER = "".join(path.read_text() for path in ROOM.glob("*.py"))


NO_OUTCOMES = {
    "pause",
    # of entries on the do-not-contact list, whose people are `opted_out`
    "block", "maybe", "provider_stop", "stop",
}  # fmt: skip


def reasons_of_answers():
    for code in [*answers.CODES, 250, 2388001, 999999]:
        verdict = answers.failed(code)
        yield "busy" if isinstance(verdict, Busy) else verdict.reason
    yield answers.failed(1).reason
    yield answers.failed(None).reason


def reasons_of_ledger():
    """Every reason that this room writes: in SQL, as a value, or by a name of its own."""
    found = re.findall(r"(?:reason = |THEN |SELECT )'([a-z_]+)'", LEDGER)
    found += re.findall(r"\breason=\"([a-z_]+)\"", LEDGER)
    found += re.findall(
        r"^(?:REASON|BY_STAFF|RESTORED|NEVER|LATE|AMERICAN|CONTROL|TWICE|BUDGET) = \"([a-z_]+)\"",
        LEDGER,
        re.MULTILINE,
    )
    return {each for each in found if each not in STATES and each not in NO_OUTCOMES}


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_words_that_say_what_to_do(state):
    words = outcomes.explain(state)

    assert outcomes.declared(state, "")
    assert words.title
    assert words.why.endswith(".")
    assert words.todo.endswith(".")


@pytest.mark.parametrize("reason", sorted(set(reasons_of_answers())))
def test_each_answer_of_the_provider_has_words(reason):
    assert outcomes.declared("failed", reason)
    assert outcomes.explain("failed", reason, "131026").title
    assert outcomes.explain("paused", reason).todo


def test_each_reason_the_ledger_writes_has_words():
    found = reasons_of_ledger()
    known = {reason for _, reason in outcomes.REASONS} | set(outcomes.CAUSES)

    assert {"opted_out", "no_answer", "quarantined", "stopped", "not_started"} <= found
    assert {"daily_limit", "pair_limit", "country_restricted"} <= found
    assert {
        "held_by_staff",
        "us_marketing",
        "control_group",
        "no_budget",
        "duplicate",
    } <= found
    assert found - known == set()


@pytest.mark.parametrize(
    "reason",
    ["daily_limit", "pair_limit", "frequency_cap", "quiet_hours", "not_sent", "not_begun"],
)
def test_each_reason_to_wait_has_words_of_its_own(reason):
    assert outcomes.declared("queued", reason)
    assert outcomes.explain("queued", reason).why != outcomes.explain("queued").why


@pytest.mark.parametrize(
    "reason",
    ["opted_out", "no_consent", "invalid_address", "duplicate", "missing_variable"],
)
def test_each_reason_to_leave_somebody_out_has_words(reason):
    assert outcomes.declared("suppressed", reason)


def test_the_code_is_told_and_a_strange_reason_is_not_hidden():
    assert "131999" in outcomes.explain("failed", "provider_code", "131999").why
    assert "odd thing" in outcomes.explain("failed", "odd_thing", "7").why
    assert outcomes.explain("suppressed", "vip_only").why == (
        "A rule kept this message back: vip only."
    )


def test_words_have_no_places_left_unfilled():
    for state, reason in [*outcomes.REASONS, *(("failed", one) for one in outcomes.CAUSES)]:
        words = outcomes.explain(state, reason)
        assert "%" not in words.title + words.why + words.todo
