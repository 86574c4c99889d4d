"""What consent is now: the last event of each kind, and the copy of it on the contact.

The view `contacts_consent_now` is the truth, made of the events alone. Lists, segments
and audiences read the copy; every night the two are compared, and where the copy allows
what the events do not, it is put right.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    String,
    Uuid,
    and_,
    case,
    column,
    func,
    literal,
    null,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import array, insert

from clarion.base import db
from clarion.base.telemetry import logger
from clarion.messaging import ledger, parts, suppression
from clarion.messaging.models import Campaign, InboundMessage, Message
from clarion.tenancy import audit, preferences
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Consent, Contact
from clarion_contacts.records import ConsentCheck, Topic
from clarion_contacts.service import chain
from clarion_contacts.service.chain import Verdict

log = logger(__name__)
AT_ONCE = 10_000
WARNING = dt.timedelta(days=30)
TOPIC_STOPPED, UNPROVEN = "topic_stopped", "consent_unproven"
_STATES = {
    "grant": "opted_in",
    "import_attested": "opted_in",
    "withdraw": "opted_out",
    "object": "opted_out",
}
NOW = table(
    "contacts_consent_now",
    column("account_id", Uuid),
    column("contact_id", Uuid),
    column("purpose", String),
    column("channel", String),
    column("topic_id", Uuid),
    column("consent_id", Uuid),
    column("action", String),
    column("state", String),
    column("at", DateTime(timezone=True)),
)
audit.label("contacts.consent.expired", "Consent ended by age")
audit.label("contacts.consent.broken", "The chain of consent is broken")
audit.label("contacts.consent.put_right", "Consent was put right by its history")


class Key(NamedTuple):
    """What a state of consent is about, for one contact."""

    purpose: str
    channel: str
    topic_id: UUID | None


@dataclass(frozen=True, slots=True)
class Compared:
    """How many copies differ from what the events say, and how many were put right."""

    contacts: int
    differing: int
    repaired: int


@dataclass(frozen=True, slots=True)
class Ageing:
    """Somebody whose consent ends soon."""

    contact_id: UUID
    name: str
    phone: str
    ends_at: dt.datetime


def replay(events: Iterable[tuple[Key, str]]) -> dict[Key, str]:
    """Say what consent is after these (key, action) pairs, oldest first: view = replay."""
    return {key: _STATES.get(action, "none") for key, action in events}


def now_of(contact_id: UUID) -> dict[Key, str]:
    """Read the view: what one contact's consent is now, for each purpose, channel, topic."""
    query = select(NOW.c.purpose, NOW.c.channel, NOW.c.topic_id, NOW.c.state).where(
        NOW.c.account_id == current_account(), NOW.c.contact_id == contact_id
    )
    return {
        Key(purpose, channel, topic): state
        for purpose, channel, topic, state in db.session().execute(query)
    }


def compare(*, repair: bool) -> Compared:
    """Compare every copy with its events; put right what allows more than they do.

    A copy that says less than the events is reported and left: nobody is written to by
    a repair.
    """
    total = db.session().scalar(
        select(func.count())
        .select_from(Contact)
        .where(Contact.account_id == current_account())
    )
    now = _marketing().subquery("now")
    differs = _differs(now)
    query = (
        select(Contact.id, (Contact.consent == "opted_in").label("allows"))
        .outerjoin(now, now.c.contact_id == Contact.id)
        .where(Contact.account_id == current_account(), differs)
    )
    found = db.session().execute(query).all()
    wrong = [row.id for row in found if row.allows] if repair else []
    repaired = _put_right(wrong)
    if found:
        log.error("consent.copies_differ", contacts=len(found), repaired=repaired)
    return Compared(int(total or 0), len(found), repaired)


def tend() -> Verdict:
    """Do what is due each night for this account: seal, end by age, compare, walk the chain.

    Harmless when called again: a second night on one day finds nothing to do.
    """
    while chain.seal(window=None) == chain.AT_ONCE:
        pass
    expired = 0
    while (some := expire()) > 0:
        expired += some
    chain.seal(window=None)
    compared = compare(repair=True)
    found = chain.verify()
    db.session().add(
        ConsentCheck(
            id=db.new_id(),
            events=found.events,
            erased=found.erased,
            broken=found.broken,
            differing=compared.differing,
            repaired=compared.repaired,
            expired=expired,
            head=found.head,
        )
    )
    if found.broken:
        audit.record("contacts.consent.broken", None, where=found.broken)
    return found


def last_check() -> ConsentCheck | None:
    """Return what the last night found."""
    query = select(ConsentCheck).where(ConsentCheck.account_id == current_account())
    return db.session().scalar(query.order_by(ConsentCheck.created_at.desc()).limit(1))


def numbers() -> dict[str, int]:
    """Count people by what their consent is, the silenced apart; one query."""
    quiet = Contact.id.in_(suppression.contacts())
    state = case((quiet, "suppressed"), else_=Contact.consent)
    query = (
        select(state, func.count())
        .select_from(Contact)
        .where(Contact.account_id == current_account())
        .group_by(state)
    )
    return {name: int(number) for name, number in db.session().execute(query)}


def expire() -> int:
    """End, in one set, consents that are older than the account's policy; returns how many.

    At most `AT_ONCE`; harmless when called twice: who was written to, or wrote, since is
    not old.
    """
    months = int(preferences.value("contacts", "consent_months"))
    if months <= 0:
        return 0
    old = (
        select(Contact.id, Contact.phone_idx)
        .where(*_aged(_ago(months)))
        .order_by(Contact.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    named: dict[str, Any] = {
        "id": func.clarion_new_id(),
        "account_id": func.clarion_account(),
        "contact_id": old.c.id,
        "action": literal("expire"),
        "purpose": literal("marketing"),
        "method": literal("policy"),
        "source": literal(f"{months} months"),
        "idxs": func.array_remove(array([old.c.phone_idx]), null()),
    }
    rows = select(*named.values())
    written = (
        insert(Consent)
        .from_select(list(named), rows, include_defaults=False)
        .returning(Consent.contact_id)
        .cte("written")
    )
    ended = list(db.session().scalars(select(written.c.contact_id)))
    db.session().execute(
        update(Contact)
        .where(Contact.account_id == current_account(), Contact.id.in_(ended))
        .values(consent="none", consent_id=None, consent_at=None)
        .execution_options(synchronize_session=False)
    )
    if ended:
        audit.record("contacts.consent.expired", None, count=len(ended), months=months)
    return len(ended)


def ageing(limit: int = 50) -> tuple[int, list[Ageing]]:
    """Count and list whose consent ends within the next 30 days, soonest first."""
    months = int(preferences.value("contacts", "consent_months"))
    if months <= 0:
        return 0, []
    soon = _aged(_ago(months) + WARNING)
    total = db.session().scalar(select(func.count()).select_from(Contact).where(*soon))
    query = (
        select(
            Contact.id,
            Contact.name,
            func.coalesce(Contact.phone, ""),
            Contact.consent_at + func.make_interval(0, months),
        )
        .where(*soon)
        .order_by(Contact.consent_at, Contact.id)
        .limit(limit)
    )
    return int(total or 0), [Ageing(*row) for row in db.session().execute(query)]


def stopped_topics(batch: Any) -> Select[Any]:
    """Refuse messages about a topic to who stopped it: rows of (message id, reason).

    Topics name the templates that are about them; the order says which it uses.
    """
    about = _topics_of(Campaign.template["name"].astext).where(
        Campaign.account_id == current_account(), Campaign.id == batch.campaign_id
    )
    stopped = _stopped(NOW.c.topic_id.in_(about.scalar_subquery())).subquery("stopped")
    return (
        select(Message.id, literal(TOPIC_STOPPED))
        .join(stopped, stopped.c.id == Message.contact_id)
        .where(
            Message.account_id == current_account(),
            Message.id.in_(batch.ids),
            Message.purpose == "marketing",
        )
    )


def who_stopped(template: str) -> Select[Any] | None:
    """Select who stopped the topic that a template is about; None when it is about none."""
    query = _topics_of(literal(template))
    topics = list(db.session().scalars(query)) if template else []
    if not topics:
        return None  # the usual case, and cheap
    return _stopped(NOW.c.topic_id.in_(topics))


def gives(event: Any) -> ColumnElement[bool]:  # Any: the events, or an alias of them
    """Say that an event is the one that gives the consent a contact's copy names."""
    return and_(
        event.account_id == Contact.account_id,
        event.id == Contact.consent_id,
        event.contact_id == Contact.id,
        event.action.in_(("grant", "import_attested")),
    )


def unproven(batch: Any) -> Select[Any]:
    """Refuse marketing whose consent has no event that gives it, whatever the copy says."""
    return (
        select(Message.id, literal(UNPROVEN))
        .join(
            Contact,
            and_(
                Contact.account_id == Message.account_id, Contact.id == Message.contact_id
            ),
        )
        .outerjoin(Consent, gives(Consent))
        .where(
            Message.account_id == current_account(),
            Message.id.in_(batch.ids),
            Message.purpose == "marketing",
            Contact.consent == "opted_in",
            Consent.id.is_(None),
        )
    )


def _topics_of(template: ColumnElement[str]) -> Select[Any]:
    return select(Topic.id).where(
        Topic.account_id == current_account(),
        Topic.retired_at.is_(None),
        Topic.templates.has_key(template),
    )


def _stopped(some: ColumnElement[bool]) -> Select[Any]:
    """Select the people who stopped some topics, themselves or as one they were before."""
    said = parts.whose(NOW.c.contact_id)
    return (
        select(said.person.label("id"))
        .select_from(NOW.outerjoin(said.part, said.on))
        .where(NOW.c.account_id == current_account(), some, NOW.c.state == "opted_out")
    )


# --- the copy


def _marketing() -> Select[Any]:
    return select(NOW.c.contact_id, NOW.c.consent_id, NOW.c.state, NOW.c.at).where(
        NOW.c.account_id == current_account(),
        NOW.c.purpose == "marketing",
        NOW.c.channel == "whatsapp",
        NOW.c.topic_id.is_(None),
    )


def _differs(now: Any) -> ColumnElement[bool]:
    state = func.coalesce(now.c.state, "none")
    event = case((state != "none", now.c.consent_id))
    return or_(Contact.consent != state, Contact.consent_id.is_distinct_from(event))


def _put_right(contact_ids: list[UUID]) -> int:
    if not contact_ids:
        return 0
    ledger.lock_contacts(contact_ids)
    now = _marketing().subquery("now")
    state = func.coalesce(
        select(now.c.state).where(now.c.contact_id == Contact.id).scalar_subquery(), "none"
    )
    event = select(now.c.consent_id).where(
        now.c.contact_id == Contact.id, now.c.state != "none"
    )
    rows = db.session().execute(
        update(Contact)
        .where(Contact.account_id == current_account(), Contact.id.in_(contact_ids))
        .values(consent=state, consent_id=event.scalar_subquery())
        .returning(Contact.id)
        .execution_options(synchronize_session=False)
    )
    fixed = list(rows.scalars())
    audit.record("contacts.consent.put_right", None, count=len(fixed))
    return len(fixed)


# --- age


def _ago(months: int) -> ColumnElement[Any]:
    return func.clarion_now() - func.make_interval(0, months)


def _aged(cutoff: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    """Consents given before, of people nobody wrote to and who did not write since."""
    wrote = (
        select(InboundMessage.id)
        .where(
            InboundMessage.account_id == Contact.account_id,
            InboundMessage.contact_id == Contact.id,
            InboundMessage.created_at > cutoff,
        )
        .exists()
    )
    got = (
        select(Message.id)
        .where(
            Message.account_id == Contact.account_id,
            Message.contact_id == Contact.id,
            Message.state.in_(("delivered", "read")),
            Message.state_since > cutoff,
        )
        .exists()
    )
    return (
        Contact.account_id == current_account(),
        Contact.consent == "opted_in",
        Contact.consent_at < cutoff,
        ~wrote,
        ~got,
    )
