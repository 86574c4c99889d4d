"""A person's own page: who writes to them and why, and what they may change by themselves.

Nobody is signed in here: whoever holds the signed link acts for the person, for this one
account. It can stop things, and say yes or no to topics; it cannot lift a STOP, because
the account itself could hold such a link.
"""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import clock, crypto, db
from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import channels, identifiers, suppression
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account, current_actor
from clarion_contacts.models import Consent, Contact
from clarion_contacts.records import REQUESTS, Joining, Request, Topic
from clarion_contacts.service.consent import find_locked, object_to, silenced, store
from clarion_contacts.service.history import ConsentLine, history
from clarion_contacts.service.standing import NOW

DUE = dt.timedelta(days=30)
SOON = dt.timedelta(days=7)
LONGEST_NOTE = 2_000
OPEN_EACH = 1  # requests of one kind that may be open for a person

audit.label("contacts.preferences.stopped", "Stopped everything on their own page")
audit.label("contacts.preferences.topic", "Chose a topic on their own page")
audit.label("contacts.request.made", "Asked for something on their own page")
audit.label("contacts.request.done", "Settled a person's request")


@dataclass(frozen=True, slots=True)
class Choice:
    """A topic on a person's page, and whether they get it."""

    id: UUID
    name: str
    about: str
    on: bool


@dataclass(frozen=True, slots=True)
class Own:
    """What a person's own page shows.

    Attributes:
        business: who writes.
        addresses: (kind, masked value) of each, enough to know it is one's own.
        state: `opted_in`, `opted_out` or `none`.
        topics: what they can choose.
        history: the events of their consent, newest first.
        asked: requests that are open, kind and due day.
        start: link that opens a conversation with START in it, for who stopped.
    """

    business: str
    addresses: list[tuple[str, str]]
    state: str
    topics: list[Choice]
    history: list[ConsentLine]
    asked: list[tuple[str, dt.datetime]]
    start: str


@dataclass(frozen=True, slots=True)
class RequestLine:
    """What somebody asked of the account, as its list shows it."""

    id: UUID
    contact_id: UUID
    name: str
    phone: str
    kind: str
    note: str
    at: dt.datetime
    due_at: dt.datetime
    done_at: dt.datetime | None
    done_by: str
    gone: bool

    @property
    def state(self) -> str:
        """Say whether it is done, overdue, due soon or simply open."""
        if self.done_at is not None:
            return "done"
        left = self.due_at - clock.now()
        return "overdue" if left < dt.timedelta() else "soon" if left < SOON else "open"


def own_page(contact_id: UUID) -> Own:
    """Read what a person's page shows; `NotFound` when they are nobody's contact any more."""
    contact = _contact(contact_id)
    quiet = silenced(contact)
    return Own(
        business=_business(),
        addresses=[(one.kind, masked(one.value)) for one in identifiers.of(contact_id)],
        state="opted_out" if quiet else contact.consent,
        topics=_choices(contact_id),
        history=history(contact_id),
        asked=_asked(contact_id),
        start=start_link() if quiet or contact.consent == "opted_out" else "",
    )


def stop_everything(contact_id: UUID, *, method: str = "preferences") -> None:
    """Stop marketing to a person on every address of theirs, at once, because they said so.

    Harmless when called again; a mail provider's one click may come twice.
    """
    contact = find_locked(contact_id)
    if contact is None:
        raise NotFound("link_unknown", _("This link does not work, or is too old."))
    if contact.consent != "opted_out":
        object_to(contact, method=method, source="")
        contact.updated_at = func.clarion_now()
    audit.record("contacts.preferences.stopped", contact, by=method)
    suppression.suppress([], reason="unsubscribe", contact_id=contact.id)


def choose(contact_id: UUID, wanted: set[UUID]) -> int:
    """Keep which topics a person wants; returns how many changed."""
    contact = find_locked(contact_id)
    if contact is None:
        raise NotFound("link_unknown", _("This link does not work, or is too old."))
    changed = [one for one in _choices(contact_id) if one.on != (one.id in wanted)]
    for one in changed:
        event = Consent(
            id=db.new_id(),
            contact_id=contact.id,
            action="withdraw" if one.on else "grant",
            purpose="marketing",
            topic_id=one.id,
            method="preferences",
        )
        store(contact, event, "")
        audit.record("contacts.preferences.topic", contact, topic=one.id, on=not one.on)
    return len(changed)


def request(contact_id: UUID, kind: str, note: str) -> dt.datetime:
    """Ask the account for a copy, a correction or erasure; returns the day it is due.

    Erasure stops everything at once: that waits for nobody.
    """
    contact = _contact(contact_id)
    if kind not in REQUESTS:
        raise Invalid("request_kind", _("Choose what you ask for."), field="kind")
    if kind == "correction" and not note.strip():
        raise Invalid(
            "request_note", _("Say what is wrong, and what is right."), field="note"
        )
    if kind == "erasure":
        stop_everything(contact_id)
    known = [due for one, due in _asked(contact_id) if one == kind]
    if len(known) >= OPEN_EACH:
        return known[0]
    row = Request(
        id=db.new_id(), contact_id=contact.id, kind=kind, due_at=clock.now() + DUE
    )
    if said := note.strip()[:LONGEST_NOTE]:
        row.note = crypto.seal(said, place=_place(row.id), account_id=current_account())
    db.session().add(row)
    db.session().flush()
    audit.record("contacts.request.made", row, kind=kind)
    return row.due_at


def decline(joining_id: UUID) -> None:
    """Forget an address somebody typed into a sign-up, and write to it no more."""
    query = select(Joining).where(
        Joining.account_id == current_account(), Joining.id == joining_id
    )
    row = db.session().scalar(query.with_for_update())
    if row is None or not row.address:
        return
    suppression.suppress([(row.kind, row.address)], reason="unsubscribe")
    if row.state == "pending":
        row.state, row.address, row.name = "expired", "", ""
        row.settled_at = func.clarion_now()


# --- the account's side


def requests(*, done: bool = False, limit: int = 100) -> list[RequestLine]:
    """List what people asked for: what is open first by its day, or what is done."""
    access.require("contacts.view")
    query = (
        select(Request, Contact)
        .outerjoin(Contact, Contact.id == Request.contact_id)
        .where(
            Request.account_id == current_account(),
            Request.done_at.is_not(None) if done else Request.done_at.is_(None),
        )
        .order_by(Request.done_at.desc() if done else Request.due_at, Request.id)
        .limit(limit)
    )
    return [
        RequestLine(
            id=row.id,
            contact_id=row.contact_id,
            name=contact.name if contact else "",
            phone=(contact.phone or contact.email) if contact else "",
            kind=row.kind,
            note=_note(row),
            at=row.created_at,
            due_at=row.due_at,
            done_at=row.done_at,
            done_by=row.done_by,
            gone=contact is None,
        )
        for row, contact in db.session().execute(query)
    ]


def settle_request(request_id: UUID) -> Request:
    """Note that a request was done, and by whom; what they wrote is forgotten.

    An erasure is done when the person is gone: asking for less would be a lie.
    """
    access.require("contacts.consent")
    query = select(Request).where(
        Request.account_id == current_account(), Request.id == request_id
    )
    row = db.session().scalar(query.with_for_update())
    if row is None:
        raise NotFound("request_unknown", _("There is no such request."))
    if row.kind == "erasure" and _exists(row.contact_id):
        raise Invalid(
            "request_not_done", _("Delete the contact; the request is then done.")
        )
    if row.done_at is None:
        row.done_at, row.done_by = func.clarion_now(), current_actor().name[:120]
        row.note = None
        audit.record("contacts.request.done", row, kind=row.kind)
    return row


def note_erased(contact_id: UUID) -> None:
    """Settle a request for erasure whose person is gone. Harmless when called again."""
    query = select(Request).where(
        Request.account_id == current_account(),
        Request.contact_id == contact_id,
        Request.kind == "erasure",
        Request.done_at.is_(None),
    )
    if _exists(contact_id):
        return
    for row in db.session().scalars(query.with_for_update()):
        row.done_at, row.note = func.clarion_now(), None


def waiting() -> tuple[int, int]:
    """Count the requests that are open, and those that are overdue."""
    query = select(
        func.count(), func.count().filter(Request.due_at < func.clarion_now())
    ).where(Request.account_id == current_account(), Request.done_at.is_(None))
    row = db.session().execute(query).one()
    return int(row[0]), int(row[1])


def start_link() -> str:
    """Write the link that opens a conversation with START in it; empty without a number."""
    sender = next(iter(channels.senders()), None)
    return f"https://wa.me/{sender.number.lstrip('+')}?text=START" if sender else ""


def masked(value: str) -> str:
    """Show enough of an address for its owner to know it."""
    if "@" in value:
        name, _at, host = value.partition("@")
        return f"{name[:1]}•••@{host}"
    return f"{value[:3]}•••{value[-2:]}" if len(value) > 6 else "•••"


def _contact(contact_id: UUID) -> Contact:
    query = select(Contact).where(
        Contact.account_id == current_account(), Contact.id == contact_id
    )
    found = db.session().scalar(query)
    if found is None:
        raise NotFound("link_unknown", _("This link does not work, or is too old."))
    return found


def _exists(contact_id: UUID) -> bool:
    query = select(Contact.id).where(
        Contact.account_id == current_account(), Contact.id == contact_id
    )
    return db.session().scalar(query) is not None


def _business() -> str:
    query = select(Account.name).where(Account.id == current_account())
    return str(db.session().scalar(query) or "")


def _choices(contact_id: UUID) -> list[Choice]:
    query = (
        select(Topic.id, Topic.name, Topic.about, func.coalesce(NOW.c.state, "opted_in"))
        .outerjoin(
            NOW,
            (NOW.c.account_id == Topic.account_id)
            & (NOW.c.topic_id == Topic.id)
            & (NOW.c.contact_id == contact_id),
        )
        .where(Topic.account_id == current_account(), Topic.retired_at.is_(None))
        .order_by(Topic.key)
    )
    return [
        Choice(topic, name, about, state != "opted_out")
        for topic, name, about, state in db.session().execute(query)
    ]


def _asked(contact_id: UUID) -> list[tuple[str, dt.datetime]]:
    query = select(Request.kind, Request.due_at).where(
        Request.account_id == current_account(),
        Request.contact_id == contact_id,
        Request.done_at.is_(None),
    )
    return [
        (kind, due) for kind, due in db.session().execute(query.order_by(Request.due_at))
    ]


def _place(request_id: UUID) -> str:
    return f"contacts_request.note:{request_id}"


def _note(row: Request) -> str:
    if row.note is None:
        return ""
    place = _place(row.id)
    return crypto.unseal(row.note, place=place, account_id=current_account()).decode()
