"""Tables around consent: its chain, topics, sign-ups, and what people ask of an account."""

import datetime as dt
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    Uuid,
    literal_column,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Wall, column
from clarion.tenancy.models import AccountBase, Time

REQUESTS = ("copy", "correction", "erasure")


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

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    kind: Mapped[str] = column(String(12), pd=None)
    note: Mapped[bytes | None] = column(
        LargeBinary, pd="contact.attribute", erase="shred", retention="contact"
    )
    due_at: Mapped[dt.datetime] = column(Time, pd=None)
    done_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    done_by: Mapped[str] = column(String(120), pd="person.name", server_default="")
