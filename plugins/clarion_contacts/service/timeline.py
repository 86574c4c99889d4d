"""What happened with one person, newest first: one query for each kind of event."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal, select, tuple_

from clarion.base import db
from clarion.base.words import Lazy, _, lazy
from clarion.messaging import outcomes
from clarion.messaging.models import (
    Attempt,
    Campaign,
    Identifier,
    InboundMessage,
    Message,
)
from clarion.tenancy import access, audit
from clarion.tenancy.models import AuditEntry, Person
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Consent, Contact, Import
from clarion_contacts.records import Deed
from clarion_contacts.service import lineage
from clarion_contacts.service.people import get

PAGE = 25
Kind = Literal["import", "consent", "message", "reply", "address", "deed"]
Tone = Literal["ok", "info", "warn", "bad"]
TOLD = ("contacts.contact.opted_in", "contacts.contact.opted_out")  # told by the consent
CONSENTS: dict[str, tuple[Lazy, Tone]] = {
    "grant": (lazy("Agreed"), "ok"),
    "import_attested": (lazy("Agreed, by an imported list"), "ok"),
    "withdraw": (lazy("Took the consent back"), "bad"),
    "object": (lazy("Objected"), "bad"),
    "expire": (lazy("Consent ended by its age"), "warn"),
    "correct": (lazy("Consent ended: the import was taken back"), "warn"),
}
REPLIES: dict[str, tuple[Lazy, Tone]] = {
    "stop": (lazy("Wrote STOP"), "bad"),
    "start": (lazy("Wrote START"), "ok"),
    "maybe": (lazy("Wrote what may mean STOP"), "warn"),
}
WROTE: tuple[Lazy, Tone] = (lazy("Wrote to you"), "info")
SORTINGS: dict[str, Lazy] = {
    "tag": lazy("Got the tag"),
    "untag": lazy("Lost the tag"),
    "list": lazy("Put on the list"),
    "unlist": lazy("Taken off the list"),
    "field": lazy("Another value of the field"),
}
OUTCOMES: dict[str, Tone] = {
    "delivered": "ok", "read": "ok", "sent": "info", "accepted": "info", "failed": "bad",
    "unknown": "warn", "needs_decision": "warn", "expired": "warn",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened. `link` is the id of the message or import it is about."""

    at: dt.datetime
    id: UUID
    kind: Kind
    title: str
    text: str = ""
    by: str = ""
    tone: Tone = "info"
    link: UUID | None = None

    @property
    def place(self) -> str:
        """Where it stands, for the page that comes after."""
        return f"{self.at.isoformat()}~{self.id}"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Some moments of a person; `next` is where the older ones begin, empty at the end."""

    moments: list[Moment]
    next: str


def timeline(contact_id: UUID, before: str = "", *, limit: int = PAGE) -> Timeline:
    """Tell what happened with a person, newest first; `before` is the place of a moment."""
    access.require("contacts.view")
    contact = get(contact_id)
    place = _place(before)
    found: list[Moment] = []
    for read in (
        _arrivals, _consents, _messages, _replies, _addresses, _deeds, _sortings
    ):  # fmt: skip
        found += read(contact, place, limit + 1)
    found.sort(key=lambda one: (one.at, one.id), reverse=True)
    shown = found[:limit]
    return Timeline(shown, shown[-1].place if len(found) > limit else "")


Place = tuple[dt.datetime, UUID] | None


def _place(said: str) -> Place:
    at, _tilde, own = said.partition("~")
    try:
        return dt.datetime.fromisoformat(at), UUID(own)
    except ValueError:
        return None


def _rows(query: Any, at: Any, own: Any, place: Place, limit: int) -> Iterator[Any]:
    if place is not None:
        query = query.where(tuple_(at, own) < tuple_(*map(literal, place)))
    query = query.order_by(at.desc(), own.desc()).limit(limit)
    yield from db.session().execute(query)


def _arrivals(contact: Contact, place: Place, limit: int) -> list[Moment]:
    """The list a person came with."""
    query = select(Contact.created_at, Import.id, Import.file_name).join(
        Import,
        and_(Import.account_id == Contact.account_id, Import.id == Contact.import_id),
    )
    query = query.where(Contact.account_id == current_account(), Contact.id == contact.id)
    return [
        Moment(at, own, "import", _("Came with a list"), text=name, link=own)
        for at, own, name in _rows(query, Contact.created_at, Import.id, place, limit)
    ]


def _consents(contact: Contact, place: Place, limit: int) -> list[Moment]:
    query = select(
        Consent.created_at, Consent.id, Consent.action, Consent.source, Consent.import_id
    ).where(Consent.account_id == current_account(), _theirs(Consent, contact))
    found = []
    for at, own, action, source, list_ in _rows(
        query, Consent.created_at, Consent.id, place, limit
    ):
        title, tone = CONSENTS.get(action, (action, "info"))
        found.append(
            Moment(at, own, "consent", str(title), text=source, tone=tone, link=list_)
        )
    return found


def _theirs(model: Any, contact: Contact) -> ColumnElement[bool]:
    """What is a person's, under whatever id: contacts that were merged keep theirs."""
    there: ColumnElement[bool] = model.contact_id.in_(lineage.everyone(contact.id))
    return there


def _messages(contact: Contact, place: Place, limit: int) -> list[Moment]:
    query = (
        select(
            Message.state_since,
            Message.id,
            Message.state,
            Message.reason,
            func.coalesce(Attempt.code, ""),
            func.coalesce(Campaign.name, ""),
            Message.purpose,
        )
        .outerjoin(
            Campaign,
            and_(
                Campaign.account_id == Message.account_id,
                Campaign.id == Message.campaign_id,
            ),
        )
        .outerjoin(Attempt, _last_attempt())
        .where(Message.account_id == current_account(), _theirs(Message, contact))
    )
    found = []
    for at, own, state, reason, code, campaign, purpose in _rows(
        query, Message.state_since, Message.id, place, limit
    ):
        said = outcomes.explain(state, reason, code)
        found.append(
            Moment(
                at,
                own,
                "message",
                f"{campaign}: {said.title}" if campaign else said.title,
                text=said.why,
                tone=OUTCOMES.get(state, "info"),
                link=own if campaign and purpose != "service" else None,
            )
        )
    return found


def _last_attempt() -> ColumnElement[bool]:
    return and_(
        Attempt.account_id == Message.account_id,
        Attempt.message_id == Message.id,
        Attempt.number == Message.attempt,
    )


def _replies(contact: Contact, place: Place, limit: int) -> list[Moment]:
    """That they wrote, and what we took it for; the words are sealed and stay so here."""
    query = select(InboundMessage.sent_at, InboundMessage.id, InboundMessage.meaning).where(
        InboundMessage.account_id == current_account(),
        _theirs(InboundMessage, contact),
    )
    found = []
    for at, own, meaning in _rows(
        query, InboundMessage.sent_at, InboundMessage.id, place, limit
    ):
        title, tone = REPLIES.get(meaning, WROTE)
        found.append(Moment(at, own, "reply", str(title), tone=tone))
    return found


def _addresses(contact: Contact, place: Place, limit: int) -> list[Moment]:
    """Addresses that are theirs no longer: a number that changed."""
    query = select(Identifier.valid_to, Identifier.id, Identifier.value).where(
        Identifier.account_id == current_account(),
        _theirs(Identifier, contact),
        Identifier.valid_to.is_not(None),
    )
    return [
        Moment(at, own, "address", _("An address ended"), text=value)
        for at, own, value in _rows(query, Identifier.valid_to, Identifier.id, place, limit)
    ]


def _deeds(contact: Contact, place: Place, limit: int) -> list[Moment]:
    """What the team did with them, as the log has it."""
    query = select(
        AuditEntry.at, AuditEntry.id, AuditEntry.name, AuditEntry.actor_name
    ).where(
        AuditEntry.account_id == current_account(),
        AuditEntry.row == f"{Contact.__tablename__}:{contact.id}",
        AuditEntry.name.not_in(TOLD),
        AuditEntry.name.not_like("row.%"),  # the deed says it
    )
    return [
        Moment(at, own, "deed", audit.words(name), by=by)
        for at, own, name, by in _rows(query, AuditEntry.at, AuditEntry.id, place, limit)
    ]


def _sortings(contact: Contact, place: Place, limit: int) -> list[Moment]:
    """Tags, lists and fields, whether they alone got or lost them or many people at once."""
    who = Deed.created_by.in_(
        [func.concat("person:", Person.id), func.concat("job:person:", Person.id)]
    )
    query = (
        select(
            Deed.created_at, Deed.id, Deed.what, Deed.name, func.coalesce(Person.name, "")
        )
        .outerjoin(Person, who)
        .where(Deed.account_id == current_account(), _theirs(Deed, contact))
    )
    return [
        Moment(at, own, "deed", str(SORTINGS[what]), text=f"“{name}”", by=by)
        for at, own, what, name, by in _rows(query, Deed.created_at, Deed.id, place, limit)
    ]
