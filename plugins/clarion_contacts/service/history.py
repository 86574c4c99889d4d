"""A contact's history of consent, each event with its words, its evidence and its seal."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.orm import undefer

from clarion.base import crypto, db
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Consent, Wording
from clarion_contacts.records import Topic
from clarion_contacts.service import chain, lineage

MOST = 100


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """One event of a contact's consent, with the words they saw."""

    id: UUID
    action: str
    purpose: str
    channel: str
    topic: str
    method: str
    source: str
    agreed_on: dt.date | None
    at: dt.datetime
    by: str
    wording: str
    row_number: int | None
    import_id: UUID | None
    evidence: str
    seal: chain.State


def history(contact_id: UUID) -> list[ConsentLine]:
    """List the events of a contact's consent, newest first; two queries."""
    query = (
        select(Consent, func.coalesce(Wording.text, ""), func.coalesce(Topic.name, ""))
        .outerjoin(
            Wording,
            and_(
                Wording.account_id == Consent.account_id, Wording.id == Consent.wording_id
            ),
        )
        .outerjoin(
            Topic,
            and_(Topic.account_id == Consent.account_id, Topic.id == Consent.topic_id),
        )
        .options(undefer(Consent.evidence))
        .where(
            Consent.account_id == current_account(),
            Consent.contact_id.in_(lineage.everyone(contact_id)),
        )
        .order_by(Consent.created_at.desc(), Consent.id.desc())
        .limit(MOST)
    )
    rows = db.session().execute(query).all()
    seals = chain.states([event.id for event, _words, _topic in rows])
    return [
        ConsentLine(
            id=event.id,
            action=event.action,
            purpose=event.purpose,
            channel=event.channel,
            topic=topic,
            method=event.method,
            source=event.source,
            agreed_on=event.agreed_on,
            at=event.created_at,
            by=event.created_by,
            wording=words,
            row_number=event.row_number,
            import_id=event.import_id,
            evidence=opened(event.id, event.evidence),
            seal=seals[event.id],
        )
        for event, words, topic in rows
    ]


def opened(event_id: UUID, sealed: bytes | None) -> str:
    """Open what was given as evidence beside the words."""
    if sealed is None:
        return ""
    plain = crypto.unseal(sealed, place=place_of(event_id), account_id=current_account())
    return plain.decode()


def place_of(event_id: UUID) -> str:
    """Name the one place in which an event's evidence opens."""
    return f"contacts_consent.evidence:{event_id}"
