"""The proof card of a message: who agreed, to which words, when, where, and what was checked.

Read from the ledger, the consent event the message was sent on, the words, the list it
came from and the chain; in a fixed number of queries for any number of messages.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import aliased

from clarion.base import db
from clarion.base.errors import NotFound
from clarion.base.words import Lazy, _, lazy
from clarion.messaging.models import (
    Attempt,
    Campaign,
    InboundMessage,
    Message,
    Suppression,
)
from clarion.tenancy import access
from clarion.tenancy.models import Account, Person
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Consent, Contact, Import, Wording
from clarion_contacts.records import Topic
from clarion_contacts.service import chain
from clarion_contacts.service.attestation import text_of
from clarion_contacts.service.history import opened

_INBOUND, _PERSON = "inbound_message:", "person:"
GIVES = ("grant", "import_attested")
SCHEMA = "https://clarion.example/schemas/consent-receipt/1"  # a name, not a place
POLICIES: tuple[tuple[str, dt.datetime], ...] = (
    ("2026-11", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)),
)
"""Versions of the rules a message had to meet before it left, each with when it began."""
MISSING: dict[str, Lazy] = {
    "event": lazy("no event of consent"),
    "gives": lazy("the event gives no consent"),
    "late": lazy("the consent is younger than the message"),
    "wording": lazy("no words"),
    "source": lazy("no place where it was given"),
    "attestation": lazy("no statement for the list"),
    "row": lazy("no row of the list"),
    "check": lazy("no check of the do-not-contact list"),
    "listed": lazy("the person was on the do-not-contact list"),
    "chain": lazy("the chain is broken"),
}


@dataclass(frozen=True, slots=True)
class Attested:
    """What was stated for the list a consent came with."""

    import_id: UUID
    file_name: str
    file_digest: str
    row: int | None
    by: str
    at: dt.datetime | None
    version: str
    text: str


@dataclass(frozen=True, slots=True)
class Agreed:
    """The event a message was sent on."""

    id: UUID
    action: str
    purpose: str
    channel: str
    topic: str
    method: str
    source: str
    agreed_on: dt.date | None
    recorded_at: dt.datetime
    recorded_by: str
    wording: str
    wording_version: str
    wording_digest: str
    addresses: int
    evidence: str
    evidence_ref: str
    evidence_at: dt.datetime | None
    attested: Attested | None
    seal: str


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that shows why one message was allowed to leave.

    Attributes:
        needed: whether its purpose needs consent at all.
        checked_at: when the do-not-contact list was asked: in the statement that let it
            leave. None when nothing left.
        listed: whether a stop was in force at that moment, which must never be.
        missing: what a complete proof lacks, by names of `MISSING`; empty when complete.
    """

    message_id: UUID
    business: str
    contact_id: UUID
    name: str
    address: str
    campaign: str
    template: str
    purpose: str
    state: str
    needed: bool
    checked_at: dt.datetime | None
    provider_id: str
    listed: bool
    agreed: Agreed | None
    policy: str
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Say whether nothing is missing."""
        return not self.missing


def card(message_id: UUID) -> Card:
    """Write the proof card of one message."""
    access.require("contacts.view")
    found = cards([message_id])
    if not found:
        raise NotFound("message_unknown", _("There is no such message."))
    return found[0]


def cards(message_ids: Iterable[UUID]) -> list[Card]:
    """Write the cards of many messages, in the order of their ids; five queries at most."""
    rows = db.session().execute(_query(list(message_ids))).mappings().all()
    events = [row["Consent"] for row in rows if row["Consent"] is not None]
    beside = _Beside(
        chain.states([event.id for event in events]), _heard(events), _names(events)
    )
    return [_card(row, beside) for row in rows]


def receipt(one: Card) -> dict[str, Any]:
    """Write a card as a consent receipt for machines; fields after ISO/IEC TS 27560."""
    access.require("contacts.view")
    agreed = one.agreed
    return {
        "schema": SCHEMA,
        "record_id": str(agreed.id) if agreed else None,
        "pii_controller": one.business,
        "pii_principal": {
            "id": str(one.contact_id),
            "addresses": agreed.addresses if agreed else 0,
        },
        "processing": {
            "purpose": one.purpose,
            "consent_needed": one.needed,
            "method": agreed.method if agreed else None,
            "channel": agreed.channel if agreed else None,
            "topic": agreed.topic if agreed else None,
        },
        "notice": {
            "text": agreed.wording,
            "version": agreed.wording_version,
            "sha256": agreed.wording_digest,
        }
        if agreed
        else None,
        "event": _event(agreed) if agreed else None,
        "attestation": _json(asdict(agreed.attested))
        if agreed and agreed.attested
        else None,
        "message": {
            "id": str(one.message_id),
            "campaign": one.campaign,
            "template": one.template,
            "state": one.state,
            "provider_id": one.provider_id,
            "suppression_checked_at": _iso(one.checked_at),
            "suppressed_then": one.listed,
            "policy": one.policy,
        },
        "complete": one.complete,
        "missing": list(one.missing),
    }


def policy_at(moment: dt.datetime | None) -> str:
    """Say which version of the rules was in force."""
    known = [name for name, since in POLICIES if moment is None or since <= moment]
    return known[-1] if known else POLICIES[0][0]


# --- reading


def _query(ids: list[UUID]) -> Select[Any]:
    stated = aliased(Wording)
    return (
        select(
            Message.id, Message.contact_id, Message.address, Message.purpose, Message.state,
            Account.name.label("business"),
            func.coalesce(Contact.name, "").label("name"),
            func.coalesce(Campaign.name, "").label("campaign"),
            func.coalesce(Campaign.template["name"].astext, "").label("template"),
            Attempt.intent_at, func.coalesce(Attempt.provider_id, "").label("provider_id"),
            Consent, Consent.evidence.label("sealed"),
            func.coalesce(Wording.text, "").label("words"), Wording.version,
            Wording.digest, func.coalesce(Topic.name, "").label("topic"),
            Import.file_name, Import.attested_by, Import.attested_at,
            Import.attestation_version, Import.attestation_digest,
            stated.text.label("stated"), _listed().label("listed"),
        )
        .select_from(Message)
        .join(Account, Account.id == Message.account_id)
        .outerjoin(Contact, _same(Contact, Message.contact_id))
        .outerjoin(Campaign, _same(Campaign, Message.campaign_id))
        .outerjoin(Attempt, and_(Attempt.account_id == Message.account_id,
            Attempt.message_id == Message.id, Attempt.number == Message.attempt))
        .outerjoin(Consent, _same(Consent, Message.consent_id))
        .outerjoin(Wording, _same(Wording, Consent.wording_id))
        .outerjoin(Topic, _same(Topic, Consent.topic_id))
        .outerjoin(Import, _same(Import, Consent.import_id))
        .outerjoin(stated, and_(stated.account_id == Message.account_id,
            stated.digest == Import.attestation_digest))
        .where(Message.account_id == current_account(), Message.id.in_(ids))
        .order_by(Message.id)
    )  # fmt: skip


def _same(model: Any, key: Any) -> ColumnElement[bool]:
    return and_(model.account_id == Message.account_id, model.id == key)


def _listed() -> Any:
    """Whether a stop was in force when the message left; it was asked for both ways."""
    return (
        select(Suppression.id)
        .where(
            Suppression.account_id == Message.account_id,
            or_(
                Suppression.idx == Message.address_idx,
                Suppression.contact_id == Message.contact_id,
            ),
            or_(Suppression.scope == "all", Message.purpose == "marketing"),
            Suppression.created_at < Attempt.intent_at,
            or_(Suppression.until.is_(None), Suppression.until > Attempt.intent_at),
        )
        .correlate(Message, Attempt)
        .exists()
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """What was read for all events at once: their seals, and when evidence was written."""

    seals: dict[UUID, chain.State]
    heard: dict[str, dt.datetime]
    names: dict[str, str]


def _heard(events: list[Consent]) -> dict[str, dt.datetime]:
    """Find when the messages were written that are evidence, by their reference."""
    ids = [
        UUID(event.evidence_ref.removeprefix(_INBOUND))
        for event in events
        if event.evidence_ref.startswith(_INBOUND)
    ]
    if not ids:
        return {}
    query = select(InboundMessage.id, InboundMessage.sent_at).where(
        InboundMessage.account_id == current_account(), InboundMessage.id.in_(ids)
    )
    return {f"{_INBOUND}{one}": at for one, at in db.session().execute(query)}


def _names(events: list[Consent]) -> dict[str, str]:
    """Find what the people are called who wrote events down."""
    labels = {one.created_by for one in events if one.created_by.startswith(_PERSON)}
    ids = [UUID(label.removeprefix(_PERSON)) for label in labels]
    if not ids:
        return {}
    query = select(Person.id, Person.name).where(Person.id.in_(ids))
    return {f"{_PERSON}{one}": name for one, name in db.session().execute(query)}


def _card(row: Any, beside: _Beside) -> Card:
    event: Consent | None = row["Consent"]
    agreed = _agreed(row, event, beside) if event is not None else None
    needed = row["purpose"] == "marketing"
    return Card(
        message_id=row["id"],
        business=row["business"],
        contact_id=row["contact_id"],
        name=row["name"],
        address=row["address"],
        campaign=row["campaign"],
        template=row["template"],
        purpose=row["purpose"],
        state=row["state"],
        needed=needed,
        checked_at=row["intent_at"],
        provider_id=row["provider_id"],
        listed=bool(row["listed"]),
        agreed=agreed,
        policy=policy_at(row["intent_at"]),
        missing=_missing(row, agreed) if needed else (),
    )


def _agreed(row: Any, event: Consent, beside: _Beside) -> Agreed:
    return Agreed(
        id=event.id,
        action=event.action,
        purpose=event.purpose,
        channel=event.channel,
        topic=row["topic"],
        method=event.method,
        source=event.source,
        agreed_on=event.agreed_on,
        recorded_at=event.created_at,
        recorded_by=beside.names.get(event.created_by, event.created_by),
        wording=row["words"],
        wording_version=row["version"] or "",
        wording_digest=(row["digest"] or b"").hex(),
        addresses=len(event.idxs),
        evidence=opened(event.id, row["sealed"]),
        evidence_ref=event.evidence_ref,
        evidence_at=beside.heard.get(event.evidence_ref),
        attested=_attested(row, event) if event.import_id is not None else None,
        seal=beside.seals[event.id],
    )


def _attested(row: Any, event: Consent) -> Attested | None:
    if event.import_id is None or row["file_name"] is None:
        return None
    return Attested(
        import_id=event.import_id,
        file_name=row["file_name"],
        file_digest=(event.file_digest or b"").hex(),
        row=event.row_number,
        by=row["attested_by"],
        at=row["attested_at"],
        version=row["attestation_version"],
        text=row["stated"] or text_of(row["attestation_digest"] or b""),
    )


def _missing(row: Any, agreed: Agreed | None) -> tuple[str, ...]:
    left = row["intent_at"]
    if agreed is None:
        return ("event",) if left else ("event", "check")
    attested = agreed.attested
    of_list = agreed.action == "import_attested"
    stated = attested is not None and attested.by and attested.at and attested.text
    traced = attested is not None and attested.file_digest and attested.row is not None
    faults = {
        "gives": agreed.action not in GIVES or agreed.purpose != row["purpose"],
        "late": left is not None and agreed.recorded_at > left,
        "wording": not agreed.wording,
        "source": not agreed.source,
        "attestation": of_list and not stated,
        "row": of_list and not traced,
        "check": left is None,
        "listed": bool(row["listed"]),
        "chain": agreed.seal == "broken",
    }
    return tuple(name for name, wrong in faults.items() if wrong)


def _event(agreed: Agreed) -> dict[str, Any]:
    names = (
        "action", "source", "agreed_on", "recorded_at", "recorded_by", "evidence",
        "evidence_ref", "evidence_at", "seal",
    )  # fmt: skip
    whole = asdict(agreed)
    return _json({name: whole[name] for name in names})


def _json(given: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _iso(value)
        if isinstance(value, dt.date)
        else str(value)
        if isinstance(value, UUID)
        else value
        for key, value in given.items()
    }


def _iso(value: dt.date | None) -> str | None:
    return value.isoformat() if value else None
