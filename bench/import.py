"""A list of a million people: dry run, apply, search, taken back; beside COPY and a merge.

`clarion worker --relay` does the work, as deployed. The list has phone, name, e-mail and
three fields; 5 % of its rows are of no use, 10 % are a person of an earlier row. Rows per
second are those of the file. `apply_vs_copy` compares with the least that could be done by
hand: COPY of the same rows into a plain table, and one statement that merges them into a
twin of the contacts' table with the same keys, checks and indexes; no consent with its
proof, no addresses, no search, nothing to undo. Memory is the resident set of the worker
and its child, looked at twenty times a second; `growth_mb` is what a million rows need more
than a tenth of them. The file, 88 MB, comes in as at the door: looked at and sealed in parts.
"""

import csv
import datetime as dt
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import crowd
import ground
from ground import Ground

TARGETS = {
    "dry_run_rows_per_s": ("min", 40_000.0),
    "apply_rows_per_s": ("min", 25_000.0),
    "apply_vs_copy": ("max", 6.0),
    "peak_mb": ("max", 300.0),
}
ROWS = int(os.environ.get("BENCH_IMPORT_ROWS", "1000000"))


def measure() -> dict[str, float]:
    """Import a tenth for somebody else, then all of it; then the plain way."""
    with ground.prepared() as land:
        from clarion.boot import boot
        from clarion.testing.factories import make_account

        boot()
        worker = land.start(
            str(Path(sys.executable).with_name("clarion")), "worker", "--relay"
        )
        small = Taking(land, make_account(), worker.pid, "".join(crowd.lines(ROWS // 10)))
        small.check()
        small.apply()
        raw = "".join(crowd.lines(ROWS))
        whole = Taking(land, make_account(), worker.pid, raw)
        checked, applied = whole.check(), whole.apply()
        searchable, undone = whole.make_searchable(), whole.undo()
        land.stop(worker)
        copied, merged = plain(land, raw, whole.account.id)
    return {
        "dry_run_rows_per_s": ROWS / checked,
        "apply_rows_per_s": ROWS / applied,
        "apply_vs_copy": applied / (copied + merged),
        "peak_mb": whole.peak,
        "growth_mb": whole.peak - small.peak,
        "searchable_after_s": searchable,
        "undo_s": undone,
        "copy_s": copied,
        "merge_s": merged,
        "contacts": float(whole.made),
        "rows": float(ROWS),
    }


class Taking:
    """One list on its way in, as its pages move it; the worker does the rest."""

    def __init__(self, land: Ground, account: Any, worker: int, raw: str) -> None:
        from clarion.base import db
        from clarion_contacts import service

        self.land, self.account, self.worker = land, account, worker
        self.peak, self.made = 0.0, 0
        with self._acting(), db.transaction():
            with tempfile.TemporaryFile() as file:
                file.write(raw.encode())
                row = service.receive("people.csv", service.look(file))
            fields = {int(at): said for at, said in row.mapping.items()}
            service.match(row.id, fields, country="BR")
            service.attest(
                row.id,
                source="web_form",
                place="https://casaverde.example/newsletter",
                agreed_on=dt.date(2025, 3, 1),
                wording="I want news from Casa Verde by WhatsApp.",
                typed_name="Marina Lopes",
            )
        self.id: UUID = row.id

    def check(self) -> float:
        """The dry run."""
        from clarion_contacts import service

        return self._timed(service.check, "checking", "checked")

    def apply(self) -> float:
        """The import itself."""
        from clarion_contacts import service

        taken = self._timed(service.start, "importing", "done")
        self.made = self._row().result["created"]
        return taken

    def make_searchable(self) -> float:
        """Wait until the search knows everybody; until then it only takes longer."""
        began = time.perf_counter()
        ground.until(
            lambda: self._row().searchable_to == self._row().read_to, 600, "search"
        )
        return time.perf_counter() - began

    def undo(self) -> float:
        """Take it back."""
        from clarion_contacts import service

        return self._timed(service.undo, "undoing", "undone")

    def _timed(self, verb: Any, during: str, after: str) -> float:
        from clarion.base import db

        over = Event()
        watch = Thread(target=self._watch, args=(over,))
        watch.start()
        began = time.perf_counter()
        with self._acting(), db.transaction():
            verb(self.id)
        ground.until(lambda: self._row().state != during, 1800, f"still {during}")
        took = time.perf_counter() - began
        over.set()
        watch.join()
        assert self._row().state == after, self._row().problem
        return took

    def _watch(self, over: Event) -> None:
        while not over.wait(0.05):
            self.peak = max(self.peak, ground.resident_mb(self.worker))

    def _row(self) -> Any:
        from clarion.base import db
        from clarion_contacts import service

        with self._acting(), db.transaction():
            return service.listing(limit=1)[0]

    def _acting(self) -> Any:
        from clarion.tenancy.scope import account_scope

        return account_scope(self.account.id, self.account.actor)


TWIN = """
CREATE TABLE plain_contact (LIKE contacts_contact INCLUDING ALL);
CREATE TABLE plain_rows (phone text, idx bytea, name text, email text, attributes jsonb)
"""
MERGE = """
INSERT INTO plain_contact (id, account_id, phone, phone_idx, name, email, attributes)
SELECT uuidv7(), %s, phone, idx, name, email, attributes FROM plain_rows
ON CONFLICT (account_id, phone) DO NOTHING
"""


def plain(land: Ground, raw: str, account_id: UUID) -> tuple[float, float]:
    """COPY readable rows into a plain table and merge them: seconds for each."""
    import psycopg

    url = land.superuser_url.replace("postgresql+psycopg", "postgresql")
    rows = _ready(raw, account_id)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in TWIN.split(";"):
            connection.execute(statement)
        began = time.perf_counter()
        with connection.cursor().copy("COPY plain_rows FROM STDIN") as copy:
            for block in range(0, len(rows), 1 << 20):
                copy.write(rows[block : block + (1 << 20)])
        copied = time.perf_counter() - began
        began = time.perf_counter()
        connection.execute(MERGE, [account_id])
        return copied, time.perf_counter() - began


def _ready(raw: str, account_id: UUID) -> str:
    """Write the good rows as COPY wants them; reading the file is not on this clock."""
    import json

    from clarion.base import crypto
    from clarion.messaging import address

    index = crypto.mac(crypto.index_key(account_id), address.family("phone").encode())
    out = io.StringIO()
    for phone, name, email, *rest in csv.reader(io.StringIO(raw)):
        try:
            number = address.parse_phone(phone, "BR").e164
        except address.BadPhone:
            continue
        own = json.dumps(dict(zip(("city", "plan", "joined"), rest, strict=True)))
        out.write(f"{number}\t\\\\x{index(number)}\t{name}\t{email}\t{own}\n")
    return out.getvalue()
