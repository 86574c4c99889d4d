"""Numbers and ids that change hands, and contacts that may be one person.

What a provider says about one person is applied at once: the new identifier is theirs, the
old one is nobody's, silence comes along, and nothing that waits goes to the old one. What
it says about two contacts is a question for the account: nobody is merged here.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import update

from clarion.base import db
from clarion.base.telemetry import counter, logger
from clarion.messaging import identifiers, ledger, parts, suppression, twins
from clarion.messaging.events import IdentityChanged
from clarion.messaging.models import Identifier
from clarion.tenancy import audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox

log = logger(__name__)
Named = Sequence[tuple[str, str]]
changes = counter("identity_changes_total", "Numbers and ids that changed", ("result",))

audit.label("messaging.identity.changed", "Has another number or id")


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of a change: whose it is, and who else the new identifiers belong to."""

    contact_id: UUID | None
    taken_by: UUID | None = None


def change(
    before: Named,
    after: Named,
    *,
    source: str,
    what: str = "number",
    contact_id: UUID | None = None,
) -> Changed:
    """Apply that a person has other identifiers now; nobody is merged.

    Args:
        before: (kind, value) pairs that are theirs no more.
        after: those that are theirs now.
        source: who says so: `provider`, `team`.
        what: `number` or `id`, for the log.
        contact_id: whose they are, when a person says so; found by `before` otherwise.

    Repeating it changes nothing. Where a new identifier is another contact's, it stays
    theirs and a doubt is raised; the old one ends all the same, if a provider says so: it
    may be a stranger's already.
    """
    old, new = identifiers.certain(before), identifiers.certain(after)
    gone = {identifiers.index(k, v) for k, v in old}
    come = {identifiers.index(k, v) for k, v in new}
    gone -= come
    owners = identifiers.find_many(gone | come)
    ledger.lock_contacts(
        {*owners.values(), *([contact_id] if contact_id else [])}, gone | come
    )
    owners = identifiers.find_many(
        gone | come
    )  # as it is now that nobody else may change it
    suppression.follow(gone, [(k, v) for k, v in new if identifiers.index(k, v) in come])
    had = {owners[idx] for idx in gone if idx in owners}
    mine = contact_id or (next(iter(had)) if len(had) == 1 else None)
    if mine is None:
        changes.labels("nobody").inc()
        return Changed(None)
    taken = sorted({owners[idx] for idx in come if owners.get(idx, mine) != mine})
    for other in taken:
        twins.doubt(mine, other, f"{what}_changed")
    if taken and source != "provider":
        return Changed(mine, taken[0])
    identifiers.attach(
        mine, [one for one in new if identifiers.index(*one) not in owners], source
    )
    ended = identifiers.end(mine, gone)
    if ended or any(idx not in owners for idx in come):
        audit.record("messaging.identity.changed", None, contact=mine, what=what)
        outbox.publish(IdentityChanged(contact_id=mine, what=what))
    changes.labels("taken" if taken else "changed").inc()
    return Changed(mine, taken[0] if taken else None)


def owner(named: Named, source: str) -> UUID | None:
    """Find whose identifiers these are, and learn those that are new.

    A user name finds nobody: it can pass to somebody else. It is kept for display with
    who wrote under it last.
    """
    idxs = {identifiers.index(*one): one for one in identifiers.usable(named)}
    found = identifiers.find_many(idxs)
    certain = [idx for idx, (kind, _value) in idxs.items() if kind != "username"]
    owners = sorted({found[idx] for idx in certain if idx in found})
    for one, other in itertools.combinations(owners, 2):
        twins.doubt(one, other, "named_both")
    if len(owners) != 1:
        return None  # nobody we know, or two people: never guessed
    identifiers.attach(
        owners[0], [idxs[idx] for idx in certain if idx not in found], source
    )
    for idx, (kind, value) in idxs.items():
        if kind == "username" and found.get(idx) != owners[0]:
            identifiers.call(owners[0], value, source)
    return owners[0]


# --- contacts that become one, and two again


def join(contact_id: UUID, into: UUID) -> dict[str, list[str]]:
    """Give all identifiers of one contact to another, with silence and what waits.

    The caller holds both contacts' locks. Returns what `part` needs to take it back.
    """
    moved = db.session().scalars(
        update(Identifier)
        .where(
            Identifier.account_id == current_account(), Identifier.contact_id == contact_id
        )
        .values(contact_id=into)
        .returning(Identifier.id)
        .execution_options(synchronize_session=False)
    )
    found = [str(one) for one in moved]
    suppression.share(contact_id, into)
    parts.join(contact_id, into)
    waiting = ledger.hand_over(contact_id, into)
    return {"identifiers": found, "messages": [str(one) for one in waiting]}


def part(contact_id: UUID, into: UUID, joined: dict[str, Any], own: Iterable[UUID]) -> None:
    """Give back what `join` took; silence stays with both.

    The caller holds both contacts' locks, and says who else is part of the one that goes.
    """
    parts.part(contact_id, own)
    db.session().execute(
        update(Identifier)
        .where(
            Identifier.account_id == current_account(),
            Identifier.contact_id == into,
            Identifier.id.in_([UUID(one) for one in joined["identifiers"]]),
        )
        .values(contact_id=contact_id)
        .execution_options(synchronize_session=False)
    )
    suppression.share(into, contact_id)
    ledger.give_back([UUID(one) for one in joined["messages"]], contact_id)
