"""What the team did with people's tags, lists and fields: for each person's timeline."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import String, func, insert, literal, select

from clarion.base import db
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Contact
from clarion_contacts.records import Deed

What = Literal["tag", "untag", "list", "unlist", "field"]
LONGEST = 120


def note(what: What, name: str, contact_ids: Sequence[UUID]) -> None:
    """Write down that these people got or lost something, in one statement for them all."""
    if not contact_ids:
        return
    values = {
        "id": func.clarion_new_id(),
        "account_id": func.clarion_account(),
        "contact_id": Contact.id,
        "what": literal(what, String),
        "name": literal(name[:LONGEST], String),
    }
    rows = select(*values.values()).where(
        Contact.account_id == current_account(), Contact.id.in_(contact_ids)
    )
    statement = insert(Deed).from_select(list(values), rows, include_defaults=False)
    db.session().execute(statement)
