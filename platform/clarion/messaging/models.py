"""Channels, senders, the send order, the ledger and what surrounds it."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from clarion.base.db import Base, Wall, column
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.messaging.shared import (  # noqa: F401 -- whoever asks for our tables finds all
    Portfolio,
    PortfolioRecipient,
    PortfolioWait,
)
from clarion.tenancy.models import NOW, AccountBase, Time, words

STATES = (
    "queued", "claimed", "dispatching", "accepted", "sent", "delivered", "read", "failed",
    "unknown", "needs_decision", "suppressed", "expired", "cancelled", "held",
)  # fmt: skip
OF_ATTEMPT = "SELECT (account_id, message_id, number, outcome, code)"  # to count by code
CAMPAIGN_STATES = ("starting", "running", "pausing", "paused", "finished", "cancelled")


def _one_of(column_name: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{v}'" for v in values)
    return CheckConstraint(f"{column_name} IN ({listed})", name=column_name)


class Channel(AccountBase):
    """A connection to a provider: its secrets, its endpoint for webhooks, its health."""

    __tablename__ = "channel"
    __table_args__ = (UniqueConstraint("account_id", "transport", "name"),)
    wall = Wall(
        kind="operational",
        staff=(
            (
                "SELECT (id, account_id, transport, name, config, state, state_reason,"
                " portfolio_id, slow_until, slow_reason, created_at, created_by)"
            ),
        ),
        system=("SELECT",),
    )
    trail = Trail(lazy("Connection to a provider"), skip=("slow_until", "slow_reason"))

    transport: Mapped[str] = column(String(40), pd=None)
    name: Mapped[str] = column(String(120), pd=None)
    config: Mapped[dict[str, Any]] = column(JSONB, pd=None)
    secrets: Mapped[bytes] = column(
        LargeBinary, pd="account.secret", export=False, erase="shred"
    )
    state: Mapped[str] = column(
        String(12), _one_of("state", ("active", "paused")), pd=None, server_default="active"
    )
    state_reason: Mapped[str] = column(String(200), pd=None, server_default="")
    portfolio_id: Mapped[UUID | None] = column(Uuid, ForeignKey("portfolio.id"), pd=None)
    slow_until: Mapped[dt.datetime | None] = column(Time, pd=None)
    slow_reason: Mapped[str] = column(String(20), pd=None, server_default="")


class Sender(AccountBase):
    """A number messages are sent from."""

    __tablename__ = "sender"
    __table_args__ = (
        UniqueConstraint("account_id", "channel_id", "provider_id"),
        # every order and search of the console's list
        Index("ix_sender_by_created_at", "created_at", "id"),
        Index("ix_sender_by_name", "name", "id", postgresql_include=["state", "quality"]),
        Index(
            "ix_sender_by_state", "state", "created_at", "id", postgresql_include=["name"]
        ),
        Index(
            "ix_sender_by_quality",
            "quality",
            "created_at",
            "id",
            postgresql_include=["name"],
        ),
        Index("ix_sender_by_rate_per_s", "rate_per_s", "id"),
        *words("sender", "name"),
    )
    wall = Wall(
        kind="operational",
        staff=("SELECT",),
        system=("SELECT",),
        watch=("SELECT (id, account_id, quality)",),
    )
    trail = Trail(lazy("Sender"), skip=("rate_at", "slow_until", "slow_reason"))

    channel_id: Mapped[UUID] = column(Uuid, pd=None, to="channel")
    provider_id: Mapped[str] = column(String(60), pd=None)
    number: Mapped[str] = column(String(20), pd="account.phone", log="mask")
    name: Mapped[str] = column(String(120), pd="account.name", log="ok")
    quality: Mapped[str] = column(String(12), pd=None, server_default="")
    rate_per_s: Mapped[int] = column(
        CheckConstraint("rate_per_s BETWEEN 1 AND 100000", name="rate"),
        pd=None,
        server_default="80",
    )
    rate_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    own_rate_per_s: Mapped[int | None] = column(
        CheckConstraint("own_rate_per_s BETWEEN 1 AND 100000", name="own_rate"), pd=None
    )
    state: Mapped[str] = column(
        String(12), _one_of("state", ("active", "paused")), pd=None, server_default="active"
    )
    state_reason: Mapped[str] = column(String(200), pd=None, server_default="")
    slow_until: Mapped[dt.datetime | None] = column(Time, pd=None)
    slow_reason: Mapped[str] = column(String(20), pd=None, server_default="")


class SenderBucket(AccountBase):
    """A sender's rate: the slice handed out last, and how far it is slowed down.

    `factor` is the share of the rate that was left at `factor_at`; it grows back.
    """

    __tablename__ = "sender_bucket"
    __table_args__ = (UniqueConstraint("account_id", "sender_id"),)
    wall = Wall(kind="operational", staff=("SELECT",))
    trail = NoTrail("pace: how much of a second is used")

    sender_id: Mapped[UUID] = column(Uuid, pd=None, to="sender")
    slice_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    slot: Mapped[int] = column(pd=None, server_default="0")
    used: Mapped[int] = column(pd=None, server_default="0")
    used_bulk: Mapped[int] = column(pd=None, server_default="0")
    urgent_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    factor: Mapped[float] = column(
        Double,
        CheckConstraint("factor > 0 AND factor <= 1", name="factor"),
        pd=None,
        server_default="1",
    )
    factor_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    misses: Mapped[int] = column(SmallInteger, pd=None, server_default="0")


class PairNext(AccountBase):
    """When a sender may write to a person again, if it has written a lot or was told to wait.

    `written_to` is where the arrivals of a GCRA stand: one message moves it on by six
    seconds. Bulk has no rows here: it writes to a person once.
    """

    __tablename__ = "pair_next"
    __table_args__ = (
        UniqueConstraint("account_id", "sender_id", "address_idx"),
        Index("ix_pair_next_due", "account_id", "sender_id", "next_at"),
    )
    wall = Wall(kind="operational", staff=("SELECT (id, account_id, sender_id, next_at)",))
    trail = NoTrail("pace: when a person may be written to again")

    sender_id: Mapped[UUID] = column(Uuid, pd=None, to="sender")
    address_idx: Mapped[bytes] = column(LargeBinary, pd="contact.index", export=False)
    written_to: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    next_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    strikes: Mapped[int] = column(SmallInteger, pd=None, server_default="0")


class Breaker(AccountBase):
    """What was stopped, by what, and how it opens again; one row per thing that can stop.

    `subject` is an id, or for a template `<channel>:<name>:<language>`. `times` counts
    openings in a row, for ever longer waits; `until` is set where an end is known.
    `trial_until` is the lease on the one message that a half-open breaker lets through.
    """

    __tablename__ = "breaker"
    __table_args__ = (
        UniqueConstraint("account_id", "kind", "subject"),
        _one_of("kind", ("template", "campaign", "sender", "channel", "portfolio")),
        _one_of("state", ("open", "half_open", "closed")),
    )
    wall = Wall(
        kind="operational",
        staff=("SELECT",),
        system=("SELECT",),
        watch=("SELECT (id, account_id, kind, reason, opened_at)",),
    )
    trail = NoTrail("worked by the engine; each stop and each way out is a deed")

    kind: Mapped[str] = column(String(12), pd=None)
    subject: Mapped[str] = column(String(600), pd=None)
    state: Mapped[str] = column(String(12), pd=None, server_default="open")
    reason: Mapped[str] = column(String(60), pd=None)
    times: Mapped[int] = column(SmallInteger, pd=None, server_default="1")
    opened_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    until: Mapped[dt.datetime | None] = column(Time, pd=None)
    trial_until: Mapped[dt.datetime | None] = column(Time, pd=None)
    closed_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class ProviderCode(Base):
    """A code of a provider that our table of answers has no word for."""

    __tablename__ = "provider_code"
    wall = Wall(
        kind="platform",
        staff=("SELECT", "UPDATE (settled_at)"),
        system=("SELECT", "INSERT", "UPDATE"),
        why="about the provider, not about an account: what to add to the table of answers",
    )
    trail = NoTrail("counted by the engine; that somebody settled one is a deed")

    transport: Mapped[str] = column(String(40), pd=None, primary_key=True)
    code: Mapped[str] = column(String(20), pd=None, primary_key=True)
    times: Mapped[int] = column(pd=None, server_default="1")
    first_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    last_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    settled_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class Campaign(AccountBase):
    """The send order: what the gate reads in one statement. Never edited after launch."""

    __tablename__ = "campaign"
    __table_args__ = (
        CheckConstraint(
            "purpose <> 'marketing' OR delivery_mode = 'at_most_once'", name="never_twice"
        ),
        UniqueConstraint("account_id", "id", "sender_id"),  # what a message refers to
        Index("ix_campaign_active", "state", "account_id"),
    )
    wall = Wall(
        kind="operational",
        staff=(
            (  # how it goes; not `template`, which is what it says
                "SELECT (id, account_id, name, purpose, delivery_mode, sender_id, state,"
                " state_reason, lane, priority, waits_until, waits_for, starts_at,"
                " local_start, zone, start_by, spread_until, started_at,"
                " finished_at, finish_by, drained_at, closed_at, wave, wave_at,"
                " created_at, created_by)"
            ),
            "UPDATE (state, state_reason)",  # to hold one: see holds.py
        ),
        system=("SELECT",),
    )
    trail = Trail(
        lazy("Send order"),
        skip=(
            "waits_until",
            "waits_for",
            "started_at",
            "finished_at",
            "drained_at",
            "closed_at",
            "wave",
            "wave_at",
        ),
    )

    name: Mapped[str] = column(String(120), pd=None)
    purpose: Mapped[str] = column(
        String(12), _one_of("purpose", ("marketing", "utility", "auth", "service")), pd=None
    )
    delivery_mode: Mapped[str] = column(
        String(16),
        _one_of("delivery_mode", ("at_most_once", "at_least_once")),
        pd=None,
        server_default="at_most_once",
    )
    sender_id: Mapped[UUID] = column(Uuid, pd=None, to="sender")
    template: Mapped[dict[str, Any]] = column(JSONB, pd="account.content", log="never")
    state: Mapped[str] = column(
        String(12), _one_of("state", CAMPAIGN_STATES), pd=None, server_default="starting"
    )
    state_reason: Mapped[str] = column(String(200), pd=None, server_default="")
    lane: Mapped[int] = column(SmallInteger, pd=None, server_default="4")
    priority: Mapped[int] = column(
        SmallInteger,
        CheckConstraint("priority BETWEEN 1 AND 3", name="priority"),
        pd=None,
        server_default="2",
    )
    waits_until: Mapped[dt.datetime | None] = column(
        Time, pd=None
    )  # all that is left of it
    waits_for: Mapped[str] = column(String(20), pd=None, server_default="")
    started_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    finished_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    finish_by: Mapped[dt.datetime | None] = column(Time, pd=None)
    # when it was to begin: an instant, or a time on everybody's own clock; not after start_by
    starts_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    local_start: Mapped[dt.datetime | None] = column(DateTime, pd=None)
    zone: Mapped[str] = column(String(60), pd=None, server_default="")
    start_by: Mapped[dt.datetime | None] = column(Time, pd=None)
    spread_until: Mapped[dt.datetime | None] = column(Time, pd=None)
    fingerprint: Mapped[bytes | None] = column(LargeBinary, pd=None)  # what was approved
    drained_at: Mapped[dt.datetime | None] = column(Time, pd=None)  # last look of a drain
    closed_at: Mapped[dt.datetime | None] = column(Time, pd=None)  # nothing can change
    wave: Mapped[int] = column(SmallInteger, pd=None, server_default="0")  # 0: all at once
    wave_at: Mapped[dt.datetime | None] = column(Time, pd=None)  # when it was released


class Message(AccountBase):
    """The ledger: one row per person and campaign, whatever becomes of it.

    Each change of state writes every index anew, so there are few; what
    belongs to a message (attempts, events) finds it by its id and references nothing.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint(
            "account_id", "contact_id", "campaign_id"
        ),  # also finds a contact's
        _one_of("state", STATES),
        Index(
            "ix_message_queue",
            "account_id",
            "campaign_id",
            "not_before",
            postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_message_lease",
            "lease_until",
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index(
            "ix_message_doubt",
            "account_id",
            "state_since",
            postgresql_where=text("state IN ('unknown', 'held')"),
        ),
        Index("ix_message_who", "account_id", "campaign_id", "state", "contact_id"),
        # one key for each row of a frozen million; the order vouches for the rest
        ForeignKeyConstraint(
            ["account_id", "campaign_id", "sender_id"],
            ["campaign.account_id", "campaign.id", "campaign.sender_id"],
        ),
    )
    wall = Wall(
        kind="content",
        app=("SELECT", "INSERT", "UPDATE"),
        system=(
            "SELECT (id, account_id, campaign_id, sender_id, lane, purpose, state, reason, attempt, not_before, lease_until, state_since)",
        ),
    )
    trail = NoTrail("the ledger, which keeps a history of its own")
    owner_unique = False
    account_key = False

    campaign_id: Mapped[UUID] = column(Uuid, pd=None)
    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id", export=True)
    sender_id: Mapped[UUID] = column(Uuid, pd=None)
    address_kind: Mapped[str] = column(String(12), pd=None, server_default="phone")
    address: Mapped[str] = column(String(160), pd="contact.phone", log="mask")
    address_idx: Mapped[bytes] = column(LargeBinary, pd="contact.index", export=False)
    purpose: Mapped[str] = column(String(12), pd=None)
    lane: Mapped[int] = column(SmallInteger, pd=None, server_default="4")
    state: Mapped[str] = column(String(16), pd=None)
    reason: Mapped[str] = column(String(60), pd=None, server_default="")
    attempt: Mapped[int] = column(SmallInteger, pd=None, server_default="0")
    claims: Mapped[int] = column(SmallInteger, pd=None, server_default="0")
    token: Mapped[UUID | None] = column(Uuid, pd=None)
    lease_until: Mapped[dt.datetime | None] = column(Time, pd=None)
    not_before: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    expires_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    # the window it may leave in ends at `not_after`; the calendar of the person behind `zone`
    not_after: Mapped[dt.datetime | None] = column(Time, pd=None)
    zone: Mapped[str] = column(String(60), pd=None, server_default="")
    day_from: Mapped[dt.datetime | None] = column(Time, pd=None)
    week_from: Mapped[dt.datetime | None] = column(Time, pd=None)
    intent_at: Mapped[dt.datetime | None] = column(Time, pd=None)  # of the last attempt
    state_since: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    variables: Mapped[dict[str, Any]] = column(
        JSONB, pd="message.body", erase="shred", retention="message_body"
    )
    consent_id: Mapped[UUID | None] = column(Uuid, pd=None)


class Attempt(AccountBase):
    """One intent: committed before the first byte left, completed by what came back.

    Written by the statement that moves the message, so nothing is referenced: each key
    would look up and lock a row for every message. Account and sender are the message's.
    """

    __tablename__ = "attempt"
    __table_args__ = (
        UniqueConstraint("account_id", "message_id", "number"),
        Index(
            "ix_attempt_provider",
            "account_id",
            "provider_id",
            postgresql_where=text("provider_id IS NOT NULL"),
        ),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "UPDATE"), system=(OF_ATTEMPT,))
    trail = NoTrail("the ledger, which keeps a history of its own")
    owner_unique = False
    account_key = False

    message_id: Mapped[UUID] = column(Uuid, pd=None)
    number: Mapped[int] = column(SmallInteger, pd=None)
    sender_id: Mapped[UUID] = column(Uuid, pd=None)
    intent_at: Mapped[dt.datetime] = column(Time, pd=None, server_default=NOW)
    ended_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    outcome: Mapped[str] = column(String(16), pd=None, server_default="")
    code: Mapped[str] = column(String(20), pd=None, server_default="")
    provider_id: Mapped[str | None] = column(String(160), pd=None)
    status: Mapped[str] = column(String(12), pd=None, server_default="")
    status_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class MessageEvent(AccountBase):
    """What became of a message, step by step; written by a trigger, never changed."""

    __tablename__ = "message_event"
    __table_args__ = (Index("ix_message_event_message", "account_id", "message_id", "seq"),)
    wall = Wall(kind="content", app=("SELECT", "INSERT"))
    trail = NoTrail("a log itself: the history of the ledger")
    owner_unique = False
    account_key = False

    seq: Mapped[int] = column(BigInteger, Identity(), pd=None)
    message_id: Mapped[UUID] = column(Uuid, pd=None)
    from_state: Mapped[str] = column(String(16), pd=None)
    to_state: Mapped[str] = column(String(16), pd=None)
    reason: Mapped[str] = column(String(60), pd=None, server_default="")


class Decision(AccountBase):
    """What a person chose for a message nobody can account for; once for each attempt.

    The key is the guard: whoever presses second finds what the first chose. Written for
    rows that are locked, so nothing is referenced (see `Message`).
    """

    __tablename__ = "decision"
    __table_args__ = (
        UniqueConstraint("account_id", "message_id", "attempt"),
        Index("ix_decision_campaign", "account_id", "campaign_id", "created_at"),
        _one_of("choice", ("resend", "leave")),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT"))
    trail = NoTrail("a log itself: each decision adds a row, once")

    campaign_id: Mapped[UUID] = column(Uuid, pd=None, to="campaign")
    message_id: Mapped[UUID] = column(Uuid, pd=None)
    attempt: Mapped[int] = column(SmallInteger, pd=None)
    choice: Mapped[str] = column(String(8), pd=None)
    by: Mapped[str] = column(String(120), pd="person.name", retention="account", log="mask")


class Identifier(AccountBase):
    """An address that belongs to a contact: phone, provider's id. Found by blind index."""

    __tablename__ = "identifier"
    __table_args__ = (
        Index("ix_identifier_contact", "account_id", "contact_id"),
        Index(
            "uq_identifier_current",
            "account_id",
            "idx",
            unique=True,
            postgresql_where=text("valid_to IS NULL"),
        ),
    )
    wall = Wall(kind="content")
    trail = Trail(lazy("Address of a contact"))
    owner_unique = False
    account_key = False

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    kind: Mapped[str] = column(String(12), pd=None)
    value: Mapped[str] = column(String(160), pd="contact.phone", log="mask")
    idx: Mapped[bytes] = column(LargeBinary, pd="contact.index", export=False)
    source: Mapped[str] = column(String(20), pd=None, server_default="")
    valid_to: Mapped[dt.datetime | None] = column(Time, pd=None)


class Suppression(AccountBase):
    """Do not write to this identifier. Stronger than everything; keyed, not readable."""

    __tablename__ = "suppression"
    __table_args__ = (
        UniqueConstraint("account_id", "idx", "scope"),
        Index("ix_suppression_contact", "account_id", "contact_id"),
        _one_of("scope", ("marketing", "all")),
    )
    wall = Wall(
        kind="content", app=("SELECT", "INSERT", "UPDATE (contact_id, until, reason)")
    )
    trail = NoTrail("added and ended, never changed; each of both is a deed")

    contact_id: Mapped[UUID | None] = column(Uuid, pd="contact.id")
    kind: Mapped[str] = column(String(12), pd=None)
    idx: Mapped[bytes] = column(
        LargeBinary, pd="contact.index", export=False, erase="keep:suppression"
    )
    scope: Mapped[str] = column(String(12), pd=None)
    reason: Mapped[str] = column(String(20), pd=None)
    until: Mapped[dt.datetime | None] = column(Time, pd=None)


class InboundMessage(AccountBase):
    """What a person wrote to one of our numbers; sealed."""

    __tablename__ = "inbound_message"
    __table_args__ = (
        UniqueConstraint("account_id", "provider_id"),
        Index("ix_inbound_contact", "account_id", "contact_id", "created_at"),
        Index(
            "ix_inbound_said",
            "account_id",
            "address_idx",
            "sent_at",
            postgresql_where=text("meaning <> ''"),
        ),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "UPDATE", "DELETE"))
    trail = NoTrail("what people wrote; nobody here did anything")

    provider_id: Mapped[str] = column(String(160), pd=None)
    sender_id: Mapped[UUID | None] = column(Uuid, pd=None, to="sender")
    contact_id: Mapped[UUID | None] = column(Uuid, pd="contact.id")
    address_idx: Mapped[bytes] = column(LargeBinary, pd="contact.index", export=False)
    kind: Mapped[str] = column(String(20), pd=None)
    body: Mapped[bytes] = column(
        LargeBinary, pd="message.body", erase="shred", retention="message_body"
    )
    # whoever wrote it, as the event named them: strangers are nobody's contact yet
    named: Mapped[bytes | None] = column(
        LargeBinary, pd="contact.phone", erase="shred", retention="message_body"
    )
    meaning: Mapped[str] = column(String(12), pd=None, server_default="")
    sent_at: Mapped[dt.datetime] = column(Time, pd=None)


class Orphan(AccountBase):
    """A status nobody can match: counted, shown, never guessed. No personal data."""

    __tablename__ = "orphan"
    __table_args__ = (UniqueConstraint("account_id", "provider_id", "status"),)
    wall = Wall(
        kind="operational",
        app=("SELECT", "INSERT", "DELETE"),
        staff=("SELECT",),
        system=("SELECT (id, account_id, created_at)",),
    )
    trail = NoTrail("statuses that nobody could match, until they are matched")

    provider_id: Mapped[str] = column(String(160), pd=None)
    status: Mapped[str] = column(String(12), pd=None)
    at: Mapped[dt.datetime] = column(Time, pd=None)
    reason: Mapped[str] = column(String(60), pd=None, server_default="")
    code: Mapped[str] = column(String(20), pd=None, server_default="")
