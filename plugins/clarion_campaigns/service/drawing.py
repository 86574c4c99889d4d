"""Twenty people of a dry run, drawn by chance: their message as they read it, and why."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Text, cast, func, literal, select

from clarion.base import db
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_campaigns.models import Listed
from clarion_campaigns.service import dry_run, review
from clarion_campaigns.service.drafts import about, found, view
from clarion_contacts import contract as contacts

DRAWN = 20


@dataclass(frozen=True, slots=True)
class Drawn:
    """One person of a list: what becomes of them, and the message as they would read it.

    Attributes:
        stands: `gets`, `later` or `out`.
        title: the verdict in words.
        why: the same at length.
    """

    contact_id: UUID
    name: str
    phone: str
    stands: str
    title: str
    why: str
    leaves_at: dt.datetime | None
    message: review.Message


def draw(draft_id: UUID, number: int = 0) -> list[Drawn]:
    """Draw people from a campaign's last dry run; four queries for any number of people.

    Args:
        draft_id: which campaign.
        number: of the draw: the same number and list, the same people.
    """
    access.require("campaigns.view")
    row = found(draft_id)
    check = dry_run.last(row)
    if check is None or check.state != "ready":
        return []
    lot = func.hashtext(cast(Listed.contact_id, Text) + literal(f"/{number}"))
    query = (
        select(Listed.contact_id, Listed.reason, Listed.note, Listed.leaves_at)
        .where(dry_run.of(check.id))
        .order_by(lot, Listed.contact_id)
        .limit(DRAWN)
    )
    some = db.session().execute(query).all()
    ids = [one.contact_id for one in some]
    draft = view(row)
    these = select(Listed.contact_id, Listed.reason).where(
        Listed.account_id == current_account(),
        Listed.check_id == check.id,
        Listed.contact_id.in_(ids),
    )
    read = contacts.audience(
        draft.segment,
        draft.fillings,
        dry_run.purpose_of(row),
        about=about(row),
        listed=these,
    ).subquery("read")
    values = dict(
        db.session().execute(select(read.c.contact_id, read.c.variables)).tuples().all()
    )
    who, template = contacts.labels(ids), review.template_of(draft)
    drawn = []
    for contact_id, reason, note, at in some:
        name, phone = who.get(contact_id, ("", ""))
        said = dry_run.words(reason, note)
        drawn.append(
            Drawn(
                contact_id=contact_id,
                name=name,
                phone=phone,
                stands="out" if reason else "later" if note else "gets",
                title=said.title,
                why=said.why,
                leaves_at=at,
                message=review.message(template, values.get(contact_id, {})),
            )
        )
    return drawn
