"""Who has lost every second factor: what staff decide about it, and what they may not."""

from dataclasses import dataclass
from uuid import UUID

from clarion.base import db
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.console.roles import require_own
from clarion.tenancy import recovery
from clarion.tenancy.changes import Recovery
from clarion.tenancy.scope import current_actor
from clarion.web.staff import may
from clarion.work import recovering


@dataclass(frozen=True, slots=True)
class Row:
    """One request as the page lists it."""

    of: Recovery
    staff: bool
    open: bool
    decidable: bool
    why_not: str


def listing() -> list[Row]:
    """List what waits, then what is over."""
    return [_row(one) for one in recovery.listing()]


def agree(recovery_id: UUID, how: str) -> Recovery:
    """Agree to it as the first or the second; of staff only who may what they may."""
    _not_above(recovery_id)
    row = recovery.agree(recovery_id, how)
    if row.state == "approved":
        recovering.tell.later(row.id, "approved")
    return row


def refuse(recovery_id: UUID) -> None:
    """Decide against it; they are told."""
    row = recovery.refuse(recovery_id)
    recovering.tell.later(row.id, "refused")


def _not_above(recovery_id: UUID) -> None:
    row = db.session().get(Recovery, recovery_id)
    if row is None:
        raise NotFound("recovery_unknown", _("There is no such request."))
    kind, _colon, key = row.subject.partition(":")
    if kind == "s":
        require_own(may(db.session(), int(key))[1])


def _row(one: Recovery) -> Row:
    me = current_actor()
    is_open = one.state in recovery.OPEN
    why = ""
    if one.subject == f"s:{me.id}":
        why = _("It is your own: two colleagues decide.")
    elif one.state == "asked" and one.first_by == me.label:
        why = _("You have agreed; a colleague has to, too.")
    return Row(
        of=one,
        staff=one.subject.startswith("s:"),
        open=is_open,
        decidable=one.state == "asked" and not why,
        why_not=why,
    )
