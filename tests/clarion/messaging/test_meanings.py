"""Each code and each reason has a page of words, made of what the engine itself decides by."""

import pytest

from clarion.messaging import breakers, channels, meanings, outcomes
from clarion.messaging.contract import Busy, Explaining, Halted, Rejected
from clarion.messaging.models import STATES
from clarion_whatsapp_cloud import answers

WHATSAPP = "whatsapp_cloud"


@pytest.fixture(scope="module")
def every(database):
    return meanings.every()


def complete(one):
    return (
        one.title
        and one.why.endswith(".")
        and one.todo.endswith(".")
        and one.does
        and all(line.endswith(".") for line in one.does)
        and one.states
        and "%" not in one.title + one.why + one.todo + "".join(one.does)
    )


def test_every_transport_lists_its_codes(database):
    for name, one in channels.transports().items():
        assert isinstance(one, Explaining), name
        assert one.source.startswith("https://")
        assert one.codes()


def test_every_code_of_the_table_has_its_text(every):
    found = {one.code: one for one in every if one.where == WHATSAPP}
    wanted = {str(code) for code in {*answers.CODES, *answers.UNCLEAR}}

    assert wanted | {"200–299", "2388000–2388999"} == found.keys()
    assert [one.code for one in found.values() if not complete(one)] == []
    for code, make in answers.CODES.items():
        verdict = make(str(code), "")
        if isinstance(verdict, Rejected | Halted):
            said = "paused" if isinstance(verdict, Halted) else "failed"
            assert found[str(code)].reason == verdict.reason
            assert outcomes.declared(said, verdict.reason), verdict.reason


def test_every_reason_and_state_of_ours_has_its_text(every):
    found = {one.code: one for one in every if one.where == meanings.OURS}
    wanted = {*STATES, *outcomes.CAUSES, *(reason for _, reason in outcomes.REASONS)}

    assert wanted <= found.keys()
    assert [one.code for one in found.values() if not complete(one)] == []


def test_what_is_said_follows_the_verdict(database):
    """Another verdict in the table, another text: there is no second list."""
    for code, make in answers.CODES.items():
        verdict, one = make(str(code), ""), meanings.code(WHATSAPP, str(code))
        said = " ".join(one.does)
        if isinstance(verdict, Halted):
            assert one.states[0] == "paused"
            waits = verdict.reason in breakers.WAITS
            assert ("one message is tried by itself" in said) is waits
        elif isinstance(verdict, Busy):
            assert str(round(verdict.retry_after)) in said
            assert ("half its pace" in said) is verdict.throttles
        else:
            assert "nothing sends it again by itself" in said
            assert ("any more" in said) is bool(verdict.suppress)
    for code in answers.UNCLEAR:
        assert "may have been sent" in " ".join(meanings.code(WHATSAPP, str(code)).does)


def test_a_code_in_a_range_and_one_nobody_has_met(database):
    assert meanings.code(WHATSAPP, "250").reason == "permission_missing"
    assert meanings.code(WHATSAPP, "250").known

    strange = meanings.code(WHATSAPP, "999999")

    assert (strange.reason, strange.known) == ("provider_code", False)
    assert "999999" in strange.why
    assert not meanings.code(WHATSAPP, "no-number").known
    assert meanings.code("pigeon", "1") is None
    assert meanings.code(WHATSAPP, "9" * 61) is None
    assert meanings.find("reason", "no_such_reason") is None


def test_search_finds_by_the_beginning_of_a_code_and_by_words(every):
    by_code = meanings.search("13102")
    assert {"131021", "131026"} <= {one.code for one in by_code}
    assert all(one.code.startswith("13102") for one in by_code)

    found = {one.code for one in meanings.search("access revoked")}
    assert {"190", "0", "token_invalid"} <= found
    assert meanings.search("zebra crossing") == []
    assert len(meanings.search("  ")) == len(every)
