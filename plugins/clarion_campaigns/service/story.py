"""Why did they, or did they not, get it? One person's message, answered from the ledger."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from clarion.base import db
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.messaging import outcomes
from clarion.messaging.models import (
    Attempt,
    Campaign,
    Channel,
    Decision,
    Message,
    MessageEvent,
    Sender,
    Suppression,
)
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_campaigns.models import Draft
from clarion_contacts import contract as contacts

GOT = ("delivered", "read")
MAYBE = ("accepted", "sent", "held", "unknown", "needs_decision", "dispatching")


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt: committed before the first byte left, and what came of it."""

    number: int
    at: dt.datetime
    ended_at: dt.datetime | None
    outcome: str
    code: str
    provider_id: str
    status: str
    status_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the history, in words."""

    state: str
    title: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Agreed:
    """The consent the message was sent on: when, where, and to which words."""

    at: dt.datetime
    agreed_on: dt.date | None
    source: str
    wording: str


@dataclass(frozen=True, slots=True)
class Story:
    """Everything about one person's message.

    Attributes:
        got: `yes`, `no`, `maybe` or `later`: the short answer.
        words: state and reason explained, with the next action.
        gate: the sentence about the checks before sending.
        blocked: whether this person must not be written to today, and why.
        leaves_at: from when a waiting message may leave; None when it has left or will not.
        zone: whose calendar that is: a time zone, or `country/` and two letters.
    """

    message_id: UUID
    contact_id: UUID
    draft_id: UUID
    campaign: str
    name: str
    address: str
    state: str
    since: dt.datetime
    got: str
    words: outcomes.Words
    code: str
    gate: str
    blocked: str
    consent: Agreed | None
    tries: list[Try]
    steps: list[Step]
    decided: list[tuple[str, str, dt.datetime]]
    leaves_at: dt.datetime | None
    zone: str
    reason: str = ""


def story(message_id: UUID) -> Story:
    """Answer why one person did, or did not, get one campaign; one query.

    Raises:
        NotFound: no such message in this account.
    """
    access.require("campaigns.view")
    row = db.session().execute(_query(message_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("message_unknown", _("There is no such message."))
    tries = [_try(one) for one in row["tries"] or ()]
    code = tries[-1].code if tries else ""
    words = outcomes.explain(row["state"], row["reason"], code)
    blocked = row["blocked"]
    return Story(
        message_id=row["id"],
        contact_id=row["contact_id"],
        draft_id=row["draft_id"],
        campaign=row["campaign"],
        name=row["name"] or "",
        address=row["address"],
        state=row["state"],
        since=row["state_since"],
        got=_got(row["state"]),
        words=words,
        code=code,
        gate=_gate(row, tries, words),
        blocked=outcomes.explain("suppressed", "opted_out").title if blocked else "",
        consent=_consent(row),
        tries=tries,
        steps=[
            Step(to, outcomes.explain(to, reason).title, _at(at))
            for to, reason, at in row["steps"] or ()
        ],
        decided=[(choice, by, _at(at)) for choice, by, at in row["decided"] or ()],
        leaves_at=row["not_before"] if row["state"] == "queued" else None,
        zone=row["zone"],
        reason=row["reason"],
    )


def _query(message_id: UUID) -> Select[Any]:
    proof, person = contacts.evidence().subquery(), contacts.names().subquery()
    return (
        select(
            Message.id, Message.contact_id, Message.address, Message.state, Message.reason,
            Message.state_since, Message.not_before, Message.zone, Message.attempt, Message.purpose, Message.consent_id,
            (Message.not_before > func.clarion_now()).label("later"),
            Draft.id.label("draft_id"), Draft.name.label("campaign"), person.c.name,
            Campaign.state.label("campaign_state"),
            Campaign.state_reason.label("campaign_reason"),
            Sender.state.label("sender_state"), Sender.state_reason.label("sender_reason"),
            Channel.state.label("channel_state"),
            Channel.state_reason.label("channel_reason"),
            proof.c.at.label("consent_at"), proof.c.agreed_on, proof.c.source,
            proof.c.wording,
            _listed(Attempt, Attempt.number, Attempt.intent_at, Attempt.ended_at,
                Attempt.outcome, Attempt.code, Attempt.provider_id, Attempt.status,
                Attempt.status_at, by=Attempt.number).label("tries"),
            _listed(MessageEvent, MessageEvent.to_state, MessageEvent.reason,
                MessageEvent.created_at, by=MessageEvent.seq).label("steps"),
            _listed(Decision, Decision.choice, Decision.by, Decision.created_at,
                by=Decision.attempt).label("decided"),
            _blocked().label("blocked"),
        )
        .join(Campaign, _same(Campaign, Message.campaign_id))
        .join(Draft, and_(Draft.account_id == Message.account_id,
            Draft.campaign_id == Message.campaign_id))
        .join(Sender, _same(Sender, Message.sender_id))
        .join(Channel, and_(Channel.account_id == Sender.account_id,
            Channel.id == Sender.channel_id))
        .outerjoin(person, _same(person.c, Message.contact_id))
        .outerjoin(proof, _same(proof.c, Message.consent_id))
        .where(Message.account_id == current_account(), Message.id == message_id)
    )  # fmt: skip


def _same(model: Any, key: Any) -> ColumnElement[bool]:
    return and_(model.account_id == Message.account_id, model.id == key)


def _listed(model: Any, *columns: Any, by: Any) -> Any:
    """Gather a message's rows of another table as one JSON list, in order."""
    row = func.json_build_array(*columns)
    return (
        select(func.json_agg(aggregate_order_by(row, by)))
        .where(model.account_id == Message.account_id, model.message_id == Message.id)
        .correlate(Message)
        .scalar_subquery()
    )


def _blocked() -> Any:
    return (
        select(Suppression.id)
        .where(
            Suppression.account_id == Message.account_id,
            or_(
                Suppression.idx == Message.address_idx,
                Suppression.contact_id == Message.contact_id,
            ),
            or_(Suppression.scope == "all", Message.purpose == "marketing"),
            or_(Suppression.until.is_(None), Suppression.until > func.clarion_now()),
        )
        .limit(1)
        .correlate(Message)
        .scalar_subquery()
    )


def _got(state: str) -> str:
    if state in GOT:
        return "yes"
    if state in MAYBE:
        return "maybe"
    return "later" if state in ("queued", "claimed") else "no"


def _gate(row: Any, tries: list[Try], words: outcomes.Words) -> str:
    """Say what the checks before sending found, or what a waiting message waits for."""
    if row["state"] in ("queued", "claimed"):
        return _waits(row)
    if tries:
        return _(
            "It passed every check: no STOP, allowed by consent and purpose, campaign and"
            " number running."
        )
    return _("It was kept back before sending: %(why)s.", why=words.title)


def _waits(row: Any) -> str:
    for thing in ("channel", "sender", "campaign"):
        if row[f"{thing}_state"] not in ("active", "running"):
            said = outcomes.explain("paused", row[f"{thing}_reason"])
            return _("It waits, because sending is paused: %(why)s.", why=said.title)
    if row["later"]:
        return _("It waits for its moment: a later wave, or another try.")
    return _("It is in line. It will be checked again the moment before it leaves.")


def _consent(row: Any) -> Agreed | None:
    if row["consent_at"] is None:
        return None
    return Agreed(row["consent_at"], row["agreed_on"], row["source"], row["wording"] or "")


def _try(given: list[Any]) -> Try:
    number, at, ended, outcome, code, provider_id, status, status_at = given
    return Try(
        number=number,
        at=_at(at),
        ended_at=_at(ended) if ended else None,
        outcome=outcome,
        code=code,
        provider_id=provider_id or "",
        status=status,
        status_at=_at(status_at) if status_at else None,
    )


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
