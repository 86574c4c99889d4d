"""What the contacts plugin tells others, after commit."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from clarion.work.events import Event


@dataclass(frozen=True, slots=True)
class ContactAdded(Event):
    """A person was added by hand or by the API; imports say `ImportFinished` instead."""

    name: ClassVar[str] = "contacts.contact.added"
    public: ClassVar[bool] = True
    contact_id: UUID


@dataclass(frozen=True, slots=True)
class ContactErased(Event):
    """A person was deleted, with everything about them but the wish not to be contacted."""

    name: ClassVar[str] = "contacts.contact.erased"
    public: ClassVar[bool] = True
    contact_id: UUID


@dataclass(frozen=True, slots=True)
class ContactsMerged(Event):
    """Two contacts are one: what hangs on `merged_id` belongs to `contact_id` now."""

    name: ClassVar[str] = "contacts.contact.merged"
    public: ClassVar[bool] = True
    contact_id: UUID
    merged_id: UUID


@dataclass(frozen=True, slots=True)
class ContactsParted(Event):
    """A merge was taken back: what hung on `parted_id` before belongs to it again."""

    name: ClassVar[str] = "contacts.contact.parted"
    public: ClassVar[bool] = True
    contact_id: UUID
    parted_id: UUID


@dataclass(frozen=True, slots=True)
class ContactOptedIn(Event):
    """There is now proof that a person agreed to a purpose."""

    name: ClassVar[str] = "contacts.contact.opted_in"
    public: ClassVar[bool] = True
    contact_id: UUID
    purpose: str


@dataclass(frozen=True, slots=True)
class ContactOptedOut(Event):
    """A person's consent to a purpose ended."""

    name: ClassVar[str] = "contacts.contact.opted_out"
    public: ClassVar[bool] = True
    contact_id: UUID
    purpose: str


@dataclass(frozen=True, slots=True)
class ImportFinished(Event):
    """An uploaded list was taken in."""

    name: ClassVar[str] = "contacts.import.finished"
    public: ClassVar[bool] = True
    import_id: UUID


@dataclass(frozen=True, slots=True)
class CheckRequested(Event):
    """An uploaded list waits for its dry run."""

    name: ClassVar[str] = "contacts.import.check_requested"
    import_id: UUID


@dataclass(frozen=True, slots=True)
class SearchRequested(Event):
    """Somebody wants to know which contacts look alike."""

    name: ClassVar[str] = "contacts.duplicate.search_requested"


@dataclass(frozen=True, slots=True)
class ImportStarted(Event):
    """A checked list may become contacts."""

    name: ClassVar[str] = "contacts.import.started"
    import_id: UUID


@dataclass(frozen=True, slots=True)
class UndoRequested(Event):
    """An import is to be taken back."""

    name: ClassVar[str] = "contacts.import.undo_requested"
    import_id: UUID


@dataclass(frozen=True, slots=True)
class BulkStarted(Event):
    """Something is to be done with many people, or taken back."""

    name: ClassVar[str] = "contacts.bulk.started"
    bulk_id: UUID


@dataclass(frozen=True, slots=True)
class SnapshotRequested(Event):
    """A segment is to be frozen."""

    name: ClassVar[str] = "contacts.snapshot.requested"
    snapshot_id: UUID
