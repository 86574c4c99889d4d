"""What is kept around people: proof and topics of consent, views, acts on many, segments."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import NOW, AccountBase, Time

LIKENESSES = ("email", "spelling", "name_phone", "name")
REQUESTS = ("copy", "correction", "erasure")
BULK_ACTIONS = (
    "tag", "untag", "list", "unlist", "field", "opt_out", "delete", "export", "convert",
)  # fmt: skip
DEEDS = ("tag", "untag", "list", "unlist", "field")
BULK_STATES = ("asked", "running", "done", "undoing", "undone", "failed")


def one_of(column_name: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{v}'" for v in values)
    return CheckConstraint(f"{column_name} IN ({listed})", name=column_name)


def of_contact() -> ForeignKeyConstraint:
    """Go with the contact: erasing a person erases what hangs on them, and nothing else."""
    return ForeignKeyConstraint(
        ["account_id", "contact_id"],
        ["contacts_contact.account_id", "contacts_contact.id"],
        ondelete="CASCADE",
    )


# what `phone ~ '^\+[0-9]{5,20}$'` says, at a fifth of its price


class ConsentLink(AccountBase):
    """A consent event's place in its account's chain: written once, some seconds later.

    `id` is the event's. `digest` signs what the event says, `hash` this place and all
    before it. The link outlives the event of an erased person; it names nobody.
    """

    __tablename__ = "contacts_consent_link"
    __table_args__ = (UniqueConstraint("account_id", "seq"),)
    wall = Wall(
        kind="content", app=("SELECT", "INSERT"), system=("SELECT (id, account_id)",)
    )
    trail = NoTrail("a log itself: the chain of consent")
    owner_unique = False

    seq: Mapped[int] = column(BigInteger, pd=None)
    contact_id: Mapped[UUID] = column(Uuid, pd=None)
    digest: Mapped[bytes] = column(LargeBinary, pd=None)
    hash: Mapped[bytes] = column(LargeBinary, pd=None)


class ConsentCheck(AccountBase):
    """What a night's walk along an account's chain found, and where the chain then ended.

    `head` is kept here so that a chain whose end was cut off is seen the night after.
    """

    __tablename__ = "contacts_consent_check"
    __table_args__ = (Index("ix_contacts_consent_check_at", "account_id", "created_at"),)
    wall = Wall(kind="content", app=("SELECT", "INSERT"))
    trail = NoTrail("what a job found when it walked along the chain")
    owner_unique = False

    events: Mapped[int] = column(BigInteger, pd=None)
    erased: Mapped[int] = column(BigInteger, pd=None)
    broken: Mapped[str] = column(String(200), pd=None, server_default="")
    differing: Mapped[int] = column(pd=None, server_default="0")
    repaired: Mapped[int] = column(pd=None, server_default="0")
    expired: Mapped[int] = column(pd=None, server_default="0")
    head: Mapped[bytes] = column(LargeBinary, pd=None)


class Topic(AccountBase):
    """Something an account writes about, which people can stop without stopping the rest.

    `templates` names the messages that are about it. A topic is retired, never deleted:
    events of consent point at it.
    """

    __tablename__ = "contacts_topic"
    __table_args__ = (UniqueConstraint("account_id", "key"),)
    wall = Wall(kind="content", app=("SELECT", "INSERT", "UPDATE"))
    trail = Trail(lazy("Topic"))

    name: Mapped[str] = column(String(80), pd="account.content", log="ok")
    key: Mapped[str] = column(String(100), pd=None)
    about: Mapped[str] = column(String(300), pd="account.content", server_default="")
    templates: Mapped[list[str]] = column(
        JSONB, pd="account.content", log="never", server_default="[]"
    )
    retired_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class Signup(AccountBase):
    """A form people sign up with: its words, and how they prove that it was them.

    `word` is what people write to the number. The words they agree to are never changed
    in place: each version is a wording of its own.
    """

    __tablename__ = "contacts_signup"
    __table_args__ = (
        Index(
            "uq_contacts_signup_word",
            "account_id",
            "word",
            unique=True,
            postgresql_where=literal_column("word <> '' AND retired_at IS NULL"),
        ),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "UPDATE"))
    trail = Trail(lazy("Sign-up form"))

    name: Mapped[str] = column(String(80), pd="account.content", log="ok")
    wording_id: Mapped[UUID] = column(Uuid, pd=None, to="contacts_wording")
    by_mail: Mapped[bool] = column(pd=None)
    word: Mapped[str] = column(String(40), pd="account.content", server_default="")
    sender_id: Mapped[UUID | None] = column(Uuid, pd=None, to="sender")
    retired_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class Joining(AccountBase):
    """Somebody on the way through a sign-up: asked, and not yet proven to be them.

    `contact_id` is whose address it is, or will be once it is confirmed: until then no
    contact exists. What is never confirmed loses its address when it expires.
    """

    __tablename__ = "contacts_joining"
    __table_args__ = (
        Index(
            "uq_contacts_joining_pending",
            "account_id",
            "signup_id",
            "address_idx",
            unique=True,
            postgresql_where=literal_column("state = 'pending'"),
        ),
        Index("ix_contacts_joining_address", "account_id", "address_idx", "state"),
        Index("ix_contacts_joining_expires", "state", "expires_at"),
        CheckConstraint("state IN ('pending', 'confirmed', 'expired')", name="state"),
        CheckConstraint("method IN ('mail', 'message')", name="method"),
    )
    wall = Wall(
        kind="content",
        app=("SELECT", "INSERT", "UPDATE", "DELETE"),
        system=("SELECT (id, account_id, state, expires_at)",),
    )
    trail = NoTrail("somebody on the way through a sign-up, who proves it themselves")

    signup_id: Mapped[UUID] = column(Uuid, pd=None, to="contacts_signup")
    wording_id: Mapped[UUID] = column(Uuid, pd=None, to="contacts_wording")
    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    method: Mapped[str] = column(String(8), pd=None)
    kind: Mapped[str] = column(String(12), pd=None)
    address: Mapped[str] = column(
        String(254), pd="contact.email", retention="contact", log="mask"
    )
    address_idx: Mapped[bytes] = column(LargeBinary, pd="contact.index", export=False)
    name: Mapped[str] = column(
        String(200), pd="contact.name", retention="contact", server_default=""
    )
    state: Mapped[str] = column(String(10), pd=None, server_default="pending")
    asked_id: Mapped[UUID | None] = column(Uuid, pd=None)  # inbound message: the word
    said_id: Mapped[UUID | None] = column(Uuid, pd=None)  # inbound message: the yes
    expires_at: Mapped[dt.datetime] = column(Time, pd=None)
    settled_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class Request(AccountBase):
    """What a person asked of the account on their own page, with the day it is due.

    Points at nobody by key: an erasure that was done leaves the fact that it was.
    """

    __tablename__ = "contacts_request"
    __table_args__ = (
        Index("ix_contacts_request_open", "account_id", "done_at", "due_at"),
        CheckConstraint("kind IN ('copy', 'correction', 'erasure')", name="kind"),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "UPDATE"))
    trail = Trail(lazy("Request of a contact"))

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    kind: Mapped[str] = column(String(12), pd=None)
    note: Mapped[bytes | None] = column(
        LargeBinary, pd="contact.attribute", erase="shred", retention="contact"
    )
    due_at: Mapped[dt.datetime] = column(Time, pd=None)
    done_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    done_by: Mapped[str] = column(String(120), pd="person.name", server_default="")


class View(AccountBase):
    """A choice of people with a name: filters, order and columns of the list.

    `owner` is who made it, as `created_by` says it; `shared` shows it to everybody.
    """

    __tablename__ = "contacts_view"
    __table_args__ = (UniqueConstraint("account_id", "owner", "key"),)
    wall = Wall(kind="content")
    trail = Trail(lazy("View of contacts"))

    name: Mapped[str] = column(String(60), pd="account.content", log="ok")
    key: Mapped[str] = column(String(80), pd=None)
    owner: Mapped[str] = column(String(80), pd=None)
    shared: Mapped[bool] = column(pd=None, server_default=text("false"))
    # a filter can hold a name or a number somebody looked for
    filters: Mapped[dict[str, Any]] = column(JSONB, pd="account.content")
    columns: Mapped[list[str]] = column(JSONB, pd=None, server_default=text("'[]'"))


class FirstView(AccountBase):
    """With which view the list opens for one person."""

    __tablename__ = "contacts_first_view"
    __table_args__ = (
        UniqueConstraint("account_id", "owner"),
        ForeignKeyConstraint(
            ["account_id", "view_id"],
            ["contacts_view.account_id", "contacts_view.id"],
            ondelete="CASCADE",
        ),
    )
    wall = Wall(kind="content")
    trail = Trail(lazy("First view of contacts"))
    owner_unique = False

    owner: Mapped[str] = column(String(80), pd=None)
    view_id: Mapped[UUID] = column(Uuid, pd=None)


class Bulk(AccountBase):
    """Something done with many people at once; who they are was frozen when it was asked.

    `arguments` say what (a tag, a value), `filters` how they were chosen. Forgotten after
    a day, with the files that an export made.
    """

    __tablename__ = "contacts_bulk"
    __table_args__ = (
        one_of("action", BULK_ACTIONS),
        one_of("state", BULK_STATES),
        Index("ix_contacts_bulk_state", "state", "expires_at"),
    )
    wall = Wall(
        kind="content",
        system=(
            "SELECT (id, account_id, state, beat_at, created_at, expires_at, forgotten_at)",
        ),
    )
    trail = Trail(
        lazy("Bulk act"), skip=("total", "progress", "changed", "beat_at", "finished_at")
    )

    action: Mapped[str] = column(String(8), pd=None)
    arguments: Mapped[dict[str, Any]] = column(
        JSONB, pd="contact.attribute", retention="upload", server_default=text("'{}'")
    )
    filters: Mapped[dict[str, Any]] = column(
        JSONB, pd="account.content", server_default=text("'{}'")
    )
    state: Mapped[str] = column(String(8), pd=None, server_default="asked")
    problem: Mapped[str] = column(String(400), pd=None, server_default="")
    total: Mapped[int] = column(Integer, pd=None, server_default="0")
    progress: Mapped[int] = column(Integer, pd=None, server_default="0")
    changed: Mapped[int] = column(Integer, pd=None, server_default="0")
    beat_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    finished_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    expires_at: Mapped[dt.datetime] = column(Time, pd=None)
    forgotten_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class BulkPart(AccountBase):
    """A thousand of the people of one bulk act: done or not, and whom it changed.

    `body` is their piece of an exported file, sealed.
    """

    __tablename__ = "contacts_bulk_part"
    __table_args__ = (
        UniqueConstraint("account_id", "bulk_id", "number"),
        ForeignKeyConstraint(
            ["account_id", "bulk_id"],
            ["contacts_bulk.account_id", "contacts_bulk.id"],
            ondelete="CASCADE",
        ),
    )
    wall = Wall(kind="content")
    trail = NoTrail("the people of a bulk act, until it is done")
    owner_unique = False

    bulk_id: Mapped[UUID] = column(Uuid, pd=None)
    number: Mapped[int] = column(Integer, pd=None)
    contact_ids: Mapped[list[UUID]] = column(
        ARRAY(Uuid), pd="contact.id", retention="upload"
    )
    changed_ids: Mapped[list[UUID] | None] = column(
        ARRAY(Uuid), pd="contact.id", retention="upload"
    )
    body: Mapped[bytes | None] = column(
        LargeBinary,
        pd="contact.list",
        export=False,
        erase="shred",
        retention="upload",
        deferred=True,
    )
    done: Mapped[bool] = column(pd=None, server_default=text("false"))


class Deed(AccountBase):
    """That a person got or lost a tag, a list or a field's value: for their timeline.

    Who did it, `created_by` says, in a job as well.
    """

    __tablename__ = "contacts_deed"
    __table_args__ = (
        Index("ix_contacts_deed_contact", "account_id", "contact_id", "created_at"),
        one_of("what", DEEDS),
        of_contact(),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "DELETE"))
    trail = NoTrail("a log itself: what happened to a contact")
    owner_unique = False
    account_key = False

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    what: Mapped[str] = column(String(8), pd=None)
    name: Mapped[str] = column(String(120), pd="account.content", log="never")


class Likeness(AccountBase):
    """Two contacts that look alike, found by a search; `decided_at` once they are two people.

    The smaller id stands first.
    """

    __tablename__ = "contacts_likeness"
    __table_args__ = (
        UniqueConstraint("account_id", "contact_id", "other_id"),
        Index("ix_contacts_likeness_other", "account_id", "other_id"),
        one_of("why", LIKENESSES),
        of_contact(),
        ForeignKeyConstraint(
            ["account_id", "other_id"],
            ["contacts_contact.account_id", "contacts_contact.id"],
            ondelete="CASCADE",
        ),
    )
    wall = Wall(kind="content")
    trail = NoTrail("found by a search; what people say about it is a deed")
    owner_unique = False

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    other_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    why: Mapped[str] = column(String(12), pd=None)
    decided_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class Segment(AccountBase):
    """A saved choice of people: its rule is asked anew each time. `key` as in `Tag`."""

    __tablename__ = "contacts_segment"
    __table_args__ = (UniqueConstraint("account_id", "key"),)
    wall = Wall(kind="content")
    trail = Trail(lazy("Segment"), skip=("revision", "updated_at"))

    name: Mapped[str] = column(String(80), pd="account.content", log="ok")
    key: Mapped[str] = column(String(100), pd=None)
    about: Mapped[str] = column(String(300), pd="account.content", server_default="")
    rule: Mapped[dict[str, Any]] = column(JSONB, pd="account.content", log="never")
    revision: Mapped[int] = column(Integer, pd=None, server_default="1")
    updated_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)


class Snapshot(AccountBase):
    """Who was in a segment at one moment: a frozen list that nothing adds to.

    `rule` is what the segment said then. `people` is how many there were, None while the
    list is being written; who is erased leaves it, so that later there may be fewer.
    """

    __tablename__ = "contacts_snapshot"
    __table_args__ = (
        Index("ix_contacts_snapshot_segment", "account_id", "segment_id"),
        CheckConstraint("(people IS NULL) = (frozen_at IS NULL)", name="frozen_at"),
    )
    wall = Wall(kind="content", system=("SELECT (id, account_id, created_at, frozen_at)",))
    trail = Trail(lazy("Frozen list"))

    segment_id: Mapped[UUID] = column(Uuid, pd=None, to="contacts_segment")
    name: Mapped[str] = column(String(80), pd="account.content", log="ok")
    rule: Mapped[dict[str, Any]] = column(JSONB, pd="account.content", log="never")
    people: Mapped[int | None] = column(Integer, pd=None)
    frozen_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class Member(AccountBase):
    """A person was in a segment when it was frozen.

    Written a million at a time, so the account is not referenced once more: snapshot and
    contact are of it.
    """

    __tablename__ = "contacts_member"
    __table_args__ = (
        UniqueConstraint("account_id", "contact_id", "snapshot_id"),
        Index("ix_contacts_member_snapshot", "account_id", "snapshot_id"),
        of_contact(),
        ForeignKeyConstraint(
            ["account_id", "snapshot_id"],
            ["contacts_snapshot.account_id", "contacts_snapshot.id"],
            ondelete="CASCADE",
        ),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "DELETE"))
    trail = NoTrail("who was in a frozen list")
    owner_unique = False
    account_key = False

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    snapshot_id: Mapped[UUID] = column(Uuid, pd=None)


class SearchText(Base):
    """What a contact is found by: name, e-mail and number in small letters, one after another.

    Written by a trigger, and for whole lists by a job; read by the SQL function
    `contacts_found` alone.
    """

    __tablename__ = "contacts_search"
    __table_args__ = (
        UniqueConstraint("account_id", "id"),
        Index(
            "ix_contacts_search_words",
            "words",
            postgresql_using="gin",
            postgresql_ops={"words": "gin_trgm_ops"},
        ),
        ForeignKeyConstraint(
            ["account_id", "id"],
            ["contacts_contact.account_id", "contacts_contact.id"],
            ondelete="CASCADE",
        ),
    )
    wall = Wall(
        kind="platform",
        app=("INSERT",),
        why="nobody may read it; contacts_found() shows an account its own, by an index",
    )
    trail = NoTrail("a copy of contacts, to find them by")

    id: Mapped[UUID] = column(Uuid, pd="contact.id", export=False, primary_key=True)
    account_id: Mapped[UUID] = column(Uuid, pd=None)
    words: Mapped[str] = column(Text, pd="contact.name", export=False, retention="contact")
