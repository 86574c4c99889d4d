"""An uploaded list, step by step: upload, match columns, consent, check, import, undo.

Every step is kept, so that it can be left and resumed. What is done to rows, set by set,
is in `staging`.
"""

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from typing import BinaryIO
from uuid import UUID

from sqlalchemy import delete, func, select

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid
from clarion.base.words import _
from clarion.tenancy import access, audit, switches
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_contacts.events import CheckRequested, ImportStarted, UndoRequested
from clarion_contacts.importing import key_of
from clarion_contacts.importing.tables import MAX_BYTES
from clarion_contacts.models import Import, ImportRow, Wording
from clarion_contacts.service import gauging, uploads
from clarion_contacts.service.attestation import (
    refuse,
    require_current,
    state,
)
from clarion_contacts.service.wordings import keep_wording

KEPT = dt.timedelta(hours=24)
MB = 1024 * 1024
OPEN = ("uploaded", "matched", "attested", "checked", "failed")

audit.label("contacts.import.uploaded", "Uploaded a list of contacts")
audit.label("contacts.import.attested", "Confirmed where the people of a list agreed")
audit.label("contacts.import.started", "Imported a list of contacts")
audit.label("contacts.import.finished", "A list of contacts was taken in")
audit.label("contacts.import.cancelled", "Threw an uploaded list away")
audit.label("contacts.import.undo_started", "Took an import back")
audit.label("contacts.import.undone", "An import was taken back")


def most_bytes() -> int:
    """Say how large a list may be: as staff set it, never more than can be read."""
    chosen: int = switches.value("contacts", "import_mb")
    return max(1, min(chosen * MB, MAX_BYTES))


def look(file: BinaryIO) -> uploads.Seen:
    """Look at a file before anything of it is kept; holds no connection meanwhile.

    Raises `Invalid` (codes `file_…`) with the reason.
    """
    access.require("contacts.import")
    return uploads.look(file)


def upload(file_name: str, raw: bytes) -> Import:
    """Take a small file in, sealed, with everything about its shape guessed.

    Raises `Invalid` (codes `file_…`) with the reason, and keeps nothing then.
    """
    return receive(file_name, look(io.BytesIO(raw)))


def receive(file_name: str, seen: uploads.Seen) -> Import:
    """Take a file in that was looked at, sealed part by part."""
    access.require("contacts.import")
    if seen.size > most_bytes():
        mb = most_bytes() // MB
        text = _(
            "This file is larger than %(mb)s MB. Split it and import the parts.", mb=mb
        )
        raise Invalid("file_too_large", text)
    row = Import(
        id=db.new_id(),
        file_name=_base_name(file_name),
        file_digest=seen.digest,
        file_size=seen.size,
        country="",
        expires_at=clock.now() + KEPT,
        state="uploaded",
    )
    uploads.keep_seen(row, seen.told)
    db.session().add(row)
    db.session().flush()
    uploads.store(row.id, seen.file)
    audit.record("contacts.import.uploaded", row, rows=row.row_count)
    return row


def reread(
    import_id: UUID,
    *,
    encoding: str = "",
    delimiter: str = "",
    header: bool | None = None,
    sheet: int | None = None,
    country: str = "",
    fresh: bool = False,
) -> Import:
    """Read the file again the way a person says; what is empty is guessed.

    `fresh` guesses even where a list with the same header was matched before.
    """
    access.require("contacts.import")
    known = uploads.get(import_id)
    chosen = uploads.country_of(country) if country else ""
    with uploads.opened(known) as file:
        seen = uploads.look(
            file,
            country=chosen or known.country,
            encoding=encoding,
            delimiter=delimiter,
            header=header,
            sheet=sheet,
        )
    row = _open(import_id)
    row.country = chosen or row.country
    uploads.keep_seen(row, seen.told, fresh=fresh)
    row.country = chosen or row.country
    _back_to(row, "uploaded")
    return row


def describe(import_id: UUID) -> uploads.Described:
    """Read how far a list is, and what its columns are matched to."""
    access.require("contacts.import")
    return uploads.described(uploads.get(import_id))


def keep(
    import_id: UUID,
    fields: Mapping[int, str],
    *,
    country: str = "",
    day_first: bool | None = None,
    kinds: Mapping[int, str] | None = None,
) -> uploads.Described:
    """Keep a choice of columns, even one that is not finished, and describe it."""
    access.require("contacts.import")
    row = _open(import_id)
    uploads.choose(row, fields, country, day_first, kinds)
    return uploads.described(row)


def match(
    import_id: UUID,
    fields: Mapping[int, str],
    *,
    country: str = "",
    day_first: bool | None = None,
    kinds: Mapping[int, str] | None = None,
) -> Import:
    """Settle what the columns mean. Raises `Invalid` (codes `mapping_…`) when it clashes."""
    access.require("contacts.import")
    row = _open(import_id)
    uploads.choose(row, fields, country, day_first, kinds)
    uploads.matching(row)
    _back_to(row, "matched")
    return row


def attest(
    import_id: UUID,
    *,
    source: str,
    place: str = "",
    agreed_from: dt.date | None = None,
    agreed_on: dt.date | None = None,
    wording: str = "",
    typed_name: str = "",
) -> Import:
    """Answer where these people agreed; bound to this file, this text and this person.

    `none` imports people without consent. Bought lists are refused.
    """
    access.require("contacts.import")
    row = _open(import_id)
    if row.state == "uploaded":
        raise Conflict("import_not_matched", _("Match the columns first."))
    if source == "none":
        row.consent_place, row.wording_id = "", None
        row.consent_from = row.consent_on = None
    else:
        refuse(source, place, agreed_on, wording, typed_name, since=agreed_from)
        row.consent_place = place.strip()[:300]
        row.consent_from, row.consent_on = agreed_from, agreed_on
        row.wording_id = keep_wording(wording)
    row.consent_source = source
    state(row, typed_name)
    _back_to(row, "attested")
    audit.record("contacts.import.attested", row, source=source)
    return row


def check(import_id: UUID) -> Import:
    """Start the dry run: every row gets a verdict, nothing else is written."""
    access.require("contacts.import")
    row = _open(import_id)
    if row.state not in ("attested", "failed") or row.attested_at is None:
        raise Conflict("import_not_attested", _("Answer the question about consent first."))
    _ring_check(row)
    return row


def recheck(
    import_id: UUID, *, overwrite: bool, tags: list[str], lists: Sequence[str] = ()
) -> Import:
    """Judge the rows again with other choices; the file is not read again."""
    access.require("contacts.import")
    row = _open(import_id)
    if row.state != "checked":
        raise Conflict("import_not_checked", _("The check is not finished yet."))
    said = {key_of(tag): " ".join(tag.split()) for tag in tags if tag.strip()}
    if any(len(tag) > 60 for tag in said.values()):
        raise Invalid("tag_name", _("A tag has at most 60 letters."), field="tags")
    on = {key_of(name): " ".join(name.split()) for name in lists if name.strip()}
    if any(len(name) > 80 for name in on.values()):
        raise Invalid("list_name", _("A list has at most 80 letters."), field="lists")
    row.overwrite, row.tags = overwrite, list(said.values())
    row.lists = list(on.values())
    _ring_check(row)
    return row


def start(import_id: UUID) -> Import:
    """Let the checked rows become contacts, all or none of them."""
    access.require("contacts.import")
    row = _locked(import_id)
    if row.state != "checked":
        raise Conflict("import_not_checked", _("This list is not ready to be imported."))
    require_current(row)
    gauging.require_room(row.counts.get("states", {}).get("new", 0))
    row.state, row.progress, row.problem = "importing", 0, ""
    row.started_at = row.beat_at = func.clarion_now()
    uploads.make_fields(row)
    audit.record("contacts.import.started", row)
    outbox.publish(ImportStarted(import_id=row.id))
    return row


def undo(import_id: UUID) -> Import:
    """Take an import back within 24 hours; who was written to or changed since stays."""
    access.require("contacts.import")
    row = _locked(import_id)
    if row.state != "done":
        raise Conflict("import_not_done", _("This list was not imported."))
    if row.expires_at < clock.now():
        raise Conflict(
            "import_too_old", _("An import can be taken back for 24 hours. They are over.")
        )
    row.state, row.progress = "undoing", 0
    row.beat_at = func.clarion_now()
    audit.record("contacts.import.undo_started", row)
    outbox.publish(UndoRequested(import_id=row.id))
    return row


def cancel(import_id: UUID) -> None:
    """Throw an uploaded list away: the file and its rows are forgotten at once."""
    access.require("contacts.import")
    row = _locked(import_id)
    if row.state not in (*OPEN, "checking"):
        raise Conflict("import_not_open", _("This list cannot be thrown away any more."))
    row.state = "cancelled"
    audit.record("contacts.import.cancelled", row)
    uploads.shred(row)
    _drop_rows(row.id)
    row.forgotten_at = func.clarion_now()


def fail(import_id: UUID, problem: str) -> None:
    """Note why a check or an import stopped; a person can correct it and go on."""
    row = _locked(import_id)
    if row.state in ("checking", "importing"):
        row.state, row.problem = "failed", problem[:400]


def forget() -> None:
    """Forget this account's files after 24 hours, and rows when they can do no more."""
    now = clock.now()
    query = select(Import).where(
        Import.account_id == current_account(), Import.forgotten_at.is_(None)
    )
    for row in db.session().scalars(query.with_for_update(skip_locked=True)):
        if row.created_at < now - KEPT:
            uploads.shred(row)
            if row.state in (*OPEN, "checking"):
                row.state, row.problem = "cancelled", _("It was not finished in 24 hours.")
        running = row.state in ("importing", "undoing")
        if row.expires_at < now and not running and row.created_at < now - KEPT:
            _drop_rows(row.id)
            row.forgotten_at = now


def listing(*, before: UUID | None = None, limit: int = 50) -> list[Import]:
    """List imports, newest first."""
    access.require("contacts.import")
    query = select(Import).where(Import.account_id == current_account())
    if before is not None:
        query = query.where(Import.id < before)
    return list(db.session().scalars(query.order_by(Import.id.desc()).limit(limit)))


def answers(row: Import) -> Import:
    """Find whose answers about consent to offer: its own, else those of last time."""
    if row.attested_at is not None:
        return row
    return uploads.recalled(row) or row


def wording_of(row: Import) -> str:
    """Return the words people were asked with, as given for this list; empty before."""
    query = select(Wording.text).where(
        Wording.account_id == current_account(), Wording.id == row.wording_id
    )
    return str(db.session().scalar(query) or "")


# --- rows of imports


def _open(import_id: UUID) -> Import:
    row = _locked(import_id)
    if row.state not in OPEN:
        raise Conflict("import_not_open", _("This list cannot be changed any more."))
    return row


def _locked(import_id: UUID) -> Import:
    return uploads.get(import_id, lock=True)


def _ring_check(row: Import) -> None:
    row.state, row.problem = "checking", ""
    row.beat_at = func.clarion_now()
    outbox.publish(CheckRequested(import_id=row.id))


def _back_to(row: Import, state: str) -> None:
    """Go back to a step: verdicts given after it are void."""
    row.state, row.problem, row.counts = state, "", {}
    row.read_to = row.progress = 0
    _drop_rows(row.id)


def _drop_rows(import_id: UUID) -> None:
    db.session().execute(
        delete(ImportRow)
        .where(ImportRow.account_id == current_account(), ImportRow.import_id == import_id)
        .execution_options(synchronize_session=False)
    )


def _base_name(name: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(s for s in last if s.isprintable())[:200] or _("list.csv")
