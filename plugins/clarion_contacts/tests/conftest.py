"""What several tests of this plugin need: imports driven from file to contacts."""

import datetime as dt
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "dev" / "demo_contacts.csv"


@pytest.fixture
def take_in(account, run_jobs):
    """Upload, match, attest, check and import a file; returns the import's id."""
    from clarion.base import db
    from clarion_contacts import service

    def run(
        text,
        *,
        source="web_form",
        country="BR",
        fields=None,
        until="done",
        overwrite=True,
        tags=(),
    ):
        raw = text.encode() if isinstance(text, str) else text
        with db.transaction():
            row = service.upload("list.csv", raw)
            chosen = {int(at): said for at, said in row.mapping.items()}
            service.match(row.id, fields or chosen, country=country)
            service.attest(
                row.id,
                source=source,
                place="https://casaverde.example/newsletter",
                agreed_on=dt.date(2025, 3, 1),
                wording="I want news from Casa Verde by WhatsApp.",
                typed_name="Marina Lopes",
            )
            service.check(row.id)
        run_jobs()
        if tags or not overwrite:
            with db.transaction():
                service.recheck(row.id, overwrite=overwrite, tags=list(tags))
            run_jobs()
        if until == "done":
            with db.transaction():
                service.start(row.id)
            run_jobs()
        return row.id

    return run


@pytest.fixture
def state_of(account):
    """Read an import fresh from the database."""
    from clarion.base import db
    from clarion_contacts.service import uploads

    def read(import_id):
        db.session().expire_all()
        return uploads.get(import_id)

    return read
