"""Who became part of whom: a merged contact's id leads to the one it is part of."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from clarion.base import db
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Contact

DEEPEST = 30  # merges in a row; far beyond what people do


def everyone(contact_id: UUID) -> Select[Any]:
    """Select a contact's id and those of all who became part of it, however long ago."""
    table = db.table_of(Contact)
    found = (
        select(table.c.id)
        .where(table.c.account_id == current_account(), table.c.id == contact_id)
        .cte("everyone", recursive=True)
    )
    parts = select(table.c.id).where(
        table.c.account_id == current_account(), table.c.merged_into == found.c.id
    )
    found = found.union(parts)
    return select(found.c.id)


def parts_of(contact_ids: Iterable[UUID]) -> list[UUID]:
    """List who became part of some contacts, at any depth; not these themselves."""
    table = db.table_of(Contact)
    seen: set[UUID] = set()
    level = list(contact_ids)
    while level:
        query = select(table.c.id).where(
            table.c.account_id == current_account(), table.c.merged_into.in_(level)
        )
        level = [one for one in db.session().scalars(query) if one not in seen]
        seen.update(level)
    return sorted(seen)


def survivors(contact_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Say under which id each of these people is found now; erased ones are left out."""
    table = db.table_of(Contact)
    now = {one: one for one in contact_ids}
    for _step in range(DEEPEST):
        query = select(table.c.id, table.c.merged_into).where(
            table.c.account_id == current_account(), table.c.id.in_(set(now.values()))
        )
        found = {row.id: row.merged_into or row.id for row in db.session().execute(query)}
        after = {one: found[at] for one, at in now.items() if at in found}
        if after == now:
            break
        now = after
    return now
