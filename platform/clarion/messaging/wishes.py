"""What people told the provider, stop or resume: in the order they said it, not of arrival.

The last time of each is kept per address, so that an event that comes late changes nothing
that was said after it. In the same second, stop is taken for the later one.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import LargeBinary, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import db
from clarion.base.db import Wall, column
from clarion.base.trails import NoTrail
from clarion.messaging import identifiers, ledger, suppression, timing
from clarion.tenancy.models import AccountBase, Time
from clarion.tenancy.scope import current_account

REASON = "provider_stop"
Named = Sequence[tuple[str, str]]


class ProviderWish(AccountBase):
    """When somebody last said stop, and resume, to a provider; keyed, not readable."""

    __tablename__ = "provider_wish"
    __table_args__ = (UniqueConstraint("account_id", "idx"),)
    wall = Wall(kind="content", app=("SELECT", "INSERT", "UPDATE (stopped_at, resumed_at)"))
    trail = NoTrail("what people told the provider, with its moments")
    owner_unique = False

    idx: Mapped[bytes] = column(
        LargeBinary, pd="contact.index", export=False, erase="keep:suppression"
    )
    stopped_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    resumed_at: Mapped[dt.datetime | None] = column(Time, pd=None)


def stop(
    named: Named,
    *,
    at: dt.datetime | None = None,
    scope: suppression.Scope = "marketing",
    contact_id: UUID | None = None,
) -> None:
    """Honour that somebody stopped us at the provider, unless they resumed since.

    Args:
        named: the (kind, value) pairs the event names.
        at: when they said so; None: the provider refused a message for it just now.
        scope: what they do not want.
        contact_id: whose the addresses are, when known.
    """
    idxs = _locked(named, contact_id)
    _note(named, "stopped_at", at or timing.now())
    if _stands(idxs):
        suppression.suppress(named, scope=scope, reason=REASON, contact_id=contact_id)


def resume(named: Named, *, at: dt.datetime) -> None:
    """Lift what somebody stopped at the provider, unless they stopped it again since."""
    idxs = _locked(named, None)
    _note(named, "resumed_at", at)
    if not _stands(idxs):
        suppression.resume(named, lifts=(REASON,))


def uphold(named: Named) -> None:
    """Let a stop at the provider stand after another one of the person was lifted."""
    if _stands(_locked(named, None)):
        suppression.suppress(named, reason=REASON)


# --- private


def _locked(named: Named, contact_id: UUID | None) -> set[bytes]:
    """Lock the person; returns every address they have or had, by blind index."""
    given = {identifiers.index(kind, value) for kind, value in named}
    found = set(identifiers.find_many(given).values())
    if contact_id is not None:
        found.add(contact_id)
    ledger.lock_contacts(found, given)
    return suppression.of_person(given, found)


def _note(named: Iterable[tuple[str, str]], what: str, at: dt.datetime) -> None:
    rows = [
        {"id": db.new_id(), "idx": idx, what: at}
        for idx in sorted({identifiers.index(kind, value) for kind, value in named})
    ]
    if not rows:
        return
    row = insert(ProviderWish).values(rows)
    latest = func.greatest(getattr(ProviderWish, what), getattr(row.excluded, what))
    db.session().execute(
        row.on_conflict_do_update(index_elements=["account_id", "idx"], set_={what: latest})
    )


def _stands(idxs: set[bytes]) -> bool:
    query = select(
        func.max(ProviderWish.stopped_at), func.max(ProviderWish.resumed_at)
    ).where(ProviderWish.account_id == current_account(), ProviderWish.idx.in_(idxs))
    stopped, resumed = db.session().execute(query).one()
    return stopped is not None and (resumed is None or stopped >= resumed)
