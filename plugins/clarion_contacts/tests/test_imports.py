"""From an uploaded file to contacts: verdicts, apply, repeat, kill, undo."""

import json
from pathlib import Path

from sqlalchemy import func, select

from clarion.base import db
from clarion_contacts import service
from clarion_contacts.models import Consent, Contact

DEMO = Path(__file__).parents[3] / "dev"


def count(model, *where):
    return db.session().scalar(select(func.count()).select_from(model).where(*where))


def test_demo_list_gives_the_planned_numbers(take_in, state_of):
    expected = json.loads((DEMO / "demo_contacts.expected.json").read_text())

    row = state_of(take_in((DEMO / "demo_contacts.csv").read_bytes()))

    assert (row.state, row.problem) == ("done", "")
    assert row.row_count == expected["rows_read"]
    assert row.counts["reasons"] == expected["refused_rows"]
    assert row.counts["states"]["duplicate"] == expected["duplicates_in_file"]
    assert count(Contact) == expected["contacts"]
    countries = dict(
        db.session()
        .execute(select(Contact.country, func.count()).group_by(Contact.country))
        .all()
    )
    assert countries == expected["contacts_by_country"]
    without = count(Contact, Contact.consent != "opted_in")
    assert without >= expected["consent_no"]
    assert count(Consent) == expected["contacts"] - without


def test_same_file_twice_changes_nothing(take_in, state_of):
    raw = (DEMO / "demo_contacts.csv").read_bytes()
    first = state_of(take_in(raw))

    second = state_of(take_in(raw))

    made = first.counts["states"]["new"]
    assert second.counts["states"]["same"] == made
    assert "new" not in second.counts["states"]
    assert "changed" not in second.counts["states"]
    assert count(Contact) == made
    assert service.describe(second.id).earlier == first.finished_at
