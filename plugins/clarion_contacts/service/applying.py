"""Checked rows become contacts: a few statements over whole sets, all in one transaction.

A row's id is the id of the contact it makes and of the consent event it leaves. Whatever
is done twice therefore happens once.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, array, insert

from clarion.base import db
from clarion.messaging import identifiers
from clarion.tenancy import audit
from clarion.tenancy.scope import current_account, current_actor
from clarion.work import outbox
from clarion_contacts.events import ImportFinished
from clarion_contacts.importing import key_of
from clarion_contacts.models import Consent, Contact, Import, ImportRow, Tag, Tagging
from clarion_contacts.service import gauging, uploads, verdicts
from clarion_contacts.service.imports import KEPT
from clarion_contacts.service.lists import keep as keep_listed
from clarion_contacts.service.lists import keep_lists
from clarion_contacts.service.tags import keep_tags

STEP = 50_000
APPLY_LOCK = 3


def apply(import_id: UUID) -> None:
    """Take a checked list in: contacts, addresses, tags and proof, all or nothing.

    The verdicts are renewed first, so that who said STOP since the check stays out. When
    somebody adds one of these people in the same moment, a unique key stops everything,
    and the job tries again. Harmless when called again: it finds the list done.
    """
    alone(import_id)
    row = uploads.get(import_id)
    if row.state != "importing":
        return
    verdicts.judge_rows(row)
    new = verdicts.counted(row)["states"].get("new", 0)
    if full := gauging.lacks_room(new, wait=False):  # a long list holds nobody up
        row.state, row.problem = "failed", full  # the quota was changed since it began
        return
    made = keep_tags(_tag_names(row), row.id)
    on = keep_lists(_list_names(row), row.id)
    done = {"created": 0, "updated": 0, "consents": 0, "withdrawn": 0}
    last = row.read_to
    for first in range(0, last + 1, STEP):
        part = and_(
            ImportRow.account_id == current_account(),
            ImportRow.import_id == row.id,
            ImportRow.line.between(first, first + STEP - 1),
        )
        for key, number in _step(row, part).items():
            done[key] += number
        for key, list_id in on.items():
            keep_listed(list_id, _to_be_listed(row, part, key), row.id)
        report(row, min(first + STEP, last) * row.row_count // max(last, 1))
    # somebody may have added people meanwhile; tried again, the list says so above
    gauging.require_room(done["created"], added=done["created"])
    _finish(row, {**done, "tags": len(made), "lists": len(on)})


def alone(import_id: UUID) -> None:
    """Keep other workers off this list until the transaction ends."""
    key = func.hashtext(str(import_id))
    db.session().execute(select(func.pg_advisory_xact_lock(APPLY_LOCK, key)))


def report(row: Import, progress: int) -> None:
    """Show how far a long transaction is: written beside it, so that pages can see it."""
    entry = db.Entry("clarion_app", row.account_id, current_actor().label)
    with db.apart(entry) as orm:
        orm.execute(
            update(Import)
            .where(Import.account_id == row.account_id, Import.id == row.id)
            .values(progress=progress, beat_at=func.clarion_now())
            .execution_options(synchronize_session=False)
        )


def _tag_names(row: Import) -> dict[str, str]:
    return {**row.counts.get("tags", {}), **{key_of(tag): tag for tag in row.tags}}


def _list_names(row: Import) -> dict[str, str]:
    return {**row.counts.get("lists", {}), **{key_of(name): name for name in row.lists}}


def _to_be_listed(row: Import, part: ColumnElement[bool], key: str) -> Select[Any]:
    """Select who is to be on a list."""
    return select(func.coalesce(ImportRow.contact_id, ImportRow.id)).where(
        part,
        ImportRow.state.in_(("new", "changed")),
        verdicts.wanted_lists(row).op("@>")(cast([key], JSONB)),
    )


def _step(row: Import, part: ColumnElement[bool]) -> dict[str, int]:
    new = and_(part, ImportRow.state == "new")
    changed = and_(part, ImportRow.state == "changed")
    created = _create(row, new)
    _remember(changed)
    agreed = _new_consents(row, new)
    more, withdrawn = _changed_consents(row, changed)
    updated = _update(row, changed)
    _addresses(row, new, changed)
    _taggings(row, part)
    return {
        "created": created,
        "updated": updated,
        "consents": agreed + more,
        "withdrawn": withdrawn,
    }


def _create(row: Import, new: ColumnElement[bool]) -> int:
    agreed, refused = verdicts.grants(row), ImportRow.said == "no"
    values: dict[str, Any] = {
        "id": ImportRow.id,
        "account_id": ImportRow.account_id,
        **{name: getattr(ImportRow, name) for name in verdicts.PLAIN},
        "phone": func.nullif(ImportRow.phone, ""),
        "phone_idx": case((ImportRow.phone != "", ImportRow.idx)),
        "attributes": ImportRow.attributes,
        "consent": case((agreed, "opted_in"), (refused, "opted_out"), else_="none"),
        "consent_id": case((or_(agreed, refused), ImportRow.id)),
        "consent_at": case((or_(agreed, refused), func.now())),
        "import_id": ImportRow.import_id,
    }
    rows = select(*values.values()).where(new)
    statement = insert(Contact).from_select(
        list(values), rows.order_by(ImportRow.line), include_defaults=False
    )
    result: Any = db.session().execute(
        statement.execution_options(preserve_rowcount=True, audited=True)
    )
    return int(result.rowcount)


def _remember(changed: ColumnElement[bool]) -> None:
    """Keep what changed contacts looked like, for the undo."""
    pairs: list[Any] = []
    for name in (*verdicts.PLAIN, "attributes"):
        pairs += [name, getattr(Contact, name)]
    db.session().execute(
        update(ImportRow)
        .where(changed, *_its_contact())
        .values(before=func.jsonb_build_object(*map(_named, pairs)))
        .execution_options(synchronize_session=False)
    )


def _new_consents(row: Import, new: ColumnElement[bool]) -> int:
    """Add what new people said, yes or no: their contact has the row's own id."""
    agreed = verdicts.grants(row)
    action = case((agreed, "import_attested"), else_="withdraw")
    method = case((agreed, _method(row)), else_="import")
    values = _event(row, ImportRow.id, action, method)
    values["wording_id"] = case((agreed, values["wording_id"]))
    rows = select(*values.values()).where(new, or_(agreed, ImportRow.said == "no"))
    statement = insert(Consent).from_select(list(values), rows, include_defaults=False)
    written = statement.returning(Consent.action).cte("written")
    query = select(written.c.action, func.count()).group_by(written.c.action)
    return dict(db.session().execute(query).tuples().all()).get("import_attested", 0)


def _changed_consents(row: Import, changed: ColumnElement[bool]) -> tuple[int, int]:
    """Add an event for each known person whom a row gives consent, or takes it from."""
    agreed = verdicts.grants(row)
    action = case((agreed, "import_attested"), else_="withdraw")
    method = case((agreed, _method(row)), else_="import")
    values = _event(row, ImportRow.contact_id, action, method)
    values["wording_id"] = case((agreed, values["wording_id"]))
    rows = (
        select(*values.values())
        .join(Contact, and_(*_its_contact()))
        .where(
            changed,
            or_(
                and_(agreed, Contact.consent == "none"),
                and_(ImportRow.said == "no", Contact.consent == "opted_in"),
            ),
        )
    )
    statement = insert(Consent).from_select(list(values), rows, include_defaults=False)
    written = statement.returning(Consent.action).cte("written")
    query = select(written.c.action, func.count()).group_by(written.c.action)
    found = {name: number for name, number in db.session().execute(query)}  # noqa: C416
    return found.get("import_attested", 0), found.get("withdraw", 0)


def _event(row: Import, contact: Any, action: Any, method: Any) -> dict[str, Any]:
    """Give the columns of a consent event; its id is the row's."""
    return {
        "id": ImportRow.id,
        "account_id": ImportRow.account_id,
        "contact_id": contact,
        "action": action,
        "purpose": literal("marketing"),
        "method": method,
        "source": literal(row.consent_place),
        "wording_id": literal(row.wording_id, Import.wording_id.type),
        "agreed_on": func.coalesce(
            ImportRow.said_on, literal(row.consent_on, Import.consent_on.type)
        ),
        "import_id": ImportRow.import_id,
        "row_number": ImportRow.line,
        "file_digest": literal(row.file_digest),
        "idxs": func.array_remove(array([ImportRow.idx, *_others(row)]), null()),
    }


def _update(row: Import, changed: ColumnElement[bool]) -> int:
    agreed = and_(verdicts.grants(row), Contact.consent == "none")
    refused = and_(ImportRow.said == "no", Contact.consent == "opted_in")
    values: dict[str, Any] = {
        name: case(
            (verdicts.brings(row, name), getattr(ImportRow, name)),
            else_=getattr(Contact, name),
        )
        for name in verdicts.PLAIN
    }
    values |= {
        "attributes": verdicts.merged(row),
        "consent": case(
            (agreed, "opted_in"), (refused, "opted_out"), else_=Contact.consent
        ),
        "consent_id": case((or_(agreed, refused), ImportRow.id), else_=Contact.consent_id),
        "consent_at": case((or_(agreed, refused), func.now()), else_=Contact.consent_at),
        "updated_at": func.clarion_now(),
    }
    result: Any = db.session().execute(
        update(Contact)
        .where(changed, *_its_contact())
        .values(values)
        .execution_options(synchronize_session=False, audited=True)
    )
    return int(result.rowcount)


def _addresses(row: Import, new: ColumnElement[bool], changed: ColumnElement[bool]) -> None:
    """Attach the addresses; the one that names a new person has the row's own id."""
    given = {"phone": (ImportRow.phone, ImportRow.idx), **_beside(row)}
    naming = select(
        ImportRow.id.label("id"),
        ImportRow.id.label("contact_id"),
        case(*((value != "", kind) for kind, (value, _idx) in given.items())).label("kind"),
        case(*((value != "", value) for value, _idx in given.values())).label("value"),
        ImportRow.idx.label("idx"),
    )
    identifiers.attach_new(naming.where(new).order_by(ImportRow.line), "import")
    for kind, (value, idx) in _beside(row).items():
        more = select(
            func.clarion_new_id().label("id"),
            func.coalesce(ImportRow.contact_id, ImportRow.id).label("contact_id"),
            literal(kind).label("kind"),
            value.label("value"),
            idx.label("idx"),
        )
        some = and_(or_(new, changed), value != "")
        identifiers.attach_selected(more.where(some), "import")


def _beside(row: Import) -> dict[str, tuple[Any, Any]]:  # Any: columns
    """Give the addresses beside the number, by kind, with their indexes."""
    email = {"email": (ImportRow.email, ImportRow.email_idx)}
    if not verdicts.without_numbers(row):
        return email
    return {
        "wa_id": (ImportRow.wa_id, ImportRow.wa_idx),
        "bsuid": (ImportRow.bsuid, ImportRow.bsuid_idx),
        "parent_bsuid": (ImportRow.parent_bsuid, ImportRow.parent_idx),
        **email,
    }


def _others(row: Import) -> list[Any]:  # Any: columns
    """Give the indexes beside that which names a person, each once."""
    return [func.nullif(idx, ImportRow.idx) for _value, idx in _beside(row).values()]


def _taggings(row: Import, part: ColumnElement[bool]) -> None:
    wanted = (
        select(
            func.coalesce(ImportRow.contact_id, ImportRow.id).label("contact_id"),
            func.jsonb_array_elements_text(verdicts.wanted_tags(row)).label("key"),
        )
        .where(part, ImportRow.state.in_(("new", "changed")))
        .subquery("wanted")
    )
    rows = select(
        func.clarion_new_id(),
        func.clarion_account(),
        wanted.c.contact_id,
        Tag.id,
        literal(row.id, Import.id.type),
    ).join(Tag, and_(Tag.account_id == current_account(), Tag.key == wanted.c.key))
    names = ["id", "account_id", "contact_id", "tag_id", "import_id"]
    statement = insert(Tagging).from_select(names, rows, include_defaults=False)
    db.session().execute(statement.on_conflict_do_nothing())


def _its_contact() -> tuple[ColumnElement[bool], ...]:
    """Join a row to the contact it found."""
    return (
        Contact.account_id == ImportRow.account_id,
        Contact.id == ImportRow.contact_id,
    )


def _method(row: Import) -> str:
    return row.consent_source or "import"


def _named(value: Any) -> Any:
    return cast(value, Text) if isinstance(value, str) else value


def _finish(row: Import, result: dict[str, int]) -> None:
    row = uploads.get(row.id, lock=True)
    row.counts = {**row.counts, **verdicts.counted(row)}
    row.state, row.result, row.progress = "done", result, row.row_count
    row.finished_at = row.beat_at = func.clarion_now()
    row.expires_at = func.clarion_now() + KEPT
    audit.record("contacts.import.finished", row, **result)
    outbox.publish(ImportFinished(import_id=row.id))
