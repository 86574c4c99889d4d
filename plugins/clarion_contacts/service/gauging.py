"""What a list is like, told to the watch for misuse without anybody on it; and the quota."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.messaging import quotas
from clarion.misuse import facts
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Contact, ImportRow
from clarion_contacts.service import uploads

READABLE = ("new", "changed", "same", "suppressed", "duplicate")


def gauge(import_id: UUID) -> None:
    """Tell what a checked list is like: sizes and shares. Its numbers stay in here."""
    row = uploads.get(import_id)
    if row.state not in ("checked", "importing", "done"):
        return
    mine = (
        ImportRow.account_id == current_account(),
        ImportRow.import_id == row.id,
        ImportRow.state.in_(READABLE),
        ImportRow.phone != "",
    )
    numbers = (
        select(ImportRow.phone)
        .where(*mine)
        .group_by(ImportRow.phone)
        .order_by(ImportRow.phone)
        .limit(facts.SAMPLE)
    )
    countries = select(func.count(ImportRow.country.distinct())).where(
        *mine, ImportRow.country != ""
    )
    states: dict[str, Any] = row.counts.get("states", {})
    facts.listed(
        row.id,
        rows=row.row_count,
        invalid=states.get("invalid", 0),
        numbers=list(db.session().scalars(numbers)),
        countries=db.session().scalar(countries) or 0,
        attested=row.consent_source not in ("", "none"),
    )


def require_room(more: int, *, added: int = 0, wait: bool = True) -> None:
    """Refuse people above the account's quota.

    Args:
        more: how many.
        added: how many of them this transaction has added already.
        wait: whether others wait until this transaction ends; without, it is a look only.
    """
    if more > 0 and quotas.of("people") is not None:
        if wait:
            quotas.alone("people")
        quotas.require("people", have=_people() - added, more=more)


def lacks_room(more: int, *, wait: bool = True) -> str:
    """Say in the team's words why so many more people may not be added; "" if they may."""
    try:
        require_room(more, wait=wait)
    except Conflict as refused:
        return refused.text
    return ""


def _people() -> int:
    count = select(func.count()).where(Contact.account_id == current_account())
    return db.session().scalar(count) or 0


quotas.counted("people", _people)
