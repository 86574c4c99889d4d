"""What is shown of jobs and errors: ids and our own words, nothing of anybody's."""

import json

import pytest

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.work import masking

NUMBER, MAIL = "+55" + "11987" + "654321", "ana" + "@" + "example.org"
TEXT, SECRET = " ".join(["meet", "me", "at", "nine"]), "EAA" + "x" * 30
CANARIES = (NUMBER, NUMBER[1:], MAIL, TEXT, SECRET)


def test_a_payload_keeps_its_shape_and_ids_and_nothing_else():
    some, moment = str(db.new_id()), "2026-11-30T18:00:00+00:00"
    given = {
        "contact_id": some, "after": 4_000, "when": moment, "wants": True, "none": None,
        "to": NUMBER, "mail": MAIL, "text": TEXT, "token": SECRET, "number": int(NUMBER),
        "deep": [{NUMBER: TEXT}, [MAIL]], "path": "clarion.work.jobs:retry",
    }  # fmt: skip

    shown = masking.payload(given, ours=True)

    assert (shown["contact_id"], shown["when"], shown["after"]) == (some, moment, 4_000)
    assert (shown["wants"], shown["none"]) == (True, None)
    assert shown["path"] == "clarion.work.jobs:retry"
    assert list(shown) == list(given)
    text = json.dumps(shown)
    assert [one for one in CANARIES if one in text] == []
    assert shown["text"] == f"{masking.DOTS} ({len(TEXT)})"


def raised(act):
    with pytest.raises(Exception) as caught:
        act()
    return caught.value


def fails(what):
    raise RuntimeError(f"could not write to {what}, gave up")


def refuses(what):
    raise Invalid("thing_wrong", f"This is wrong: {what}")


def looks_up(what):
    return {}[what]


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("act", [fails, refuses, looks_up, int])
def test_no_error_tells_what_came_from_data(act, canary):
    if act is int and canary == NUMBER[1:]:
        canary += "?"
    what = raised(lambda: act(canary if act is not int else f"<{canary}>"))

    told = masking.error(what) + masking.trace(what)

    assert canary in str(what)
    assert canary not in told
    assert type(what).__name__ in told


def test_an_error_keeps_the_words_of_our_code():
    assert masking.error(raised(lambda: fails(NUMBER))) == (
        f"RuntimeError: could not write to {masking.DOTS}, gave up"
    )
    assert masking.error(raised(lambda: refuses(TEXT))) == (
        f"Invalid: thing_wrong: This is wrong: {masking.DOTS}"
    )


def test_ids_stay_in_an_error():
    some = str(db.new_id())

    assert some in masking.error(raised(lambda: fails(some)))


def test_the_database_is_named_by_code_and_constraint(database):
    from sqlalchemy import create_engine, text

    engine = create_engine(database.superuser_url)
    sql = text(
        "INSERT INTO lane_stop (lane, state, reason, stopped_by) VALUES (:a,:b,:c,:d)"
    )
    values = {"a": "bulk", "b": NUMBER[:8], "c": TEXT, "d": MAIL}
    with engine.connect() as connection:
        what = raised(lambda: connection.execute(sql, values))
    engine.dispose()

    told = masking.error(what) + masking.trace(what)

    assert "SQLSTATE 23514: constraint ck_lane_stop_state" in told
    assert [one for one in (*CANARIES, NUMBER[:8]) if one in told] == []


def test_a_trace_shows_causes_and_places_without_the_machine():
    def outer():
        try:
            fails(NUMBER)
        except RuntimeError as error:
            raise ValueError(TEXT) from error

    told = masking.trace(raised(outer))

    assert told.index("RuntimeError") < told.index("ValueError")
    assert " in fails" in told
    assert not any(line.startswith("/") for line in told.splitlines())
    assert [one for one in CANARIES if one in told] == []


def test_a_providers_id_is_compared_not_read():
    one = masking.identifier(f"wamid.{NUMBER}")

    assert one == masking.identifier(f"wamid.{NUMBER}")
    assert one != masking.identifier("wamid.2")
    assert NUMBER[1:] not in one
