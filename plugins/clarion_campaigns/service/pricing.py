"""What a campaign costs at most, by the price list its provider's operator has entered."""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Select

from clarion.messaging import prices
from clarion.messaging.prices import Quote
from clarion_campaigns.models import Draft
from clarion_campaigns.service.drafts import DraftView, about, fillings, listed
from clarion_contacts import contract as contacts


def quoted(
    segment: Mapping[str, Any],
    variables: Mapping[str, Any],
    purpose: str,
    sender_id: UUID | None,
    at: dt.datetime | None = None,
    *,
    about: str = "",
    people_of: Select[Any] | None = None,
) -> Quote | None:
    """Say what messages to a segment's people cost at most; None: no price is known."""
    if sender_id is None or not prices.known(sender_id, purpose):
        return None
    people: dict[str, int] = {}
    places = contacts.places(segment, variables, purpose, about=about, listed=people_of)
    for _zone, country, count in places:
        people[country] = people.get(country, 0) + count
    return prices.quote(sender_id, purpose, people.items(), at)


def of(row: Draft) -> Quote | None:
    """Say what a draft costs at most as it is now, at the prices of its beginning."""
    return quoted(
        row.segment,
        fillings(row.variables),
        row.purpose,
        row.sender_id,
        row.starts_at,
        about=about(row),
        people_of=listed(row.check_id),
    )


def shown(
    draft: DraftView, purpose: str, *, these: Select[Any] | None = None
) -> Quote | None:
    """Say what a draft costs at most: as it was launched, or as it is written now.

    With the list of a dry run it is its people who are paid for.
    """
    if draft.ceiling is not None or not draft.editable:
        return draft.ceiling
    return quoted(
        draft.segment,
        draft.fillings,
        purpose,
        draft.sender_id,
        draft.schedule.starts_at(),
        about=about(draft),
        people_of=these,
    )


def note(row: Draft) -> Quote | None:
    """Keep what a draft costs at most as it is launched: its ceiling from here on."""
    found = of(row)
    row.ceiling_micros = None if found is None else found.micros
    row.currency = "" if found is None else found.currency
    return found


def ceiling(row: Draft) -> dict[str, Any]:
    """Say the ceiling an approval is bound to; another one once it would be broken.

    It may cost less: who said STOP is not paid for.
    """
    found = of(row)
    kept = {"currency": row.currency, "micros": row.ceiling_micros}
    if found is None:
        now: dict[str, Any] = {"currency": "", "micros": None}
    else:
        now = {"currency": found.currency, "micros": found.micros}
    holds = (
        row.ceiling_micros is not None
        and found is not None
        and found.currency == row.currency
        and found.micros <= row.ceiling_micros
    )
    return kept if holds else now
