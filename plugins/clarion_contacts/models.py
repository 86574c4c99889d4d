"""People, their tags, the proof that they agreed, and uploaded lists on their way in."""

import datetime as dt
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, with_loader_criteria

from clarion.base.db import Wall, column
from clarion.base.trails import NoTrail, Trail
from clarion.base.words import lazy
from clarion.tenancy.models import AccountBase, Time
from clarion_contacts.records import (  # noqa: F401 -- whoever asks for our tables finds all
    Bulk,
    BulkPart,
    ConsentCheck,
    ConsentLink,
    Deed,
    FirstView,
    Joining,
    Member,
    Request,
    SearchText,
    Segment,
    Signup,
    Snapshot,
    Topic,
    View,
    of_contact,
    one_of,
)

CONSENTS = ("none", "opted_in", "opted_out")
ACTIONS = ("grant", "withdraw", "import_attested", "correct", "object", "expire")
PURPOSES = ("marketing", "utility", "auth")
METHODS = (
    "web_form", "shop", "paper", "existing", "other", "inbound_message", "import", "team",
    "preferences", "unsubscribe", "api", "policy",
)  # fmt: skip
CHANNELS = ("whatsapp", "email")
IMPORT_STATES = (
    "uploaded", "matched", "attested", "checking", "checked", "importing", "done",
    "undoing", "undone", "failed", "cancelled",
)  # fmt: skip
ROW_STATES = ("new", "changed", "same", "duplicate", "invalid", "suppressed")
FORMATS = ("csv", "xlsx", "ods", "vcard")
FIELD_KINDS = ("text", "number", "date", "choice", "yes_no")


_IS_PHONE = (
    "starts_with(phone, '+') AND translate(phone, '0123456789', '') = '+'"
    " AND length(phone) BETWEEN 6 AND 21"
)


class Contact(AccountBase):
    """One person an account may write to.

    `phone` is one of the person's identifiers, the one messages go to; `phone_idx` is its
    blind index. `consent` is what the last consent event for marketing says, and
    `consent_id` is that event: a copy for quick answers, always written with the event.

    One that became part of another has `merged_into` and is in no query of the ORM, unless
    the statement says `.execution_options(merged=True)`; `db.table_of(Contact)` has them all.
    """

    __tablename__ = "contacts_contact"
    __table_args__ = (
        UniqueConstraint("account_id", "phone"),
        Index(  # what rules ask most: a count of a million reads this instead of the rows
            "ix_contacts_contact_asked",
            "account_id",
            "consent",
            "id",
            "country",
            "language",
            postgresql_where=text("merged_into IS NULL"),
        ),
        CheckConstraint(_IS_PHONE, name="phone"),
        CheckConstraint("(phone IS NULL) = (phone_idx IS NULL)", name="phone_idx"),
        CheckConstraint("(consent = 'none') = (consent_id IS NULL)", name="consent_id"),
        CheckConstraint("merged_into IS NULL OR phone IS NULL", name="merged_into"),
        one_of("consent", CONSENTS),
        ForeignKeyConstraint(
            ["account_id", "merged_into"],
            ["contacts_contact.account_id", "contacts_contact.id"],
            ondelete="CASCADE",
        ),
        Index(
            "ix_contacts_contact_merged",
            "account_id",
            "merged_into",
            postgresql_where=text("merged_into IS NOT NULL"),
        ),
        Index(  # `attributes @> '{"key": value}'`; ranges are scanned: decision 0019
            "ix_contacts_contact_attributes",
            "attributes",
            postgresql_using="gin",
            postgresql_ops={"attributes": "jsonb_path_ops"},
        ),
    )
    wall = Wall(kind="content")
    trail = Trail(
        lazy("Contact"),
        skip=("phone_idx", "consent", "consent_id", "consent_at", "updated_at"),
    )
    account_key = False

    name: Mapped[str] = column(
        String(200), pd="contact.name", retention="contact", server_default=""
    )
    first_name: Mapped[str] = column(
        String(200), pd="contact.name", retention="contact", server_default=""
    )
    last_name: Mapped[str] = column(
        String(200), pd="contact.name", retention="contact", server_default=""
    )
    phone: Mapped[str | None] = column(
        String(24, collation="C"), pd="contact.phone", retention="contact", log="mask"
    )
    phone_idx: Mapped[bytes | None] = column(
        LargeBinary, pd="contact.index", export=False, retention="contact"
    )
    email: Mapped[str] = column(
        String(254), pd="contact.email", retention="contact", log="mask", server_default=""
    )
    language: Mapped[str] = column(String(20), pd=None, server_default="")
    country: Mapped[str] = column(String(2), pd=None, server_default="")
    timezone: Mapped[str] = column(String(60), pd=None, server_default="")
    attributes: Mapped[dict[str, Any]] = column(
        JSONB, pd="contact.attribute", retention="contact", server_default=text("'{}'")
    )
    consent: Mapped[str] = column(String(12), pd=None, server_default="none")
    consent_id: Mapped[UUID | None] = column(Uuid, pd=None)
    consent_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    import_id: Mapped[UUID | None] = column(Uuid, pd=None)
    updated_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    merged_into: Mapped[UUID | None] = column(Uuid, pd=None)


def whole(of: type[Contact] = Contact) -> ColumnElement[bool]:
    """Say that one is no part of another; only `INSERT … SELECT` has to ask it itself."""
    return of.merged_into.is_(None)


@event.listens_for(Session, "do_orm_execute")
def _without_merged(state: ORMExecuteState) -> None:
    """Leave out who became part of another, wherever contacts are asked for."""
    if state.is_column_load or state.execution_options.get("merged"):
        return
    if state.is_select or state.is_update or state.is_delete:
        state.statement = state.statement.options(_LIVE)


_LIVE = with_loader_criteria(Contact, whole, include_aliases=True)


class Merge(AccountBase):
    """Two contacts that became one: `contact_id` stayed, `merged_id` is part of it now.

    `before` is what both were, for 30 days, so that it can be taken back exactly; `events`
    are the consent events that the merge and its end wrote, not the person.
    """

    __tablename__ = "contacts_merge"
    __table_args__ = (
        Index("ix_contacts_merge_contact", "account_id", "contact_id"),
        Index(
            "uq_contacts_merge_merged",
            "account_id",
            "merged_id",
            unique=True,
            postgresql_where=text("undone_at IS NULL"),
        ),
        Index(
            "ix_contacts_merge_kept",
            "created_at",
            postgresql_where=text("kept"),
        ),
        of_contact(),
    )
    wall = Wall(kind="content", system=("SELECT (id, account_id, created_at, kept)",))
    trail = Trail(lazy("Merge of two contacts"), skip=("before", "kept", "events"))

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    merged_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    before: Mapped[dict[str, Any] | None] = column(
        JSONB, pd="contact.attribute", retention="merge", export=False
    )
    kept: Mapped[bool] = column(pd=None, server_default=text("true"))
    events: Mapped[list[str]] = column(JSONB, pd=None, server_default=text("'[]'"))
    undone_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    undone_by: Mapped[str] = column(String(80), pd=None, server_default="")


class Field(AccountBase):
    """One thing an account knows about its people beside name and address.

    The values are in `Contact.attributes` under `key`, each in the form of its kind: text
    and choice a string, number a number, date a string like "2027-01-31", yes_no a boolean.
    """

    __tablename__ = "contacts_field"
    __table_args__ = (
        UniqueConstraint("account_id", "key"),
        CheckConstraint("key <> ''", name="key"),
        CheckConstraint(
            "(kind = 'choice') = (jsonb_array_length(choices) > 0)", name="choices"
        ),
        one_of("kind", FIELD_KINDS),
    )
    wall = Wall(kind="content")
    trail = Trail(lazy("Field"))

    key: Mapped[str] = column(String(64), pd="account.content", log="ok")
    title: Mapped[str] = column(String(80), pd="account.content", log="ok")
    kind: Mapped[str] = column(String(8), pd=None)
    choices: Mapped[list[str]] = column(
        JSONB, pd="account.content", log="ok", server_default=text("'[]'")
    )
    position: Mapped[int] = column(Integer, pd=None, server_default="0")
    import_id: Mapped[UUID | None] = column(Uuid, pd=None)


class List(AccountBase):
    """People gathered for one purpose. `key` is the name in small letters."""

    __tablename__ = "contacts_list"
    __table_args__ = (UniqueConstraint("account_id", "key"), one_of("purpose", PURPOSES))
    wall = Wall(kind="content")
    trail = Trail(lazy("List"))

    name: Mapped[str] = column(String(80), pd="account.content", log="ok")
    key: Mapped[str] = column(String(100), pd=None)
    purpose: Mapped[str] = column(String(12), pd=None, server_default="marketing")
    about: Mapped[str] = column(String(300), pd="account.content", server_default="")
    import_id: Mapped[UUID | None] = column(Uuid, pd=None)


class Listing(AccountBase):
    """A contact is on a list, and which import said so."""

    __tablename__ = "contacts_listing"
    __table_args__ = (
        UniqueConstraint("account_id", "contact_id", "list_id"),
        Index("ix_contacts_listing_list", "account_id", "list_id", "contact_id"),
        of_contact(),
        ForeignKeyConstraint(
            ["account_id", "list_id"],
            ["contacts_list.account_id", "contacts_list.id"],
            ondelete="CASCADE",
        ),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "DELETE"))
    trail = NoTrail("in the contact's own history: `contacts_deed`")
    owner_unique = False
    account_key = False

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    list_id: Mapped[UUID] = column(Uuid, pd=None)
    import_id: Mapped[UUID | None] = column(Uuid, pd=None)


class Tag(AccountBase):
    """A word people are sorted by. `key` is the name in small letters."""

    __tablename__ = "contacts_tag"
    __table_args__ = (UniqueConstraint("account_id", "key"),)
    wall = Wall(kind="content")
    trail = Trail(lazy("Tag"))

    name: Mapped[str] = column(String(60), pd="account.content", log="ok")
    key: Mapped[str] = column(String(80), pd=None)
    import_id: Mapped[UUID | None] = column(Uuid, pd=None)


class Tagging(AccountBase):
    """A contact has a tag, and which import said so."""

    __tablename__ = "contacts_tagging"
    __table_args__ = (
        UniqueConstraint("account_id", "contact_id", "tag_id"),
        Index("ix_contacts_tagging_tag", "account_id", "tag_id", "contact_id"),
        of_contact(),
        ForeignKeyConstraint(
            ["account_id", "tag_id"],
            ["contacts_tag.account_id", "contacts_tag.id"],
            ondelete="CASCADE",
        ),
    )
    wall = Wall(kind="content", app=("SELECT", "INSERT", "DELETE"))
    trail = NoTrail("in the contact's own history: `contacts_deed`")
    owner_unique = False
    account_key = False

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    tag_id: Mapped[UUID] = column(Uuid, pd=None)
    import_id: Mapped[UUID | None] = column(Uuid, pd=None)


class Wording(AccountBase):
    """The exact words somebody agreed to; never changed, each text once."""

    __tablename__ = "contacts_wording"
    __table_args__ = (UniqueConstraint("account_id", "digest"),)
    wall = Wall(kind="content", app=("SELECT", "INSERT"))
    trail = Trail(lazy("Wording of a consent"))

    text: Mapped[str] = column(Text, pd="account.content")
    version: Mapped[str] = column(String(20), pd=None)
    digest: Mapped[bytes] = column(LargeBinary, pd=None)


class Consent(AccountBase):
    """One event in the history of a contact's consent. Added, never changed.

    `created_by` says who wrote it down, `created_at` when; `agreed_on` is the day the
    person agreed, where known. `row_number` and `file_digest` lead to the line of the
    uploaded list that is the evidence; other evidence is sealed in the row, or named by
    `evidence_ref`. `idxs` are the blind indexes of every address known then. Without a
    topic an event is about everything of its purpose.
    """

    __tablename__ = "contacts_consent"
    __table_args__ = (
        Index("ix_contacts_consent_contact", "account_id", "contact_id", "created_at"),
        # the order of writing is that of the rows: as good as free, and small
        Index("ix_contacts_consent_new", "created_at", postgresql_using="brin"),
        Index(
            "ix_contacts_consent_topic",
            "account_id",
            "topic_id",
            postgresql_where=text("topic_id IS NOT NULL"),
        ),
        one_of("action", ACTIONS),
        one_of("purpose", PURPOSES),
        one_of("method", METHODS),
        one_of("channel", CHANNELS),
        of_contact(),
    )
    wall = Wall(
        kind="content",
        app=("SELECT", "INSERT"),
        system=("SELECT (id, account_id, created_at)",),
    )
    trail = NoTrail("a log itself, with a chain of its own")
    owner_unique = False
    account_key = False

    contact_id: Mapped[UUID] = column(Uuid, pd="contact.id")
    action: Mapped[str] = column(String(16), pd="contact.consent", retention="contact")
    purpose: Mapped[str] = column(String(12), pd=None)
    channel: Mapped[str] = column(String(12), pd=None, server_default="whatsapp")
    topic_id: Mapped[UUID | None] = column(Uuid, pd=None, to="contacts_topic")
    method: Mapped[str] = column(String(16), pd="contact.consent", retention="contact")
    source: Mapped[str] = column(
        String(300), pd="contact.consent", retention="contact", server_default=""
    )
    wording_id: Mapped[UUID | None] = column(Uuid, pd=None)  # nobody may delete a wording
    agreed_on: Mapped[dt.date | None] = column(
        Date, pd="contact.consent", retention="contact"
    )
    import_id: Mapped[UUID | None] = column(Uuid, pd=None)
    row_number: Mapped[int | None] = column(Integer, pd=None)
    file_digest: Mapped[bytes | None] = column(LargeBinary, pd=None)
    idxs: Mapped[list[bytes]] = column(
        ARRAY(LargeBinary), pd="contact.index", export=False, server_default="{}"
    )
    evidence: Mapped[bytes | None] = column(
        LargeBinary, pd="contact.consent", erase="shred", retention="contact", deferred=True
    )
    evidence_ref: Mapped[str] = column(String(80), pd=None, server_default="")


class Import(AccountBase):
    """An uploaded list and how far it has come.

    The file itself is sealed and forgotten when `expires_at` has passed, together with
    its rows; what was decided and counted stays.
    """

    __tablename__ = "contacts_import"
    __table_args__ = (
        one_of("state", IMPORT_STATES),
        one_of("format", FORMATS),
        Index("ix_contacts_import_state", "state", "expires_at"),
        Index("ix_contacts_import_header", "account_id", "header_digest"),
    )
    wall = Wall(
        kind="content",
        app=("SELECT", "INSERT", "UPDATE"),
        system=(
            "SELECT (id, account_id, state, beat_at, created_at, expires_at, forgotten_at)",
            "SELECT (read_to, searchable_to)",
        ),
    )
    trail = Trail(lazy("Imported list"), skip=(
        "read_to", "progress", "searchable_to", "counts", "result", "guessed", "beat_at",
        "started_at", "finished_at",
    ))  # fmt: skip

    file_name: Mapped[str] = column(String(200), pd="account.content", log="never")
    file_digest: Mapped[bytes] = column(LargeBinary, pd=None)
    file_size: Mapped[int] = column(Integer, pd=None)
    # of a release before files came in parts; goes with the next
    original: Mapped[bytes | None] = column(
        LargeBinary,
        pd="contact.list",
        export=False,
        erase="shred",
        retention="upload",
        deferred=True,
    )
    format: Mapped[str] = column(String(8), pd=None, server_default="csv")
    encoding: Mapped[str] = column(String(40), pd=None)
    delimiter: Mapped[str] = column(String(1), pd=None)
    sheet: Mapped[int] = column(SmallInteger, pd=None, server_default="0")
    header: Mapped[bool] = column(pd=None)
    country: Mapped[str] = column(String(2), pd=None, server_default="")
    day_first: Mapped[bool | None] = column(pd=None)
    guessed: Mapped[dict[str, Any]] = column(
        JSONB,
        pd="contact.list",
        export=False,
        retention="upload",
        server_default=text("'{}'"),
        deferred=True,
    )
    mapping: Mapped[dict[str, str]] = column(JSONB, pd=None, server_default=text("'{}'"))
    kinds: Mapped[dict[str, str]] = column(JSONB, pd=None, server_default=text("'{}'"))
    overwrite: Mapped[bool] = column(pd=None, server_default=text("true"))
    tags: Mapped[list[str]] = column(
        JSONB, pd="account.content", log="never", server_default=text("'[]'")
    )
    lists: Mapped[list[str]] = column(
        JSONB, pd="account.content", log="never", server_default=text("'[]'")
    )
    row_count: Mapped[int] = column(Integer, pd=None, server_default="0")

    # how the next list with the same header is recognised, and what it was taken from
    names: Mapped[list[str]] = column(
        JSONB, pd="account.content", log="never", server_default=text("'[]'")
    )
    header_digest: Mapped[bytes | None] = column(LargeBinary, pd=None)
    recalled_id: Mapped[UUID | None] = column(Uuid, pd=None)

    # what the person said about consent, and in which words we asked
    consent_source: Mapped[str] = column(String(16), pd=None, server_default="")
    consent_place: Mapped[str] = column(
        String(300), pd="account.content", server_default=""
    )
    consent_from: Mapped[dt.date | None] = column(Date, pd=None)
    consent_on: Mapped[dt.date | None] = column(Date, pd=None)
    wording_id: Mapped[UUID | None] = column(Uuid, pd=None, to="contacts_wording")
    attested_by: Mapped[str] = column(String(120), pd="person.name", server_default="")
    attested_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    attestation_version: Mapped[str] = column(String(20), pd=None, server_default="")
    attestation_digest: Mapped[bytes | None] = column(LargeBinary, pd=None)

    state: Mapped[str] = column(String(12), pd=None, server_default="uploaded")
    problem: Mapped[str] = column(String(400), pd=None, server_default="")
    read_to: Mapped[int] = column(Integer, pd=None, server_default="0")
    progress: Mapped[int] = column(Integer, pd=None, server_default="0")
    searchable_to: Mapped[int] = column(Integer, pd=None, server_default="0")
    counts: Mapped[dict[str, Any]] = column(JSONB, pd=None, server_default=text("'{}'"))
    result: Mapped[dict[str, Any]] = column(JSONB, pd=None, server_default=text("'{}'"))
    beat_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    started_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    finished_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    expires_at: Mapped[dt.datetime] = column(Time, pd=None)
    forgotten_at: Mapped[dt.datetime | None] = column(Time, pd=None)


class ImportPart(AccountBase):
    """One piece of an uploaded file, sealed for its place; the last one says so."""

    __tablename__ = "contacts_import_part"
    __table_args__ = (
        UniqueConstraint("account_id", "import_id", "number"),
        ForeignKeyConstraint(
            ["account_id", "import_id"],
            ["contacts_import.account_id", "contacts_import.id"],
            ondelete="CASCADE",
        ),
    )
    wall = Wall(kind="content")
    trail = NoTrail("an uploaded file until it is read")

    import_id: Mapped[UUID] = column(Uuid, pd=None)
    number: Mapped[int] = column(Integer, pd=None)
    body: Mapped[bytes] = column(
        LargeBinary,
        pd="contact.list",
        export=False,
        erase="shred",
        retention="upload",
        log="never",
    )


def _told(size: int, pd: str, log: Literal["mask"] | None = None) -> Any:  # as `column`
    return column(String(size), pd=pd, retention="upload", log=log, server_default="")


def _told_index() -> Any:  # Any: as `column` gives it
    return column(LargeBinary, pd="contact.index", export=False, retention="upload")


class ImportRow(AccountBase):
    """One row of an uploaded list with its verdict, waiting to be applied or undone.

    The row's own `id` becomes the id of the contact it makes and of the consent event it
    leaves, so that applying twice adds nothing. `before` is what the contact looked like.
    `idx` is the index of what names the person: the number, else the first other address.
    """

    __tablename__ = "contacts_import_row"
    __table_args__ = (
        UniqueConstraint("account_id", "import_id", "line"),
        Index(
            "ix_contacts_import_row_odd",
            "account_id",
            "import_id",
            "state",
            "line",
            postgresql_where=text("state <> 'new'"),
        ),
        one_of("state", ROW_STATES),
    )
    wall = Wall(kind="content")
    trail = NoTrail("rows on their way in; the import says what came of them")
    owner_unique = False
    account_key = False

    import_id: Mapped[UUID] = column(Uuid, pd=None)  # nobody may delete an import
    line: Mapped[int] = column(Integer, pd=None)
    state: Mapped[str] = column(String(12), pd=None)
    reason: Mapped[str] = column(String(40), pd=None, server_default="")
    sentence: Mapped[str] = column(
        Text, pd="contact.list", retention="upload", server_default=""
    )
    twin: Mapped[int | None] = column(Integer, pd=None)
    contact_id: Mapped[UUID | None] = column(Uuid, pd="contact.id", retention="upload")
    phone: Mapped[str] = _told(24, "contact.phone", log="mask")
    idx: Mapped[bytes | None] = _told_index()
    name: Mapped[str] = _told(200, "contact.name")
    first_name: Mapped[str] = _told(200, "contact.name")
    last_name: Mapped[str] = _told(200, "contact.name")
    email: Mapped[str] = _told(254, "contact.email")
    email_idx: Mapped[bytes | None] = _told_index()
    wa_id: Mapped[str] = _told(24, "contact.phone", log="mask")
    wa_idx: Mapped[bytes | None] = _told_index()
    bsuid: Mapped[str] = _told(160, "contact.phone", log="mask")
    bsuid_idx: Mapped[bytes | None] = _told_index()
    parent_bsuid: Mapped[str] = _told(160, "contact.phone", log="mask")
    parent_idx: Mapped[bytes | None] = _told_index()
    language: Mapped[str] = column(String(20), pd=None, server_default="")
    country: Mapped[str] = column(String(2), pd=None, server_default="")
    timezone: Mapped[str] = column(String(60), pd=None, server_default="")
    tags: Mapped[list[str]] = column(
        JSONB, pd="account.content", retention="upload", server_default=text("'[]'")
    )
    lists: Mapped[list[str]] = column(
        JSONB, pd="account.content", retention="upload", server_default=text("'[]'")
    )
    attributes: Mapped[dict[str, Any]] = column(
        JSONB, pd="contact.attribute", retention="upload", server_default=text("'{}'")
    )
    said: Mapped[str] = column(String(3), pd=None, server_default="")
    said_on: Mapped[dt.date | None] = column(Date, pd=None)
    notes: Mapped[int] = column(SmallInteger, pd=None, server_default="0")
    before: Mapped[dict[str, Any] | None] = column(
        JSONB, pd="contact.attribute", retention="upload"
    )
