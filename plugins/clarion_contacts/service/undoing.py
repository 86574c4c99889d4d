"""An import taken back: exactly what it added goes, and never a wish not to be contacted."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.messaging import identifiers
from clarion.messaging.models import Identifier, Message
from clarion.tenancy import audit
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import ours
from clarion_contacts.models import Consent, Contact, Import, ImportRow, Tag, Tagging
from clarion_contacts.service import leftovers, lists, uploads, verdicts
from clarion_contacts.service.applying import alone


def take_back(import_id: UUID) -> None:
    """Take an import back, in one transaction.

    People it added are erased, unless somebody wrote to them or changed them since; then
    only their consent from this list ends. People it changed look as before, unless they
    were changed again. Harmless when called again.
    """
    alone(import_id)
    row = uploads.get(import_id)
    if row.state != "undoing":
        return
    verdicts.plan_for_sets()
    restored = _restore(row)
    _forget_addresses(row)
    erased = _erase(row)
    withdrawn = _withdraw(row)
    _untag(row)
    lists.take_back(row.id)
    fields = leftovers.drop_fields(row.id)
    row = uploads.get(import_id, lock=True)
    kept = int(row.result.get("created", 0)) - erased
    row.result = {
        **row.result,
        "erased": erased,
        "restored": restored,
        "withdrawn_again": withdrawn,
        "kept": kept,
        "fields": fields,
    }
    row.state, row.progress = "undone", row.row_count
    audit.record("contacts.import.undone", row, erased=erased, restored=restored, kept=kept)


def _untouched(row: Import) -> ColumnElement[bool]:
    return or_(Contact.updated_at.is_(None), Contact.updated_at <= row.finished_at)


def _restore(row: Import) -> int:
    """Give changed contacts back what they were."""
    values: dict[str, Any] = {
        # what an earlier release did not change, it did not write down
        name: func.coalesce(ImportRow.before[name].astext, getattr(Contact, name))
        for name in verdicts.PLAIN
    }
    result: Any = db.session().execute(
        update(Contact)
        .where(
            ImportRow.account_id == current_account(),
            ImportRow.import_id == row.id,
            ImportRow.before.is_not(None),
            Contact.account_id == ImportRow.account_id,
            Contact.id == ImportRow.contact_id,
            _untouched(row),
        )
        .values({**values, "attributes": ImportRow.before["attributes"]})
        .execution_options(synchronize_session=False, audited=True)
    )
    return int(result.rowcount)


def _forget_addresses(row: Import) -> None:
    """Remove addresses the list added to people who were there before."""
    added = exists().where(
        ImportRow.account_id == Identifier.account_id,
        ImportRow.import_id == row.id,
        ImportRow.before.is_not(None),
        ImportRow.contact_id == Identifier.contact_id,
        or_(
            ImportRow.email_idx == Identifier.idx,
            ImportRow.wa_idx == Identifier.idx,
            ImportRow.bsuid_idx == Identifier.idx,
            ImportRow.parent_idx == Identifier.idx,
        ),
    )
    unused = ~exists().where(
        Contact.account_id == Identifier.account_id,
        Contact.id == Identifier.contact_id,
        Contact.email == Identifier.value,
    )
    db.session().execute(
        delete(Identifier)
        .where(
            Identifier.account_id == current_account(),
            Identifier.kind.in_(("email", *ours.IDS)),
            Identifier.source == "import",
            Identifier.created_at >= row.started_at,
            Identifier.created_at <= row.finished_at,
            added,
            unused,
        )
        .execution_options(synchronize_session=False, audited=True)
    )


def _erase(row: Import) -> int:
    """Erase the people the list added and nobody has had to do with since."""
    written_to = exists().where(
        Message.account_id == Contact.account_id, Message.contact_id == Contact.id
    )
    mine = and_(
        Contact.account_id == current_account(),
        Contact.import_id == row.id,
        _untouched(row),
        ~written_to,
    )
    identifiers.forget(select(Contact.id).where(mine))
    result: Any = db.session().execute(
        delete(Contact)
        .where(mine)
        .execution_options(synchronize_session=False, audited=True)
    )
    return int(result.rowcount)


def _withdraw(row: Import) -> int:
    """End the consent this list brought to people who stay."""
    named: dict[str, Any] = {
        "id": func.clarion_new_id(),
        "account_id": func.clarion_account(),
        "contact_id": Contact.id,
        "action": literal("correct"),
        "purpose": literal("marketing"),
        "method": literal("import"),
        "source": literal("", String),
        "import_id": literal(row.id, Import.id.type),
        "row_number": Consent.row_number,
        "file_digest": literal(row.file_digest),
    }
    mine = and_(
        Consent.account_id == current_account(),
        Consent.import_id == row.id,
        Consent.action == "import_attested",
        Contact.account_id == Consent.account_id,
        Contact.consent_id == Consent.id,
    )
    rows = select(*named.values()).join(Consent, mine)
    statement = insert(Consent).from_select(list(named), rows, include_defaults=False)
    db.session().execute(statement)
    result: Any = db.session().execute(
        update(Contact)
        .where(mine)
        .values(consent="none", consent_id=None, consent_at=None)
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)


def _untag(row: Import) -> None:
    """Take off the tags the list put on, and remove those it made for nobody else."""
    db.session().execute(
        delete(Tagging)
        .where(Tagging.account_id == current_account(), Tagging.import_id == row.id)
        .execution_options(synchronize_session=False)
    )
    held = exists().where(Tagging.account_id == Tag.account_id, Tagging.tag_id == Tag.id)
    db.session().execute(
        delete(Tag)
        .where(Tag.account_id == current_account(), Tag.import_id == row.id, ~held)
        .execution_options(synchronize_session=False)
    )
