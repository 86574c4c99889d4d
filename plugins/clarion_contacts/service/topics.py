"""Topics: what an account writes about, and who stopped which of them."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion_contacts.records import Topic
from clarion_contacts.service.standing import NOW

MOST = 20

audit.label("contacts.topic.kept", "Changed a topic")
audit.label("contacts.topic.retired", "Retired a topic")


@dataclass(frozen=True, slots=True)
class TopicLine:
    """A topic, and how many people stopped it."""

    id: UUID
    name: str
    about: str
    templates: list[str]
    stopped: int
    at: dt.datetime


def topics() -> list[TopicLine]:
    """List the topics there are, with how many people stopped each; one query."""
    access.require("contacts.view")
    stopped = (
        select(NOW.c.topic_id, func.count().label("people"))
        .where(NOW.c.account_id == current_account(), NOW.c.state == "opted_out")
        .group_by(NOW.c.topic_id)
        .subquery()
    )
    query = (
        select(
            Topic.id,
            Topic.name,
            Topic.about,
            Topic.templates,
            func.coalesce(stopped.c.people, 0),
            Topic.created_at,
        )
        .outerjoin(stopped, stopped.c.topic_id == Topic.id)
        .where(Topic.account_id == current_account(), Topic.retired_at.is_(None))
        .order_by(Topic.key)
    )
    return [TopicLine(*row) for row in db.session().execute(query)]


def keep_topic(
    name: str, about: str, templates: Iterable[str], topic_id: UUID | None = None
) -> Topic:
    """Add a topic, or change one: its name, what it is about, which templates are about it."""
    access.require("contacts.consent")
    said = " ".join(name.split())[:80]
    if not said:
        raise Invalid(
            "topic_name", _("Give the topic a name people understand."), field="name"
        )
    named = list(dict.fromkeys(t.strip()[:120] for t in templates if t.strip()))[:100]
    row = get_topic(topic_id, lock=True) if topic_id else _new(said)
    _refuse_twice(said, named, row.id)
    row.name, row.key, row.about = said, said.casefold(), " ".join(about.split())[:300]
    row.templates, row.retired_at = named, None
    db.session().flush()
    audit.record("contacts.topic.kept", row, templates=len(named))
    return row


def retire_topic(topic_id: UUID) -> None:
    """Take a topic off the list; what people said about it stays in their history."""
    access.require("contacts.consent")
    row = get_topic(topic_id, lock=True)
    row.retired_at = func.clarion_now()
    audit.record("contacts.topic.retired", row)


def get_topic(topic_id: UUID, *, lock: bool = False) -> Topic:
    """Read a topic of this account."""
    query = select(Topic).where(Topic.account_id == current_account(), Topic.id == topic_id)
    found = db.session().scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound("topic_unknown", _("There is no such topic."))
    return found


def _new(name: str) -> Topic:
    mine = select(Topic).where(Topic.account_id == current_account())
    retired = mine.where(Topic.key == name.casefold(), Topic.retired_at.is_not(None))
    if (known := db.session().scalar(retired.with_for_update())) is not None:
        return known
    live = mine.where(Topic.retired_at.is_(None)).with_only_columns(func.count())
    if (db.session().scalar(live) or 0) >= MOST:
        raise Conflict(
            "topics_many", _("Twenty topics are the most people can choose from.")
        )
    row = Topic(id=db.new_id(), name=name, key=name.casefold())
    db.session().add(row)
    return row


def _refuse_twice(name: str, templates: list[str], own: UUID) -> None:
    query = select(Topic).where(
        Topic.account_id == current_account(), Topic.id != own, Topic.retired_at.is_(None)
    )
    with db.session().no_autoflush:
        others = db.session().scalars(query).all()
    for other in others:
        if other.key == name.casefold():
            raise Conflict(
                "topic_exists", _("There is a topic of this name."), field="name"
            )
        if twice := set(other.templates) & set(templates):
            raise Conflict(
                "topic_template_taken",
                _(
                    "The template %(template)s is about “%(topic)s” already.",
                    template=min(twice),
                    topic=other.name,
                ),
                field="templates",
            )
